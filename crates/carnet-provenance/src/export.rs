//! The whole registry as one document for others: what stands in the files, nothing computed.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::ids::HostId;
use crate::registry::Registry;
use crate::registry::entry::{
    CountryName, Dialect, Group, Host, List, Model, MovingAlias, NameWords, Producer,
};
use crate::registry::price::Price;

/// Raised when a key is taken out or changes its meaning; a new key does not raise it.
const FORM: u32 = 1;

/// See the module. The order of keys and entries is fixed, so equal registries give equal texts.
#[derive(Debug, Serialize)]
pub struct Export<'r> {
    format: &'static str,
    form: u32,
    version: &'r str,
    newest: Option<Date>,
    producers: Vec<&'r Producer>,
    models: Vec<&'r Model>,
    moving_aliases: Vec<&'r MovingAlias>,
    hosts: Vec<&'r Host>,
    prices: &'r BTreeMap<HostId, Vec<Price>>,
    lists: Vec<&'r List>,
    countries: Vec<&'r CountryName>,
    groups: Vec<&'r Group>,
    words: Vec<&'r NameWords>,
    fields: &'r BTreeMap<String, Dialect>,
}

impl Registry {
    /// The document.
    #[must_use]
    pub fn export(&self) -> Export<'_> {
        Export {
            format: "carnet-registry",
            form: FORM,
            version: self.version(),
            newest: self.newest(),
            producers: self.producers().collect(),
            models: self.models().collect(),
            moving_aliases: self.moving_aliases().collect(),
            hosts: self.hosts().collect(),
            prices: &self.entries().prices,
            lists: self.lists().collect(),
            countries: self.jurisdictions().collect(),
            groups: self.groups().collect(),
            words: self.entries().words.iter().collect(),
            fields: &self.entries().dialects,
        }
    }
}
