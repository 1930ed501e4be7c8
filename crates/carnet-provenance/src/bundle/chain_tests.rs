//! The law of updates: no chain of bundles, overlays and reloads makes an answer complete that lacks
//! a source.

use std::sync::Arc;

use proptest::prelude::*;

use super::tests::{key, signed};
use super::*;
use crate::fixture::{SAID, file, registry, today};
use crate::registry::Entries;
use crate::{Confidence, Origin, Overlay, Registry, Resolution, View};

/// What may happen to a running server.
#[derive(Clone, Debug)]
enum Step {
    /// A bundle comes, made from the records in force after these changes.
    Update(Vec<Change>),
    /// The operator writes these entries, by their place in [`OVERLAYS`].
    Overlay(Vec<usize>),
}

/// What a careless or hostile maker of bundles does to a record, chosen by a number.
#[derive(Clone, Copy, Debug)]
enum Change {
    BlankSource(usize),
    DropCountry(usize),
    DropDate(usize),
    DropLineage(usize),
    DropProducer(usize),
    Unsure(usize),
    Whole(usize),
}

const OVERLAYS: &[&str] = &[
    "[[model]]\nid = \"hidden-1\"\ncomplete = true\nSIGNED",
    "[[model]]\nid = \"hidden-1\"\ncomplete = true",
    "[[model]]\nid = \"birch-1776\"\nbase_models = []\nSIGNED",
    "[[model]]\nid = \"ours\"\nproducer = \"nomad\"\ncomplete = true\nSIGNED",
    "[[model]]\nid = \"ours-too\"\nproducer = \"birch\"\nbase_models = [{ model = \"nomad-tune\", relation = \"merge\" }]",
    "[[producer]]\nid = \"nomad\"\ncountry = \"QX\"\nSIGNED",
    "[[producer]]\nid = \"nomad\"\ncountry = \"QX\"",
    "[[model]]\nid = \"some-router\"\nproducer = \"alder\"\ncomplete = true\nSIGNED",
];

fn overlay(text: &str) -> String {
    let why = "reason = \"r\"\nauthor = \"a\"\nuntil = \"2026-06-01\"";
    text.replace("SIGNED", why)
}

fn change(entries: &mut Entries, change: Change) {
    let model = |entries: &mut Entries, at: usize| {
        let count = entries.models.len().max(1);
        entries.models.values_mut().nth(at % count).cloned()
    };
    let (Change::BlankSource(at)
    | Change::DropCountry(at)
    | Change::DropDate(at)
    | Change::DropLineage(at)
    | Change::DropProducer(at)
    | Change::Unsure(at)
    | Change::Whole(at)) = change;
    if let Change::DropCountry(_) = change {
        let count = entries.producers.len().max(1);
        for producer in entries.producers.values_mut().skip(at % count).take(1) {
            producer.country.0.clear();
        }
        return;
    }
    let Some(mut model) = model(entries, at) else {
        return;
    };
    let claims = model.producer.0.iter_mut().map(|claim| &mut claim.evidence);
    let statuses = model.lineage_status.0.iter_mut();
    let mut evidence = claims.chain(statuses.map(|claim| &mut claim.evidence));
    match change {
        Change::BlankSource(_) => {
            if let Some(one) = evidence.nth(at % 2) {
                one.source = "".into();
            }
        }
        Change::DropDate(_) => {
            if let Some(one) = evidence.nth(at % 2) {
                one.date = None;
            }
        }
        Change::Unsure(_) => {
            if let Some(one) = evidence.nth(at % 2) {
                one.confidence = Confidence::Unknown;
            }
        }
        Change::DropLineage(_) => model.lineage_status.0.clear(),
        Change::DropProducer(_) => model.producer.0.clear(),
        Change::Whole(_) => {
            for status in &mut model.lineage_status.0 {
                status.value = crate::LineageStatus::StatedFromScratch;
            }
            model.base_models.clear();
        }
        Change::DropCountry(_) => {}
    }
    entries.models.insert(model.id.clone(), model);
}

/// A server as far as facts go.
struct Server {
    registry: Arc<Registry>,
    files: Vec<String>,
    view: View,
}

impl Server {
    fn start() -> Self {
        Self {
            registry: registry(),
            files: Vec::new(),
            view: View::new(registry(), Overlay::default()),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Update(changes) => {
                let before = self.registry.clone();
                let bytes = signed(&before, |entries| {
                    for one in changes {
                        change(entries, *one);
                    }
                });
                // A refused bundle is not installed.
                let Ok(new) = verify(&bytes, &[key()]).and_then(|bundle| bundle.registry()) else {
                    return;
                };
                self.registry = new;
            }
            Step::Overlay(entries) => {
                let text = |at: &usize| overlay(OVERLAYS[at % OVERLAYS.len()]);
                self.files = entries.iter().map(text).collect();
            }
        }
        self.reload();
    }

    /// What cannot be taken over leaves the old facts in force.
    fn reload(&mut self) {
        let named = |(at, text): (usize, &String)| file(&format!("{at}.toml"), text);
        let files: Vec<_> = self.files.iter().enumerate().map(named).collect();
        if let Ok(overlay) = Overlay::parse(&files, &self.registry, today()) {
            self.view = View::new(self.registry.clone(), overlay);
        }
    }
}

/// Whatever a complete answer says must stand somewhere, or be the operator's word with his name.
fn sourced(answer: &Resolution) -> Result<(), String> {
    let candidate = &answer.candidates[0];
    let of = |claim: &'static str| {
        candidate
            .facts
            .iter()
            .filter(move |fact| fact.claim == claim)
    };
    let stated = |fact: &&crate::Fact| match &fact.origin {
        Origin::Registry => fact.source.starts_with("https://") && fact.date.is_some(),
        Origin::Operator { .. } => true,
    };
    for country in &answer.weights_countries {
        let text = country.to_string();
        if !of("weights_countries").any(|fact| fact.value == text && stated(&fact)) {
            return Err(format!("nobody says {country}"));
        }
    }
    if answer.weights_countries.is_empty() || answer.producer.is_none() {
        return Err("complete without a maker or a country".to_owned());
    }
    if let Some(step) = answer.lineage.iter().find(|step| step.source.is_empty()) {
        return Err(format!("nobody says that it comes from {}", step.model));
    }
    let vouched = of("weights_complete").any(|fact| {
        matches!(
            &fact.origin,
            Origin::Operator {
                loosening: true,
                reason: Some(_),
                author: Some(_),
                until: Some(_)
            }
        )
    });
    let whole = of("lineage").any(|fact| stated(&fact) && fact.confidence > Confidence::Unknown);
    if vouched || whole {
        Ok(())
    } else {
        Err("nobody says that the line is whole".to_owned())
    }
}

fn change_strategy() -> impl Strategy<Value = Change> {
    (0_usize..7, 0_usize..40).prop_map(|(kind, at)| match kind {
        0 => Change::BlankSource(at),
        1 => Change::DropCountry(at),
        2 => Change::DropDate(at),
        3 => Change::DropLineage(at),
        4 => Change::DropProducer(at),
        5 => Change::Unsure(at),
        _ => Change::Whole(at),
    })
}

fn step_strategy() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::collection::vec(change_strategy(), 0..4).prop_map(Step::Update),
        proptest::collection::vec(0..OVERLAYS.len(), 0..4).prop_map(Step::Overlay),
    ]
}

proptest! {
    #[test]
    fn no_chain_of_updates_and_overlays_completes_an_answer_without_a_source(
        steps in proptest::collection::vec(step_strategy(), 1..8),
    ) {
        let mut server = Server::start();
        for step in &steps {
            server.step(step);
            for id in server.view.models().map(ToString::to_string).collect::<Vec<_>>() {
                let answer = server.view.model_record(&id, today()).unwrap();
                if answer.weights_complete {
                    let judged = sourced(&answer);
                    prop_assert!(judged.is_ok(), "{}: {} after {:?}", id, judged.unwrap_err(), steps);
                }
            }
        }
    }
}

#[test]
fn the_chains_do_complete_answers_and_do_lose_them() {
    assert!(SAID.contains("https://"));
    let complete = |server: &Server, id: &str| {
        let answer = server.view.model_record(id, today());
        answer.is_some_and(|answer| answer.weights_complete)
    };
    let mut server = Server::start();
    assert!(!complete(&server, "hidden-1"));
    server.step(&Step::Overlay(vec![0]));
    assert!(complete(&server, "hidden-1"));
    server.step(&Step::Overlay(vec![1]));
    assert!(
        complete(&server, "hidden-1"),
        "the bad file leaves the old facts"
    );
    server.step(&Step::Overlay(vec![]));
    assert!(!complete(&server, "hidden-1"));
    let at = server
        .registry
        .models()
        .position(|one| one.id.as_str() == "alder-r1");
    server.step(&Step::Update(vec![Change::DropLineage(at.unwrap())]));
    assert!(!complete(&server, "alder-r1"));
}
