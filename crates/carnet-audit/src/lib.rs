//! Append records to a tamper-evident log, and verify one offline.

#![deny(missing_docs)]

mod disk;
mod encode;
mod error;
mod frame;
mod journal;
mod key;
pub mod limits;
mod log;
mod record;
mod replay;
mod scan;
mod sequencer;
mod shared;
mod show;
mod store;
mod tiles;
mod tree;
mod verify;
mod writer;

pub use error::{Full, OpenError, ReadError, WriteFailed};
pub use key::{KeyError, PublicKey, Signer};
pub use log::{Durability, Log, LogStatus, Options, Recovered, Slot};
pub use record::{
    Attempt, DocumentKind, DocumentPart, Intent, Kind, Leaf, Outcome, Record, Ruling, Timings,
    UnknownVersion, Version,
};
pub use replay::Loss;
pub use show::{Entry, Found, Reader};
pub use verify::{Problem, Report, verify};
