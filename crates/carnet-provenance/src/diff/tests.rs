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

#[test]
fn a_price_that_changes_is_told_at_its_host_and_changes_no_answer() {
    let new = changed("prices/cloud.toml", |text| {
        text.replacen("input = \"1\"", "input = \"0.90\"", 1)
    });
    let difference = Difference::between(&registry(), &new, today());
    let records = &difference.records["price"];
    assert_eq!(difference.records.len(), 1);
    let [cloud] = &*records.changed else {
        panic!("{records:#?}");
    };
    assert_eq!(cloud.id, "cloud");
    assert_eq!(cloud.added[0].value, "birch: QXA input 0.9, output 2");
    assert_eq!(cloud.removed[0].value, "birch: QXA input 1, output 2");
    assert_eq!((cloud.added.len(), cloud.removed.len()), (1, 1));
    assert!(difference.effects.is_empty() && difference.hosts.is_empty());
    let mut all = files();
    all.retain(|one| one.path != "prices/cloud.toml");
    let without = Arc::new(Registry::parse(&all).unwrap());
    let difference = Difference::between(&registry(), &without, today());
    assert_eq!(difference.records["price"].removed, ["cloud"]);
}

#[test]
fn names_that_begin_to_be_read_by_their_parts_are_told() {
    let names = |old: &Arc<Registry>, new: &Arc<Registry>| -> Vec<(String, Vec<String>)> {
        let difference = Difference::between(old, new, today());
        let pair = |one: NameEffect| {
            assert!(one.before.is_empty() && one.platform == "*", "{one:?}");
            (one.name, one.after.into_iter().collect())
        };
        difference.names.into_iter().map(pair).collect()
    };
    let model = "alder-base".to_owned();
    let read = |name: &str| (name.to_owned(), vec![model.clone()]);
    let stem = "\n[[names]]\nstem = \"alder\"\nsizes = [\"7b\"]\n";
    let with = |path: &str, old: &str, new: &str| {
        let mut all = files();
        all.push(file("words.toml", ""));
        for one in &mut all {
            if one.path == "models/alder-base.toml" {
                one.text += stem;
            }
            if one.path == path {
                one.text = match old {
                    "" => format!("{}{new}", one.text),
                    old => one.text.replace(old, new),
                };
            }
        }
        Arc::new(Registry::parse(&all).unwrap())
    };
    let base = with("", "", "");
    let found = names(&registry(), &base);
    assert_eq!(found, [read("alder"), read("alder-7b")]);
    // A part of a model, a word of all models, an organisation in front.
    let new = with("models/alder-base.toml", "", "words = [\"0905\"]\n");
    let found = names(&base, &new);
    assert_eq!(found, [read("alder-0905"), read("alder-7b-0905")]);
    let word = "[[word]]\nwords = [\"nimble\"]\nkind = \"served\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\n";
    let found = names(&base, &with("words.toml", "", word));
    assert_eq!(found, [read("alder-7b-nimble"), read("alder-nimble")]);
    let found = names(
        &base,
        &with(
            "producers/alder.toml",
            "\"alder-lab\"",
            "\"alder-lab\", \"alder-ai\"",
        ),
    );
    assert_eq!(found, [read("alder-ai/alder"), read("alder-ai/alder-7b")]);
}
