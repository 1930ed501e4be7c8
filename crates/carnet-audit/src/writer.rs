//! The first thread: takes everything that is queued, writes it at once, wakes whoever waits.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::encode;
use crate::error::WriteFailed;
use crate::frame::FRAME_HEADER;
use crate::journal::Journal;
use crate::limits::{
    BATCH_BYTES_MAX, DOZE, HEADROOM_BYTES, INTENT_BYTES_MAX, LEAF_BYTES_MAX, SEGMENTS_MAX,
    SLOT_BYTES,
};
use crate::record::{Intent, Kind, Outcome, Record};
use crate::shared::{Done, Item, Queue, Shared, Writing};

/// What stands in the record of a slot that was given up.
const ABANDONED: &str = "the request ended without telling how";

/// Room that is wanted for this many open requests.
pub(crate) fn room_wanted(max_open: usize) -> u64 {
    max_open as u64 * SLOT_BYTES + HEADROOM_BYTES
}

/// See the module.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    todo: VecDeque<Item>,
    batch: Batch,
    /// Whether the disk is to be asked again although it refused.
    retry: bool,
}

/// What is settled when the waiting batch is written.
#[derive(Default)]
struct Batch {
    waiters: Vec<Done>,
    flushes: Vec<oneshot::Sender<Result<u64, WriteFailed>>>,
    room: u64,
    closed: usize,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        Self {
            shared,
            journal,
            todo: VecDeque::new(),
            batch: Batch::default(),
            retry: false,
        }
    }

    /// Until no handle is left and everything is written.
    pub(crate) fn run(mut self) {
        // Also when this thread dies, nobody may go on waiting or reserving.
        let _farewell = Farewell(self.shared.clone());
        while self.fetch() {
            self.work();
        }
        self.work();
        if self.journal.waiting() > 0 || !self.todo.is_empty() {
            error!(
                waiting = self.todo.len(),
                "the audit log was closed while its last records could not be written"
            );
            return;
        }
        if let Err(error) = self.journal.give_back() {
            warn!(%error, "room that the audit journal did not use could not be given back");
        }
    }

    /// Wait for items; `false` at the end.
    fn fetch(&mut self) -> bool {
        let mut queue = self.shared.queue();
        if !queue.rung && !queue.stop {
            queue.writer = Writing::Dozing;
            let dozing = |queue: &mut Queue| queue.writer == Writing::Dozing && !queue.stop;
            let woken = &self.shared.wake_writer;
            let rested = woken.wait_timeout_while(queue, DOZE, dozing);
            (queue, _) = rested.unwrap_or_else(PoisonError::into_inner);
        }
        while queue.items.is_empty() {
            if queue.stop {
                return false;
            }
            queue.writer = Writing::Asleep;
            let woken = self.shared.wake_writer.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
        queue.writer = Writing::Working;
        queue.rung = false;
        if self.todo.is_empty() {
            mem::swap(&mut self.todo, &mut queue.items);
        } else {
            self.todo.append(&mut queue.items);
        }
        true
    }

    fn work(&mut self) {
        loop {
            // A batch that could not be written is written first, as it was.
            let result = if self.journal.waiting() == 0 {
                self.fill()
            } else {
                Ok(())
            };
            if let Err(failed) = result.and_then(|()| self.journal.commit()) {
                self.fail(&failed);
                return;
            }
            self.settle();
            self.top_up();
            if self.todo.is_empty() {
                return;
            }
        }
    }

    /// Make one batch of what there is to do.
    fn fill(&mut self) -> io::Result<()> {
        while let Some(item) = self.todo.front() {
            if payload_bytes_max(item).is_some_and(|bytes| !self.journal.fits(bytes)) {
                if self.journal.waiting() > 0 {
                    return Ok(());
                }
                self.rotate()?;
            }
            if let Some(item) = self.todo.pop_front() {
                self.take(item);
            }
            if self.journal.waiting() >= BATCH_BYTES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Abandoned { slot, time, room } => {
                let record = self.abandoned(slot, time);
                self.journal
                    .leaf(slot, |into| encode::record(&record, into));
                self.batch.room += room;
                self.batch.closed += 1;
            }
            Item::Document { leaf, room } => {
                self.journal.leaf(0, |into| into.extend_from_slice(&leaf));
                self.batch.room += room;
            }
            Item::Flush(done) => self.batch.flushes.push(done),
            Item::Intent {
                slot,
                bytes,
                room,
                done,
            } => {
                self.journal.intent(slot, bytes);
                self.batch.room += room;
                self.batch.waiters.extend(done);
            }
            Item::Leaf {
                slot,
                record,
                room,
                done,
            } => {
                self.journal
                    .leaf(slot, |into| encode::record(&record, into));
                self.batch.room += room;
                self.batch.closed += 1;
                self.batch.waiters.extend(done);
            }
            Item::Retry => self.retry = true,
        }
    }

    fn abandoned(&self, slot: u64, time: Timestamp) -> Record {
        let intent = self
            .journal
            .open_intent(slot)
            .and_then(|bytes| serde_json::from_slice::<Intent>(bytes).ok());
        match intent {
            Some(intent) => intent.interrupted(ABANDONED),
            None => Record {
                detail: Some(ABANDONED.into()),
                ..Record::new(
                    Kind::Request,
                    format!("slot-{slot}").into(),
                    time,
                    Outcome::Interrupted,
                )
            },
        }
    }

    /// Go on in the next segment, and write open intents again that lie too far back.
    fn rotate(&mut self) -> io::Result<()> {
        if !self.journal.rotate() {
            // Reservations keep a spare; should one be missing nevertheless, the disk decides.
            self.journal.grow(self.journal.room() + 1, u64::MAX)?;
            self.journal.rotate();
        }
        for (slot, bytes) in self.journal.stale() {
            let room = (FRAME_HEADER + bytes.len()) as u64;
            if !self.journal.fits(bytes.len()) || self.shared.reserve_more(room).is_err() {
                return Ok(());
            }
            self.journal.intent(slot, bytes);
            self.batch.room += room;
        }
        Ok(())
    }

    fn settle(&mut self) {
        let batch = mem::take(&mut self.batch);
        {
            let mut queue = self.shared.queue();
            queue.free = self.journal.room();
            queue.reserved = queue.reserved.saturating_sub(batch.room);
            queue.open = queue.open.saturating_sub(batch.closed);
            if mem::take(&mut queue.broken) {
                queue.trouble = None;
            }
        }
        let mut leaf = None;
        if let Some(place) = self.journal.place() {
            leaf = Some(place.leaf);
            self.shared.committed(place, self.journal.oldest_open());
        }
        for done in batch.waiters {
            // Whoever waited may have gone.
            let _ = done.send(Ok(()));
        }
        for done in batch.flushes {
            let _ = done.send(Ok(
                leaf.unwrap_or_else(|| self.shared.progress().committed.leaf)
            ));
        }
    }

    /// Nothing is lost: what was to be written waits, and is tried again with the next item. But
    /// nobody may wait for it, and nobody may begin.
    fn fail(&mut self, failed: &io::Error) {
        warn!(error = %failed, "the journal of the audit log cannot be written");
        {
            let mut queue = self.shared.queue();
            queue.broken = true;
            queue.trouble = Some(failed.to_string());
        }
        let failed = WriteFailed::new(failed);
        for done in self.batch.waiters.drain(..) {
            let _ = done.send(Err(failed.clone()));
        }
        for done in self.batch.flushes.drain(..) {
            let _ = done.send(Err(failed.clone()));
        }
        for item in &mut self.todo {
            if let Item::Intent { done, .. } | Item::Leaf { done, .. } = item
                && let Some(done) = done.take()
            {
                let _ = done.send(Err(failed.clone()));
            }
        }
        let (flushes, todo) = mem::take(&mut self.todo)
            .into_iter()
            .partition(|item| matches!(item, Item::Flush(_)));
        self.todo = todo;
        let flushes: VecDeque<Item> = flushes;
        for item in flushes {
            if let Item::Flush(done) = item {
                let _ = done.send(Err(failed.clone()));
            }
        }
    }

    /// Keep room for as many requests as may be open.
    fn top_up(&mut self) {
        let wanted = room_wanted(self.shared.options.max_open);
        let in_trouble = self.shared.queue().trouble.is_some();
        if in_trouble && !mem::take(&mut self.retry) {
            return;
        }
        if self.journal.room() >= wanted && !in_trouble {
            return;
        }
        let limit = self.shared.progress().oldest_segment + SEGMENTS_MAX;
        let trouble = match self.journal.grow(wanted, limit) {
            Ok(true) => None,
            Ok(false) => Some(format!(
                "{SEGMENTS_MAX} segments of the journal wait for the tree"
            )),
            Err(refused) => Some(refused.to_string()),
        };
        if let Some(trouble) = &trouble {
            warn!(%trouble, "no further room for the audit log");
        }
        let mut queue = self.shared.queue();
        queue.free = self.journal.room();
        queue.trouble = trouble;
    }
}

/// The most that an item's frame can hold, if it has one.
fn payload_bytes_max(item: &Item) -> Option<usize> {
    match item {
        Item::Abandoned { .. } | Item::Leaf { .. } => Some(LEAF_BYTES_MAX),
        Item::Document { leaf, .. } => Some(leaf.len()),
        Item::Intent { .. } => Some(INTENT_BYTES_MAX),
        Item::Flush(_) | Item::Retry => None,
    }
}

struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let items = {
            let mut queue = self.0.queue();
            queue.dead = true;
            mem::take(&mut queue.items)
        };
        // Outside the lock: dropping the senders wakes tasks.
        drop(items);
    }
}
