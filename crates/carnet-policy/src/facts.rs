//! The only place that says which fact is which word of a policy.
//!
//! Whatever is not known becomes `unknown`, an empty set with its `…_complete` false, or a false
//! `known`; nothing is ever left out. What [`unknown`](crate::unknown) assumes about the words that
//! go together is made true here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use carnet_provenance::{
    Candidate, Confidence, Country, Fact, Hosting, Origin, Party, Statement, View,
};
use jiff::civil::Date;

use crate::counted::{self, Known};
use crate::entities::Misfit;
use crate::load::Policies;
use crate::reading::{Lineage, Reading};
use crate::syntax::ANCESTRY;
use crate::target::{PreparedCandidate, PreparedFact, TargetSpec};
use crate::verdict::FactLine;
use crate::words::{Ancestry, Maker, Words};

/// The text of a fact that is not known.
pub const UNKNOWN: &str = "unknown";

/// The claims behind an attribute of the target, or behind the hierarchy above it, for a pack that
/// counts these parties as makers.
pub(crate) fn claims_of(path: &str, lineage: Lineage) -> BTreeSet<&'static str> {
    let Some(counted) = path.strip_prefix("counted") else {
        return stated(path).iter().copied().collect();
    };
    let mut claims = BTreeSet::from(["identity", "producer", "producer.country"]);
    match lineage {
        Lineage::Producer => {}
        Lineage::Weights => {
            claims.extend(["lineage", "weights_countries", "weights_complete"]);
        }
        Lineage::WeightsAndTeachers => claims.extend([
            "lineage",
            "weights_countries",
            "weights_complete",
            "teachers",
            "teachers_complete",
        ]),
    }
    if matches!(counted, "" | ".lists" | ".group_lists") {
        claims.insert("counted.list");
    }
    if matches!(counted, "" | ".group_countries" | ".group_lists") {
        claims.insert("counted.owner");
    }
    claims
}

fn stated(path: &str) -> &'static [&'static str] {
    match path {
        "model" | "identified" | "confidence" => &["identity"],
        "licence" => &["identity", "licence"],
        "weights" => &["identity", "weights"],
        "lineage_status" | "relations" => &["identity", "lineage"],
        "disputed" => &["identity", "disputed"],
        "producer.country" | "producer.id" | "producer.known" => {
            &["identity", "producer", "producer.country"]
        }
        "producer.owners" | "producer.owner_countries" => {
            &["identity", "producer", "producer.owner"]
        }
        "producer.lists" => &["identity", "producer", "producer.list"],
        "producer.claims" => &["identity", "producer", "producer.claim"],
        "producer" => &[
            "identity",
            "producer",
            "producer.country",
            "producer.owner",
            "producer.list",
            "producer.claim",
        ],
        "documents" | "documents_known" => &["identity", "documents"],
        "host_lists" => &["host", "host.list"],
        "subprocessor_countries" | "subprocessors_known" => &["host", "subprocessors"],
        "trains_on_prompts" => &["host", "trains_on_prompts"],
        "weights_countries" => &[
            "identity",
            "producer",
            "producer.country",
            "lineage",
            "weights_countries",
            "weights_complete",
        ],
        "weights_producers" => &[
            "identity",
            "producer",
            "producer.country",
            "lineage",
            "weights_producers",
            "weights_complete",
        ],
        "weights_complete" => &[
            "identity",
            "producer",
            "producer.country",
            "lineage",
            "weights_complete",
        ],
        ANCESTRY => &[
            "identity",
            "producer",
            "producer.country",
            "lineage",
            "weights_countries",
            "weights_producers",
            "weights_complete",
        ],
        "teacher_countries" | "teachers_complete" => &["identity", "teachers", "teachers_complete"],
        "host" | "host_kind" | "host_operator" | "router" | "upstream" => &["host"],
        "hosting_countries" => &["host", "hosting_countries", "hosting_complete"],
        "hosting_parents" => &["host", "hosting_parents", "hosting_complete"],
        "jurisdictions" => &[
            "host",
            "hosting_countries",
            "hosting_parents",
            "jurisdictions",
            "hosting_complete",
        ],
        "hosting_complete" => &["host", "hosting_complete"],
        "egress" => &["host", "egress"],
        "retention" => &["host", "retention"],
        _ => &[],
    }
}

/// Make a candidate ready to be decided on by packs that read the facts in this way; and the first
/// day on which something that was looked up for it changes.
pub(crate) fn prepare(
    spec: &TargetSpec,
    candidate: &Candidate,
    view: &View,
    reading: &Reading,
    day: Date,
    policies: &Policies,
    change: &dyn Fn(&mut Words),
) -> Result<(PreparedCandidate, Option<Date>), Misfit> {
    let doubt = Doubt::of(candidate, reading, day);
    let mut words = words(spec, candidate, view);
    // A list that names whoever runs the host names it also while that is in doubt.
    let operator = words.host_operator.clone();
    doubt.spread(&mut words);
    change(&mut words);
    let mut facts: Vec<PreparedFact> = candidate.facts.iter().map(prepare_fact).collect();
    let known = Known {
        producer: words.producer.known,
        weights: words.weights_complete,
        teachers: words.teachers_complete,
    };
    let count = counted::count(candidate, known, reading, view, day);
    words.counted = count.counted;
    facts.extend(count.facts);
    let host = counted::host_lists(&operator, reading, view, day);
    words.host_lists = host.counted.group_lists;
    facts.extend(host.facts);
    let own = candidate.producer.as_ref().and_then(|own| own.id.as_ref());
    let maker = own.and_then(|id| view.organisation(id.as_str(), day));
    let maker = maker.filter(|_| reading.claims);
    for statement in maker.iter().flat_map(|maker| &maker.statements) {
        words
            .producer
            .claims
            .insert(format!("{}/{}", statement.topic, statement.by));
        facts.push(claim(statement));
    }
    let said_until = maker.as_ref().and_then(|maker| maker.valid_until);
    let until = [count.valid_until, host.valid_until, doubt.until, said_until];
    let prepared = PreparedCandidate::new(&spec.name, &words, facts, policies)?;
    Ok((prepared, until.into_iter().flatten().min()))
}

/// An attributed claim about the maker. It is shown as what it is: somebody's word.
fn claim(statement: &Statement) -> PreparedFact {
    let disputed = statement
        .disputed_by
        .as_ref()
        .map(|by| format!("; disputed by {by}"))
        .unwrap_or_default();
    PreparedFact {
        line: Arc::new(FactLine {
            claim: "producer.claim".to_owned(),
            value: format!(
                "{}/{}: {} (evidence: {}{disputed})",
                statement.topic, statement.by, statement.text, statement.evidence
            ),
            source: statement.source.clone(),
            date: Some(statement.date),
            // That it was said is sure; whether it is so is not.
            confidence: Confidence::Unknown,
            attested: None,
        }),
        lenient: false,
    }
}

/// What a reading does not take for known, because it is not sure or not new enough.
#[derive(Default)]
struct Doubt {
    claims: BTreeSet<String>,
    /// The first day on which something more is too old.
    until: Option<Date>,
}

impl Doubt {
    fn of(candidate: &Candidate, reading: &Reading, day: Date) -> Self {
        let mut doubt = Self::default();
        if reading.takes_all() {
            return doubt;
        }
        for fact in &candidate.facts {
            if !reading.accepts(fact.confidence, fact.date, day) {
                doubt.claims.insert(fact.claim.clone());
            } else if let Some(end) = reading.end_of(fact.date) {
                doubt.until = Some(doubt.until.map_or(end, |until| until.min(end)));
            }
        }
        doubt
    }

    fn about(&self, claims: &[&str]) -> bool {
        claims.iter().any(|claim| self.claims.contains(*claim))
    }

    /// Make unknown what is in doubt. What is said stays in the sets, so that a forbid still meets it.
    fn spread(&self, words: &mut Words) {
        if self.claims.is_empty() {
            return;
        }
        let unknown = || UNKNOWN.to_owned();
        if self.about(&["identity"]) {
            words.identified = false;
            words.model = unknown();
        }
        if !words.identified || self.about(&["producer", "producer.country"]) {
            words.producer.known = false;
        }
        let line = ["lineage", "weights_producers", "weights_countries"];
        if !words.producer.known || self.about(&line) || self.about(&["weights_complete"]) {
            words.weights_complete = false;
        }
        if self.about(&["lineage"]) {
            words.lineage_status = unknown();
        }
        if self.about(&["host"]) {
            for word in [
                &mut words.host,
                &mut words.host_kind,
                &mut words.host_operator,
                &mut words.egress,
                &mut words.retention,
                &mut words.trains_on_prompts,
            ] {
                *word = unknown();
            }
            words.router = false;
            words.subprocessors_known = false;
        }
        if !words.identified || self.about(&["teachers", "teachers_complete"]) {
            words.teachers_complete = false;
        }
        let place = [
            "host",
            "hosting_countries",
            "hosting_parents",
            "jurisdictions",
            "hosting_complete",
        ];
        if self.about(&place) {
            words.hosting_complete = false;
        }
        if self.about(&["subprocessors"]) {
            words.subprocessors_known = false;
        }
        if self.about(&["documents"]) {
            words.documents = None;
        }
        for (claim, word) in [
            ("weights", &mut words.weights),
            ("licence", &mut words.licence),
            ("egress", &mut words.egress),
            ("retention", &mut words.retention),
            ("trains_on_prompts", &mut words.trains_on_prompts),
        ] {
            if self.about(&[claim]) {
                *word = unknown();
            }
        }
    }
}

/// The candidate in the words of policies, every fact taken as it stands.
pub(crate) fn words(spec: &TargetSpec, candidate: &Candidate, view: &View) -> Words {
    let identified = candidate.identified && candidate.model.is_some();
    let producer = maker(identified, candidate.producer.as_ref());
    let words = Words {
        model: or_unknown(candidate.model.as_ref().filter(|_| identified)),
        identified,
        confidence: candidate.confidence.to_string(),
        licence: or_unknown(candidate.licence.as_ref()),
        weights: candidate.weights.to_string(),
        lineage_status: candidate.lineage_status.to_string(),
        disputed: !candidate.disputed.is_empty(),
        overlay: candidate.facts.iter().any(is_lenient),
        weights_countries: all(&candidate.weights_countries),
        weights_producers: all(&candidate.weights_producers),
        relations: candidate
            .lineage
            .iter()
            .map(|ancestor| ancestor.relation.to_string())
            .collect(),
        // A maker without a country leaves the line open, whatever else is said of it.
        weights_complete: candidate.weights_complete && producer.known,
        producer,
        teacher_countries: all(&candidate.teacher_countries),
        teachers_complete: candidate.teachers_complete && identified,
        documents: candidate.documents.clone().filter(|_| identified),
        upstream: spec.upstream.to_string(),
        ancestry: ancestry(candidate, identified, view),
        ..Words::default()
    };
    match &candidate.hosting {
        Some(hosting) => with_hosting(words, hosting, view),
        None => words,
    }
}

fn with_hosting(words: Words, hosting: &Hosting, view: &View) -> Words {
    Words {
        host: hosting.host.to_string(),
        host_kind: or_unknown(hosting.kind.as_ref()),
        host_operator: operator(hosting, view),
        router: hosting.is_router(),
        hosting_countries: all(&hosting.hosting_countries),
        hosting_parents: all(&hosting.hosting_parents),
        hosting_complete: hosting.complete && !hosting.is_router(),
        subprocessor_countries: all(&hosting.subprocessor_countries),
        subprocessors_known: hosting.subprocessors_known,
        trains_on_prompts: match hosting.trains_on_prompts {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => UNKNOWN.to_owned(),
        },
        egress: hosting.egress.to_string(),
        retention: or_unknown(hosting.retention.as_ref()),
        ..words
    }
}

fn maker(identified: bool, party: Option<&Party>) -> Maker {
    let Some(party) = party else {
        return Maker::default();
    };
    let sure =
        party.id.is_some() && party.country.is_some() && party.confidence > Confidence::Unknown;
    let owner = |owner: &carnet_provenance::Owner| {
        owner
            .producer
            .as_ref()
            .map_or_else(|| owner.name.clone(), ToString::to_string)
    };
    Maker {
        id: or_unknown(party.id.as_ref()),
        country: or_unknown(party.country.as_ref()),
        known: identified && sure,
        owners: party.owners.iter().map(owner).collect(),
        owner_countries: party
            .owners
            .iter()
            .filter_map(|owner| owner.country)
            .map(|code| code.to_string())
            .collect(),
        lists: party
            .lists
            .iter()
            .map(|listing| listing.list.clone())
            .collect(),
        claims: BTreeSet::new(),
    }
}

/// The organisation that runs the host: its record's id if it has one, else the name it goes by.
fn operator(hosting: &Hosting, view: &View) -> String {
    let Some(name) = hosting.operator.as_deref() else {
        return UNKNOWN.to_owned();
    };
    let registry = view.registry();
    let host = registry.host(hosting.host.as_str());
    let stated = host.and_then(|host| {
        host.operator
            .values()
            .find(|operator| operator.name == name)
    });
    if let Some(id) = stated.and_then(|operator| operator.producer.as_ref()) {
        return id.to_string();
    }
    let same =
        |id: &str, known: &str| id.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(name);
    let record = registry
        .producers()
        .find(|producer| same(producer.id.as_str(), &producer.name));
    record.map_or_else(|| name.to_owned(), |producer| producer.id.to_string())
}

/// The hierarchy above the target: the model itself, what its weights come from, who made those.
fn ancestry(candidate: &Candidate, identified: bool, view: &View) -> Ancestry {
    let mut models = vec![or_unknown(candidate.model.as_ref().filter(|_| identified))];
    // What a guess points to stands above it, so that a forbid meets it.
    models.extend(
        candidate
            .model
            .iter()
            .filter(|_| !identified)
            .map(ToString::to_string),
    );
    models.extend(
        candidate
            .lineage
            .iter()
            .map(|ancestor| ancestor.model.to_string()),
    );
    let own = candidate
        .producer
        .iter()
        .map(|party| (party.id.as_ref(), party.country));
    let above = candidate
        .lineage
        .iter()
        .map(|ancestor| (ancestor.producer_id.as_ref(), ancestor.country));
    let mut producers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (producer, country) in own.chain(above) {
        if let Some((producer, country)) = producer.zip(country) {
            producers
                .entry(producer.to_string())
                .or_default()
                .insert(country.to_string());
        }
    }
    let groups = candidate
        .weights_countries
        .iter()
        .map(|country| (country.to_string(), groups_of(*country, view)));
    Ancestry {
        models,
        producers,
        groups: groups.collect(),
    }
}

/// The groups that hold a country.
pub(crate) fn groups_of(country: Country, view: &View) -> Vec<String> {
    view.groups_of(country)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn or_unknown<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

fn all<T: Display>(values: &BTreeSet<T>) -> BTreeSet<String> {
    values.iter().map(ToString::to_string).collect()
}

fn is_lenient(fact: &Fact) -> bool {
    matches!(
        fact.origin,
        Origin::Operator {
            loosening: true,
            ..
        }
    )
}

fn prepare_fact(fact: &Fact) -> PreparedFact {
    PreparedFact {
        line: Arc::new(FactLine {
            claim: fact.claim.clone(),
            value: fact.value.clone(),
            source: fact.source.clone(),
            date: fact.date,
            confidence: fact.confidence,
            attested: attestation(&fact.origin),
        }),
        lenient: is_lenient(fact),
    }
}

/// Why the operator says so, who wrote it and until when it counts.
fn attestation(origin: &Origin) -> Option<String> {
    let Origin::Operator {
        reason,
        author,
        until,
        ..
    } = origin
    else {
        return None;
    };
    let parts = [
        reason.clone(),
        author.as_ref().map(|author| format!("stated by {author}")),
        until.map(|until| format!("until {until}")),
    ];
    let text: Vec<String> = parts.into_iter().flatten().collect();
    (!text.is_empty()).then(|| text.join(", "))
}
