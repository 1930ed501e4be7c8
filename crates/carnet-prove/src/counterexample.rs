//! A request that breaks a property, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Entities, Entity, EntityUid, Request};
use serde::Serialize;
use serde_json::Value;

use crate::book::{Book, Saying};

/// A request that breaks a property, with every fact that the rules could have asked.
///
/// The solver thinks it up: it need not occur in any registry. Its hierarchy is told closed, every
/// ancestor at once, so that a target may be in a country without a producer in between.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counterexample {
    /// Who asks.
    pub principal: Party,
    /// What for, as in `Action::"use"`.
    pub action: String,
    /// What would answer.
    pub resource: Party,
    /// How it is asked.
    pub context: BTreeMap<String, Value>,
    /// Other entities with facts of their own.
    pub others: Vec<Party>,
    /// What each pack says.
    pub answers: Vec<PackAnswer>,
    /// What the property and the rules that decide read, such as `principal.sector` or
    /// `resource in`: the rest of the facts makes no difference.
    pub matters: BTreeSet<String>,
}

/// An entity and its facts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Party {
    /// Its type, such as `Workload`.
    pub kind: String,
    /// Its id, mostly invented.
    pub id: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// Everything it is in, near and far, as in `Country::"AA"`.
    pub ancestors: BTreeSet<String>,
}

/// What one pack says to the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackAnswer {
    /// The pack.
    pub pack: String,
    /// Whether it permits.
    pub permits: bool,
    /// Ids of the rules that the answer rests on; none when no permit applied.
    pub rules: Vec<String>,
}

impl Counterexample {
    pub(crate) fn of(
        request: &Request,
        entities: &Entities,
        sayings: &[(&Book<'_>, Saying)],
        reads: BTreeSet<&str>,
    ) -> Self {
        let mut matters: BTreeSet<String> = reads.into_iter().map(str::to_owned).collect();
        let mut answers = Vec::new();
        for (book, saying) in sayings {
            let decided = book.rules().filter(|rule| saying.rules.contains(&rule.id));
            matters.extend(decided.flat_map(|rule| rule.reads.clone()));
            answers.push(PackAnswer {
                pack: book.pack.name.clone(),
                permits: saying.permits,
                rules: saying.rules.iter().map(ToString::to_string).collect(),
            });
        }
        let known = [request.principal(), request.resource(), request.action()];
        let mut others: Vec<Party> = entities
            .iter()
            .filter(|entity| !known.contains(&Some(&entity.uid())))
            .filter(|entity| entity.attrs().next().is_some())
            .map(|entity| party(&entity.uid(), entities))
            .collect();
        others.sort_by(|a, b| (&a.kind, &a.id).cmp(&(&b.kind, &b.id)));
        let uid = |uid: Option<&EntityUid>| uid.map(ToString::to_string).unwrap_or_default();
        let context = request.context().and_then(|c| c.to_json_value().ok());
        Self {
            principal: request
                .principal()
                .map(|uid| party(uid, entities))
                .unwrap_or_else(Party::nobody),
            action: uid(request.action()),
            resource: request
                .resource()
                .map(|uid| party(uid, entities))
                .unwrap_or_else(Party::nobody),
            context: fields(context),
            others,
            answers,
            matters,
        }
    }
}

impl Party {
    fn nobody() -> Self {
        Self {
            kind: String::new(),
            id: String::new(),
            attributes: BTreeMap::new(),
            ancestors: BTreeSet::new(),
        }
    }
}

fn party(uid: &EntityUid, entities: &Entities) -> Party {
    let attributes = entities
        .get(uid)
        .and_then(|entity: &Entity| entity.to_json_value().ok())
        .and_then(|mut json| json.get_mut("attrs").map(Value::take));
    let ancestors = entities.ancestors(uid).into_iter().flatten();
    Party {
        kind: uid.type_name().to_string(),
        id: AsRef::<str>::as_ref(uid.id()).to_owned(),
        attributes: fields(attributes),
        ancestors: ancestors.map(ToString::to_string).collect(),
    }
}

fn fields(value: Option<Value>) -> BTreeMap<String, Value> {
    match value {
        Some(Value::Object(fields)) => fields.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}
