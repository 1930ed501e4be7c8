//! Check a log from its files and the public key alone, and name every file that is wrong.
//!
//! Streams: at most one segment and one bundle are in memory. Works beside a running server; what
//! changes under its hands is read again.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tlog_tiles::Hash;

use crate::journal::LOCK;
use crate::key::{CheckpointError, PublicKey, unchecked};
use crate::limits::{CHECKPOINT_BYTES_MAX, PROBLEMS_MAX};
use crate::store::read_bounded;
use crate::tiles::CHECKPOINT;

pub use self::files::is_log_file;

mod files;
mod frames;
mod tree;

/// How often something that does not fit is read again while a server runs: some seconds in all,
/// the time of a checkpoint on a slow disk.
const TRIES: usize = 250;
/// Pause before that.
const PAUSE: Duration = Duration::from_millis(20);

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Origin line of the checkpoint.
    pub origin: String,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Root hash that it signs, in hex.
    pub root: String,
    /// Records among the entries.
    pub records: u64,
    /// Decision documents among the entries.
    pub documents: u64,
    /// Entries in the journal that no checkpoint covers yet.
    pub pending: u64,
    /// Everything that is wrong, file by file.
    pub problems: Vec<Problem>,
    /// Problems beyond the first thousand.
    pub further_problems: u64,
    /// What this check cannot exclude, in words.
    pub cannot_exclude: Vec<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path inside the audit folder.
    pub file: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.problems.is_empty() && self.further_problems == 0
    }

    fn problem(&mut self, file: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem {
                file: file.into(),
                message: message.into(),
            });
        } else {
            self.further_problems += 1;
        }
    }
}

/// Check the log in `dir`.
#[must_use]
pub fn verify(dir: &Path, key: &PublicKey) -> Report {
    let mut check = Check {
        root: dir.to_owned(),
        key,
        report: Report::default(),
        tries: 0,
    };
    let head = check.head();
    if let Some(head) = head {
        let head = check.tree(head);
        check.report.size = head.size;
        check.report.root = hex::encode(head.root.0);
        check.files(head.size);
        check.frames(head.size);
    }
    check.report.cannot_exclude = caveats(&check.report, dir);
    check.report.problems.sort_by(|a, b| a.file.cmp(&b.file));
    check.report
}

fn caveats(report: &Report, dir: &Path) -> Vec<String> {
    let mut caveats = vec![
        "an older signed state in the place of a newer one, or another log signed with the same key: only an earlier checkpoint that you kept, or a witness, shows that".to_owned(),
        "careful changes to records that no checkpoint covers yet, or their removal: the journal's checksums guard against accident only".to_owned(),
    ];
    if report.pending > 0 {
        caveats.push(format!("the {} newest records are such", report.pending));
    }
    if !dir.join(crate::journal::JOURNAL).exists() {
        caveats.push("records since the checkpoint: this copy has no journal".to_owned());
    }
    caveats
}

/// A signed size and root.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Head {
    size: u64,
    root: Hash,
}

struct Check<'a> {
    root: PathBuf,
    key: &'a PublicKey,
    report: Report,
    /// Tries that were spent on what is being looked at.
    tries: usize,
}

impl Check<'_> {
    /// The checkpoint; if its signature is bad, its text is still good for looking on.
    fn head(&mut self) -> Option<Head> {
        let bytes = match read_bounded(&self.root.join(CHECKPOINT), CHECKPOINT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.report.problem(CHECKPOINT, error.to_string());
                return None;
            }
        };
        let checkpoint = self.key.open(&bytes).or_else(|error: CheckpointError| {
            self.report.problem(CHECKPOINT, error.to_string());
            unchecked(&bytes)
        });
        let checkpoint = checkpoint.ok()?;
        checkpoint.origin().clone_into(&mut self.report.origin);
        Some(Head {
            size: checkpoint.size(),
            root: *checkpoint.hash(),
        })
    }

    /// The checkpoint as it is now, if it is sound and newer than this one.
    fn newer_head(&self, than: u64) -> Option<Head> {
        let bytes = read_bounded(&self.root.join(CHECKPOINT), CHECKPOINT_BYTES_MAX).ok()?;
        let checkpoint = self
            .key
            .open(&bytes)
            .ok()
            .filter(|checkpoint| checkpoint.size() > than)?;
        Some(Head {
            size: checkpoint.size(),
            root: *checkpoint.hash(),
        })
    }

    /// Whether to look once more, after a pause: only while a server runs, and only so many times.
    fn try_again(&mut self) -> bool {
        self.tries += 1;
        if self.tries > TRIES || !server_runs(&self.root) {
            return false;
        }
        thread::sleep(PAUSE);
        true
    }

    /// A file of the log, or `None` if it is not there.
    fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.root.join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.report.problem(name, error.to_string());
                None
            }
        }
    }
}

/// Whether somebody holds the lock. It is tried for an instant; a server that starts just then tries again.
pub(crate) fn server_runs(root: &Path) -> bool {
    File::open(root.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
