//! `carnet registry diff`: what changes between two registries, and what that does.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use carnet_provenance::{Country, Difference, FlatClaim, Outcome};

use crate::cli::DiffArgs;
use crate::commands::registry::joined;
use crate::exit::Exit;
use crate::out::counted;
use crate::trouble::Troubles;
use crate::{clock, commands, installed, out};

pub(super) fn run(args: &DiffArgs) -> Result<Exit, Troubles> {
    let (state, trust) = (args.known.state.as_deref(), args.known.trust.as_deref());
    let old = installed::open(&args.old, state, trust)?;
    let new = match &args.new {
        Some(path) => installed::open(path, state, trust)?,
        None => installed::in_force(state)?,
    };
    let as_of = args.as_of.unwrap_or_else(clock::today);
    let difference = Difference::between(&old.registry, &new.registry, as_of);
    if args.json {
        commands::json(&difference);
    } else {
        out::answer(out::plain(&described(&difference)));
    }
    Ok(if difference.is_empty() {
        Exit::Good
    } else {
        Exit::Bad
    })
}

/// Everything: effects first, then each record with its claims.
fn described(difference: &Difference) -> String {
    if difference.is_empty() {
        return format!("no difference: both are {}", difference.new);
    }
    let mut text = effects(difference);
    for (kind, records) in &difference.records {
        for id in &records.added {
            let _ = writeln!(text, "+ {kind} {id}");
        }
        for id in &records.removed {
            let _ = writeln!(text, "- {kind} {id}");
        }
        for record in &records.changed {
            let _ = writeln!(text, "~ {kind} {}", record.id);
            for claim in &record.removed {
                let _ = writeln!(text, "    - {}", said(claim));
            }
            for claim in &record.added {
                let _ = writeln!(text, "    + {}", said(claim));
            }
        }
    }
    text.trim_end().to_owned()
}

/// One word may let thousands of names be read.
const NAMES_SHOWN: usize = 50;

/// What the change does to the answers, counted first.
pub(super) fn effects(difference: &Difference) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{} → {}", difference.old, difference.new);
    for (kind, records) in &difference.records {
        let _ = writeln!(
            text,
            "  {kind:<10} {} added, {} removed, {} changed",
            records.added.len(),
            records.removed.len(),
            records.changed.len()
        );
    }
    let _ = writeln!(
        text,
        "{} changed their country set",
        counted(difference.countries_changed(), "model")
    );
    let both =
        |effect: &&carnet_provenance::Effect| effect.before.is_some() && effect.after.is_some();
    let changed: Vec<_> = difference.effects.iter().filter(both).collect();
    for effect in &changed {
        let (Some(before), Some(after)) = (&effect.before, &effect.after) else {
            continue;
        };
        let _ = writeln!(text, "  {:<36} {}", effect.id, turned(before, after));
    }
    for (word, count) in [
        (
            "new",
            difference
                .effects
                .iter()
                .filter(|one| one.before.is_none())
                .count(),
        ),
        (
            "gone",
            difference
                .effects
                .iter()
                .filter(|one| one.after.is_none())
                .count(),
        ),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{} {word}", counted(count, "model"));
        }
    }
    for effect in difference.effects.iter().filter(|one| one.after.is_none()) {
        let _ = writeln!(text, "  {:<36} no longer known", effect.id);
    }
    let hosts = difference.hosts.iter().filter(|one| one.before.is_some());
    let hosts: Vec<_> = hosts.collect();
    if !hosts.is_empty() {
        let _ = writeln!(
            text,
            "{} changed whose law reaches the prompt",
            counted(hosts.len(), "host")
        );
    }
    for host in hosts {
        let place = |outcome: Option<&carnet_provenance::HostOutcome>| {
            outcome.map_or("no longer known".to_owned(), |outcome| {
                set(&outcome.jurisdictions, outcome.complete)
            })
        };
        let (before, after) = (place(host.before.as_ref()), place(host.after.as_ref()));
        let _ = writeln!(text, "  {:<36} {before} → {after}", host.id);
    }
    if !difference.names.is_empty() {
        let _ = writeln!(
            text,
            "{} with another meaning than before",
            counted(difference.names.len(), "name")
        );
    }
    for name in difference.names.iter().take(NAMES_SHOWN) {
        let meaning = |ids| match joined(ids) {
            none if none.is_empty() => "nothing".to_owned(),
            ids => ids,
        };
        let _ = writeln!(
            text,
            "  {} on {}: {} → {}",
            name.name,
            name.platform,
            meaning(&name.before),
            meaning(&name.after)
        );
    }
    if let Some(more) = difference.names.len().checked_sub(NAMES_SHOWN)
        && more > 0
    {
        let _ = writeln!(text, "  and {more} more; --json tells all");
    }
    text
}

/// What of an answer is another one now.
fn turned(before: &Outcome, after: &Outcome) -> String {
    let mut parts = Vec::new();
    let mut part = |what: &str, before: String, after: String| {
        if before != after {
            parts.push(format!("{what}{before} → {after}"));
        }
    };
    let maker = |outcome: &Outcome| outcome.producer.clone().unwrap_or("unknown".to_owned());
    part(
        "",
        set(&before.weights_countries, before.weights_complete),
        set(&after.weights_countries, after.weights_complete),
    );
    part("producer ", maker(before), maker(after));
    part(
        "line ",
        before.lineage_status.to_string(),
        after.lineage_status.to_string(),
    );
    part(
        "teachers ",
        joined(&before.teacher_countries),
        joined(&after.teacher_countries),
    );
    parts.join("; ")
}

fn set(countries: &BTreeSet<Country>, complete: bool) -> String {
    let known = if countries.is_empty() {
        "none known".to_owned()
    } else {
        joined(countries)
    };
    let how = if complete { "complete" } else { "open" };
    format!("{known} ({how})")
}

/// One claim in one line.
pub(super) fn said(claim: &FlatClaim) -> String {
    let mut text = format!("{} = {}", claim.claim, claim.value);
    if let Some(confidence) = claim.confidence {
        let _ = write!(text, " · {confidence}");
    }
    if let Some(date) = claim.date {
        let _ = write!(text, " · {date}");
    }
    if let Some(source) = &claim.source {
        let _ = write!(text, " · {source}");
    }
    if let Some(from) = claim.valid_from {
        let _ = write!(text, " · from {from}");
    }
    if let Some(to) = claim.valid_to {
        let _ = write!(text, " · before {to}");
    }
    if let Some(by) = &claim.disputed_by {
        let _ = write!(text, " · disputed by {by}");
    }
    text
}
