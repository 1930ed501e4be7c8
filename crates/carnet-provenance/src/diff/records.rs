//! Which records were added, removed or changed.

use std::collections::BTreeMap;

use crate::diff::{Changed, Records};
use crate::registry::Registry;
use crate::registry::flat::{FlatClaim, field_claims};
use crate::registry::price::Price;

type Claims = BTreeMap<String, Vec<FlatClaim>>;

/// The kinds of records and what differs in each; kinds without a difference are left out.
pub(super) fn records(old: &Registry, new: &Registry) -> BTreeMap<&'static str, Records> {
    let mut found = BTreeMap::new();
    for ((kind, old), (_, new)) in kinds(old).into_iter().zip(kinds(new)) {
        let records = compare(&old, &new);
        if records != Records::default() {
            found.insert(kind, records);
        }
    }
    found
}

fn kinds(registry: &Registry) -> [(&'static str, Claims); 10] {
    let words = registry.entries().words.iter();
    let countries = registry.jurisdictions();
    let dialects = registry.entries().dialects.iter();
    let by_id = |id: &str, claims| (id.to_owned(), claims);
    [
        (
            "producer",
            registry
                .producers()
                .map(|one| by_id(one.id.as_str(), one.claims()))
                .collect(),
        ),
        (
            "model",
            registry
                .models()
                .map(|one| by_id(one.id.as_str(), one.claims()))
                .collect(),
        ),
        (
            "alias",
            registry
                .moving_aliases()
                .map(|one| by_id(&one.id, one.claims()))
                .collect(),
        ),
        (
            "host",
            registry
                .hosts()
                .map(|one| by_id(one.id.as_str(), one.claims()))
                .collect(),
        ),
        (
            "price",
            registry
                .entries()
                .prices
                .iter()
                .map(|(host, all)| by_id(host.as_str(), all.iter().map(Price::claim).collect()))
                .collect(),
        ),
        (
            "list",
            registry
                .lists()
                .map(|one| by_id(&one.id, one.claims()))
                .collect(),
        ),
        (
            "group",
            registry
                .groups()
                .map(|one| by_id(&one.id, one.claims()))
                .collect(),
        ),
        (
            "country",
            countries
                .map(|one| by_id(one.code.as_str(), vec![FlatClaim::name(&one.name)]))
                .collect(),
        ),
        (
            "words",
            words
                .map(|one| by_id(&one.words.join(" "), one.claims()))
                .collect(),
        ),
        (
            "fields",
            dialects
                .map(|(id, one)| by_id(id, field_claims(&one.fields)))
                .collect(),
        ),
    ]
}

fn compare(old: &Claims, new: &Claims) -> Records {
    let mut records = Records::default();
    for (id, claims) in new {
        let Some(before) = old.get(id) else {
            records.added.push(id.clone());
            continue;
        };
        let only = |these: &[FlatClaim], those: &[FlatClaim]| -> Vec<FlatClaim> {
            let new = these.iter().filter(|claim| !those.contains(claim));
            new.cloned().collect()
        };
        let (added, removed) = (only(claims, before), only(before, claims));
        if !added.is_empty() || !removed.is_empty() {
            records.changed.push(Changed {
                id: id.clone(),
                added,
                removed,
            });
        }
    }
    let gone = old.keys().filter(|id| !new.contains_key(*id));
    records.removed = gone.cloned().collect();
    records
}
