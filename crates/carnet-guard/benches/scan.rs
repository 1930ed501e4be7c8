//! What it costs to look through a text: a short prompt, one with numbers, and a long one.
//!
//! `cargo bench -p carnet-guard` prints medians with their spread. The figures of a shared machine are upper bounds.

#![expect(missing_docs, reason = "criterion's macro makes a function without")]

use std::hint::black_box;

use carnet_guard::scan;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PROSE: &str = "You are a travel desk assistant. Answer in at most four sentences, name the source of each figure, and say so \
    when you do not know. The traveller carries a work laptop and two samples for a trade fair. ";
const NUMBERS: &str = "Invoice 6000172 of 2026-03-14 over EUR 1,204.50, order 4711-0815, build 10.0.19045.3930, port 8443; call \
    +49 30 1234567 or write to jane.doe@acme.test, card 4111 1111 1111 1111. ";

fn texts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    for (name, part, bytes) in [
        ("prose, 1 KiB", PROSE, 1 << 10),
        ("numbers, 1 KiB", NUMBERS, 1 << 10),
        ("prose, 150 KiB", PROSE, 150 << 10),
    ] {
        let text = part.repeat(bytes / part.len() + 1);
        let text = text.as_bytes().get(..bytes).unwrap_or_default();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bencher| bencher.iter(|| scan(black_box(text))));
    }
    group.finish();
}

criterion_group!(benches, texts);
criterion_main!(benches);
