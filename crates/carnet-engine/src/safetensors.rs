//! A model's tensors in safetensors files, one or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::codes::Code;
use crate::files;
use crate::limits::{JSON_BYTES_MAX, SHARDS_MAX};
use crate::model::{Naming, Part};
use crate::refusal::{Refusal, name_of};
use crate::store::{Entry, Store, Stored, header_limits, header_refused, truncated};
use crate::weights::Kind;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// How files of the hub call the tensors.
pub(crate) struct HubNames;

impl Naming for HubNames {
    fn layer(&self, index: usize) -> String {
        format!("model.layers.{index}.")
    }

    fn part(&self, part: Part) -> &'static str {
        match part {
            Part::Embedding => "model.embed_tokens.weight",
            Part::FinalNorm => "model.norm.weight",
            Part::Head => "lm_head.weight",
            Part::AttendNorm => "input_layernorm.weight",
            Part::Query => "self_attn.q_proj.weight",
            Part::QueryBias => "self_attn.q_proj.bias",
            Part::Key => "self_attn.k_proj.weight",
            Part::KeyBias => "self_attn.k_proj.bias",
            Part::Value => "self_attn.v_proj.weight",
            Part::ValueBias => "self_attn.v_proj.bias",
            Part::Output => "self_attn.o_proj.weight",
            Part::MixNorm => "post_attention_layernorm.weight",
            Part::Gate => "mlp.gate_proj.weight",
            Part::Up => "mlp.up_proj.weight",
            Part::Down => "mlp.down_proj.weight",
        }
    }
}

/// The tensors of one model.
pub(crate) struct Shards {
    files: Vec<(PathBuf, File)>,
    /// Each with the place of its file in `files`.
    tensors: BTreeMap<String, (usize, Entry)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Reads the headers of all shards of a folder, and no weights yet.
    ///
    /// # Errors
    ///
    /// Files that are missing, together larger than `bytes_max`, or whose headers are malformed.
    pub(crate) fn open(folder: &Path, bytes_max: u64) -> Result<Shards, Refusal> {
        let mut shards = Shards {
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        let mut left = bytes_max;
        for path in paths(folder)? {
            let (file, len) = files::open(&path)?;
            left = left
                .checked_sub(len)
                .ok_or_else(|| files::too_large(&path, bytes_max))?;
            shards.add(path, file, len)?;
        }
        Ok(shards)
    }

    fn add(&mut self, path: PathBuf, file: File, len: u64) -> Result<(), Refusal> {
        let mut reader = BufReader::new(&file);
        let header = carnet_inspect::safetensors::read(&mut reader, len, &header_limits())
            .map_err(|finding| header_refused(&path, &finding))?;
        for tensor in header.tensors() {
            let kind = kind(tensor.dtype.name());
            let entry = Entry::new(kind, tensor.shape.iter(), tensor.bytes.clone());
            let named = (tensor.name.clone(), (self.files.len(), entry));
            if self.tensors.insert(named.0, named.1).is_some() {
                let place = format!("{}: {}", name_of(&path), tensor.name);
                return Err(malformed(&place, "the tensor is in two files"));
            }
        }
        self.files.push((path, file));
        Ok(())
    }
}

/// The files that hold the weights. The index may name files of its own folder only.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let index = folder.join(INDEX);
    if !index.exists() {
        return Ok(vec![folder.join(SINGLE)]);
    }
    let index: Index = files::json(&index, JSON_BYTES_MAX)?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if names.is_empty() || names.len() > SHARDS_MAX {
        let reason = format!("names {} files; it can be 1 to {SHARDS_MAX}", names.len());
        return Err(malformed(INDEX, reason));
    }
    let plain = |name: &str| Path::new(name).file_name().is_some_and(|last| last == name);
    match names.iter().find(|name| !plain(name)) {
        Some(name) => Err(malformed(
            INDEX,
            format!("`{name}` is not a file of this folder"),
        )),
        None => Ok(names.iter().map(|name| folder.join(name)).collect()),
    }
}

fn kind(stored: &str) -> Result<Kind, String> {
    match stored {
        "BF16" => Ok(Kind::Bf16),
        "F16" => Ok(Kind::F16),
        "F32" => Ok(Kind::F32),
        other => Err(other.to_owned()),
    }
}

impl Store for Shards {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn find(&self, name: &str) -> Option<Result<Stored, Refusal>> {
        let (_, entry) = self.tensors.get(name)?;
        Some(entry.stored(|| self.place(name), "F32, F16 or BF16"))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, Refusal> {
        let place = self.place(name);
        let found = self.tensors.get(name);
        let opened = found.and_then(|(shard, entry)| Some((entry, self.files.get_mut(*shard)?)));
        match opened {
            Some((entry, (_, file))) => entry.read(file, &place),
            None => Err(truncated(&place)),
        }
    }

    fn place(&self, name: &str) -> String {
        let found = self.tensors.get(name);
        let shard = found.and_then(|(shard, _)| self.files.get(*shard));
        let file = shard.map_or_else(|| SINGLE.to_owned(), |(path, _)| name_of(path));
        format!("{file}: {name}")
    }
}

fn malformed(place: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::FileMalformed,
        place,
        reason,
        "copy the file anew and compare its digest with the published one",
    )
}
