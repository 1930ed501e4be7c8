//! What it costs to record a request: by itself, and together with others, which share a write to the journal.
//!
//! `cargo bench -p carnet-audit` prints medians with their spread. A request is measured from the reservation of its room to its
//! record, with the intent in between, which is waited for; the tree grows beside it. The figures of a shared machine are
//! upper bounds.

#![expect(missing_docs, reason = "criterion's macro makes a function without")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends")]

use std::hint::black_box;
use std::sync::Arc;

use carnet_audit::{
    Attempt, Detection, Intent, Kind, Leaf, Log, Options, Outcome, Record, Ruling, Signer, Timings,
    Tokens,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// Requests that run together.
const TOGETHER: u64 = 32;

/// A record such as an ordinary request leaves: one attempt, one detection.
fn record() -> Record {
    let text = |text: &str| Some(Arc::from(text));
    let time = Timestamp::UNIX_EPOCH;
    Record {
        workload: text("payments"),
        key_id: text("key_0123456789abcdef"),
        api: text("chat.completions"),
        requested_model: text("mock-model"),
        resolved_model: text("maker/mock-model"),
        reported_model: text("mock-model"),
        upstream: text("mock"),
        host: text("mock-host"),
        decision: Some(Ruling::Permit),
        decision_doc: text(
            "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        ),
        rules: vec!["policy/team".into()],
        policy_version: text("0123456789ab"),
        registry_version: text("0123456789ab"),
        config_version: text("0123456789ab"),
        attempts: vec![Attempt {
            n: 1,
            upstream: "mock".into(),
            origin: "http://127.0.0.1:9000".into(),
            address: text("127.0.0.1:9000"),
            status: Some(200),
            model: text("mock-model"),
            started_us: 120,
            duration_us: 340,
            ..Attempt::default()
        }],
        bytes_in: 1_024,
        bytes_out: 600,
        detections: vec![Detection {
            kind: "email".into(),
            confidence: "high".into(),
            count: 1,
        }],
        tokens: Some(Tokens {
            input: 186,
            output: 48,
            ..Tokens::default()
        }),
        status: Some(200),
        timings: Some(Timings {
            decided_us: Some(100),
            first_byte_us: Some(400),
            total_us: 470,
        }),
        ..Record::new(
            Kind::Request,
            "0123456789abcdef".into(),
            time,
            Outcome::Completed,
        )
    }
}

async fn request(log: Log, record: Record, intent: Arc<Intent>) {
    let mut slot = log.reserve().expect("room");
    slot.intent(&intent).await.expect("a journal");
    slot.leaf(record);
}

fn requests(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let signer = Signer::new("bench.example/audit", &[7; 32]).expect("a key");
    let opened = Log::open(folder.path(), signer, Options::default(), Timestamp::now);
    let (log, _) = opened.expect("a log");
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let record = record();
    let intent = Arc::new(record.intent());
    let mut group = criterion.benchmark_group("a request, intent and record");
    for together in [1, TOGETHER] {
        group.throughput(Throughput::Elements(together));
        group.bench_function(format!("{together} at a time"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut all = JoinSet::new();
                    for _ in 0..together {
                        all.spawn(request(log.clone(), record.clone(), intent.clone()));
                    }
                    while all.join_next().await.is_some() {}
                });
            });
        });
    }
    group.finish();
    runtime.block_on(log.close()).expect("a log that is whole");
}

fn reading(criterion: &mut Criterion) {
    let leaf = serde_json::to_vec(&record()).expect("JSON");
    criterion.bench_function("a record, read", |bencher| {
        bencher.iter(|| black_box(Leaf::parse(black_box(&leaf)).is_ok()));
    });
}

criterion_group!(benches, requests, reading);
criterion_main!(benches);
