//! Which models a bill of materials lists, each resolved as the gateway does.

use carnet_gateway::facts_of;
use carnet_provenance::{Query, Resolution, View};
use jiff::civil::Date;

use super::{Entry, Inventory, Offer, files};
use crate::config::Config;
use crate::trouble::Troubles;

/// Every model that a configuration offers.
pub(crate) fn of_config(config: &Config, view: &View, day: Date) -> Result<Inventory, Troubles> {
    let mut entries = Vec::new();
    for upstream in &config.gateway.upstreams {
        let engine = config
            .engines
            .iter()
            .find(|engine| engine.name == upstream.name);
        let (files, folder) = match engine.map(|engine| &engine.file) {
            None => (Vec::new(), false),
            Some(None) => (files::own(), true),
            Some(Some(file)) => files::of(file)?,
        };
        let mut files = Some(files);
        for (name, own) in &upstream.models {
            let (_, resolution) = facts_of(view, upstream, name, own, day);
            entries.push(Entry {
                reference: format!("{}/{name}", upstream.name),
                name: name.to_string(),
                offer: Some(Offer {
                    upstream: upstream.name.to_string(),
                    name: own.to_string(),
                }),
                resolution,
                // An engine has one model.
                files: files.take().unwrap_or_default(),
                folder,
            });
        }
    }
    Ok(inventory(entries, view, day))
}

/// The models that were named.
pub(crate) fn of_ids(ids: &[String], platform: Option<&str>, view: &View, day: Date) -> Inventory {
    let entries = ids.iter().map(|id| asked(id, platform, view, day));
    inventory(entries.collect(), view, day)
}

/// Every model that registry and overlay know.
pub(crate) fn of_registry(view: &View, day: Date) -> Inventory {
    let entries = view.models().filter_map(|id| {
        let resolution = view.model_record(id.as_str(), day)?;
        Some(entry(id.as_str(), resolution))
    });
    inventory(entries.collect(), view, day)
}

fn asked(id: &str, platform: Option<&str>, view: &View, as_of: Date) -> Entry {
    let resolution = view.resolve(&Query {
        id,
        platform,
        host: None,
        upstream: None,
        region: None,
        as_of,
    });
    entry(id, resolution)
}

fn entry(id: &str, resolution: Resolution) -> Entry {
    Entry {
        reference: id.to_owned(),
        name: id.to_owned(),
        offer: None,
        resolution,
        files: Vec::new(),
        folder: false,
    }
}

fn inventory(mut entries: Vec<Entry>, view: &View, day: Date) -> Inventory {
    entries.sort_by(|a, b| a.reference.cmp(&b.reference));
    entries.dedup_by(|a, b| a.reference == b.reference);
    Inventory {
        entries,
        day,
        registry: view.version().to_owned(),
    }
}
