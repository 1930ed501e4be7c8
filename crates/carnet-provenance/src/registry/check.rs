//! Checks that need all files: references, cycles of the lineage, names claimed twice.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::problem::Problem;
use crate::registry::Entries;
use crate::registry::links::{Edge, Kind, Link, Links, Name};

pub(crate) fn all(entries: &Entries, links: &Links) -> Vec<Problem> {
    let mut problems = references(entries, &links.links);
    problems.extend(cycles(&links.edges));
    problems.extend(names_claimed_twice(&links.names));
    problems
}

fn references(entries: &Entries, links: &[Link]) -> Vec<Problem> {
    let countries: BTreeSet<&str> = entries
        .countries
        .iter()
        .map(|country| country.code.as_str())
        .collect();
    let leads = |link: &&Link| match link.kind {
        // A small registry of an operator or a test need not list countries.
        Kind::Country => countries.is_empty() || countries.contains(link.id.as_str()),
        Kind::Host => entries.hosts.contains_key(link.id.as_str()),
        Kind::List => entries.lists.contains_key(link.id.as_str()),
        Kind::Model => entries.models.contains_key(link.id.as_str()),
        Kind::Producer => entries.producers.contains_key(link.id.as_str()),
    };
    let problem = |link: &Link| {
        let message = format!("there is no {} `{}`", link.kind.as_str(), link.id);
        link.place.problem(message).help(link.kind.remedy(&link.id))
    };
    links
        .iter()
        .filter(|link| !leads(link))
        .map(problem)
        .collect()
}

/// Every step that closes a cycle.
pub(crate) fn cycles(edges: &[Edge]) -> Vec<Problem> {
    let mut bases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for edge in edges {
        bases.entry(&edge.child).or_default().push(&edge.base);
    }
    let closes = |edge: &&Edge| reaches(&bases, &edge.base, &edge.child);
    let problem = |edge: &Edge| {
        let message = format!(
            "`{}` descends from itself through `{}`",
            edge.child, edge.base
        );
        edge.place
            .problem(message)
            .help("one of the [[base_model]] entries on this circle points the wrong way")
    };
    edges.iter().filter(closes).map(problem).collect()
}

fn reaches(bases: &BTreeMap<&str, Vec<&str>>, from: &str, to: &str) -> bool {
    let mut open = vec![from];
    let mut seen = HashSet::new();
    while let Some(next) = open.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            open.extend(bases.get(next).into_iter().flatten());
        }
    }
    false
}

fn names_claimed_twice(names: &[Name]) -> Vec<Problem> {
    let mut known: HashMap<(&str, &str), Vec<&Name>> = HashMap::new();
    let mut problems = Vec::new();
    for name in names {
        let others = known.entry((&name.platform, &name.id)).or_default();
        if let Some(other) = others
            .iter()
            .find(|other| other.valid.overlaps(&name.valid))
        {
            let message = format!(
                "`{}` on `{}` is also claimed by {}.toml ({}) for the same days",
                name.id, name.platform, other.owner, other.place
            );
            let help = "keep one of them, or give them valid_from and valid_to that do not overlap; \
                        a name with several models at once is a file in aliases/";
            problems.push(name.place.problem(message).help(help));
        }
        others.push(name);
    }
    problems
}
