//! Runs a suite script of one language and reads its verdicts: one JSON object a line,
//! `{"case", "ok", "why"}` for a case, `{"requested", "records"}` for records that must be there.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::console;
use crate::exec;
use crate::steps::Bench;
use crate::totals::Totals;

/// A run of `tests/clients/<language>/<name>`.
pub(super) struct Script<'a> {
    pub(super) language: &'a str,
    pub(super) name: &'a str,
    pub(super) mock: &'a str,
    pub(super) gateway: &'a str,
    pub(super) key: &'a str,
}

/// What the driver still has to look after.
#[derive(Default)]
pub(super) struct Report {
    /// Requested name and how many records it must have left.
    pub(super) records: Vec<(String, usize)>,
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
                    &format!("{} {}: {case}", self.language, self.name),
                    if ok { Ok(()) } else { Err(why) },
                );
            }
            Ok(Line::Records { requested, records }) => report.records.push((requested, records)),
            Err(_) => console::say(line),
        })?;
        let (passed, failed) = (totals.passed - before.0, totals.failed - before.1);
        console::say(format_args!(
            "{} {}: {passed} passed, {failed} failed",
            self.language, self.name
        ));
        if !good || passed + failed == 0 {
            totals.case(
                &format!("{} {}", self.language, self.name),
                Err("the script did not run to its end".to_owned()),
            );
        }
        Ok(report)
    }

    fn command(&self, bench: &Bench<'_>) -> Result<Command> {
        let folder = bench.repo.path("tests/clients").join(self.language);
        match self.language {
            "python" => {
                let mut command = Command::new(&bench.tools.python);
                // The environment's own packages and nobody else's; nothing written beside the sources.
                command
                    .args(["-B", "-u"])
                    .arg(folder.join(format!("{}.py", self.name)));
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
                command.arg(copies.join(format!("{}.mjs", self.name)));
                Ok(command)
            }
            other => bail!("no runtime for `{other}`"),
        }
    }
}
