//! `cargo test` for the workspace, doc-tests included, and its totals.
//!
//! Some tests read data that lie beside the repository. Where these are absent a test has nothing to
//! judge, and says so by a file of its name in the folder `CARNET_NOT_RUN`: then it has not passed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::console;
use crate::exec;
use crate::repo::Repo;
use crate::tools;
use crate::totals::Totals;

/// Random policies of the long run; each is asked five thousand requests.
const RANDOM_POLICIES: &str = "200";

pub(crate) fn run(repo: &Repo, full: bool) -> Result<Totals> {
    let mut command = exec::cargo(
        repo.root(),
        &["test", "--locked", "--workspace", "--no-fail-fast"],
    );
    let folder = repo.root().join("target/not-run");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    command.env("CARNET_NOT_RUN", &folder);
    if full {
        command.env("CARNET_RANDOM_POLICIES", RANDOM_POLICIES);
    }
    // Without the solver the tests that prove fail, and say what to install.
    match tools::for_proofs(repo) {
        Ok(Some(cvc5)) => drop(command.env("CVC5", cvc5)),
        Ok(None) => {}
        Err(error) => console::say(format_args!("  cvc5 cannot be fetched: {error:#}")),
    }
    let mut totals = Totals::default();
    let good = exec::lines(&mut command, |line| {
        if let Some(name) = line
            .strip_suffix(" ... ignored")
            .and_then(|line| line.strip_prefix("test "))
        {
            totals.skipped.push(format!("cargo test: {name}"));
        }
        if let Some(summary) = line.strip_prefix("test result: ") {
            let counts = counts(summary);
            totals.passed += counts.passed;
            totals.failed += counts.failed;
        }
        if worth_showing(line) {
            console::say(line);
        }
    })?;
    if !good && totals.failed == 0 {
        totals.case(
            "cargo test",
            Err("it failed before it could count; its own words stand above".to_owned()),
        );
    }
    let absent = not_run(&folder)?;
    totals.passed = totals.passed.saturating_sub(absent.len());
    totals.skipped.extend(absent);
    Ok(totals)
}

/// What tests said of themselves in this folder: each file's name is the test's, its text the reason.
fn not_run(folder: &Path) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let reason = fs::read_to_string(entry.path())
            .with_context(|| format!("cannot read `{}`", entry.path().display()))?;
        said.push(format!(
            "cargo test: {}: {reason}",
            entry.file_name().to_string_lossy()
        ));
    }
    said.sort();
    Ok(said)
}

/// Everything but the tests that passed and the runs of nothing.
fn worth_showing(line: &str) -> bool {
    let passed = line.starts_with("test ") && line.ends_with(" ... ok");
    let empty = line.trim().is_empty()
        || line == "running 0 tests"
        || line.starts_with("test result: ok. 0 passed; 0 failed; 0 ignored");
    !passed && !empty
}

/// The counts in a closing line such as `ok. 12 passed; 0 failed; …` or `12 passed, 0 failed`.
pub(crate) fn counts(line: &str) -> Totals {
    let words: Vec<&str> = line
        .split([' ', ';', ',', ':'])
        .filter(|word| !word.is_empty())
        .collect();
    let before = |what: &str| {
        let pair = words.windows(2).find(|pair| pair.last() == Some(&what));
        pair.and_then(|pair| pair.first()?.parse().ok())
            .unwrap_or(0)
    };
    Totals {
        passed: before("passed"),
        failed: before("failed"),
        skipped: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let both = |line: &str| (counts(line).passed, counts(line).failed);
        assert_eq!(
            both(
                "ok. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s"
            ),
            (12, 1)
        );
        assert_eq!(both("7 passed, 0 failed"), (7, 0));
        assert_eq!(both("nothing of the kind"), (0, 0));
    }

    #[test]
    fn only_what_says_something_is_shown() {
        assert!(!worth_showing("test a::b ... ok"));
        assert!(!worth_showing(
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s"
        ));
        assert!(worth_showing("test a::b ... FAILED"));
        assert!(worth_showing(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s"
        ));
    }
}
