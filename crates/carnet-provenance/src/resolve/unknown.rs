//! The candidate of an id that names no model: it knows nothing, or guesses a family and says so.

use std::collections::BTreeSet;

use crate::claim::{Confidence, Horizon, Validity};
use crate::registry::entry::{LineageStatus, Weights};
use crate::resolution::{Candidate, Fact};
use crate::resolve::Query;
use crate::resolve::candidate::no_documents;
use crate::resolve::hosting::Place;
use crate::resolve::identify::Identity;
use crate::resolve::line;
use crate::view::View;

pub(super) fn candidate(
    view: &View,
    query: &Query<'_>,
    identity: &Identity<'_>,
    mut horizon: Horizon,
    place: &Place,
) -> Candidate {
    let guess = !identity.family.is_empty();
    let confidence = if guess {
        Confidence::Low
    } else {
        Confidence::Unknown
    };
    let mut candidate = Candidate {
        model: None,
        name: query.id.to_owned(),
        identified: false,
        weights: Weights::Unknown,
        licence: None,
        producer: None,
        publisher: None,
        lineage: Vec::new(),
        lineage_status: LineageStatus::Unknown,
        weights_countries: BTreeSet::new(),
        weights_producers: BTreeSet::new(),
        weights_complete: false,
        teachers: Vec::new(),
        teacher_countries: BTreeSet::new(),
        teachers_complete: false,
        documents: None,
        disputed: Vec::new(),
        hosting: place.hosting.clone(),
        confidence,
        valid: Validity::default(),
        note: guess.then(|| "guessed from the family's word in the name".to_owned()),
        valid_until: None,
        facts: Vec::new(),
    };
    // What the family's members have in common is not known, so all they have counts.
    for id in &identity.family {
        let Some(node) = view.model_node(id.as_str(), &mut horizon) else {
            continue;
        };
        let line = line::walk(view, node, &mut horizon);
        candidate.weights_countries.extend(line.countries);
        candidate.weights_producers.extend(line.producers);
    }
    facts(&mut candidate, place);
    candidate.valid_until = horizon.next();
    candidate
}

fn facts(candidate: &mut Candidate, place: &Place) {
    let confidence = candidate.confidence;
    let mut fact = |claim, value: &str| {
        candidate
            .facts
            .push(Fact::derived(claim, value, confidence))
    };
    fact("identity", "unknown");
    for claim in [
        "producer",
        "producer.country",
        "weights",
        "licence",
        "lineage",
    ] {
        fact(claim, "unknown");
    }
    for country in &candidate.weights_countries {
        candidate
            .facts
            .push(Fact::derived("weights_countries", country, confidence));
    }
    for producer in &candidate.weights_producers {
        candidate
            .facts
            .push(Fact::derived("weights_producers", producer, confidence));
    }
    let unknown = Confidence::Unknown;
    candidate.facts.push(Fact::derived(
        "weights_complete",
        "false: the id names no known model",
        unknown,
    ));
    candidate.facts.push(Fact::derived(
        "teachers_complete",
        "false: the id names no known model",
        unknown,
    ));
    candidate.facts.push(no_documents());
    candidate.facts.extend(place.facts.iter().cloned());
}
