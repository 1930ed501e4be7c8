//! Laws that hold for every policy that loads, and the ways in which a decision can fail.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::fixture::{self, COUNTRIES};
use crate::pack::PackSource;
use crate::words::{Ancestry, Maker, Words};
use crate::workload::Api;

const ASK: Ask = Ask {
    api: Api::ChatCompletions,
    stream: false,
};
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn options() -> DeciderOptions {
    DeciderOptions {
        shadow_every: 1,
        cache_max: 100,
        plain: false,
    }
}

fn decider(packs: &[(&str, &str, &str)]) -> Decider {
    let sources: Vec<PackSource> = packs
        .iter()
        .map(|(name, more, rules)| fixture::pack(name, more, rules))
        .collect();
    let policies = Policies::load(&sources).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Decider::new(Arc::new(policies), fixture::view(), options())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

impl Decider {
    /// A target of which exactly these words are known.
    fn of_words(&self, name: &str, candidates: &[Words]) -> Target {
        let prepared = |_| {
            let all = candidates.iter().map(|words| {
                PreparedCandidate::new(name, words, fixture::facts(words), &self.policies).unwrap()
            });
            Some(all.collect())
        };
        Target(Arc::new(PreparedTarget {
            decider: self.number,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            spec: fixture::spec(name),
            resolution: Arc::new(fixture::resolve(&self.view, "nothing")),
            candidates: self.policies.readings.iter().map(prepared).collect(),
            as_of: "2026-01-01".parse().unwrap(),
            valid_until: None,
        }))
    }

    fn allows(&self, workload: &Workload, candidates: &[Words]) -> bool {
        let principal = self.principal(workload);
        let target = self.of_words("up/model", candidates);
        self.decide(&principal, &target, &ASK, &[], NOW).is_permit()
    }
}

/// Everything about it is known, and it is all of one country.
fn known(country: &str) -> Words {
    let set = |text: &str| BTreeSet::from([text.to_owned()]);
    let maker = format!("maker-{}", country.to_lowercase());
    Words {
        model: "m".to_owned(),
        identified: true,
        confidence: "high".to_owned(),
        licence: "MIT".to_owned(),
        weights: "open".to_owned(),
        lineage_status: "derived".to_owned(),
        producer: Maker {
            id: maker.clone(),
            country: country.to_owned(),
            known: true,
            ..Maker::default()
        },
        weights_countries: set(country),
        weights_producers: set(&maker),
        weights_complete: true,
        teachers_complete: true,
        host: "h".to_owned(),
        host_kind: "inference".to_owned(),
        host_operator: "o".to_owned(),
        hosting_countries: set(country),
        hosting_parents: set(country),
        hosting_complete: true,
        egress: "external".to_owned(),
        retention: "none".to_owned(),
        ancestry: Ancestry {
            models: vec!["m".to_owned()],
            producers: [(maker, set(country))].into(),
            groups: fixture::groups(),
        },
        ..Words::default()
    }
}

const ALL: &str = "@id(\"all\") @title(\"everything\") permit (principal, action, resource);";

#[test]
fn a_rule_that_fails_denies() {
    let table = [
        // A forbid that overflows would vanish in Cedar; the permit beside it must not win.
        r#"@id("bad") @title("B") forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };"#,
        // So must a permit that fails beside one that applies.
        r#"@id("bad") @title("B") permit (principal, action, resource) when { 9223372036854775807 * 2 > 0 && resource.identified };"#,
    ];
    for rule in table {
        let decider = decider(&[("p", "", &format!("{ALL}{rule}"))]);
        let target = decider.of_words("up/model", &[known("AA")]);
        let decision = decider.decide(
            &decider.principal(&Workload::default()),
            &target,
            &ASK,
            &[],
            NOW,
        );
        let verdict = decision.verdict();
        assert!(!decision.is_permit(), "{rule}");
        assert_eq!(&*verdict.reasons()[0].rule, "evaluation-error");
        assert!(
            verdict.reasons()[0].title.contains("overflow"),
            "{:?}",
            verdict.reasons()
        );
    }
}

#[test]
fn every_enforced_pack_must_permit_and_a_reporting_one_only_reports() {
    let no =
        r#"@id("no") @title("N") permit (principal, action, resource) when { context.stream };"#;
    let both = decider(&[("a", "", ALL), ("b", "", no)]);
    assert!(!both.allows(&Workload::default(), &[known("AA")]));

    let reporting = decider(&[("a", "", ALL), ("b", "mode = \"report\"", no)]);
    let target = reporting.of_words("up/model", &[known("AA")]);
    let decision = reporting.decide(
        &reporting.principal(&Workload::default()),
        &target,
        &ASK,
        &[],
        NOW,
    );
    assert!(decision.is_permit());
    let verdict = decision.verdict();
    assert_eq!(
        verdict
            .reasons()
            .iter()
            .map(|r| &*r.rule)
            .collect::<Vec<_>>(),
        ["all"]
    );
    assert_eq!(
        (
            &*verdict.report_deny()[0].rule,
            &*verdict.report_deny()[0].pack
        ),
        ("no-rule-permits", "b")
    );
    assert!(
        verdict.json().ends_with(r#""legal_source":null}]}"#),
        "{}",
        verdict.json()
    );

    let only = Policies::load(&[fixture::pack("b", "mode = \"report\"", no)]).unwrap();
    let problems = Decider::new(Arc::new(only), fixture::view(), options()).unwrap_err();
    assert_eq!(problems[0].code, Code::NoPack);
}

#[test]
fn a_pack_that_trusts_the_registry_refuses_lenient_claims() {
    let decider = decider(&[("p", "trust = \"registry\"", ALL)]);
    let mut words = known("AA");
    assert!(decider.allows(&Workload::default(), &[words.clone()]));
    words.overlay = true;
    let target = decider.of_words("up/model", &[words]);
    let decision = decider.decide(
        &decider.principal(&Workload::default()),
        &target,
        &ASK,
        &[],
        NOW,
    );
    assert_eq!(
        &*decision.verdict().reasons()[0].rule,
        "overlay-not-trusted"
    );
    assert_eq!(decision.verdict().facts().len(), 1);
}

#[test]
fn handles_of_another_generation_and_stale_targets_are_denied() {
    let first = decider(&[("p", "", ALL)]);
    let second = decider(&[("p", "", ALL)]);
    let principal = first.principal(&Workload::default());
    let target = first.of_words("up/model", &[known("AA")]);
    assert!(
        first
            .decide(&principal, &target, &ASK, &[], NOW)
            .is_permit()
    );
    let code = |decision: Decision| decision.verdict().reasons()[0].rule.to_string();
    assert_eq!(
        code(second.decide(&principal, &target, &ASK, &[], NOW)),
        "foreign-handle"
    );
    let foreign = second.of_words("up/model", &[known("AA")]);
    assert_eq!(
        code(first.decide(&principal, &foreign, &ASK, &[], NOW)),
        "foreign-handle"
    );
    assert!(!first.permits(&principal, &foreign, &ASK, NOW));

    let mut stale = first.of_words("up/model", &[known("AA")]);
    let end: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    Arc::get_mut(&mut stale.0).unwrap().valid_until = Some(end);
    let before: Timestamp = "2026-05-31T23:59:59Z".parse().unwrap();
    assert!(
        first
            .decide(&principal, &stale, &ASK, &[], before)
            .is_permit()
    );
    assert_eq!(
        code(first.decide(&principal, &stale, &ASK, &[], end)),
        "facts-expired"
    );
    assert!(!first.permits(&principal, &stale, &ASK, end));
}

#[test]
fn a_candidate_that_does_not_fit_or_is_missing_is_denied() {
    let decider = decider(&[("p", "", ALL)]);
    let principal = decider.principal(&Workload::default());
    let mut target = decider.of_words("up/model", &[known("AA")]);
    Arc::get_mut(&mut target.0).unwrap().candidates = vec![None];
    let decision = decider.decide(&principal, &target, &ASK, &[], NOW);
    assert_eq!(&*decision.verdict().reasons()[0].rule, "facts-invalid");
    let empty = decider.of_words("up/model", &[]);
    assert!(
        !decider
            .decide(&principal, &empty, &ASK, &[], NOW)
            .is_permit()
    );
}

#[test]
fn a_hit_is_remembered_and_a_mismatch_denies_and_forgets() {
    let decider = decider(&[("p", "", ALL)]);
    let principal = decider.principal(&Workload::default());
    let target = decider.of_words("up/model", &[known("AA")]);
    for _ in 0..3 {
        assert!(
            decider
                .decide(&principal, &target, &ASK, &[], NOW)
                .is_permit()
        );
    }
    let counters = decider.counters();
    assert_eq!(
        (
            counters.misses,
            counters.hits,
            counters.shadow_checks,
            counters.shadow_mismatches
        ),
        (1, 2, 2, 0)
    );

    // Put a wrong permit in the place of a denial.
    let denied = self::decider(&[(
        "p",
        "",
        r#"@id("n") @title("N") permit (principal, action, resource) when { context.stream };"#,
    )]);
    let principal = denied.principal(&Workload::default());
    let other = denied.of_words("up/model", &[known("AA")]);
    let wrong = denied.verdict(&other, Court::permitting(), Vec::new());
    let entry = Entry {
        effect: Effect::Permit,
        verdict: Some(Arc::new(wrong)),
        expires: None,
        others: 0,
    };
    denied.cache.keep(key(&principal, &other), ASK, entry);
    let decision = denied.decide(&principal, &other, &ASK, &[], NOW);
    assert_eq!(&*decision.verdict().reasons()[0].rule, "shadow-mismatch");
    assert_eq!(denied.counters().shadow_mismatches, 1);
    let again = denied.decide(&principal, &other, &ASK, &[], NOW);
    assert_eq!(&*again.verdict().reasons()[0].rule, "no-rule-permits");
    assert_eq!(denied.counters().misses, 1);
}

#[test]
fn an_entry_ends_with_the_first_fact_of_any_target_it_speaks_of() {
    let rules = r#"@id("aa") @title("A") permit (principal, action, resource) when { ["AA"].containsAll(resource.weights_countries) && resource.weights_complete };"#;
    let decider = decider(&[("p", "", rules)]);
    let principal = decider.principal(&Workload::default());
    let bad = decider.of_words("up/bad", &[known("BB")]);
    let mut good = decider.of_words("up/good", &[known("AA")]);
    let end: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    Arc::get_mut(&mut good.0).unwrap().valid_until = Some(end);
    let others = [good];
    let ways = |now| {
        decider
            .decide(&principal, &bad, &ASK, &others, now)
            .verdict()
            .counterfactuals()
            .len()
    };
    assert_eq!(ways(NOW), 1);
    assert_eq!(ways(NOW), 1);
    assert_eq!(decider.counters().misses, 1);
    assert_eq!(ways(end), 0, "the way out rests on facts that have ended");
    assert_eq!(decider.counters().misses, 2);
}

#[test]
fn the_cache_stays_bounded() {
    let decider = decider(&[("p", "", ALL)]);
    let target = decider.of_words("up/model", &[known("AA")]);
    for _ in 0..500 {
        let principal = decider.principal(&Workload::default());
        let _ = decider.decide(&principal, &target, &ASK, &[], NOW);
    }
    assert!(decider.cache.len() <= 112, "{}", decider.cache.len());
}

#[test]
fn a_denial_names_ways_out_and_they_are_true() {
    let rules = r#"@id("aa") @title("A") permit (principal, action, resource) when { ["AA"].containsAll(resource.weights_countries) && resource.weights_complete };"#;
    let decider = decider(&[("p", "", rules)]);
    let principal = decider.principal(&Workload::default());
    let bad = decider.of_words("up/bad", &[known("BB")]);
    let mut others = vec![bad.clone(), decider.of_words("up/worse", &[known("CC")])];
    others.extend((0..12).map(|n| decider.of_words(&format!("up/good-{n}"), &[known("AA")])));
    let decision = decider.decide(&principal, &bad, &ASK, &others, NOW);
    let ways = decision.verdict().counterfactuals();
    assert_eq!(ways.len(), 8);
    assert_eq!(
        (ways[0].change.as_str(), ways[0].decision),
        ("via up/good-0", Effect::Permit)
    );
    // Without the list of others the answer is another document, not the remembered one.
    let bare = decider.decide(&principal, &bad, &ASK, &[], NOW);
    assert!(bare.verdict().counterfactuals().is_empty());
    assert_ne!(bare.verdict().id(), decision.verdict().id());
}

#[test]
fn the_document_has_the_contract_s_keys_in_order() {
    let decider = decider(&[("p", "", ALL)]);
    let target = decider.of_words("up/model", &[known("AA")]);
    let decision = decider.decide(
        &decider.principal(&Workload::default()),
        &target,
        &ASK,
        &[],
        NOW,
    );
    let json = decision.verdict().json();
    let keys = [
        "decision",
        "candidates",
        "reasons",
        "facts",
        "obligations",
        "counterfactuals",
        "policy_version",
        "registry_version",
        "as_of",
    ];
    let places: Vec<usize> = keys
        .iter()
        .map(|key| json.find(&format!("\"{key}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{json}");
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(value.as_object().unwrap().len(), keys.len());
    assert_eq!(
        serde_json::to_string(&**decision.verdict()).unwrap(),
        **json
    );
    assert_eq!(decision.verdict().id().len(), 71);
}

#[test]
fn a_denial_explained() {
    let rules = r#"
        @id("all") @title("everything else") permit (principal, action, resource);
        @id("bb") @title("no model from BB for government") @legal_source("Act 1, section 2")
        forbid (principal, action, resource in Country::"BB") when { principal.sector == "government" };
        @id("unknown") @title("the origin must be known")
        forbid (principal, action, resource) unless { resource.weights_complete };
    "#;
    let decider = decider(&[("p", "", rules)]);
    let government = Workload {
        sector: "government".to_owned(),
        ..Workload::default()
    };
    let target = decider.of_words("up/model", &[known("BB")]);
    let others = [decider.of_words("up/other", &[known("AA")])];
    let decision = decider.decide(&decider.principal(&government), &target, &ASK, &others, NOW);
    insta::assert_snapshot!(crate::fixture::without_digests(
        &decision.verdict().to_string()
    ));
}

#[test]
fn the_hierarchy_and_the_sets_say_the_same() {
    let words = Words {
        weights_countries: ["AA", "BB"].map(str::to_owned).into(),
        ..known("AA")
    };
    for (country, expected) in [("AA", false), ("BB", false), ("CC", true)] {
        let rules = format!(
            "{ALL} @id(\"f\") @title(\"F\") forbid (principal, action, resource in Country::\"{country}\") when {{ resource.weights_complete }};
            @id(\"u\") @title(\"U\") forbid (principal, action, resource) unless {{ resource.weights_complete }};"
        );
        let decider = decider(&[("p", "", &rules)]);
        assert_eq!(
            decider.allows(&Workload::default(), std::slice::from_ref(&words)),
            expected,
            "{country}"
        );
    }
}

#[test]
fn rules_can_ask_what_detectors_found_and_how_sure_they_are() {
    let rules = format!(
        "{ALL} @id(\"f\") @title(\"F\") forbid (principal, action, resource) when {{ principal.found.contains(\"health/medium\") }};
        @id(\"u\") @title(\"U\") forbid (principal, action, resource) unless {{ principal.found_known }};"
    );
    let decider = decider(&[("p", "", &rules)]);
    for (found, expected) in [
        (r"{}", false),
        (r#"{"found": []}"#, true),
        (r#"{"found": ["health/low", "personal-data/high"]}"#, true),
        (r#"{"found": ["health/medium"]}"#, false),
        (r#"{"found": ["health/high"]}"#, false),
    ] {
        let caller: Workload = serde_json::from_str(found).unwrap();
        assert_eq!(decider.allows(&caller, &[known("AA")]), expected, "{found}");
    }
}

/// A condition on the target, the caller or the request.
fn atom() -> impl Strategy<Value = String> {
    let country = || select(COUNTRIES.as_slice());
    prop_oneof![
        country().prop_map(|c| format!("resource.weights_countries.contains(\"{c}\")")),
        country()
            .prop_map(|c| format!("[\"{c}\", \"AA\"].containsAll(resource.weights_countries)")),
        country().prop_map(|c| format!("[\"{c}\", \"AA\"].containsAny(resource.jurisdictions)")),
        country().prop_map(|c| format!("[\"{c}\", \"AA\"].containsAll(resource.jurisdictions)")),
        country().prop_map(|c| format!("resource.producer.country == \"{c}\"")),
        country().prop_map(|c| format!("resource in Country::\"{c}\"")),
        country().prop_map(|c| format!("[\"{c}\"].containsAny(resource.teacher_countries)")),
        country().prop_map(|c| format!("principal in Country::\"{c}\"")),
        Just("resource in Group::\"block\"".to_owned()),
        Just("principal in Group::\"block\"".to_owned()),
        select(vec!["none", "external"]).prop_map(|e| format!("resource.egress == \"{e}\"")),
        select(vec!["m", "n"]).prop_map(|m| format!("resource.model == \"{m}\"")),
        Just("resource.weights == \"open\"".to_owned()),
        Just("resource.host == \"h\"".to_owned()),
        Just("resource.identified".to_owned()),
        Just("resource.producer.known".to_owned()),
        Just("resource.weights_complete".to_owned()),
        Just("resource.hosting_complete".to_owned()),
        Just("resource.teachers_complete".to_owned()),
        Just("resource.router".to_owned()),
        Just("context.stream".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    atom().prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(({a}) && ({b}))")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(({a}) || ({b}))")),
        ]
    })
}

/// Rules without the guards that loading asks for.
fn loose_rules() -> impl Strategy<Value = Vec<(bool, String)>> {
    prop::collection::vec((any::<bool>(), condition()), 1..4)
}

/// A random policy that loads: the guards that loading asks for are taken from its own help.
fn policy() -> impl Strategy<Value = String> {
    loose_rules().prop_filter_map("does not load", |rules| {
        let mut text = String::new();
        for (number, (permit, condition)) in rules.iter().enumerate() {
            let effect = if *permit || number == 0 { "permit" } else { "forbid" };
            text += &format!("@id(\"r{number}\") @title(\"R\") {effect} (principal, action, resource) when {{ {condition} }};\n");
        }
        for round in 0..12 {
            match Policies::load(&[fixture::pack("p", "", &text)]) {
                Ok(_) => return Some(text),
                Err(problems) => {
                    let remedy = problems.iter().find(|p| p.code == Code::UnknownNotRuled)?;
                    let rule = remedy.help.as_ref()?.strip_prefix("add a rule such as: ")?;
                    text += &format!("@id(\"g{round}\") @title(\"G\") {rule}\n");
                }
            }
        }
        None
    })
}

fn countries() -> impl Strategy<Value = BTreeSet<String>> {
    subsequence(COUNTRIES.to_vec(), 0..=COUNTRIES.len())
        .prop_map(|set| set.into_iter().map(str::to_owned).collect())
}

fn words() -> impl Strategy<Value = Words> {
    let sets = (countries(), countries(), countries(), countries());
    let flags = any::<[bool; 6]>();
    let texts = (
        select(vec!["none", "external", "unknown"]),
        select(vec!["open", "closed"]),
        select(COUNTRIES.as_slice()),
    );
    (sets, flags, texts).prop_map(
        |((weights, teachers, hosting, parents), flags, (egress, open, country))| {
            let [
                identified,
                maker,
                weights_complete,
                teachers_complete,
                hosting_complete,
                router,
            ] = flags;
            let base = known(country);
            let known_maker = identified && maker;
            Words {
                model: if identified {
                    "m".to_owned()
                } else {
                    "unknown".to_owned()
                },
                identified,
                weights: open.to_owned(),
                producer: Maker {
                    known: known_maker,
                    ..base.producer.clone()
                },
                weights_countries: weights,
                weights_complete: weights_complete && known_maker,
                teacher_countries: teachers,
                teachers_complete,
                router,
                hosting_countries: hosting,
                hosting_parents: parents,
                hosting_complete,
                egress: egress.to_owned(),
                ..base
            }
        },
    )
}

fn caller() -> impl Strategy<Value = Workload> {
    (
        prop::option::of(select(COUNTRIES.as_slice())),
        any::<bool>(),
    )
        .prop_map(|(country, government)| Workload {
            country: country.map(str::to_owned),
            sector: if government {
                "government".to_owned()
            } else {
                "unknown".to_owned()
            },
            ..Workload::default()
        })
}

/// The claims that a family of facts goes by; of [`forget`]'s families in their order.
const CLAIMS: [&[&str]; 8] = [
    &["identity"],
    &["producer", "producer.country"],
    &[
        "lineage",
        "weights_countries",
        "weights_producers",
        "weights_complete",
    ],
    &["teachers", "teachers_complete"],
    &["hosting_countries", "hosting_parents", "hosting_complete"],
    &["host"],
    &["egress"],
    &["weights"],
];

/// The same target with one family of facts taken away, as `facts` would then describe it.
fn forget(words: &Words, family: usize, leftover: BTreeSet<String>) -> Words {
    let mut less = words.clone();
    match family {
        0 => {
            less.identified = false;
            less.model = "unknown".to_owned();
            less.producer.known = false;
            less.weights = "unknown".to_owned();
            less.weights_complete = false;
            less.teachers_complete = false;
            less.weights_countries = leftover;
        }
        1 => {
            less.producer = Maker::default();
            less.weights_complete = false;
            less.weights_countries = leftover;
        }
        2 => {
            less.weights_complete = false;
            less.weights_countries = leftover;
        }
        3 => {
            less.teachers_complete = false;
            less.teacher_countries = leftover;
        }
        4 => {
            less.hosting_complete = false;
            less.router = false;
            less.hosting_countries = leftover;
            less.hosting_parents = BTreeSet::new();
        }
        5 => {
            less.host = "unknown".to_owned();
            less.host_kind = "unknown".to_owned();
            less.host_operator = "unknown".to_owned();
            less.hosting_complete = false;
            less.egress = "unknown".to_owned();
            less.router = false;
            less.hosting_countries = BTreeSet::new();
            less.hosting_parents = leftover;
        }
        6 => less.egress = "unknown".to_owned(),
        _ => less.weights = "unknown".to_owned(),
    }
    less
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Taking a fact away never turns a denial into a permit, whatever was known before.
    #[test]
    fn ignorance_never_permits(
        rules in policy(), words in words(), caller in caller(), family in 0..8_usize, leftover in countries()
    ) {
        let decider = decider(&[("p", "", &rules)]);
        let less = forget(&words, family, leftover);
        if decider.allows(&caller, std::slice::from_ref(&less)) {
            prop_assert!(decider.allows(&caller, std::slice::from_ref(&words)), "{rules}\n{words:#?}\n{less:#?}");
        }
    }

    /// Another candidate never turns a denial into a permit, and only all together permit.
    #[test]
    fn a_candidate_never_permits(
        rules in policy(), all in prop::collection::vec(words(), 1..4), caller in caller()
    ) {
        let decider = decider(&[("p", "", &rules)]);
        let each = all.iter().all(|words| decider.allows(&caller, std::slice::from_ref(words)));
        prop_assert_eq!(decider.allows(&caller, &all), each);
    }

    /// Another forbid, and another pack, never turns a denial into a permit.
    #[test]
    fn a_forbid_never_permits(
        rules in policy(), more in policy(), condition in condition(), words in words(), caller in caller()
    ) {
        let plain = decider(&[("p", "", &rules)]);
        let denied = !plain.allows(&caller, std::slice::from_ref(&words));
        let added = format!("{rules}@id(\"new\") @title(\"N\") forbid (principal, action, resource) when {{ {condition} }};");
        if let Ok(stricter) = Policies::load(&[fixture::pack("p", "", &added)]) {
            let stricter = Decider::new(Arc::new(stricter), fixture::view(), options()).unwrap();
            prop_assert!(!(denied && stricter.allows(&caller, std::slice::from_ref(&words))));
        }
        let joined = decider(&[("p", "", &rules), ("q", "", &more)]);
        prop_assert!(!(denied && joined.allows(&caller, std::slice::from_ref(&words))));
    }

    /// The facts of an explanation suffice: with every other one forgotten the answer stays.
    #[test]
    fn the_facts_of_an_explanation_suffice(
        rules in policy(), words in words(), caller in caller(), leftover in countries()
    ) {
        let decider = decider(&[("p", "", &rules)]);
        let ask = |words: &Words| {
            let target = decider.of_words("up/model", std::slice::from_ref(words));
            decider.decide(&decider.principal(&caller), &target, &ASK, &[], NOW)
        };
        let decision = ask(&words);
        let told: BTreeSet<&str> = decision.verdict().facts().iter().map(|fact| &*fact.claim).collect();
        let mut less = words.clone();
        for (family, claims) in CLAIMS.iter().enumerate() {
            if !claims.iter().any(|claim| told.contains(claim)) {
                less = forget(&less, family, leftover.clone());
            }
        }
        prop_assert_eq!(decision.is_permit(), ask(&less).is_permit(), "{}\n{:?}\n{:#?}\n{:#?}", rules, told, words, less);
    }

    /// A remembered answer is the full one: every hit is shadow-checked here.
    #[test]
    fn remembered_and_full_answers_agree(
        rules in policy(), all in prop::collection::vec(words(), 1..3), callers in prop::collection::vec(caller(), 1..3), stream in any::<bool>()
    ) {
        let decider = decider(&[("p", "", &rules)]);
        let targets: Vec<Target> = all.iter().map(|words| decider.of_words("up/model", std::slice::from_ref(words))).collect();
        let principals: Vec<Principal> = callers.iter().map(|caller| decider.principal(caller)).collect();
        let ask = Ask { api: Api::Responses, stream };
        for _ in 0..2 {
            for principal in &principals {
                for target in &targets {
                    let decision = decider.decide(principal, target, &ask, &targets, NOW);
                    prop_assert_eq!(decision.is_permit(), decider.permits(principal, target, &ask, NOW));
                    for way in decision.verdict().counterfactuals() {
                        prop_assert_eq!(way.decision, Effect::Permit);
                    }
                }
            }
        }
        prop_assert_eq!(decider.counters().shadow_mismatches, 0);
        prop_assert!(decider.counters().hits > 0);
    }
}

/// How many random policies the following asks; each is asked [`REQUESTS`] different requests.
const POLICIES: &str = "CARNET_RANDOM_POLICIES";
const TARGETS: usize = 25;
const CALLERS: usize = 20;
const REQUESTS: usize = TARGETS * CALLERS * Ask::COUNT;

/// What is combined from known truths, and what is then remembered, is what Cedar says of every rule.
#[test]
fn quick_and_remembered_answers_are_those_of_cedar() {
    let policies = std::env::var(POLICIES).map_or(20, |count| count.parse().unwrap());
    let mut runner = TestRunner::deterministic();
    let mut asked = 0_usize;
    let mut permitted = 0_usize;
    for _ in 0..policies {
        let rules = made(&mut runner, policy());
        let decider = decider(&[("p", "", &rules)]);
        let target = |_| decider.of_words("up/model", &[made(&mut runner, words())]);
        let targets: Vec<Target> = (0..TARGETS).map(target).collect();
        let callers: Vec<Principal> = (0..CALLERS)
            .map(|_| decider.principal(&made(&mut runner, caller())))
            .collect();
        for (caller, target) in callers
            .iter()
            .flat_map(|caller| targets.iter().map(move |target| (caller, target)))
        {
            for ask in Ask::all() {
                let full = decider.judge(caller, target, ask, true, Court::brief());
                let quick = decider.judge(caller, target, ask, false, Court::brief());
                assert_eq!(quick, full, "{rules}");
                let permit = full.effect == Effect::Permit;
                for time in ["asked", "remembered"] {
                    let answer = decider.permits(caller, target, &ask, NOW);
                    assert_eq!(answer, permit, "{time}: {rules}");
                }
                asked += 1;
                permitted += usize::from(permit);
            }
        }
    }
    assert_eq!(asked, policies * REQUESTS);
    println!("{asked} requests, {permitted} of them permitted, over {policies} policies");
    assert!(permitted > 0 && permitted < asked);
}

/// One of what a strategy makes.
fn made<S: Strategy>(runner: &mut TestRunner, strategy: S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// A text with two countries exchanged.
fn exchanged(text: &str) -> String {
    text.replace("AA", "\u{1}")
        .replace("BB", "AA")
        .replace('\u{1}', "BB")
}

fn exchanged_words(words: &Words) -> Words {
    let set = |codes: &BTreeSet<String>| codes.iter().map(|code| exchanged(code)).collect();
    Words {
        producer: Maker {
            country: exchanged(&words.producer.country),
            ..words.producer.clone()
        },
        weights_countries: set(&words.weights_countries),
        teacher_countries: set(&words.teacher_countries),
        hosting_countries: set(&words.hosting_countries),
        hosting_parents: set(&words.hosting_parents),
        ..words.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// No country is special: with two of them exchanged in rules, facts and caller the answer is the
    /// same. Both are in the one group that the fixture has.
    #[test]
    fn exchanging_two_countries_everywhere_changes_no_answer(
        rules in policy(), words in words(), caller in caller()
    ) {
        let plain = decider(&[("p", "", &rules)]);
        let other = decider(&[("p", "", &exchanged(&rules))]);
        let moved = Workload {
            country: caller.country.as_deref().map(exchanged),
            ..caller.clone()
        };
        prop_assert_eq!(
            plain.allows(&caller, std::slice::from_ref(&words)),
            other.allows(&moved, &[exchanged_words(&words)]),
            "{}", rules
        );
    }
}

/// What the registry's facts look like to a policy.
mod facts {
    use super::*;

    #[test]
    fn a_name_nobody_knows_reads_as_unknown_and_is_denied() {
        let view = fixture::view();
        let rules = r#"
            @id("known") @title("K") permit (principal, action, resource) when { resource.identified && resource.weights_complete };
            @id("u") @title("U") forbid (principal, action, resource) unless { resource.identified };
        "#;
        let policies = Policies::load(&[fixture::pack("p", "", rules)]).unwrap();
        let decider = Decider::new(Arc::new(policies), view.clone(), options()).unwrap();
        let principal = decider.principal(&Workload::default());
        for (id, expected) in [
            ("acme-1", true),
            ("acme-2", false),
            ("nothing", false),
            ("", false),
        ] {
            let target = decider.target(
                fixture::spec("up/x"),
                fixture::resolve(&view, id),
                "2026-01-01".parse().unwrap(),
            );
            assert_eq!(
                decider
                    .decide(&principal, &target, &ASK, &[], NOW)
                    .is_permit(),
                expected,
                "{id}"
            );
        }
    }

    #[test]
    fn every_model_and_host_of_the_shipped_registry_fits_the_schema() {
        let registry = fixture::shipped_registry();
        let view = Arc::new(View::new(
            registry.clone(),
            carnet_provenance::Overlay::default(),
        ));
        let policies = Policies::load(&[fixture::pack("p", "", ALL)]).unwrap();
        let decider = Decider::new(Arc::new(policies), view.clone(), options()).unwrap();
        let hosts: Vec<&str> = registry.hosts().map(|host| host.id.as_str()).collect();
        for (number, model) in registry.models().enumerate() {
            let host = hosts.get(number % hosts.len()).copied();
            let as_of = "2026-11-25".parse().unwrap();
            let id = model.id.as_str();
            let query = carnet_provenance::Query {
                id,
                platform: None,
                host,
                upstream: None,
                region: None,
                as_of,
            };
            let resolution = view.resolve(&query);
            for candidate in &resolution.candidates {
                let words = crate::facts::words(&fixture::spec("up/x"), candidate, &view);
                assert!(!words.weights_complete || words.producer.known, "{id}");
                assert!(!words.producer.known || words.identified, "{id}");
                assert!(!words.hosting_complete || words.host != "unknown", "{id}");
                assert!(words.identified || words.model == "unknown", "{id}");
            }
            let target = decider.target(fixture::spec("up/x"), resolution, as_of);
            assert!(
                target.0.candidates.iter().all(Option::is_some),
                "{id} on {host:?}"
            );
        }
    }

    /// What a proof takes for granted is so for every model and host of the registry.
    #[test]
    fn what_proofs_take_for_granted_holds_here() {
        let registry = fixture::shipped_registry();
        let view = Arc::new(View::new(
            registry.clone(),
            carnet_provenance::Overlay::default(),
        ));
        for (lineage, more) in [
            ("producer", ""),
            ("weights", ""),
            ("weights-and-teachers", "confidence = \"high\""),
        ] {
            let manifest = format!("[parameters]\nlineage = \"{lineage}\"\n{more}");
            let pack = fixture::pack("p", &manifest, ALL);
            let policies = Arc::new(Policies::load(&[pack]).unwrap());
            let assumed = crate::always_true(
                &policies.packs().iter().collect::<Vec<_>>(),
                "resource in Country::\"US\" && principal in Country::\"US\" && resource in Producer::\"openai\"",
            );
            assert!(assumed.len() > 12, "{assumed:?}");
            let mut rules = cedar_policy::PolicySet::new();
            for (number, condition) in assumed.iter().enumerate() {
                let text = format!("permit (principal, action, resource) when {{ {condition} }};");
                let id = cedar_policy::PolicyId::new(number.to_string());
                rules
                    .add(cedar_policy::Policy::parse(Some(id), text).unwrap())
                    .unwrap();
            }
            let decider = Decider::new(policies, view.clone(), options()).unwrap();
            let workload = Workload {
                country: Some("US".to_owned()),
                ..Workload::default()
            };
            let principal = decider.principal(&workload);
            let hosts: Vec<&str> = registry.hosts().map(|host| host.id.as_str()).collect();
            for (number, model) in registry.models().enumerate() {
                let as_of = "2026-11-25".parse().unwrap();
                let query = carnet_provenance::Query {
                    id: model.id.as_str(),
                    platform: None,
                    host: hosts.get(number % hosts.len()).copied(),
                    upstream: None,
                    region: None,
                    as_of,
                };
                let target = decider.target(fixture::spec("up/x"), view.resolve(&query), as_of);
                for candidate in target.0.candidates[0].as_ref().unwrap() {
                    let caller = principal.0.nodes[0].as_ref().unwrap();
                    let hearing = Hearing {
                        number: 0,
                        pack: &decider.policies.packs[0],
                        principal: &principal,
                        caller,
                        candidate,
                        day: as_of,
                        ask: ASK,
                    };
                    let heard = decider.by_cedar(&hearing, &rules).unwrap();
                    assert!(heard.errors.is_empty());
                    let held: BTreeSet<&str> = heard.rules.iter().map(AsRef::as_ref).collect();
                    let broken: Vec<&String> = assumed
                        .iter()
                        .enumerate()
                        .filter(|(number, _)| !held.contains(&*number.to_string()))
                        .map(|(_, condition)| condition)
                        .collect();
                    assert!(broken.is_empty(), "{} {query:?}: {broken:?}", lineage);
                }
            }
        }
    }

    #[test]
    fn a_rule_that_names_nobody_is_refused() {
        let table = [
            ("resource in Group::\"blok\"", "Group::\"blok\""),
            ("resource in Producer::\"acmee\"", "Producer::\"acmee\""),
            ("resource in Model::\"acme-3\"", "Model::\"acme-3\""),
            ("principal in Country::\"Aland\"", "Country::\"Aland\""),
        ];
        for (condition, name) in table {
            let rules = format!(
                "{ALL} @id(\"f\") @title(\"F\") forbid (principal, action, resource) when {{ {condition} }};
                @id(\"u\") @title(\"U\") forbid (principal, action, resource) unless {{ resource.weights_complete }};"
            );
            let policies = Policies::load(&[fixture::pack("p", "", &rules)]).unwrap();
            let problems =
                Decider::new(Arc::new(policies), fixture::view(), options()).unwrap_err();
            assert_eq!(problems[0].code, Code::UnknownEntity);
            assert!(
                problems[0].message.contains(name) && problems[0].line == 1,
                "{}",
                problems[0]
            );
        }
    }
}
