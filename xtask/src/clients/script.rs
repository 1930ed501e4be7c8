//! Runs a suite script of one language and reads its verdicts: one JSON object a line,
//! `{"case", "ok", "why"}` for a case, `{"requested", "records"}` for records that must be there,
//! `{"client", "exchange", "manner", "verdict", "why"}` for a recorded exchange.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::outcome::{Outcome, Verdict};
use crate::console;
use crate::exec;
use crate::steps::Bench;
use crate::totals::Totals;

/// A script of a language: `tests/clients/<language>/<name>`.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    pub(super) language: &'static str,
    pub(super) name: &'static str,
}

impl Suite {
    pub(super) const fn new(language: &'static str, name: &'static str) -> Self {
        Self { language, name }
    }
}

/// A run of a script.
pub(super) struct Script<'a> {
    pub(super) suite: Suite,
    pub(super) mock: &'a str,
    pub(super) gateway: &'a str,
    pub(super) key: &'a str,
}

/// What the driver still has to look after.
#[derive(Default)]
pub(super) struct Report {
    /// Requested name and how many records it must have left.
    pub(super) records: Vec<(String, usize)>,
    /// What became of recorded exchanges.
    pub(super) outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Case {
        case: String,
        ok: bool,
        #[serde(default)]
        why: String,
    },
    Records {
        requested: String,
        records: usize,
    },
    Replayed(Outcome),
}

impl Script<'_> {
    pub(super) fn run(&self, bench: &Bench<'_>, totals: &mut Totals) -> Result<Report> {
        self.drive(self.command(bench)?, bench, totals)
    }

    /// Runs it on a file that the driver wrote.
    pub(super) fn with_file(
        &self,
        bench: &Bench<'_>,
        file: &Path,
        totals: &mut Totals,
    ) -> Result<Report> {
        let mut command = self.command(bench)?;
        command.env("CARNET_FILE", file);
        self.drive(command, bench, totals)
    }

    fn drive(
        &self,
        mut command: Command,
        bench: &Bench<'_>,
        totals: &mut Totals,
    ) -> Result<Report> {
        command
            .env("CARNET_BASE_URL", self.gateway)
            .env("CARNET_KEY", self.key)
            .env("MOCK_URL", self.mock)
            .env("CARNET_FULL", if bench.full { "1" } else { "0" });
        let before = (totals.passed, totals.failed);
        let mut report = Report::default();
        let good = exec::lines(&mut command, |line| match serde_json::from_str(line) {
            Ok(Line::Case { case, ok, why }) => {
                totals.case(
                    &format!("{} {}: {case}", self.suite.language, self.suite.name),
                    if ok { Ok(()) } else { Err(why) },
                );
            }
            Ok(Line::Records { requested, records }) => report.records.push((requested, records)),
            Ok(Line::Replayed(outcome)) => {
                // What the gateway refuses or the client cannot ask is told, and counts as nothing.
                let name = format!(
                    "{}: {}, {}",
                    outcome.client, outcome.exchange, outcome.manner
                );
                match outcome.verdict {
                    Verdict::Differs => totals.case(&name, Err(outcome.why.clone())),
                    Verdict::Same | Verdict::SameFailure => totals.case(&name, Ok(())),
                    Verdict::Refused | Verdict::Unasked => {}
                }
                report.outcomes.push(outcome);
            }
            Err(_) => console::say(line),
        })?;
        let (passed, failed) = (totals.passed - before.0, totals.failed - before.1);
        console::say(format_args!(
            "{} {}: {passed} passed, {failed} failed",
            self.suite.language, self.suite.name
        ));
        if !good || passed + failed == 0 {
            totals.case(
                &format!("{} {}", self.suite.language, self.suite.name),
                Err("the script did not run to its end".to_owned()),
            );
        }
        Ok(report)
    }

    fn command(&self, bench: &Bench<'_>) -> Result<Command> {
        let folder = bench.repo.path("tests/clients").join(self.suite.language);
        match self.suite.language {
            "python" => {
                let mut command = Command::new(&bench.tools.python);
                // The environment's own packages and nobody else's; nothing written beside the sources.
                command
                    .args(["-B", "-u"])
                    .arg(folder.join(format!("{}.py", self.suite.name)));
                Ok(command)
            }
            "node" => {
                // Modules are found from where a script lies, so it runs from a copy beside them.
                let copies = bench.tools.node_folder.join("suites");
                fs::create_dir_all(&copies)?;
                for entry in fs::read_dir(&folder)
                    .with_context(|| format!("cannot list `{}`", folder.display()))?
                {
                    let path = entry?.path();
                    if let (Some("mjs"), Some(name)) =
                        (path.extension().and_then(|e| e.to_str()), path.file_name())
                    {
                        fs::copy(&path, copies.join(name))?;
                    }
                }
                let mut command = Command::new(&bench.tools.node);
                command.arg(copies.join(format!("{}.mjs", self.suite.name)));
                Ok(command)
            }
            "rust" => Ok(Command::new(bench.tools.rust.join(self.suite.name))),
            other => bail!("no runtime for `{other}`"),
        }
    }
}
