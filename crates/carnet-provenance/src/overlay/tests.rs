//! The operator's facts: what they change, when they loosen, and that they end.

use crate::fixture::{asking, countries, day, refused, registry, today, view, view_with};
use crate::{Egress, Origin, Overlay, Query, SourceFile, suggest_overlay};

const WHY: &str = "reason = \"read the contract\"\nauthor = \"ann\"\nuntil = \"2026-03-31\"\n";

fn entry(text: &str) -> String {
    format!("{text}\n{WHY}")
}

#[test]
fn mapping_a_free_name_needs_no_reason() {
    let view =
        view_with("[[deployment]]\nid = \"my-GPT\"\nupstream = \"eu\"\nmodel = \"alder-r1\"");
    let ask = |upstream| {
        view.resolve(&Query {
            upstream,
            platform: Some("azure"),
            ..asking("My-gpt")
        })
    };
    let mapped = ask(Some("eu"));
    assert!(mapped.is_identified() && mapped.weights_complete);
    let identity = &mapped.candidates[0].facts[0];
    assert_eq!(
        (identity.claim.as_str(), identity.source.as_str()),
        ("identity", "operator")
    );
    assert!(matches!(
        identity.origin,
        Origin::Operator {
            loosening: false,
            ..
        }
    ));
    assert!(!ask(None).is_identified() && !ask(Some("us")).is_identified());
}

#[test]
fn what_loosens_must_be_explained() {
    for (text, word) in [
        (
            "[[model]]\nid = \"hidden-1\"\ncomplete = true",
            "completes the line",
        ),
        (
            "[[model]]\nid = \"new-1\"\nproducer = \"birch\"\ncomplete = true",
            "completes the line",
        ),
        (
            "[[model]]\nid = \"birch-1776\"\nbase_models = []",
            "removes an ancestor",
        ),
        (
            "[[model]]\nid = \"alder-r1\"\nproducer = \"birch\"",
            "producer",
        ),
        (
            "[[model]]\nid = \"closed-1\"\nweights = \"open\"",
            "weights are open",
        ),
        (
            "[[model]]\nid = \"alder-r1-distill-birch-70b\"\nteachers = []",
            "removes a teacher",
        ),
        (
            "[[producer]]\nid = \"nomad\"\ncountry = \"QY\"",
            "completes the producer's country",
        ),
        (
            "[[producer]]\nid = \"alder\"\ncountry = \"QY\"",
            "replaces the producer's country",
        ),
        (
            "[[model]]\nid = \"birch-70b\"\ndocuments = [\"copyright-policy\"]",
            "which documents are on file",
        ),
        (
            "[[host]]\nid = \"box\"\negress = \"none\"",
            "does not leave",
        ),
        (
            "[[host]]\nid = \"cloud\"\ntrains_on_prompts = false",
            "does not train on prompts",
        ),
        (
            "[[host]]\nid = \"mine\"\ncountry = \"QY\"\nregions = [{ id = \"a\", country = \"QY\" }]\ncomplete = true",
            "completes where",
        ),
        (
            "[[host]]\nid = \"cloud\"\nregions = [{ id = \"eu-central-1\", country = \"QX\" }]",
            "removes or moves a region",
        ),
        (
            "[[host]]\nid = \"orphan\"\nparent_country = \"QY\"",
            "parent",
        ),
        (
            "[[host]]\nid = \"passer\"\nkind = \"inference\"",
            "kind of the host",
        ),
        (
            "[[host]]\nid = \"cloud\"\nplatform = \"x\"",
            "how model ids are read",
        ),
        (
            "[[deployment]]\nid = \"Alder-R1\"\nmodel = \"birch-70b\"",
            "another meaning",
        ),
    ] {
        let problems = refused(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].contains(word), "{text}: {problems:?}");
        for line in ["reason = ", "author = ", "until = \"2026-04-01\""] {
            assert!(problems[0].contains(line), "{problems:?}");
        }
        assert_eq!(refused(&entry(text)), [""; 0], "{text}");
    }
}

#[test]
fn a_known_name_keeps_its_meaning_however_it_is_written() {
    for id in [
        "alder-r1:8b",
        "us.alder.r1-v1:0",
        "alder/alder-r1:free",
        "hub/ALDER_R1-GGUF",
        "alder-chat",
    ] {
        let problems = refused(&format!(
            "[[deployment]]\nid = \"{id}\"\nmodel = \"birch-70b\""
        ));
        assert!(
            problems
                .iter()
                .any(|problem| problem.contains("another meaning")),
            "{id}: {problems:?}"
        );
    }
}

#[test]
fn what_only_tightens_needs_no_reason() {
    for text in [
        "[[model]]\nid = \"birch-70b\"\nbase_models = [{ model = \"alder-base\", relation = \"finetune\" }]",
        "[[model]]\nid = \"birch-70b\"\ncomplete = false",
        "[[model]]\nid = \"new-1\"\nproducer = \"birch\"",
        "[[producer]]\nid = \"new\"\ncountry = \"QY\"",
        "[[host]]\nid = \"cloud\"\negress = \"external\"",
        "[[host]]\nid = \"cloud\"\ntrains_on_prompts = true",
        "[[host]]\nid = \"mine\"\ncountry = \"QY\"\noperator = \"me\"\nkind = \"local\"",
        "[[deployment]]\nid = \"alder-r1\"\nmodel = \"alder-r1\"",
    ] {
        assert_eq!(refused(text), [""; 0], "{text}");
    }
    let view = view_with(
        "[[model]]\nid = \"birch-70b\"\nbase_models = [{ model = \"alder-base\", relation = \"finetune\" }]",
    );
    let answer = view.resolve(&asking("birch-70b"));
    assert_eq!(
        (countries(&answer), answer.weights_complete),
        (vec!["QX", "QY"], true)
    );
}

#[test]
fn a_loosening_entry_shows_and_ends() {
    let view = view_with(&entry(
        "[[model]]\nid = \"hidden-1\"\nbase_models = [{ model = \"alder-base\", relation = \"finetune\" }]\ncomplete = true",
    ));
    let ask = |date| {
        view.resolve(&Query {
            as_of: day(date),
            ..asking("hidden-1")
        })
    };
    let during = ask("2026-03-31");
    assert_eq!(
        (countries(&during), during.weights_complete),
        (vec!["QX", "QY"], true)
    );
    assert_eq!(during.valid_until(), Some(day("2026-04-01")));
    let complete = during.candidates[0]
        .facts
        .iter()
        .find(|fact| fact.claim == "weights_complete")
        .unwrap();
    assert!(
        matches!(&complete.origin, Origin::Operator { loosening: true, author: Some(author), .. } if author == "ann")
    );
    let after = ask("2026-04-01");
    assert_eq!(
        (countries(&after), after.weights_complete),
        (vec!["QY"], false)
    );
}

#[test]
fn documents_are_on_file_for_the_version_named_until_the_entry_ends() {
    let view = view_with(&entry(
        "[[model]]\nid = \"birch-70b\"\ndocuments = [\"training-summary\", \"copyright-policy\"]",
    ));
    let ask = |id, date| {
        let answer = view.resolve(&Query {
            as_of: day(date),
            ..asking(id)
        });
        let until = answer.valid_until();
        let candidate = answer.candidates.into_iter().next().unwrap();
        let mut facts = candidate.facts.into_iter();
        let fact = facts.find(|fact| fact.claim == "documents").unwrap();
        (candidate.documents, fact, until)
    };
    let (documents, fact, until) = ask("birch-70b", "2026-03-31");
    let documents: Vec<String> = documents.unwrap().into_iter().collect();
    assert_eq!(documents, ["copyright-policy", "training-summary"]);
    assert_eq!(fact.value, "copyright-policy, training-summary");
    assert_eq!(fact.source, "operator");
    assert!(matches!(
        fact.origin,
        Origin::Operator {
            loosening: true,
            ..
        }
    ));
    assert_eq!(until, Some(day("2026-04-01")));
    // After the last day, for what came from it, and for a guess, nobody says.
    for (id, date) in [
        ("birch-70b", "2026-04-01"),
        ("nomad-tune", "2026-03-31"),
        ("somebody/birch-70b", "2026-03-31"),
        ("birch-9", "2026-03-31"),
    ] {
        let (documents, fact, _) = ask(id, date);
        assert_eq!(documents, None, "{id} {date}");
        assert_eq!(
            (fact.value.as_str(), fact.origin),
            ("unknown", Origin::Registry)
        );
    }
}

#[test]
fn documents_may_be_none_and_must_be_sure() {
    for (more, documents, value) in [
        ("documents = []", Some(0), "none"),
        (
            "documents = [\"summary\"]\nconfidence = \"unknown\"",
            None,
            "unknown",
        ),
        ("licence = \"Own\"", None, "unknown"),
    ] {
        let view = view_with(&entry(&format!("[[model]]\nid = \"birch-70b\"\n{more}")));
        let candidate = view.resolve(&asking("birch-70b")).candidates.remove(0);
        let found = candidate.documents.map(|documents| documents.len());
        assert_eq!(found, documents, "{more}");
        let mut facts = candidate.facts.iter();
        let fact = facts.find(|fact| fact.claim == "documents").unwrap();
        assert_eq!(fact.value, value, "{more}");
    }
    let problems = refused(&entry(
        "[[model]]\nid = \"birch-70b\"\ndocuments = [\"summary, policy\"]",
    ));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("cannot name a kind of document")
            && problems[0].contains("training-summary"),
        "{problems:?}"
    );
}

#[test]
fn a_removed_ancestor_leaves_a_trace() {
    let view = view_with(&entry("[[model]]\nid = \"birch-1776\"\nbase_models = []"));
    let answer = view.resolve(&asking("birch-1776"));
    assert_eq!(countries(&answer), ["QY"]);
    assert!(
        !answer.weights_complete,
        "a derived line without a base is not told whole"
    );
    assert!(answer.candidates[0].facts.iter().any(|fact| matches!(
        fact.origin,
        Origin::Operator {
            loosening: true,
            ..
        }
    )));
}

#[test]
fn completeness_still_needs_every_country() {
    let view = view_with(&entry(
        "[[model]]\nid = \"new-1\"\nproducer = \"birch\"\nbase_models = [{ model = \"nomad-tune\", relation = \"merge\" }]\ncomplete = true",
    ));
    let answer = view.resolve(&asking("new-1"));
    assert!(answer.is_identified() && !answer.weights_complete);
    let view = view_with(&entry("[[model]]\nid = \"new-1\"\ncomplete = true"));
    assert!(
        !view.resolve(&asking("new-1")).weights_complete,
        "nobody made it"
    );
    let view = view_with(&entry(
        "[[model]]\nid = \"new-1\"\nproducer = \"birch\"\ncomplete = true",
    ));
    assert!(view.resolve(&asking("new-1")).weights_complete);
    assert!(
        !view
            .resolve(&Query {
                platform: Some("azure"),
                upstream: Some("our-cloud"),
                ..asking("new-1")
            })
            .weights_complete
    );
}

#[test]
fn a_loosened_ancestor_shows_in_its_descendants() {
    let view = view_with(&entry("[[producer]]\nid = \"nomad\"\ncountry = \"QZ\""));
    let answer = view.resolve(&asking("nomad-grandchild"));
    assert_eq!(
        (countries(&answer), answer.weights_complete),
        (vec!["QY", "QZ"], true)
    );
    assert!(answer.candidates[0].facts.iter().any(|fact| matches!(
        fact.origin,
        Origin::Operator {
            loosening: true,
            ..
        }
    )));
}

#[test]
fn own_machines_are_described_whole() {
    let text = entry(
        "[[host]]\nid = \"mine\"\noperator = \"me\"\ncountry = \"QY\"\nkind = \"local\"\nplatform = \"ollama\"\nregions = [{ id = \"cellar\", country = \"QY\" }]\ncomplete = true\negress = \"none\"",
    );
    let hosting = view_with(&text)
        .resolve(&Query {
            host: Some("mine"),
            ..asking("alder-r1")
        })
        .hosting
        .unwrap();
    assert!(hosting.complete && hosting.egress == Egress::None && hosting.source == "operator");
    let half = "[[host]]\nid = \"mine\"\noperator = \"me\"\ncountry = \"QY\"\nregions = [{ id = \"cellar\", country = \"QY\" }]";
    assert!(
        !view_with(half)
            .resolve(&Query {
                host: Some("mine"),
                ..asking("x")
            })
            .hosting
            .unwrap()
            .complete
    );
    let problems = refused(&entry("[[host]]\nid = \"mine\"\ncomplete = true"));
    assert!(
        problems[0].contains("country = ") && problems[0].contains("regions = "),
        "{problems:?}"
    );
}

#[test]
fn mistakes_come_out_at_once_with_their_places() {
    let problems = refused(
        "[[deployment]]\nid = \"a\"\nmodel = \"none\"\n[[model]]\nid = \"Bad Id\"\nnonsense = 1\n[[host]]\nid = \"h\"\ncountry = \"QQ\"\n[[model]]\nid = \"alder-base\"\nbase_models = [{ model = \"alder-r1\", relation = \"finetune\" }]\n[[model]]\nid = \"closed-one\"\n",
    );
    let text = problems.join("\n");
    for part in [
        "overlay.toml:3:",
        "there is no model `none`",
        "`Bad Id` cannot be an id",
        "unknown key `nonsense`",
        "there is no country `QQ`",
        "descends from itself",
        "already a name of another model",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_version_covers_both() {
    assert_eq!(view().version(), registry().version());
    let view = view_with("[[deployment]]\nid = \"a\"\nmodel = \"alder-r1\"");
    assert_ne!(view.version(), registry().version());
}

#[test]
fn the_lines_offered_are_lines_that_work() {
    let view = view();
    let unknown = view.resolve(&asking("my-own \"name\""));
    let text = suggest_overlay(&unknown, "eu").unwrap();
    assert!(
        text.contains("[[deployment]]") && text.contains("[[host]]"),
        "{text}"
    );
    assert!(toml_span::parse(&text).is_ok(), "{text}");
    let open = suggest_overlay(
        &view.resolve(&Query {
            host: Some("cloud"),
            ..asking("hidden-1")
        }),
        "eu",
    )
    .unwrap();
    assert!(
        open.contains("id = \"hidden-1\"") && open.contains("complete = true"),
        "{open}"
    );
    let host = Query {
        host: Some("cloud"),
        region: Some("eu-central-1"),
        ..asking("alder.r1-v1:0")
    };
    assert_eq!(suggest_overlay(&view.resolve(&host), "eu"), None);
    let filled = text
        .replace("model = \"…\"", "model = \"alder-r1\"")
        .replace("operator = \"…\"", "operator = \"me\"")
        .replace("country = \"…\"", "country = \"QY\"")
        .replace("…", "x")
        .replace("YYYY-MM-DD", "2026-02-01");
    let file = SourceFile {
        path: "o.toml".to_owned(),
        text: filled,
    };
    assert!(Overlay::parse(&[file], &registry(), today()).is_ok());
}

#[test]
fn a_maker_without_a_country_is_what_the_offered_lines_ask_for() {
    let host = Query {
        host: Some("cloud"),
        region: Some("eu-central-1"),
        ..asking("nomad-grandchild")
    };
    let text = suggest_overlay(&view().resolve(&host), "eu").unwrap();
    assert!(text.starts_with("[[producer]]\nid = \"nomad\"\n"), "{text}");
    assert!(!text.contains("[[model]]"), "{text}");
    let filled = text
        .replace("country = \"…\"", "country = \"QY\"")
        .replace('…', "x")
        .replace("YYYY-MM-DD", "2026-02-01");
    let answer = view_with(&filled).resolve(&host);
    assert!(answer.weights_complete, "{text}");
}

#[test]
fn a_removed_teacher_leaves_a_trace() {
    let view = view_with(&entry(
        "[[model]]\nid = \"alder-r1-distill-birch-70b\"\nteachers = []",
    ));
    let answer = view.resolve(&asking("alder-r1-distill-birch-70b"));
    assert!(answer.teachers.is_empty());
    let fact = answer.candidates[0]
        .facts
        .iter()
        .find(|fact| fact.claim == "teachers")
        .unwrap();
    assert!(matches!(
        fact.origin,
        Origin::Operator {
            loosening: true,
            ..
        }
    ));
}

#[test]
fn a_mistake_of_form_has_its_place_and_the_fix() {
    let table = [
        ("[[host]\nid = \"a\"", 1, "write a right bracket here"),
        ("[[host]]\nid = rack", 2, "put a text in quotes"),
        ("[[host]]\nid = \"rack", 2, "close the text with a quote"),
        ("[[host]]\nid = \"a\"\nid = \"b\"", 3, "keep one of the two"),
        ("[[host]]\nid = \"a\\q\"", 2, "correct the line"),
        ("[[host]]\nid = 3", 2, "write a text here"),
        ("host = [3]", 1, "write { key = … } here"),
    ];
    for (text, line, help) in table {
        let file = SourceFile {
            path: "o.toml".to_owned(),
            text: text.to_owned(),
        };
        let problems = Overlay::parse(&[file], &registry(), today()).unwrap_err();
        let told = problems.iter().any(|problem| {
            problem.line == line
                && problem
                    .help
                    .as_deref()
                    .is_some_and(|had| had.contains(help))
        });
        assert!(told, "{text}: {problems:?}");
    }
}

#[test]
fn an_entry_is_over_on_the_day_after_its_last() {
    let file = |until: &str| SourceFile {
        path: "o.toml".to_owned(),
        text: ["deployment", "model", "host", "producer"]
            .map(|kind| {
                let more = match kind {
                    "deployment" => "model = \"alder-r1\"\n",
                    _ => "",
                };
                format!("[[{kind}]]\nid = \"a\"\n{more}{until}\n")
            })
            .concat(),
    };
    let ended = |until: &str| {
        Overlay::parse(&[file(until)], &registry(), day("2026-03-02"))
            .unwrap()
            .ended()
            .iter()
            .map(|problem| (problem.line, problem.message.clone()))
            .collect::<Vec<_>>()
    };
    for standing in ["", "until = \"2026-03-02\"", "until = \"2026-03-03\""] {
        assert_eq!(ended(standing), [], "{standing}");
    }
    let over = |kind: &str| format!("the {kind} `a` counted until 2026-03-01 and counts no more");
    assert_eq!(
        ended("until = \"2026-03-01\""),
        [
            (1, over("deployment")),
            (5, over("model")),
            (8, over("host")),
            (11, over("producer"))
        ]
    );
}
