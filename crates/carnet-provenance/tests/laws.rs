//! Laws that hold for every name of the repository's own registry, not only for made-up ones.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use carnet_provenance::{Confidence, Overlay, Query, Registry, Resolution, SourceFile, View};
use jiff::civil::Date;
use proptest::prelude::*;

static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(common::registry()));
static VIEW: LazyLock<View> = LazyLock::new(|| View::new(REGISTRY.clone(), Overlay::default()));

fn today() -> Date {
    "2026-11-25".parse().unwrap()
}

fn resolve(view: &View, id: &str, platform: Option<&str>) -> Resolution {
    view.resolve(&Query {
        id,
        platform,
        host: None,
        upstream: None,
        region: None,
        as_of: today(),
    })
}

fn countries(answer: &Resolution) -> Vec<String> {
    answer
        .weights_countries
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Fails with all that was found wrong.
fn none_of(wrong: &[String]) {
    let (count, list) = (wrong.len(), wrong.join("\n"));
    assert!(wrong.is_empty(), "{count} names:\n{list}");
}

/// Every name on every platform that a file lists, with the platform.
fn names() -> Vec<(String, String)> {
    let of_models = REGISTRY.models().flat_map(|model| &model.aliases);
    let of_moving = REGISTRY.moving_aliases().flat_map(|moving| &moving.aliases);
    let mut names: Vec<(String, String)> = of_models
        .chain(of_moving)
        // Of a digest every digit counts.
        .filter(|alias| !["*", "digest"].contains(&alias.platform.as_str()))
        .map(|alias| (alias.platform.clone(), alias.id.clone()))
        .collect();
    names.sort();
    names
}

/// Names that files describe by their parts, with the model. Where there are sizes a name has one:
/// without it several models may share it.
fn built_names() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for model in REGISTRY.models() {
        for family in &model.names {
            let mut of_family = vec![family.stem.clone()];
            if !family.sizes.is_empty() {
                of_family = family
                    .sizes
                    .iter()
                    .map(|size| format!("{}-{size}", family.stem))
                    .collect();
            }
            let first = of_family.first().cloned().unwrap_or_default();
            of_family.extend(family.words.iter().map(|word| format!("{first}-{word}")));
            // A colon would be read as a tag.
            names.extend(
                of_family
                    .into_iter()
                    .map(|name| (model.id.to_string(), name.replace(':', "-"))),
            );
        }
    }
    names
}

#[test]
fn every_listed_name_is_identified_and_letter_case_changes_nothing() {
    let mut wrong = Vec::new();
    for (platform, id) in names() {
        let answer = resolve(&VIEW, &id, Some(&platform));
        let loud = resolve(&VIEW, &id.to_ascii_uppercase(), Some(&platform));
        if !answer.is_identified() {
            wrong.push(format!(
                "{platform} {id}: not identified: {:?}",
                answer.steps
            ));
        } else if (&answer.canonical, countries(&answer)) != (&loud.canonical, countries(&loud)) {
            wrong.push(format!("{platform} {id}: letter case changes the answer"));
        }
    }
    none_of(&wrong);
}

#[test]
fn regions_and_storage_change_no_country() {
    let mut wrong = Vec::new();
    for (platform, id) in names() {
        let plain = resolve(&VIEW, &id, Some(&platform));
        let variants: Vec<String> = match platform.as_str() {
            "bedrock" if !id.starts_with("arn:") => ["us.", "eu.", "global.", "us-gov."]
                .iter()
                .filter(|prefix| !id.starts_with(**prefix))
                .map(|prefix| format!("{prefix}{id}"))
                .collect(),
            "huggingface" if !id.contains([':', '@']) => ["-GGUF", "-AWQ", "-FP8", "-Q4_K_M-GGUF"]
                .iter()
                .map(|end| format!("{id}{end}"))
                .collect(),
            _ => continue,
        };
        for variant in variants {
            let answer = resolve(&VIEW, &variant, Some(&platform));
            if countries(&answer) != countries(&plain) {
                wrong.push(format!(
                    "{platform} {variant}: {:?} instead of {:?}",
                    countries(&answer),
                    countries(&plain)
                ));
            }
        }
    }
    none_of(&wrong);
}

#[test]
fn a_word_that_changes_the_lineage_is_never_lost() {
    let mut wrong = Vec::new();
    let listed: BTreeSet<String> = names()
        .into_iter()
        .map(|(_, id)| id.to_ascii_lowercase())
        .collect();
    for (model, name) in built_names() {
        for word in [
            "abliterated",
            "uncensored",
            "distill-other",
            "merge",
            "chimera",
            "somebodys-tune",
        ] {
            let changed = format!("{name}-{word}");
            if listed.contains(&changed.to_ascii_lowercase()) {
                continue;
            }
            // A node of this very name is another model, and right.
            if resolve(&VIEW, &changed, None).canonical.as_deref() == Some(&model) {
                wrong.push(format!("{changed} is read as {model}"));
            }
        }
    }
    none_of(&wrong);
}

#[test]
fn every_name_that_is_described_by_its_parts_leads_to_its_model() {
    let mut wrong = Vec::new();
    for (model, name) in built_names() {
        let answer = resolve(&VIEW, &name, None);
        let canonical = answer.canonical.unwrap_or_default();
        let moves = REGISTRY
            .moving_aliases()
            .any(|moving| moving.id == canonical);
        if canonical != model && !moves {
            wrong.push(format!(
                "{name} of {model} is read as `{canonical}`: {:?}",
                answer.steps.last()
            ));
        }
    }
    none_of(&wrong);
}

/// Names under which anybody may publish, or that bear what a maker never published.
#[test]
fn somebody_elses_name_is_never_a_makers() {
    for (platform, id) in [
        ("", "Llama-3-8B-Instruct-262k"),
        ("", "mistral-7b-128k"),
        ("", "deepseek-v3-20250324"),
        ("", "mistral-7b-instruct-20250101"),
        ("", "gpt-4o-2024-13-40"),
        ("", "llama-3.1-70b-lightning"),
        ("huggingface", "togethercomputer/LLaMA-2-7B-32K"),
        ("huggingface", "ps/Qwen3-8B"),
        ("huggingface", "route/Qwen3-8B"),
        ("huggingface", "cerebras/Llama-3.1-8B"),
        ("huggingface", "huihui-ai/Llama-3.1-8B-Instruct"),
        ("huggingface", "failspy/Meta-Llama-3-70B-Instruct"),
        ("huggingface", "evil/meta-llama/Llama-3.1-8B-Instruct"),
        ("huggingface", "meta-llama/Llama-3.1-8B-Instruct@refs/pr/7"),
        ("ollama", "evil.com:5000/llama3.1:8b"),
        ("ollama", "localhost:5000/evil/llama3.1:8b"),
        ("ollama", "evil.com/llama3.1:8b"),
        ("fireworks", "evil/gpt-oss-20b"),
        ("azure", "evil/gpt-4o"),
        (
            "azure",
            "azureml://registries/evil/models/llama-3.1-8b-instruct",
        ),
        ("nano-gpt", "evil/meta-llama/llama-3.3-70b-instruct"),
    ] {
        let answer = resolve(&VIEW, id, Some(platform).filter(|name| !name.is_empty()));
        assert!(
            !answer.weights_complete && !answer.is_identified(),
            "{platform} {id}: {:?}",
            answer.steps
        );
    }
}

#[test]
fn nothing_is_complete_that_lacks_a_source() {
    for model in REGISTRY.models() {
        let answer = resolve(&VIEW, model.id.as_str(), None);
        if !answer.weights_complete {
            continue;
        }
        for candidate in &answer.candidates {
            let producer = candidate
                .producer
                .as_ref()
                .unwrap_or_else(|| panic!("{}: no producer", model.id));
            assert!(
                !producer.source.is_empty() && producer.country.is_some(),
                "{}",
                model.id
            );
            for ancestor in &candidate.lineage {
                assert!(
                    !ancestor.source.is_empty() && ancestor.country.is_some(),
                    "{}",
                    model.id
                );
                assert!(ancestor.confidence > Confidence::Unknown, "{}", model.id);
            }
        }
    }
}

/// An overlay that gives one producer another country.
fn overlay(producer: &str, country: &str) -> Overlay {
    let text = format!(
        "[[producer]]\nid = \"{producer}\"\ncountry = \"{country}\"\nreason = \"r\"\nauthor = \"a\"\nuntil = \"2027-01-01\"\n"
    );
    let files = [SourceFile {
        path: "mine.toml".to_owned(),
        text,
    }];
    Overlay::parse(&files, &REGISTRY, today()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_overlay_changes_only_what_it_names(at in any::<proptest::sample::Index>()) {
        let producers: Vec<String> = REGISTRY.producers().map(|one| one.id.to_string()).collect();
        let chosen = at.get(&producers);
        let changed = View::new(REGISTRY.clone(), overlay(chosen, "AQ"));
        for model in REGISTRY.models() {
            let (before, after) = (
                resolve(&VIEW, model.id.as_str(), None),
                resolve(&changed, model.id.as_str(), None),
            );
            let named = before.candidates.iter().any(|one| {
                one.weights_producers.iter().any(|id| id.as_str() == chosen)
                    || one.producer.as_ref().is_some_and(|party| party.id.as_ref().is_some_and(|id| id.as_str() == chosen))
            });
            prop_assert_eq!(before.canonical, after.canonical);
            if !named {
                prop_assert_eq!(before.weights_countries, after.weights_countries, "{}", model.id);
                prop_assert_eq!(before.weights_complete, after.weights_complete, "{}", model.id);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_has_an_answer_and_reading_it_again_changes_nothing(
        id in ".{0,80}",
        platform in proptest::option::of(proptest::sample::select(vec![
            "azure", "bedrock", "file", "fireworks", "huggingface", "ollama", "openrouter", "vertex", "nano-gpt",
        ])),
    ) {
        let answer = resolve(&VIEW, &id, platform);
        prop_assert_eq!(&answer.id, &id);
        prop_assert!(!answer.steps.is_empty());
        // What a name was read as is a name of the same thing.
        if let Some(canonical) = &answer.canonical {
            let again = resolve(&VIEW, canonical, None);
            prop_assert_eq!(again.canonical.as_ref(), Some(canonical));
        }
    }
}
