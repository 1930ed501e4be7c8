//! Another gateway's configuration becomes a `carnet.toml` and a report of what became of each part of it.
//!
//! Whatever nothing was made of is reported, known or not; secrets are never copied, not even into messages.

mod bifrost;
mod cursor;
mod knowledge;
mod litellm;
mod portkey;
mod report;
mod tree;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_provenance::{Overlay, View};
use clap::ValueEnum;

use self::cursor::{At, Mistakes};
use self::knowledge::{Knowledge, Provider};
pub(crate) use self::report::Report;
use self::report::{Place, Secret};
use self::tree::{Node, Value};
use self::upstream::{Entry, Key, Model, Upstream, Workload};
use crate::config::{Draft, Given};
use crate::embedded;
use crate::trouble::Troubles;

/// The workload of callers, where the source names none.
const WORKLOAD: &str = "imported";
/// What answers in OpenAI's dialect.
const CHAT: &str = "chat-completions";

/// A gateway whose configuration can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Product {
    /// `config.json` of Bifrost.
    Bifrost,
    /// `config.yaml` of the LiteLLM proxy.
    Litellm,
    /// A config of Portkey, as JSON.
    Portkey,
}

impl Product {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bifrost => "bifrost",
            Self::Litellm => "litellm",
            Self::Portkey => "portkey",
        }
    }
}

/// What came of a source.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The new configuration.
    pub(crate) config: String,
    pub(crate) report: Report,
    pub(crate) upstreams: usize,
    pub(crate) models: usize,
    pub(crate) workloads: usize,
}

/// Read a text and make a configuration of it.
pub(crate) fn import(product: Product, text: &str) -> Result<Imported, Troubles> {
    let knowledge = Knowledge::of(product)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree = match product {
        Product::Litellm => tree::read_yaml(text),
        Product::Bifrost => tree::read_json(text),
        Product::Portkey => tree::read_json(text).map(portkey::in_snake_case),
    }
    .map_err(|trouble| vec![trouble])?;
    let mut import = Import::new(&knowledge);
    let root = At::root(&tree);
    import.mistakes.map(&root, "");
    match product {
        Product::Bifrost => bifrost::read(&mut import, &root),
        Product::Litellm => litellm::read(&mut import, &root),
        Product::Portkey => portkey::read(&mut import, &root),
    }
    import.finish(product, &tree)
}

/// Names that are given once each.
#[derive(Debug)]
struct Names {
    /// What stands before the number of a name that was wished for again.
    separator: &'static str,
    used: BTreeSet<String>,
    /// The last number tried for a wish, so that many equal wishes cost no search each.
    last: BTreeMap<String, usize>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            separator: "-",
            used: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }
}

impl Names {
    /// The name wished for, with a number if somebody has it.
    fn unused(&mut self, wish: &str) -> String {
        let last = self.last.entry(wish.to_owned()).or_default();
        loop {
            *last = last.saturating_add(1);
            let name = match *last {
                1 => wish.to_owned(),
                number => format!("{wish}{}{number}", self.separator),
            };
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// A secret without a variable.
#[derive(Debug)]
struct Asked {
    /// What the source says, so that equal ones need one variable. It goes nowhere else.
    values: Vec<String>,
    wish: String,
    secret: Secret,
}

/// A configuration in the making.
#[derive(Debug)]
struct Import<'k> {
    knowledge: &'k Knowledge,
    mistakes: Mistakes,
    report: Report,
    entries: Vec<Entry>,
    names: Names,
    /// Ids of workloads.
    callers: Names,
    workloads: Vec<Workload>,
    asked: Vec<Asked>,
}

impl<'k> Import<'k> {
    fn new(knowledge: &'k Knowledge) -> Self {
        Self {
            knowledge,
            mistakes: Mistakes::default(),
            report: Report::default(),
            entries: Vec::new(),
            names: Names::default(),
            callers: Names::default(),
            workloads: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Report a part as left behind, with all below it.
    fn leave(&mut self, at: &At<'_>, why: impl Into<String>, instead: Option<&str>) {
        at.take();
        self.report.left(at.place(), why, instead);
    }

    /// The first text at one of these keys, in any of these places.
    fn first<'t>(&mut self, contexts: &[&At<'t>], keys: &[String]) -> Option<(&'t str, Place)> {
        contexts
            .iter()
            .flat_map(|at| keys.iter().map(move |key| (at, key)))
            .find_map(|(at, key)| self.mistakes.text(at, key))
    }

    /// The variable that a text names instead of a value.
    fn reference<'t>(&self, text: &'t str) -> Option<&'t str> {
        let name = text.strip_prefix(self.knowledge.reference.as_deref()?)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = !name.is_empty() && name.chars().all(plain);
        (is_name && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
    }

    /// The upstream of a provider, by what the source says of it in these places.
    fn upstream(&mut self, provider: &Provider, contexts: &[&At<'_>]) -> Upstream {
        let mut upstream = Upstream {
            wish: provider.upstream.clone(),
            auth: provider.auth.clone(),
            apis: provider.apis.clone(),
            platform: provider.platform.clone(),
            ..Upstream::default()
        };
        upstream.key = self.key(provider, contexts);
        if let Err(lack) = self.place_of(provider, contexts, &mut upstream) {
            upstream.lacks.push(lack);
        }
        upstream
    }

    /// Where it answers; the error is what is missing.
    fn place_of(
        &mut self,
        provider: &Provider,
        contexts: &[&At<'_>],
        upstream: &mut Upstream,
    ) -> Result<(), String> {
        let parts = self.parts(provider, contexts)?;
        let region = parts.iter().find(|(name, _)| name == "region");
        upstream.region = region.map(|(_, value)| value.clone());
        let given = self.first(contexts, &provider.address);
        let mut text = match given {
            Some((text, place)) => {
                if let Some(variable) = self.reference(text) {
                    return Err(format!(
                        "its address is in the variable {variable}: write it out"
                    ));
                }
                let Some((uri, address)) = upstream::address(text) else {
                    // Whatever it is, it may hold a secret.
                    return Err(format!(
                        "{} is no address that can be taken: write it without query, user name and password",
                        place.path
                    ));
                };
                let suffix = self.suffix(provider, contexts, upstream);
                let suffix = suffix.unwrap_or_default();
                let first = suffix
                    .trim_start_matches('/')
                    .split('/')
                    .next()
                    .unwrap_or_default();
                let there = uri.path().split('/').any(|part| part == first);
                if there { address } else { address + suffix }
            }
            None => {
                let is_global = parts.iter().any(|(_, value)| value == "global");
                let url = provider.global_url.as_ref().filter(|_| is_global);
                url.or(provider.base_url.as_ref())
                    .cloned()
                    .ok_or("its address is not in the source")?
            }
        };
        for (name, value) in &parts {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        if let Some((uri, address)) = upstream::address(&text) {
            upstream.private_addresses = upstream::is_inside(&uri);
            upstream.base_url = Some(address);
        }
        Ok(())
    }

    /// What is added to an address, and the version that goes with it.
    fn suffix<'p>(
        &mut self,
        provider: &'p Provider,
        contexts: &[&At<'_>],
        upstream: &mut Upstream,
    ) -> Option<&'p str> {
        if let (Some(key), Some(suffix)) = (&provider.version, &provider.versioned_suffix) {
            let version = self.first(contexts, std::slice::from_ref(key));
            // A word such as `preview` asks for the interface without dates.
            let dated = version.filter(|(text, _)| {
                text.starts_with(|c: char| c.is_ascii_digit())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            });
            if let Some((version, _)) = dated {
                upstream.api_version = Some(version.to_owned());
                upstream.apis = provider.versioned_apis.clone();
                return Some(suffix);
            }
        }
        provider.suffix.as_deref()
    }

    fn parts(
        &mut self,
        provider: &Provider,
        contexts: &[&At<'_>],
    ) -> Result<Vec<(String, String)>, String> {
        let mut parts = Vec::new();
        for (name, key) in &provider.parts {
            let Some((value, place)) = self.first(contexts, std::slice::from_ref(key)) else {
                return Err(format!("its {name} is not in the source"));
            };
            if let Some(variable) = self.reference(value) {
                return Err(format!(
                    "its {name} is in the variable {variable}: write it out"
                ));
            }
            if !value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            {
                return Err(format!(
                    "{} is no {name} that an address can have",
                    place.path
                ));
            }
            parts.push((name.clone(), value.to_owned()));
        }
        Ok(parts)
    }

    /// Where its secret comes from: a variable that the source names alone, else one that is to be set.
    fn key(&mut self, provider: &Provider, contexts: &[&At<'_>]) -> Option<Key> {
        let mut values = Vec::new();
        let mut places = Vec::new();
        for key in &provider.secrets {
            if let Some((value, place)) = self.first(contexts, std::slice::from_ref(key)) {
                values.push(value);
                places.push(place);
            }
        }
        if let ([value], None) = (values.as_slice(), &provider.key_holds)
            && let Some(variable) = self.reference(value)
        {
            return Some(Key::Env(variable.to_owned()));
        }
        let holds = match (&provider.key_holds, values.is_empty()) {
            (Some(holds), _) => holds.clone(),
            (None, false) => "the key that stands in the source".to_owned(),
            (None, true) if self.knowledge.reads_environment => {
                return provider.key_env.clone().map(Key::Env);
            }
            (None, true) => {
                provider.key_env.as_ref()?;
                "a key of the service; the source has none".to_owned()
            }
        };
        if places.is_empty() {
            places.extend(contexts.first().map(|at| at.place()));
        }
        let wish = provider
            .key_env
            .clone()
            .unwrap_or_else(|| variable_of(&provider.upstream));
        Some(Key::Asked(self.ask(values, wish, holds, places)))
    }

    /// The number of a secret that is to be set.
    fn ask(&mut self, values: Vec<&str>, wish: String, holds: String, places: Vec<Place>) -> usize {
        let same = |asked: &Asked| asked.values == values && asked.wish == wish;
        if let Some(index) = self.asked.iter().position(same) {
            if let Some(asked) = self.asked.get_mut(index) {
                asked.secret.places.extend(places);
            }
            return index;
        }
        self.asked.push(Asked {
            values: values.into_iter().map(str::to_owned).collect(),
            wish,
            secret: Secret {
                variable: String::new(),
                holds,
                places,
            },
        });
        self.asked.len().saturating_sub(1)
    }

    /// Offer a model at an upstream: at the one that is there already, or at one of its own.
    fn offer(&mut self, upstream: Upstream, model: Option<Model>) {
        let name = model.as_ref().map(|model| model.name.as_str());
        let fits = |entry: &&mut Entry| {
            entry.upstream == upstream
                && entry
                    .models
                    .iter()
                    .all(|other| Some(other.name.as_str()) != name)
        };
        if let Some(entry) = self.entries.iter_mut().find(fits) {
            entry.models.extend(model);
            return;
        }
        self.entries.push(Entry {
            name: self.names.unused(&upstream.wish),
            upstream,
            models: model.into_iter().collect(),
        });
    }

    /// Close the books: variables get names, every model is told, and what nobody took is left behind.
    fn finish(mut self, product: Product, tree: &Node) -> Result<Imported, Troubles> {
        if !self.mistakes.0.is_empty() {
            return Err(self.mistakes.0);
        }
        if self.workloads.is_empty() {
            self.workloads.push(Workload {
                id: WORKLOAD.to_owned(),
                team: None,
                tenant: None,
            });
        }
        self.name_variables();
        self.check_regions()?;
        self.tell_of_models();
        self.walk(tree, "", &mut Vec::new());
        let variable = |key: &Key| match key {
            Key::Env(name) => name.clone(),
            Key::Asked(index) => {
                let asked = self.asked.get(*index);
                asked
                    .map(|asked| asked.secret.variable.clone())
                    .unwrap_or_default()
            }
        };
        let config = upstream::write(product.as_str(), &self.workloads, &self.entries, variable);
        // What is written can be read; if not, that is better known now.
        let (name, base) = (Path::new("the new configuration"), PathBuf::new());
        let draft = Draft::read(name, config.clone(), base, &Given::default())?;
        draft
            .config()
            .map_err(|problems| draft.troubles(problems))?;
        self.report.secrets = self.asked.into_iter().map(|asked| asked.secret).collect();
        let on = || self.entries.iter().filter(|entry| entry.is_on());
        Ok(Imported {
            config,
            report: self.report,
            upstreams: on().count(),
            models: on().map(|entry| entry.models.len()).sum(),
            workloads: self.workloads.len(),
        })
    }

    /// Each secret gets a variable that nothing else in the source has.
    fn name_variables(&mut self) {
        let env = |entry: &Entry| match &entry.upstream.key {
            Some(Key::Env(name)) => Some(name.clone()),
            _ => None,
        };
        let mut names = Names {
            separator: "_",
            used: self.entries.iter().filter_map(env).collect(),
            ..Names::default()
        };
        for asked in &mut self.asked {
            asked.secret.variable = names.unused(&asked.wish);
        }
    }

    /// An upstream in a region that nobody has described would not be taken.
    fn check_regions(&mut self) -> Result<(), Troubles> {
        let view = View::new(Arc::new(embedded::registry()?), Overlay::default());
        for Entry { upstream, .. } in &mut self.entries {
            let (Some(region), Some(url)) = (&upstream.region, &upstream.base_url) else {
                continue;
            };
            let host =
                upstream::address(url).and_then(|(uri, _)| view.host_for_origin(uri.host()?));
            let known =
                host.is_some_and(|host| view.regions(host.as_str()).contains(&region.as_str()));
            if !known {
                let lack = format!("nobody has described its region `{region}`: an overlay can");
                upstream.lacks.push(lack);
            }
        }
        Ok(())
    }

    /// What callers find, and where that differs from before.
    fn tell_of_models(&mut self) {
        let mut offers: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        for entry in &self.entries {
            let Entry {
                name,
                upstream,
                models,
                ..
            } = entry;
            for model in models {
                let place = model.place.clone();
                if let Some(lack) = upstream.lacks.first() {
                    let why = format!("the upstream `{name}` is written as a comment: {lack}");
                    self.report
                        .left(place, why, Some("complete it and take the `#! ` away"));
                    continue;
                }
                let what = format!("`{}` at the upstream `{name}`", model.name);
                self.report.carried(place, what);
                offers.entry(&model.name).or_default().push(&model.place);
            }
            if let (Some(model), false) = (models.first(), upstream.apis.is_empty())
                && upstream.lacks.is_empty()
                && upstream.apis.iter().all(|api| api != CHAT)
            {
                let why = format!(
                    "the upstream `{name}` takes requests of the kind {} as they come; it translates none of another kind",
                    upstream.apis.join(", ")
                );
                let instead = "let callers speak to it with its own client; the guide `Connect services` says how";
                self.report.left(model.place.clone(), why, Some(instead));
            }
        }
        for (_, places) in offers.into_iter().filter(|(_, places)| places.len() > 1) {
            let why = "several upstreams offer this model; load is not spread over them";
            let instead = "the first upstream of the file that policy permits answers; another one when that is denied or out of service";
            for place in places {
                self.report.left(place.clone(), why, Some(instead));
            }
        }
    }

    /// Report what nobody took below this value.
    fn walk(&mut self, node: &Node, path: &str, generic: &mut Vec<String>) {
        if node.taken.get() || node.value.is_empty() {
            return;
        }
        let value = match &node.value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        };
        let opened = generic.is_empty() || has_taken(node);
        if let Some(setting) = self.knowledge.setting(generic, value)
            && !opened
        {
            let place = place(path, node);
            if setting.kept {
                self.report.carried(place, setting.why.clone());
            } else {
                self.report
                    .left(place, setting.why.clone(), setting.instead.as_deref());
            }
            return;
        }
        let descend = opened || self.knowledge.knows_below(generic);
        match &node.value {
            Value::Map(entries) if descend => {
                for (key, value) in entries {
                    generic.push(key.clone());
                    let dot = if path.is_empty() { "" } else { "." };
                    self.walk(value, &format!("{path}{dot}{key}"), generic);
                    generic.pop();
                }
            }
            Value::List(items) if descend && !generic.is_empty() => {
                let key = generic.pop().unwrap_or_default();
                generic.push(format!("{key}[]"));
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{path}[{index}]"), generic);
                }
                generic.pop();
                generic.push(key);
            }
            _ => self.report.left(
                place(path, node),
                "this setting is not known here",
                Some("look whether you need it; `carnet config schema` lists what Carnet has"),
            ),
        }
    }
}

fn place(path: &str, node: &Node) -> Place {
    Place {
        path: path.to_owned(),
        line: node.line,
    }
}

/// Whether something was made of a part of it.
fn has_taken(node: &Node) -> bool {
    node.taken.get()
        || match &node.value {
            Value::List(items) => items.iter().any(has_taken),
            Value::Map(entries) => entries.iter().any(|(_, value)| has_taken(value)),
            Value::Null | Value::Text(_) => false,
        }
}

/// The usual name of a variable with a key.
fn variable_of(upstream: &str) -> String {
    let name: String = upstream
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    format!("{name}_API_KEY")
}

#[cfg(test)]
mod tests;
