//! What a change of facts does to the answers that policy reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::country::Country;
use crate::ids::ProducerId;
use crate::overlay::Overlay;
use crate::registry::Registry;
use crate::registry::entry::LineageStatus;
use crate::resolution::{Hosting, Resolution};
use crate::resolve::Query;
use crate::view::View;

/// A model or moving alias whose answer changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// Its id.
    pub id: String,
    /// The old answer; none when the old registry does not have it.
    pub before: Option<Outcome>,
    /// The new answer; none when the new registry does not have it.
    pub after: Option<Outcome>,
}

/// What policy reads of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Who made it.
    pub producer: Option<String>,
    /// Countries of the producer and of every ancestor.
    pub weights_countries: BTreeSet<Country>,
    /// Whether no other country can hide in the weights.
    pub weights_complete: bool,
    /// What is known of the line.
    pub lineage_status: LineageStatus,
    /// Countries of the teachers.
    pub teacher_countries: BTreeSet<Country>,
}

/// A host whose answer changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostEffect {
    /// Its id.
    pub id: String,
    /// The old answer.
    pub before: Option<HostOutcome>,
    /// The new answer.
    pub after: Option<HostOutcome>,
}

/// What policy reads of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostOutcome {
    /// Countries whose law reaches the prompt.
    pub jurisdictions: BTreeSet<Country>,
    /// Whether no other can.
    pub complete: bool,
}

/// A name on a platform that means something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NameEffect {
    /// The platform; `*` = everywhere.
    pub platform: String,
    /// The name.
    pub name: String,
    /// Records that it meant.
    pub before: BTreeSet<String>,
    /// Records that it means now.
    pub after: BTreeSet<String>,
}

type Names = BTreeMap<(String, String), BTreeSet<String>>;

pub(super) fn effects(
    old: &Arc<Registry>,
    new: &Arc<Registry>,
    as_of: Date,
) -> (Vec<Effect>, Vec<HostEffect>, Vec<NameEffect>) {
    let (before, after) = (outcomes(old, as_of), outcomes(new, as_of));
    let effect = |(id, before, after): (String, Option<Outcome>, Option<Outcome>)| Effect {
        id,
        before,
        after,
    };
    let models = pairs(before, after).into_iter().map(effect).collect();
    let (before, after) = (hosts(old, as_of), hosts(new, as_of));
    let effect = |(id, before, after)| HostEffect { id, before, after };
    let places = pairs(before, after).into_iter().map(effect).collect();
    let built = built_names(old, new);
    let (before, after) = (names(old, &built, as_of), names(new, &built, as_of));
    let effect = |((platform, name), before, after): (_, Option<_>, Option<_>)| NameEffect {
        platform,
        name,
        before: before.unwrap_or_default(),
        after: after.unwrap_or_default(),
    };
    let mut moved: Vec<_> = pairs(before, after).into_iter().map(effect).collect();
    // The names of a record that is new stand among its claims.
    let known =
        |id: &String| old.model(id).is_some() || old.moving_aliases().any(|one| one.id == *id);
    moved.retain(|one| !one.before.is_empty() || one.after.iter().any(known));
    (models, places, moved)
}

/// Keys whose value is not the same in both, with both.
fn pairs<K: Ord + Clone, V: PartialEq>(
    mut old: BTreeMap<K, V>,
    new: BTreeMap<K, V>,
) -> Vec<(K, Option<V>, Option<V>)> {
    let mut found = Vec::new();
    for (id, after) in new {
        let before = old.remove(&id);
        if before.as_ref() != Some(&after) {
            found.push((id, before, Some(after)));
        }
    }
    found.extend(old.into_iter().map(|(id, before)| (id, Some(before), None)));
    found.sort_by(|one, two| one.0.cmp(&two.0));
    found
}

fn outcomes(registry: &Arc<Registry>, as_of: Date) -> BTreeMap<String, Outcome> {
    let view = View::new(registry.clone(), Overlay::default());
    let mut found = BTreeMap::new();
    for model in registry.models() {
        let answer = view.model_record(model.id.as_str(), as_of);
        found.extend(answer.map(|answer| (model.id.to_string(), Outcome::of(answer))));
    }
    for moving in registry.moving_aliases() {
        // A name may be the id of a model too; that one was answered above.
        let id = if found.contains_key(&moving.id) {
            format!("alias:{}", moving.id)
        } else {
            moving.id.clone()
        };
        let answer = view.moving_record(&moving.id, as_of);
        found.extend(answer.map(|answer| (id, Outcome::of(answer))));
    }
    found
}

fn hosts(registry: &Arc<Registry>, as_of: Date) -> BTreeMap<String, HostOutcome> {
    let view = View::new(registry.clone(), Overlay::default());
    let one = |id: &str| Some((id.to_owned(), HostOutcome::of(view.host_record(id, as_of)?)));
    registry
        .hosts()
        .filter_map(|host| one(host.id.as_str()))
        .collect()
}

/// What names mean: those that the files list, and some more.
fn names(registry: &Arc<Registry>, more: &BTreeSet<String>, as_of: Date) -> Names {
    let mut found = Names::new();
    let models = registry.models().map(|one| (one.id.as_str(), &one.aliases));
    let moving = registry.moving_aliases();
    let moving = moving.map(|one| (one.id.as_str(), &one.aliases));
    for (id, aliases) in models.chain(moving) {
        for alias in aliases.iter().filter(|alias| alias.valid.holds_on(as_of)) {
            let key = (alias.platform.clone(), alias.id.to_ascii_lowercase());
            found.entry(key).or_default().insert(id.to_owned());
        }
    }
    let view = View::new(registry.clone(), Overlay::default());
    for name in more {
        let answer = view.resolve(&Query {
            id: name,
            platform: None,
            host: None,
            upstream: None,
            region: None,
            as_of,
        });
        if let Some(id) = answer.named() {
            let key = ("*".to_owned(), name.clone());
            found.entry(key).or_default().insert(id.to_owned());
        }
    }
    found
}

/// Names that are read by their parts in one of two registries: each stem with each of its parts, and
/// with every word and organisation that only one of the two knows.
fn built_names(old: &Registry, new: &Registry) -> BTreeSet<String> {
    let words = |registry: &Registry| -> BTreeSet<String> {
        let groups = &registry.entries().words;
        groups
            .iter()
            .flat_map(|group| group.words.clone())
            .collect()
    };
    let fresh = &words(old) ^ &words(new);
    let namespaces = |registry: &Registry| -> BTreeMap<ProducerId, BTreeSet<String>> {
        let each = registry.producers();
        each.map(|one| (one.id.clone(), one.namespaces.iter().cloned().collect()))
            .collect()
    };
    let (before, after) = (namespaces(old), namespaces(new));
    let mut names = BTreeSet::new();
    for model in old.models().chain(new.models()) {
        let makers = model.producer.values();
        let makers = makers.flat_map(|maker| {
            let of = |all: &BTreeMap<ProducerId, BTreeSet<String>>| {
                all.get(maker).cloned().unwrap_or_default()
            };
            &of(&before) ^ &of(&after)
        });
        let makers: Vec<String> = makers.collect();
        for name in &model.names {
            let stem = name.stem.to_ascii_lowercase();
            let mut bases = vec![stem.clone()];
            bases.extend(name.sizes.iter().map(|size| format!("{stem}-{size}")));
            let parts = name.words.iter().chain(&fresh);
            let parts: Vec<&String> = parts.collect();
            for base in bases {
                names.extend(parts.iter().map(|part| format!("{base}-{part}")));
                names.extend(makers.iter().map(|maker| format!("{maker}/{base}")));
                names.insert(base);
            }
        }
    }
    names
}

impl Outcome {
    fn of(answer: Resolution) -> Self {
        Self {
            producer: answer.producer.map(|party| party.name),
            weights_countries: answer.weights_countries,
            weights_complete: answer.weights_complete,
            lineage_status: answer.lineage_status,
            teacher_countries: answer.teacher_countries,
        }
    }
}

impl HostOutcome {
    fn of(hosting: Hosting) -> Self {
        Self {
            jurisdictions: hosting.jurisdictions,
            complete: hosting.complete,
        }
    }
}
