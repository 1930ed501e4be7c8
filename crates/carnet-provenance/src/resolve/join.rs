//! Puts candidates together: the union of what they have, the least of what is sure.

use std::collections::BTreeSet;

use crate::claim::Confidence;
use crate::registry::entry::{LineageStatus, Weights};
use crate::resolution::{Ancestor, Candidate, Party, Resolution};
use crate::resolve::Query;

pub(super) fn join(
    query: &Query<'_>,
    platform: Option<String>,
    canonical: Option<String>,
    steps: Vec<String>,
    candidates: Vec<Candidate>,
) -> Resolution {
    let all = |f: fn(&Candidate) -> bool| !candidates.is_empty() && candidates.iter().all(f);
    Resolution {
        id: query.id.to_owned(),
        canonical,
        platform,
        producer: maker(&candidates),
        publisher: same(&candidates, |one| one.publisher.clone()).flatten(),
        weights: same(&candidates, |one| one.weights).unwrap_or(Weights::Unknown),
        licence: same(&candidates, |one| one.licence.clone()).flatten(),
        lineage: lineage(&candidates),
        // When candidates differ, the id alone does not tell the line.
        lineage_status: same(&candidates, |one| one.lineage_status)
            .unwrap_or(LineageStatus::NotDecidableFromId),
        weights_countries: union(&candidates, |one| &one.weights_countries),
        weights_complete: all(|one| one.weights_complete),
        teachers: each(&candidates, |one| &one.teachers),
        teacher_countries: union(&candidates, |one| &one.teacher_countries),
        teachers_complete: all(|one| one.teachers_complete),
        // One host serves whichever candidate answers.
        hosting: candidates.first().and_then(|one| one.hosting.clone()),
        disputed: each(&candidates, |one| &one.disputed),
        confidence: candidates
            .iter()
            .map(|one| one.confidence)
            .min()
            .unwrap_or(Confidence::Unknown),
        steps,
        candidates,
    }
}

/// The value, if all candidates have the same.
fn same<T: PartialEq>(candidates: &[Candidate], field: impl Fn(&Candidate) -> T) -> Option<T> {
    let (first, rest) = candidates.split_first()?;
    let value = field(first);
    rest.iter().all(|one| field(one) == value).then_some(value)
}

fn union<T: Ord + Clone>(
    candidates: &[Candidate],
    field: impl Fn(&Candidate) -> &BTreeSet<T>,
) -> BTreeSet<T> {
    candidates
        .iter()
        .flat_map(|one| field(one).iter().cloned())
        .collect()
}

fn each<T: PartialEq + Clone>(
    candidates: &[Candidate],
    field: impl Fn(&Candidate) -> &Vec<T>,
) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for value in candidates.iter().flat_map(&field) {
        if !found.contains(value) {
            found.push(value.clone());
        }
    }
    found
}

/// The producer, if all candidates have the same; the least sure claim speaks for all.
fn maker(candidates: &[Candidate]) -> Option<Party> {
    same(candidates, |one| {
        one.producer.as_ref().map(|party| party.id.clone())
    })?;
    let parties = candidates.iter().filter_map(|one| one.producer.as_ref());
    parties.min_by_key(|party| party.confidence).cloned()
}

/// Every ancestor of every candidate once, nearest first.
fn lineage(candidates: &[Candidate]) -> Vec<Ancestor> {
    let mut found = each(candidates, |one| &one.lineage);
    found.sort_by(|a, b| (a.hop, &a.model).cmp(&(b.hop, &b.model)));
    found
}
