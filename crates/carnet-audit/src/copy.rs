//! Copy a log, also one that a server writes meanwhile: what the copy's checkpoint names is in the copy, and its
//! journal goes on from there.
//!
//! The order makes it so. Segments of the journal are opened first: a server may remove their names, but not what is
//! open. Then the checkpoint is read with the partial tiles that it needs, which are soon superseded. Then the journal is
//! read from the newest segment back: so the tree of the copy is never ahead of its journal, and no request that has its
//! record there is taken for an interrupted one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tlog_tiles::{Hash, record_hash};

use crate::error::ReadError;
use crate::frame::SegmentHeader;
use crate::journal::{JOURNAL, segment_name};
use crate::key::PublicKey;
use crate::limits::CHECKPOINT_BYTES_MAX;
use crate::replay::segments;
use crate::scan::{Ending, scan};
use crate::store::read_bounded;
use crate::tiles::{CHECKPOINT, TileKind, TileName, edge_of, entries, partial_tiles};
use crate::tree::{Edge, tile_hashes};
use crate::verify::server_runs;

/// How often something that a server has just changed is read again.
const TRIES: usize = 250;
/// Pause before that.
const PAUSE: Duration = Duration::from_millis(20);

/// What is in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Entries under its checkpoint.
    pub size: u64,
    /// Segments of its journal.
    pub segments: usize,
}

/// Copy the log in `dir` into the folder `to`, which is made. Full tiles never change, so they are linked where the file
/// system can do that.
///
/// # Errors
///
/// When the log is damaged, is not signed by this key, or cannot be read.
pub fn copy(dir: &Path, key: &PublicKey, to: &Path) -> Result<Copied, ReadError> {
    let source = Source { dir, key };
    let (head, journal) = source.consistent()?;
    let target = |name: &str| -> Result<PathBuf, ReadError> {
        let path = to.join(name);
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(ReadError::io(folder))?;
        Ok(path)
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = target(name)?;
        fs::write(&path, bytes).map_err(ReadError::io(&path))
    };
    for kind in std::iter::once(TileKind::Entries).chain((0..8).map(TileKind::Hashes)) {
        let (full, _) = edge_of(kind, head.size);
        for n in 0..full {
            let name = TileName::full(kind, n).to_string();
            let (from, to) = (dir.join(&name), target(&name)?);
            fs::hard_link(&from, &to)
                .or_else(|_| fs::copy(&from, &to).map(drop))
                .map_err(ReadError::io(&from))?;
        }
    }
    for (name, bytes) in &head.partial {
        write(name, bytes)?;
    }
    fs::create_dir_all(to.join(JOURNAL)).map_err(ReadError::io(to))?;
    let mut segments = 0;
    for (number, held) in &journal.older {
        let bytes = source.older(*number, held)?;
        write(&segment_name(*number), &bytes)?;
        segments += 1;
    }
    if let Some((number, bytes)) = &journal.newest {
        write(&segment_name(*number), bytes)?;
        segments += 1;
    }
    // Last, as a log is written: whoever finds it finds all that it names.
    write(CHECKPOINT, &head.checkpoint)?;
    Ok(Copied {
        size: head.size,
        segments,
    })
}

/// Look at a log's edge alone, also of one that a server writes: that its checkpoint is signed by this key and fits to the
/// newest tiles and entries, and that the journal goes on from there. Takes the same time for every size; what is further
/// back is for [`verify`](crate::verify()). Returns the entries under the checkpoint.
///
/// # Errors
///
/// When something of that is not so, or cannot be read.
pub fn check_edge(dir: &Path, key: &PublicKey) -> Result<u64, ReadError> {
    let (head, _) = Source { dir, key }.consistent()?;
    let damaged = |file: PathBuf, reason: &str| ReadError::Damaged {
        file,
        reason: reason.to_owned(),
    };
    let mut levels = vec![Vec::new(); 8];
    let mut bundle = Vec::new();
    for (name, bytes) in &head.partial {
        let file = || dir.join(name);
        let Some(TileName { kind, width, .. }) = TileName::parse(name) else {
            continue;
        };
        match kind {
            TileKind::Entries => {
                let found = entries(bytes, width)
                    .ok_or_else(|| damaged(file(), "not a bundle of this many entries"))?;
                bundle.extend(found.into_iter().map(record_hash));
            }
            TileKind::Hashes(level) => {
                let found = tile_hashes(bytes, width)
                    .ok_or_else(|| damaged(file(), "not a tile of this width"))?;
                if let Some(level) = levels.get_mut(usize::from(level)) {
                    level.extend(found);
                }
            }
        }
    }
    let file = dir.join(CHECKPOINT);
    if levels.first().is_none_or(|level| *level != bundle) {
        return Err(damaged(
            file,
            "the newest entries do not have the hashes in their tile",
        ));
    }
    if Edge::from_tiles(head.size, levels).root() != head.root {
        return Err(damaged(
            file,
            "the root that it signs is not that of the tiles at the edge",
        ));
    }
    Ok(head.size)
}

/// A checkpoint with the tiles at the edge of its tree.
struct Head {
    checkpoint: Vec<u8>,
    size: u64,
    root: Hash,
    partial: Vec<(String, Vec<u8>)>,
}

/// The segments that continue a tree, each one after the other.
#[derive(Default)]
struct Journal {
    /// They do not change any more.
    older: BTreeMap<u64, File>,
    /// As far as it was written.
    newest: Option<(u64, Vec<u8>)>,
}

struct Source<'a> {
    dir: &'a Path,
    key: &'a PublicKey,
}

impl Source<'_> {
    /// Tree and journal that fit to each other.
    fn consistent(&self) -> Result<(Head, Journal), ReadError> {
        let mut tries = 0;
        loop {
            let mut held = BTreeMap::new();
            self.hold(&mut held)?;
            let head = self.head()?;
            self.hold(&mut held)?;
            let journal = self.journal(held)?;
            let Some((file, first)) = self.first(&journal)? else {
                return Ok((head, journal));
            };
            if first <= head.size {
                return Ok((head, journal));
            }
            tries += 1;
            if tries > TRIES || !server_runs(self.dir) {
                let expected = head.size;
                let reason =
                    format!("begins at entry {first}, but the tree ends before entry {expected}");
                return Err(ReadError::Damaged { file, reason });
            }
        }
    }

    /// Open all segments that are there and not open yet.
    fn hold(&self, held: &mut BTreeMap<u64, File>) -> Result<(), ReadError> {
        let folder = self.dir.join(JOURNAL);
        let numbers = match segments(self.dir) {
            Ok(numbers) => numbers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ReadError::io(&folder)(error)),
        };
        for number in numbers {
            if held.contains_key(&number) {
                continue;
            }
            let path = self.dir.join(segment_name(number));
            match File::open(&path) {
                Ok(file) => {
                    held.insert(number, file);
                }
                // All of it was under a checkpoint.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ReadError::io(&path)(error)),
            }
        }
        Ok(())
    }

    /// The checkpoint and what it needs at the edge, both of one instant.
    fn head(&self) -> Result<Head, ReadError> {
        let file = self.dir.join(CHECKPOINT);
        let mut tries = 0;
        loop {
            let checkpoint =
                read_bounded(&file, CHECKPOINT_BYTES_MAX).map_err(ReadError::io(&file))?;
            let opened = self.key.open(&checkpoint).map_err(|error| {
                let (file, reason) = (file.clone(), error.to_string());
                ReadError::Damaged { file, reason }
            })?;
            let size = opened.size();
            let missing = match self.partial(size)? {
                Ok(partial) => {
                    return Ok(Head {
                        checkpoint,
                        size,
                        root: *opened.hash(),
                        partial,
                    });
                }
                Err(missing) => missing,
            };
            // A server takes superseded tiles away once the next checkpoint is there.
            tries += 1;
            if tries > TRIES || !server_runs(self.dir) {
                return Err(ReadError::Damaged {
                    file: missing,
                    reason: "missing, though the checkpoint needs it".to_owned(),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    /// The partial tiles of a tree of this size, or the first one that is not there.
    #[expect(
        clippy::type_complexity,
        reason = "what is read, what is missing, and what failed"
    )]
    fn partial(&self, size: u64) -> Result<Result<Vec<(String, Vec<u8>)>, PathBuf>, ReadError> {
        let mut partial = Vec::new();
        for name in partial_tiles(size) {
            let name = name.to_string();
            let path = self.dir.join(&name);
            match fs::read(&path) {
                Ok(bytes) => partial.push((name, bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(path)),
                Err(error) => return Err(ReadError::io(&path)(error)),
            }
        }
        Ok(Ok(partial))
    }

    /// What the open segments hold: the newest that is in use, and those before it without a gap.
    fn journal(&self, mut held: BTreeMap<u64, File>) -> Result<Journal, ReadError> {
        let mut journal = Journal::default();
        while let Some((number, file)) = held.pop_last() {
            let bytes = self.newest(number, &file)?;
            if !bytes.is_empty() {
                journal.newest = Some((number, bytes));
                break;
            }
        }
        let Some((newest, _)) = &journal.newest else {
            return Ok(journal);
        };
        let mut next = *newest;
        while let Some((number, file)) = held.pop_last() {
            if number + 1 != next {
                // Those before the gap were removed while this was being read.
                break;
            }
            next = number;
            journal.older.insert(number, file);
        }
        Ok(journal)
    }

    /// The segment that a server may be writing, up to the last frame that is whole.
    fn newest(&self, number: u64, file: &File) -> Result<Vec<u8>, ReadError> {
        let mut tries = 0;
        loop {
            let mut bytes = self.read(number, file)?;
            let found = scan(&bytes, number, None, false, |_, _| {});
            let (end, ending) = (found.end, found.ending);
            let running = server_runs(self.dir);
            let unfinished = matches!(ending, Ending::Damaged(_) | Ending::Torn);
            if unfinished && running && tries < TRIES {
                tries += 1;
                thread::sleep(PAUSE);
                continue;
            }
            match ending {
                Ending::Damaged(reason) => return Err(self.damaged(number, end, reason)),
                // Nobody was told that the rest had been written.
                Ending::Clean | Ending::Spare | Ending::Torn => bytes.truncate(end),
            }
            return Ok(bytes);
        }
    }

    /// A segment behind which another one is in use.
    fn older(&self, number: u64, file: &File) -> Result<Vec<u8>, ReadError> {
        let mut bytes = self.read(number, file)?;
        let found = scan(&bytes, number, None, false, |_, _| {});
        match found.ending {
            Ending::Clean => bytes.truncate(found.end),
            Ending::Damaged(reason) => return Err(self.damaged(number, found.end, reason)),
            Ending::Spare | Ending::Torn => {
                return Err(self.damaged(number, found.end, "a later segment follows"));
            }
        }
        Ok(bytes)
    }

    /// Place in the tree at which the journal begins, and the file that says so.
    fn first(&self, journal: &Journal) -> Result<Option<(PathBuf, u64)>, ReadError> {
        let (number, bytes) = match (journal.older.first_key_value(), &journal.newest) {
            (Some((number, file)), _) => (*number, self.read(*number, file)?),
            (None, Some((number, bytes))) => (*number, bytes.clone()),
            (None, None) => return Ok(None),
        };
        let Some(header) = SegmentHeader::decode(&bytes, number) else {
            return Err(self.damaged(number, 0, "no header"));
        };
        Ok(Some((
            self.dir.join(segment_name(number)),
            header.first_leaf,
        )))
    }

    fn read(&self, number: u64, mut file: &File) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        let read = file
            .rewind()
            .and_then(|()| file.read_to_end(&mut bytes).map(drop));
        read.map_err(ReadError::io(&self.dir.join(segment_name(number))))?;
        Ok(bytes)
    }

    fn damaged(&self, number: u64, at: usize, reason: &str) -> ReadError {
        ReadError::Damaged {
            file: self.dir.join(segment_name(number)),
            reason: format!("damaged at byte {at}: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tempfile::TempDir;

    use super::*;
    use crate::testing::{assert_verifies, block_on, key, open, open_with, small_segments, write};
    use crate::{Leaf, Options, Outcome, Reader, Signer};

    /// Ids of requests with how they ended, each as often as it is there.
    fn requests(dir: &Path) -> Vec<(String, Outcome)> {
        let entries = Reader::open(dir).unwrap();
        let of = |leaf| match leaf {
            Leaf::Record(record) => Some((record.id.to_string(), record.outcome)),
            Leaf::Document(_) => None,
        };
        entries
            .newest()
            .filter_map(|entry| of(entry.unwrap().leaf))
            .collect()
    }

    #[test]
    fn a_copy_verifies_is_read_and_goes_on() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("copy"));
        let (log, _) = open(&from);
        for number in 0..600 {
            write(&log, &format!("r-{number}"));
            if number == 299 {
                block_on(log.checkpoint()).unwrap();
            }
        }
        let running = copy(&from, &key(), &to).unwrap();
        assert_eq!(running.size, 300);
        let report = assert_verifies(&to);
        assert_eq!((report.size, report.pending), (300, 300));
        drop(log);
        let (log, recovered) = open(&to);
        assert_eq!((recovered.size, recovered.interrupted), (600, 0));
        write(&log, "r-600");
        drop(log);
        assert_eq!(requests(&to).len(), 601);
        assert_eq!(
            assert_verifies(&from).size,
            600,
            "the log itself is untouched"
        );
        let closed = copy(&from, &key(), &folder.path().join("closed")).unwrap();
        assert_eq!(closed.size, 600);
        assert_verifies(&folder.path().join("closed"));
    }

    #[test]
    fn a_request_that_is_open_is_an_interrupted_one_of_the_copy() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("copy"));
        let (log, _) = open(&from);
        let mut slot = log.reserve().unwrap();
        block_on(slot.intent(&crate::testing::intent("r-open"))).unwrap();
        copy(&from, &key(), &to).unwrap();
        let (copied, recovered) = open(&to);
        assert_eq!(recovered.interrupted, 1);
        drop(copied);
        assert_eq!(requests(&to), [("r-open".to_owned(), Outcome::Interrupted)]);
    }

    #[test]
    fn an_empty_log_is_copied_and_a_strange_or_broken_one_is_not() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("copy"));
        let (log, _) = open(&from);
        let copied = copy(&from, &key(), &to).unwrap();
        assert_eq!((copied.size, copied.segments), (0, 0));
        assert_verifies(&to);
        for number in 0..3 {
            write(&log, &format!("r-{number}"));
        }
        drop(log);
        let other = Signer::new("carnet.test/log", &[1; 32]).unwrap();
        let refused = |key: &PublicKey| {
            copy(&from, key, &folder.path().join("refused"))
                .unwrap_err()
                .to_string()
        };
        let error = refused(&other.public_key().unwrap());
        assert!(error.ends_with("not signed by this key"), "{error}");
        let tile = from.join("tile/entries/000.p/3");
        let kept = fs::read(&tile).unwrap();
        fs::remove_file(&tile).unwrap();
        let error = refused(&key());
        assert!(error.contains("000.p/3`: missing"), "{error}");
        fs::write(&tile, kept).unwrap();
        let segment = from.join(segment_name(0));
        let mut bytes = fs::read(&segment).unwrap();
        bytes[100] ^= 1;
        fs::write(&segment, bytes).unwrap();
        let error = refused(&key());
        assert!(error.contains("damaged at byte"), "{error}");
    }

    #[test]
    fn the_edge_is_looked_at_alone() {
        let folder = TempDir::new().unwrap();
        let (log, _) = open(folder.path());
        assert_eq!(check_edge(folder.path(), &key()).unwrap(), 0);
        for number in 0..300 {
            write(&log, &format!("r-{number}"));
        }
        assert_eq!(check_edge(folder.path(), &key()).unwrap(), 0);
        block_on(log.checkpoint()).unwrap();
        assert_eq!(check_edge(folder.path(), &key()).unwrap(), 300);
        drop(log);
        let changed = |name: &str| {
            let file = folder.path().join(name);
            let kept = fs::read(&file).unwrap();
            let mut bytes = kept.clone();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&file, bytes).unwrap();
            let found = check_edge(folder.path(), &key());
            fs::write(&file, kept).unwrap();
            found
        };
        for name in ["tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"] {
            assert!(changed(name).is_err(), "{name}");
        }
        assert!(changed("tile/0/000").is_ok(), "that is further back");
        let other = Signer::new("carnet.test/log", &[1; 32]).unwrap();
        assert!(check_edge(folder.path(), &other.public_key().unwrap()).is_err());
    }

    /// Copies of a log that is written as fast as it goes, with segments that come and go.
    #[test]
    fn each_copy_of_a_log_at_work_is_whole() {
        const TASKS: usize = 3;
        const RECORDS: u64 = 800;
        let folder = TempDir::new().unwrap();
        let from = folder.path().join("log");
        let options = Options {
            checkpoint_every: Duration::from_millis(1),
            max_open: 8,
            ..small_segments()
        };
        let (log, _) = open_with(&from, options.clone()).unwrap();
        let written = [const { AtomicU64::new(0) }; TASKS];
        thread::scope(|scope| {
            for (task, written) in written.iter().enumerate() {
                let log = log.clone();
                scope.spawn(move || {
                    for number in 0..RECORDS {
                        write(&log, &format!("{task}-{number}"));
                        written.store(number + 1, Ordering::SeqCst);
                    }
                });
            }
            for round in 0.. {
                let to = folder.path().join(format!("copy-{round}"));
                let before: Vec<u64> = written.iter().map(|n| n.load(Ordering::SeqCst)).collect();
                copy(&from, &key(), &to).unwrap();
                assert_verifies(&to);
                drop(open_with(&to, options.clone()).unwrap());
                let all = requests(&to);
                let ids: BTreeSet<&str> = all.iter().map(|(id, _)| &**id).collect();
                assert_eq!(ids.len(), all.len(), "a record twice");
                for (task, before) in before.iter().enumerate() {
                    for number in 0..*before {
                        let id = format!("{task}-{number}");
                        assert!(ids.contains(&*id), "{id} is missing in copy {round}");
                    }
                }
                let open = all.iter().filter(|(_, end)| *end != Outcome::Completed);
                assert!(open.count() <= TASKS, "only what was open");
                fs::remove_dir_all(&to).unwrap();
                if before.iter().all(|before| *before == RECORDS) {
                    break;
                }
            }
        });
        drop(log);
        assert_verifies(&from);
    }
}
