//! Append records to a tamper-evident log, and verify one offline.
//!
//! Every request of an authenticated caller ends in one *leaf* of a Merkle tree. Before anything is sent, an *intent*
//! goes to the journal; after the last byte, the leaf. A request whose leaf never came gets one that says
//! `interrupted`, by its slot when that is given up, or at the next start.
//!
//! ```text
//! audit/
//!   checkpoint               size and root, signed (C2SP signed note)
//!   tile/<L>/<N>[.p/<W>]     hashes of level L (C2SP tlog-tiles)
//!   tile/entries/<N>[.p/<W>] the leaves themselves
//!   journal/<number>.wal     what is not yet under a checkpoint; room for all open requests is set aside in it
//!   journal/lock             empty; locked while a server runs
//!   tmp/                     where files are made before they get their names
//! ```
//!
//! Two threads do all the writing. The *writer* takes what is queued, writes it at once to the journal and wakes
//! whoever waits. The *sequencer* reads the journal back, puts its leaves into the tree and signs, so that opening a
//! log after a crash is the same work as running one. No caller ever waits for the tree.
//!
//! ```
//! use carnet_audit::{Intent, Kind, Log, Options, Outcome, Reader, Record, Signer, verify};
//! use jiff::Timestamp;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! let signer = Signer::new("carnet.example/audit", &[7; 32])?;
//! let key = signer.public_key()?;
//! let (log, _) = Log::open(dir, signer, Options::default(), Timestamp::now)?;
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let mut slot = log.reserve()?; // no room, no request
//! slot.intent(&Intent::new("r-1".into(), Timestamp::now())).await?; // not safe, not sent
//! slot.leaf(Record::new(Kind::Request, "r-1".into(), Timestamp::now(), Outcome::Completed));
//! log.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//!
//! assert!(verify(dir, &key).verified());
//! assert_eq!(Reader::open(dir)?.find("r-1")?.record.outcome, Outcome::Completed);
//! # Ok(())
//! # }
//! ```
//!
//! What it refuses: to open a damaged log as if it were whole, to take a request that it may not be able to record, to
//! hold a prompt, an answer or a key, and to call a log safe from whoever holds its signing key. Reading and writing
//! secret keys is the caller's business, and so is the clock.

#![deny(missing_docs)]

mod copy;
mod disk;
mod encode;
mod error;
mod frame;
mod journal;
mod key;
pub mod limits;
mod line;
mod log;
mod open;
mod options;
mod record;
mod replay;
mod scan;
mod sequencer;
mod shared;
mod show;
mod slot;
mod store;
#[cfg(test)]
mod testing;
mod tiles;
mod tree;
mod verify;
mod writer;

pub use copy::{Copied, check_edge, copy};
pub use error::{Full, OpenError, ReadError, WriteFailed};
pub use key::{KeyError, PublicKey, Signer};
pub use log::{Log, LogStatus};
pub use open::Recovered;
pub use options::{Durability, Options};
pub use record::{
    Attempt, Cached, Detection, DocumentKind, DocumentPart, Intent, Kind, Leaf, Outcome, Record,
    Ruling, Spend, Timings, Tokens, UnknownVersion, Version,
};
pub use replay::Loss;
pub use show::{Entry, Found, Reader};
pub use slot::Slot;
pub use verify::{Problem, Report, is_log_file, verify};
