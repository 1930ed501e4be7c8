//! Bodies that the scan accepts mean the same to other parsers: serde_json here, Python's and Node's by script.

#![cfg(test)]

mod hostile;

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::Command;

use carnet_wire::json::Scan;
use hostile::{Accepted, Expect, PATHS, cases, judge, watch, write};
use serde_json::Value;

const SEED: u64 = 4390;
const COUNT: usize = 1_000;

#[test]
fn every_trick_gets_the_verdict_it_deserves() {
    let watch = watch();
    let (mut accepted, mut refused) = (0, 0);
    for case in cases(SEED, COUNT) {
        let body = String::from_utf8_lossy(&case.body);
        match (judge(&case.body, &watch), case.expect) {
            (Ok(_), Expect::Refuse) => {
                panic!("{} was accepted: {body}", case.trick)
            }
            (Err(why), Expect::Accept) => {
                panic!("{} was refused, {why}: {body}", case.trick)
            }
            (Ok(_), _) => accepted += 1,
            (Err(_), _) => refused += 1,
        }
    }
    assert!(
        accepted > COUNT / 4 && refused > COUNT / 4,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn the_same_seed_gives_the_same_bodies() {
    let bodies = |seed| cases(seed, 100).map(|case| case.body).collect::<Vec<_>>();
    assert_eq!(bodies(1), bodies(1));
    assert_ne!(bodies(1), bodies(2));
}

#[test]
fn serde_json_sees_what_we_decide_on() {
    let watch = watch();
    for case in cases(SEED, 10 * COUNT) {
        let Ok(Accepted { scan, model }) = judge(&case.body, &watch) else {
            continue;
        };
        let body = String::from_utf8_lossy(&case.body);
        let whole: Value = match serde_json::from_slice(&case.body) {
            Ok(whole) => whole,
            Err(error) if beyond_serde(&error) => continue,
            Err(error) => panic!("{}: {error}: {}", case.trick, body),
        };
        assert_eq!(
            whole.get("model").and_then(Value::as_str),
            model.as_deref(),
            "{}: {}",
            case.trick,
            body
        );
        for (index, path) in PATHS.iter().enumerate() {
            assert_eq!(
                ours(&case.body, &scan, index),
                theirs(&whole, path),
                "{} at {path}: {}",
                case.trick,
                body
            );
        }
    }
}

/// What the grammar allows and serde_json's own values cannot hold.
fn beyond_serde(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    [
        "number out of range",
        "surrogate",
        "unexpected end of hex escape",
    ]
    .iter()
    .any(|known| text.starts_with(known))
}

fn ours(body: &[u8], scan: &Scan, index: usize) -> Vec<Value> {
    scan.all(index)
        .map(|hit| serde_json::from_slice(&body[hit.value.clone()]).unwrap())
        .collect()
}

fn theirs(whole: &Value, path: &str) -> Vec<Value> {
    let mut places = vec![whole];
    for segment in path.split('.') {
        let key = segment.trim_end_matches("[]");
        places = places
            .into_iter()
            .filter_map(|value| value.get(key))
            .collect();
        if key != segment {
            places = places
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .collect();
        }
    }
    places.into_iter().cloned().collect()
}

#[test]
fn python_sees_what_we_decide_on() {
    run_script("python3", "differential.py");
}

#[test]
fn node_sees_what_we_decide_on() {
    run_script("node", "differential.mjs");
}

/// Has another language check a file of bodies. Its word and exit code count; without it there is nothing to run.
fn run_script(program: &str, script: &str) {
    if Command::new(program).arg("--version").output().is_err() {
        println!("{script}: not run, there is no {program}");
        return;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{program}.jsonl"));
    write(
        SEED,
        COUNT,
        &mut BufWriter::new(File::create(&path).unwrap()),
    )
    .unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(script);
    let output = Command::new(program)
        .arg(&script)
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        format!("{COUNT} passed, 0 failed"),
        "{said}{complained}"
    );
    println!("{program}: {last}");
}
