//! Lines for the overlay that would complete what an answer does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::ids::ProducerId;
use crate::resolution::{Candidate, Resolution};

/// The entries to paste, with what is known filled in; none when nothing is missing.
#[must_use]
pub fn suggest_overlay(resolution: &Resolution, upstream: &str) -> Option<String> {
    let mut text = String::new();
    if !resolution.is_identified() {
        deployment(&mut text, resolution, upstream);
    } else if !resolution.weights_complete {
        weights(&mut text, resolution);
    }
    if !resolution
        .hosting
        .as_ref()
        .is_some_and(|hosting| hosting.complete || hosting.is_router())
    {
        host(&mut text, resolution, upstream);
    }
    (!text.is_empty()).then_some(text)
}

fn deployment(text: &mut String, resolution: &Resolution, upstream: &str) {
    let guess = resolution
        .candidates
        .iter()
        .find_map(|candidate| candidate.model.as_ref());
    let guess = guess.map_or("…", |model| model.as_str());
    line(text, "[[deployment]]");
    pair(text, "id", &resolution.id);
    pair(text, "upstream", upstream);
    pair(text, "model", guess);
}

/// The countries of makers that are not known, and models of which it is not told what they come from.
fn weights(text: &mut String, resolution: &Resolution) {
    let open = || {
        let candidates = resolution.candidates.iter();
        candidates.filter(|candidate| !candidate.weights_complete)
    };
    let makers: BTreeSet<&ProducerId> = open().flat_map(nowhere).collect();
    for maker in &makers {
        line(text, "[[producer]]");
        pair(text, "id", maker.as_str());
        pair(text, "country", "…");
        explained(text);
    }
    for candidate in open() {
        let Some(model) = &candidate.model else {
            continue;
        };
        if candidate.lineage_status.names_whole_line() && nowhere(candidate).next().is_some() {
            continue;
        }
        line(text, "[[model]]");
        pair(text, "id", model.as_str());
        line(
            text,
            "base_models = [{ model = \"…\", relation = \"finetune\" }]  # all of them; leave out if there are none",
        );
        line(text, "complete = true");
        explained(text);
    }
}

/// Makers of a candidate and of its ancestors whose country is not known.
fn nowhere(candidate: &Candidate) -> impl Iterator<Item = &ProducerId> {
    let own = candidate.producer.iter();
    let own = own.filter(|party| party.country.is_none());
    let line = candidate.lineage.iter();
    let line = line.filter(|ancestor| ancestor.country.is_none());
    own.filter_map(|party| party.id.as_ref())
        .chain(line.filter_map(|ancestor| ancestor.producer_id.as_ref()))
}

fn host(text: &mut String, resolution: &Resolution, upstream: &str) {
    let hosting = resolution.hosting.as_ref();
    let or_open = |known: Option<String>| known.unwrap_or_else(|| "…".to_owned());
    line(text, "[[host]]");
    pair(
        text,
        "id",
        hosting.map_or(upstream, |hosting| hosting.host.as_str()),
    );
    pair(
        text,
        "operator",
        &or_open(hosting.and_then(|hosting| hosting.operator.clone())),
    );
    pair(
        text,
        "country",
        &or_open(
            hosting
                .and_then(|hosting| hosting.country)
                .map(|country| country.to_string()),
        ),
    );
    pair(
        text,
        "parent_country",
        &or_open(
            hosting
                .and_then(|hosting| hosting.parent_country)
                .map(|country| country.to_string()),
        ),
    );
    line(text, "regions = [{ id = \"…\", country = \"…\" }]");
    line(text, "complete = true");
    explained(text);
}

fn explained(text: &mut String) {
    for key in ["reason", "author"] {
        pair(text, key, "…");
    }
    line(text, "until = \"YYYY-MM-DD\"");
}

fn pair(text: &mut String, key: &str, value: &str) {
    // Debug's escapes are TOML's for the texts that get here; control characters never do.
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    line(text, &format!("{key} = \"{escaped}\""));
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
