//! The second thread: follows the journal, puts its leaves into the tree, signs at most as often as
//! it is told to, and removes segments that are wholly under a checkpoint.
//!
//! It reads the leaves back from the journal's files, so that a tree that cannot be written costs
//! disk and no memory, and so that start-up after a crash is the same path.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::disk::Disk;
use crate::error::WriteFailed;
use crate::frame::{FrameKind, Look, SEGMENT_HEADER, look};
use crate::journal::{Place, segment_name};
use crate::key::Signer;
use crate::limits::PUBLISH_LEAVES_MAX;
use crate::shared::Shared;
use crate::store::{Store, ignore_missing};

/// After a failure, the pause before the next try even when checkpoints have no pause.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Sequencer {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    store: Store,
    signer: Signer,
    /// Where the next frame is read.
    at: (u64, u64),
    oldest_segment: u64,
    /// Whether the journal's bytes are on the medium already when they are committed.
    journal_synced: bool,
}

impl Sequencer {
    pub(crate) fn new(
        root: PathBuf,
        disk: Arc<dyn Disk>,
        store: Store,
        signer: Signer,
        first_segment: u64,
        oldest_segment: u64,
        journal_synced: bool,
    ) -> Self {
        let at = (first_segment, SEGMENT_HEADER as u64);
        Self {
            root,
            disk,
            store,
            signer,
            at,
            oldest_segment,
            journal_synced,
        }
    }

    /// Until the log is closed.
    pub(crate) fn run(mut self, shared: &Shared, every: Duration) {
        let _farewell = Farewell(shared);
        // Opening the log has just signed what there was.
        let mut pause = every;
        loop {
            let (upto, stop) = wait(shared, pause);
            let result = self.publish(upto, shared.oldest_open());
            pause = if result.is_ok() {
                every
            } else {
                every.max(RETRY_AFTER)
            };
            let failed = result.map_err(|error| {
                warn!(%error, "the tree of the audit log cannot be written; records stay in the journal");
                WriteFailed::new(error)
            });
            let done = failed.is_err() || self.store.signed() >= upto.leaf;
            shared.published(self.store.signed(), self.oldest_segment, failed.err());
            if stop && done {
                return;
            }
        }
    }

    /// Bring leaves up to `upto` into the tree, as many as one checkpoint may add, and sign.
    pub(crate) fn publish(&mut self, upto: Place, oldest_open: Option<u64>) -> io::Result<()> {
        if self.store.signed() < upto.leaf {
            self.store.write()?;
            self.sync_journal(upto)?;
            let max = (self.store.signed() + PUBLISH_LEAVES_MAX).min(upto.leaf);
            while self.store.size() < max {
                self.absorb(upto, max)?;
            }
            self.store.seal(&self.signer)?;
        }
        self.remove_segments(upto, oldest_open)
    }

    /// Entries under the newest checkpoint, and the oldest segment that is left.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.store.signed(), self.oldest_segment)
    }

    /// Read one segment's committed frames.
    fn absorb(&mut self, upto: Place, max: u64) -> io::Result<()> {
        let (segment, offset) = self.at;
        let path = self.root.join(segment_name(segment));
        let bytes = read_from(
            &path,
            offset,
            (segment == upto.segment).then_some(upto.offset),
        )?;
        let mut at = 0;
        while let Look::Frame(frame) = look(&bytes, segment, offset, at) {
            if frame.head.kind == FrameKind::Leaf && frame.head.leaf >= self.store.size() {
                if frame.head.leaf > self.store.size() {
                    return Err(damaged(
                        &path,
                        self.at.1,
                        "entries before this place are missing",
                    ));
                }
                self.store.append(frame.payload);
            }
            at += frame.bytes();
            self.at = (segment, offset + at as u64);
            self.store.write()?;
            if self.store.size() >= max {
                return Ok(());
            }
        }
        if segment >= upto.segment {
            return Err(damaged(&path, self.at.1, "no frame where one was written"));
        }
        self.at = (segment + 1, SEGMENT_HEADER as u64);
        Ok(())
    }

    /// The tree must not be ahead of the journal when the machine dies: an answered request would be
    /// taken for an interrupted one.
    fn sync_journal(&self, upto: Place) -> io::Result<()> {
        if self.journal_synced {
            return Ok(());
        }
        for segment in self.at.0..=upto.segment {
            self.disk
                .sync(&File::open(self.root.join(segment_name(segment)))?)?;
        }
        Ok(())
    }

    fn remove_segments(&mut self, upto: Place, oldest_open: Option<u64>) -> io::Result<()> {
        let keep = oldest_open.unwrap_or(upto.segment).min(upto.segment);
        while self.oldest_segment < keep && self.covered(self.oldest_segment)? {
            ignore_missing(fs::remove_file(
                self.root.join(segment_name(self.oldest_segment)),
            ))?;
            self.oldest_segment += 1;
            if self.at.0 < self.oldest_segment {
                self.at = (self.oldest_segment, SEGMENT_HEADER as u64);
            }
        }
        Ok(())
    }

    /// Whether every leaf of a segment is signed: the next one begins at or before the signed size.
    fn covered(&self, segment: u64) -> io::Result<bool> {
        if segment < self.at.0 {
            return Ok(true);
        }
        let mut header = [0; SEGMENT_HEADER];
        File::open(self.root.join(segment_name(segment + 1)))?.read_exact_at(&mut header, 0)?;
        let next = crate::frame::SegmentHeader::decode(&header, segment + 1);
        Ok(next.is_some_and(|next| next.first_leaf <= self.store.signed()))
    }
}

/// Wait for something to do: leaves that are not signed, when the pause is over; or somebody who
/// wants a checkpoint now; or the end.
fn wait(shared: &Shared, pause: Duration) -> (Place, bool) {
    let mut progress = shared.progress();
    let (rested, _) = shared
        .wake_sequencer
        .wait_timeout_while(progress, pause, |progress| {
            !progress.stop && !progress.wanted()
        })
        .unwrap_or_else(PoisonError::into_inner);
    progress = rested;
    while !progress.stop && !progress.wanted() && progress.committed.leaf <= progress.signed {
        progress.sequencer_idle = true;
        progress = shared
            .wake_sequencer
            .wait(progress)
            .unwrap_or_else(PoisonError::into_inner);
    }
    progress.sequencer_idle = false;
    (progress.committed, progress.stop)
}

/// When the thread ends, in whatever way, nobody may go on waiting for it.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        self.0.sequencer_gone();
    }
}

/// The bytes of a file from one place to another, or to its end.
fn read_from(path: &Path, from: u64, to: Option<u64>) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let end = file.metadata()?.len().min(to.unwrap_or(u64::MAX));
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(from)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

fn damaged(path: &Path, at: u64, reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("`{}` is damaged at byte {at}: {reason}", path.display()),
    )
}
