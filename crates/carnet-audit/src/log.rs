//! The handle by which a server writes its log, and the slot by which one request does.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::warn;

use crate::disk::{Disk, RealDisk};
use crate::encode;
use crate::error::{Full, OpenError, WriteFailed};
use crate::frame::FRAME_HEADER;
use crate::journal::{JOURNAL, Journal, LOCK, Place};
use crate::key::Signer;
use crate::limits::{
    DOCUMENT_BYTES_MAX, INTENT_BYTES_MAX, OPEN_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
    SEGMENTS_MAX, SLOT_BYTES,
};
use crate::record::{Intent, Kind, Outcome, Record};
use crate::replay::{Loss, Replay, replay};
use crate::sequencer::Sequencer;
use crate::shared::{Done, Item, Shared};
use crate::store::Store;
use crate::writer::{Writer, room_wanted};

const INTENT_ROOM: u64 = (FRAME_HEADER + INTENT_BYTES_MAX) as u64;

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

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Entries in the tree.
    pub size: u64,
    /// Records that were in the journal but not yet in the tree.
    pub leaves: u64,
    /// Requests that were open when the last server ended; each has a record now.
    pub interrupted: u64,
    /// End of an unfinished write that was cut off. Nobody was told that it had succeeded.
    pub torn: Option<Loss>,
    /// Damage that was passed over, when `repair` was asked for.
    pub damage: Vec<Loss>,
}

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

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Threads {
    writer: JoinHandle<()>,
    sequencer: JoinHandle<()>,
    /// Its lock says that the log is in use.
    _lock: File,
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
        clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<(Self, Recovered), OpenError> {
        options.check()?;
        let lock = lock(dir)?;
        let key = signer.public_key().map_err(|error| OpenError::Checkpoint {
            file: dir.to_owned(),
            reason: error.to_string(),
        })?;
        let store = Store::load(dir, disk.clone(), &signer, &key)?;
        let tree_size = store.size();
        let found = replay(dir, tree_size, options.repair)?;
        if !found.damage.is_empty() {
            keep_evidence(dir, &found)?;
        }
        let synced = options.durability == Durability::Fsync;
        let mut journal = Journal::new(
            dir,
            disk.clone(),
            options.segment_bytes,
            synced,
            found.start,
        );
        journal
            .grow(room_wanted(options.max_open), u64::MAX)
            .map_err(OpenError::io(&dir.join(JOURNAL)))?;
        let recovered = take_over(&mut journal, &found, tree_size, clock())
            .map_err(OpenError::io(&dir.join(JOURNAL)))?;
        let place = journal.place().unwrap_or(Place {
            segment: found.start.segment,
            offset: 0,
            leaf: found.start.leaf,
        });
        let first = if found.damage.is_empty() {
            found.oldest_segment
        } else {
            found.start.segment
        };
        let mut sequencer = Sequencer::new(
            dir.to_owned(),
            disk,
            store,
            signer,
            first,
            found.oldest_segment,
            synced,
        );
        sequencer.publish(place, None).map_err(OpenError::io(dir))?;
        let (signed, oldest_segment) = sequencer.progress();
        let slot = found.start.slot;
        let shared = Arc::new(Shared::new(
            options,
            clock,
            journal.room(),
            slot,
            (place, signed, oldest_segment),
        ));
        let threads = start(&shared, journal, sequencer, lock).map_err(OpenError::io(dir))?;
        let handle = Handle {
            shared,
            threads: Mutex::new(Some(threads)),
        };
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
        Ok(Slot {
            handle: self.handle.clone(),
            number,
            time,
            room: SLOT_BYTES,
            intended: false,
            done: false,
            document_missing: AtomicBool::new(false),
        })
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
        self.handle.shared.push([Item::Flush(done)]);
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

impl Slot {
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
        self.handle.shared.push([item]);
        told.await.unwrap_or_else(|_| Err(WriteFailed::closed()))
    }

    /// Hand over the record. Never waits and never fails: its room was reserved.
    pub fn leaf(mut self, record: Record) {
        self.hand_over(record, None);
    }

    /// Hand over the record and wait until it is safe.
    ///
    /// # Errors
    ///
    /// When it is not safe yet. It is not lost by that: it waits, and will be written when the disk lets it.
    pub async fn leaf_written(mut self, record: Record) -> Result<(), WriteFailed> {
        let (done, told) = oneshot::channel();
        self.hand_over(record, Some(done));
        drop(self);
        told.await.unwrap_or_else(|_| Err(WriteFailed::closed()))
    }

    fn hand_over(&mut self, record: Record, done: Option<Done>) {
        self.done = true;
        let item = Item::Leaf {
            slot: self.number,
            record: Box::new(record),
            room: self.room,
            done,
        };
        self.handle.shared.push([item]);
    }
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

impl Options {
    fn check(&self) -> Result<(), OpenError> {
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

/// Make the folders and take the lock.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let journal = dir.join(JOURNAL);
    fs::create_dir_all(&journal).map_err(OpenError::io(&journal))?;
    let path = dir.join(LOCK);
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = open.map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path)(error)),
    }
}

/// Write at once what the last server left open.
fn take_over(
    journal: &mut Journal,
    found: &Replay,
    tree_size: u64,
    now: Timestamp,
) -> io::Result<Recovered> {
    let mut push = |slot: u64, payload: &mut dyn FnMut(&mut Vec<u8>)| -> io::Result<()> {
        let mut bytes = Vec::new();
        payload(&mut bytes);
        if !journal.fits(bytes.len()) {
            journal.commit()?;
            journal.grow((2 * FRAME_HEADER + bytes.len()) as u64, u64::MAX)?;
            journal.rotate();
        }
        journal.leaf(slot, |into| into.extend_from_slice(&bytes));
        Ok(())
    };
    for loss in &found.damage {
        let name = loss.file.file_name().unwrap_or_default().to_string_lossy();
        let detail = format!(
            "{} bytes at {} of journal segment {name} could not be read",
            loss.bytes, loss.offset
        );
        let id = format!("damage-{}-{}", name.trim_end_matches(".wal"), loss.offset).into();
        let record = Record::event(Kind::Damage, id, now, &detail);
        push(0, &mut |into| encode::record(&record, into))?;
    }
    for leaf in &found.salvage {
        push(0, &mut |into| into.extend_from_slice(leaf))?;
    }
    for (slot, intent) in &found.open {
        let record = interrupted(*slot, intent, now);
        push(*slot, &mut |into| encode::record(&record, into))?;
    }
    journal.commit()?;
    let leaves = found.leaves_after(tree_size);
    let interrupted = found.open.len() as u64;
    if let Some(torn) = &found.torn {
        warn!(file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes, "cut an unfinished write off the audit journal");
    }
    Ok(Recovered {
        size: tree_size + leaves + interrupted + found.damage.len() as u64,
        leaves,
        interrupted,
        torn: found.torn.clone(),
        damage: found.damage.clone(),
    })
}

fn interrupted(slot: u64, intent: &[u8], now: Timestamp) -> Record {
    const DETAIL: &str = "the server ended before the request did";
    match serde_json::from_slice::<Intent>(intent) {
        Ok(intent) => intent.interrupted(DETAIL),
        // Written by a newer program: all that is known is that there was one.
        Err(_) => Record {
            detail: Some(DETAIL.into()),
            ..Record::new(
                Kind::Request,
                format!("slot-{slot}").into(),
                now,
                Outcome::Interrupted,
            )
        },
    }
}

/// Copy the journal as it was found beside the audit folder.
fn keep_evidence(dir: &Path, found: &Replay) -> Result<(), OpenError> {
    let beside: PathBuf = dir.with_extension("damaged");
    fs::create_dir_all(&beside).map_err(OpenError::io(&beside))?;
    for loss in &found.damage {
        let copy = beside.join(loss.file.file_name().unwrap_or_default());
        fs::copy(&loss.file, &copy).map_err(OpenError::io(&copy))?;
    }
    Ok(())
}

fn start(
    shared: &Arc<Shared>,
    journal: Journal,
    sequencer: Sequencer,
    lock: File,
) -> io::Result<Threads> {
    let writer = Writer::new(shared.clone(), journal);
    let every = shared.options.checkpoint_every;
    let for_sequencer = shared.clone();
    let sequencer = thread::Builder::new()
        .name("audit-tree".to_owned())
        .spawn(move || sequencer.run(&for_sequencer, every))?;
    let writer = thread::Builder::new()
        .name("audit-journal".to_owned())
        .spawn(move || writer.run())?;
    Ok(Threads {
        writer,
        sequencer,
        _lock: lock,
    })
}
