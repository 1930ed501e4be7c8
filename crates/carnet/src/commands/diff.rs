//! `carnet policy diff`: which classes of requests two policies answer differently.

use std::collections::BTreeSet;
use std::time::Duration;

use carnet_policy::{ClassChange, Comparison, Decider, DeciderOptions, Turned, compare_policies};
use carnet_prove::Proof;

use crate::cli::PolicyDiffArgs;
use crate::commands::prove;
use crate::exit::Exit;
use crate::rules;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

/// Time for each of the two proofs.
const PROOF_LIMIT: Duration = Duration::from_secs(30);

/// Names of each kind that a line shows.
const EXAMPLES: usize = 4;

pub(crate) fn run(args: &PolicyDiffArgs) -> Result<Exit, Troubles> {
    let day = args.facts.as_of.unwrap_or_else(clock::today);
    let view = world::view_of(&args.facts, day)?;
    let decider = |policy: &str, params: &[String]| -> Result<Decider, Troubles> {
        let policies = rules::described(policy, params)?;
        Decider::new(policies, view.clone(), DeciderOptions::default())
            .map_err(|problems| problems.into_iter().map(Trouble::from).collect())
    };
    let old = decider(&args.old, &args.old_param)?;
    let new = decider(&args.new, &args.new_param)?;
    let found = compare_policies(&old, &new, day);
    let exit = match (found.changes.is_empty(), found.shares_differ) {
        (true, false) => Exit::Good,
        // Nothing was found, but not everything was asked.
        (true, true) => Exit::Unknown,
        (false, _) => Exit::Bad,
    };
    if args.json {
        return Ok(commands::json(&found).worst(exit));
    }
    out::answer(text(&found));
    for (before, now, good, bad) in [
        (
            &old,
            &new,
            "nothing that was denied is permitted now",
            "something that was denied is permitted now",
        ),
        (
            &new,
            &old,
            "nothing that was permitted is denied now",
            "something that was permitted is denied now",
        ),
    ] {
        let (before, now) = (before.policies(), now.policies());
        match prove::implies(before, now, day, PROOF_LIMIT) {
            Some(Proof::Proved { .. }) => {
                out::answer(format_args!("proved for any registry: {good}"))
            }
            Some(Proof::Disproved { .. }) => {
                out::answer(format_args!("for some registry: {bad}"));
            }
            Some(Proof::Inconclusive { why, .. }) => {
                out::answer(format_args!("not proved that {good}: {why}"));
            }
            None => out::note(format_args!(
                "note: not proved that {good}: cvc5 is missing, or the packs read or trust the facts differently"
            )),
        }
    }
    Ok(exit)
}

fn text(found: &Comparison) -> String {
    let mut lines = Vec::new();
    for (turned, title) in [
        (Turned::NewlyDenied, "Newly denied"),
        (Turned::NewlyPermitted, "Newly permitted"),
        (Turned::OtherObligations, "Other obligations"),
    ] {
        let changes: Vec<&ClassChange> = found
            .changes
            .iter()
            .filter(|change| change.turned == turned)
            .collect();
        if changes.is_empty() {
            continue;
        }
        lines.push(title.to_owned());
        for change in changes {
            lines.extend(change_lines(change, found));
        }
        lines.push(String::new());
    }
    if found.changes.is_empty() {
        lines.push("no difference found".to_owned());
    }
    if found.shares_differ {
        lines.push(
            "not asked: callers of whom owners hold a part, though the two policies count owners from different shares on"
                .to_owned(),
        );
    }
    lines.push(format!(
        "asked: {} kinds of callers{}, {} models in {} classes, {} hosts in {} classes",
        found.callers,
        if found.all_callers {
            " (all that the rules tell apart)"
        } else {
            " (attributes changed one at a time, not in every combination)"
        },
        found.models,
        found.model_classes,
        found.hosts,
        found.host_classes
    ));
    lines.join("\n")
}

fn change_lines(change: &ClassChange, found: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for title in &change.titles {
        lines.push(format!("  {title}"));
    }
    lines.push(format!("    before   {}", change.before.join(", ")));
    lines.push(format!("    now      {}", change.now.join(", ")));
    lines.push(format!(
        "    models   {}",
        some(&change.models, found.models)
    ));
    lines.push(format!("    hosts    {}", some(&change.hosts, found.hosts)));
    lines.push(format!(
        "    callers  {}",
        some(&change.callers, found.callers)
    ));
    lines
}

/// How many of so many, and the first few.
fn some(names: &BTreeSet<String>, all: usize) -> String {
    if names.len() == all && all > 1 {
        return format!("all {all}");
    }
    let first: Vec<&str> = names.iter().take(EXAMPLES).map(String::as_str).collect();
    let more = if names.len() > first.len() {
        ", …"
    } else {
        ""
    };
    format!("{} of {all}: {}{more}", names.len(), first.join("; "))
}
