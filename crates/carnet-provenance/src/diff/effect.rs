//! What a change of facts does to the answers that policy reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::country::Country;
use crate::overlay::Overlay;
use crate::registry::Registry;
use crate::registry::entry::LineageStatus;
use crate::resolution::{Hosting, Resolution};
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
    let (before, after) = (names(old, as_of), names(new, as_of));
    let mut moved = Vec::new();
    for ((platform, name), before, after) in pairs(before, after) {
        // A name that nobody knew before harms nothing; it stands among the claims.
        let Some(before) = before else { continue };
        moved.push(NameEffect {
            platform,
            name,
            before,
            after: after.unwrap_or_default(),
        });
    }
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

fn names(registry: &Registry, as_of: Date) -> Names {
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
    found
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
