//! Kill points: the product is killed at random moments under load, and no request that was
//! answered may be missing from the log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::dice::Dice;
use super::gateway::{Record, Setup};
use super::{WORKLOAD, nobody};
use crate::console;
use crate::generate;
use crate::mock::{Mock, ask, read_answer};
use crate::steps::Bench;
use crate::totals::Totals;

const POINTS: usize = 5;
const POINTS_FULL: usize = 50;
/// Clients at once.
const CLIENTS: usize = 4;
/// A kill comes within this time of the first request.
const LOAD_MS_MAX: u64 = 400;

/// Record ids that clients were told, and whether their answer was complete.
type Told = Mutex<BTreeMap<String, bool>>;

pub(crate) fn kill(bench: &Bench<'_>) -> Result<Totals> {
    generate::build(bench.repo)?;
    let mock = Mock::start(0, None)?;
    let setup = Setup::new(bench.repo, "suite")?
        .with("mock", &mock.url())
        .with("down", &format!("http://{}", nobody()?));
    let key = setup.key(WORKLOAD)?;
    let mut dice = Dice::thrown();
    let points = if bench.full { POINTS_FULL } else { POINTS };
    console::say(format_args!("{points} points, seed {}", dice.seed()));
    let told = Told::default();
    let mut totals = Totals::default();
    for point in 1..=points {
        let result = round(&setup, &key, &told, dice.below(LOAD_MS_MAX));
        totals.case(
            &format!("kill point {point}"),
            result.map_err(|error| format!("{error:#}")),
        );
    }
    // The last death, too, is told at the next start.
    setup.start()?.stop()?;
    totals.case(
        "the log verifies",
        setup.verify().map_err(|error| format!("{error:#}")),
    );
    let records = setup.records()?;
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.case(
        "every answered request has its record",
        judge(&told, &records),
    );
    let interrupted = records
        .iter()
        .filter(|record| record.outcome == "interrupted")
        .count();
    console::say(format_args!(
        "{} requests told of, {} records, {interrupted} interrupted",
        told.len(),
        records.len()
    ));
    Ok(totals)
}

/// Starts the product on the log that the last death left, loads it, and kills it.
fn round(setup: &Setup, key: &str, told: &Told, after_ms: u64) -> Result<()> {
    let gateway = setup
        .start()
        .context("it does not start on the log that was left")?;
    setup
        .verify()
        .context("the log does not verify after the restart")?;
    let stop = AtomicBool::new(false);
    let address = gateway.data;
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed)
                    && request(address, key, client % 2 == 0, told).is_some()
                {}
            });
        }
        thread::sleep(Duration::from_millis(after_ms));
        let killed = gateway.kill();
        stop.store(true, Ordering::Relaxed);
        killed
    })
}

/// One request; none once the server is gone.
fn request(to: SocketAddr, key: &str, stream: bool, told: &Told) -> Option<()> {
    let messages = json!([{"role": "user", "content": "chunks=4 gap_ms=2"}]);
    let body = json!({"model": "mock-chat", "stream": stream, "messages": messages}).to_string();
    let answer =
        read_answer(ask(to, "/v1/chat/completions", Some(key), body.as_bytes()).ok()?).ok()?;
    let id = answer.headers.get("carnet-record")?.clone();
    let complete = answer.complete && answer.status == 200;
    told.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id, complete);
    answer.complete.then_some(())
}

/// Each id told to a client has exactly one record. The leaf follows the last byte, so a kill between
/// the two leaves a complete answer with the record of an interrupted one: kept, and not too bold.
fn judge(told: &BTreeMap<String, bool>, records: &[Record]) -> Result<(), String> {
    let mut faults = Vec::new();
    for (id, complete) in told {
        let found: Vec<_> = records.iter().filter(|record| record.id == *id).collect();
        match found.as_slice() {
            [record]
                if !complete || matches!(record.outcome.as_str(), "completed" | "interrupted") => {}
            [record] => faults.push(format!(
                "{id}: answered whole, and told as {}",
                record.outcome
            )),
            others => faults.push(format!("{id}: {} records", others.len())),
        }
    }
    if told.is_empty() {
        faults.push("no request got through, so nothing was tested".to_owned());
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, outcome: &str) -> Record {
        Record {
            id: id.into(),
            requested: "m".into(),
            outcome: outcome.into(),
        }
    }

    #[test]
    fn a_missing_doubled_or_wrong_record_is_found() {
        let told = BTreeMap::from([("a".to_owned(), true), ("b".to_owned(), false)]);
        assert!(
            judge(
                &told,
                &[
                    record("a", "completed"),
                    record("b", "interrupted"),
                    record("c", "completed")
                ]
            )
            .is_ok()
        );
        assert!(judge(&told, &[record("a", "completed")]).is_err());
        assert!(
            judge(
                &told,
                &[
                    record("a", "completed"),
                    record("a", "completed"),
                    record("b", "completed")
                ]
            )
            .is_err()
        );
        assert!(
            judge(
                &told,
                &[record("a", "client-gone"), record("b", "completed")]
            )
            .is_err()
        );
        assert!(judge(&BTreeMap::new(), &[]).is_err());
    }
}
