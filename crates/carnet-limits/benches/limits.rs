//! What it costs to find a key, and to take from limits what a request needs and settle it.
//!
//! `cargo bench -p carnet-limits` prints medians with their spread. The figures of a shared machine are upper bounds.

#![expect(missing_docs, reason = "criterion's macro makes a function without")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends")]

use std::hint::black_box;
use std::sync::Arc;

use carnet_limits::{
    Claim, KeyId, KeyRecord, KeyRing, KeyTerms, Ledger, Limit, Measure, SecretKey, Window,
};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;

fn secret(number: u32) -> SecretKey {
    let mut random = [0; 20];
    let digits = number.to_be_bytes();
    for (place, digit) in random.iter_mut().zip(digits.iter().cycle()) {
        *place = *digit;
    }
    SecretKey::from_random(random)
}

fn ring(keys: u32) -> KeyRing {
    let record = |number: u32| {
        let mut name = [0; 8];
        for (place, digit) in name.iter_mut().zip(number.to_be_bytes()) {
            *place = digit;
        }
        KeyRecord {
            id: KeyId::from_random(name),
            digest: secret(number).digest(),
            former: Box::default(),
            workload: "payments".into(),
            note: String::new(),
            created: Timestamp::UNIX_EPOCH,
            revoked: None,
            terms: KeyTerms::default(),
        }
    };
    KeyRing::new((0..keys).map(record).collect())
}

fn keys(criterion: &mut Criterion) {
    for many in [1_000, 100_000] {
        let ring = ring(many);
        let known: Vec<SecretKey> = (0..64).map(|number| secret(number * (many / 64))).collect();
        let mut all = known.iter().cycle();
        criterion.bench_function(&format!("find a key among {many}"), |bencher| {
            bencher.iter(|| {
                let key = all.next().map_or("", SecretKey::expose);
                black_box(ring.find(black_box(key)).is_ok())
            });
        });
        let stranger = secret(u32::MAX);
        criterion.bench_function(&format!("find no key among {many}"), |bencher| {
            bencher.iter(|| black_box(ring.find(black_box(stranger.expose())).is_ok()));
        });
    }
}

/// What a request comes under: requests and streams of its key, tokens and money of its team.
fn limits(ledger: &Ledger) -> [(Limit, u64); 4] {
    let limit =
        |name: &str, measure, window| ledger.limit(&Arc::from(name), measure, window, u64::MAX / 2);
    [
        (limit("requests", Measure::Requests, Window::Sliding(60)), 1),
        (limit("streams", Measure::Streams, Window::Lasting), 1),
        (limit("tokens", Measure::Tokens, Window::Day), 4_300),
        (limit("money", Measure::Money, Window::Month), 12_000_000),
    ]
}

fn reservations(criterion: &mut Criterion) {
    let ledger = Ledger::default();
    let limits = limits(&ledger);
    let now = Timestamp::UNIX_EPOCH;
    let claims = limits.each_ref().map(|(limit, amount)| Claim {
        limit,
        who: "payments",
        amount: *amount,
    });
    criterion.bench_function("reserve of four limits and settle", |bencher| {
        bencher.iter(|| {
            let mut reservation = Ledger::reserve(black_box(&claims), now).expect("enough for all");
            reservation.settle(Measure::Tokens, 234, now);
            reservation.settle(Measure::Money, 700_000, now);
        });
    });
    criterion.bench_function("tell what changed", |bencher| {
        bencher.iter(|| {
            drop(Ledger::reserve(&claims, now).expect("enough for all"));
            black_box(ledger.changes().len())
        });
    });
}

criterion_group!(benches, keys, reservations);
criterion_main!(benches);
