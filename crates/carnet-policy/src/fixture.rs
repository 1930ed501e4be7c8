//! Facts and packs that tests are made of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use carnet_provenance::{Confidence, Overlay, Query, Registry, Resolution, SourceFile, View};

use crate::pack::{MANIFEST, PackSource};
use crate::target::{PreparedFact, TargetSpec};
use crate::verdict::FactLine;
use crate::words::Words;

/// Countries that tests speak of; the first two form the group `block`.
pub(crate) const COUNTRIES: [&str; 4] = ["AA", "BB", "CC", "DD"];

/// A pack with these rules and these further lines in its manifest.
pub(crate) fn pack(name: &str, more: &str, rules: &str) -> PackSource {
    let manifest = format!("name = \"{name}\"\ntitle = \"Pack {name}\"\n{more}\n");
    let files = vec![
        (MANIFEST.to_owned(), manifest),
        ("rules.cedar".to_owned(), rules.to_owned()),
    ];
    PackSource::new(name, files)
}

/// The packs that come with Carnet.
pub(crate) fn shipped_packs() -> Vec<PackSource> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        packs.push(PackSource::new(name, files_below(&path, &path)));
    }
    packs.sort_by(|a, b| a.name.cmp(&b.name));
    packs
}

/// Path below `root` and text of every file in a folder.
pub(crate) fn files_below(root: &Path, folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(root, &path));
        } else {
            let inside = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            files.push((inside, std::fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    files
}

pub(crate) fn spec(name: &str) -> TargetSpec {
    let (upstream, model) = name.split_once('/').unwrap();
    TargetSpec {
        name: name.into(),
        upstream: upstream.into(),
        origin: "https://upstream.test".into(),
        upstream_model: model.into(),
        host: None,
    }
}

pub(crate) fn groups() -> BTreeMap<String, Vec<String>> {
    COUNTRIES[..2]
        .iter()
        .map(|country| ((*country).to_owned(), vec!["block".to_owned()]))
        .collect()
}

/// One fact for each thing that the words say.
pub(crate) fn facts(words: &Words) -> Vec<PreparedFact> {
    let countries: Vec<&str> = words.weights_countries.iter().map(String::as_str).collect();
    let fact = |claim: &str, value: &str, lenient| PreparedFact {
        line: Arc::new(FactLine {
            claim: claim.to_owned(),
            value: value.to_owned(),
            source: "https://source.test".to_owned(),
            date: "2026-01-01".parse().ok(),
            confidence: Confidence::High,
            attested: None,
        }),
        lenient,
    };
    let said = |known: bool| if known { "true" } else { "false" };
    vec![
        fact("identity", &words.model, false),
        fact("producer.country", &words.producer.country, false),
        fact("weights_countries", &countries.join(", "), false),
        fact(
            "weights_complete",
            said(words.weights_complete),
            words.overlay,
        ),
        fact("teachers_complete", said(words.teachers_complete), false),
        fact("hosting_complete", said(words.hosting_complete), false),
        fact("host", &words.host, false),
        fact("egress", &words.egress, false),
        fact("weights", &words.weights, false),
    ]
}

/// The text without the digests, which change with every rule.
pub(crate) fn without_digests(text: &str) -> String {
    let words: Vec<&str> = text
        .split(' ')
        .map(|word| {
            if word.starts_with("sha256:") {
                "sha256:…"
            } else {
                word
            }
        })
        .collect();
    words.join(" ")
}

/// The registry that comes with Carnet.
pub(crate) fn shipped_registry() -> Arc<Registry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry");
    let files = files_below(&folder, &folder)
        .into_iter()
        .filter(|(path, _)| path.ends_with(".toml"));
    let files: Vec<SourceFile> = files
        .map(|(path, text)| SourceFile { path, text })
        .collect();
    Arc::new(Registry::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

/// A registry with the countries above, one producer and one model.
const REGISTRY: [(&str, &str); 3] = [
    (
        "jurisdictions.toml",
        r#"
        [[country]]
        code = "AA"
        name = "Aland"
        [[country]]
        code = "BB"
        name = "Bland"
        [[country]]
        code = "CC"
        name = "Cland"
        [[country]]
        code = "DD"
        name = "Dland"
        [[group]]
        id = "block"
        name = "The block"
        members = ["AA", "BB"]
        source = "https://source.test"
        date = "2026-01-01"
        "#,
    ),
    (
        "producers/acme.toml",
        r#"
        name = "Acme"
        country = { value = "AA", source = "https://source.test", date = "2026-01-01", confidence = "high" }
        "#,
    ),
    (
        "models/acme-1.toml",
        r#"
        name = "Acme-1"
        producer = { value = "acme", source = "https://source.test", date = "2026-01-01", confidence = "high" }
        weights = { value = "open", source = "https://source.test", date = "2026-01-01", confidence = "high" }
        lineage_status = { value = "first-party-none-known", source = "https://source.test", date = "2026-01-01", confidence = "high" }
        "#,
    ),
];

pub(crate) fn view() -> Arc<View> {
    let files = REGISTRY.map(|(path, text)| SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    });
    let registry = Registry::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Arc::new(View::new(Arc::new(registry), Overlay::default()))
}

/// What is known of an id on the first day of 2026.
pub(crate) fn resolve(view: &View, id: &str) -> Resolution {
    let as_of = "2026-01-01".parse().unwrap();
    view.resolve(&Query {
        id,
        platform: None,
        host: None,
        upstream: None,
        region: None,
        as_of,
    })
}
