//! Backups of the state directory: what belongs in one, one file that holds it, and the way back.
//!
//! ```text
//! carnet-backup-….tar.zst    zstd over tar (ustar), for its owner alone
//!   manifest.json            version, what made it and when, each file with length and SHA-256
//!   state/<name>             the files, in the manifest's order
//! ```

pub(crate) mod archive;
pub(crate) mod contents;
pub(crate) mod gather;
pub(crate) mod manifest;

use crate::trouble::Troubles;

/// Why there is no backup, or nothing was restored.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It was looked at, and is not what it should be.
    Broken(Troubles),
    /// It could not be done.
    Failed(Troubles),
}

impl From<Troubles> for Refused {
    fn from(troubles: Troubles) -> Self {
        Self::Failed(troubles)
    }
}

impl Refused {
    /// Something that is not what it should be.
    pub(crate) fn broken(message: impl Into<String>, help: &str) -> Self {
        Self::Broken(vec![crate::trouble::Trouble::new(message, help)])
    }
}
