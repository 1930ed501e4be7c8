//! The repository checks: what must hold in the files as they stand, whatever the tests say.

mod codes;
mod deny;
mod edges;
mod facts;
mod fresh;
mod held;
mod locks;
mod opening;
mod packaging;
mod traces;
mod words;

use std::fmt;

use anyhow::Result;

use crate::console;
use crate::repo::Repo;
use crate::totals::Totals;

/// Something that a check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// File, or file and line.
    place: String,
    message: String,
    help: String,
}

impl Problem {
    fn new(place: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
            help: help.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  help: {}", self.place, self.message, self.help)
    }
}

/// What a check does to the repository: it reads.
type Run = fn(&Repo) -> Result<Vec<Problem>>;

/// Name, what it holds, and how.
const CHECKS: &[(&str, &str, Run)] = &[
    (
        "edges",
        "crates depend on each other only as the table says",
        edges::check,
    ),
    (
        "words",
        "no producer, model or country is named in code",
        words::check,
    ),
    (
        "facts",
        "no fact is of tomorrow, or rests on nothing",
        facts::check,
    ),
    (
        "codes",
        "every code has its page, and every page its code",
        codes::check,
    ),
    (
        "fresh",
        "generated pages are what the product says today",
        fresh::check,
    ),
    (
        "held",
        "what went wrong elsewhere is held by the tests that its pages name",
        held::check,
    ),
    (
        "opening",
        "every Rust file opens with a sentence on its job",
        opening::check,
    ),
    (
        "packaging",
        "units, container file and chart fit to the program",
        packaging::check,
    ),
    (
        "traces",
        "no path of a machine and no talk about the work itself",
        traces::check,
    ),
    (
        "locks",
        "lock files name versions, never where to fetch them",
        locks::check,
    ),
    (
        "deny",
        "licences and duplicate versions are those in deny.toml",
        deny::check,
    ),
];

/// Runs the checks of these names, or all of them.
pub(crate) fn run(repo: &Repo, names: &[String]) -> Result<Totals> {
    for name in names {
        if !CHECKS.iter().any(|(known, ..)| known == name) {
            let known: Vec<_> = CHECKS.iter().map(|(known, ..)| *known).collect();
            anyhow::bail!("no check `{name}`; there are {}", known.join(", "));
        }
    }
    let mut totals = Totals::default();
    for (name, holds, check) in CHECKS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let result = match check(repo) {
            Ok(problems) if problems.is_empty() => Ok(()),
            Ok(problems) => Err(problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")),
            Err(error) => Err(format!("{error:#}")),
        };
        if result.is_ok() {
            console::say(format_args!("ok {name}: {holds}"));
        }
        totals.case(&format!("{name}: {holds}"), result);
    }
    Ok(totals)
}
