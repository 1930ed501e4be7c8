//! Headers of weights: what their metadata say. No weight is read.

use std::collections::BTreeSet;

use carnet_inspect::gguf::{self, Gguf, Value};
use carnet_inspect::{Finding, Limits, safetensors as tensors};
use carnet_provenance::Relation;

use super::notes::{self, Notes};
use super::place::Opened;

/// Kinds of GGUF files whose weights have all their bits: `LLAMA_FTYPE` 0, 1 and 32.
const WHOLE: &[u64] = &[0, 1, 32];
/// Types of tensors that have all their bits.
const WHOLE_TYPES: &[&str] = &["F64", "F32", "F16", "BF16", "I8", "I16", "I32", "I64"];
/// What stands in the place of weights that were not fetched.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A GGUF file.
pub(super) fn gguf(opened: &mut Opened, name: &str, notes: &mut Notes) {
    let header = match gguf::read(&mut opened.file, opened.len, &Limits::default()) {
        Ok(header) => header,
        Err(finding) => return refused(opened, &finding, name, notes),
    };
    let says = Header {
        header: &header,
        name,
    };
    if says.text("general.type") == Some("adapter") {
        notes.adapter();
    }
    let few_bits = |kind: u64| !WHOLE.contains(&kind);
    let stated = header.value("general.file_type").and_then(Value::as_u64);
    let types = || header.tensors().iter().map(|tensor| tensor.kind.name());
    if stated.is_some_and(few_bits) || types().any(|kind| !WHOLE_TYPES.contains(&kind)) {
        notes.quantized();
    }
    says.names(notes);
    for key in ["organization", "author", "quantized_by"] {
        if let Some(maker) = says.text(&format!("general.{key}")) {
            notes.maker(maker, &format!("{name} general.{key}"));
        }
    }
    if let Some(licence) = says.text("general.license") {
        notes.licence(licence, &format!("{name} general.license"));
    }
    if let Some(architecture) = says.text("general.architecture") {
        notes.architecture(architecture, &format!("{name} general.architecture"));
    }
    for number in says.bases() {
        if let Some(base) = says.model(&format!("general.base_model.{number}.")) {
            notes.base(&base, &format!("{name} general.base_model"), None);
        }
    }
    let sources = ["repo_url", "url", "huggingface.repository"];
    let source = sources
        .iter()
        .find_map(|key| says.text(&format!("general.source.{key}")));
    if let Some(source) = source {
        // What the file was written from, perhaps with fewer bits: the same weights.
        notes.base(
            source,
            &format!("{name} general.source"),
            Some(Relation::Converted),
        );
    }
}

fn refused(opened: &mut Opened, finding: &Finding, name: &str, notes: &mut Notes) {
    let pointer = opened.head(POINTER.len()).is_ok_and(|head| head == POINTER);
    notes.step(if pointer {
        format!("{name} is a pointer to weights that were not fetched")
    } else {
        format!("{name} is not read: {}", notes::told(finding))
    });
}

/// The metadata of one GGUF file.
struct Header<'h> {
    header: &'h Gguf,
    name: &'h str,
}

impl Header<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        let text = self.header.value(key)?.as_str()?;
        (!text.trim().is_empty()).then_some(text)
    }

    fn names(&self, notes: &mut Notes) {
        let name = self.name;
        if let Some(own) = self.text("general.name") {
            notes.own_name(own, &format!("{name} general.name"), "file", false);
        }
        if let Some(basename) = self.text("general.basename") {
            let rest = ["general.size_label", "general.finetune"];
            let parts = rest.iter().filter_map(|key| self.text(key));
            let whole: Vec<&str> = std::iter::once(basename).chain(parts).collect();
            let place = format!("{name} general.basename");
            notes.own_name(&whole.join("-"), &place, "file", false);
        }
        for key in ["general.repo_url", "general.url"] {
            if let Some(address) = self.text(key) {
                notes.own_name(address, &format!("{name} {key}"), "huggingface", false);
            }
        }
    }

    /// The numbers of the bases that are described, whatever the count beside them says.
    fn bases(&self) -> BTreeSet<u32> {
        let numbered = |key: &String| {
            let rest = key.strip_prefix("general.base_model.")?;
            rest.split_once('.')?.0.parse().ok()
        };
        self.header.metadata().keys().filter_map(numbered).collect()
    }

    /// A described model: its repository, or organisation and name.
    fn model(&self, prefix: &str) -> Option<String> {
        let part = |key: &str| self.text(&format!("{prefix}{key}"));
        if let Some(address) = part("repo_url").or_else(|| part("url")) {
            return Some(address.to_owned());
        }
        let name = part("name")?;
        // Writers make titles of the repository's two parts.
        let dashed = |text: &str| text.trim().replace(' ', "-");
        Some(match part("organization") {
            Some(organization) => format!("{}/{}", dashed(organization), dashed(name)),
            None => name.to_owned(),
        })
    }
}

/// A safetensors file: its free texts, which most writers leave empty.
pub(super) fn safetensors(opened: &mut Opened, name: &str, notes: &mut Notes) {
    let header = match tensors::read(&mut opened.file, opened.len, &Limits::default()) {
        Ok(header) => header,
        Err(finding) => return refused(opened, &finding, name, notes),
    };
    let text = |key: &str| header.metadata().get(key).map(String::as_str);
    for key in [
        "base_model",
        "base_model_name_or_path",
        "modelspec.merged_from",
    ] {
        for base in text(key).unwrap_or_default().split(',') {
            notes.base(base, &format!("{name} {key}"), None);
        }
    }
    if let Some(own) = text("modelspec.title") {
        notes.own_name(own, &format!("{name} modelspec.title"), "file", false);
    }
    if let Some(maker) = text("modelspec.author") {
        notes.maker(maker, &format!("{name} modelspec.author"));
    }
    for key in ["license", "modelspec.license"] {
        if let Some(licence) = text(key) {
            notes.licence(licence, &format!("{name} {key}"));
        }
    }
    for key in ["modelspec.architecture", "ss_base_model_version"] {
        if let Some(architecture) = text(key) {
            notes.architecture(architecture, &format!("{name} {key}"));
        }
    }
}
