//! Asks the product's binary about the registry that is built into it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::exec;
use crate::repo::Repo;

/// One name with where it occurs.
pub(super) struct Name<'n> {
    pub(super) id: &'n str,
    pub(super) platform: Option<&'n str>,
}

fn carnet(repo: &Repo) -> Command {
    let mut command = Command::new(repo.carnet());
    // A registry that somebody installed on this machine is not what is measured.
    command.env("XDG_STATE_HOME", repo.target().join("no-state"));
    command
}

/// The counts of the registry.
pub(super) fn stats(repo: &Repo) -> Result<Value> {
    let text = exec::output(carnet(repo).args(["registry", "stats", "--json"]))?;
    serde_json::from_str(&text).context("the counts are no JSON")
}

/// One answer for each name, in their order.
pub(super) fn resolve(repo: &Repo, names: &[Name<'_>], as_of: Option<&str>) -> Result<Vec<Value>> {
    let mut command = carnet(repo);
    command.args(["resolve", "-", "--json"]);
    if let Some(day) = as_of {
        command.args(["--as-of", day]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run the product")?;
    let mut lines = String::new();
    for name in names {
        let mut line = json!({ "id": name.id });
        if let (Some(platform), Some(line)) = (name.platform, line.as_object_mut()) {
            line.insert("platform".to_owned(), platform.into());
        }
        lines.push_str(&format!("{line}\n"));
    }
    let mut input = child.stdin.take().context("the product takes no input")?;
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let out = child.wait_with_output()?;
    // What it did not read shows as answers that are missing.
    let _ = writer.join();
    let answers = String::from_utf8_lossy(&out.stdout);
    let answers: Vec<Value> = answers
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("an answer is no JSON")?;
    ensure!(
        answers.len() == names.len(),
        "{} names, but {} answers",
        names.len(),
        answers.len()
    );
    Ok(answers)
}
