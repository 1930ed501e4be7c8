//! What changes between two registries: records and claims, and what that does to the answers.

mod effect;
mod records;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::registry::Registry;
use crate::registry::flat::FlatClaim;

pub use effect::{Effect, HostEffect, HostOutcome, NameEffect, Outcome};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Version of the old registry.
    pub old: String,
    /// Version of the new registry.
    pub new: String,
    /// The day on which answers are compared.
    pub as_of: Option<Date>,
    /// Records by kind: `producer`, `model`, `alias`, `host`, `price` (all of a host), `list`, `group`, `words`, `fields`.
    pub records: BTreeMap<&'static str, Records>,
    /// Models and moving aliases whose answer changes.
    pub effects: Vec<Effect>,
    /// Hosts whose answer changes.
    pub hosts: Vec<HostEffect>,
    /// Names on platforms that mean something else, or nothing any more.
    pub names: Vec<NameEffect>,
}

/// What happened to the records of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Records {
    /// Ids that only the new registry has.
    pub added: Vec<String>,
    /// Ids that only the old registry has.
    pub removed: Vec<String>,
    /// Records that both have and that say something else.
    pub changed: Vec<Changed>,
}

/// One record with what it says anew and no more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// Claims that only the new one has.
    pub added: Vec<FlatClaim>,
    /// Claims that only the old one has.
    pub removed: Vec<FlatClaim>,
}

impl Difference {
    /// What changes from one registry to another, and what that does to the answers of a day.
    #[must_use]
    pub fn between(old: &Arc<Registry>, new: &Arc<Registry>, as_of: Date) -> Self {
        let mut difference = Self {
            old: old.version().to_owned(),
            new: new.version().to_owned(),
            as_of: Some(as_of),
            ..Self::default()
        };
        // Equal content has equal answers; nothing has to be compared.
        if difference.is_empty() {
            return difference;
        }
        difference.records = records::records(old, new);
        (difference.effects, difference.hosts, difference.names) = effect::effects(old, new, as_of);
        difference
    }

    /// Whether the two say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.old == self.new
    }

    /// Models and moving aliases that both know and whose set of countries changes.
    #[must_use]
    pub fn countries_changed(&self) -> usize {
        let changed = |effect: &&Effect| match (&effect.before, &effect.after) {
            (Some(before), Some(after)) => before.weights_countries != after.weights_countries,
            _ => false,
        };
        self.effects.iter().filter(changed).count()
    }
}
