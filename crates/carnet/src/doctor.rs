//! What `carnet doctor` finds: one line for each check, with what to do where something is to be done.
//!
//! It reads and asks; it changes nothing, sends no request to any upstream and never shows a secret.

pub(crate) mod live;
pub(crate) mod machine;
pub(crate) mod reach;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod unit;

use serde::Serialize;

use crate::trouble::{Trouble, Troubles, Warning};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// As it should be.
    Ok,
    /// It works, and is worth a look.
    Warning,
    /// It does not work, or not for long.
    Problem,
}

impl Standing {
    /// The word that stands before its line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How it stands.
    pub(crate) standing: Standing,
    /// In words.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// All lines, in the order of the checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// As it should be.
    pub(crate) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.push(check, Standing::Ok, message.into(), None);
    }

    /// Worth a look.
    pub(crate) fn warning(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(check, Standing::Warning, message.into(), Some(help.into()));
    }

    /// Wrong.
    pub(crate) fn problem(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(check, Standing::Problem, message.into(), Some(help.into()));
    }

    /// Each of these is wrong.
    pub(crate) fn troubles(&mut self, check: &'static str, troubles: Troubles) {
        for trouble in troubles {
            let (message, help) = told(trouble);
            self.push(check, Standing::Problem, message, help);
        }
    }

    /// Each of these is worth a look.
    pub(crate) fn warnings(&mut self, check: &'static str, warnings: Vec<Warning>) {
        for Warning(trouble) in warnings {
            let (message, help) = told(trouble);
            self.push(check, Standing::Warning, message, help);
        }
    }

    /// How many stand so.
    pub(crate) fn count(&self, standing: Standing) -> usize {
        let alike = self.0.iter().filter(|one| one.standing == standing);
        alike.count()
    }

    fn push(
        &mut self,
        check: &'static str,
        standing: Standing,
        message: String,
        help: Option<String>,
    ) {
        self.0.push(Finding {
            check,
            standing,
            message,
            help,
        });
    }
}

/// A mistake in one line, with its place.
fn told(trouble: Trouble) -> (String, Option<String>) {
    let place = match (&trouble.file, trouble.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        _ => String::new(),
    };
    (format!("{place}{}", trouble.message), trouble.help)
}
