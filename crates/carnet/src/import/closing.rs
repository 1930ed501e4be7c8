//! The end of an import: variables get names, every model is told, and what nobody took is left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_gateway::config::Services;
use carnet_provenance::{Overlay, View};

use super::cursor::At;
use super::names::Names;
use super::report::Place;
use super::tree::{Node, Value};
use super::upstream::{self, Entry, Key, Workload};
use super::{Import, Imported, Product};
use crate::config::{Draft, Given};
use crate::embedded;
use crate::trouble::Troubles;

/// The workload of callers, where the source names none.
const WORKLOAD: &str = "imported";
/// What answers in OpenAI's dialect.
const CHAT: &str = "chat-completions";
/// What only upstreams are asked for.
const UPSTREAMS_ONLY: [&str; 2] = ["bedrock-chat", "cohere-chat"];

impl Import<'_> {
    /// Close the books.
    pub(super) fn finish(mut self, product: Product, root: &At<'_>) -> Result<Imported, Troubles> {
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
        self.tell_of_differences();
        self.walk(root, &mut Vec::new());
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
            .config(Services::default())
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
        let mut names = Names::numbered_with("_");
        for entry in &self.entries {
            if let Some(Key::Env(name)) = &entry.upstream.key {
                names.reserve(name);
            }
        }
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

    /// What callers find.
    fn tell_of_models(&mut self) {
        for entry in &self.entries {
            let name = &entry.name;
            for model in &entry.models {
                let place = model.place.clone();
                match entry.upstream.lacks.first() {
                    Some(lack) => {
                        let why = format!("the upstream `{name}` is written as a comment: {lack}");
                        let instead = "complete it and take the `#! ` away";
                        self.report.left(place, why, Some(instead));
                    }
                    None => {
                        let what = format!("`{}` at the upstream `{name}`", model.name);
                        self.report.carried(place, what);
                    }
                }
            }
        }
    }

    /// Where callers find something else than before.
    fn tell_of_differences(&mut self) {
        let mut offers: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.is_on()) {
            for model in &entry.models {
                offers.entry(&model.name).or_default().push(&model.place);
            }
            let (name, apis) = (&entry.name, &entry.upstream.apis);
            let other = !apis.is_empty() && apis.iter().all(|api| api != CHAT);
            if let Some(model) = entry.models.first().filter(|_| other) {
                let why = format!(
                    "chats are translated for the upstream `{name}`, which takes requests of the kind {}; what it cannot say is named in `carnet-losses`",
                    apis.join(", ")
                );
                let instead = if apis
                    .iter()
                    .any(|api| UPSTREAMS_ONLY.contains(&api.as_str()))
                {
                    "refuse such requests by `on_loss = \"refuse\"`"
                } else {
                    "refuse such requests by `on_loss = \"refuse\"`, or let callers speak to it with its own client"
                };
                self.report.left(model.place.clone(), why, Some(instead));
            }
        }
        for (_, places) in offers.into_iter().filter(|(_, places)| places.len() > 1) {
            let why = "several upstreams offer this model; load is not spread over them";
            let instead = "the first upstream of the file that policy permits answers, those that need no translation before others; another one when that is denied or out of service";
            for place in places {
                self.report.left(place.clone(), why, Some(instead));
            }
        }
    }

    /// Report what nobody took. `generic` is the way to it, with `[]` for any item of a list.
    fn walk(&mut self, at: &At<'_>, generic: &mut Vec<String>) {
        let node = at.node;
        if node.taken.get() || node.value.is_empty() {
            return;
        }
        let opened = generic.is_empty() || has_taken(node);
        let known = self.knowledge.setting(generic, at.peek());
        if let (Some(setting), false) = (known, opened) {
            if setting.kept {
                self.report.carried(at.place(), setting.why.as_str());
            } else {
                let instead = setting.instead.as_deref();
                self.report.left(at.place(), setting.why.as_str(), instead);
            }
            return;
        }
        let descend = opened || self.knowledge.knows_below(generic);
        match &node.value {
            Value::Map(_) if descend => {
                for (key, value) in at.entries() {
                    generic.push(key.to_owned());
                    self.walk(&value, generic);
                    generic.pop();
                }
            }
            Value::List(_) if descend => {
                let key = generic.pop().unwrap_or_default();
                generic.push(format!("{key}[]"));
                for item in at.items() {
                    self.walk(&item, generic);
                }
                generic.pop();
                generic.push(key);
            }
            _ => {
                let why = "this setting is not known here";
                let instead =
                    "look whether you need it; `carnet config schema` lists what Carnet has";
                self.report.left(at.place(), why, Some(instead));
            }
        }
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
