//! How a log is kept.

use std::time::Duration;

use crate::error::OpenError;
use crate::limits::{OPEN_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_MAX};
use crate::writer::room_wanted;

/// What survives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was acknowledged survives the machine: each group commit ends in `fdatasync`.
    Fsync,
    /// What was acknowledged survives the process; a power cut may take what was not yet signed.
    Process,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// Pause between two checkpoints at least.
    pub checkpoint_every: Duration,
    /// Size of a journal segment.
    pub segment_bytes: u64,
    /// Requests that may be open at once; for each of them the disk keeps room.
    pub max_open: usize,
    /// Open a damaged journal all the same: what is readable is kept, the rest is recorded as lost, and the files as
    /// they were are copied beside the audit folder.
    pub repair: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            checkpoint_every: Duration::from_secs(1),
            segment_bytes: 8 << 20,
            max_open: 4096,
            repair: false,
        }
    }
}
impl Options {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let range = |setting, value: u64, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(OpenError::Setting {
                    setting,
                    value,
                    min,
                    max,
                })
            }
        };
        range(
            "segment_bytes",
            self.segment_bytes,
            SEGMENT_BYTES_MIN,
            SEGMENT_BYTES_MAX,
        )?;
        range("max_open", self.max_open as u64, 1, OPEN_MAX as u64)?;
        // All of the room must fit into half of the segments that a journal may have.
        let needed = room_wanted(self.max_open).saturating_mul(4) / SEGMENTS_MAX;
        range(
            "segment_bytes",
            self.segment_bytes,
            SEGMENT_BYTES_MIN.max(needed),
            SEGMENT_BYTES_MAX,
        )
    }
}
