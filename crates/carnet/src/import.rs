//! Another gateway's configuration becomes a `carnet.toml` and a report of what became of each part of it.
//!
//! Whatever nothing was made of is reported, known or not; secrets are never copied, not even into messages.

mod bifrost;
mod closing;
mod cursor;
mod knowledge;
mod litellm;
mod names;
mod portkey;
mod report;
mod service;
mod tree;
mod upstream;

use clap::ValueEnum;

use self::cursor::{At, Mistakes};
use self::knowledge::Knowledge;
use self::names::Names;
pub(crate) use self::report::Report;
use self::service::Asked;
use self::upstream::{Entry, Model, Upstream, Workload};
use crate::trouble::Troubles;

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
        Product::Bifrost => tree::read_json(text).map(bifrost::with_plain_values),
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
    import.finish(product, &root)
}

/// A configuration in the making.
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
            names: Names::numbered_with("-"),
            callers: Names::numbered_with("-"),
            workloads: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Report a part as left behind, with all below it.
    fn leave(&mut self, at: &At<'_>, why: impl Into<String>, instead: Option<&str>) {
        at.take();
        self.report.left(at.place(), why, instead);
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
}

#[cfg(test)]
mod tests;
