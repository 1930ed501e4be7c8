//! What two registries differ in, and what that does.

use std::sync::Arc;

use super::*;
use crate::Registry;
use crate::fixture::{SAID, file, files, registry, today};

fn changed(path: &str, change: impl Fn(&str) -> String) -> Arc<Registry> {
    let mut all = files();
    for one in all.iter_mut().filter(|one| one.path == path) {
        one.text = change(&one.text);
    }
    Arc::new(Registry::parse(&all).unwrap())
}

#[test]
fn the_same_registry_has_no_difference() {
    let difference = Difference::between(&registry(), &registry(), today());
    assert!(difference.is_empty());
    assert!(difference.records.is_empty() && difference.effects.is_empty());
}

#[test]
fn a_producer_that_moves_changes_all_that_rests_on_it() {
    let new = changed("producers/alder.toml", |text| text.replace("QX", "QZ"));
    let difference = Difference::between(&registry(), &new, today());
    let ids: Vec<&str> = difference
        .effects
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    for id in [
        "alder-base",
        "alder-r1",
        "birch-1776",
        "alder-chat",
        "alder-r1-8b",
    ] {
        assert!(ids.contains(&id), "{id} in {ids:?}");
    }
    assert!(!ids.contains(&"birch-70b"), "{ids:?}");
    assert_eq!(difference.countries_changed(), difference.effects.len());
    let records = &difference.records["producer"];
    assert_eq!(records.changed.len(), 1);
    assert_eq!(records.changed[0].added[0].value, "QZ");
    assert_eq!(records.changed[0].removed[0].value, "QX");
    assert!(difference.hosts.is_empty() && difference.names.is_empty());
}

#[test]
fn another_source_is_a_difference_without_effect() {
    let new = changed("producers/alder.toml", |text| {
        text.replacen("https://x.example", "https://y.example", 1)
    });
    let difference = Difference::between(&registry(), &new, today());
    assert!(!difference.is_empty());
    assert_eq!(difference.records["producer"].changed.len(), 1);
    assert!(difference.effects.is_empty());
}

#[test]
fn added_and_removed_records_and_names_are_told() {
    let mut all = files();
    all.retain(|one| one.path != "models/closed-1.toml" && one.path != "hosts/orphan.toml");
    all.push(file(
        "models/new-1.toml",
        "name = \"N\"\nproducer = { value = \"birch\", SAID }\nweights = { value = \"open\", SAID }\nalias = [{ platform = \"*\", id = \"new-one\" }]",
    ));
    let new = Arc::new(Registry::parse(&all).unwrap());
    let difference = Difference::between(&registry(), &new, today());
    assert_eq!(difference.records["model"].added, ["new-1"]);
    assert_eq!(difference.records["model"].removed, ["closed-1"]);
    assert_eq!(difference.records["host"].removed, ["orphan"]);
    let gone = difference.effects.iter().find(|one| one.id == "closed-1");
    assert_eq!(gone.unwrap().after, None);
    // Only what changes an answer that somebody had is a change of countries.
    assert_eq!(difference.countries_changed(), 0);
    let names: Vec<&str> = difference
        .names
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["closed-one"]);
}

#[test]
fn a_host_that_learns_of_its_parent_changes_its_law() {
    let new = changed("hosts/orphan.toml", |text| {
        format!("{text}\nparent_country = {{ value = \"QZ\", {SAID} }}")
    });
    let difference = Difference::between(&registry(), &new, today());
    assert_eq!(difference.hosts.len(), 1);
    let effect = &difference.hosts[0];
    assert!(!effect.before.as_ref().unwrap().complete);
    assert!(effect.after.as_ref().unwrap().complete);
}
