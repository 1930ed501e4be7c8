//! `cargo xtask registry-report`: how much the registry knows, and how well it reads the labelled set
//! and the names as they occur. It asks the product's binary, as an operator would.

mod ask;
mod references;
mod targets;
mod truth;
mod wild;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::registry_report::targets::Target;
use crate::repo::Repo;
use crate::totals::Totals;
use crate::{console, generate};

/// What the report was asked for.
#[derive(Default)]
struct Options {
    sample: bool,
    seed: Option<u64>,
    misses: bool,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--sample" => options.sample = true,
                "--misses" => options.misses = true,
                "--seed" => {
                    let seed = words.next().context("`--seed` needs a number")?;
                    options.seed = Some(seed.parse().context("`--seed` needs a number")?);
                }
                other => bail!("no option `{other}`; there are --sample, --seed N and --misses"),
            }
        }
        Ok(options)
    }
}

/// The command.
pub(crate) fn command(repo: &Repo, words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    let totals = report(repo, &options)?;
    console::say("");
    for what in &totals.skipped {
        console::say(format_args!("not run: {what}"));
    }
    console::say(&totals);
    Ok(ExitCode::from(u8::from(totals.failed > 0)))
}

/// The step of the test command.
pub(crate) fn step(repo: &Repo) -> Result<Totals> {
    report(repo, &Options::default())
}

fn report(repo: &Repo, options: &Options) -> Result<Totals> {
    generate::build(repo)?;
    let mut totals = floors(repo)?;
    totals.add(truth::run(repo, options.misses)?);
    let seed = options.seed.unwrap_or(targets::SEED);
    totals.add(wild::run(repo, options.sample, seed)?);
    totals.add(references::run(repo)?);
    Ok(totals)
}

/// How much the registry knows.
fn floors(repo: &Repo) -> Result<Totals> {
    let stats = ask::stats(repo)?;
    console::head("the registry");
    let count = |key: &str| stats.get(key).and_then(Value::as_f64).unwrap_or_default();
    let about: f64 = [
        "teacher_claims",
        "disputes",
        "statements",
        "owners",
        "list_memberships",
    ]
    .iter()
    .map(|key| count(key))
    .sum();
    let mut totals = Totals::default();
    for (target, found) in [
        (&targets::HOSTS, count("hosts")),
        (&targets::PRODUCERS, count("producers")),
        (&targets::MODELS, count("models")),
        (&targets::EDGES, count("lineage_edges")),
        (&targets::CLAIMS_ABOUT, about),
    ] {
        judge(
            &mut totals,
            target,
            found,
            &format!("{found:.0} of {:.0}", target.least),
        );
    }
    for (key, counts) in [
        ("claims by confidence", "claims_by_confidence"),
        ("models by lineage status", "models_by_lineage_status"),
    ] {
        let empty = serde_json::Map::new();
        let counts = stats
            .get(counts)
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let shown: Vec<String> = counts
            .iter()
            .map(|(word, n)| format!("{word} {n}"))
            .collect();
        console::say(format_args!("  {key}: {}", shown.join(", ")));
    }
    Ok(totals)
}

/// One figure beside its target. Only an asserted one can fail.
fn judge(totals: &mut Totals, target: &Target, found: f64, shown: &str) {
    let good = found >= target.least;
    let word = match (good, target.asserted) {
        (true, _) => "reached",
        (false, true) => "MISSED",
        (false, false) => "not yet",
    };
    console::say(format_args!("  {:<58} {shown} ({word})", target.what));
    if target.asserted {
        let result = if good {
            Ok(())
        } else {
            Err(format!("{shown}, the target is {}", target.least))
        };
        totals.case(target.what, result);
    }
}

/// A share with its counts.
fn share(part: usize, whole: usize) -> (f64, String) {
    #[expect(clippy::cast_precision_loss, reason = "counts of lines of one file")]
    let share = part as f64 / whole.max(1) as f64;
    (share, format!("{part} of {whole}, {:.1} %", share * 100.0))
}

/// A text of an object, or nothing.
fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// Whether an answer only hints at a model.
fn is_hinted(answer: &Value) -> bool {
    let steps = answer.get("steps").and_then(Value::as_array);
    steps
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|step| step.contains("not identified"))
}
