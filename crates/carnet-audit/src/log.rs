//! The handle by which a server writes its log.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::warn;

use crate::disk::{Disk, RealDisk};
use crate::error::{Full, OpenError, WriteFailed};
use crate::key::Signer;
use crate::open::{self, Recovered};
use crate::options::Options;
use crate::shared::{Clock, Item, Shared};
use crate::slot::Slot;

/// How a log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// Entries, signed or not.
    pub size: u64,
    /// Entries under the newest checkpoint.
    pub checkpoint_size: u64,
    /// Entries that wait for the next one.
    pub pending: u64,
    /// Requests that are open.
    pub open: usize,
    /// Why no further request is taken, if none is.
    pub full: Option<String>,
    /// Why the tree cannot be written, if it cannot; records are safe in the journal meanwhile.
    pub tree_trouble: Option<String>,
    /// Bytes of the journal that are free and not promised.
    pub free_bytes: u64,
}
/// A log that is being written. Clones write the same log; it closes when the last one and the last slot are gone.
#[derive(Clone, Debug)]
pub struct Log {
    handle: Arc<Handle>,
}
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) writer: JoinHandle<()>,
    pub(crate) sequencer: JoinHandle<()>,
    /// Its lock says that the log is in use.
    pub(crate) _lock: File,
}
impl Log {
    /// Open the log in `dir`, or begin one there, and bring it in order: what the journal has and the tree lacks is
    /// added, and every request that was open gets a record that says so.
    ///
    /// # Errors
    ///
    /// When the log is in use, damaged, or signed with another key, or the disk refuses. Nothing is dropped silently.
    pub fn open(
        dir: &Path,
        signer: Signer,
        options: Options,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<(Self, Recovered), OpenError> {
        Self::open_on(Arc::new(RealDisk), dir, signer, options, Box::new(clock))
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        signer: Signer,
        options: Options,
        clock: Clock,
    ) -> Result<(Self, Recovered), OpenError> {
        let (handle, recovered) = open::open(disk, dir, signer, options, clock)?;
        Ok((
            Self {
                handle: Arc::new(handle),
            },
            recovered,
        ))
    }

    /// Reserve room for one request. Without it the request must not be sent.
    ///
    /// # Errors
    ///
    /// When there is no room. Asking again later may succeed.
    pub fn reserve(&self) -> Result<Slot, Full> {
        let shared = &self.handle.shared;
        let time = shared.now();
        let number = shared.reserve(time)?;
        Ok(Slot::new(self.handle.clone(), number, time))
    }

    /// How the log stands. While it is full, asking also makes it try the disk again.
    #[must_use]
    pub fn status(&self) -> LogStatus {
        let shared = &self.handle.shared;
        let now = shared.now();
        let (full, open, free_bytes) = {
            let mut queue = shared.queue();
            shared.retry(&mut queue, now);
            let dead = queue.dead.then(|| Full::Closed.to_string());
            (
                dead.or_else(|| queue.trouble.clone()),
                queue.open,
                queue.free.saturating_sub(queue.reserved),
            )
        };
        let progress = shared.progress();
        LogStatus {
            size: progress.committed.leaf,
            checkpoint_size: progress.signed,
            pending: progress.committed.leaf.saturating_sub(progress.signed),
            open,
            full,
            tree_trouble: progress.tree_trouble.clone(),
            free_bytes,
        }
    }

    /// Wait until everything handed over so far is written and signed.
    ///
    /// # Errors
    ///
    /// When it cannot be. It is not lost by that: it will be tried again.
    pub async fn checkpoint(&self) -> Result<(), WriteFailed> {
        let (done, told) = oneshot::channel();
        self.handle.shared.push_waited(Item::Flush(done));
        self.handle.shared.ring();
        let leaf = told.await.map_err(|_| WriteFailed::closed())??;
        self.handle
            .shared
            .when_signed(leaf)
            .await
            .map_err(|_| WriteFailed::closed())?
    }

    /// Write and sign what there is, and end. A slot that is still open keeps the log open until it is gone.
    ///
    /// # Errors
    ///
    /// When not everything could be written.
    pub async fn close(self) -> Result<(), WriteFailed> {
        self.checkpoint().await
    }
}
impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, threads: Threads) -> Self {
        Self {
            shared,
            threads: Mutex::new(Some(threads)),
        }
    }
}

impl Drop for Handle {
    /// Ends the threads; waits for what they still write.
    fn drop(&mut self) {
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(threads) = threads.take() else {
            return;
        };
        self.shared.queue().stop = true;
        self.shared.wake_writer.notify_one();
        let writer = threads.writer.join();
        self.shared.progress().stop = true;
        self.shared.wake_sequencer.notify_one();
        let sequencer = threads.sequencer.join();
        if writer.is_err() || sequencer.is_err() {
            warn!(
                "a thread of the audit log died; what it had not written will be recovered at the next start"
            );
        }
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
