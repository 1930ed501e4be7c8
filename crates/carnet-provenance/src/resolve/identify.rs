//! Which model an id names: the operator's mapping, exact aliases, canonical keys, then a guess.

use std::collections::BTreeSet;

use crate::claim::{Confidence, Evidence, Horizon, Validity};
use crate::grammar::{DIGEST, Reading, is_digest};
use crate::ids::ModelId;
use crate::key::key;
use crate::overlay::Origin;
use crate::registry::entry::{LineageStatus, MovingAlias};
use crate::registry::{Hit, Owner};
use crate::resolve::Query;
use crate::view::View;

/// What an id names.
#[derive(Debug, Default)]
pub(super) struct Identity<'v> {
    /// The models; empty when the id names none.
    pub(super) found: Vec<Found<'v>>,
    /// Id of the model or moving alias.
    pub(super) canonical: Option<String>,
    /// Whether the id names them exactly.
    pub(super) identified: bool,
    /// Models whose family the id seems to belong to, when it names none.
    pub(super) family: Vec<&'v ModelId>,
    /// How it was found.
    pub(super) steps: Vec<String>,
}

/// One model that the id may name.
#[derive(Debug)]
pub(super) struct Found<'v> {
    pub(super) model: &'v ModelId,
    pub(super) valid: Validity,
    pub(super) note: Option<&'v str>,
    /// Who says so; none = whoever says who made the model.
    pub(super) evidence: Option<&'v Evidence>,
    pub(super) origin: Option<&'v Origin>,
    /// The most that can be said of the identification.
    pub(super) at_most: Confidence,
}

impl<'v> Found<'v> {
    /// A model that is meant by its id, at all times.
    pub(super) fn of(model: &'v ModelId, at_most: Confidence) -> Self {
        Self {
            model,
            valid: Validity::default(),
            note: None,
            evidence: None,
            origin: None,
            at_most,
        }
    }
}

pub(super) struct Search<'v, 'q> {
    pub(super) view: &'v View,
    pub(super) reading: &'q Reading,
    pub(super) horizon: &'q mut Horizon,
    /// Whether the id is a name on the wire to an upstream, not one of a catalogue.
    pub(super) on_wire: bool,
    pub(super) steps: Vec<String>,
}

/// Find the model.
pub(super) fn identify<'v>(
    view: &'v View,
    query: &Query<'_>,
    reading: &Reading,
    horizon: &mut Horizon,
) -> Identity<'v> {
    let mut search = Search {
        view,
        reading,
        horizon,
        on_wire: query.upstream.is_some(),
        steps: Vec::new(),
    };
    let mut identity = search
        .deployment(query)
        .or_else(|| search.alias())
        .or_else(|| search.opaque())
        .or_else(|| search.canonical())
        .unwrap_or_default();
    if identity.found.is_empty() {
        identity.family = search.family();
    }
    identity.steps = search.steps;
    identity
}

impl<'v> Search<'v, '_> {
    pub(super) fn step(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    /// The operator says what the name stands for.
    fn deployment(&mut self, query: &Query<'_>) -> Option<Identity<'v>> {
        let name = query.id.to_ascii_lowercase();
        let patch = self.view.deployment(&name, query.upstream, self.horizon)?;
        let model = self
            .view
            .model_node(patch.says.model.as_str(), self.horizon)?;
        self.step(format!("the operator maps `{name}` to `{}`", model.id));
        let found = Found {
            model: model.id,
            valid: patch.valid,
            note: None,
            evidence: Some(&patch.evidence),
            origin: Some(&patch.origin),
            at_most: Confidence::High,
        };
        Some(Identity {
            canonical: Some(model.id.to_string()),
            found: vec![found],
            identified: true,
            ..Identity::default()
        })
    }

    fn opaque(&mut self) -> Option<Identity<'v>> {
        let why = self.reading.opaque?;
        self.step(format!("not identified: {why}"));
        Some(Identity::default())
    }

    /// An exact alias: on this platform, then everywhere, then on platforms that share names.
    fn alias(&mut self) -> Option<Identity<'v>> {
        let index = self.view.registry().index();
        if let Some(platform) = self.reading.platform.clone() {
            for form in &self.reading.forms {
                let hits: Vec<&'v Hit> = index.on(&platform, form).collect();
                let place = format!("on `{platform}`");
                if let Some(mut identity) = self.owners(&hits, form, &place) {
                    if platform == DIGEST && !is_digest(form) {
                        self.step("the first digits of a digest are no proof");
                        for one in &mut identity.found {
                            one.at_most = one.at_most.min(Confidence::Medium);
                        }
                    }
                    return Some(identity);
                }
            }
        }
        for form in &self.reading.forms {
            let hits: Vec<&'v Hit> = index.on("*", form).collect();
            if let Some(identity) = self.owners(&hits, form, "on every platform") {
                return Some(identity);
            }
        }
        if !self.reading.shares_names {
            return None;
        }
        for form in &self.reading.forms {
            let hits = index.anywhere(form).filter(|hit| self.travels(hit));
            let hits: Vec<&'v Hit> = hits.collect();
            if let Some(identity) = self.owners(&hits, form, "on other platforms") {
                return Some(identity);
            }
        }
        None
    }

    /// Whether a name means the same on other platforms: what one calls `auto` is its own choice.
    fn travels(&self, hit: &Hit) -> bool {
        let undecidable = |status: &LineageStatus| *status == LineageStatus::NotDecidableFromId;
        let Owner::Model(id) = &hit.owner else {
            return true;
        };
        let model = self.view.registry().model(id.as_str());
        !model.is_some_and(|model| model.lineage_status.values().any(undecidable))
    }

    /// What the aliases that hold on the day stand for.
    fn owners(&mut self, hits: &[&'v Hit], form: &str, place: &str) -> Option<Identity<'v>> {
        let mut held: Vec<&'v Hit> = Vec::new();
        for hit in hits {
            if self.horizon.holds(&hit.valid) {
                held.push(hit);
            }
        }
        let owners: BTreeSet<&Owner> = held.iter().map(|hit| &hit.owner).collect();
        let mut found = Vec::new();
        for hit in &held {
            self.targets(hit, &mut found);
        }
        if found.is_empty() {
            return None;
        }
        let one = owners.len() == 1;
        let canonical = owners.first().map(|owner| match owner {
            Owner::Model(id) => id.to_string(),
            Owner::Moving(id) => id.clone(),
        });
        self.step(format!("`{form}` is an alias {place}"));
        for owner in &owners {
            if let Owner::Moving(id) = owner {
                self.step(format!("`{id}` is a name that moves"));
            }
        }
        if !one {
            self.step("platforms mean different models by it: not identified");
        }
        Some(Identity {
            found,
            canonical: canonical.filter(|_| one),
            identified: one,
            ..Identity::default()
        })
    }

    fn targets(&mut self, hit: &'v Hit, found: &mut Vec<Found<'v>>) {
        match &hit.owner {
            Owner::Model(id) => {
                let Some(node) = self.view.model_node(id.as_str(), self.horizon) else {
                    return;
                };
                let evidence = hit.evidence.as_ref();
                add(
                    found,
                    Found {
                        model: node.id,
                        valid: hit.valid,
                        note: None,
                        evidence,
                        origin: None,
                        at_most: Confidence::High,
                    },
                );
            }
            Owner::Moving(id) => {
                let Some(moving) = self
                    .view
                    .registry()
                    .moving_aliases()
                    .find(|moving| moving.id == *id)
                else {
                    return;
                };
                self.moving(moving, found);
            }
        }
    }

    pub(super) fn moving(&mut self, moving: &'v MovingAlias, found: &mut Vec<Found<'v>>) {
        for target in &moving.targets {
            if !self.horizon.holds(&target.valid) {
                continue;
            }
            let Some(node) = self.view.model_node(target.model.as_str(), self.horizon) else {
                continue;
            };
            add(
                found,
                Found {
                    model: node.id,
                    valid: target.valid,
                    note: target.note.as_deref(),
                    evidence: Some(&target.evidence),
                    origin: None,
                    at_most: target.evidence.confidence,
                },
            );
        }
    }

    /// The families whose word stands in the name.
    fn family(&mut self) -> Vec<&'v ModelId> {
        let mut found: Vec<&'v ModelId> = Vec::new();
        let mut words: BTreeSet<&'v str> = BTreeSet::new();
        let index = self.view.registry().index();
        for form in self.reading.forms.iter().rev() {
            for part in form.split('/').map(key) {
                for (word, model) in index.families_in(&part) {
                    words.insert(word);
                    if !found.contains(&model) {
                        found.push(model);
                    }
                }
            }
        }
        for word in &words {
            self.steps.push(format!(
                "the name holds the family word `{word}`: a guess, which identifies nothing"
            ));
        }
        if words.is_empty() {
            self.step("no alias, key or family fits: unknown");
        }
        found
    }
}

fn add<'v>(found: &mut Vec<Found<'v>>, new: Found<'v>) {
    if !found.iter().any(|known| known.model == new.model) {
        found.push(new);
    }
}
