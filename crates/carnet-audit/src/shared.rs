//! What the handles and the two threads share: the queue with its room, and how far the log has come.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use crate::error::{Full, WriteFailed};
use crate::journal::Place;
use crate::limits::{DOCUMENTS_REMEMBERED_MAX, SLOT_BYTES};
use crate::options::Options;
use crate::record::Record;

/// How often a full disk is asked whether it still is.
const RETRY_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// Where instants come from.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Tells whoever waits how the write went.
pub(crate) type Done = oneshot::Sender<Result<(), WriteFailed>>;

/// One thing for the writer to do. `room` is what was reserved for it.
pub(crate) enum Item {
    /// A slot was given up without a leaf.
    Abandoned {
        slot: u64,
        time: Timestamp,
        room: u64,
    },
    /// A leaf with part of a decision document.
    Document { leaf: Vec<u8>, room: u64 },
    /// Say when everything before this is written, and where the tree will then end.
    Flush(oneshot::Sender<Result<u64, WriteFailed>>),
    Intent {
        slot: u64,
        bytes: Box<[u8]>,
        room: u64,
        done: Option<Done>,
    },
    /// The last word of a slot.
    Leaf {
        slot: u64,
        record: Box<Record>,
        room: u64,
        done: Option<Done>,
    },
    /// Ask the disk again for room.
    Retry,
}

/// The queue, and the room that it may fill.
pub(crate) struct Queue {
    pub(crate) items: VecDeque<Item>,
    /// Whether somebody waits for what is queued.
    pub(crate) rung: bool,
    pub(crate) writer: Writing,
    /// No handle is left.
    pub(crate) stop: bool,
    /// The writer is gone.
    pub(crate) dead: bool,
    /// Slots that have not had their last word written.
    pub(crate) open: usize,
    /// Bytes that can be written to the journal.
    pub(crate) free: u64,
    /// Bytes of these that are promised.
    pub(crate) reserved: u64,
    pub(crate) next_slot: u64,
    /// The last write failed and is to be done again.
    pub(crate) broken: bool,
    /// What the disk said when it refused to write or to give room.
    pub(crate) trouble: Option<String>,
    retry_at: Timestamp,
}

/// What the writer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// It sleeps until it is woken.
    Asleep,
    /// It lets items gather for a moment. Who waits for one wakes it; what nobody waits for need not.
    Dozing,
    /// It will look at the queue again of its own.
    Working,
}

/// How far the log has come.
pub(crate) struct Progress {
    pub(crate) committed: Place,
    pub(crate) signed: u64,
    pub(crate) oldest_open: Option<u64>,
    pub(crate) oldest_segment: u64,
    pub(crate) tree_trouble: Option<String>,
    pub(crate) sequencer_idle: bool,
    pub(crate) stop: bool,
    waiters: Vec<(u64, Done)>,
}

impl Queue {
    pub(crate) fn new(free: u64, next_slot: u64) -> Self {
        Self {
            items: VecDeque::new(),
            rung: false,
            writer: Writing::Working,
            stop: false,
            dead: false,
            open: 0,
            free,
            reserved: 0,
            next_slot,
            broken: false,
            trouble: None,
            retry_at: Timestamp::MIN,
        }
    }
}

impl Progress {
    /// At the start: committed up to here, and from the sequencer what is signed and the oldest segment.
    pub(crate) fn new(committed: Place, (signed, oldest_segment): (u64, u64)) -> Self {
        Self {
            committed,
            signed,
            oldest_open: None,
            oldest_segment,
            tree_trouble: None,
            sequencer_idle: false,
            stop: false,
            waiters: Vec::new(),
        }
    }

    /// Whether somebody waits for a checkpoint.
    pub(crate) fn wanted(&self) -> bool {
        !self.waiters.is_empty()
    }
}

/// See the module.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    pub(crate) wake_writer: Condvar,
    progress: Mutex<Progress>,
    pub(crate) wake_sequencer: Condvar,
    /// Ids of decision documents that are in the log, or before whoever asks in the queue.
    documents: RwLock<HashSet<Arc<str>>>,
    clock: Clock,
    pub(crate) options: Options,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(options: Options, clock: Clock, queue: Queue, progress: Progress) -> Self {
        Self {
            queue: Mutex::new(queue),
            wake_writer: Condvar::new(),
            progress: Mutex::new(progress),
            wake_sequencer: Condvar::new(),
            documents: RwLock::new(HashSet::new()),
            clock,
            options,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    // INVARIANT: neither lock is held over input or output, nor one inside the other.
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn oldest_open(&self) -> Option<u64> {
        self.progress().oldest_open
    }

    /// Room for one intent and one leaf, and the number of the slot that has it.
    pub(crate) fn reserve(&self, now: Timestamp) -> Result<u64, Full> {
        let mut queue = self.queue();
        if queue.stop || queue.dead {
            return Err(Full::Closed);
        }
        self.retry(&mut queue, now);
        if queue.open >= self.options.max_open {
            return Err(Full::Open {
                max: self.options.max_open,
            });
        }
        if queue.broken || queue.free < queue.reserved + SLOT_BYTES {
            let reason = queue
                .trouble
                .clone()
                .unwrap_or_else(|| "the journal is being enlarged".to_owned());
            return Err(Full::Disk { reason });
        }
        queue.open += 1;
        queue.reserved += SLOT_BYTES;
        let slot = queue.next_slot;
        queue.next_slot += 1;
        Ok(slot)
    }

    /// Reserve further room beside that of a slot.
    pub(crate) fn reserve_more(&self, bytes: u64) -> Result<(), Full> {
        let mut queue = self.queue();
        if queue.broken || queue.free < queue.reserved + bytes {
            let reason = queue
                .trouble
                .clone()
                .unwrap_or_else(|| "the journal is being enlarged".to_owned());
            return Err(Full::Disk { reason });
        }
        queue.reserved += bytes;
        Ok(())
    }

    /// Hand items over, in this order and with none between them. Nobody waits for them: they are written soon.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = Item>) {
        let mut queue = self.queue();
        if queue.dead {
            // Whoever waits is told by the dropped sender; what lies in the journal becomes `interrupted`.
            return;
        }
        queue.items.extend(items);
        if queue.writer == Writing::Asleep {
            self.wake(&mut queue);
        }
    }

    /// Hand an item over for which the writer is about to be [rung](Self::ring).
    pub(crate) fn push_waited(&self, item: Item) {
        let mut queue = self.queue();
        if !queue.dead {
            queue.items.push_back(item);
        }
    }

    /// Have everything written that is queued.
    pub(crate) fn ring(&self) {
        let mut queue = self.queue();
        if queue.items.is_empty() {
            return;
        }
        queue.rung = true;
        if queue.writer != Writing::Working {
            self.wake(&mut queue);
        }
    }

    fn wake(&self, queue: &mut Queue) {
        queue.writer = Writing::Working;
        self.wake_writer.notify_one();
    }

    /// In trouble, let the writer ask the disk again, but not all the time.
    pub(crate) fn retry(&self, queue: &mut Queue, now: Timestamp) {
        if queue.trouble.is_none() {
            return;
        }
        // A clock that was set back must not stop the tries.
        let waited = now >= queue.retry_at
            || now
                .saturating_add(RETRY_EVERY)
                .is_ok_and(|latest| latest < queue.retry_at);
        if waited {
            queue.retry_at = now.saturating_add(RETRY_EVERY).unwrap_or(now);
            queue.items.push_back(Item::Retry);
            if queue.writer == Writing::Asleep {
                self.wake(queue);
            }
        }
    }

    /// The writer committed up to here.
    pub(crate) fn committed(&self, place: Place, oldest_open: Option<u64>) {
        let mut progress = self.progress();
        progress.committed = place;
        progress.oldest_open = oldest_open;
        if std::mem::take(&mut progress.sequencer_idle) {
            self.wake_sequencer.notify_one();
        }
    }

    /// The sequencer signed up to here, or failed.
    pub(crate) fn published(&self, signed: u64, oldest_segment: u64, failed: Option<WriteFailed>) {
        let mut progress = self.progress();
        progress.signed = signed;
        progress.oldest_segment = oldest_segment;
        progress.tree_trouble = failed.as_ref().map(|failed| failed.reason.clone());
        let waiters = std::mem::take(&mut progress.waiters);
        for (leaf, done) in waiters {
            if leaf <= signed {
                // Whoever waited may have gone.
                let _ = done.send(Ok(()));
            } else if let Some(failed) = &failed {
                let _ = done.send(Err(failed.clone()));
            } else {
                progress.waiters.push((leaf, done));
            }
        }
    }

    pub(crate) fn sequencer_gone(&self) {
        let mut progress = self.progress();
        progress.stop = true;
        progress.waiters.clear();
    }

    /// Be told when the first `leaf` entries are signed.
    pub(crate) fn when_signed(&self, leaf: u64) -> oneshot::Receiver<Result<(), WriteFailed>> {
        let (done, told) = oneshot::channel();
        let mut progress = self.progress();
        if progress.signed >= leaf {
            let _ = done.send(Ok(()));
        } else if !progress.stop {
            progress.waiters.push((leaf, done));
            self.wake_sequencer.notify_one();
        }
        told
    }

    pub(crate) fn knows_document(&self, id: &str) -> bool {
        self.documents
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(id)
    }

    pub(crate) fn remember_document(&self, id: Arc<str>) {
        let mut documents = self
            .documents
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if documents.len() >= DOCUMENTS_REMEMBERED_MAX {
            documents.clear();
        }
        documents.insert(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        let place = Place {
            segment: 0,
            offset: 0,
            leaf: 0,
        };
        Shared::new(
            Options::default(),
            Box::new(|| Timestamp::UNIX_EPOCH),
            Queue::new(0, 1),
            Progress::new(place, (0, 0)),
        )
    }

    /// What the writer does after something was handed over while it did this, and whether it is to begin at once.
    fn after(before: Writing, hand_over: impl FnOnce(&Shared)) -> (Writing, bool) {
        let shared = shared();
        shared.queue().writer = before;
        hand_over(&shared);
        let queue = shared.queue();
        (queue.writer, queue.rung)
    }

    #[test]
    fn the_writer_is_woken_once_for_what_is_waited_for_and_hardly_for_the_rest() {
        use Writing::{Asleep, Dozing, Working};
        let nobody_waits = |shared: &Shared| shared.push([Item::Retry]);
        assert_eq!(after(Asleep, nobody_waits), (Working, false));
        assert_eq!(after(Dozing, nobody_waits), (Dozing, false));
        assert_eq!(after(Working, nobody_waits), (Working, false));
        for before in [Asleep, Dozing, Working] {
            let others_come = |shared: &Shared| shared.push_waited(Item::Retry);
            assert_eq!(after(before, others_come), (before, false));
            let rung = |shared: &Shared| {
                others_come(shared);
                shared.ring();
            };
            assert_eq!(after(before, rung), (Working, true));
            assert_eq!(after(before, Shared::ring), (before, false));
        }
    }
}
