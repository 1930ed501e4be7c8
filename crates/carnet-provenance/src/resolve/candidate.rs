//! One model that may answer, with all its facts.

use std::collections::BTreeSet;

use crate::claim::{Confidence, Evidence, Horizon};
use crate::country::Country;
use crate::ids::ProducerId;
use crate::overlay::Origin;
use crate::registry::entry::{TaughtBy, Weights};
use crate::resolution::{Candidate, Fact, Party, TeacherFact};
use crate::resolve::hosting::Place;
use crate::resolve::identify::{Found, Identity};
use crate::resolve::line;
use crate::view::{ModelNode, Said, View};

struct Build<'v, 'h> {
    view: &'v View,
    node: ModelNode<'v>,
    horizon: &'h mut Horizon,
    facts: Vec<Fact>,
    confidence: Confidence,
}

struct Teachers {
    all: Vec<TeacherFact>,
    countries: BTreeSet<Country>,
    complete: bool,
}

/// Everything about one model.
pub(super) fn candidate(
    view: &View,
    found: &Found<'_>,
    identity: &Identity<'_>,
    mut horizon: Horizon,
    place: &Place,
) -> Option<Candidate> {
    let node = view.model_node(found.model.as_str(), &mut horizon)?;
    horizon.holds(&found.valid);
    let mut build = Build {
        view,
        node,
        horizon: &mut horizon,
        facts: Vec::new(),
        confidence: found.at_most,
    };
    build.identity(found, identity.identified);
    let producer = build.producer();
    let publisher = build.publisher();
    let (weights, licence) = (build.weights(), build.licence());
    let line = line::walk(view, node, build.horizon);
    build.facts.extend(line.facts);
    let complete = identity.identified && line.gaps.is_empty();
    build.completeness(
        identity.identified,
        &line.gaps,
        line.vouched.as_ref(),
        line.confidence,
    );
    let teachers = build.teachers();
    let documents = build.documents(identity.identified);
    for dispute in &line.disputes {
        let evidence = Evidence {
            source: dispute.source.as_str().into(),
            date: dispute.date,
            confidence: Confidence::Medium,
        };
        build.facts.push(Fact::new(
            "disputed",
            format_args!("{} ({})", dispute.text, dispute.by),
            &evidence,
            &Origin::Registry,
        ));
    }
    let Build {
        mut facts,
        confidence,
        ..
    } = build;
    facts.extend(place.facts.iter().cloned());
    Some(Candidate {
        model: Some(node.id.clone()),
        name: node.id.to_string(),
        identified: identity.identified,
        weights,
        licence,
        producer,
        publisher,
        lineage: line.ancestors,
        lineage_status: line.status,
        weights_countries: line.countries,
        weights_producers: line.producers,
        weights_complete: complete,
        teachers: teachers.all,
        teacher_countries: teachers.countries,
        teachers_complete: teachers.complete && identity.identified,
        documents,
        disputed: line.disputes,
        hosting: place.hosting.clone(),
        confidence: confidence.min(line.confidence),
        valid: found.valid,
        note: found.note.map(str::to_owned),
        valid_until: horizon.next(),
        facts,
    })
}

/// The fact that nobody says which documents are on file.
pub(super) fn no_documents() -> Fact {
    Fact::derived("documents", "unknown", Confidence::Unknown)
}

impl<'v> Build<'v, '_> {
    fn identity(&mut self, found: &Found<'_>, identified: bool) {
        let value = if identified {
            self.node.id.to_string()
        } else {
            format!("unknown: perhaps {}", self.node.id)
        };
        let made_by = self.node.producer(self.horizon);
        let mut fact = match (found.evidence, self.node.patch, made_by) {
            (Some(evidence), ..) => Fact::new(
                "identity",
                value,
                evidence,
                found.origin.unwrap_or(&Origin::Registry),
            ),
            (None, Some(patch), _) if self.node.model.is_none() => {
                Fact::new("identity", value, &patch.evidence, &patch.origin)
            }
            (None, _, Some(said)) => Fact::new("identity", value, said.evidence, &Origin::Registry),
            (None, _, None) => Fact::derived("identity", value, found.at_most),
        };
        fact.confidence = fact.confidence.min(found.at_most);
        self.confidence = fact.confidence;
        self.facts.push(fact);
    }

    fn producer(&mut self) -> Option<Party> {
        let Some(said) = self.node.producer(self.horizon) else {
            self.facts
                .push(Fact::derived("producer", "unknown", Confidence::Unknown));
            self.facts.push(Fact::derived(
                "producer.country",
                "unknown",
                Confidence::Unknown,
            ));
            return None;
        };
        self.facts.push(Fact::new(
            "producer",
            said.value,
            said.evidence,
            said.origin,
        ));
        let party = self.party(said);
        for owner in &party.owners {
            let share = owner
                .share
                .map(|share| format!(", {share} %"))
                .unwrap_or_default();
            let country = owner
                .country
                .map_or_else(|| "unknown".to_owned(), |country| country.to_string());
            let value = format!("{} ({country}{share})", owner.name);
            self.facts.push(Fact::new(
                "producer.owner",
                value,
                &owner.evidence,
                &Origin::Registry,
            ));
        }
        for listing in &party.lists {
            self.facts.push(Fact::new(
                "producer.list",
                &listing.list,
                &listing.evidence,
                &Origin::Registry,
            ));
        }
        Some(party)
    }

    fn party(&mut self, said: Said<'v, &'v ProducerId>) -> Party {
        let node = self.view.producer_node(said.value.as_str(), self.horizon);
        let country = node.and_then(|node| node.country(self.horizon));
        self.facts.push(match country {
            Some(country) => Fact::new(
                "producer.country",
                country.value,
                country.evidence,
                country.origin,
            ),
            None => Fact::derived("producer.country", "unknown", Confidence::Unknown),
        });
        let registry = node.and_then(|node| node.producer);
        let mut owners = Vec::new();
        for owner in registry.map_or(&[][..], |producer| &producer.owners) {
            if self.horizon.holds(&owner.valid) {
                owners.push(owner.clone());
            }
        }
        let mut lists = Vec::new();
        for listing in registry.map_or(&[][..], |producer| &producer.lists) {
            if self.horizon.holds(&listing.valid) {
                lists.push(listing.clone());
            }
        }
        let country_confidence =
            country.map_or(Confidence::High, |country| country.evidence.confidence);
        Party {
            id: Some(said.value.clone()),
            name: node
                .map_or(said.value.as_str(), |node| node.name())
                .to_owned(),
            country: country.map(|country| country.value),
            confidence: said.evidence.confidence.min(country_confidence),
            source: said.evidence.source.to_string(),
            owners,
            lists,
        }
    }

    fn publisher(&mut self) -> Option<Party> {
        let said = self.node.publisher(self.horizon)?;
        Some(Party {
            id: None,
            name: said.value.name.clone(),
            country: said.value.country,
            confidence: said.evidence.confidence,
            source: said.evidence.source.to_string(),
            owners: Vec::new(),
            lists: Vec::new(),
        })
    }

    fn weights(&mut self) -> Weights {
        let said = self.node.weights(self.horizon);
        self.facts.push(match said {
            Some(said) => Fact::new("weights", said.value, said.evidence, said.origin),
            None => Fact::derived("weights", Weights::Unknown, Confidence::Unknown),
        });
        said.map_or(Weights::Unknown, |said| said.value)
    }

    fn licence(&mut self) -> Option<String> {
        let said = self.node.licence(self.horizon);
        self.facts.push(match said {
            Some(said) => Fact::new("licence", said.value, said.evidence, said.origin),
            None => Fact::derived("licence", "unknown", Confidence::Unknown),
        });
        said.map(|said| said.value.to_owned())
    }

    fn completeness(
        &mut self,
        identified: bool,
        gaps: &[String],
        vouched: Option<&Origin>,
        confidence: Confidence,
    ) {
        let mut why = gaps.to_vec();
        if !identified {
            why.insert(0, "the id does not name this model exactly".to_owned());
        }
        let complete = why.is_empty();
        let value = if complete {
            "true".to_owned()
        } else {
            format!("false: {}", why.join("; "))
        };
        let mut fact = Fact::derived("weights_complete", value, confidence);
        if let (true, Some(origin)) = (complete, vouched) {
            fact.origin = origin.clone();
            fact.source = crate::overlay::OPERATOR.to_owned();
        }
        self.facts.push(fact);
    }

    fn teachers(&mut self) -> Teachers {
        let mut teachers = Teachers {
            all: Vec::new(),
            countries: BTreeSet::new(),
            complete: true,
        };
        for said in self.node.teachers(self.horizon) {
            let teacher = self.teacher(said);
            match teacher.country {
                Some(country) => drop(teachers.countries.insert(country)),
                None => teachers.complete = false,
            }
            self.facts
                .push(Fact::new("teachers", &teacher, said.evidence, said.origin));
            teachers.all.push(teacher);
        }
        match self.node.teachers_complete(self.horizon) {
            Some(said) if said.evidence.confidence > Confidence::Unknown => {
                teachers.complete &= said.value;
                self.facts.push(Fact::new(
                    "teachers_complete",
                    teachers.complete,
                    said.evidence,
                    said.origin,
                ));
            }
            _ => {
                teachers.complete = false;
                let value = "false: the maker does not say that these are all";
                self.facts.push(Fact::derived(
                    "teachers_complete",
                    value,
                    Confidence::Unknown,
                ));
            }
        }
        teachers
    }

    /// Documents are those of one version, and a guess names none.
    fn documents(&mut self, identified: bool) -> Option<BTreeSet<String>> {
        let said = self.node.documents();
        let said = said.filter(|said| identified && said.is_sure());
        self.facts.push(match said {
            Some(said) => {
                let listed: Vec<&str> = said.value.iter().map(String::as_str).collect();
                let value = if listed.is_empty() {
                    "none".to_owned()
                } else {
                    listed.join(", ")
                };
                Fact::new("documents", value, said.evidence, said.origin)
            }
            None => no_documents(),
        });
        said.map(|said| said.value.clone())
    }

    fn teacher(&mut self, said: Said<'v, &'v TaughtBy>) -> TeacherFact {
        let (model, producer) = match said.value {
            TaughtBy::Model(id) => {
                let node = self.view.model_node(id.as_str(), self.horizon);
                (
                    Some(id),
                    node.and_then(|node| node.producer(self.horizon))
                        .map(|said| said.value),
                )
            }
            TaughtBy::Producer(id) => (None, Some(id)),
        };
        let node = producer.and_then(|id| self.view.producer_node(id.as_str(), self.horizon));
        TeacherFact {
            model: model.cloned(),
            producer: node.map(|node| node.name().to_owned()),
            country: node
                .and_then(|node| node.country(self.horizon))
                .map(|said| said.value),
            confidence: said.evidence.confidence,
            source: said.evidence.source.to_string(),
            as_of: said.evidence.date,
            producer_id: producer.cloned(),
        }
    }
}
