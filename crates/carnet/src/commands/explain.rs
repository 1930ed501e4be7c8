//! `carnet policy explain`: an answer for somebody who never saw a rule.

use carnet_policy::{Effect, FactLine, Pack, Policies, Reason, Workload};

use crate::cli::CheckArgs;
use crate::commands::check::{self, Answer};
use crate::exit::Exit;

pub(crate) fn run(args: &CheckArgs) -> Exit {
    check::answer(args, |answer| text(args, answer))
}

fn text(args: &CheckArgs, answer: &Answer) -> String {
    let Answer {
        verdict,
        policies,
        workload,
        overlay,
    } = answer;
    let denied = verdict.effect() == Effect::Deny;
    let mut lines = vec![format!(
        "{}: {}{}, for {}.",
        if denied { "Denied" } else { "Permitted" },
        args.id,
        args.host
            .as_ref()
            .map(|host| format!(" on {host}"))
            .unwrap_or_default(),
        caller(workload)
    )];
    lines.push(String::new());
    lines.push("Why".to_owned());
    for (number, reason) in verdict.reasons().iter().enumerate() {
        lines.extend(reason_lines(number, reason, policies));
    }
    if !verdict.report_deny().is_empty() {
        lines.push(String::new());
        lines.push("What would have been denied, by rules that only report".to_owned());
        for (number, reason) in verdict.report_deny().iter().enumerate() {
            lines.extend(reason_lines(number, reason, policies));
        }
    }
    if !verdict.facts().is_empty() {
        lines.push(String::new());
        lines.push("What this rests on".to_owned());
        lines.extend(verdict.facts().iter().flat_map(|fact| fact_lines(fact)));
    }
    let all = policies.packs().iter();
    let quiet: Vec<&Pack> = all
        .filter(|pack| !speaks(pack, verdict.reasons()))
        .collect();
    if denied && !quiet.is_empty() {
        lines.push(String::new());
        lines.push("What does not speak against it".to_owned());
        for pack in quiet {
            lines.push(format!("  {} ({})", pack.title(), pack.name()));
        }
    }
    if denied {
        lines.push(String::new());
        if verdict.counterfactuals().is_empty() {
            lines.push(
                "No single change of those that were tried would make it permitted.".to_owned(),
            );
        } else {
            lines.push("It would be permitted".to_owned());
            for way in verdict.counterfactuals() {
                lines.push(format!("  - {}", way.change));
            }
        }
    }
    if let Some(overlay) = overlay.as_deref().filter(|_| denied) {
        lines.push(String::new());
        lines.push("To settle what is unknown, say in an overlay (fill in the dots)".to_owned());
        lines.extend(overlay.lines().map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    lines.push(format!(
        "Decided as of {}, by policy {}, on facts {}.",
        verdict.as_of(),
        short(verdict.policy_version()),
        short(verdict.registry_version())
    ));
    lines.join("\n")
}

/// Enough of a digest to tell two apart.
fn short(version: &str) -> &str {
    version.get(..19).unwrap_or(version)
}

fn speaks(pack: &Pack, reasons: &[Reason]) -> bool {
    reasons.iter().any(|reason| *reason.pack == *pack.name())
}

/// Who asks, as far as it was said.
fn caller(workload: &Workload) -> String {
    let unknown = carnet_policy::UNKNOWN;
    let mut parts = Vec::new();
    for (name, value) in [
        ("sector", &workload.sector),
        ("purpose", &workload.purpose),
        ("audience", &workload.audience),
        ("nationality", &workload.nationality),
    ] {
        if value != unknown {
            parts.push(format!("{name} {value}"));
        }
    }
    if let Some(country) = &workload.country {
        parts.push(format!("country {country}"));
    }
    if let Some(found) = workload.found.as_ref().filter(|found| !found.is_empty()) {
        let found: Vec<String> = found.iter().cloned().map(String::from).collect();
        parts.push(format!("detectors found {}", found.join(", ")));
    }
    for (name, values) in [
        ("contracts", &workload.contracts),
        ("data", &workload.data_classes),
        ("data about people in", &workload.data_subjects),
    ] {
        if let Some(values) = values.as_ref().filter(|values| !values.is_empty()) {
            parts.push(format!("{name} {}", values.join(", ")));
        }
    }
    if parts.is_empty() {
        "a workload of which nothing is stated".to_owned()
    } else {
        format!("a workload with {}", parts.join("; "))
    }
}

fn reason_lines(number: usize, reason: &Reason, policies: &Policies) -> Vec<String> {
    let mut lines = vec![format!(
        "  {}. {}.",
        number.saturating_add(1),
        capital(&reason.title)
    )];
    if let Some(source) = &reason.legal_source {
        lines.push(format!("     Source: {source}."));
    }
    let all = policies.packs().iter();
    let pack = all.clone().find(|pack| *pack.name() == *reason.pack);
    if let Some(pack) = pack {
        lines.push(format!(
            "     Rule `{}` of \"{}\" ({}).",
            reason.rule,
            pack.title(),
            pack.name()
        ));
    }
    lines
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str())
}

fn fact_lines(fact: &FactLine) -> Vec<String> {
    let date = fact
        .date
        .map(|date| format!(", {date}"))
        .unwrap_or_default();
    let mut lines = vec![
        format!("  {}: {}", claim(&fact.claim), fact.value),
        format!("     {}{date}; confidence {}", fact.source, fact.confidence),
    ];
    if let Some(attested) = &fact.attested {
        lines.push(format!("     the operator's own word: {attested}"));
    }
    lines
}

/// A claim in words.
fn claim(name: &str) -> &str {
    match name {
        "identity" => "which model it is",
        "producer" => "who made it",
        "producer.country" => "the maker's country",
        "producer.owner" => "an owner of the maker",
        "producer.list" => "a list that names the maker",
        "producer.claim" => "claimed about the maker",
        "counted.list" => "a list that names somebody who counts as its maker",
        "counted.owner" => "an owner of somebody who counts as its maker",
        "lineage" => "what it was made from",
        "weights_countries" => "a country of its weights",
        "weights_producers" => "who made a part of its weights",
        "weights_complete" => "whether nothing else is in the weights",
        "teachers" => "whose outputs it learned from",
        "teachers_complete" => "whether there are no other teachers",
        "documents" => "documents on file",
        "host" => "who serves it",
        "host.list" => "a list that names whoever runs the host",
        "hosting_countries" => "where it may run",
        "hosting_parents" => "who stands behind the host",
        "jurisdictions" => "whose law reaches the prompt",
        "hosting_complete" => "whether every such place is known",
        "subprocessors" => "whom the host lets process prompts",
        "trains_on_prompts" => "whether the host trains on prompts",
        "egress" => "whether the prompt leaves the machine",
        "retention" => "what the host keeps",
        "weights" => "whether the weights are open",
        "licence" => "its licence",
        "disputed" => "disputed",
        other => other,
    }
}
