//! What decisions cost: remembered, on known truth, and by Cedar alone; with 20, 200 and 1,000 rules over
//! the registry that comes with Carnet.
//!
//! `cargo bench -p carnet-policy` prints medians with their spread. The figures of a shared machine are
//! upper bounds.

#![expect(missing_docs, reason = "criterion's macro makes a function without")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made ends"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use carnet_policy::{
    Api, Ask, Decider, DeciderOptions, PackSource, Policies, Principal, Target, TargetSpec,
    Workload,
};
use carnet_provenance::{Overlay, Query, Registry, SourceFile, View};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use jiff::civil::Date;

const ASK: Ask = Ask {
    api: Api::ChatCompletions,
    stream: true,
};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn files(root: &Path, folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(root, &path));
        } else {
            let name = path
                .strip_prefix(root)
                .expect("inside")
                .display()
                .to_string();
            found.push((name, std::fs::read_to_string(&path).expect("a text")));
        }
    }
    found.sort();
    found
}

fn registry() -> Arc<Registry> {
    let folder = root("registry");
    let sources: Vec<SourceFile> = files(&folder, &folder)
        .into_iter()
        .filter(|(path, _)| path.ends_with(".toml"))
        .map(|(path, text)| SourceFile { path, text })
        .collect();
    Arc::new(Registry::parse(&sources).expect("a good registry"))
}

/// A pack of so many rules: who made it, where it goes, for whom.
fn pack(rules: usize) -> PackSource {
    let mut text = "@id(\"rest\") @title(\"r\") permit (principal, action, resource);\n\
        @id(\"unknown\") @title(\"u\") forbid (principal, action, resource) unless { resource.weights_complete };\n\
        @id(\"place\") @title(\"p\") forbid (principal, action, resource) unless { resource.hosting_complete };\n"
        .to_owned();
    for number in 3..rules {
        let condition = match number % 5 {
            0 => format!("principal.team == \"team-{number}\" && resource in Country::\"KP\""),
            1 => format!(
                "principal.sector == \"sector-{number}\" && resource.weights_countries.contains(\"IR\")"
            ),
            2 => format!("[\"model-{number}\", \"other-{number}\"].contains(resource.model)"),
            3 => format!(
                "principal.contracts.contains(\"contract-{number}\") && resource.jurisdictions.contains(\"RU\")"
            ),
            _ => format!(
                "resource.producer.lists.contains(\"us-1260h\") && principal.tags.contains(\"tag-{number}\")"
            ),
        };
        text += &format!(
            "@id(\"rule-{number}\") @title(\"t\") forbid (principal, action, resource) when {{ {condition} }};\n"
        );
    }
    let manifest = "name = \"bench\"\ntitle = \"Bench\"\n".to_owned();
    let files = vec![
        ("pack.toml".to_owned(), manifest),
        ("rules.cedar".to_owned(), text),
    ];
    PackSource::new("bench", files)
}

fn decider(packs: &[PackSource], view: &Arc<View>, cache_max: usize, plain: bool) -> Decider {
    let policies = Policies::load(packs).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let options = DeciderOptions {
        shadow_every: 0,
        cache_max,
        plain,
    };
    Decider::new(Arc::new(policies), view.clone(), options).expect("good names")
}

fn targets(decider: &Decider, view: &View, day: Date, many: usize) -> Vec<Target> {
    let all = view.models().take(many);
    all.map(|model| {
        let id = model.as_str();
        let resolution = view.resolve(&Query {
            id,
            platform: None,
            host: Some("amazon-bedrock"),
            upstream: None,
            region: Some("us-east-1"),
            as_of: day,
        });
        let spec = TargetSpec {
            name: format!("up/{id}").into(),
            upstream: "up".into(),
            origin: "https://up.test".into(),
            upstream_model: id.into(),
            host: None,
        };
        decider.target(spec, resolution, day)
    })
    .collect()
}

fn callers(decider: &Decider, many: usize) -> Vec<Principal> {
    (0..many)
        .map(|number| {
            decider.principal(&Workload {
                id: format!("w-{number}"),
                team: format!("team-{}", number * 5),
                sector: "government".to_owned(),
                country: Some("US".to_owned()),
                ..Workload::default()
            })
        })
        .collect()
}

fn bench(criterion: &mut Criterion) {
    let view = Arc::new(View::new(registry(), Overlay::default()));
    let day: Date = "2026-11-01".parse().expect("a day");
    let now: Timestamp = "2026-11-01T12:00:00Z".parse().expect("an instant");
    for rules in [20, 200, 1_000] {
        let packs = [pack(rules)];
        for (name, cache_max, plain) in [
            ("remembered", 65_536, false),
            ("on known truth", 0, false),
            ("by Cedar alone", 0, true),
        ] {
            let decider = decider(&packs, &view, cache_max, plain);
            let targets = targets(&decider, &view, day, 64);
            let callers = callers(&decider, 16);
            let mut turn = 0_usize;
            criterion.bench_function(&format!("permits, {rules} rules, {name}"), |bencher| {
                bencher.iter(|| {
                    turn = turn.wrapping_add(1);
                    let target = &targets[turn % targets.len()];
                    let caller = &callers[(turn / targets.len()) % callers.len()];
                    black_box(decider.permits(caller, target, &ASK, now))
                });
            });
            criterion.bench_function(&format!("decide, {rules} rules, {name}"), |bencher| {
                bencher.iter(|| {
                    turn = turn.wrapping_add(1);
                    let target = &targets[turn % targets.len()];
                    let caller = &callers[(turn / targets.len()) % callers.len()];
                    black_box(decider.decide(caller, target, &ASK, &[], now))
                });
            });
        }
    }
    let folder = root("policies");
    let shipped: Vec<PackSource> = std::fs::read_dir(&folder)
        .expect("the packs")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            PackSource::new(name, files(&path, &path))
        })
        .collect();
    criterion.bench_function(&format!("load {} packs", shipped.len()), |bencher| {
        bencher.iter(|| black_box(Policies::load(&shipped).is_ok()));
    });
    let decider = decider(&shipped, &view, 0, false);
    let targets = targets(&decider, &view, day, 64);
    let callers = callers(&decider, 16);
    let mut turn = 0_usize;
    criterion.bench_function("permits, the packs that come with Carnet", |bencher| {
        bencher.iter(|| {
            turn = turn.wrapping_add(1);
            let target = &targets[turn % targets.len()];
            let caller = &callers[(turn / targets.len()) % callers.len()];
            black_box(decider.permits(caller, target, &ASK, now))
        });
    });
}

/// Criterion shows no quantiles of single calls. Here each is timed by itself, with the clock's own time in it:
/// every model of the registry for sixteen callers, in a shuffled order, all of it remembered.
fn quantiles(_: &mut Criterion) {
    let view = Arc::new(View::new(registry(), Overlay::default()));
    let day: Date = "2026-11-01".parse().expect("a day");
    let now: Timestamp = "2026-11-01T12:00:00Z".parse().expect("an instant");
    let decider = decider(&[pack(1_000)], &view, 65_536, false);
    let targets = targets(&decider, &view, day, usize::MAX);
    let callers = callers(&decider, 16);
    let pairs = targets.len() * callers.len();
    let mut times = Vec::with_capacity(pairs);
    for warm in [false, true] {
        for turn in 0..pairs {
            // A step without a factor in common with the number of pairs meets each once.
            let place = turn.wrapping_mul(1_000_003) % pairs;
            let (target, caller) = (
                &targets[place / callers.len()],
                &callers[place % callers.len()],
            );
            let begun = Instant::now();
            let decision = decider.decide(caller, target, &ASK, &[], now);
            let took = begun.elapsed();
            drop(black_box(decision));
            if warm {
                times.push(took.as_nanos());
            }
        }
    }
    times.sort_unstable();
    let line = format!(
        "decide, 1000 rules, {pairs} remembered pairs over the whole registry: p50 {} ns, p99 {} ns, p99.9 {} ns",
        times[pairs / 2],
        times[pairs * 99 / 100],
        times[pairs * 999 / 1_000],
    );
    writeln!(std::io::stdout().lock(), "{line}").expect("a place to write to");
}

criterion_group!(benches, bench, quantiles);
criterion_main!(benches);
