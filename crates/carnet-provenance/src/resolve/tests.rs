//! What the made-up world answers.

use proptest::prelude::*;

use crate::fixture::{SAID, asking, countries, day, file, files, today, view, view_with};
use crate::{Egress, LineageStatus, Overlay, Query, Registry, Resolution, Validity, View};

fn on<'a>(platform: &'a str, id: &'a str) -> Query<'a> {
    Query {
        platform: Some(platform),
        ..asking(id)
    }
}

fn at<'a>(host: &'a str, id: &'a str) -> Query<'a> {
    Query {
        host: Some(host),
        ..asking(id)
    }
}

#[test]
fn lines_are_told_with_all_their_countries() {
    let view = view();
    for (id, expected, complete) in [
        ("alder-base", &["QX"][..], true),
        ("alder-r1", &["QX"], true),
        ("birch-1776", &["QX", "QY"], true),
        ("alder-r1-distill-birch-70b", &["QX", "QY"], true),
        ("nomad-tune", &["QY"], false),
        ("nomad-grandchild", &["QY"], false),
        ("hidden-1", &["QY"], false),
        ("closed-1", &["QZ"], true),
        ("cut-unknown", &["QY"], false),
        ("cut-elsewhere", &["QY"], false),
        ("cut-inside", &["QY"], true),
        ("some-router", &[], false),
        ("nothing-known", &[], false),
    ] {
        let answer = view.resolve(&asking(id));
        assert_eq!(
            (countries(&answer), answer.weights_complete),
            (expected.to_vec(), complete),
            "{id}"
        );
    }
}

#[test]
fn ancestors_stand_nearest_first() {
    let answer = view().resolve(&asking("birch-1776"));
    let line: Vec<String> = answer
        .lineage
        .iter()
        .map(|one| format!("{} {} {}", one.hop, one.relation, one.model))
        .collect();
    assert_eq!(line, ["1 finetune alder-r1", "2 finetune alder-base"]);
    assert_eq!(answer.lineage_status, LineageStatus::Derived);
}

#[test]
fn teachers_stand_apart_from_the_weights() {
    let answer = view().resolve(&asking("alder-r1-distill-birch-70b"));
    let teachers: Vec<String> = answer.teachers.iter().map(ToString::to_string).collect();
    assert_eq!(teachers, ["alder-r1"]);
    assert!(answer.teachers_complete);
    assert!(
        answer
            .lineage
            .iter()
            .all(|one| one.model.as_str() != "alder-r1")
    );
    assert!(
        !view().resolve(&asking("birch-70b")).teachers_complete,
        "nobody says that there is no teacher"
    );
}

#[test]
fn names_are_found_by_alias_key_and_guess() {
    let view = view();
    for (query, model, identified) in [
        (on("bedrock", "us.alder.r1-v1:0"), Some("alder-r1"), true),
        (
            on("openrouter", "alder/alder-r1:free"),
            Some("alder-r1"),
            true,
        ),
        (on("anyone", "Alder/ALDER_R1-fp8"), Some("alder-r1"), true),
        (on("anyone", "Vendor/ALDER_R1-fp8"), Some("alder-r1"), false),
        (
            on("huggingface", "birch-ai/Birch-70B-Instruct-GGUF"),
            Some("birch-70b"),
            true,
        ),
        (
            on("huggingface", "birch-ai/birch-1776"),
            Some("birch-1776"),
            true,
        ),
        (
            on("huggingface", "somebody/alder-r1"),
            Some("alder-r1"),
            false,
        ),
        (
            on("huggingface", "alder-lab/birch-70b"),
            Some("birch-70b"),
            false,
        ),
        (asking("somebody/alder-r1"), Some("alder-r1"), false),
        (on("azure", "eu/alder-r1"), Some("alder-r1"), true),
        (
            Query {
                upstream: Some("our-cloud"),
                ..on("azure", "alder-r1")
            },
            Some("alder-r1"),
            false,
        ),
        (on("ollama", "alder-r1"), Some("alder-r1"), false),
        (on("ollama", "alder-r1:q8_0"), Some("alder-r1"), false),
        (on("file", "alder-r1-Q4_K_M.gguf"), Some("alder-r1"), false),
        (on("alder", "closed-one"), Some("closed-1"), true),
        (asking("alder-r1-20250131"), None, false),
        (asking("closed-1-20250131"), Some("closed-1"), true),
        (asking("alder-r9-preview"), None, false),
        (asking("alder-r1-abliterated"), None, false),
        (asking("ft:alder-r1:acme::1"), None, false),
    ] {
        let answer = view.resolve(&query);
        let found = answer.candidates[0].model.as_ref().map(|id| id.as_str());
        assert_eq!(
            (found, answer.is_identified()),
            (model, identified),
            "{query:?}\n{:?}",
            answer.steps
        );
        assert!(identified || !answer.weights_complete, "{query:?}");
        assert_eq!(answer.named().is_some(), identified, "{query:?}");
        assert_eq!(answer.canonical.as_deref(), found, "{query:?}");
    }
}

#[test]
fn what_a_service_writes_in_front_is_read_by_the_host_s_name_and_by_the_platform_s() {
    let mut all = files();
    all.push(file(
        "hosts/lot-east.toml",
        "name = \"Lot East\"\nkind = \"inference\"\nplatform = \"lot\"\nprefixes = [\"Pro/\"]",
    ));
    let registry = Registry::parse(&all).unwrap();
    let view = View::new(registry.into(), Overlay::default());
    for (platform, read) in [("lot", true), ("lot-east", true), ("else", false)] {
        let answer = view.resolve(&on(platform, "Pro/alder/alder-r1"));
        let model = answer.named();
        assert_eq!(model, read.then_some("alder-r1"), "{platform}");
    }
}

#[test]
fn a_service_s_own_choice_is_nobody_else_s() {
    let mut all = files();
    all.push(file(
        "models/lot-router.toml",
        "name = \"Lot Router\"\nweights = { value = \"closed\", SAID }\nproducer = { value = \"alder\", SAID }\n\
         lineage_status = { value = \"not-decidable-from-id\", SAID }\nalias = [{ platform = \"lot\", id = \"auto\" }]",
    ));
    let registry = Registry::parse(&all).unwrap();
    let view = View::new(registry.into(), Overlay::default());
    let named = |query: &Query<'_>| view.resolve(query).named().map(str::to_owned);
    assert_eq!(named(&on("lot", "auto")).as_deref(), Some("lot-router"));
    for query in [asking("auto"), on("else", "auto"), asking("else/auto")] {
        assert_eq!(named(&query), None, "{query:?}");
    }
}

#[test]
fn a_digest_tells_what_a_moving_name_leaves_open() {
    let whole = format!("sha256:{}", "0a".repeat(32));
    let mut all = files();
    let model = all
        .iter_mut()
        .find(|one| one.path == "models/alder-base.toml");
    model.unwrap().text += &format!("[[alias]]\nplatform = \"digest\"\nid = \"{whole}\"\n");
    let registry = Registry::parse(&all).unwrap();
    let view = View::new(registry.into(), Overlay::default());
    let of = |query: &Query<'_>| {
        let answer = view.resolve(query);
        let model = answer.named().map(str::to_owned);
        (model, answer.confidence, answer.weights_complete)
    };
    let open = view.resolve(&on("ollama", "alder-r1:8b"));
    assert_eq!(open.candidates.len(), 2);
    let known = (Some("alder-base".to_owned()), crate::Confidence::High, true);
    for id in [
        whole.clone(),
        whole.to_uppercase(),
        "0a".repeat(32),
        format!("sha256-{}", "0a".repeat(32)),
        format!("alder-r1:8b@{whole}"),
        format!("anybody/anything@{whole}"),
    ] {
        assert_eq!(of(&asking(&id)), known, "{id}");
        assert_eq!(of(&on("ollama", &id)), known, "{id}");
    }
    // What tools show of a digest is read where such stand, and is no proof.
    let (model, confidence, _) = of(&on("ollama", "0a0a0a0a0a0a"));
    assert_eq!(model.as_deref(), Some("alder-base"));
    assert_eq!(confidence, crate::Confidence::Medium);
    for id in [
        "0a0a0a0a0a0a".to_owned(),
        format!("sha256:{}0b", "0a".repeat(31)),
        format!("alder-base@sha256:{}", "0b".repeat(32)),
    ] {
        let (model, _, complete) = of(&asking(&id));
        assert!(model.is_none() && !complete, "{id}");
    }
}

#[test]
fn a_family_guess_names_countries_but_no_model() {
    let answer = view().resolve(&asking("alder-birch-mix"));
    assert_eq!(countries(&answer), ["QX", "QY"]);
    assert!(!answer.weights_complete && answer.producer.is_none() && answer.canonical.is_none());
    assert_eq!(answer.confidence, crate::Confidence::Low);
}

#[test]
fn a_moving_name_has_the_targets_of_the_day() {
    let view = view();
    let ask = |date| {
        view.resolve(&Query {
            as_of: day(date),
            ..on("alder", "alder-chat")
        })
    };
    let before = ask("2025-05-31");
    assert_eq!(
        (countries(&before), before.valid_until()),
        (vec!["QX"], Some(day("2025-06-01")))
    );
    let after = ask("2025-06-01");
    assert_eq!(
        (countries(&after), after.valid_until()),
        (vec!["QX", "QY"], Some(day("2026-03-01")))
    );
    assert_eq!(after.canonical.as_deref(), Some("alder-chat"));
    assert_eq!(
        after.candidates[0].valid,
        Validity {
            from: Some(day("2025-06-01")),
            to: Some(day("2026-03-01"))
        }
    );
    let never = ask("2026-03-01");
    assert!(!never.is_identified() && never.candidates.len() == 1);
}

#[test]
fn a_name_with_several_models_has_all_of_them() {
    let answer = view().resolve(&on("ollama", "alder-r1:8b-q4_K_M"));
    assert_eq!(answer.candidates.len(), 2);
    assert_eq!(countries(&answer), ["QX", "QY"]);
    assert!(
        answer.is_identified() && !answer.weights_complete,
        "one candidate's maker is unknown"
    );
    assert_eq!(answer.candidates[0].note.as_deref(), Some("before"));
    assert!(answer.producer.is_none());
}

#[test]
fn candidates_of_one_maker_have_that_maker() {
    let mut files = files();
    files.push(file(
        "aliases/pair.toml",
        "alias = [{ platform = \"*\", id = \"pair\" }]\ntarget = [{ model = \"alder-base\", SAID }, { model = \"alder-r1\", SAID }]",
    ));
    let view = View::new(Registry::parse(&files).unwrap().into(), Overlay::default());
    let answer = view.resolve(&asking("pair"));
    assert_eq!(answer.candidates.len(), 2);
    assert_eq!(answer.producer.unwrap().name, "alder");
}

#[test]
fn the_host_answers_where_and_under_whose_law() {
    let view = view();
    let all = view.resolve(&at("cloud", "alder.r1-v1:0")).hosting.unwrap();
    let codes = |set: &std::collections::BTreeSet<crate::Country>| {
        set.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(codes(&all.hosting_countries), ["QX", "QY", "QZ"]);
    assert_eq!(codes(&all.hosting_parents), ["QY"]);
    assert!(all.complete && all.egress == Egress::External);
    let one = view
        .resolve(&Query {
            region: Some("eu-central-1"),
            ..at("cloud", "alder.r1-v1:0")
        })
        .hosting
        .unwrap();
    assert_eq!(
        (
            codes(&one.hosting_countries),
            codes(&one.jurisdictions),
            one.complete
        ),
        (
            vec!["QX".to_owned()],
            vec!["QX".to_owned(), "QY".to_owned()],
            true
        )
    );
    let profile = view
        .resolve(&Query {
            region: Some("eu-central-1"),
            ..at("cloud", "us.alder.r1-v1:0")
        })
        .hosting
        .unwrap();
    assert_eq!(
        (codes(&profile.hosting_countries), profile.complete),
        (vec!["QY".to_owned(), "QZ".to_owned()], true)
    );
    let strange = view
        .resolve(&at("cloud", "eu.alder.r1-v1:0"))
        .hosting
        .unwrap();
    assert_eq!(
        (strange.hosting_countries.len(), strange.complete),
        (3, false)
    );
    let nowhere = view
        .resolve(&Query {
            region: Some("moon-1"),
            ..at("cloud", "alder.r1-v1:0")
        })
        .hosting
        .unwrap();
    assert_eq!(
        (nowhere.hosting_countries.len(), nowhere.complete),
        (0, false)
    );
}

#[test]
fn a_half_known_host_is_not_complete() {
    let view = view();
    for host in ["orphan", "passer", "ollama-cloud", "box"] {
        let hosting = view.resolve(&at(host, "alder-r1")).hosting.unwrap();
        assert!(!hosting.complete, "{host}");
    }
    assert!(
        view.resolve(&at("passer", "x"))
            .hosting
            .unwrap()
            .is_router()
    );
    assert!(view.resolve(&at("nobody", "x")).hosting.is_none());
    assert!(view.resolve(&asking("x")).hosting.is_none());
}

#[test]
fn a_region_completes_only_a_host_that_is_bound_to_it() {
    let view = view();
    let in_region = |host, region| {
        let query = Query {
            region: Some(region),
            ..at(host, "alder-r1")
        };
        view.resolve(&query).hosting.unwrap().complete
    };
    assert!(in_region("cloud", "us-east-1"));
    assert!(!in_region("cloud", "us-east-9"));
    assert!(!in_region("roamer", "a"));
}

#[test]
fn a_cloud_tag_leaves_the_machine() {
    let answer = view().resolve(&at("box", "alder-r1:671b-cloud"));
    assert_eq!(answer.hosting.unwrap().host.as_str(), "ollama-cloud");
}

#[test]
fn addresses_lead_to_hosts_label_by_label() {
    let view = view();
    for (name, host) in [
        ("api.cloud.example", Some("cloud")),
        ("API.Cloud.Example.", Some("cloud")),
        ("runtime.eu-1.cloud.example", Some("cloud")),
        ("runtime.a.b.cloud.example", None),
        ("runtime..cloud.example", None),
        ("evil-api.cloud.example", None),
        ("api.cloud.example.evil.example", None),
        ("127.0.0.1", None),
        ("localhost", None),
    ] {
        assert_eq!(
            view.host_for_origin(name)
                .map(|id| id.to_string())
                .as_deref(),
            host,
            "{name}"
        );
    }
}

#[test]
fn routing_fields_come_by_dialect_and_host() {
    let view = view();
    assert!(!view.fields(None, "chat").router);
    let passer = view.fields(Some("passer"), "chat");
    assert!(
        passer.router
            && passer.known.iter().any(|key| key == "messages")
            && passer.fields.len() == 1
    );
    assert!(view.fields(Some("cloud"), "other").fields.is_empty());
}

/// The world with one more host, `helped`, and with an overlay over it.
fn helped(host: &str, overlay: &str) -> View {
    let mut all = files();
    all.push(file(
        "hosts/helped.toml",
        &format!("name = \"Helped\"\nkind = \"inference\"\n{host}"),
    ));
    let registry = Registry::parse(&all).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let overlay = Overlay::parse(&[file("overlay.toml", overlay)], &registry, today());
    View::new(
        registry.into(),
        overlay.unwrap_or_else(|problems| panic!("{problems:#?}")),
    )
}

fn subprocessor(name: &str, more: &str) -> String {
    format!("[[subprocessor]]\nname = \"{name}\"\npurpose = \"rooms\"\n{more}\nSAID_LINES\n")
        .replace("SAID_LINES", &SAID.replace(", ", "\n"))
}

/// The values of all facts of this claim.
fn told<'a>(answer: &'a Resolution, claim: &str) -> Vec<&'a str> {
    let facts = answer.candidates[0].facts.iter();
    facts
        .filter(|fact| fact.claim == claim)
        .map(|fact| fact.value.as_str())
        .collect()
}

#[test]
fn sub_processors_are_told_with_the_countries_of_the_day() {
    let view = helped(
        &[
            subprocessor("Old", "country = \"QZ\"\nvalid_to = \"2026-01-10\""),
            subprocessor("Rack", "country = \"QX\""),
            subprocessor("New", "valid_from = \"2026-02-01\""),
        ]
        .concat(),
        "",
    );
    for (date, expected, codes, known, until) in [
        (
            "2026-01-09",
            &["Old (QZ)", "Rack (QX)"][..],
            &["QX", "QZ"][..],
            true,
            Some("2026-01-10"),
        ),
        (
            "2026-01-10",
            &["Rack (QX)"],
            &["QX"],
            true,
            Some("2026-02-01"),
        ),
        (
            "2026-02-01",
            &["Rack (QX)", "New (unknown)"],
            &["QX"],
            false,
            None,
        ),
    ] {
        let answer = view.resolve(&Query {
            as_of: day(date),
            ..at("helped", "birch-70b")
        });
        assert_eq!(told(&answer, "subprocessors"), expected, "{date}");
        assert_eq!(answer.valid_until(), until.map(day), "{date}");
        let fact = &answer.candidates[0].facts;
        let fact = fact.iter().find(|fact| fact.claim == "subprocessors");
        assert_eq!(fact.unwrap().source, "https://x.example");
        let hosting = answer.hosting.unwrap();
        let found: Vec<&str> = hosting
            .subprocessor_countries
            .iter()
            .map(|country| country.as_str())
            .collect();
        assert_eq!(
            (found, hosting.subprocessors_known),
            (codes.to_vec(), known),
            "{date}"
        );
    }
}

#[test]
fn sub_processors_that_nobody_vouches_for_are_not_known() {
    let unsure = subprocessor("Rack", "country = \"QX\"").replace("high", "unknown");
    let over = subprocessor("Old", "country = \"QX\"\nvalid_to = \"2025-06-01\"");
    for (host, countries, value) in [
        ("", 0, "unknown"),
        (unsure.as_str(), 1, "Rack (QX)"),
        (over.as_str(), 0, "unknown"),
    ] {
        let answer = helped(host, "").resolve(&at("helped", "birch-70b"));
        assert_eq!(told(&answer, "subprocessors"), [value], "{host}");
        let hosting = answer.hosting.unwrap();
        assert!(!hosting.subprocessors_known, "{host}");
        assert_eq!(hosting.subprocessor_countries.len(), countries, "{host}");
    }
}

#[test]
fn whether_a_host_trains_on_prompts_is_the_claim_of_the_day() {
    let host = "trains_on_prompts = [{ value = false, SAID, valid_to = \"2026-02-01\" }, { value = true, SAID, valid_from = \"2026-02-01\" }]";
    let unsure = "trains_on_prompts = { value = false, source = \"https://x.example\", date = \"2025-01-01\", confidence = \"unknown\" }";
    for (host, date, expected, value, until) in [
        (host, "2026-01-31", Some(false), "false", Some("2026-02-01")),
        (host, "2026-02-01", Some(true), "true", None),
        (unsure, "2026-01-31", None, "unknown", None),
        ("", "2026-01-31", None, "unknown", None),
    ] {
        let answer = helped(host, "").resolve(&Query {
            as_of: day(date),
            ..at("helped", "birch-70b")
        });
        assert_eq!(told(&answer, "trains_on_prompts"), [value], "{host} {date}");
        assert_eq!(answer.valid_until(), until.map(day), "{host} {date}");
        assert_eq!(answer.hosting.unwrap().trains_on_prompts, expected);
    }
}

#[test]
fn an_operator_who_is_not_sure_takes_no_training_away() {
    let registry = |value: bool| format!("trains_on_prompts = {{ value = {value}, SAID }}");
    let why = "reason = \"read the contract\"\nauthor = \"ann\"\nuntil = \"2026-03-31\"\n";
    for (known, own, confidence, expected) in [
        (Some(true), false, "high", Some(false)),
        (Some(true), false, "unknown", Some(true)),
        (Some(true), true, "unknown", Some(true)),
        (Some(false), true, "high", Some(true)),
        (Some(false), true, "unknown", None),
        (None, false, "high", Some(false)),
        (None, false, "unknown", None),
    ] {
        let overlay = format!(
            "[[host]]\nid = \"helped\"\ntrains_on_prompts = {own}\nconfidence = \"{confidence}\"\n{why}"
        );
        let answer = helped(&known.map(registry).unwrap_or_default(), &overlay)
            .resolve(&at("helped", "birch-70b"));
        let case = format!("{known:?} {own} {confidence}");
        assert_eq!(answer.valid_until(), Some(day("2026-04-01")), "{case}");
        let hosting = answer.hosting.unwrap();
        assert_eq!(hosting.trains_on_prompts, expected, "{case}");
    }
}

#[test]
fn lists_hold_from_their_day() {
    let view = view();
    let before = view.resolve(&asking("alder-r1"));
    assert!(before.producer.unwrap().lists.is_empty());
    assert_eq!(before.candidates[0].valid_until, Some(day("2026-06-08")));
    let after = view.resolve(&Query {
        as_of: day("2026-06-08"),
        ..asking("alder-r1")
    });
    assert_eq!(after.producer.unwrap().lists[0].list, "watch");
}

#[test]
fn ids_that_nobody_writes_are_not_read() {
    let long = "a".repeat(crate::ID_BYTES_MAX + 1);
    for id in ["", "alder-r1\n", "alder\u{7}-r1", &long] {
        let answer = view().resolve(&asking(id));
        assert!(
            !answer.is_identified() && answer.candidates.len() == 1 && !answer.weights_complete
        );
        assert!(
            answer
                .steps
                .iter()
                .any(|step| step.starts_with("not identified")),
            "{:?}",
            answer.steps
        );
    }
}

#[test]
fn letters_that_only_look_alike_are_others() {
    // U+212A, the Kelvin sign, becomes a plain k in Unicode lower case.
    let files = [
        file(
            "producers/kauri.toml",
            "name = \"K\"\ncountry = { value = \"QX\", SAID }",
        ),
        file(
            "models/kauri.toml",
            "name = \"Kauri\"\nproducer = { value = \"kauri\", SAID }\nweights = { value = \"open\", SAID }\nlineage_status = { value = \"stated-from-scratch\", SAID }",
        ),
    ];
    let view = View::new(Registry::parse(&files).unwrap().into(), Overlay::default());
    assert!(view.resolve(&asking("KAURI")).is_identified());
    assert!(!view.resolve(&asking("\u{212A}auri")).is_identified());
}

#[test]
fn the_answer_has_every_key_in_its_order() {
    let keys = [
        "id",
        "canonical",
        "platform",
        "producer",
        "publisher",
        "weights",
        "licence",
        "lineage",
        "lineage_status",
        "weights_countries",
        "weights_complete",
        "teachers",
        "teacher_countries",
        "teachers_complete",
        "hosting",
        "candidates",
        "disputed",
        "confidence",
        "steps",
    ];
    for query in [
        at("cloud", "alder.r1-v1:0"),
        asking("nothing"),
        on("ollama", "alder-r1:8b"),
    ] {
        let json = serde_json::to_string(&view().resolve(&query)).unwrap();
        let mut from = 0;
        for key in keys {
            let place = json[from..]
                .find(&format!("\"{key}\":"))
                .unwrap_or_else(|| panic!("{key} in {json}"));
            from += place;
        }
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value.as_object().unwrap().len(), keys.len());
    }
}

#[test]
fn what_only_rules_ask_of_a_host_is_no_part_of_the_answer() {
    let value = serde_json::to_value(view().resolve(&at("cloud", "alder.r1-v1:0"))).unwrap();
    // Whether a map keeps its order depends on what else is built.
    let mut keys: Vec<&String> = value["hosting"].as_object().unwrap().keys().collect();
    keys.sort_unstable();
    let mut expected = [
        "host",
        "operator",
        "country",
        "parent_country",
        "regions",
        "jurisdictions",
        "complete",
        "retention",
        "confidence",
        "source",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn unknown_is_said_as_a_fact() {
    let answer = view().resolve(&asking("nothing"));
    let facts = &answer.candidates[0].facts;
    for claim in [
        "identity",
        "producer",
        "producer.country",
        "weights",
        "licence",
        "weights_complete",
        "teachers_complete",
        "host",
        "hosting_complete",
        "egress",
        "retention",
        "subprocessors",
        "trains_on_prompts",
        "documents",
    ] {
        assert!(
            facts.iter().any(|fact| fact.claim == claim
                && (fact.value == "unknown" || fact.value.starts_with("false"))),
            "{claim}"
        );
    }
    let facts = &view().resolve(&asking("nomad-tune")).candidates[0].facts;
    let complete = facts
        .iter()
        .find(|fact| fact.claim == "weights_complete")
        .unwrap();
    assert_eq!(complete.value, "false: country of producer `nomad` unknown");
}

/// Everything that may be asked in tests of laws.
fn any_model() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "alder-base",
        "alder-r1",
        "birch-70b",
        "birch-1776",
        "nomad-tune",
        "hidden-1",
        "closed-1",
        "cut-unknown",
        "alder-r1-distill-birch-70b",
    ])
}

fn facts_of(answer: &Resolution) -> (Vec<&str>, bool) {
    (countries(answer), answer.weights_complete)
}

proptest! {
    #[test]
    fn letter_case_changes_nothing(id in any_model(), upper in prop::collection::vec(any::<bool>(), 40)) {
        let mixed: String = id.chars().zip(upper).map(|(c, up)| if up { c.to_ascii_uppercase() } else { c }).collect();
        let view = view();
        let (plain, mixed) = (view.resolve(&asking(id)), view.resolve(&asking(&mixed)));
        prop_assert_eq!(facts_of(&plain), facts_of(&mixed));
    }

    #[test]
    fn quantisation_changes_no_country(id in any_model(), suffix in prop::sample::select(vec!["-fp8", "-AWQ", "-Q4_K_M", "-gguf", "-4bit", "_int8", ".i1-IQ2_XXS", "-bf16-GGUF"])) {
        let view = view();
        let name = format!("{id}{suffix}");
        let (plain, stored) = (view.resolve(&on("anyone", id)), view.resolve(&on("anyone", &name)));
        prop_assert_eq!(facts_of(&plain), facts_of(&stored));
    }

    #[test]
    fn region_prefixes_change_no_country(prefix in prop::sample::select(vec!["us.", "eu.", "apac.", "global.", "us-gov."]), route in prop::sample::select(vec!["", "bedrock/", "bedrock/eu-north-1/", "converse/"])) {
        let view = view();
        let name = format!("{route}{prefix}alder.r1-v1:0");
        let (plain, regional) = (view.resolve(&on("bedrock", "alder.r1-v1:0")), view.resolve(&on("bedrock", &name)));
        prop_assert_eq!(facts_of(&plain), facts_of(&regional));
    }

    #[test]
    fn complete_means_identified_and_every_country_known(id in "(alder|birch|nomad|hidden|cut|closed)?[-a-z0-9/:._]{0,30}", platform in prop::option::of(prop::sample::select(vec!["azure", "bedrock", "file", "fireworks", "huggingface", "ollama", "openrouter", "vertex", "x"]))) {
        let answer = view().resolve(&Query { platform, ..asking(&id) });
        prop_assert!(!answer.candidates.is_empty());
        prop_assert_eq!(answer.weights_complete, answer.candidates.iter().all(|one| one.weights_complete));
        for one in &answer.candidates {
            if one.weights_complete {
                prop_assert!(one.identified && one.model.is_some());
                prop_assert!(one.producer.as_ref().is_some_and(|producer| producer.country.is_some()));
                prop_assert!(one.lineage.iter().all(|ancestor| ancestor.country.is_some_and(|code| one.weights_countries.contains(&code))));
            }
        }
    }

    #[test]
    fn the_overlay_changes_only_what_it_names(id in any_model(), named in any_model()) {
        let overlay = format!("[[model]]\nid = \"{named}\"\nlicence = \"Own\"\nreason = \"r\"\nauthor = \"a\"\nuntil = \"2026-12-31\"\n[[deployment]]\nid = \"mine\"\nmodel = \"{named}\"");
        let (plain, laid) = (view(), view_with(&overlay));
        let (mut before, mut after) = (plain.resolve(&asking(id)), laid.resolve(&asking(id)));
        // The day on which an ancestor's entry ends is a day on which the answer may change.
        before.candidates[0].valid_until = None;
        after.candidates[0].valid_until = None;
        if id == named {
            prop_assert_eq!(after.licence.as_deref(), Some("Own"));
            prop_assert_eq!(facts_of(&before), facts_of(&after));
        } else {
            prop_assert_eq!(before, after);
        }
    }
}

#[test]
fn the_registry_is_one_thing_whatever_the_order_of_files() {
    let mut turned = files();
    turned.reverse();
    assert_eq!(
        Registry::parse(&turned).unwrap().version(),
        crate::fixture::registry().version()
    );
}
