//! The log as a server uses it: writing, reopening, full and broken disks, many tasks at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::testing::*;
use crate::{Entry, Leaf, Outcome, Reader, Record};

fn ids(dir: &Path) -> Vec<String> {
    let mut ids: Vec<String> = Reader::open(dir)
        .unwrap()
        .newest()
        .filter_map(|entry| match entry.unwrap().leaf {
            Leaf::Record(record) => Some(format!("{} {}", record.id, record.outcome.as_str())),
            Leaf::Document(_) => None,
        })
        .collect();
    ids.reverse();
    ids
}

#[test]
fn a_new_log_is_empty_signed_and_sound() {
    let dir = TempDir::new().unwrap();
    let (log, recovered) = open(dir.path());
    assert_eq!(
        recovered,
        Recovered {
            size: 0,
            leaves: 0,
            interrupted: 0,
            torn: None,
            damage: vec![]
        }
    );
    assert_eq!(assert_verifies(dir.path()).size, 0);
    drop(log);
    assert_verifies(dir.path());
    assert!(Reader::open(dir.path()).unwrap().newest().next().is_none());
}

#[test]
fn a_record_is_found_before_and_after_its_checkpoint_and_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let (doc, json) = document("first");
    block_on(async {
        let mut slot = log.reserve().unwrap();
        slot.decision(&doc, &json);
        slot.intent(&intent("r-1")).await.unwrap();
        let record = Record {
            decision_doc: Some(doc.as_str().into()),
            ..record("r-1")
        };
        slot.leaf_written(record).await.unwrap();
    });
    let found = Reader::open(dir.path()).unwrap().find("r-").unwrap();
    assert_eq!(
        (found.index, found.signed, found.document.as_deref()),
        (1, false, Some(json.as_str()))
    );
    assert_eq!(assert_verifies(dir.path()).pending, 2);

    block_on(log.checkpoint()).unwrap();
    assert!(
        Reader::open(dir.path())
            .unwrap()
            .find("r-1")
            .unwrap()
            .signed
    );
    let report = assert_verifies(dir.path());
    assert_eq!(
        (
            report.size,
            report.records,
            report.documents,
            report.pending
        ),
        (2, 1, 1, 0)
    );

    drop(log);
    let (log, recovered) = open(dir.path());
    assert_eq!(
        (recovered.size, recovered.leaves, recovered.interrupted),
        (2, 0, 0)
    );
    write(&log, "r-2");
    block_on(log.close()).unwrap();
    assert_verifies(dir.path());
    assert_eq!(ids(dir.path()), ["r-1 completed", "r-2 completed"]);
    assert!(matches!(
        Reader::open(dir.path()).unwrap().find("r-"),
        Err(crate::ReadError::Ambiguous { .. })
    ));
    assert!(matches!(
        Reader::open(dir.path()).unwrap().find("x"),
        Err(crate::ReadError::NotFound { .. })
    ));
}

#[test]
fn a_document_is_logged_once_and_a_long_one_in_parts() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let (doc, json) = document(&"long ".repeat(20_000));
    for id in ["a", "b"] {
        let slot = log.reserve().unwrap();
        slot.decision(&doc, &json);
        slot.leaf(Record {
            decision_doc: Some(doc.as_str().into()),
            ..record(id)
        });
    }
    block_on(log.checkpoint()).unwrap();
    let report = assert_verifies(dir.path());
    assert_eq!((report.records, report.documents), (2, 1));
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(
        reader.find("b").unwrap().document.as_deref(),
        Some(json.as_str())
    );
    assert!(reader.size() > 4, "several parts");
}

#[test]
fn a_document_under_a_false_name_is_found() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let slot = log.reserve().unwrap();
    slot.decision(&document("one").0, &document("two").1);
    slot.leaf(record("a"));
    block_on(log.checkpoint()).unwrap();
    let report = crate::verify(dir.path(), &key());
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(
        report.problems[0].message.contains("another name"),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_slot_that_is_given_up_writes_its_record_itself() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    drop(log.reserve().unwrap());
    let mut slot = log.reserve().unwrap();
    block_on(slot.intent(&intent("r-2"))).unwrap();
    drop(slot);
    block_on(log.close()).unwrap();
    assert_eq!(ids(dir.path()), ["slot-1 interrupted", "r-2 interrupted"]);
    assert_verifies(dir.path());
}

#[test]
fn a_slot_outlives_the_log_and_its_record_is_kept() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let slot = log.reserve().unwrap();
    block_on(log.close()).unwrap();
    assert!(matches!(
        open_with(dir.path(), options()),
        Err(OpenError::InUse { .. })
    ));
    slot.leaf(record("late"));
    assert_eq!(ids(dir.path()), ["late completed"]);
    open(dir.path());
}

#[test]
fn a_second_server_is_refused() {
    let dir = TempDir::new().unwrap();
    let (_log, _) = open(dir.path());
    let error = open_with(dir.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.help().contains("state folder"));
}

#[test]
fn another_key_is_refused_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    write(&log, "a");
    block_on(log.close()).unwrap();
    let before = files(dir.path());
    let other = Signer::new("carnet.test/log", &[43; 32]).unwrap();
    let clock = TestClock::default();
    let error = Log::open(dir.path(), other, options(), move || clock.now()).unwrap_err();
    assert!(matches!(error, OpenError::Checkpoint { .. }), "{error}");
    assert_eq!(files(dir.path()), before);
}

#[test]
fn settings_out_of_range_are_named() {
    let dir = TempDir::new().unwrap();
    for options in [
        Options {
            segment_bytes: 1,
            ..options()
        },
        Options {
            segment_bytes: 1 << 40,
            ..options()
        },
        Options {
            max_open: 0,
            ..options()
        },
        Options {
            max_open: usize::MAX,
            ..options()
        },
        Options {
            max_open: 100_000,
            ..options()
        },
    ] {
        let error = open_with(dir.path(), options).unwrap_err();
        assert!(matches!(error, OpenError::Setting { .. }), "{error}");
    }
}

#[test]
fn no_more_slots_than_there_is_room_for() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let slots: Vec<Slot> = (0..4).map(|_| log.reserve().unwrap()).collect();
    assert_eq!(log.reserve().unwrap_err(), Full::Open { max: 4 });
    for slot in slots {
        block_on(slot.leaf_written(record("x"))).unwrap();
    }
    log.reserve().unwrap();
}

#[test]
fn on_a_full_disk_running_requests_finish_new_ones_are_refused_and_it_recovers() {
    let dir = TempDir::new().unwrap();
    let (disk, clock) = (
        Arc::new(TestDisk::default()),
        Arc::new(TestClock::default()),
    );
    let time = clock.clone();
    let (log, _) = Log::open_on(
        disk.clone(),
        dir.path(),
        signer(),
        options(),
        Box::new(move || time.now()),
    )
    .unwrap();
    let mut running = vec![log.reserve().unwrap(), log.reserve().unwrap()];
    disk.full.store(true, Ordering::SeqCst);

    // Requests come until the room is used up.
    let mut answered = 0;
    let refused = loop {
        match log.reserve() {
            Ok(slot) => {
                let long = Record {
                    detail: Some("y".repeat(4000).into()),
                    ..record("filler")
                };
                block_on(slot.leaf_written(long)).unwrap();
                answered += 1;
                assert!(answered < 10_000, "the disk never gets full");
            }
            Err(full) => break full,
        }
    };
    assert!(matches!(refused, Full::Disk { .. }), "{refused:?}");
    assert!(log.status().full.is_some());

    for (number, slot) in running.iter_mut().enumerate() {
        block_on(slot.intent(&intent(&format!("running-{number}")))).unwrap();
    }
    for (number, slot) in running.into_iter().enumerate() {
        block_on(slot.leaf_written(record(&format!("running-{number}")))).unwrap();
    }
    assert!(
        block_on(log.checkpoint()).is_err(),
        "the tree cannot be written either"
    );

    disk.full.store(false, Ordering::SeqCst);
    clock.forward(10);
    // The first try only makes the writer look again; a later one finds the room.
    while log.reserve().is_err() {
        clock.forward(10);
        std::thread::yield_now();
    }
    block_on(log.checkpoint()).unwrap();
    assert_eq!(log.status().full, None);
    let seen = ids(dir.path());
    assert!(
        seen.contains(&"running-0 completed".to_owned())
            && seen.contains(&"running-1 completed".to_owned())
    );
    assert_eq!(
        seen.iter().filter(|id| *id == "filler completed").count(),
        answered
    );
    assert_verifies(dir.path());
}

#[test]
fn after_a_failed_write_nothing_is_sent_and_nothing_is_lost() {
    let dir = TempDir::new().unwrap();
    let (disk, clock) = (
        Arc::new(TestDisk::default()),
        Arc::new(TestClock::default()),
    );
    let time = clock.clone();
    let (log, _) = Log::open_on(
        disk.clone(),
        dir.path(),
        signer(),
        options(),
        Box::new(move || time.now()),
    )
    .unwrap();
    let mut asked = log.reserve().unwrap();
    let finished = log.reserve().unwrap();
    disk.broken.store(true, Ordering::SeqCst);
    assert!(block_on(asked.intent(&intent("asked"))).is_err());
    assert!(block_on(finished.leaf_written(record("finished"))).is_err());
    assert!(matches!(log.reserve(), Err(Full::Disk { .. })));
    assert!(
        log.status()
            .full
            .is_some_and(|reason| reason.contains("the medium failed"))
    );
    asked.leaf(Record {
        outcome: Outcome::Refused,
        ..record("asked")
    });

    disk.broken.store(false, Ordering::SeqCst);
    clock.forward(10);
    while log.reserve().is_err() {
        clock.forward(10);
        std::thread::yield_now();
    }
    block_on(log.close()).unwrap();
    let seen = ids(dir.path());
    assert!(
        seen.contains(&"finished completed".to_owned())
            && seen.contains(&"asked refused".to_owned()),
        "{seen:?}"
    );
    assert_verifies(dir.path());
}

#[test]
fn sixty_four_tasks_write_at_once() {
    const TASKS: usize = 64;
    const EACH: usize = 20;
    let dir = TempDir::new().unwrap();
    let options = Options {
        // A record that was only handed over still takes up its room.
        max_open: TASKS * EACH,
        checkpoint_every: Duration::ZERO,

        ..options()
    };
    let (log, _) = open_with(dir.path(), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let log = log.clone();
                tokio::spawn(async move {
                    for number in 0..EACH {
                        let id = format!("t{task}-{number}");
                        let mut slot = log.reserve().unwrap();
                        let (doc, json) = document(&format!("{}", number % 3));
                        slot.decision(&doc, &json);
                        slot.intent(&intent(&id)).await.unwrap();
                        let record = Record {
                            decision_doc: Some(doc.as_str().into()),
                            ..record(&id)
                        };
                        if number % 2 == 0 {
                            slot.leaf(record)
                        } else {
                            slot.leaf_written(record).await.unwrap()
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        log.close().await.unwrap();
    });
    let report = assert_verifies(dir.path());
    assert_eq!(report.records as usize, TASKS * EACH);
    let seen: BTreeSet<String> = ids(dir.path()).into_iter().collect();
    assert_eq!(seen.len(), TASKS * EACH);
    let found = Reader::open(dir.path()).unwrap().find("t63-19").unwrap();
    assert_eq!(found.document, Some(document("1").1));
}

#[test]
fn verify_and_show_work_beside_a_running_server() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        checkpoint_every: Duration::ZERO,
        ..small_segments()
    };
    let (log, _) = open_with(dir.path(), options).unwrap();
    let (go, gone) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Ends when the sender is dropped, also by a failed assertion.
            for round in gone {
                for number in 0..100 {
                    write(&log, &format!("r-{round}-{number}"));
                }
            }
        });
        let go = go;
        for round in 0..20 {
            go.send(round).unwrap();
            assert_verifies(dir.path());
            let entries: Vec<Entry> = Reader::open(dir.path())
                .unwrap()
                .newest()
                .map(Result::unwrap)
                .collect();
            assert!(
                entries
                    .windows(2)
                    .all(|pair| pair[0].index == pair[1].index + 1)
            );
        }
    });
    block_on(log.close()).unwrap();
    assert_verifies(dir.path());
}

#[test]
fn segments_go_away_when_they_are_signed_but_not_while_a_request_in_them_is_open() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open_with(dir.path(), small_segments()).unwrap();
    let segments = || crate::replay::segments(dir.path()).unwrap();
    let mut slot = log.reserve().unwrap();
    block_on(slot.intent(&intent("long"))).unwrap();
    let first = segments()[0];
    for number in 0..200 {
        write(&log, &format!("r-{number}"));
    }
    block_on(log.checkpoint()).unwrap();
    write(&log, "one more");
    block_on(log.checkpoint()).unwrap();
    assert_eq!(segments()[0], first, "the open intent is in it");

    // It is written again further on, and then lets go of the old segments.
    for number in 0..1500 {
        write(&log, &format!("s-{number}"));
    }
    block_on(log.checkpoint()).unwrap();
    write(&log, "and one more");
    block_on(log.checkpoint()).unwrap();
    assert!(segments()[0] > first);
    assert_verifies(dir.path());

    // A crash now still knows of it.
    let copied = TempDir::new().unwrap();
    copy(dir.path(), copied.path());
    let (again, recovered) = open(copied.path());
    assert_eq!(recovered.interrupted, 1);
    drop(again);
    assert_eq!(
        ids(copied.path()).last().map(String::as_str),
        Some("long interrupted")
    );
    assert_verifies(copied.path());
    slot.leaf(record("long"));
    block_on(log.close()).unwrap();
    assert_verifies(dir.path());
}

#[test]
fn a_tree_of_several_tiles_has_exactly_its_files() {
    let dir = TempDir::new().unwrap();
    for step in [1, 254, 1, 1, 300, 600] {
        let (log, _) = open(dir.path());
        for number in 0..step {
            let slot = log.reserve().unwrap();
            if number % 3 == 2 {
                block_on(slot.leaf_written(record("x"))).unwrap();
            } else {
                slot.leaf(record("x"));
                block_on(log.checkpoint()).unwrap();
            }
        }
        block_on(log.close()).unwrap();
        assert_verifies(dir.path());
    }
    let names: Vec<String> = files(&dir.path().join("tile"))
        .into_iter()
        .map(|(path, _)| {
            path.strip_prefix(dir.path())
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "tile/0/000",
            "tile/0/001",
            "tile/0/002",
            "tile/0/003",
            "tile/0/004.p/133",
            "tile/1/000.p/4",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002",
            "tile/entries/003",
            "tile/entries/004.p/133",
        ]
    );
}
