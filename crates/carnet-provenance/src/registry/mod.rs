//! The registry: reviewed facts about producers, models and hosts, read from files or from a blob.

pub(crate) mod blob;
mod check;
mod decoded;
pub(crate) mod entry;
mod families;
pub(crate) mod flat;
mod index;
mod links;
pub(crate) mod price;
mod read_host;
mod read_model;
mod read_other;
mod read_price;
pub(crate) mod stats;
pub(crate) mod wire;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::country::Country;
use crate::grammar;
use crate::ids::{HostId, ModelId, ProducerId, is_id};
use crate::problem::{Problem, SourceFile, sorted};
use crate::reader::Doc;
use crate::registry::entry::{
    CountryName, Dialect, FieldRule, Group, Host, HostKind, List, Model, MovingAlias, NameWords,
    Producer,
};
use crate::registry::links::Links;
use crate::registry::price::Price;

pub(crate) use check::cycles;
pub(crate) use index::{Hit, Index, Owner};
pub(crate) use links::Edge;

/// Facts as they stand in the files.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) producers: BTreeMap<ProducerId, Producer>,
    pub(crate) models: BTreeMap<ModelId, Model>,
    pub(crate) moving: BTreeMap<String, MovingAlias>,
    pub(crate) hosts: BTreeMap<HostId, Host>,
    pub(crate) prices: BTreeMap<HostId, Vec<Price>>,
    pub(crate) lists: BTreeMap<String, List>,
    pub(crate) dialects: BTreeMap<String, Dialect>,
    pub(crate) countries: Vec<CountryName>,
    pub(crate) groups: Vec<Group>,
    pub(crate) words: Vec<NameWords>,
}

impl Entries {
    /// Spell platforms as this program does. Another version may have known fewer of their names, and
    /// that must not make a signed bundle unusable.
    pub(crate) fn spell_platforms(&mut self) {
        let models = self.models.values_mut().flat_map(|one| &mut one.aliases);
        let moving = self.moving.values_mut().flat_map(|one| &mut one.aliases);
        let aliases = models.chain(moving).map(|alias| &mut alias.platform);
        let hosts = self.hosts.values_mut();
        for platform in aliases.chain(hosts.filter_map(|host| host.platform.as_mut())) {
            *platform = grammar::platform_name(platform);
        }
    }
}

/// Reviewed facts, checked and indexed. Immutable.
#[derive(Debug)]
pub struct Registry {
    entries: Entries,
    index: Index,
    version: String,
}

/// Which request fields could choose the destination, for one upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldRules {
    /// The fields.
    pub fields: Vec<FieldRule>,
    /// Every top-level key of the dialect.
    pub known: Vec<String>,
    /// Whether the upstream passes prompts on, so that unknown keys must be refused.
    pub router: bool,
}

impl Registry {
    /// Read and check all files.
    ///
    /// # Errors
    /// All mistakes of all files, each with its place.
    pub fn parse(files: &[SourceFile]) -> Result<Self, Vec<Problem>> {
        let problems = RefCell::new(Vec::new());
        let mut entries = Entries::default();
        let mut links = Links::default();
        for file in files {
            let doc = Doc::new(file, &problems);
            read(&mut entries, &doc, &file.path, &mut links);
        }
        problems.borrow_mut().extend(check::all(&entries, &links));
        let problems = problems.into_inner();
        if problems.is_empty() {
            Ok(Self::new(entries))
        } else {
            Err(sorted(problems))
        }
    }

    pub(crate) fn new(entries: Entries) -> Self {
        let version = blob::version(&blob::content(&entries));
        Self::with_version(entries, version)
    }

    pub(crate) fn with_version(entries: Entries, version: String) -> Self {
        Self {
            index: Index::of(&entries),
            entries,
            version,
        }
    }

    /// What is wrong with facts that came as a blob: the questions that files are asked. A blob that
    /// this program wrote from files has no answers.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        decoded::problems(&self.entries)
    }

    #[cfg(test)]
    pub(crate) fn into_entries(self) -> Entries {
        self.entries
    }

    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// `sha256:…` of the facts.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All models, by id.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.entries.models.values()
    }

    /// All moving aliases, by id.
    pub fn moving_aliases(&self) -> impl Iterator<Item = &MovingAlias> {
        self.entries.moving.values()
    }

    /// All producers, by id.
    pub fn producers(&self) -> impl Iterator<Item = &Producer> {
        self.entries.producers.values()
    }

    /// All hosts, by id.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.entries.hosts.values()
    }

    /// All countries.
    pub fn jurisdictions(&self) -> impl Iterator<Item = &CountryName> {
        self.entries.countries.iter()
    }

    /// All groups of countries.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.entries.groups.iter()
    }

    /// All lists.
    pub fn lists(&self) -> impl Iterator<Item = &List> {
        self.entries.lists.values()
    }

    /// One model.
    #[must_use]
    pub fn model(&self, id: &str) -> Option<&Model> {
        self.entries.models.get(id)
    }

    /// One producer.
    #[must_use]
    pub fn producer(&self, id: &str) -> Option<&Producer> {
        self.entries.producers.get(id)
    }

    /// One host.
    #[must_use]
    pub fn host(&self, id: &str) -> Option<&Host> {
        self.entries.hosts.get(id)
    }

    /// What a host charges for its models, on all days; nothing where nobody says so.
    #[must_use]
    pub fn prices(&self, host: &str) -> &[Price] {
        self.entries.prices.get(host).map_or(&[], Vec::as_slice)
    }

    /// The groups a country belongs to.
    #[must_use]
    pub fn groups_of(&self, country: Country) -> Vec<&str> {
        self.groups()
            .filter(|group| group.members.contains(&country))
            .map(|group| group.id.as_str())
            .collect()
    }

    /// The host whose address this is. Addresses without a name belong to nobody.
    #[must_use]
    pub fn host_for_origin(&self, hostname: &str) -> Option<&Host> {
        let hostname = hostname.to_ascii_lowercase();
        let hostname = hostname.trim_end_matches('.');
        let matches = |host: &&Host| {
            host.origins
                .iter()
                .any(|pattern| is_origin(pattern, hostname))
        };
        let exact = |host: &&Host| host.origins.iter().any(|pattern| pattern == hostname);
        self.hosts()
            .find(exact)
            .or_else(|| self.hosts().find(matches))
    }

    /// The routing fields of a dialect, with what a host adds or words differently.
    #[must_use]
    pub fn fields(&self, host: Option<&HostId>, dialect: &str) -> FieldRules {
        let mut rules = FieldRules::default();
        if let Some(dialect) = self.entries.dialects.get(dialect) {
            rules.fields.clone_from(&dialect.fields);
            rules.known.clone_from(&dialect.known);
        }
        let Some(host) = host.and_then(|id| self.host(id.as_str())) else {
            return rules;
        };
        rules
            .fields
            .retain(|rule| host.fields.iter().all(|own| own.path != rule.path));
        rules.fields.extend(host.fields.iter().cloned());
        rules.router = host.kind == HostKind::Router;
        rules
    }

    /// Every producer, model and country word: what may not stand in code.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for producer in self.producers() {
            names.extend([producer.id.to_string(), producer.name.clone()]);
        }
        for model in self.models() {
            names.extend([model.id.to_string(), model.name.clone()]);
            names.extend(model.family.clone());
        }
        for country in self.jurisdictions() {
            names.extend([country.code.to_string(), country.name.clone()]);
        }
        names.into_iter().collect()
    }
}

/// Whether a host name matches a pattern in which `*` stands for one label.
pub(crate) fn is_origin(pattern: &str, hostname: &str) -> bool {
    let mut labels = hostname.split('.');
    let fits = pattern.split('.').all(|part| {
        labels
            .next()
            .is_some_and(|label| part == label || (part == "*" && !label.is_empty()))
    });
    fits && labels.next().is_none()
}

/// Read one file into the entries.
fn read<'a>(entries: &mut Entries, doc: &'a Doc<'a>, path: &str, links: &mut Links) {
    let stem = path
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".toml"));
    let (Some(stem), folder) = (stem, path.rsplit_once('/').map_or("", |(folder, _)| folder))
    else {
        return doc.note(doc.start().problem("not a .toml file"));
    };
    if !is_id(stem) {
        let problem = doc.start().problem(format!("`{stem}` cannot be an id"));
        return doc.note(problem.help("name the file with a-z, 0-9, `.`, `-` and `_`"));
    }
    match (folder, stem) {
        ("producers", id) => keep(
            &mut entries.producers,
            id.into(),
            read_other::producer(doc, id, links),
            doc,
        ),
        ("models", id) => keep(
            &mut entries.models,
            id.into(),
            read_model::model(doc, id, links),
            doc,
        ),
        ("aliases", id) => keep(
            &mut entries.moving,
            id.to_owned(),
            read_model::moving(doc, id, links),
            doc,
        ),
        ("hosts", id) => keep(
            &mut entries.hosts,
            id.into(),
            read_host::host(doc, id, links),
            doc,
        ),
        ("prices", id) => keep(
            &mut entries.prices,
            id.into(),
            read_price::prices(doc, id, links),
            doc,
        ),
        ("lists", id) => keep(
            &mut entries.lists,
            id.to_owned(),
            read_other::list(doc, id),
            doc,
        ),
        ("fields", id) => keep(
            &mut entries.dialects,
            id.to_owned(),
            read_other::dialect(doc),
            doc,
        ),
        ("", "jurisdictions") => {
            (entries.countries, entries.groups) = read_other::jurisdictions(doc, links)
        }
        ("", "words") => entries.words = read_other::words(doc),
        _ => {
            let help = "files lie in producers/, models/, aliases/, hosts/, prices/, lists/ and fields/, beside jurisdictions.toml and words.toml";
            doc.note(
                doc.start()
                    .problem(format!("the registry has no place for `{path}`"))
                    .help(help),
            );
        }
    }
}

fn keep<K: Ord, V>(map: &mut BTreeMap<K, V>, id: K, entry: Option<V>, doc: &Doc<'_>) {
    let Some(entry) = entry else { return };
    if map.insert(id, entry).is_some() {
        doc.note(doc.start().problem("this file is given twice"));
    }
}

#[cfg(test)]
mod tests;
