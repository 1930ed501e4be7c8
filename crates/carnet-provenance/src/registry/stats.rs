//! Counts over a registry: how much it knows, how sure that is, how old.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::claim::Confidence;
use crate::registry::Registry;
use crate::registry::entry::LineageStatus;
use crate::registry::flat::{FlatClaim, field_claims};
use crate::registry::price::Price;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Producers.
    pub producers: usize,
    /// Producers whose country is claimed.
    pub producers_with_country: usize,
    /// Models.
    pub models: usize,
    /// Hosts.
    pub hosts: usize,
    /// Prices of models at hosts.
    pub prices: usize,
    /// Steps of lines: one model came from another.
    pub lineage_edges: usize,
    /// Claims about teachers.
    pub teacher_claims: usize,
    /// Public disputes, and claims that somebody contradicts.
    pub disputes: usize,
    /// Attributed statements about organisations.
    pub statements: usize,
    /// Owners.
    pub owners: usize,
    /// Entries on lists.
    pub list_memberships: usize,
    /// Names on platforms.
    pub aliases: usize,
    /// Names whose model changes, or that name one of several.
    pub moving_aliases: usize,
    /// Families of names that all mean one model.
    pub name_families: usize,
    /// Public lists.
    pub lists: usize,
    /// Groups of countries.
    pub groups: usize,
    /// Countries.
    pub countries: usize,
    /// Claims with a confidence, by it.
    pub claims_by_confidence: BTreeMap<&'static str, usize>,
    /// Models by what is known of their line today.
    pub models_by_lineage_status: BTreeMap<&'static str, usize>,
    /// The oldest date of a claim.
    pub oldest: Option<Date>,
    /// The newest date of a claim.
    pub newest: Option<Date>,
    /// Size of the registry as a blob.
    pub blob_bytes: usize,
    /// `sha256:…` of the facts.
    pub version: String,
}

impl Registry {
    /// Every claim of every record.
    pub fn claims(&self) -> impl Iterator<Item = FlatClaim> {
        let entries = self.entries();
        let producers = self.producers().flat_map(|one| one.claims());
        let models = self.models().flat_map(|one| one.claims());
        let moving = self.moving_aliases().flat_map(|one| one.claims());
        let hosts = self.hosts().flat_map(|one| one.claims());
        let prices = entries.prices.values().flatten().map(Price::claim);
        let lists = self.lists().flat_map(|one| one.claims());
        let groups = self.groups().flat_map(|one| one.claims());
        let words = entries.words.iter().flat_map(|one| one.claims());
        let dialects = entries.dialects.values();
        let fields = dialects.flat_map(|dialect| field_claims(&dialect.fields));
        let parts = producers.chain(models).chain(moving).chain(hosts);
        let parts = parts.chain(prices);
        parts.chain(lists).chain(groups).chain(words).chain(fields)
    }

    /// The newest date of a claim: how current the registry is.
    #[must_use]
    pub fn newest(&self) -> Option<Date> {
        self.claims().filter_map(|claim| claim.date).max()
    }

    /// Counts, as of a day.
    #[must_use]
    pub fn stats(&self, as_of: Date) -> Stats {
        let mut stats = Stats {
            producers: self.producers().count(),
            models: self.models().count(),
            hosts: self.hosts().count(),
            moving_aliases: self.moving_aliases().count(),
            lists: self.lists().count(),
            groups: self.groups().count(),
            countries: self.jurisdictions().count(),
            blob_bytes: self.to_blob().len(),
            version: self.version().to_owned(),
            ..Stats::default()
        };
        for (word, _) in Confidence::ALL {
            stats.claims_by_confidence.insert(word, 0);
        }
        for (word, _) in LineageStatus::ALL {
            stats.models_by_lineage_status.insert(word, 0);
        }
        for producer in self.producers() {
            let known = producer.claims().into_iter();
            let known = known.filter(|claim| claim.claim == "country" && claim.holds(as_of));
            stats.producers_with_country += usize::from(known.count() > 0);
        }
        for model in self.models() {
            stats.name_families += model.names.len();
            let statuses = &model.lineage_status.0;
            let on_day = statuses.iter().find(|claim| claim.valid.holds_on(as_of));
            let status = on_day.map_or(LineageStatus::Unknown, |claim| claim.value);
            count(&mut stats.models_by_lineage_status, status.as_str());
        }
        for claim in self.claims() {
            stats.count(&claim);
        }
        stats
    }
}

impl Stats {
    fn count(&mut self, claim: &FlatClaim) {
        match claim.claim {
            "base_model" => self.lineage_edges += 1,
            "teacher" => self.teacher_claims += 1,
            "dispute" => self.disputes += 1,
            "statement" => self.statements += 1,
            "owner" => self.owners += 1,
            "list" => self.list_memberships += 1,
            "alias" => self.aliases += 1,
            "price" => self.prices += 1,
            _ => {}
        }
        // A statement is itself what is disputed; anything else that somebody contradicts counts.
        if claim.disputed_by.is_some() && claim.claim != "statement" {
            self.disputes += 1;
        }
        if let Some(confidence) = claim.confidence {
            count(&mut self.claims_by_confidence, confidence.as_str());
        }
        if let Some(date) = claim.date {
            self.oldest = Some(self.oldest.map_or(date, |oldest| oldest.min(date)));
            self.newest = Some(self.newest.map_or(date, |newest| newest.max(date)));
        }
    }
}

fn count(counts: &mut BTreeMap<&'static str, usize>, word: &'static str) {
    *counts.entry(word).or_default() += 1;
}
