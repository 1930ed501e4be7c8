//! Open a log: lock it, read tree and journal, and bring in order what the last server left.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::disk::Disk;
use crate::encode;
use crate::error::OpenError;
use crate::frame::FRAME_HEADER;
use crate::journal::{JOURNAL, Journal, LOCK, Place};
use crate::key::Signer;
use crate::log::{Handle, Threads};
use crate::options::{Durability, Options};
use crate::record::{Intent, Kind, Outcome, Record};
use crate::replay::{Loss, Replay, replay};
use crate::sequencer::Sequencer;
use crate::shared::{Clock, Progress, Queue, Shared};
use crate::store::Store;
use crate::writer::{Writer, room_wanted};

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

/// See the module. Returns the running threads behind one handle.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    signer: Signer,
    options: Options,
    clock: Clock,
) -> Result<(Handle, Recovered), OpenError> {
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
    let in_journal = || OpenError::io(&dir.join(JOURNAL));
    let synced = options.durability == Durability::Fsync;
    let mut journal = Journal::new(
        dir,
        disk.clone(),
        options.segment_bytes,
        synced,
        found.start,
    );
    let recovered = take_over(&mut journal, &found, tree_size, clock()).map_err(in_journal())?;
    journal
        .grow(room_wanted(options.max_open), u64::MAX)
        .map_err(in_journal())?;
    let place = journal.place().unwrap_or(Place {
        segment: found.start.segment,
        offset: 0,
        leaf: found.start.leaf,
    });
    // Leaves out of a damaged journal were written again; it is not read a second time.
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
    let progress = Progress::new(place, sequencer.progress());
    let queue = Queue::new(journal.room(), found.start.slot);
    let shared = Arc::new(Shared::new(options, clock, queue, progress));
    let threads = start(&shared, journal, sequencer, lock).map_err(OpenError::io(dir))?;
    Ok((Handle::new(shared, threads), recovered))
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
    let mut tries = 0;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // `verify` tries the lock for an instant to see whether a server runs.
            Err(TryLockError::WouldBlock) if tries < 5 => {
                tries += 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    dir: dir.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&path)(error)),
        }
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
