//! Entries of the overlay between reading and use: whether what they name exists, whether they loosen
//! and say why, and when they end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::Date;

use crate::claim::{Confidence, Evidence, Validity};
use crate::ids::{HostId, ModelId, ProducerId};
use crate::overlay::{
    ABOUT_OTHERS, ABOUT_OWN, Deployment, HostPatch, ModelPatch, OPERATOR, Origin, Overlay, Patch,
    ProducerPatch, loosening,
};
use crate::problem::{Place, Problem, sorted};
use crate::registry::{Edge, Registry, cycles};

/// How far ahead the end lies that is offered for an entry without one: a quarter of a year is a
/// usual time for looking at an exception again.
const UNTIL_OFFERED: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Entries as they are written, with their places.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) deployments: Vec<Entry<Deployment>>,
    pub(super) models: Vec<Entry<(ModelId, ModelPatch)>>,
    pub(super) hosts: Vec<Entry<(HostId, HostPatch)>>,
    pub(super) producers: Vec<Entry<(ProducerId, ProducerPatch)>>,
    pub(super) named: Vec<Named>,
}

/// One entry.
pub(super) struct Entry<T> {
    pub(super) says: T,
    pub(super) place: Place,
    pub(super) reason: Option<String>,
    pub(super) author: Option<String>,
    pub(super) until: Option<Date>,
    pub(super) confidence: Option<Confidence>,
}

/// Something that must exist.
pub(super) enum Named {
    Country(String, Place),
    Model(String, Place),
    Producer(String, Place),
}

impl Draft {
    /// What is named but does not exist, and circles of the lineage.
    pub(super) fn check(&self, registry: &Registry) -> Vec<Problem> {
        let models: BTreeSet<&str> = self
            .models
            .iter()
            .map(|entry| entry.says.0.as_str())
            .collect();
        let producers: BTreeSet<&str> = self
            .producers
            .iter()
            .map(|entry| entry.says.0.as_str())
            .collect();
        let no_countries = registry.jurisdictions().next().is_none();
        let mut problems = Vec::new();
        for named in &self.named {
            let (exists, what, id, place) = match named {
                Named::Country(code, place) => {
                    let known = registry
                        .jurisdictions()
                        .any(|country| country.code.as_str() == code);
                    (no_countries || known, "country", code, place)
                }
                Named::Model(id, place) => (
                    registry.model(id).is_some() || models.contains(id.as_str()),
                    "model",
                    id,
                    place,
                ),
                Named::Producer(id, place) => (
                    registry.producer(id).is_some() || producers.contains(id.as_str()),
                    "producer",
                    id,
                    place,
                ),
            };
            if !exists {
                let help = format!("mend it, or describe it in the overlay as [[{what}]]");
                problems.push(
                    place
                        .problem(format!("there is no {what} `{id}`"))
                        .help(help),
                );
            }
        }
        problems.extend(cycles(&self.edges(registry)));
        problems
    }

    /// Every step of every line. The registry's steps stay beside the operator's: they stand again
    /// when an entry ends.
    fn edges(&self, registry: &Registry) -> Vec<Edge> {
        let Some(first) = self.models.first() else {
            return Vec::new();
        };
        let mut edges = Vec::new();
        for model in registry.models() {
            for base in &model.base_models {
                edges.push(Edge::new(
                    model.id.as_str(),
                    base.model.as_str(),
                    &first.place,
                ));
            }
        }
        for entry in &self.models {
            let (id, patch) = &entry.says;
            for base in patch.base_models.iter().flatten() {
                edges.push(Edge::new(id.as_str(), base.model.as_str(), &entry.place));
            }
        }
        edges
    }

    /// Entries whose last day is over.
    fn ended(&self, today: Date) -> Vec<Problem> {
        let deployments = self
            .deployments
            .iter()
            .filter_map(|entry| entry.ended("deployment", &entry.says.id, today));
        let models = self
            .models
            .iter()
            .filter_map(|entry| entry.ended("model", entry.says.0.as_str(), today));
        let hosts = self
            .hosts
            .iter()
            .filter_map(|entry| entry.ended("host", entry.says.0.as_str(), today));
        let producers = self
            .producers
            .iter()
            .filter_map(|entry| entry.ended("producer", entry.says.0.as_str(), today));
        sorted(
            deployments
                .chain(models)
                .chain(hosts)
                .chain(producers)
                .collect(),
        )
    }

    /// Turn entries into patches; what loosens without saying why is a mistake.
    pub(super) fn finish(
        self,
        registry: &Registry,
        today: Date,
        problems: &mut Vec<Problem>,
    ) -> Overlay {
        let mut overlay = Overlay {
            ended: self.ended(today),
            ..Overlay::default()
        };
        for entry in self.deployments {
            let says = &entry.says;
            let twice = overlay
                .deployments
                .iter()
                .any(|other| other.says.id == says.id && other.says.upstream == says.upstream);
            if twice {
                problems.push(
                    entry
                        .place
                        .problem(format!("the deployment `{}` is given twice", says.id)),
                );
            }
            let why = loosening::deployment(says, registry);
            let what = format!("the deployment `{}`", says.id);
            overlay
                .deployments
                .push(entry.patch(&what, why, ABOUT_OWN, today, problems));
        }
        for entry in self.producers {
            let (id, patch) = &entry.says;
            let why = loosening::producer(patch, registry.producer(id.as_str()), today);
            keep(
                &mut overlay.producers,
                entry,
                "producer",
                why,
                ABOUT_OTHERS,
                today,
                problems,
            );
        }
        for entry in self.models {
            let (id, patch) = &entry.says;
            problems.extend(
                loosening::taken(id, registry)
                    .map(|problem| entry.place.problem(problem.0).help(problem.1)),
            );
            let why = loosening::model(patch, registry.model(id.as_str()), today);
            keep(
                &mut overlay.models,
                entry,
                "model",
                why,
                ABOUT_OTHERS,
                today,
                problems,
            );
        }
        for entry in self.hosts {
            let (id, patch) = &entry.says;
            let known = registry.host(id.as_str());
            problems.extend(
                loosening::unfounded(patch, known)
                    .map(|problem| entry.place.problem(problem.0).help(problem.1)),
            );
            let why = loosening::host(patch, known, today);
            keep(
                &mut overlay.hosts,
                entry,
                "host",
                why,
                ABOUT_OWN,
                today,
                problems,
            );
        }
        overlay
    }
}

fn keep<K: Ord + std::fmt::Display, T>(
    map: &mut BTreeMap<K, Patch<T>>,
    entry: Entry<(K, T)>,
    what: &str,
    why: Vec<&'static str>,
    confidence: Confidence,
    today: Date,
    problems: &mut Vec<Problem>,
) {
    let Entry {
        says: (id, says),
        place,
        reason,
        author,
        until,
        confidence: own,
    } = entry;
    let name = format!("the {what} `{id}`");
    let entry = Entry {
        says,
        place: place.clone(),
        reason,
        author,
        until,
        confidence: own,
    };
    let patch = entry.patch(&name, why, confidence, today, problems);
    if map.insert(id, patch).is_some() {
        problems.push(
            place
                .problem(format!("{name} is given twice"))
                .help("put all of it into one entry"),
        );
    }
}

impl<T> Entry<T> {
    fn ended(&self, kind: &str, id: &str, today: Date) -> Option<Problem> {
        let until = self.until.filter(|until| *until < today)?;
        let problem = self.place.problem(format!(
            "the {kind} `{id}` counted until {until} and counts no more"
        ));
        Some(problem.help("take the entry out, or give it a later `until` after a new look"))
    }

    fn patch(
        self,
        what: &str,
        why: Vec<&'static str>,
        confidence: Confidence,
        today: Date,
        problems: &mut Vec<Problem>,
    ) -> Patch<T> {
        let loosening = !why.is_empty();
        if loosening && (self.reason.is_none() || self.author.is_none() || self.until.is_none()) {
            problems.push(self.unexplained(what, &why, today));
        }
        let evidence = Evidence {
            source: OPERATOR.into(),
            date: None,
            confidence: self.confidence.unwrap_or(confidence),
        };
        // `until` is the last day; a validity ends on the first day after it.
        let to = self.until.map(|until| until.tomorrow().unwrap_or(until));
        let origin = Origin::Operator {
            reason: self.reason,
            author: self.author,
            until: self.until,
            loosening,
        };
        Patch {
            says: self.says,
            origin,
            evidence,
            valid: Validity { from: None, to },
        }
    }

    fn unexplained(&self, what: &str, why: &[&'static str], today: Date) -> Problem {
        let message = format!(
            "{what} loosens: it {}; it must say why, who wrote it and when it ends",
            why.join(", ")
        );
        let until = today.checked_add(UNTIL_OFFERED).unwrap_or(today);
        let lines = [
            (self.reason.is_none(), "reason = \"…\"".to_owned()),
            (self.author.is_none(), "author = \"…\"".to_owned()),
            (self.until.is_none(), format!("until = \"{until}\"")),
        ];
        let lines: Vec<String> = lines
            .into_iter()
            .filter(|(missing, _)| *missing)
            .map(|(_, line)| line)
            .collect();
        self.place
            .problem(message)
            .help(format!("add to this entry:\n{}", lines.join("\n")))
    }
}
