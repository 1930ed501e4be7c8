//! Crashes and damage: the journal cut at every byte, any file changed at every byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::frame::SEGMENT_HEADER;
use crate::journal::segment_name;
use crate::options::Durability;
use crate::scan::used_bytes;
use crate::testing::*;
use crate::{Leaf, Outcome, Reader, Record, Slot};

/// What is asked of a log in a test.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A slot is given up, with or without an intent.
    Abandon { intent: bool },
    /// Sign what there is.
    Checkpoint,
    /// A record without an intent, with its decision document.
    Denied,
    /// Intent and record.
    Answered,
    /// An intent whose record does not come before the crash.
    Open,
}

/// What was acknowledged when the journal's used part ended at `end`.
#[derive(Debug)]
struct Acknowledged {
    end: usize,
    id: String,
    leaf: bool,
}

fn used(dir: &Path, segment: u64) -> usize {
    used_bytes(&fs::read(dir.join(segment_name(segment))).unwrap())
}

/// Do the steps in a new log; returns the log still open, with what it promised and the place before which a crash is not
/// looked at, since a checkpoint has synced the journal up to there.
fn run(dir: &Path, steps: &[Step]) -> (Log, Vec<Slot>, Vec<Acknowledged>, usize) {
    let (log, _) = open_with(
        dir,
        Options {
            max_open: 16,
            ..options()
        },
    )
    .unwrap();
    let (mut promised, mut open, mut synced) = (Vec::new(), Vec::new(), 0);
    for (number, step) in steps.iter().enumerate() {
        let id = format!("r-{number}");
        let mut promise = |leaf| {
            promised.push(Acknowledged {
                end: used(dir, 0),
                id: id.clone(),
                leaf,
            })
        };
        match step {
            Step::Checkpoint => {
                block_on(log.checkpoint()).unwrap();
                synced = used(dir, 0);
            }
            Step::Denied => {
                let slot = log.reserve().unwrap();
                let (doc, json) = document(&id);
                slot.decision(&doc, &json);
                let record = Record {
                    decision_doc: Some(doc.into()),
                    ..record(&id)
                };
                block_on(slot.leaf_written(record)).unwrap();
                promise(true);
            }
            Step::Abandon {
                intent: with_intent,
            } => {
                let mut slot = log.reserve().unwrap();
                if *with_intent {
                    block_on(slot.intent(&intent(&id))).unwrap();
                    promise(false);
                }
            }
            Step::Answered | Step::Open => {
                let mut slot = log.reserve().unwrap();
                block_on(slot.intent(&intent(&id))).unwrap();
                promise(false);
                if matches!(step, Step::Answered) {
                    block_on(slot.leaf_written(record(&id))).unwrap();
                    promise(true);
                } else {
                    open.push(slot);
                }
            }
        }
    }
    // Behind everything that was only handed over.
    block_on(log.reserve().unwrap().leaf_written(record("end"))).unwrap();
    (log, open, promised, synced)
}

/// Reopen a copy whose journal ends at `end`, and look for everything that was promised until then.
fn crash_at(dir: &Path, end: usize, zeros: bool, promised: &[Acknowledged]) {
    let copied = TempDir::new().unwrap();
    let copied = copied.path();
    copy(dir, copied);
    let segment = copied.join(segment_name(0));
    let mut bytes = fs::read(&segment).unwrap();
    if zeros {
        bytes[end..].fill(0);
    } else {
        bytes.truncate(end);
    }
    fs::write(&segment, bytes).unwrap();
    let (log, _) =
        open_with(copied, options()).unwrap_or_else(|error| panic!("cut at {end}: {error}"));
    drop(log);
    let records: Vec<Record> = Reader::open(copied)
        .unwrap()
        .newest()
        .filter_map(|entry| match entry.unwrap().leaf {
            Leaf::Record(record) => Some(*record),
            Leaf::Document(_) => None,
        })
        .collect();
    for promise in promised.iter().filter(|promise| promise.end <= end) {
        let found: Vec<&Record> = records
            .iter()
            .filter(|record| *record.id == *promise.id)
            .collect();
        assert_eq!(found.len(), 1, "cut at {end}: {promise:?} {found:?}");
        assert!(
            !promise.leaf || found[0].outcome == Outcome::Completed,
            "cut at {end}: {promise:?}"
        );
    }
    assert_verifies(copied);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Answered),
        2 => Just(Step::Open),
        1 => Just(Step::Denied),
        1 => any::<bool>().prop_map(|intent| Step::Abandon { intent }),
        1 => Just(Step::Checkpoint),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_at_any_byte_loses_no_acknowledged_record(steps in prop::collection::vec(step(), 1..6)) {
        let dir = TempDir::new().unwrap();
        let (log, open, promised, synced) = run(dir.path(), &steps);
        let end = used(dir.path(), 0);
        for cut in synced..=end {
            crash_at(dir.path(), cut, cut % 2 == 0, &promised);
        }
        drop(open);
        block_on(log.close()).unwrap();
        assert_verifies(dir.path());
    }
}

#[test]
fn a_crash_around_the_change_of_segments_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open_with(dir.path(), small_segments()).unwrap();
    let mut ends = Vec::new();
    for number in 0..200 {
        write(&log, &format!("r-{number}"));
        ends.push(
            crate::replay::segments(dir.path())
                .unwrap()
                .iter()
                .map(|n| used(dir.path(), *n))
                .collect::<Vec<_>>(),
        );
    }
    assert!(ends.last().unwrap()[1] > 0, "the second segment is in use");
    let whole = used(dir.path(), 1);
    for cut in (0..SEGMENT_HEADER + 60)
        .step_by(7)
        .chain([SEGMENT_HEADER, whole - 1, whole])
    {
        let copied = TempDir::new().unwrap();
        copy(dir.path(), copied.path());
        let segment = copied.path().join(segment_name(1));
        let mut bytes = fs::read(&segment).unwrap();
        bytes[cut..].fill(0);
        fs::write(&segment, bytes).unwrap();
        // Everything that the first segment holds is there, whatever happened to the second.
        let kept = ends.iter().take_while(|ends| ends[1] <= cut).count();
        let (again, recovered) = open(copied.path());
        assert!(
            recovered.size as usize >= kept,
            "cut at {cut}: {recovered:?}"
        );
        write(&again, "goes on");
        block_on(again.close()).unwrap();
        assert_verifies(copied.path());
        // And once more: the cut segment and the one after it are read as well.
        drop(open(copied.path()));
        assert_verifies(copied.path());
    }
}

/// A small log with everything in it: signed entries, entries that are not, an open intent, a document.
fn small_log(dir: &Path) -> (Log, Vec<Slot>) {
    use Step::{Answered, Checkpoint, Denied, Open};
    let (log, open, _, _) = run(dir, &[Denied, Answered, Checkpoint, Answered, Open]);
    (log, open)
}

#[test]
fn one_changed_byte_in_any_file_fails_verification() {
    let dir = TempDir::new().unwrap();
    let running = small_log(dir.path());
    let copied = TempDir::new().unwrap();
    let copied = copied.path();
    copy(dir.path(), copied);
    assert_verifies(copied);
    let names: Vec<PathBuf> = files(copied).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        names.len(),
        5,
        "checkpoint, lock, segment, bundle, tile: {names:?}"
    );
    for (path, bytes) in files(copied) {
        // Behind the last frame there are only zeros: some of them stand for all.
        let used = used_bytes(&bytes);
        let places = (0..used).chain((used..bytes.len()).step_by(1999));
        for at in places {
            for bit in [0x01, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= bit;
                fs::write(&path, &changed).unwrap();
                let report = crate::verify(copied, &key());
                assert!(
                    !report.verified(),
                    "{} byte {at} bit {bit:#x}",
                    path.display()
                );
            }
        }
        let mut longer = bytes.clone();
        longer.push(b'x');
        fs::write(&path, &longer).unwrap();
        assert!(
            !crate::verify(copied, &key()).verified(),
            "{} and one byte more",
            path.display()
        );
        fs::write(&path, &bytes).unwrap();
    }
    assert_verifies(copied);
    drop(running);
}

#[test]
fn one_changed_byte_in_the_journal_is_an_error_and_never_a_lost_record() {
    let dir = TempDir::new().unwrap();
    let running = small_log(dir.path());
    let original = fs::read(dir.path().join(segment_name(0))).unwrap();
    let used = used(dir.path(), 0);
    for at in 0..used {
        let copied = TempDir::new().unwrap();
        copy(dir.path(), copied.path());
        let segment = copied.path().join(segment_name(0));
        let mut changed = original.clone();
        changed[at] ^= 0x01;
        fs::write(&segment, changed).unwrap();
        match open_with(copied.path(), options()) {
            Err(error @ OpenError::JournalDamaged { .. }) => {
                assert!(error.to_string().contains("0000000000.wal"), "{error}");
                assert!(error.help().contains("repair"));
            }
            Err(error) => panic!("byte {at}: {error}"),
            Ok((_, recovered)) => panic!("byte {at}: {recovered:?}"),
        }
    }
    drop(running);
}

#[test]
fn a_file_that_does_not_belong_or_is_missing_is_named() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    for number in 0..600 {
        write(&log, &format!("r-{number}"));
    }
    block_on(log.close()).unwrap();
    assert_verifies(dir.path());
    for stray in [
        "tile/0/009",
        "tile/0/002.p/3",
        "tile/entries/001.p/9",
        "notes.txt",
        "tmp/next",
        "journal/x",
        "tile/data/000",
    ] {
        let path = dir.path().join(stray);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let report = crate::verify(dir.path(), &key());
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        assert_eq!(report.problems[0].file, stray);
        fs::remove_file(&path).unwrap();
    }
    for name in [
        "checkpoint",
        "tile/0/001",
        "tile/entries/001",
        "tile/entries/002.p/88",
        "tile/1/000.p/2",
    ] {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let report = crate::verify(dir.path(), &key());
        assert!(
            report.problems.iter().any(|problem| problem.file == name),
            "{name}: {:?}",
            report.problems
        );
        fs::write(&path, bytes).unwrap();
    }
    // Two bundles in each other's place.
    let (one, two) = (
        dir.path().join("tile/entries/000"),
        dir.path().join("tile/entries/001"),
    );
    let (first, second) = (fs::read(&one).unwrap(), fs::read(&two).unwrap());
    fs::write(&one, second).unwrap();
    fs::write(&two, first).unwrap();
    let report = crate::verify(dir.path(), &key());
    for file in ["tile/entries/000", "tile/entries/001", "checkpoint"] {
        assert!(
            report.problems.iter().any(|problem| problem.file == file),
            "{file}: {:?}",
            report.problems
        );
    }
}

#[test]
fn without_its_checkpoint_or_edge_a_log_does_not_open() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    write(&log, "a");
    block_on(log.close()).unwrap();
    for name in ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"] {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for changed in [None, Some(&bytes[1..])] {
            match changed {
                None => fs::remove_file(&path).unwrap(),
                Some(bytes) => fs::write(&path, bytes).unwrap(),
            }
            let error = open_with(dir.path(), options()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(!error.help().is_empty());
        }
        fs::write(&path, bytes).unwrap();
    }
    open(dir.path());
}

#[test]
fn a_checkpoint_of_an_older_copy_does_not_open_beside_a_newer_journal() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    write(&log, "a");
    block_on(log.close()).unwrap();
    let older = TempDir::new().unwrap();
    copy(dir.path(), older.path());
    for _ in 0..2 {
        let (log, _) = open_with(dir.path(), small_segments()).unwrap();
        for _ in 0..200 {
            write(&log, "b");
        }
        block_on(log.checkpoint()).unwrap();
        write(&log, "c");
        block_on(log.close()).unwrap();
    }
    fs::remove_dir_all(older.path().join("journal")).unwrap();
    copy(&dir.path().join("journal"), &older.path().join("journal"));
    let error = open_with(older.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Gap { .. }), "{error}");
}

#[test]
fn repair_keeps_what_is_readable_and_records_the_loss() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    for number in 0..5 {
        write(&log, &format!("r-{number}"));
    }
    let base = TempDir::new().unwrap();
    let copied = base.path().join("audit");
    copy(dir.path(), &copied);
    let segment = copied.join(segment_name(0));
    let mut bytes = fs::read(&segment).unwrap();
    // The record of r-2, not its intent.
    let marker = br#""kind":"request","id":"r-2""#;
    let at = bytes
        .windows(marker.len())
        .position(|window| window == marker)
        .unwrap();
    bytes[at + 20] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert!(matches!(
        open_with(&copied, options()),
        Err(OpenError::JournalDamaged { .. })
    ));

    let (again, recovered) = open_with(
        &copied,
        Options {
            repair: true,
            ..options()
        },
    )
    .unwrap();
    assert_eq!(
        (
            recovered.damage.len(),
            recovered.leaves,
            recovered.interrupted
        ),
        (1, 4, 1),
        "{recovered:?}"
    );
    block_on(again.close()).unwrap();
    let report = assert_verifies(&copied);
    assert_eq!(
        report.records, 6,
        "the loss, four records, and one request of unknown end"
    );
    assert_eq!(
        Reader::open(&copied)
            .unwrap()
            .find("r-2")
            .unwrap()
            .record
            .outcome,
        Outcome::Interrupted
    );
    assert!(
        Reader::open(&copied)
            .unwrap()
            .find("damage-")
            .unwrap()
            .record
            .detail
            .is_some()
    );
    assert!(
        copied
            .with_extension("damaged")
            .join("0000000000.wal")
            .exists()
    );
    // Afterwards it opens without help.
    drop(open(&copied));
    assert_verifies(&copied);
}

#[test]
fn a_sector_that_the_machine_lost_is_a_torn_end_only_in_the_last_batch() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    write(&log, "kept");
    let before = used(dir.path(), 0);
    // One batch of several sectors.
    let long = Record {
        detail: Some("long ".repeat(900).into()),
        ..record("lost")
    };
    block_on(log.reserve().unwrap().leaf_written(long)).unwrap();
    for (later, torn) in [(false, true), (true, false)] {
        if later {
            write(&log, "later");
        }
        let copied = TempDir::new().unwrap();
        copy(dir.path(), copied.path());
        let segment = copied.path().join(segment_name(0));
        let mut bytes = fs::read(&segment).unwrap();
        let sector = before.next_multiple_of(512) + 512;
        bytes[sector..sector + 512].fill(0);
        fs::write(&segment, bytes).unwrap();
        match open_with(copied.path(), options()) {
            Ok((again, recovered)) => {
                assert!(torn && recovered.torn.is_some(), "{recovered:?}");
                drop(again);
                assert_verifies(copied.path());
            }
            Err(error) => assert!(!torn, "{error}"),
        }
    }
}

#[test]
fn tiles_that_were_put_but_never_signed_and_superseded_ones_go_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let (disk, clock) = (Arc::new(TestDisk::default()), TestClock::default());
    let (log, _) = Log::open_on(
        disk.clone(),
        dir.path(),
        signer(),
        options(),
        Box::new(move || clock.now()),
    )
    .unwrap();
    for number in 0..10 {
        write(&log, &format!("r-{number}"));
    }
    block_on(log.checkpoint()).unwrap();
    disk.unsigned.store(true, Ordering::SeqCst);
    for number in 10..600 {
        write(&log, &format!("r-{number}"));
    }
    assert!(block_on(log.checkpoint()).is_err());
    let copied = TempDir::new().unwrap();
    copy(dir.path(), copied.path());
    for superseded in ["tile/0/000.p/3", "tile/entries/000.p/3", "tmp/next"] {
        let path = copied.path().join(superseded);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let strays = crate::verify(copied.path(), &key()).problems;
    assert!(strays.len() > 6, "{strays:?}");
    let (again, recovered) = open(copied.path());
    assert_eq!((recovered.size, recovered.leaves), (600, 590));
    drop(again);
    assert_verifies(copied.path());

    disk.unsigned.store(false, Ordering::SeqCst);
    block_on(log.close()).unwrap();
    assert_verifies(dir.path());
}

#[test]
fn every_name_under_a_checkpoint_is_on_the_medium_and_none_is_brought_there_twice() {
    let dir = TempDir::new().unwrap();
    let (disk, clock) = (Arc::new(TestDisk::default()), TestClock::default());
    let (log, _) = Log::open_on(
        disk.clone(),
        dir.path(),
        signer(),
        options(),
        Box::new(move || clock.now()),
    )
    .unwrap();
    // Within the first tile, over its edge twice, and within the third.
    for (leaves, folders) in [(3, 7), (4, 3), (300, 8), (300, 6), (2, 3)] {
        for number in 0..leaves {
            write(&log, &format!("r-{number}"));
        }
        disk.folders.lock().unwrap().clear();
        block_on(log.checkpoint()).unwrap();
        let durable = disk.durable.lock().unwrap();
        for (file, _) in files(&dir.path().join("tile")) {
            let names = file.ancestors().take_while(|name| *name != dir.path());
            for name in names {
                assert!(durable.contains(name), "{}", name.display());
            }
        }
        let synced = disk.folders.lock().unwrap();
        assert_eq!(synced.len(), folders, "{synced:#?}");
    }
}

#[test]
fn with_fsync_nothing_is_acknowledged_before_it_is_on_the_medium() {
    for (durability, at_least) in [(Durability::Fsync, 2), (Durability::Process, 0)] {
        let dir = TempDir::new().unwrap();
        let (disk, clock) = (Arc::new(TestDisk::default()), TestClock::default());
        let options = Options {
            durability,
            ..options()
        };
        let (log, _) = Log::open_on(
            disk.clone(),
            dir.path(),
            signer(),
            options,
            Box::new(move || clock.now()),
        )
        .unwrap();
        for _ in 0..3 {
            let before = disk.syncs.load(Ordering::SeqCst);
            write(&log, "r");
            assert_eq!(
                disk.syncs.load(Ordering::SeqCst) - before,
                at_least,
                "{durability:?}"
            );
        }
        let before = disk.syncs.load(Ordering::SeqCst);
        block_on(log.checkpoint()).unwrap();
        let synced = disk.syncs.load(Ordering::SeqCst) > before;
        assert_eq!(
            synced,
            durability == Durability::Process,
            "the tree is never ahead of the journal"
        );
    }
}
