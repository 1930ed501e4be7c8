//! Mistakes in files, and the blob.

use std::sync::Arc;

use serde_json::json;

use crate::fixture::{file, files, registry, today};
use crate::{BlobError, Registry, SourceFile};

fn mistakes(more: &[(&str, &str)]) -> Vec<String> {
    let mut all = files();
    for (path, text) in more {
        all.retain(|known| known.path != *path);
        all.push(file(path, text));
    }
    Registry::parse(&all)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

const GOOD: &str =
    "name = \"A\"\nproducer = { value = \"alder\", SAID }\nweights = { value = \"open\", SAID }\n";

#[test]
fn every_kind_of_mistake_has_its_place() {
    for (path, text, expected) in [
        ("models/a.toml", "name = ", "models/a.toml:1:"),
        (
            "models/a.toml",
            "name = \"A\"",
            "models/a.toml:1:1: `weights` is missing",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}colour = 1"),
            "models/a.toml:4:1: unknown key `colour`",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}licence = {{ value = \"M\", source = \"s\", date = \"2025-01-01\" }}"),
            "models/a.toml:4:11: `confidence` is missing",
        ),
        (
            "models/a.toml",
            &format!(
                "{GOOD}licence = {{ value = \"M\", date = \"2025-01-01\", confidence = \"high\" }}"
            ),
            "models/a.toml:4:11: `source` is missing",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}licence = {{ value = \"M\", source = \"s\", confidence = \"high\" }}"),
            "models/a.toml:4:11: `date` is missing",
        ),
        (
            "models/a.toml",
            &format!(
                "{GOOD}licence = {{ value = \"M\", source = \"s\", date = \"2025-13-01\", confidence = \"high\" }}"
            ),
            "`2025-13-01` is not a date",
        ),
        (
            "models/a.toml",
            &format!(
                "{GOOD}licence = {{ value = \"M\", source = \"s\", date = \"2025-01-01\", confidence = \"sure\" }}"
            ),
            "`confidence` cannot be `sure`",
        ),
        (
            "models/a.toml",
            &format!(
                "{GOOD}licence = {{ value = \"M\", SAID, valid_from = \"2025-02-01\", valid_to = \"2025-02-01\" }}"
            ),
            "is not after",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}licence = [{{ value = \"M\", SAID }}, {{ value = \"N\", SAID }}]"),
            "two claims of `licence`",
        ),
        (
            "models/a.toml",
            &GOOD.replace("alder", "elm"),
            "models/a.toml:2:23: there is no producer `elm`",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}lineage_status = {{ value = \"derived\", SAID }}"),
            "no [[base_model]] is named",
        ),
        (
            "models/a.toml",
            &format!(
                "{GOOD}lineage_status = {{ value = \"undisclosed\", SAID }}\nbase_model = [{{ model = \"birch-70b\", relation = \"merge\", SAID }}]"
            ),
            "a [[base_model]] is named",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}base_model = [{{ model = \"nothing\", relation = \"merge\", SAID }}]"),
            "there is no model `nothing`",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}base_model = [{{ model = \"a\", relation = \"merge\", SAID }}]"),
            "`a` descends from itself through `a`",
        ),
        (
            "models/a.toml",
            &format!(
                "{GOOD}base_model = [{{ model = \"birch-70b\", relation = \"child\", SAID }}]"
            ),
            "`relation` cannot be `child`",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}teacher = [{{ SAID }}]"),
            "either a model or a producer",
        ),
        (
            "models/a.toml",
            &format!("{GOOD}alias = [{{ platform = \"openrouter\", id = \"Alder/ALDER-R1\" }}]"),
            "is also claimed by models/alder-r1.toml",
        ),
        ("models/A.toml", GOOD, "`A` cannot be an id"),
        (
            "places/a.toml",
            GOOD,
            "the registry has no place for `places/a.toml`",
        ),
        (
            "producers/a.toml",
            "name = \"A\"\ncountry = { value = \"qx\", SAID }",
            "`qx` is not a country code",
        ),
        (
            "producers/a.toml",
            "name = \"A\"\ncountry = { value = \"QQ\", SAID }",
            "producers/a.toml:2:22: there is no country `QQ`",
        ),
        (
            "producers/a.toml",
            "name = \"A\"\nlist = [{ list = \"none\", SAID }]",
            "there is no list `none`",
        ),
        (
            "hosts/a.toml",
            "name = \"A\"\nkind = \"inference\"\norigins = [\"*.example\"]",
            "`*.example` is not a host name",
        ),
        (
            "hosts/a.toml",
            "name = \"A\"\nkind = \"inference\"\norigins = [\"10.0.0.1\"]",
            "`10.0.0.1` is not a host name",
        ),
        (
            "hosts/a.toml",
            "name = \"A\"\nkind = \"inference\"\nprofile = [{ prefix = \"eu\", regions = [\"x\"], SAID }]",
            "no region `x`",
        ),
        ("aliases/a.toml", "name = \"A\"", "without any [[target]]"),
        (
            "models/a.toml",
            &format!("{GOOD}alias = [{{ platform = \"digest\", id = \"sha256:0A\" }}]"),
            "a digest is `sha256:` and 64 digits",
        ),
    ] {
        let found = mistakes(&[(path, text)]);
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{expected}\n{found:#?}"
        );
    }
}

#[test]
fn all_mistakes_of_all_files_come_out_at_once() {
    let found = mistakes(&[
        ("models/a.toml", "name = 1"),
        ("models/b.toml", "colour = 1"),
        ("producers/c.toml", "nothing = 1"),
    ]);
    for path in ["models/a.toml", "models/b.toml", "producers/c.toml"] {
        assert!(
            found.iter().any(|line| line.starts_with(path)),
            "{path}\n{found:#?}"
        );
    }
}

#[test]
fn a_longer_circle_is_found() {
    let step = |base: &str| {
        format!("{GOOD}base_model = [{{ model = \"{base}\", relation = \"merge\", SAID }}]")
    };
    let found = mistakes(&[
        ("models/a.toml", &step("b")),
        ("models/b.toml", &step("c")),
        ("models/c.toml", &step("a")),
    ]);
    assert_eq!(
        found
            .iter()
            .filter(|line| line.contains("descends from itself"))
            .count(),
        3,
        "{found:#?}"
    );
}

#[test]
fn one_name_may_pass_from_model_to_model() {
    let alias =
        |more: &str| format!("{GOOD}alias = [{{ platform = \"x\", id = \"same\", {more} }}]");
    let passed = [
        ("models/a.toml", alias("valid_to = \"2025-06-01\"")),
        ("models/b.toml", alias("valid_from = \"2025-06-01\"")),
    ];
    let passed: Vec<(&str, &str)> = passed
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    assert_eq!(mistakes(&passed), [""; 0]);
}

#[test]
fn a_blob_is_the_registry() {
    let registry = registry();
    let blob = registry.to_blob();
    let again = Registry::from_blob(&blob).unwrap();
    assert_eq!(
        (again.version(), again.entries()),
        (registry.version(), registry.entries())
    );
    assert_eq!(again.to_blob(), blob);
}

#[test]
fn prices_are_counted_and_exported_by_host() {
    let registry = registry();
    assert_eq!(registry.stats(today()).prices, 4);
    let document = serde_json::to_value(registry.export()).unwrap();
    let [price, ..] = document["prices"]["cloud"].as_array().unwrap().as_slice() else {
        panic!("{document}");
    };
    assert_eq!(
        *price,
        json!({
            "name": "alder.r1-v1:0",
            "currency": "QXA",
            "figures": {
                "input": 2_500_000_000_u64, "output": 10_000_000_000_u64,
                "cached_input": 250_000_000, "cache_write": null,
            },
            "long_prompts": {
                "above": 200_000,
                "figures": {
                    "input": 5_000_000_000_u64, "output": 15_000_000_000_u64,
                    "cached_input": null, "cache_write": null,
                },
            },
            "note": "less at night",
            "evidence": { "source": "https://x.example", "date": "2025-01-01", "confidence": "high" },
            "valid": { "from": null, "to": null },
        })
    );
}

#[test]
fn a_source_of_many_claims_is_kept_once() {
    let registry = Registry::from_blob(&registry().to_blob()).unwrap();
    let source = |id: &str| {
        let producer = registry.producer(id).unwrap();
        producer.country.0[0].evidence.source.clone()
    };
    let (one, other) = (source("alder"), source("birch"));
    assert!(Arc::ptr_eq(&one, &other), "{one} {other}");
}

#[test]
fn a_damaged_blob_is_refused() {
    let blob = registry().to_blob();
    for at in 0..blob.len().min(200) {
        let mut damaged = blob.clone();
        damaged[at] ^= 1;
        assert!(Registry::from_blob(&damaged).is_err(), "byte {at}");
        assert!(Registry::from_blob(&blob[..at]).is_err(), "cut at {at}");
    }
    let mut other = blob;
    other[8] = 9;
    assert!(matches!(
        Registry::from_blob(&other),
        Err(BlobError::OtherForm { found: 9 })
    ));
}

#[test]
fn names_are_producers_models_and_countries() {
    let names = registry().names();
    for name in ["alder", "alder-r1", "QX", "Xland", "Nomad", "birch"] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn a_registry_of_nothing_is_a_registry() {
    let empty: [SourceFile; 0] = [];
    assert_eq!(Registry::parse(&empty).unwrap().models().count(), 0);
}
