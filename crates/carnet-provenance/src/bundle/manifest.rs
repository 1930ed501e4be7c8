//! What a bundle says of itself: lines of a key and a value, in one order, nothing else.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::Serialize;

use crate::bundle::FORM;

const TITLE: &str = "carnet-registry-bundle";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Counts the bundles of one series; a later one has a higher number.
    pub sequence: u64,
    /// The day on which it was made.
    pub created: Date,
    /// Version of the registry in it.
    pub registry: String,
    /// Version of the registry in the bundle before, if one is named.
    pub previous: Option<String>,
    /// Form of its facts: what a program must be able to read.
    pub blob_form: u32,
    /// Size of its content.
    pub blob_bytes: usize,
    /// Digest of its content.
    pub blob_sha256: String,
}

/// A text that is no manifest.
#[derive(Debug, PartialEq, Eq)]
pub struct NoManifest;

impl Manifest {
    /// One that says nothing of the content yet.
    #[must_use]
    pub fn new(sequence: u64, created: Date, previous: Option<String>) -> Self {
        Self {
            sequence,
            created,
            registry: String::new(),
            previous,
            blob_form: 0,
            blob_bytes: 0,
            blob_sha256: String::new(),
        }
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}")?;
        writeln!(f, "form {FORM}")?;
        writeln!(f, "sequence {}", self.sequence)?;
        writeln!(f, "created {}", self.created)?;
        writeln!(f, "registry {}", self.registry)?;
        writeln!(f, "previous {}", self.previous.as_deref().unwrap_or("none"))?;
        writeln!(f, "blob-form {}", self.blob_form)?;
        writeln!(f, "blob-bytes {}", self.blob_bytes)?;
        writeln!(f, "blob-sha256 {}", self.blob_sha256)
    }
}

impl FromStr for Manifest {
    type Err = NoManifest;

    fn from_str(text: &str) -> Result<Self, NoManifest> {
        parse(text).ok_or(NoManifest)
    }
}

fn parse(text: &str) -> Option<Manifest> {
    let mut lines = text.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
    if value("form")?.parse() != Ok(FORM) {
        return None;
    }
    let manifest = Manifest {
        sequence: value("sequence")?.parse().ok()?,
        created: value("created")?.parse().ok()?,
        registry: value("registry")?.to_owned(),
        previous: Some(value("previous")?.to_owned()).filter(|previous| previous != "none"),
        blob_form: value("blob-form")?.parse().ok()?,
        blob_bytes: value("blob-bytes")?.parse().ok()?,
        blob_sha256: value("blob-sha256")?.to_owned(),
    };
    // One text for one manifest: no other spelling of a number or date, no line more.
    (manifest.to_string() == text).then_some(manifest)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_manifest_has_one_text() {
        let mut manifest = Manifest::new(7, date(2026, 11, 25), None);
        manifest.registry = "sha256:ab".to_owned();
        manifest.blob_sha256 = "cd".to_owned();
        let text = manifest.to_string();
        assert_eq!(text.parse(), Ok(manifest));
        for other in [
            text.replace("sequence 7", "sequence +7"),
            text.replace("sequence 7", "sequence 07"),
            text.replace("2026-11-25", "2026-11-25T00:00"),
            text.replace('\n', "\r\n"),
            text.replace("form 1", "form 2"),
            format!("{text}more 1\n"),
            text.trim_end().to_owned(),
            String::new(),
        ] {
            assert_eq!(other.parse::<Manifest>(), Err(NoManifest), "{other}");
        }
    }
}
