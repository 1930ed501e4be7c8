//! The labelled set: ids whose maker, line and countries people looked up by hand.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::console;
use crate::registry_report::ask::{self, Name};
use crate::registry_report::{judge, share, targets, text};
use crate::repo::Repo;
use crate::totals::Totals;

const FILE: &str = "catalogue/truth-dev.jsonl";
/// Words in the names of makers that tell none apart.
const COMMON: &[&str] = &[
    "a",
    "ai",
    "and",
    "co",
    "company",
    "corp",
    "corporation",
    "cloud",
    "group",
    "inc",
    "institute",
    "intelligence",
    "lab",
    "labs",
    "limited",
    "llc",
    "ltd",
    "of",
    "research",
    "team",
    "tech",
    "technologies",
    "technology",
    "the",
    "university",
];

#[derive(Default)]
struct Figures {
    decidable: usize,
    exact: usize,
    producers: usize,
    producers_by_country: usize,
    producers_right: usize,
    sure: usize,
    sure_complete: usize,
    sure_confident: usize,
    /// Ids for each thing that must never happen.
    never: [Vec<String>; 3],
    misses: Vec<String>,
}

pub(super) fn run(repo: &Repo, show_misses: bool) -> Result<Totals> {
    let Some(file) = repo.shared(FILE) else {
        return Ok(Totals::not_run(format!(
            "the labelled set: no ../shared/{FILE}"
        )));
    };
    let text = fs::read_to_string(&file).context("cannot read the labelled set")?;
    let rows: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the labelled set is no JSON Lines")?;
    let names: Vec<Name<'_>> = rows
        .iter()
        .map(|row| Name {
            id: self::text(row, "id").unwrap_or_default(),
            platform: self::text(row, "platform"),
        })
        .collect();
    let answers = ask::resolve(repo, &names, Some(targets::AS_OF))?;
    let mut figures = Figures::default();
    for (row, answer) in rows.iter().zip(&answers) {
        figures.count(row, answer);
    }
    Ok(figures.judged(rows.len(), show_misses))
}

fn codes(value: &Value, key: &str) -> BTreeSet<String> {
    let list = value.get(key).and_then(Value::as_array);
    let codes = list.into_iter().flatten().filter_map(Value::as_str);
    codes.map(str::to_owned).collect()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// Whether the label says what the line is.
fn is_decidable(row: &Value) -> bool {
    let status = text(row, "lineage_status").unwrap_or_default();
    row.get("lineage").is_some_and(Value::is_array)
        && !matches!(status, "undisclosed" | "not-decidable-from-id")
}

impl Figures {
    fn count(&mut self, row: &Value, answer: &Value) {
        let id = text(row, "id").unwrap_or_default();
        let (truth, found) = (
            codes(row, "weights_countries"),
            codes(answer, "weights_countries"),
        );
        let complete = flag(answer, "weights_complete");
        let all_known = flag(row, "countries_complete");
        let confidence = text(answer, "confidence").unwrap_or_default();
        let shown = format!("{id}: {found:?}, the truth is {truth:?}");
        if complete && !truth.is_subset(&found) {
            self.note(0, shown.clone());
        }
        if all_known && confidence == "high" && !found.is_subset(&truth) {
            self.note(1, shown.clone());
        }
        if is_decidable(row) {
            self.decidable += 1;
            // A label that is not complete is a lower bound.
            let exact = found == truth || (!all_known && truth.is_subset(&found));
            self.exact += usize::from(exact);
            if !exact {
                self.misses.push(format!("countries of {shown}"));
            }
            if all_known && text(row, "confidence") == Some("high") {
                self.sure += 1;
                self.sure_complete += usize::from(complete);
                self.sure_confident += usize::from(matches!(confidence, "high" | "medium"));
                if !complete {
                    self.misses.push(format!("not complete: {id}"));
                }
            }
        } else if complete {
            self.note(2, shown);
        }
        self.producer(row, answer, id);
    }

    fn note(&mut self, which: usize, shown: String) {
        if let Some(found) = self.never.get_mut(which) {
            found.push(shown);
        }
    }

    fn producer(&mut self, row: &Value, answer: &Value, id: &str) {
        let Some(wanted) = text(row, "producer") else {
            return;
        };
        self.producers += 1;
        let party = answer.get("producer").unwrap_or(&Value::Null);
        let found = text(party, "name").unwrap_or("unknown");
        let country = text(party, "country");
        let by_country = text(party, "name").is_some() && country == text(row, "producer_country");
        let right = by_country && same_maker(wanted, found);
        self.producers_by_country += usize::from(by_country);
        self.producers_right += usize::from(right);
        if !right {
            let (wanted_country, country) = (
                text(row, "producer_country").unwrap_or("unknown"),
                country.unwrap_or("unknown"),
            );
            self.misses.push(format!(
                "producer of {id}: {found} ({country}), the truth is {wanted} ({wanted_country})"
            ));
        }
    }

    fn judged(self, rows: usize, show_misses: bool) -> Totals {
        console::head(&format!(
            "the labelled set: {rows} ids, as of {}",
            targets::AS_OF
        ));
        let mut totals = Totals::default();
        for (target, part, whole) in [
            (&targets::EXACT_COUNTRIES, self.exact, self.decidable),
            (
                &targets::PRODUCERS_RIGHT,
                self.producers_right,
                self.producers,
            ),
            (&targets::COMPLETE, self.sure_complete, self.sure),
            (&targets::SURE, self.sure_confident, self.sure),
        ] {
            let (found, shown) = share(part, whole);
            judge(&mut totals, target, found, &shown);
        }
        let (_, shown) = share(self.producers_by_country, self.producers);
        console::say(format_args!(
            "  {:<58} {shown}",
            "producers right by country alone"
        ));
        for (what, found) in targets::NEVER.iter().zip(&self.never) {
            console::say(format_args!("  {what:<58} {}", found.len()));
            let result = if found.is_empty() {
                Ok(())
            } else {
                Err(found.join("\n"))
            };
            totals.case(what, result);
        }
        if show_misses {
            for miss in &self.misses {
                console::say(format_args!("    {miss}"));
            }
        } else if !self.misses.is_empty() {
            console::say(format_args!(
                "  {} misses; --misses lists them",
                self.misses.len()
            ));
        }
        totals
    }
}

/// Whether two names are of one maker: one word in common that is not everybody's, or one name inside
/// the other.
fn same_maker(one: &str, two: &str) -> bool {
    let folded = |text: &str| -> String {
        let kept = text.chars().filter(|c| c.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect()
    };
    let (whole, other) = (folded(one), folded(two));
    let inside =
        whole.len().min(other.len()) >= 3 && (whole.contains(&other) || other.contains(&whole));
    let words = |text: &str| -> BTreeSet<String> {
        let parts = text
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_lowercase);
        parts
            .filter(|word| word.len() > 1 && !COMMON.contains(&word.as_str()))
            .collect()
    };
    inside || !words(one).is_disjoint(&words(two))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_maker_may_be_spelled_in_several_ways() {
        for (one, two) in [
            ("DeepThing", "Deep Thing Inc"),
            ("Oak (elm)", "Elm AI"),
            ("Oak AI", "Oak"),
        ] {
            assert!(same_maker(one, two), "{one} {two}");
        }
        for (one, two) in [
            ("Oak AI", "Elm AI"),
            ("Oak Research", "Elm Research"),
            ("Oak", "unknown"),
        ] {
            assert!(!same_maker(one, two), "{one} {two}");
        }
    }

    #[test]
    fn what_must_never_happen_is_seen() {
        let label = |status: &str, complete: bool| {
            json!({ "id": "x", "lineage": if status == "undisclosed" { Value::Null } else { json!([]) },
                "lineage_status": status, "weights_countries": ["QX", "QY"], "countries_complete": complete,
                "confidence": "high", "producer": "Oak", "producer_country": "QX" })
        };
        let answer = |countries: &[&str], complete: bool| {
            json!({ "weights_countries": countries, "weights_complete": complete, "confidence": "high",
                "producer": { "name": "Oak AI", "country": "QX" } })
        };
        let mut figures = Figures::default();
        figures.count(&label("derived", true), &answer(&["QX", "QY"], true));
        assert_eq!(
            (figures.decidable, figures.exact, figures.sure_complete),
            (1, 1, 1)
        );
        assert_eq!(figures.producers_right, 1);
        assert!(figures.never.iter().all(Vec::is_empty));
        figures.count(&label("derived", true), &answer(&["QX"], true));
        assert_eq!(figures.never[0].len(), 1);
        figures.count(&label("derived", true), &answer(&["QX", "QY", "QZ"], false));
        assert_eq!(figures.never[1].len(), 1);
        figures.count(
            &label("derived", false),
            &answer(&["QX", "QY", "QZ"], false),
        );
        assert_eq!((figures.decidable, figures.exact), (4, 2), "a lower bound");
        figures.count(&label("undisclosed", false), &answer(&["QX", "QY"], true));
        assert_eq!(figures.never[2].len(), 1);
        assert_eq!(figures.decidable, 4);
    }
}
