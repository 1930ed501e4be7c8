//! What files say, weighed: lines put together, contradictions told, and never complete.

use crate::claim::Confidence;
use crate::fixture::{asking, countries, view, view_with};
use crate::registry::entry::{LineageStatus, Relation};
use crate::resolution::Resolution;
use crate::statements::{BaseStated, FileStatements, OwnName, Stated};

const CARD: &str = "README.md base_model";
const HEADER: &str = "x.gguf general.base_model";

fn named(value: &str) -> OwnName {
    OwnName {
        value: value.to_owned(),
        place: "the folder's name".to_owned(),
        platform: "file",
        outside: true,
    }
}

fn base(value: &str) -> BaseStated {
    at(CARD, value)
}

fn at(place: &str, value: &str) -> BaseStated {
    BaseStated {
        value: value.to_owned(),
        place: place.to_owned(),
        relation: None,
    }
}

fn says(names: &[&str], bases: &[BaseStated]) -> FileStatements {
    FileStatements {
        names: names.iter().map(|name| named(name)).collect(),
        bases: bases.to_vec(),
        ..FileStatements::default()
    }
}

fn resolved(says: &FileStatements) -> Resolution {
    let answer = view().resolve_files(says, &asking("./some/path"));
    assert_eq!(answer.id, "./some/path");
    assert_eq!(answer.platform.as_deref(), Some("file"));
    assert!(
        !answer.weights_complete,
        "on a file's own word: {answer:#?}"
    );
    assert!(!answer.teachers_complete);
    assert_eq!(answer.canonical, None);
    assert!(answer.candidates.iter().all(|one| !one.identified));
    answer
}

/// Hop, model, relation and confidence of each step.
fn line(answer: &Resolution) -> Vec<(u8, &str, &str, Confidence)> {
    let lineage = answer.lineage.iter();
    lineage
        .map(|one| {
            (
                one.hop,
                one.model.as_str(),
                one.relation.as_str(),
                one.confidence,
            )
        })
        .collect()
}

fn told(answer: &Resolution, words: &str) -> bool {
    answer.steps.iter().any(|step| step.contains(words))
}

#[test]
fn a_stated_base_is_the_first_step_and_the_registry_s_line_follows() {
    let answer = resolved(&says(&["my-own-thing"], &[base("birch-ai/Birch-1776")]));
    assert_eq!(
        line(&answer),
        [
            (1, "birch-1776", "finetune", Confidence::Low),
            (2, "alder-r1", "finetune", Confidence::High),
            (3, "alder-base", "finetune", Confidence::High),
        ]
    );
    assert_eq!(
        answer.lineage[0].source,
        "the file's own statement: README.md base_model"
    );
    assert_eq!(answer.lineage[0].country.unwrap().as_str(), "QY");
    assert_eq!(countries(&answer), ["QX", "QY"]);
    assert_eq!(answer.lineage_status, LineageStatus::Derived);
    assert_eq!(answer.confidence, Confidence::Low);
    assert_eq!(answer.producer, None);
    assert!(answer.disputed.is_empty(), "{:#?}", answer.disputed);
    assert!(told(&answer, "never make an answer complete"));
}

#[test]
fn addresses_of_the_hub_are_read_as_its_repositories() {
    for value in [
        "alder-lab/Alder-Base",
        "https://huggingface.co/alder-lab/Alder-Base",
        "https://huggingface.co/alder-lab/Alder-Base/tree/main?x=1",
        "http://www.hf.co/alder-lab/Alder-Base/",
        " alder-lab/Alder-Base ",
    ] {
        let answer = resolved(&says(&[], &[base(value)]));
        assert_eq!(
            line(&answer),
            [(1, "alder-base", "finetune", Confidence::Low)],
            "{value}"
        );
        assert!(
            told(&answer, ": `alder-base`"),
            "{value}: {:#?}",
            answer.steps
        );
    }
}

#[test]
fn a_place_on_a_disk_is_only_a_name() {
    for value in [
        "/data/models/alder-base",
        "./alder-base",
        "~/alder-base/",
        "C:\\models\\alder-base",
        "outputs/run-1/alder-base",
        "https://elsewhere.example/models/alder-base",
        "alder-base",
    ] {
        let answer = resolved(&says(&[], &[base(value)]));
        assert_eq!(answer.lineage[0].model.as_str(), "alder-base", "{value}");
        assert!(
            told(&answer, "by the name alone"),
            "{value}: {:#?}",
            answer.steps
        );
        assert_eq!(countries(&answer), ["QX"]);
    }
}

#[test]
fn an_unknown_base_is_told_and_not_left_out() {
    let answer = resolved(&says(&[], &[base("some/thing-7b")]));
    assert_eq!(
        line(&answer),
        [(1, "some/thing-7b", "finetune", Confidence::Low)]
    );
    assert_eq!(answer.lineage[0].producer, None);
    assert_eq!(answer.confidence, Confidence::Unknown);
    assert!(countries(&answer).is_empty());
    // A family's word counts as far as it can do harm.
    let answer = resolved(&says(&[], &[base("some/birch-mini")]));
    assert_eq!(countries(&answer), ["QY"]);
    assert!(told(&answer, "family word"));
}

#[test]
fn bases_without_relation_are_a_merge_and_both_count() {
    let both = [
        base("alder-lab/Alder-Base"),
        base("birch-ai/Birch-70B-Instruct"),
    ];
    let answer = resolved(&says(&["odd-mix"], &both));
    let relations: Vec<_> = answer.lineage.iter().map(|one| one.relation).collect();
    assert_eq!(relations, [Relation::Merge, Relation::Merge]);
    assert_eq!(countries(&answer), ["QX", "QY"]);
    assert!(
        answer.disputed.is_empty(),
        "a list does not contradict itself"
    );
}

#[test]
fn the_relation_is_the_stated_one_or_read_from_the_form() {
    let relation = |says: &FileStatements| resolved(says).lineage[0].relation;
    let base_70b = || base("birch-ai/Birch-70B-Instruct");
    let mut one = says(&["Birch-70B-Instruct-Q4_K_M"], &[base_70b()]);
    assert_eq!(relation(&one), Relation::Quantized);
    one.names = vec![named("Birch-70B-Instruct")];
    assert_eq!(relation(&one), Relation::Finetune);
    one.quantized = true;
    assert_eq!(relation(&one), Relation::Quantized);
    one.names = vec![named("Birch-70B-Instruct-Poet-Q4_K_M")];
    assert_eq!(relation(&one), Relation::Finetune);
    one.adapter = true;
    assert_eq!(relation(&one), Relation::Adapter);
    one.bases[0].relation = Some(Relation::Merge);
    assert_eq!(relation(&one), Relation::Merge);
}

#[test]
fn two_places_that_say_the_same_are_one_step() {
    let mut second = at(
        "adapter_config.json base_model_name_or_path",
        "birch-ai/Birch-70B-Instruct",
    );
    second.relation = Some(Relation::Adapter);
    let answer = resolved(&says(&[], &[base("birch-ai/Birch-70B-Instruct"), second]));
    assert_eq!(
        line(&answer),
        [(1, "birch-70b", "adapter", Confidence::Low)]
    );
    assert_eq!(
        answer.lineage[0].source,
        "the file's own statement: adapter_config.json base_model_name_or_path; README.md base_model"
    );
}

#[test]
fn name_and_statement_that_fit_the_registry_are_medium() {
    // The file bears the name of a model that the registry derives from what is stated.
    let answer = resolved(&says(&["Birch-1776"], &[base("alder/alder-r1")]));
    assert_eq!(
        line(&answer),
        [
            (1, "alder-r1", "finetune", Confidence::Medium),
            (2, "alder-base", "finetune", Confidence::High),
        ]
    );
    assert_eq!(countries(&answer), ["QX", "QY"]);
    assert_eq!(answer.confidence, Confidence::Medium);
    assert_eq!(
        answer.candidates[0].model.as_ref().unwrap().as_str(),
        "birch-1776"
    );
    assert!(
        answer.lineage[0]
            .source
            .starts_with("the file's own statement")
    );
    // The name of the stated base itself: a copy with fewer bits.
    let answer = resolved(&says(
        &["Birch-70B-Instruct-Q8_0"],
        &[base("birch-ai/Birch-70B-Instruct")],
    ));
    assert_eq!(
        line(&answer),
        [(1, "birch-70b", "quantized", Confidence::Medium)]
    );
    // A name within proves nothing beside another statement within.
    let mut inside = says(&["Birch-1776"], &[base("alder/alder-r1")]);
    inside.names[0].outside = false;
    assert_eq!(resolved(&inside).confidence, Confidence::Low);
}

#[test]
fn contradictions_are_told_and_every_line_counts() {
    let files = says(
        &["closed-1"],
        &[
            base("alder-lab/Alder-Base"),
            at(HEADER, "birch-ai/Birch-70B-Instruct"),
        ],
    );
    let answer = resolved(&files);
    assert_eq!(countries(&answer), ["QX", "QY", "QZ"]);
    assert_eq!(answer.disputed.len(), 3, "{:#?}", answer.disputed);
    assert!(told(
        &answer,
        "README.md base_model: `alder-lab/Alder-Base` and x.gguf general.base_model: `birch-ai/Birch-70B-Instruct` contradict each other"
    ));
    assert!(told(&answer, "the folder's name: `closed-1`"));
    assert_eq!(answer.confidence, Confidence::Low);
}

#[test]
fn what_stands_in_one_line_contradicts_nothing() {
    let files = says(
        &["alder-r1"],
        &[base("alder-lab/Alder-Base"), at(HEADER, "alder/alder-r1")],
    );
    assert!(resolved(&files).disputed.is_empty());
    // Two spellings of the same unknown one.
    let files = says(
        &[],
        &[
            base("some/Thing-7B"),
            at(HEADER, "https://huggingface.co/some/thing-7b"),
        ],
    );
    assert!(resolved(&files).disputed.is_empty());
    let files = says(&[], &[base("some/thing-7b"), at(HEADER, "some/other-7b")]);
    assert_eq!(resolved(&files).disputed.len(), 1);
}

#[test]
fn a_maker_that_is_named_changes_nothing_but_is_told() {
    let mut files = says(&[], &[base("birch-ai/Birch-70B-Instruct")]);
    for value in ["cedrus", "Cedrus"] {
        files.makers = vec![Stated {
            value: value.to_owned(),
            place: "x.gguf general.organization".to_owned(),
        }];
        let answer = resolved(&files);
        assert!(
            told(&answer, "the producer cedrus (QZ)"),
            "{:#?}",
            answer.steps
        );
        assert_eq!(countries(&answer), ["QY"]);
        assert_eq!(answer.producer, None);
    }
    files.makers[0].value = "Somebody".to_owned();
    assert!(!told(&resolved(&files), "Somebody"));
}

#[test]
fn with_names_alone_the_answer_is_that_of_the_name() {
    let answer = resolved(&says(&["Birch-1776-Q4_K_M"], &[]));
    assert_eq!(
        answer.candidates[0].model.as_ref().unwrap().as_str(),
        "birch-1776"
    );
    assert_eq!(countries(&answer), ["QX", "QY"]);
    assert_eq!(answer.confidence, Confidence::Low);
    let answer = resolved(&says(&["nonsense"], &[]));
    assert_eq!(answer.candidates.len(), 1);
    assert_eq!(answer.confidence, Confidence::Unknown);
    assert!(told(&answer, "nothing here says what the model comes from"));
    let answer = resolved(&FileStatements::default());
    assert!(countries(&answer).is_empty());
}

const MAPPED: &str = "[[deployment]]\nid = \"house.gguf\"\nmodel = \"birch-1776\"\n";

#[test]
fn the_operator_s_mapping_of_the_name_completes() {
    let view = view_with(MAPPED);
    let files = says(&["House.gguf"], &[base("alder/alder-r1")]);
    let answer = view.resolve_files(&files, &asking("models/House.gguf"));
    assert!(answer.weights_complete, "{answer:#?}");
    assert_eq!(answer.id, "models/House.gguf");
    assert_eq!(answer.canonical.as_deref(), Some("birch-1776"));
    assert!(told(&answer, "the operator maps"));
}

#[test]
fn a_mapping_that_the_file_contradicts_completes_nothing() {
    let view = view_with(MAPPED);
    for (value, all) in [
        ("closed-one", &["QX", "QY", "QZ"][..]),
        ("some/thing-7b", &["QX", "QY"]),
    ] {
        let files = says(&["house.gguf"], &[base(value)]);
        let answer = view.resolve_files(&files, &asking("house.gguf"));
        assert!(!answer.weights_complete, "{value}");
        assert_eq!(answer.disputed.len(), 1, "{value}");
        assert_eq!(countries(&answer), all, "{value}");
        assert!(answer.confidence <= Confidence::Low);
    }
}

#[test]
fn documents_are_on_file_for_what_the_file_does_not_contradict() {
    let why = "reason = \"r\"\nauthor = \"a\"\nuntil = \"2026-12-31\"\n";
    let documents = "[[model]]\nid = \"birch-1776\"\ndocuments = [\"training-summary\"]\n";
    let view = view_with(&format!("{MAPPED}{documents}{why}"));
    for (base_model, expected) in [
        ("alder/alder-r1", "training-summary"),
        ("closed-one", "unknown"),
    ] {
        let files = says(&["house.gguf"], &[base(base_model)]);
        let answer = view.resolve_files(&files, &asking("house.gguf"));
        let candidate = &answer.candidates[0];
        let known = candidate.documents.is_some();
        assert_eq!(known, expected != "unknown", "{base_model}");
        let facts = candidate.facts.iter();
        let values: Vec<&str> = facts
            .filter(|fact| fact.claim == "documents")
            .map(|fact| fact.value.as_str())
            .collect();
        assert_eq!(values, [expected], "{base_model}");
    }
}

#[test]
fn a_name_within_the_file_does_not_get_the_operator_s_word() {
    let mut files = says(&["house.gguf"], &[]);
    files.names[0].outside = false;
    let answer = view_with(MAPPED).resolve_files(&files, &asking("./x"));
    assert!(!answer.weights_complete);
}

#[test]
fn the_operator_may_name_a_base_that_the_registry_does_not_know() {
    let view = view_with("[[deployment]]\nid = \"some/thing-7b\"\nmodel = \"birch-70b\"\n");
    let files = says(&[], &[base("some/thing-7b")]);
    let answer = view.resolve_files(&files, &asking("./x"));
    assert_eq!(answer.lineage[0].model.as_str(), "birch-70b");
    assert!(!answer.weights_complete);
}
