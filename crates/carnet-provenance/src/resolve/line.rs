//! The line of the weights: who stands in it, and whether that is everybody.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::claim::{Claim, Confidence, Contradiction, Horizon};
use crate::country::Country;
use crate::ids::{ModelId, ProducerId};
use crate::limits::HOPS_MAX;
use crate::overlay::Origin;
use crate::registry::entry::{Dispute, LineageStatus, Model, Relation};
use crate::resolution::{Ancestor, Fact};
use crate::view::{Base, ModelNode, Said, View};

/// Everybody in a line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) ancestors: Vec<Ancestor>,
    pub(super) status: LineageStatus,
    pub(super) countries: BTreeSet<Country>,
    pub(super) producers: BTreeSet<ProducerId>,
    /// Why others cannot be excluded; empty = they can.
    pub(super) gaps: Vec<String>,
    pub(super) facts: Vec<Fact>,
    pub(super) disputes: Vec<Dispute>,
    pub(super) confidence: Confidence,
    /// The operator's word on which completeness rests.
    pub(super) vouched: Option<Origin>,
}

struct Walk<'v, 'h> {
    view: &'v View,
    horizon: &'h mut Horizon,
    line: Line,
    /// Countries of those who cut the weights; each must stand in the line.
    cutters: Vec<Country>,
}

/// Walk up from a model.
pub(super) fn walk(view: &View, start: ModelNode<'_>, horizon: &mut Horizon) -> Line {
    let line = Line {
        ancestors: Vec::new(),
        status: LineageStatus::Unknown,
        countries: BTreeSet::new(),
        producers: BTreeSet::new(),
        gaps: Vec::new(),
        facts: Vec::new(),
        disputes: Vec::new(),
        confidence: Confidence::High,
        vouched: None,
    };
    let mut walk = Walk {
        view,
        horizon,
        line,
        cutters: Vec::new(),
    };
    walk.line.status = walk.node(start);
    walk.climb(start);
    walk.close()
}

impl<'v> Walk<'v, '_> {
    /// Visit every ancestor, nearest first, each once.
    fn climb(&mut self, start: ModelNode<'v>) {
        let mut open = VecDeque::from([(start, 0_u8)]);
        let mut seen: HashSet<&ModelId> = HashSet::from([start.id]);
        while let Some((node, hop)) = open.pop_front() {
            if hop >= HOPS_MAX {
                self.gap(format!("the line above `{}` is too long", node.id));
                continue;
            }
            let hop = hop.saturating_add(1);
            for base in node.bases(self.horizon) {
                let Some(parent) = self
                    .view
                    .model_node(base.value.model.as_str(), self.horizon)
                else {
                    self.gap(format!("`{}` is not known", base.value.model));
                    continue;
                };
                self.step(node, parent, base, hop);
                if seen.insert(parent.id) {
                    self.node(parent);
                    open.push_back((parent, hop));
                }
            }
        }
    }

    /// One step up: the relation, and what follows from it.
    fn step(
        &mut self,
        child: ModelNode<'v>,
        parent: ModelNode<'v>,
        base: Said<'v, Base<'v>>,
        hop: u8,
    ) {
        let Said {
            value:
                Base {
                    relation,
                    component,
                    ..
                },
            evidence,
            origin,
        } = base;
        self.rest_on(evidence.confidence);
        if evidence.confidence == Confidence::Unknown {
            self.gap(format!(
                "nobody is sure that `{}` comes from `{}`",
                child.id, parent.id
            ));
        }
        self.fact(Fact::new(
            "lineage",
            format_args!("{relation} of {}", parent.id),
            evidence,
            origin,
        ));
        if relation == Relation::Abliterated {
            self.cut(child, parent);
        }
        let producer = parent.producer(self.horizon).map(|said| said.value);
        let producer = producer.and_then(|id| self.view.producer_node(id.as_str(), self.horizon));
        let country = producer
            .and_then(|producer| producer.country(self.horizon))
            .map(|said| said.value);
        self.line.ancestors.push(Ancestor {
            hop,
            model: parent.id.clone(),
            relation,
            component: component.to_owned(),
            producer: producer.map(|producer| producer.name().to_owned()),
            country,
            confidence: evidence.confidence,
            source: evidence.source.to_string(),
            as_of: evidence.date,
            producer_id: producer.map(|producer| producer.id.clone()),
            child: child.id.clone(),
        });
    }

    /// What one model adds: its producers, and whether its own line is told whole.
    fn node(&mut self, node: ModelNode<'v>) -> LineageStatus {
        match node.producer(self.horizon) {
            Some(producer) => self.party(producer),
            None => self.gap(format!("producer of `{}` unknown", node.id)),
        }
        for producer in node.joint(self.horizon) {
            self.party(producer);
        }
        for none in node.own_none() {
            let value = format!("none: {}", node.id);
            self.fact(Fact::new(none.value, value, none.evidence, none.origin));
        }
        self.disputes(node);
        self.told_whole(node)
    }

    fn party(&mut self, producer: Said<'v, &'v ProducerId>) {
        let Said {
            value: id,
            evidence,
            origin,
        } = producer;
        self.rest_on(evidence.confidence);
        if evidence.confidence == Confidence::Unknown {
            self.gap(format!("nobody is sure of the producer `{id}`"));
        }
        if self.line.producers.insert(id.clone()) || *origin != Origin::Registry {
            self.fact(Fact::new("weights_producers", id, evidence, origin));
        }
        let node = self.view.producer_node(id.as_str(), self.horizon);
        let Some(country) = node.and_then(|node| node.country(self.horizon)) else {
            self.gap(format!("country of producer `{id}` unknown"));
            return;
        };
        self.rest_on(country.evidence.confidence);
        if country.evidence.confidence == Confidence::Unknown {
            self.gap(format!("nobody is sure of the country of producer `{id}`"));
        }
        self.line.countries.insert(country.value);
        self.fact(Fact::new(
            "weights_countries",
            country.value,
            country.evidence,
            country.origin,
        ));
    }

    /// Whether producer and ancestors are the whole line of this model.
    fn told_whole(&mut self, node: ModelNode<'v>) -> LineageStatus {
        let status = node.status(self.horizon);
        let value = status.map_or(LineageStatus::Unknown, |said| said.value);
        if let Some(said) = status {
            self.rest_on(said.evidence.confidence);
            self.fact(Fact::new(
                "lineage",
                format_args!("{value}: {}", node.id),
                said.evidence,
                said.origin,
            ));
        }
        let mut whole = value.names_whole_line()
            && status.is_some_and(|said| said.evidence.confidence > Confidence::Unknown);
        if value == LineageStatus::Derived && node.bases(self.horizon).is_empty() {
            whole = false;
        }
        match node.own_complete() {
            Some(Said {
                value: true,
                origin,
                evidence,
            }) => {
                whole = true;
                self.rest_on(evidence.confidence);
                self.line.vouched = Some(origin.clone());
            }
            Some(Said { value: false, .. }) => whole = false,
            None => {}
        }
        if !whole {
            self.gap(format!("line of `{}` is {value}", node.id));
            self.rest_on(Confidence::Unknown);
        }
        value
    }

    /// Whoever cut refusals out of the weights stands in the line too, though made nobody's model.
    fn cut(&mut self, child: ModelNode<'v>, parent: ModelNode<'v>) {
        let publisher = child.publisher(self.horizon).map(|said| said.value);
        if let Some(publisher) = publisher {
            match publisher.country {
                Some(country) => self.cutters.push(country),
                None => self.gap(format!(
                    "country of `{}`, who abliterated `{}`, unknown",
                    publisher.name, child.id
                )),
            }
            return;
        }
        let maker = |node: ModelNode<'v>, horizon: &mut Horizon| {
            node.producer(horizon).map(|said| said.value)
        };
        if maker(child, self.horizon) == maker(parent, self.horizon) {
            self.gap(format!("who abliterated `{}` is unknown", child.id));
        }
    }

    fn disputes(&mut self, node: ModelNode<'v>) {
        let Some(model) = node.model else { return };
        self.line.disputes.extend(model.disputes.iter().cloned());
        for (what, disputed, claim_source) in disputed_claims(model) {
            self.line.disputes.push(Dispute {
                text: format!("{what} of {}", model.name),
                by: disputed.by.clone(),
                source: disputed
                    .source
                    .clone()
                    .unwrap_or_else(|| claim_source.to_owned()),
                date: None,
                answer: None,
                answer_source: None,
            });
        }
    }

    fn close(mut self) -> Line {
        for country in std::mem::take(&mut self.cutters) {
            if !self.line.countries.contains(&country) {
                self.gap(format!(
                    "an abliterator of {country} stands outside the line"
                ));
            }
        }
        let line = &mut self.line;
        line.ancestors
            .sort_by(|a, b| (a.hop, &a.model).cmp(&(b.hop, &b.model)));
        line.ancestors.dedup_by(|a, b| {
            a.model == b.model && a.child == b.child && a.component == b.component
        });
        line.gaps.dedup();
        self.line
    }

    fn gap(&mut self, why: String) {
        self.line.gaps.push(why);
    }

    fn rest_on(&mut self, confidence: Confidence) {
        self.line.confidence = self.line.confidence.min(confidence);
    }

    fn fact(&mut self, fact: Fact) {
        if !self.line.facts.contains(&fact) {
            self.line.facts.push(fact);
        }
    }
}

/// Claims of a model that somebody contradicts: what about, by whom, and the claim's own source.
fn disputed_claims(model: &Model) -> Vec<(&'static str, &Contradiction, &str)> {
    let mut found = disputed("the producer", &model.producer.0);
    found.extend(disputed("the part of a further producer", &model.joint));
    found.extend(disputed("the lineage", &model.lineage_status.0));
    found.extend(disputed("the licence", &model.licence.0));
    found.extend(disputed("the openness", &model.weights.0));
    found
}

fn disputed<'c, T>(
    what: &'static str,
    claims: &'c [Claim<T>],
) -> Vec<(&'static str, &'c Contradiction, &'c str)> {
    let one = |claim: &'c Claim<T>| Some((what, claim.disputed.as_ref()?, &*claim.evidence.source));
    claims.iter().filter_map(one).collect()
}
