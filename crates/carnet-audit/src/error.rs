//! What can go wrong, for the operator: message, place and the way out, which stands apart.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The log could not be opened. Nothing was changed that was not already sound.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The signed head cannot be used.
    #[error("`{}`: {reason}", file.display())]
    Checkpoint {
        /// The checkpoint.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Part of the journal is not what was written.
    #[error("`{}` is damaged at byte {offset}: {reason}", file.display())]
    JournalDamaged {
        /// The segment.
        file: PathBuf,
        /// Where.
        offset: u64,
        /// In what way.
        reason: &'static str,
    },
    /// Entries between tree and journal are missing.
    #[error("`{}` begins at entry {found} but the tree ends before entry {expected}", file.display())]
    Gap {
        /// The first segment that has entries.
        file: PathBuf,
        /// The entry that the tree needs next.
        expected: u64,
        /// The first entry there is.
        found: u64,
    },
    /// Another process writes this log.
    #[error("`{}` is in use by another process", dir.display())]
    InUse {
        /// The audit folder.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A setting is out of its range.
    #[error("`{setting}` is {value}, but must be from {min} to {max}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it was.
        value: u64,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// The tree's files do not give the signed head.
    #[error("`{}`: {reason}", file.display())]
    TreeDamaged {
        /// The file that is missing or wrong.
        file: PathBuf,
        /// In what way.
        reason: String,
    },
}

impl OpenError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Checkpoint { .. } => {
                "restore the file from a copy, or check that the signing key is the one this log was begun with"
            }
            Self::JournalDamaged { .. } => {
                "restore the file from a copy; if the machine lost power, start once with --repair-log: whatever is readable is kept, and the loss is recorded"
            }
            Self::Gap { .. } => {
                "restore the missing segments, or the newer checkpoint and tiles; one of the two comes from an older copy"
            }
            Self::InUse { .. } => {
                "stop the other server, or give this one a state folder of its own"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on this disk, or ask for room for fewer open requests"
            }
            Self::Io { .. } => "check the path, its owner and its permissions",
            Self::Setting { .. } => "change the setting",
            Self::TreeDamaged { .. } => {
                "restore the file from a copy; `carnet audit verify` names every file that is wrong"
            }
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// There is no room for a further request: it must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Full {
    /// The log is closed, or its writer has died.
    #[error("the log is closed")]
    Closed,
    /// The disk takes no more.
    #[error("no room in the log: {reason}")]
    Disk {
        /// What the disk said.
        reason: String,
    },
    /// As many requests are open as the log keeps room for.
    #[error("no room in the log: {max} requests are open")]
    Open {
        /// How many that is.
        max: usize,
    },
}

/// What was handed over is not, or not yet, where the durability asked for wants it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not written to the log: {reason}")]
pub struct WriteFailed {
    /// Why.
    pub reason: String,
}

impl WriteFailed {
    pub(crate) fn new(reason: impl ToString) -> Self {
        Self {
            reason: reason.to_string(),
        }
    }

    pub(crate) fn closed() -> Self {
        Self::new(Full::Closed)
    }
}

/// A log cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// More than one record has an id that begins so.
    #[error("several records have an id that begins with `{prefix}`")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
    },
    /// A file is not what it should be.
    #[error("`{}`: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// In what way.
        reason: String,
    },
    /// The file system refused.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No record has such an id.
    #[error("no record has an id that begins with `{prefix}`")]
    NotFound {
        /// What was asked for.
        prefix: String,
    },
}

impl ReadError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}
