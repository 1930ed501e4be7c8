//! What it costs to say what a name is: one that the registry has, one in a platform's spelling, one that nobody knows; and to
//! read the registry.
//!
//! `cargo bench -p carnet-provenance` prints medians with their spread, over the registry that comes with Carnet. The
//! figures of a shared machine are upper bounds.

#![expect(missing_docs, reason = "criterion's macro makes a function without")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_provenance::{Overlay, Query, Registry, SourceFile, View};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::civil::Date;

fn sources(root: &Path, folder: &Path) -> Vec<SourceFile> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(root, &path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            let name = path.strip_prefix(root).expect("inside");
            found.push(SourceFile {
                path: name.display().to_string(),
                text: fs::read_to_string(&path).expect("a text"),
            });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn query(id: &str, as_of: Date) -> Query<'_> {
    Query {
        id,
        platform: None,
        host: None,
        upstream: None,
        region: None,
        as_of,
    }
}

fn names(criterion: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry");
    let sources = sources(&root, &root);
    let registry = Registry::parse(&sources).expect("a good registry");
    let view = View::new(Arc::new(registry), Overlay::default());
    let as_of: Date = "2026-11-01".parse().expect("a day");
    let known: Vec<String> = view
        .models()
        .map(|model| model.as_str().to_owned())
        .take(256)
        .collect();
    // As the tags of local runners and the ids of platforms spell it: another case, a suffix.
    let spelt: Vec<String> = known
        .iter()
        .map(|id| format!("{}-Instruct-GGUF", id.to_ascii_uppercase()))
        .collect();
    for (name, ids) in [
        ("a name of the registry", &known),
        ("another spelling", &spelt),
    ] {
        let mut all = ids.iter().cycle();
        criterion.bench_function(&format!("resolve {name}"), |bencher| {
            bencher.iter(|| {
                let id = all.next().map_or("", String::as_str);
                black_box(view.resolve(&query(black_box(id), as_of)))
            });
        });
    }
    criterion.bench_function("resolve a name that nobody knows", |bencher| {
        let query = query("nobody-knows-this-9", as_of);
        bencher.iter(|| black_box(view.resolve(black_box(&query))));
    });
    let mut group = criterion.benchmark_group("registry");
    group.sample_size(10);
    group.bench_function("parse", |bencher| {
        bencher.iter(|| black_box(Registry::parse(&sources).is_ok()));
    });
    group.finish();
}

criterion_group!(benches, names);
criterion_main!(benches);
