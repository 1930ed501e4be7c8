//! The repository's own registry: it must be free of mistakes, survive being packed, and never call
//! a model clean that the labelled set knows to be otherwise.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_provenance::{Overlay, Query, Registry, SourceFile, View};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Says that a test had nothing to judge, so that it does not count as passed.
#[expect(clippy::print_stdout, reason = "for who runs it by hand")]
fn not_run(test: &str, reason: &str) {
    if let Ok(folder) = std::env::var("CARNET_NOT_RUN") {
        fs::write(Path::new(&folder).join(test), reason).unwrap();
    }
    println!("not run: {reason}");
}

fn toml_files(folder: &Path, root: &Path, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            toml_files(&path, root, found);
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.push(SourceFile {
                path: name,
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

fn registry() -> Registry {
    let root = workspace().join("registry");
    let mut files = Vec::new();
    toml_files(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Registry::parse(&files).unwrap_or_else(|problems| {
        let shown: Vec<String> = problems
            .iter()
            .map(|problem| format!("registry/{problem}"))
            .collect();
        panic!("{} mistakes:\n{}", shown.len(), shown.join("\n"));
    })
}

#[test]
fn the_registry_has_no_mistakes_and_survives_packing() {
    let registry = registry();
    assert!(
        registry.models().count() > 0
            && registry.producers().count() > 0
            && registry.hosts().count() > 0
    );
    let blob = registry.to_blob();
    let again = Registry::from_blob(&blob).unwrap();
    assert_eq!(again.version(), registry.version());
    assert_eq!(again.to_blob(), blob);
    println!(
        "{} models, {} bytes packed",
        registry.models().count(),
        blob.len()
    );
}

#[test]
fn no_labelled_model_is_falsely_clean() {
    let file = workspace().join("../shared/catalogue/truth-dev.jsonl");
    let Ok(text) = fs::read_to_string(&file) else {
        not_run(
            "no_labelled_model_is_falsely_clean",
            "the labelled set is not on this machine",
        );
        return;
    };
    let view = View::new(Arc::new(registry()), Overlay::default());
    let (mut exact, mut identified, mut complete, mut total) = (0, 0, 0, 0);
    let mut false_clean = Vec::new();
    for line in text.lines() {
        let truth: serde_json::Value = serde_json::from_str(line).unwrap();
        let texts = |key: &str| -> BTreeSet<String> {
            truth[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|code| Some(code.as_str()?.to_owned()))
                .collect()
        };
        let id = truth["id"].as_str().unwrap();
        let answer = view.resolve(&Query {
            id,
            platform: truth["platform"].as_str(),
            host: None,
            upstream: None,
            region: None,
            as_of: "2026-11-01".parse().unwrap(),
        });
        let countries: BTreeSet<String> = answer
            .weights_countries
            .iter()
            .map(ToString::to_string)
            .collect();
        let wanted = texts("weights_countries");
        total += 1;
        identified += usize::from(answer.is_identified());
        complete += usize::from(answer.weights_complete);
        let same = countries == wanted
            && answer.weights_complete == truth["countries_complete"].as_bool().unwrap();
        exact += usize::from(same);
        if !same {
            println!(
                "{id}: {countries:?} {} instead of {wanted:?} {}",
                answer.weights_complete, truth["countries_complete"]
            );
        }
        if answer.weights_complete && !wanted.is_subset(&countries) {
            false_clean.push(format!("{id}: {countries:?} lacks some of {wanted:?}"));
        }
    }
    println!("{exact} of {total} exact, {identified} identified, {complete} complete");
    assert!(
        false_clean.is_empty(),
        "falsely clean:\n{}",
        false_clean.join("\n")
    );
}
