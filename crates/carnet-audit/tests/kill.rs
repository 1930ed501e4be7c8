//! A server that is killed at any point loses no record that it acknowledged.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use carnet_audit::{Intent, Kind, Leaf, Log, Options, Outcome, Reader, Record, Signer, verify};
use jiff::Timestamp;
use tempfile::TempDir;

const DIR: &str = "CARNET_AUDIT_KILL_TEST_DIR";
const RUN: &str = "CARNET_AUDIT_KILL_TEST_RUN";
const TASKS: usize = 8;

fn signer() -> Signer {
    Signer::new("carnet.test/kill", &[9; 32]).unwrap()
}

fn open(dir: &Path) -> Log {
    let options = Options {
        checkpoint_every: Duration::from_millis(1),
        segment_bytes: 256 * 1024,
        max_open: 2 * TASKS,
        ..Options::default()
    };
    Log::open(dir, signer(), options, || Timestamp::UNIX_EPOCH)
        .unwrap()
        .0
}

fn tell(what: &str, id: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{what} {id}").unwrap();
    out.flush().unwrap();
}

async fn request(log: &Log, id: &str) {
    let id: Arc<str> = id.into();
    let mut slot = log.reserve().unwrap();
    slot.intent(&Intent::new(id.clone(), Timestamp::UNIX_EPOCH))
        .await
        .unwrap();
    tell("intent", &id);
    let record = Record::new(
        Kind::Request,
        id.clone(),
        Timestamp::UNIX_EPOCH,
        Outcome::Completed,
    );
    slot.leaf_written(record).await.unwrap();
    tell("leaf", &id);
}

/// What the test below starts and kills; on its own it does nothing.
#[test]
fn child_that_writes_until_it_is_killed() {
    let (Ok(dir), Ok(run)) = (env::var(DIR), env::var(RUN)) else {
        return;
    };
    let log = open(Path::new(&dir));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        for task in 0..TASKS {
            let (log, run) = (log.clone(), run.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    request(&log, &format!("{run}-{task}-{number}")).await;
                }
            });
        }
        std::future::pending::<()>().await;
    });
}

/// Start the child, let it acknowledge `after` times, kill it; returns all that it acknowledged.
fn run_and_kill(dir: &Path, run: usize, after: usize) -> Vec<(String, String)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(DIR, dir)
        .env(RUN, run.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        // The last line may be cut off, and then nobody has been told.
        if let Some((what, id)) = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once(' '))
            && (what == "intent" || what == "leaf")
        {
            told.push((what.to_owned(), id.to_owned()));
            if told.len() == after {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(told.len() >= after, "the child ended by itself");
    told
}

#[test]
fn kill_at_many_points_loses_no_acknowledged_record() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("audit");
    let mut told = Vec::new();
    for (run, after) in [1, 2, 9, 16, 17, 100, 333, 1000, 3000]
        .into_iter()
        .enumerate()
    {
        told.extend(run_and_kill(&dir, run, after));
        drop(open(&dir));
        let report = verify(&dir, &signer().public_key().unwrap());
        assert!(report.verified(), "run {run}: {:?}", report.problems);
    }
    let mut found: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for entry in Reader::open(&dir).unwrap().newest() {
        if let Leaf::Record(record) = entry.unwrap().leaf {
            found
                .entry(record.id.to_string())
                .or_default()
                .push(record.outcome);
        }
    }
    for (what, id) in told {
        let outcomes = found
            .get(&id)
            .unwrap_or_else(|| panic!("{what} of {id} is lost"));
        assert_eq!(outcomes.len(), 1, "{id}");
        assert!(
            what == "intent" || outcomes[0] == Outcome::Completed,
            "{id} was answered: {outcomes:?}"
        );
    }
}
