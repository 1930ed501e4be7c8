//! Facts become Cedar entities here; which fact is which attribute is decided in `facts`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use thiserror::Error;

use crate::reading::{Share, owned_from};
use crate::workload::{Ask, Finding, Workload};

/// Entity types of the schema.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Action,
    Country,
    Group,
    Model,
    Producer,
    Target,
    Workload,
}

/// Facts that do not fit the schema. Carnet's own making, so it is a denial and a bug.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Misfit(String);

/// Children with their parents.
pub(crate) type Edges = BTreeMap<EntityUid, BTreeSet<EntityUid>>;

/// The attributes of a target or a caller.
pub(crate) type Attributes = HashMap<String, RestrictedExpression>;

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Action => "Action",
            Self::Country => "Country",
            Self::Group => "Group",
            Self::Model => "Model",
            Self::Producer => "Producer",
            Self::Target => "Target",
            Self::Workload => "Workload",
        }
    }

    /// The entity of this type with this id.
    pub(crate) fn uid(self, id: &str) -> Result<EntityUid, Misfit> {
        let name: EntityTypeName = self.as_str().parse().map_err(Misfit::of)?;
        Ok(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
    }
}

impl Misfit {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// One entity with attributes, and everything above it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) uid: EntityUid,
    entity: Entity,
    above: Vec<Entity>,
}

impl Node {
    /// Make the entity; `edges` holds its parents and theirs.
    pub(crate) fn new(
        uid: EntityUid,
        attributes: Attributes,
        mut edges: Edges,
    ) -> Result<Self, Misfit> {
        let parents: HashSet<EntityUid> =
            edges.remove(&uid).unwrap_or_default().into_iter().collect();
        let tops: Vec<EntityUid> = edges.values().flatten().chain(&parents).cloned().collect();
        for top in tops {
            edges.entry(top).or_default();
        }
        let above = edges
            .into_iter()
            .map(|(uid, parents)| Entity::new_no_attrs(uid, parents.into_iter().collect()));
        let entity = Entity::new(uid.clone(), attributes, parents).map_err(Misfit::of)?;
        Ok(Self {
            uid,
            entity,
            above: above.collect(),
        })
    }

    /// A store of this node alone, checked against the schema, with the closure of its hierarchy.
    pub(crate) fn store(&self, schema: &Schema) -> Result<Entities, Misfit> {
        let entities = self.above.iter().chain([&self.entity]).cloned();
        Entities::from_entities(entities, Some(schema)).map_err(Misfit::of)
    }

    /// The store with this node too. Only what is new is looked at again; a country that both
    /// stand under has the same groups in both, because one registry said so.
    pub(crate) fn join(&self, store: &Entities) -> Result<Entities, Misfit> {
        let above = self
            .above
            .iter()
            .filter(|entity| store.get(&entity.uid()).is_none());
        let entities = above.chain([&self.entity]).cloned();
        store
            .clone()
            .add_entities(entities, None)
            .map_err(Misfit::of)
    }
}

/// Note that `child` stands under `parent`.
pub(crate) fn link(edges: &mut Edges, child: &EntityUid, parent: &EntityUid) {
    edges
        .entry(child.clone())
        .or_default()
        .insert(parent.clone());
}

/// A text attribute. An empty text says nothing; it must never be what an empty list of a parameter
/// stands for.
pub(crate) fn text(value: &str) -> RestrictedExpression {
    let said = if value.is_empty() {
        crate::facts::UNKNOWN
    } else {
        value
    };
    RestrictedExpression::new_string(said.to_owned())
}

/// A set of texts, without empty ones.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = &'a String>) -> RestrictedExpression {
    let said = values.into_iter().filter(|value| !value.is_empty());
    RestrictedExpression::new_set(said.map(|value| text(value)))
}

/// A yes or no.
pub(crate) fn flag(value: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(value)
}

/// A record of attributes.
pub(crate) fn record(
    fields: impl IntoIterator<Item = (&'static str, RestrictedExpression)>,
) -> Result<RestrictedExpression, Misfit> {
    RestrictedExpression::new_record(
        fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value)),
    )
    .map_err(Misfit::of)
}

/// The caller as an entity. `country` is its checked country with the groups that hold it; `share` is
/// what an owner must hold to count.
pub(crate) fn workload(
    caller: &Workload,
    country: Option<(&str, &[String])>,
    share: Share,
) -> Result<Node, Misfit> {
    let uid = Kind::Workload.uid(&caller.id)?;
    let mut edges = Edges::new();
    if let Some((code, groups)) = country {
        let country = Kind::Country.uid(code)?;
        link(&mut edges, &uid, &country);
        for group in groups {
            link(&mut edges, &country, &Kind::Group.uid(group)?);
        }
    }
    let (owner_countries, owners_known) = match &caller.owners {
        Some(owners) => owned_from(owners, share),
        None => (BTreeSet::new(), false),
    };
    let found = caller.found.iter().flatten();
    let findings: BTreeSet<String> = found.flat_map(Finding::words).collect();
    let groups = country.map_or(&[][..], |(_, groups)| groups);
    let attributes = [
        ("id", text(&caller.id)),
        ("team", text(&caller.team)),
        ("sector", text(&caller.sector)),
        (
            "country",
            text(country.map_or(crate::facts::UNKNOWN, |(code, _)| code)),
        ),
        ("nationality", text(&caller.nationality)),
        ("device", text(&caller.device)),
        ("purpose", text(&caller.purpose)),
        ("tenant", text(&caller.tenant)),
        ("audience", text(&caller.audience)),
        ("groups", texts(groups)),
        ("contracts", texts(caller.contracts.iter().flatten())),
        ("contracts_known", flag(caller.contracts.is_some())),
        ("data_classes", texts(caller.data_classes.iter().flatten())),
        ("data_classes_known", flag(caller.data_classes.is_some())),
        (
            "data_subjects",
            texts(caller.data_subjects.iter().flatten()),
        ),
        ("data_subjects_known", flag(caller.data_subjects.is_some())),
        ("found", texts(&findings)),
        ("found_known", flag(caller.found.is_some())),
        ("tags", texts(&caller.tags)),
        ("owner_countries", texts(&owner_countries)),
        ("owners_known", flag(owners_known)),
    ];
    Node::new(
        uid,
        attributes
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        edges,
    )
}

/// The context of a request.
pub(crate) fn context(ask: Ask) -> Result<Context, Misfit> {
    let pairs = [
        ("api", text(ask.api.as_str())),
        ("stream", flag(ask.stream)),
    ];
    Context::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value))).map_err(Misfit::of)
}
