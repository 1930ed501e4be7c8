//! What makes an entry of the overlay more lenient than the registry. Each function answers with
//! what the entry does, in words; an empty answer means that it only adds or maps.

use jiff::civil::Date;

use crate::claim::Horizon;
use crate::grammar::{self, NoServices};
use crate::ids::ModelId;
use crate::key::key;
use crate::overlay::{Deployment, HostPatch, ModelPatch, ProducerPatch};
use crate::registry::entry::{Egress, Host, HostKind, Model, Producer, TaughtBy, Weights};
use crate::registry::{Owner, Registry};

/// A message with its help.
pub(super) type Mistake = (String, String);

/// Mapping a free name is not loosening; giving a known name another meaning is. The overlay does
/// not say which platform the upstream speaks, so the name is read as each of them would.
pub(super) fn deployment(says: &Deployment, registry: &Registry) -> Vec<&'static str> {
    let index = registry.index();
    let is_other = |name: &str| {
        let alias = index
            .all(name)
            .any(|hit| hit.owner != Owner::Model(says.model.clone()));
        alias
            || index
                .with_key(&key(name))
                .iter()
                .any(|model| *model != says.model)
    };
    let platforms = grammar::PLATFORMS
        .iter()
        .map(|name| Some(*name))
        .chain([None]);
    let known = platforms
        .flat_map(|platform| grammar::read(&says.id, platform, &NoServices).forms)
        .any(|form| is_other(&form));
    if known {
        vec!["gives a name that the registry knows another meaning"]
    } else {
        Vec::new()
    }
}

/// A new model must not take a name that the registry gives to another.
pub(super) fn taken(id: &ModelId, registry: &Registry) -> Option<Mistake> {
    let index = registry.index();
    let is_new = registry.model(id.as_str()).is_none();
    let taken = is_new
        && (index.anywhere(id.as_str()).next().is_some()
            || !index.with_key(&key(id.as_str())).is_empty());
    taken.then(|| {
        let message = format!("`{id}` is already a name of another model in the registry");
        (
            message,
            "map it by [[deployment]], or choose another id".to_owned(),
        )
    })
}

/// A host is complete only with the country of its operator and its regions.
pub(super) fn unfounded(patch: &HostPatch, known: Option<&Host>) -> Option<Mistake> {
    if patch.complete != Some(true) {
        return None;
    }
    let mut missing = Vec::new();
    if patch.country.is_none() && known.is_none_or(|host| host.country.0.is_empty()) {
        missing.push("country = \"…\"");
    }
    let regions = patch
        .regions
        .as_ref()
        .map_or(known.map_or(0, |host| host.regions.len()), Vec::len);
    if regions == 0 {
        missing.push("regions = [{ id = \"…\", country = \"…\" }]");
    }
    if missing.is_empty() {
        return None;
    }
    let message =
        "the host is said to be complete, but not where and under whom it runs".to_owned();
    Some((
        message,
        format!("add to this entry:\n{}", missing.join("\n")),
    ))
}

pub(super) fn producer(
    patch: &ProducerPatch,
    known: Option<&Producer>,
    today: Date,
) -> Vec<&'static str> {
    let Some(known) = known else {
        return Vec::new();
    };
    let mut horizon = Horizon::new(today);
    let country = known.country.at(&mut horizon).map(|claim| claim.value);
    match (patch.country, country) {
        (Some(new), Some(old)) if new != old => vec!["replaces the producer's country"],
        (Some(_), None) => vec!["completes the producer's country"],
        _ => Vec::new(),
    }
}

pub(super) fn model(patch: &ModelPatch, known: Option<&Model>, today: Date) -> Vec<&'static str> {
    let mut why = Vec::new();
    if patch.complete == Some(true) {
        why.push("completes the line of the weights");
    }
    if patch.teachers_complete == Some(true) {
        why.push("completes the teachers");
    }
    if patch.documents.is_some() {
        why.push("says which documents are on file");
    }
    let Some(known) = known else { return why };
    let mut horizon = Horizon::new(today);
    let h = &mut horizon;
    if patch
        .producer
        .as_ref()
        .is_some_and(|new| known.producer.at(h).is_none_or(|old| old.value != *new))
    {
        why.push("replaces or completes the producer");
    }
    if let Some(bases) = &patch.base_models {
        let stays = |model: &ModelId| bases.iter().any(|base| base.model == *model);
        if known.base_models.iter().any(|base| !stays(&base.model)) {
            why.push("removes an ancestor");
        }
        if known.base_models.iter().any(|base| {
            bases
                .iter()
                .any(|new| new.model == base.model && new.relation != base.relation)
        }) {
            why.push("changes how the model came from an ancestor");
        }
    }
    if let Some(teachers) = &patch.teachers {
        let stays = |taught_by: &TaughtBy| teachers.contains(taught_by);
        if known
            .teachers
            .iter()
            .any(|teacher| !stays(&teacher.taught_by))
        {
            why.push("removes a teacher");
        }
    }
    let weights = known
        .weights
        .at(h)
        .map_or(Weights::Unknown, |claim| claim.value);
    if patch
        .weights
        .is_some_and(|new| new != weights && new != Weights::Unknown)
    {
        why.push("changes whether the weights are open");
    }
    if patch
        .licence
        .as_ref()
        .is_some_and(|new| known.licence.at(h).is_none_or(|old| old.value != *new))
    {
        why.push("changes the licence");
    }
    why
}

pub(super) fn host(patch: &HostPatch, known: Option<&Host>, today: Date) -> Vec<&'static str> {
    let mut why = Vec::new();
    let mut horizon = Horizon::new(today);
    let h = &mut horizon;
    if patch.complete == Some(true) {
        why.push("completes where the prompt goes");
    }
    let egress = known
        .and_then(|host| host.egress.at(h))
        .map(|claim| claim.value);
    if patch.egress == Some(Egress::None) && egress != Some(Egress::None) {
        why.push("says that the prompt does not leave the operator's machines");
    }
    // Also where the registry says the same today: it may say otherwise tomorrow.
    if patch.trains_on_prompts == Some(false) {
        why.push("says that the host does not train on prompts");
    }
    let Some(known) = known else { return why };
    if patch
        .kind
        .is_some_and(|new| new != known.kind && new != HostKind::Router)
    {
        why.push("changes the kind of the host");
    }
    if patch.platform.is_some() && patch.platform != known.platform {
        why.push("changes how model ids are read");
    }
    if patch
        .country
        .is_some_and(|new| known.country.at(h).is_none_or(|old| old.value != new))
    {
        why.push("replaces or completes the operator's country");
    }
    if patch.parent_country.is_some_and(|new| {
        known
            .parent_country
            .at(h)
            .is_none_or(|old| old.value != new)
    }) {
        why.push("replaces or completes the parent's country");
    }
    if patch.operator.as_ref().is_some_and(|new| {
        known
            .operator
            .at(h)
            .is_none_or(|old| old.value.name != *new)
    }) {
        why.push("replaces or completes the operator");
    }
    if let Some(regions) = &patch.regions
        && known.regions.iter().any(|old| {
            !regions
                .iter()
                .any(|(id, country)| *id == old.id && *country == old.country)
        })
    {
        why.push("removes or moves a region");
    }
    if patch
        .retention
        .as_ref()
        .is_some_and(|new| known.retention.at(h).is_none_or(|old| old.value != *new))
    {
        why.push("changes what the host keeps");
    }
    why
}
