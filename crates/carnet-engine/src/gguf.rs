//! A model's tensors and description in one GGUF file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use carnet_inspect::gguf::{Array, Tensor, TensorType, Value};

use crate::architecture::{MODEL_TYPE, Sizes, invalid, unsupported, wrong_architecture};
use crate::files;
use crate::model::{Naming, Part};
use crate::refusal::{Refusal, name_of};
use crate::store::{Entry, Store, Stored, header_limits, header_refused, truncated};
use crate::weights::Kind;

/// How GGUF files call the tensors.
pub(crate) struct GgufNames;

impl Naming for GgufNames {
    fn layer(&self, index: usize) -> String {
        format!("blk.{index}.")
    }

    fn part(&self, part: Part) -> &'static str {
        match part {
            Part::Embedding => EMBEDDING,
            Part::FinalNorm => "output_norm.weight",
            Part::Head => HEAD,
            Part::AttendNorm => "attn_norm.weight",
            Part::Query => "attn_q.weight",
            Part::QueryBias => "attn_q.bias",
            Part::Key => "attn_k.weight",
            Part::KeyBias => "attn_k.bias",
            Part::Value => "attn_v.weight",
            Part::ValueBias => "attn_v.bias",
            Part::Output => "attn_output.weight",
            Part::MixNorm => "ffn_norm.weight",
            Part::Gate => "ffn_gate.weight",
            Part::Up => "ffn_up.weight",
            Part::Down => "ffn_down.weight",
        }
    }
}

const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// One GGUF file, its header read.
pub(crate) struct Gguf {
    path: PathBuf,
    file: File,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Entry>,
}

impl Gguf {
    /// Reads and checks the header, and reads no weights yet.
    ///
    /// # Errors
    ///
    /// A file that is missing, larger than `bytes_max`, malformed or cut off.
    pub(crate) fn open(path: &Path, bytes_max: u64) -> Result<Gguf, Refusal> {
        let (file, len) = files::open(path)?;
        if len > bytes_max {
            return Err(files::too_large(path, bytes_max));
        }
        let header = carnet_inspect::gguf::read(&mut BufReader::new(&file), len, &header_limits())
            .map_err(|finding| header_refused(path, &finding))?;
        let entry = |tensor: &Tensor| {
            let entry = Entry::new(
                kind(tensor.kind),
                tensor.dims.iter().rev(),
                tensor.bytes.clone(),
            );
            (tensor.name.clone(), entry)
        };
        Ok(Gguf {
            path: path.to_owned(),
            file,
            tensors: header.tensors().iter().map(entry).collect(),
            metadata: header.metadata().clone(),
        })
    }

    /// The model's sizes, or why this engine does not compute this model.
    pub(crate) fn sizes(&self) -> Result<Sizes, Refusal> {
        let place = name_of(&self.path);
        match self.text("general.architecture") {
            Some(MODEL_TYPE) => {}
            other => return Err(wrong_architecture(&place, other.unwrap_or("none"))),
        }
        let key = |field: &str| format!("{MODEL_TYPE}.{field}");
        let scaling = self.text(&key("rope.scaling.type")).unwrap_or("none");
        if scaling != "none" {
            let place = format!("{place}: {}", key("rope.scaling.type"));
            return Err(unsupported(
                place,
                format!("positions are scaled as `{scaling}`"),
            ));
        }
        if self
            .whole(&key("attention.sliding_window"))
            .is_some_and(|window| window > 0)
        {
            let place = format!("{place}: {}", key("attention.sliding_window"));
            return Err(unsupported(place, "layers attend to a sliding window"));
        }
        let whole = |field: &str| {
            self.whole(&key(field)).ok_or_else(|| {
                invalid(
                    &place,
                    format!("`{}` is missing or no whole number", key(field)),
                )
            })
        };
        let number = |field: &str| {
            self.number(&key(field))
                .ok_or_else(|| invalid(&place, format!("`{}` is missing or no number", key(field))))
        };
        let (width, heads) = (whole("embedding_length")?, whole("attention.head_count")?);
        let head = self.whole(&key("attention.key_length"));
        let rows = self.tensors.get(EMBEDDING).and_then(Entry::rows);
        Sizes {
            vocabulary: rows.ok_or_else(|| invalid(&place, format!("`{EMBEDDING}` is missing")))?,
            width,
            inner: whole("feed_forward_length")?,
            layers: whole("block_count")?,
            heads,
            heads_kv: self.whole(&key("attention.head_count_kv")).unwrap_or(heads),
            head: head
                .or_else(|| width.checked_div(heads))
                .unwrap_or_default(),
            context: whole("context_length")?,
            norm_epsilon: number("attention.layer_norm_rms_epsilon")?,
            rope_theta: number("rope.freq_base")?,
            tied: !self.tensors.contains_key(HEAD),
        }
        .checked(&place)
    }

    /// The file's name, for messages.
    pub(crate) fn file_name(&self) -> String {
        name_of(&self.path)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn whole(&self, key: &str) -> Option<usize> {
        let number = self.metadata.get(key).and_then(Value::as_u64)?;
        usize::try_from(number).ok()
    }

    /// A list of numbers of 32 bits, as the kinds of tokens are.
    pub(crate) fn kinds(&self, key: &str) -> Option<Vec<u32>> {
        match self.metadata.get(key)?.as_array()? {
            Array::I32(items) => items.iter().map(|n| u32::try_from(*n).ok()).collect(),
            Array::U32(items) => Some(items.clone()),
            _ => None,
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Option<&[String]> {
        self.metadata.get(key)?.as_array()?.as_strings()
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::F32(number) => Some(f64::from(*number)),
            Value::F64(number) => Some(*number),
            other => other.as_u64().map(|number| number as f64),
        }
    }
}

fn kind(stored: TensorType) -> Result<Kind, String> {
    match stored.name() {
        "BF16" => Ok(Kind::Bf16),
        "F16" => Ok(Kind::F16),
        "F32" => Ok(Kind::F32),
        "Q4_0" => Ok(Kind::Q4),
        "Q8_0" => Ok(Kind::Q8),
        other => Err(other.to_owned()),
    }
}

impl Store for Gguf {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn find(&self, name: &str) -> Option<Result<Stored, Refusal>> {
        let entry = self.tensors.get(name)?;
        Some(entry.stored(|| self.place(name), "F32, F16, BF16, Q8_0 or Q4_0"))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, Refusal> {
        let place = self.place(name);
        match self.tensors.get(name) {
            Some(entry) => entry.read(&mut self.file, &place),
            None => Err(truncated(&place)),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("{}: {name}", name_of(&self.path))
    }
}
