//! The candidate that rests on what files say their model comes from.

use crate::claim::{Confidence, Evidence, Horizon};
use crate::ids::ModelId;
use crate::overlay::Origin;
use crate::registry::entry::LineageStatus;
use crate::resolution::{Ancestor, Candidate, Fact};
use crate::resolve::hosting::Place;
use crate::resolve::identify::{Found, Identity};
use crate::resolve::{Query, candidate, line, unknown};
use crate::statements::{FileStatements, Stated};
use crate::view::View;

use super::said::{Base, Heard, Name};

/// Longest model name from a file that stands in a lineage, in characters.
const SHOWN: usize = 200;

/// What a candidate is made from.
pub(super) struct Context<'a, 'v> {
    pub(super) view: &'v View,
    pub(super) heard: &'a Heard<'v, 'a>,
    pub(super) query: &'a Query<'a>,
    pub(super) place: &'a Place,
    pub(super) contradicted: bool,
}

impl Context<'_, '_> {
    pub(super) fn candidate(&self, mut horizon: Horizon, steps: &mut Vec<String>) -> Candidate {
        let namesake = self.namesake(&mut horizon);
        let confidence = match namesake {
            Some((id, _)) if !self.contradicted => {
                steps.push(format!(
                    "its name and what it says it comes from fit `{id}` in the registry: medium instead of low"
                ));
                Confidence::Medium
            }
            _ => Confidence::Low,
        };
        let own = namesake.filter(|(_, is_base)| !is_base && !self.contradicted);
        let mut one = own
            .and_then(|(id, _)| self.as_named(id, horizon))
            .unwrap_or_else(|| self.unnamed(horizon));
        one.lineage_status = LineageStatus::Derived;
        one.confidence = confidence;
        one.note = Some("it rests on what the file says of itself".to_owned());
        // What is said outright goes before what only the form tells.
        let (stated, read): (Vec<_>, Vec<_>) = self
            .heard
            .bases
            .iter()
            .partition(|base| base.stated.relation.is_some());
        for base in stated.into_iter().chain(read) {
            self.base(&mut one, base, confidence, &mut horizon);
        }
        for id in self.heard.nodes() {
            add_line(self.view, &mut one, id, &mut horizon);
        }
        one.lineage
            .sort_by(|a, b| (a.hop, &a.model).cmp(&(b.hop, &b.model)));
        one.facts.retain(|fact| fact.claim != "weights_complete");
        one.facts.push(Fact::derived(
            "weights_complete",
            "false: it rests on what the file says of itself",
            Confidence::Unknown,
        ));
        one.weights_complete = false;
        one.teachers_complete = false;
        one.valid_until = horizon.next();
        one
    }

    /// The model whose name the file or folder goes by and whose line fits what is said within: the
    /// stated base itself (true), or one that the registry derives from it.
    fn namesake(&self, horizon: &mut Horizon) -> Option<(&ModelId, bool)> {
        let outside = self.heard.names.iter().filter(|name| name.own.outside);
        for Name { found, .. } in outside {
            let [id] = found.as_slice() else { continue };
            let Some(node) = self.view.model_node(id.as_str(), horizon) else {
                continue;
            };
            let bases = node.bases(horizon);
            let fits = |base: &Base<'_, '_>| match base.found.as_slice() {
                [stated] if base.exact => {
                    stated == id || bases.iter().any(|said| said.value.model == *stated)
                }
                _ => false,
            };
            if self.heard.bases.iter().all(fits) {
                let is_base = self.heard.bases.iter().any(|base| base.found.contains(id));
                return Some((id, is_base));
            }
        }
        None
    }

    /// What the registry knows of the namesake. It is still only a name.
    fn as_named(&self, id: &ModelId, horizon: Horizon) -> Option<Candidate> {
        let node = self.view.model_node(id.as_str(), &mut horizon.clone())?;
        let found = Found::of(node.id, Confidence::Medium);
        let nobody = Identity::default();
        candidate::candidate(self.view, &found, &nobody, horizon, self.place)
    }

    fn unnamed(&self, horizon: Horizon) -> Candidate {
        let nobody = Identity::default();
        let mut one = unknown::candidate(self.view, self.query, &nobody, horizon, self.place);
        one.facts.retain(|fact| fact.claim != "lineage");
        one
    }

    /// One stated base, and the registry's line above it.
    fn base(
        &self,
        one: &mut Candidate,
        base: &Base<'_, '_>,
        confidence: Confidence,
        horizon: &mut Horizon,
    ) {
        let place = &base.stated.place;
        let evidence = Evidence {
            source: format!("the file's own statement: {place}").into(),
            date: None,
            confidence,
        };
        if base.found.is_empty() {
            one.confidence = Confidence::Unknown;
            let name: String = base.stated.value.chars().take(SHOWN).collect();
            let parent = ModelId::from(name.as_str());
            self.hop(one, base, &parent, None, &evidence);
            return;
        }
        for id in &base.found {
            let Some(node) = self.view.model_node(id.as_str(), horizon) else {
                continue;
            };
            let maker = node.producer(horizon);
            let maker =
                maker.and_then(|said| self.view.producer_node(said.value.as_str(), horizon));
            let maker = maker.map(|node| {
                (
                    node.id.clone(),
                    node.name().to_owned(),
                    node.country(horizon),
                )
            });
            let mut ancestor = self.ancestor(one, base, id, &evidence);
            if let Some((producer, name, country)) = maker {
                ancestor.producer_id = Some(producer);
                ancestor.producer = Some(name);
                ancestor.country = country.map(|said| said.value);
            }
            self.hop(one, base, id, Some(ancestor), &evidence);
            let line = line::walk(self.view, node, horizon);
            one.confidence = one.confidence.min(line.confidence);
            for mut above in line.ancestors {
                above.hop = above.hop.saturating_add(1);
                let known =
                    |known: &Ancestor| known.model == above.model && known.child == above.child;
                if !one.lineage.iter().any(known) {
                    one.lineage.push(above);
                }
            }
            for dispute in line.disputes {
                if !one.disputed.contains(&dispute) {
                    one.disputed.push(dispute);
                }
            }
        }
    }

    /// The first step up, once for each relation; a second place that says the same joins the first.
    fn hop(
        &self,
        one: &mut Candidate,
        base: &Base<'_, '_>,
        parent: &ModelId,
        ancestor: Option<Ancestor>,
        evidence: &Evidence,
    ) {
        one.facts.push(Fact::new(
            "lineage",
            format_args!("{} of {parent}", base.relation),
            evidence,
            &Origin::Registry,
        ));
        let stated = base.stated.relation.is_some();
        let same = |known: &&mut Ancestor| known.hop == 1 && known.model == *parent;
        if let Some(known) = one.lineage.iter_mut().find(same) {
            let from_file = known.source.starts_with("the file's own statement");
            if from_file && (known.relation == base.relation || !stated) {
                let more = format!("; {}", base.stated.place);
                known.source.push_str(&more);
                return;
            }
            if !from_file {
                // The registry says the same of the model whose name the file bears: the step is the
                // file's, and its relation the registry's where the file tells none.
                known.source = evidence.source.to_string();
                known.confidence = evidence.confidence;
                known.as_of = None;
                if stated {
                    known.relation = base.relation;
                }
                return;
            }
        }
        let ancestor = ancestor.unwrap_or_else(|| self.ancestor(one, base, parent, evidence));
        one.lineage.push(ancestor);
    }

    fn ancestor(
        &self,
        one: &Candidate,
        base: &Base<'_, '_>,
        parent: &ModelId,
        evidence: &Evidence,
    ) -> Ancestor {
        let child = one.model.clone();
        Ancestor {
            hop: 1,
            model: parent.clone(),
            relation: base.relation,
            component: "weights".to_owned(),
            producer: None,
            country: None,
            confidence: evidence.confidence,
            source: evidence.source.to_string(),
            as_of: None,
            producer_id: None,
            child: child.unwrap_or_else(|| ModelId::from(self.query.id)),
        }
    }
}

/// Adds everybody in a model's line to a candidate's countries and producers.
pub(super) fn add_line(view: &View, one: &mut Candidate, id: &ModelId, horizon: &mut Horizon) {
    let Some(node) = view.model_node(id.as_str(), horizon) else {
        return;
    };
    let line = line::walk(view, node, horizon);
    for fact in line.facts {
        if !one.facts.contains(&fact) {
            one.facts.push(fact);
        }
    }
    one.weights_countries.extend(line.countries);
    one.weights_producers.extend(line.producers);
}

/// The licence that the files name, where the registry tells none and they name one only.
pub(super) fn licence(one: &mut Candidate, says: &FileStatements) {
    let Some((Stated { value, place }, rest)) = says.licences.split_first() else {
        return;
    };
    if one.licence.is_some()
        || rest
            .iter()
            .any(|other| !other.value.eq_ignore_ascii_case(value))
    {
        return;
    }
    one.licence = Some(value.clone());
    one.facts.retain(|fact| fact.claim != "licence");
    let evidence = Evidence {
        source: format!("the file's own statement: {place}").into(),
        date: None,
        confidence: Confidence::Low,
    };
    one.facts
        .push(Fact::new("licence", value, &evidence, &Origin::Registry));
}
