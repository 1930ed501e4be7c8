//! Names as they occur in the catalogues, unlabelled: how many are read, and where reading stops.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::console;
use crate::registry_report::ask::{self, Name};
use crate::registry_report::{is_hinted, judge, share, targets, text};
use crate::repo::Repo;
use crate::totals::Totals;

const FILE: &str = "catalogue/ids-wild.jsonl";
/// What a text or embedding model is called for.
const MODES: &[&str] = &["chat", "completion", "embedding", "responses"];
/// Lines of each table that are printed.
const SHOWN: usize = 25;

/// How far the reading of one name came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// To a model, its maker and a sourced country.
    Read,
    /// To a model whose maker or country is not known.
    Half,
    /// To a model or family that the name only hints at, which identifies nothing.
    Guess,
    /// Nowhere.
    Unknown,
}

pub(super) fn run(repo: &Repo, sample: bool, seed: u64) -> Result<Totals> {
    let Some(file) = repo.shared(FILE) else {
        return Ok(Totals::not_run(format!(
            "names as they occur: no ../shared/{FILE}"
        )));
    };
    let text = fs::read_to_string(&file).context("cannot read the names")?;
    let rows: Vec<Value> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the names are no JSON Lines")?;
    let texts: Vec<Name<'_>> = rows.iter().filter(|row| is_text(row)).map(name).collect();
    let answers = ask::resolve(repo, &texts, None)?;
    console::head(&format!(
        "names as they occur: {} that a catalogue calls text or embedding models",
        texts.len()
    ));
    let mut totals = Totals::default();
    let (found, shown) = share(count(&answers, Outcome::Read), texts.len());
    judge(&mut totals, &targets::READ, found, &shown);
    figures(&texts, &answers);
    if sample {
        print_sample(&texts, &answers, seed);
    }
    // One of the catalogues does not say what its models are for: pictures and speech are among them.
    let others: Vec<Name<'_>> = rows
        .iter()
        .filter(|row| modes(row).is_empty())
        .map(name)
        .collect();
    let answers = ask::resolve(repo, &others, None)?;
    console::head(&format!(
        "names as they occur: {} of which no catalogue says what they are for",
        others.len()
    ));
    let (_, shown) = share(count(&answers, Outcome::Read), others.len());
    console::say(format_args!("  {:<58} {shown}", targets::READ.what));
    figures(&others, &answers);
    Ok(totals)
}

fn modes(row: &Value) -> Vec<&str> {
    let modes = row.get("modes").and_then(Value::as_array);
    modes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn is_text(row: &Value) -> bool {
    modes(row).iter().any(|mode| MODES.contains(mode))
}

fn count(answers: &[Value], wanted: Outcome) -> usize {
    answers.iter().filter(|one| outcome(one) == wanted).count()
}

fn name(row: &Value) -> Name<'_> {
    let platforms = row.get("platforms").and_then(Value::as_array);
    Name {
        id: text(row, "id").unwrap_or_default(),
        platform: platforms
            .and_then(|platforms| platforms.first())
            .and_then(Value::as_str),
    }
}

fn outcome(answer: &Value) -> Outcome {
    let party = answer.get("producer").unwrap_or(&Value::Null);
    let sourced = text(party, "country").is_some()
        && text(party, "source").is_some_and(|source| !source.trim().is_empty());
    let hinted = is_hinted(answer);
    if text(answer, "canonical").is_some() && !hinted {
        return if sourced {
            Outcome::Read
        } else {
            Outcome::Half
        };
    }
    if hinted || last_step(answer).contains("a guess") {
        Outcome::Guess
    } else {
        Outcome::Unknown
    }
}

/// The step at which reading stopped. Where the prompt goes is another question.
fn last_step(answer: &Value) -> &str {
    let steps = answer.get("steps").and_then(Value::as_array);
    let steps = steps.into_iter().flatten().filter_map(Value::as_str);
    let mut about_names = steps.filter(|step| !step.starts_with("where the prompt goes"));
    about_names.next_back().unwrap_or_default()
}

/// A step without the names in it, so that equal ones can be counted.
fn shape(step: &str) -> String {
    let mut shape = String::new();
    for (at, part) in step.split('`').enumerate() {
        shape.push_str(if at % 2 == 1 { "…" } else { part });
    }
    shape
}

fn figures(names: &[Name<'_>], answers: &[Value]) {
    for (what, wanted) in [
        ("read, but maker or country not known", Outcome::Half),
        ("only hinted at, which identifies nothing", Outcome::Guess),
        ("unknown", Outcome::Unknown),
    ] {
        let (_, shown) = share(count(answers, wanted), names.len());
        console::say(format_args!("  {what:<58} {shown}"));
    }
    let mut steps: BTreeMap<String, usize> = BTreeMap::new();
    let mut platforms: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, answer) in names.iter().zip(answers) {
        if outcome(answer) == Outcome::Unknown {
            *steps.entry(shape(last_step(answer))).or_default() += 1;
        }
        if outcome(answer) != Outcome::Read {
            *platforms
                .entry(name.platform.unwrap_or("none"))
                .or_default() += 1;
        }
    }
    table("unknown, by the step at which reading stopped", steps);
    table("not read to a sourced country, by platform", platforms);
}

fn table<K: AsRef<str> + Ord>(title: &str, counts: BTreeMap<K, usize>) {
    console::say(format_args!("  {title}"));
    let mut rows: Vec<(K, usize)> = counts.into_iter().collect();
    rows.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    let rest: usize = rows.iter().skip(SHOWN).map(|(_, count)| count).sum();
    for (what, count) in rows.iter().take(SHOWN) {
        console::say(format_args!("    {count:>6}  {}", what.as_ref()));
    }
    if rest > 0 {
        console::say(format_args!("    {rest:>6}  others"));
    }
}

/// A sample to be read by hand: the same for the same seed and names.
fn print_sample(names: &[Name<'_>], answers: &[Value], seed: u64) {
    console::head(&format!(
        "{} names to be read by hand, seed {seed}",
        targets::SAMPLE.min(names.len())
    ));
    let mut places: Vec<(u64, usize)> = (0..names.len())
        .map(|at| (mixed(seed ^ at as u64), at))
        .collect();
    places.sort_unstable();
    let mut chosen: Vec<usize> = places
        .into_iter()
        .take(targets::SAMPLE)
        .map(|(_, at)| at)
        .collect();
    chosen.sort_unstable();
    for at in chosen {
        let (Some(name), Some(answer)) = (names.get(at), answers.get(at)) else {
            continue;
        };
        let party = answer.get("producer").unwrap_or(&Value::Null);
        let countries: Vec<&str> = answer
            .get("weights_countries")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let complete = answer.get("weights_complete").and_then(Value::as_bool);
        console::say(format_args!(
            "{} | {} | {} | {} ({}) | {}{} | {} | {}",
            name.platform.unwrap_or("none"),
            name.id,
            text(answer, "canonical").unwrap_or("-"),
            text(party, "name").unwrap_or("-"),
            text(party, "country").unwrap_or("-"),
            countries.join(" "),
            if complete == Some(true) { "" } else { " +?" },
            text(answer, "confidence").unwrap_or("-"),
            last_step(answer)
        ));
    }
}

/// Mixes a number well (the finaliser of SplitMix64), so that no library is needed for a sample.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_name_is_called_for_chooses_it() {
        for (modes, wanted) in [
            (json!(["chat"]), true),
            (json!(["image_generation", "embedding"]), true),
            (json!([]), false),
            (Value::Null, false),
            (json!(["image_generation"]), false),
            (json!(["rerank"]), false),
        ] {
            assert_eq!(is_text(&json!({ "modes": modes })), wanted, "{modes}");
        }
    }

    #[test]
    fn steps_are_counted_without_their_names() {
        let answer = json!({ "canonical": null, "producer": null,
            "steps": ["platform `x`", "the name holds the family word `oak`: a guess, which identifies nothing", "where the prompt goes is unknown"] });
        assert!(outcome(&answer) == Outcome::Guess);
        assert_eq!(
            shape(last_step(&answer)),
            "the name holds the family word …: a guess, which identifies nothing"
        );
        let party = json!({ "name": "Oak", "country": "QX", "source": "s" });
        let read = json!({ "canonical": "oak-1", "producer": party, "steps": [] });
        assert!(outcome(&read) == Outcome::Read);
        let half = json!({ "canonical": "oak-1", "producer": null, "steps": [] });
        assert!(outcome(&half) == Outcome::Half);
    }
}
