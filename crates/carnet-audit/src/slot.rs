//! What one request writes by: room for its intents and its one record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::warn;

use crate::encode;
use crate::error::WriteFailed;
use crate::frame::FRAME_HEADER;
use crate::limits::{DOCUMENT_BYTES_MAX, INTENT_BYTES_MAX, SLOT_BYTES};
use crate::log::Handle;
use crate::record::{Intent, Record};
use crate::shared::{Done, Item, Shared};

const INTENT_ROOM: u64 = (FRAME_HEADER + INTENT_BYTES_MAX) as u64;

/// Room for one request: its intents and its one record. Given up without a record, it writes one itself.
#[derive(Debug)]
pub struct Slot {
    handle: Arc<Handle>,
    number: u64,
    time: Timestamp,
    /// What is still reserved.
    room: u64,
    intended: bool,
    done: bool,
    document_missing: AtomicBool,
}
impl Slot {
    /// The slot of this number, for which room is reserved.
    pub(crate) fn new(handle: Arc<Handle>, number: u64, time: Timestamp) -> Self {
        Self {
            handle,
            number,
            time,
            room: SLOT_BYTES,
            intended: false,
            done: false,
            document_missing: AtomicBool::new(false),
        }
    }

    /// Put the decision document into the log, once for each `id`, before the records that name it. `id` is `sha256:`
    /// and the digest of `json`. Never waits; if there is no room, [`intent`](Self::intent) will fail.
    pub fn decision(&self, id: &str, json: &str) {
        let shared = &self.handle.shared;
        if shared.knows_document(id) {
            return;
        }
        if json.len() > DOCUMENT_BYTES_MAX {
            warn!(
                id,
                bytes = json.len(),
                "a decision document is too long to be logged"
            );
            return;
        }
        let id: Arc<str> = id.into();
        let leaves = encode::document(&id, json);
        let room = leaves
            .iter()
            .map(|leaf| (FRAME_HEADER + leaf.len()) as u64)
            .sum();
        if shared.reserve_more(room).is_err() {
            self.document_missing.store(true, Ordering::Relaxed);
            return;
        }
        shared.push(leaves.into_iter().map(|leaf| Item::Document {
            room: (FRAME_HEADER + leaf.len()) as u64,
            leaf,
        }));
        // Only now: whoever finds it remembered queues his record behind it.
        shared.remember_document(id);
    }

    /// Write what is about to be sent, and wait until that is safe. Once for each attempt.
    ///
    /// # Errors
    ///
    /// When it is not safe. Then nothing may be sent.
    pub async fn intent(&mut self, intent: &Intent) -> Result<(), WriteFailed> {
        if self.document_missing.load(Ordering::Relaxed) {
            return Err(WriteFailed::new(
                "there was no room for the decision document",
            ));
        }
        let room = if self.intended {
            self.handle
                .shared
                .reserve_more(INTENT_ROOM)
                .map_err(WriteFailed::new)?;
            INTENT_ROOM
        } else {
            self.intended = true;
            self.room -= INTENT_ROOM;
            INTENT_ROOM
        };
        let mut bytes = Vec::with_capacity(512);
        encode::intent(intent, &mut bytes);
        let (done, told) = oneshot::channel();
        let item = Item::Intent {
            slot: self.number,
            bytes: bytes.into(),
            room,
            done: Some(done),
        };
        self.handle.shared.push_waited(item);
        ring_with_others(&self.handle.shared).await;
        told.await.unwrap_or_else(|_| Err(WriteFailed::closed()))
    }

    /// Hand over the record. Never waits and never fails: its room was reserved.
    pub fn leaf(mut self, record: impl Into<Box<Record>>) {
        self.hand_over(record.into(), None);
    }

    /// Hand over the record and wait until it is safe.
    ///
    /// # Errors
    ///
    /// When it is not safe yet. It is not lost by that: it waits, and will be written when the disk lets it.
    pub async fn leaf_written(mut self, record: impl Into<Box<Record>>) -> Result<(), WriteFailed> {
        let (done, told) = oneshot::channel();
        self.hand_over(record.into(), Some(done));
        ring_with_others(&self.handle.shared).await;
        drop(self);
        told.await.unwrap_or_else(|_| Err(WriteFailed::closed()))
    }

    fn hand_over(&mut self, record: Box<Record>, done: Option<Done>) {
        self.done = true;
        let item = Item::Leaf {
            slot: self.number,
            record,
            room: self.room,
            done,
        };
        self.handle.shared.push([item]);
    }
}

/// Wake the writer for what is queued, behind the other tasks that are about to queue something: one that is woken for
/// each costs more than the writing.
async fn ring_with_others(shared: &Shared) {
    tokio::task::yield_now().await;
    shared.ring();
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.done {
            let item = Item::Abandoned {
                slot: self.number,
                time: self.time,
                room: self.room,
            };
            self.handle.shared.push([item]);
        }
    }
}
