//! What is wrong with a file or a setting: its place, the reason and the fix, for every reader.

use std::fmt;
use std::path::Path;

use carnet_gateway::config::ConfigProblem;
use carnet_policy::{Excerpt, PolicyProblem};
use carnet_provenance::Problem;
use serde::Serialize;

/// One mistake. Printed on a terminal, returned by the admin listener, written to the log of events.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trouble {
    /// The file concerned, if one is.
    pub(crate) file: Option<String>,
    /// Line, from 1.
    pub(crate) line: Option<usize>,
    /// Column, from 1.
    pub(crate) column: Option<usize>,
    /// What is wrong.
    pub(crate) message: String,
    /// How to mend it.
    pub(crate) help: Option<String>,
    /// The text of the line, for showing.
    #[serde(skip)]
    excerpt: Option<Box<Excerpt>>,
}

/// All mistakes of one attempt.
pub(crate) type Troubles = Vec<Trouble>;

impl Trouble {
    /// Something without a place.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            column: None,
            message: message.into(),
            help: Some(help.into()),
            excerpt: None,
        }
    }

    /// The same of a file.
    pub(crate) fn of(mut self, file: &Path) -> Self {
        self.file = Some(file.display().to_string());
        self
    }

    /// The same at a place in its file.
    pub(crate) fn at(mut self, line: usize, column: usize) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn io(what: &str, file: &Path, error: &std::io::Error, help: &str) -> Troubles {
        vec![Self {
            file: Some(file.display().to_string()),
            ..Self::new(format!("cannot {what}: {error}"), help)
        }]
    }

    /// A mistake of the configuration, with the line it stands in.
    pub(crate) fn config(file: &Path, text: &str, problem: ConfigProblem) -> Self {
        let start = problem.span.start.min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let content = text
            .get(line_start..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let span = text
            .get(start..problem.span.end.min(text.len()))
            .unwrap_or_default();
        let width = span
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            .max(1);
        Self {
            file: Some(file.display().to_string()),
            line: Some(line + 1),
            column: Some(column + 1),
            message: problem.message,
            help: problem.help,
            excerpt: Some(Box::new(Excerpt {
                line: content.to_owned(),
                width,
            })),
        }
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self {
            file: Some(problem.file),
            line: Some(problem.line),
            column: Some(problem.column),
            message: problem.message,
            help: problem.help,
            excerpt: None,
        }
    }
}

impl From<PolicyProblem> for Trouble {
    fn from(problem: PolicyProblem) -> Self {
        Self {
            file: Some(format!("{}/{}", problem.pack, problem.file)),
            line: Some(problem.line),
            column: Some(problem.column),
            message: problem.message,
            help: problem.help,
            excerpt: problem.excerpt,
        }
    }
}

/// Something worth a look that stops nothing.
#[derive(Clone, Debug)]
pub(crate) struct Warning(pub(crate) Trouble);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show("warning", f)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("error", f)
    }
}

impl Trouble {
    fn show(&self, severity: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{severity}: {}", self.message)?;
        match (&self.file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => write!(f, "\n  --> {file}:{line}:{column}")?,
            (Some(file), _, _) => write!(f, "\n  --> {file}")?,
            _ => {}
        }
        if let (Some(excerpt), Some(line), Some(column)) = (&self.excerpt, self.line, self.column) {
            let margin = line.to_string().len();
            let mark = "^".repeat(excerpt.width);
            write!(
                f,
                "\n{:margin$} |\n{line} | {}\n{:margin$} | {:pad$}{mark}",
                "",
                excerpt.line,
                "",
                "",
                pad = column - 1
            )?;
        }
        if let Some(help) = &self.help {
            let mut lines = help.lines();
            write!(f, "\n  help: {}", lines.next().unwrap_or_default())?;
            for line in lines {
                write!(f, "\n        {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use toml_span::Span;

    use super::*;

    #[test]
    fn a_mistake_shows_its_line_and_the_fix() {
        let text = "[server]\n  lisen = 1\n";
        let problem = ConfigProblem {
            span: Span { start: 11, end: 16 },
            message: "unknown key `lisen`".to_owned(),
            help: Some("did you mean `listen`?".to_owned()),
        };
        let shown = Trouble::config(Path::new("carnet.toml"), text, problem).to_string();
        assert_eq!(
            shown,
            "error: unknown key `lisen`\n  --> carnet.toml:2:3\n  |\n2 |   lisen = 1\n  |   ^^^^^\n  help: did you mean `listen`?"
        );
    }
}
