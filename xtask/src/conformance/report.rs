//! The report of a run, as Markdown and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::Part;
use super::tally::{Book, Tally};
use crate::clients::{Outcomes, Verdict};
use crate::mock::Exchange;

/// What a table of the report goes by.
type Question = (&'static str, fn(&Exchange) -> Vec<&str>);

const QUESTIONS: [Question; 3] = [
    ("API", |exchange| vec![&exchange.api]),
    ("service", |exchange| vec![&exchange.provider]),
    ("feature", |exchange| {
        exchange.features.iter().map(String::as_str).collect()
    }),
];

/// For people.
pub(super) fn markdown(outcomes: &Outcomes, parts: &[Part], full: bool) -> String {
    let book = Book::new(outcomes);
    let clients = book.clients();
    let mut text = format!(
        "# Conformance\n\n{} run: {} exchanges replayed, {} not served.\n\n| part | passed | failed | not run |\n|---|--:|--:|---|\n",
        if full { "Full" } else { "Ordinary" },
        outcomes.exchanges.len(),
        outcomes.unserved.len()
    );
    for Part { title, totals } in parts {
        let skipped = totals.skipped.join("; ");
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {skipped} |",
            totals.passed, totals.failed
        );
    }
    text += "\n## Clients\n\nExchanges by the worst outcome over all manners of sending. *Fails alike*: the client cannot read the answer \
             without the gateway either.\n\n\
             | client | same | fails alike | differs | refused | cannot ask |\n|---|--:|--:|--:|--:|--:|\n";
    for client in &clients {
        let Tally {
            differs,
            refused,
            same,
            same_failure,
            unasked,
        } = book.tally(client, |_| true);
        let _ = writeln!(
            text,
            "| {client} | {same} | {same_failure} | {differs} | {refused} | {unasked} |"
        );
    }
    for (what, of) in QUESTIONS {
        let _ = write!(
            text,
            "\n## By {what}\n\n| {what} | {} |\n|---|{}\n",
            clients.join(" | "),
            "--:|".repeat(clients.len())
        );
        let words: BTreeSet<&str> = outcomes.exchanges.iter().flat_map(of).collect();
        for word in words {
            let _ = write!(text, "| {word} |");
            for client in &clients {
                let tally = book.tally(client, |exchange| of(exchange).contains(&word));
                let _ = write!(text, " {tally} |");
            }
            text.push('\n');
        }
    }
    text += "\n## By manner of sending\n\n| client | manner | same | fails alike | differs |\n|---|---|--:|--:|--:|\n";
    let manners: BTreeSet<(&str, &str)> = outcomes
        .all
        .iter()
        .map(|one| (one.client.as_str(), one.manner.as_str()))
        .collect();
    for (client, manner) in manners {
        let count = |verdict: Verdict| {
            let all = outcomes.all.iter();
            all.filter(|o| o.client == client && o.manner == manner && o.verdict == verdict)
                .count()
        };
        let _ = writeln!(
            text,
            "| {client} | {manner} | {} | {} | {} |",
            count(Verdict::Same),
            count(Verdict::SameFailure),
            count(Verdict::Differs)
        );
    }
    for (title, verdict) in [
        ("Differences", Verdict::Differs),
        ("Refused", Verdict::Refused),
        (
            "Clients that fail without the gateway too",
            Verdict::SameFailure,
        ),
        ("What a client cannot ask", Verdict::Unasked),
    ] {
        let _ = write!(text, "\n## {title}\n\n");
        let lines: BTreeSet<String> = outcomes
            .all
            .iter()
            .filter(|one| one.verdict == verdict)
            .map(|one| {
                let why: String = one.why.replace('\n', " ").chars().take(300).collect();
                format!(
                    "- {}: {}{}{why}",
                    one.client,
                    one.exchange,
                    if why.is_empty() { "" } else { ": " }
                )
            })
            .collect();
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    text += "\n## Not served\n\n";
    for one in &outcomes.unserved {
        let _ = writeln!(
            text,
            "- {} ({}, {}): {}",
            one.id, one.provider, one.api, one.why
        );
    }
    text
}

/// For programs: every outcome.
pub(super) fn json(outcomes: &Outcomes, parts: &[Part], full: bool) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|Part { title, totals }| {
            json!({"part": title, "passed": totals.passed, "failed": totals.failed, "not_run": totals.skipped})
        })
        .collect();
    let exchanges: Vec<Value> = outcomes
        .exchanges
        .iter()
        .map(|e| json!({"id": e.id, "api": e.api, "service": e.provider, "features": e.features, "status": e.status}))
        .collect();
    json!({
        "full": full,
        "parts": parts,
        "exchanges": exchanges,
        "not_served": outcomes.unserved,
        "outcomes": outcomes.all,
    })
}
