//! What a reported name means, and that a known one costs nothing.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use carnet_limits::KeyRing;
use carnet_policy::{PackSource, Policies, Workload};
use carnet_provenance::{KeyStyle, Overlay, Registry, SourceFile, WireFacts};
use jiff::civil::date;

use super::*;
use crate::config::{RawConfig, Services, UpstreamConfig, validate};
use crate::egress::Urls;
use crate::generation::Parts;
use crate::resolve;

const SAID: &str = r#"source = "https://x.example", date = "2025-01-01", confidence = "high""#;

const PACK: &str = r#"
name = "any"
title = "Any"
description = "Permits everything to one workload."
mode = "enforce"
trust = "overlay"
"#;

const RULES: &str = r#"
@id("any")
@title("any model, to one workload")
permit (principal == Workload::"demo", action == Action::"use", resource);
"#;

fn model(id: &str, producer: &str) -> SourceFile {
    SourceFile {
        path: format!("models/{id}.toml"),
        text: format!(
            "name = \"{id}\"\nproducer = {{ value = \"{producer}\", {SAID} }}\nweights = {{ value = \"open\", {SAID} }}\n\
             lineage_status = {{ value = \"stated-from-scratch\", {SAID} }}\n[[names]]\nstem = \"{id}\"\nsizes = [\"8b\"]"
        ),
    }
}

fn generation() -> Generation {
    let producer = |id: &str, country: &str| SourceFile {
        path: format!("producers/{id}.toml"),
        text: format!("name = \"{id}\"\ncountry = {{ value = \"{country}\", {SAID} }}"),
    };
    let countries = SourceFile {
        path: "jurisdictions.toml".to_owned(),
        text: "country = [{ code = \"QX\", name = \"X\" }, { code = \"QY\", name = \"Y\" }]"
            .to_owned(),
    };
    let files = [
        producer("alder", "QX"),
        producer("birch", "QY"),
        model("alder-1", "alder"),
        model("birch-1", "birch"),
        countries,
    ];
    let registry = Arc::new(Registry::parse(&files).unwrap());
    let overlay = Overlay::parse(&[], &registry, date(2026, 5, 1)).unwrap();
    let files = vec![
        ("pack.toml".to_owned(), PACK.to_owned()),
        ("rules.cedar".to_owned(), RULES.to_owned()),
    ];
    let pack = PackSource::new("any", files);
    let mut config = validate(&RawConfig::default(), Path::new(""), Services::default()).unwrap();
    for id in ["demo", "other"] {
        config.workloads.push(Workload {
            id: id.to_owned(),
            ..Workload::default()
        });
    }
    let second = Duration::from_secs(1);
    config.upstreams.push(UpstreamConfig {
        name: "house".into(),
        urls: Urls::below("http://127.0.0.1:9/v1", None, &[Call::Chat], [].iter()).unwrap(),
        socket: None,
        origin: "http://127.0.0.1:9".into(),
        host: None,
        platform: None,
        region: None,
        key: None,
        auth: KeyStyle::Bearer,
        wire: WireFacts::default(),
        models: ["alder-1-8b", "unheard"]
            .map(|name| (name.into(), name.into()))
            .into(),
        prices: Vec::new(),
        stored_responses: false,
        ca_file: None,
        client_cert: None,
        proxy: None,
        private_addresses: true,
        connect_timeout: second,
        first_byte_timeout: second,
        idle_timeout: second,
    });
    let parts = Parts {
        config,
        config_version: "sha256:test".to_owned(),
        policies: Arc::new(Policies::load(&[pack]).unwrap()),
        view: Arc::new(View::new(registry, overlay)),
        keys: KeyRing::default(),
        files: HashMap::new(),
        issuer_authorities: HashMap::new(),
        now: now(),
    };
    Generation::build(parts, None).unwrap()
}

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn check(generation: &Arc<Generation>, name: &str) -> Check {
    let offers = &resolve::offers(generation, name).unwrap().offers;
    Check {
        call: Call::Chat,
        expected: offers[0].expected.clone(),
        generation: generation.clone(),
        suspends: true,
    }
}

#[test]
fn a_name_means_the_same_every_time_it_is_reported() {
    let generation = Arc::new(generation());
    let known = check(&generation, "alder-1-8b");
    let unheard = check(&generation, "unheard");
    let node = |id: &str| Some(Arc::from(id));
    for _ in 0..3 {
        for (check, name, answering) in [
            (&known, "alder-1-8b", Answering::Expected(node("alder-1"))),
            (&known, "ALDER-1", Answering::Expected(node("alder-1"))),
            (&known, "birch-1-8b", Answering::Other(node("birch-1"))),
            (&known, "whatever", Answering::Other(None)),
            (&unheard, "unheard", Answering::Expected(None)),
            (&unheard, "whatever", Answering::Expected(None)),
        ] {
            assert_eq!(
                check.answering(name, ("demo", Findings::default()), false, now()),
                answering,
                "{name}"
            );
        }
    }
    // Nobody knew what would answer: the policy decides on what is known now, for each caller.
    let answering =
        |workload| unheard.answering("birch-1", (workload, Findings::default()), false, now());
    for _ in 0..2 {
        assert_eq!(answering("demo"), Answering::Expected(node("birch-1")));
        assert_eq!(answering("other"), Answering::Other(node("birch-1")));
        assert_eq!(
            answering("not-configured"),
            Answering::Other(node("birch-1"))
        );
    }
}

#[test]
fn more_names_than_are_kept_in_mind_are_judged_all_the_same() {
    let generation = Arc::new(generation());
    let known = check(&generation, "alder-1-8b");
    for number in 0..REPORTED_NAMES_MAX * 3 {
        let other = known.answering(
            &format!("other-{number}"),
            ("demo", Findings::default()),
            false,
            now(),
        );
        assert_eq!(other, Answering::Other(None));
    }
    let right = known.answering("alder-1", ("demo", Findings::default()), false, now());
    assert!(matches!(right, Answering::Expected(Some(_))));
}

#[test]
fn a_request_resolves_by_one_look_into_a_table() {
    let generation = Arc::new(generation());
    let check = check(&generation, "alder-1-8b");
    check.answering("alder-1-8b", ("demo", Findings::default()), false, now());
    let at = now();
    let cost = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert!(resolve::offers(&generation, "alder-1-8b").is_ok());
            let answering = check.answering("alder-1-8b", ("demo", Findings::default()), false, at);
            assert!(matches!(answering, Answering::Expected(Some(_))));
        }
    });
    assert_eq!(cost.count_total, 0, "{cost:?}");
}
