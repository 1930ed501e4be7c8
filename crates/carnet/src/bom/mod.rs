//! A bill of materials for models: what each one is, by whom, made of what, from which files.

mod cyclonedx;
mod files;
mod inventory;
mod licence;
mod spdx;

use carnet_provenance::{Ancestor, Resolution};
use jiff::civil::Date;
use sha2::{Digest, Sha256};

pub(crate) use self::cyclonedx::write as cyclonedx;
pub(crate) use self::inventory::{of_config, of_ids, of_registry};
pub(crate) use self::spdx::write as spdx;

/// Every model that is listed, in the order of their references.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// The models.
    pub(crate) entries: Vec<Entry>,
    /// The day whose facts they are.
    pub(crate) day: Date,
    /// Version of registry and overlay.
    pub(crate) registry: String,
}

/// One model, as it is offered or asked for.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Names it in the document: `UPSTREAM/NAME`, or the id.
    pub(crate) reference: String,
    /// The name by which it is asked for.
    pub(crate) name: String,
    /// The upstream that offers it, and its own name for it.
    pub(crate) offer: Option<Offer>,
    /// What is known of it.
    pub(crate) resolution: Resolution,
    /// The files from which it runs here.
    pub(crate) files: Vec<FileDigest>,
    /// Whether that is a folder of files.
    pub(crate) folder: bool,
}

/// Where a model is offered.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) upstream: String,
    pub(crate) name: String,
}

/// A file that was read for its digest.
#[derive(Debug)]
pub(crate) struct FileDigest {
    /// Its name without its place.
    pub(crate) name: String,
    /// Hexadecimal.
    pub(crate) sha256: String,
}

impl Entry {
    /// The model's name for people: canonical, if it is identified.
    fn title(&self) -> &str {
        self.resolution.named().unwrap_or(&self.name)
    }

    /// Why others cannot be excluded from the weights, in the words of the answer.
    fn gaps(&self) -> Vec<String> {
        let candidates = self.resolution.candidates.iter();
        let facts = candidates.flat_map(|one| &one.facts);
        let mut gaps: Vec<String> = facts
            .filter(|fact| fact.claim == "weights_complete")
            .filter_map(|fact| fact.value.strip_prefix("false: "))
            .map(str::to_owned)
            .collect();
        gaps.sort();
        gaps.dedup();
        gaps
    }

    /// Whether every candidate is named exactly.
    fn identified(&self) -> bool {
        self.resolution.is_identified()
    }

    /// What may be told as a fact: nothing of a model that a name only hints at.
    fn known(&self) -> Option<&Resolution> {
        self.identified().then_some(&self.resolution)
    }

    /// The ancestors that may be told.
    fn lineage(&self) -> &[Ancestor] {
        self.known().map_or(&[], |known| &known.lineage)
    }

    /// The models that it may be, where that is more than one or only a guess.
    fn candidates(&self) -> Vec<&str> {
        let all = &self.resolution.candidates;
        if self.identified() && all.len() == 1 {
            return Vec::new();
        }
        let models = all.iter().filter_map(|one| one.model.as_ref());
        models.map(|model| model.as_str()).collect()
    }
}

/// The beginning of a day, as both formats write it.
fn timestamp(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// Values of a list in one text.
fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(", ")
}

/// An identifier that follows from a text: the same document has the same one everywhere.
fn uuid(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut bytes: [u8; 16] = std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default());
    // RFC 9562: version 8, of the maker's own making.
    if let Some(byte) = bytes.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x80;
    }
    if let Some(byte) = bytes.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    let hex = hex::encode(bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_the_same_identifier_and_no_other_has() {
        let one = uuid("a");
        assert_eq!(one, uuid("a"));
        assert_ne!(one, uuid("b"));
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'8');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
