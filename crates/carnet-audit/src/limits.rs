//! Every bound of this crate, with its reason beside it.

use std::time::Duration;

use crate::frame::FRAME_HEADER;

/// Records that nobody waits for are written after this time at the latest, together with what else has come: under load
/// the writer is woken for what is waited for alone.
pub(crate) const DOZE: Duration = Duration::from_micros(500);

/// An intent names who asks for what, where to and by which rules; real ones take about 400 bytes.
pub const INTENT_BYTES_MAX: usize = 2048;
/// A record with several attempts takes about 1.5 KB; a longer one is clipped and says so.
pub const LEAF_BYTES_MAX: usize = 6912;
/// A decision over many candidates takes tens of kilobytes; beyond this the document is not kept.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// A decision document is logged in parts of at most this many escaped bytes, since an entry of
/// the tree has a 16-bit length.
pub const PART_BYTES_MAX: usize = 32 * 1024;
/// The longest leaf: a document part with its envelope.
pub(crate) const PAYLOAD_BYTES_MAX: usize = PART_BYTES_MAX + 512;
/// The longest frame; room for one is kept free at the end of each segment.
pub(crate) const FRAME_BYTES_MAX: usize = FRAME_HEADER + PAYLOAD_BYTES_MAX;
/// What one open request may still write: one intent and one leaf.
pub(crate) const SLOT_BYTES: u64 = (2 * FRAME_HEADER + INTENT_BYTES_MAX + LEAF_BYTES_MAX) as u64;
/// A group commit ends here, so that waiters are woken and room is topped up in time.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Room beyond the open requests': one batch and one large decision document.
pub(crate) const HEADROOM_BYTES: u64 = (BATCH_BYTES_MAX + 2 * DOCUMENT_BYTES_MAX) as u64;
/// The smallest segment: its header, a frame of the largest kind and some room.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// A segment is read whole when the journal is replayed or verified, so this bounds memory.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// A tree that cannot follow must not let the journal eat the disk: 4 GiB at the default size.
pub(crate) const SEGMENTS_MAX: u64 = 512;
/// An intent that stays open longer than this many segments is written again in a newer one, so
/// that one long answer does not keep every segment since its start.
pub(crate) const CARRY_AFTER_SEGMENTS: u64 = 4;
/// Leaves that one checkpoint adds at most: bounds the work between two checkpoints, and the search
/// for superseded tiles after a crash.
pub(crate) const PUBLISH_LEAVES_MAX: u64 = 1024 * 256;
/// Decision documents that are remembered as logged; then the memory is emptied, and a document may
/// be logged a second time.
pub(crate) const DOCUMENTS_REMEMBERED_MAX: usize = 65_536;
/// Open requests that one log can be asked to keep room for: 8 GB of journal.
pub(crate) const OPEN_MAX: usize = 1_000_000;
/// A checkpoint is three short lines and its signatures.
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;
/// Problems that a report lists; more are only counted.
pub(crate) const PROBLEMS_MAX: usize = 1000;
