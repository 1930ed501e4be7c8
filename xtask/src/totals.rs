//! How many cases passed, failed and were not run, and which ones.

use std::fmt;

use crate::console;

/// The counts of one step, or of the whole run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// What was not run, each with its reason.
    pub(crate) skipped: Vec<String>,
}

impl Totals {
    /// A step that is one case.
    pub(crate) fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            skipped: Vec::new(),
        }
    }

    /// A step that could not run, and why.
    pub(crate) fn not_run(what: impl Into<String>) -> Self {
        Self {
            skipped: vec![what.into()],
            ..Self::default()
        }
    }

    /// Counts one case and shows it if it failed.
    pub(crate) fn case(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => {
                self.failed += 1;
                console::say(format_args!(
                    "FAILED {name}\n    {}",
                    why.trim_end().replace('\n', "\n    ")
                ));
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed,
            self.skipped.len()
        )
    }
}
