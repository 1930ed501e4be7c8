//! Tables for looking names up. They are computed when a registry is loaded and never stored.

use std::collections::{BTreeSet, HashMap};

use crate::claim::{Evidence, Validity};
use crate::grammar::{DIGEST, short};
use crate::ids::{ModelId, ProducerId};
use crate::key::key;
use crate::registry::Entries;
use crate::registry::entry::{Alias, Model};
use crate::registry::families::{Families, Member};

/// The platforms on which a name means something of its own: it says nothing on any other.
const OWN_NAMES: &[&str] = &["azure", "bedrock", DIGEST, "file", "ollama"];

/// The platform on which names stand behind an organisation's.
const REPOSITORIES: &str = "huggingface";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    aliases: HashMap<String, Vec<Hit>>,
    keys: HashMap<String, Vec<ModelId>>,
    /// Keys of repositories' names without their organisation: many may publish under the same one.
    tails: HashMap<String, Vec<ModelId>>,
    families: Vec<(String, ModelId)>,
    namespaces: HashMap<String, BTreeSet<ProducerId>>,
    members: Families,
}

/// An alias that was found.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) platform: String,
    pub(crate) owner: Owner,
    pub(crate) valid: Validity,
    pub(crate) evidence: Option<Evidence>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Model(ModelId),
    Moving(String),
}

impl Index {
    pub(crate) fn of(entries: &Entries) -> Self {
        let mut index = Self {
            members: Families::of(entries),
            ..Self::default()
        };
        for producer in entries.producers.values() {
            for namespace in &producer.namespaces {
                let producers = index.namespaces.entry(namespace.clone()).or_default();
                producers.insert(producer.id.clone());
            }
        }
        for model in entries.models.values() {
            index.add_model(model);
        }
        for moving in entries.moving.values() {
            for alias in &moving.aliases {
                index.add_alias(alias, Owner::Moving(moving.id.clone()));
            }
        }
        // Most names have one meaning, and most lists would keep room for four.
        index.aliases.values_mut().for_each(Vec::shrink_to_fit);
        for lists in [&mut index.keys, &mut index.tails] {
            lists.values_mut().for_each(Vec::shrink_to_fit);
        }
        // The longest word first: the closest family is the best guess.
        index
            .families
            .sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        index
    }

    fn add_model(&mut self, model: &Model) {
        let own = key(model.id.as_str());
        let mut tails = Vec::new();
        for alias in &model.aliases {
            self.add_alias(alias, Owner::Model(model.id.clone()));
            let plain = alias.valid.is_unbounded()
                && !OWN_NAMES.contains(&alias.platform.as_str())
                && !alias.id.contains(':');
            if plain && alias.platform == REPOSITORIES && alias.id.contains('/') {
                tails.push(key(&alias.id));
            } else if plain {
                add(&mut self.keys, &key(&alias.id), &model.id);
            }
        }
        // A name that is only a repository's, and that the id had to be told apart from, is the same.
        let name = key(&model.name);
        if !tails.contains(&name) || name == own {
            add(&mut self.keys, &name, &model.id);
        }
        for tail in tails {
            add(&mut self.tails, &tail, &model.id);
        }
        add(&mut self.keys, &own, &model.id);
        if let Some(family) = &model.family {
            self.families.push((key(family), model.id.clone()));
        }
    }

    fn add_alias(&mut self, alias: &Alias, owner: Owner) {
        let hit = Hit {
            platform: alias.platform.clone(),
            owner,
            valid: alias.valid,
            evidence: alias.evidence.clone(),
        };
        if let Some(short) = short(&alias.id).filter(|_| alias.platform == DIGEST) {
            let hits = self.aliases.entry(short.to_owned()).or_default();
            hits.push(hit.clone());
        }
        self.aliases
            .entry(alias.id.to_ascii_lowercase())
            .or_default()
            .push(hit);
    }

    /// Every alias with this name on this platform.
    pub(crate) fn on(&self, platform: &str, name: &str) -> impl Iterator<Item = &Hit> {
        self.aliases
            .get(name)
            .into_iter()
            .flatten()
            .filter(move |hit| hit.platform == platform)
    }

    /// Every alias with this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Hit> {
        self.aliases.get(name).into_iter().flatten()
    }

    /// Every alias with this name on platforms whose names mean the same elsewhere.
    pub(crate) fn anywhere(&self, name: &str) -> impl Iterator<Item = &Hit> {
        let common = |hit: &&Hit| !OWN_NAMES.contains(&hit.platform.as_str());
        self.aliases.get(name).into_iter().flatten().filter(common)
    }

    /// The models with this key.
    pub(crate) fn with_key(&self, key: &str) -> &[ModelId] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    /// The models that a key means by its parts.
    pub(crate) fn members(&self, key: &str) -> Vec<Member<'_>> {
        self.members.members(key)
    }

    /// The models of repositories whose name, without its organisation, has this key.
    pub(crate) fn with_tail(&self, key: &str) -> &[ModelId] {
        self.tails.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether any maker stands under this name in front of its models.
    pub(crate) fn is_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Whether an organisation's name stands before models of this producer.
    pub(crate) fn is_namespace_of(&self, namespace: &str, producer: &ProducerId) -> bool {
        self.namespaces
            .get(namespace)
            .is_some_and(|producers| producers.contains(producer))
    }

    /// The families whose word stands in a key, the longest first, with the models that carry it.
    pub(crate) fn families_in(&self, key: &str) -> Vec<&(String, ModelId)> {
        self.families
            .iter()
            .filter(|(family, _)| stands_in(key, family))
            .collect()
    }
}

fn add(keys: &mut HashMap<String, Vec<ModelId>>, key: &str, model: &ModelId) {
    let models = keys.entry(key.to_owned()).or_default();
    if !key.is_empty() && !models.contains(model) {
        models.push(model.clone());
    }
}

/// Whether the parts of `word` stand in `key` one after the other.
fn stands_in(key: &str, word: &str) -> bool {
    let at_edge = |at: Option<u8>| at.is_none_or(|byte| byte == b'-');
    !word.is_empty()
        && key.match_indices(word).any(|(at, _)| {
            let before = at
                .checked_sub(1)
                .and_then(|at| key.as_bytes().get(at).copied());
            let after = key.as_bytes().get(at.saturating_add(word.len())).copied();
            at_edge(before) && at_edge(after)
        })
}
