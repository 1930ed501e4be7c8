//! `cargo xtask conformance`: what stock clients see through the gateway beside what they see without, as a report
//! for people and for programs.

mod page;
mod report;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::clients::{self, Outcomes};
use crate::console;
use crate::repo::Repo;
use crate::steps::Bench;
use crate::tools;
use crate::totals::Totals;

pub(crate) use page::{PAGE, page};

/// What the command was asked for.
struct Options {
    full: bool,
    report: Option<PathBuf>,
    write: bool,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            full: false,
            report: None,
            write: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--full" => options.full = true,
                "--report" => {
                    let file = words.next().context("`--report` needs a file")?;
                    options.report = Some(file.into());
                }
                "--write" => options.write = true,
                other => {
                    bail!("no option `{other}`; there are --full, --report FILE and --write")
                }
            }
        }
        Ok(options)
    }
}

/// A part of the run.
struct Part {
    title: &'static str,
    totals: Totals,
}

/// Runs the replay and the other clients and writes the report.
pub(crate) fn command(repo: &Repo, words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    let tools = tools::install(repo)?;
    let bench = Bench {
        repo,
        tools: &tools,
        full: options.full,
    };
    let mut outcomes = Outcomes::default();
    let mut parts = Vec::new();
    let mut part = |title: &'static str, totals: Result<Totals>| {
        let totals = totals.unwrap_or_else(|error| {
            let mut broken = Totals::default();
            broken.case(title, Err(format!("{error:#}")));
            broken
        });
        parts.push(Part { title, totals });
    };
    console::head("recorded exchanges, with and without the gateway");
    part(
        "recorded exchanges",
        clients::replay_into(&bench, &mut outcomes),
    );
    console::head("agents on the command line, with the gateway between");
    part("agents on the command line", clients::agents(&bench));
    console::head("requests made from the description of the API");
    part(
        "requests from the API's description",
        clients::described(&bench),
    );
    if options.write && !outcomes.exchanges.is_empty() {
        std::fs::write(repo.path(PAGE), page(repo, &outcomes)?)?;
        console::say(format_args!("wrote {PAGE}"));
    }
    let file = options
        .report
        .unwrap_or_else(|| repo.target().join("conformance.md"));
    let json = file.with_extension("json");
    std::fs::write(&file, report::markdown(&outcomes, &parts, options.full))
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    std::fs::write(
        &json,
        report::json(&outcomes, &parts, options.full).to_string(),
    )
    .with_context(|| format!("cannot write `{}`", json.display()))?;

    let mut all = Totals::default();
    for part in parts {
        all.add(part.totals);
    }
    console::say(format_args!(
        "\nreport: {} and {}",
        file.display(),
        json.display()
    ));
    for what in &all.skipped {
        console::say(format_args!("not run: {what}"));
    }
    console::say(&all);
    Ok(ExitCode::from(u8::from(all.failed > 0)))
}
