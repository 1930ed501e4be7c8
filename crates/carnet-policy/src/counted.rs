//! Which parties count as makers of a model under a pack's reading, and which lists name them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::Arc;

use carnet_provenance::{Candidate, Evidence, ModelId, Organisation, View};
use jiff::civil::Date;

use crate::reading::{Lineage, Reading, hundredths};
use crate::target::PreparedFact;
use crate::verdict::FactLine;
use crate::words::Counted;

/// Who counts, what was looked up for it, and when the first of it changes.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) counted: Counted,
    pub(crate) facts: Vec<PreparedFact>,
    pub(crate) valid_until: Option<Date>,
}

/// Owners above an organisation are followed so far: longer chains of record were never seen.
const OWNERS_DEEP_MAX: usize = 8;

/// Count the parties of a candidate. `known` says whether its producer and its line are.
pub(crate) fn count(
    candidate: &Candidate,
    known: Known,
    reading: &Reading,
    view: &View,
    day: Date,
) -> Count {
    let mut count = Count::default();
    let joint = joint(candidate, view, day);
    let shared = !joint.is_empty();
    for (producer, country) in parties(candidate, reading, joint, view, day) {
        count.counted.countries.extend(country);
        if let Some(id) = producer {
            count.maker(&id, view, day, reading);
        }
    }
    let counted = &mut count.counted;
    counted
        .group_countries
        .extend(counted.countries.iter().cloned());
    counted.group_lists.extend(counted.lists.iter().cloned());
    counted.complete = match reading.lineage {
        // Who made it together with others is known with the whole line only.
        Lineage::Producer if shared => known.weights,
        Lineage::Producer => known.producer,
        Lineage::Weights => known.weights,
        Lineage::WeightsAndTeachers => known.weights && known.teachers,
    };
    count
}

/// What of a candidate is known.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) producer: bool,
    pub(crate) weights: bool,
    pub(crate) teachers: bool,
}

type Party = (Option<String>, Option<String>);

/// The makers that count, each with its country where known.
fn parties(
    candidate: &Candidate,
    reading: &Reading,
    joint: Vec<String>,
    view: &View,
    day: Date,
) -> BTreeSet<Party> {
    let mut found = BTreeSet::new();
    let party = |id: Option<&dyn Display>, country: Option<&dyn Display>| {
        (
            id.map(ToString::to_string),
            country.map(ToString::to_string),
        )
    };
    if let Some(own) = &candidate.producer {
        found.insert(party(
            own.id.as_ref().map(|id| id as &dyn Display),
            own.country.as_ref().map(|country| country as &dyn Display),
        ));
    }
    for joint in joint {
        let country = view
            .organisation(&joint, day)
            .and_then(|found| found.country);
        found.insert((Some(joint), country.map(|country| country.to_string())));
    }
    if reading.lineage == Lineage::Producer {
        return found;
    }
    if reading.hops == 0 && reading.components.is_empty() {
        // Whoever else stands in the line, without a record of its own too.
        found.extend(
            candidate
                .weights_countries
                .iter()
                .map(|country| (None, Some(country.to_string()))),
        );
        found.extend(
            candidate
                .weights_producers
                .iter()
                .map(|id| (Some(id.to_string()), None)),
        );
    } else {
        for ancestor in reached(candidate, reading) {
            let id = ancestor.producer_id.as_ref();
            let country = ancestor.country.as_ref();
            found.insert(party(
                id.map(|id| id as &dyn Display),
                country.map(|country| country as &dyn Display),
            ));
        }
    }
    if reading.lineage == Lineage::WeightsAndTeachers {
        for teacher in &candidate.teachers {
            found.insert(party(
                teacher.producer_id.as_ref().map(|id| id as &dyn Display),
                teacher
                    .country
                    .as_ref()
                    .map(|country| country as &dyn Display),
            ));
        }
    }
    found
}

/// Further producers of joint work.
fn joint(candidate: &Candidate, view: &View, day: Date) -> Vec<String> {
    let model = candidate
        .model
        .as_ref()
        .and_then(|id| view.registry().model(id.as_str()));
    model
        .map_or(&[][..], |model| &model.joint)
        .iter()
        .filter(|claim| claim.valid.holds_on(day))
        .map(|claim| claim.value.to_string())
        .collect()
}

/// The ancestors within the steps that count, over steps that gave a component which counts.
fn reached<'c>(
    candidate: &'c Candidate,
    reading: &Reading,
) -> Vec<&'c carnet_provenance::Ancestor> {
    let limit = if reading.hops == 0 {
        u32::MAX
    } else {
        reading.hops
    };
    let mut steps: BTreeMap<&ModelId, u32> = BTreeMap::new();
    let mut open: VecDeque<(Option<&ModelId>, u32)> =
        VecDeque::from([(candidate.model.as_ref(), 0)]);
    let mut found = Vec::new();
    while let Some((child, hop)) = open.pop_front() {
        if hop >= limit {
            continue;
        }
        let next = hop.saturating_add(1);
        let above = candidate
            .lineage
            .iter()
            .filter(|ancestor| Some(&ancestor.child) == child)
            .filter(|ancestor| {
                reading.components.is_empty() || reading.components.contains(&ancestor.component)
            });
        for ancestor in above {
            found.push(ancestor);
            if steps.insert(&ancestor.model, next).is_none() {
                open.push_back((Some(&ancestor.model), next));
            }
        }
    }
    found
}

impl Count {
    /// A maker: itself, the lists that name it, and the owners that reach the share.
    fn maker(&mut self, id: &str, view: &View, day: Date, reading: &Reading) {
        self.counted.producers.insert(id.to_owned());
        self.group(id, view, reading.as_of.unwrap_or(day), reading);
        if reading.as_of.is_some() {
            // Lists and owners of a day that is set never change.
            self.valid_until = None;
        }
    }

    fn group(&mut self, id: &str, view: &View, day: Date, reading: &Reading) {
        let Some(own) = view.organisation(id, day) else {
            return;
        };
        self.listed(&own, false);
        let mut seen = BTreeSet::from([id.to_owned()]);
        let mut open = vec![own];
        for _ in 0..OWNERS_DEEP_MAX {
            let mut above = Vec::new();
            for owned in &open {
                self.ends(owned.valid_until);
                for owner in &owned.owners {
                    let share = owner.share.map(f64::from).and_then(hundredths);
                    if share.is_some_and(|share| !reading.share.reached_by(share)) {
                        continue;
                    }
                    let share = owner.share.map_or_else(
                        || "share not known".to_owned(),
                        |share| format!("{share} %"),
                    );
                    self.fact(
                        "counted.owner",
                        format_args!("{} of {} ({share})", owner.name, owned.name),
                        &owner.evidence,
                    );
                    if let Some(country) = owner.country {
                        self.counted.group_countries.insert(country.to_string());
                    }
                    let Some(next) = owner.producer.as_ref() else {
                        continue;
                    };
                    if seen.insert(next.to_string())
                        && let Some(next) = view.organisation(next.as_str(), day)
                    {
                        self.listed(&next, true);
                        above.push(next);
                    }
                }
            }
            if above.is_empty() {
                break;
            }
            open = above;
        }
    }

    /// The lists that name an organisation.
    fn listed(&mut self, organisation: &Organisation, as_owner: bool) {
        self.ends(organisation.valid_until);
        for listing in &organisation.lists {
            let lists = if as_owner {
                &mut self.counted.group_lists
            } else {
                &mut self.counted.lists
            };
            lists.insert(listing.list.clone());
            self.fact(
                "counted.list",
                format_args!("{}: {}", listing.list, organisation.name),
                &listing.evidence,
            );
        }
        if as_owner && let Some(country) = organisation.country {
            self.counted.group_countries.insert(country.to_string());
        }
    }

    fn ends(&mut self, day: Option<Date>) {
        self.valid_until = [self.valid_until, day].into_iter().flatten().min();
    }

    fn fact(&mut self, claim: &str, value: impl Display, evidence: &Evidence) {
        self.facts.push(fact(claim, value, evidence));
    }
}

/// The lists that name whoever runs a host, or an owner that reaches the share.
pub(crate) fn host_lists(operator: &str, reading: &Reading, view: &View, day: Date) -> Count {
    let mut count = Count::default();
    count.maker(operator, view, day, reading);
    let lists = std::mem::take(&mut count.counted.lists);
    count.counted.group_lists.extend(lists);
    for fact in &mut count.facts {
        Arc::make_mut(&mut fact.line).claim = "host.list".to_owned();
    }
    count
}

/// A fact that the registry states and that no resolution holds.
pub(crate) fn fact(claim: &str, value: impl Display, evidence: &Evidence) -> PreparedFact {
    PreparedFact {
        line: Arc::new(FactLine {
            claim: claim.to_owned(),
            value: value.to_string(),
            source: evidence.source.to_string(),
            date: evidence.date,
            confidence: evidence.confidence,
            attested: None,
        }),
        lenient: false,
    }
}
