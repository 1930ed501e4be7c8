//! Where a model's files contradict each other, their names or the operator.

use std::collections::{BTreeMap, BTreeSet};

use crate::claim::Horizon;
use crate::ids::ModelId;
use crate::registry::entry::Dispute;
use crate::resolution::Candidate;
use crate::resolve::line;
use crate::view::View;

use super::said::{Heard, key_of};

/// Most contradictions that one answer tells. A folder with more holds files of different models.
const DISPUTES_MAX: usize = 32;

/// What contradicts, for the answer's steps and its disputes.
#[derive(Debug, Default)]
pub(super) struct Contradictions {
    pub(super) steps: Vec<String>,
    pub(super) disputes: Vec<Dispute>,
}

/// What is said in one place.
#[derive(Debug)]
struct Said<'v> {
    places: Vec<String>,
    texts: Vec<String>,
    members: Vec<Member<'v>>,
}

/// One model that is named there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Member<'v> {
    nodes: Vec<&'v ModelId>,
    /// Tells names apart that stand for no known model.
    key: String,
}

/// Every pair of places that cannot both be right.
pub(super) fn find<'v>(
    view: &'v View,
    heard: &Heard<'v, '_>,
    horizon: &mut Horizon,
) -> Contradictions {
    let all = places(heard);
    let lines = lines(view, &all, horizon);
    let mut found = Contradictions::default();
    for (at, one) in all.iter().enumerate() {
        for other in all.iter().skip(at.saturating_add(1)) {
            if !agree(one, other, &lines) {
                found.add(format!("{one} and {other} contradict each other"));
            }
        }
    }
    found
}

impl Contradictions {
    /// What the files say against the model that the operator's mapping names.
    pub(super) fn of_mapped(
        view: &View,
        heard: &Heard<'_, '_>,
        mapped: &Candidate,
        horizon: &mut Horizon,
    ) -> Self {
        let mut found = Self::default();
        let Some(model) = &mapped.model else {
            return found;
        };
        let node = view.model_node(model.as_str(), horizon);
        let mut line: BTreeSet<ModelId> =
            node.map_or_else(BTreeSet::new, |node| above(view, node, horizon));
        line.insert(model.clone());
        for base in &heard.bases {
            let known = base.found.iter().any(|id| line.contains(*id));
            if !known {
                let (place, value) = (&base.stated.place, &base.stated.value);
                found.add(format!(
                    "{place} says `{value}`, which does not stand in the line of `{model}`, which the operator names"
                ));
            }
        }
        found
    }

    fn add(&mut self, text: String) {
        if self.disputes.len() >= DISPUTES_MAX {
            return;
        }
        self.steps.push(text.clone());
        self.disputes.push(Dispute {
            text,
            by: "the files themselves".to_owned(),
            source: "the file's own statements".to_owned(),
            date: None,
            answer: None,
            answer_source: None,
        });
    }
}

/// What is said, place by place; places that say the same are one.
fn places<'v>(heard: &Heard<'v, '_>) -> Vec<Said<'v>> {
    let mut all: Vec<Said<'v>> = Vec::new();
    for base in &heard.bases {
        let member = Member {
            nodes: base.found.clone(),
            key: key_of(&base.stated.value),
        };
        let place = &base.stated.place;
        let text = base.stated.value.clone();
        match all.iter_mut().find(|said| said.places.contains(place)) {
            Some(said) => {
                said.members.push(member);
                said.texts.push(text);
            }
            None => all.push(Said {
                places: vec![place.clone()],
                texts: vec![text],
                members: vec![member],
            }),
        }
    }
    for name in heard.names.iter().filter(|name| !name.found.is_empty()) {
        all.push(Said {
            places: vec![name.own.place.clone()],
            texts: vec![name.own.value.clone()],
            members: vec![Member {
                nodes: name.found.clone(),
                key: String::new(),
            }],
        });
    }
    let mut distinct: BTreeMap<Vec<Member<'v>>, usize> = BTreeMap::new();
    let mut joined: Vec<Said<'v>> = Vec::new();
    for mut said in all {
        said.members.sort();
        said.members.dedup();
        match distinct
            .get(&said.members)
            .and_then(|at| joined.get_mut(*at))
        {
            Some(known) => known.places.extend(said.places),
            None => {
                distinct.insert(said.members.clone(), joined.len());
                joined.push(said);
            }
        }
    }
    joined
}

/// The models above each one that is named.
fn lines<'v>(
    view: &'v View,
    all: &[Said<'v>],
    horizon: &mut Horizon,
) -> BTreeMap<&'v ModelId, BTreeSet<ModelId>> {
    let mut lines = BTreeMap::new();
    let nodes = all
        .iter()
        .flat_map(|said| &said.members)
        .flat_map(|one| &one.nodes);
    for id in nodes {
        if let Some(node) = view.model_node(id.as_str(), horizon) {
            lines
                .entry(*id)
                .or_insert_with(|| above(view, node, horizon));
        }
    }
    lines
}

fn above(
    view: &View,
    node: crate::view::ModelNode<'_>,
    horizon: &mut Horizon,
) -> BTreeSet<ModelId> {
    let line = line::walk(view, node, horizon);
    line.ancestors.into_iter().map(|one| one.model).collect()
}

/// Whether all that the shorter one names may stand in one line with what the other names.
fn agree(one: &Said<'_>, other: &Said<'_>, lines: &BTreeMap<&ModelId, BTreeSet<ModelId>>) -> bool {
    let (short, long) = if one.members.len() <= other.members.len() {
        (one, other)
    } else {
        (other, one)
    };
    let above = |id: &ModelId, ancestor: &ModelId| {
        lines.get(id).is_some_and(|line| line.contains(ancestor))
    };
    let related = |a: &Member<'_>, b: &Member<'_>| {
        let same_name = !a.key.is_empty() && a.key == b.key;
        same_name
            || a.nodes
                .iter()
                .any(|a| b.nodes.iter().any(|b| a == b || above(a, b) || above(b, a)))
    };
    short
        .members
        .iter()
        .all(|a| long.members.iter().any(|b| related(a, b)))
}

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 3;
        let places: Vec<&str> = self.places.iter().take(SHOWN).map(String::as_str).collect();
        let texts: Vec<String> = self
            .texts
            .iter()
            .take(SHOWN)
            .map(|text| format!("`{text}`"))
            .collect();
        write!(f, "{}: {}", places.join(", "), texts.join(", "))
    }
}
