//! What a run was made on and with, for whoever reads its figures.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::exec;
use crate::repo::Repo;

/// The share of all cores' time that may be taken on a quiet machine, in per cent.
pub(super) const QUIET_MAX_PCT: f64 = 5.0;
/// How long the machine is looked at before a run.
const LOOK: Duration = Duration::from_secs(3);

/// The machine and the programs.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) memory_gb: f64,
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) toolchain: String,
    /// The load average of the last minute when the run was asked for.
    pub(super) load: f64,
    /// Names and versions of what was measured.
    pub(super) versions: Vec<(String, String)>,
}

impl Machine {
    /// As it is now.
    pub(super) fn now(repo: &Repo) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Ok(Self {
            processor: value(&read("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism()?.get(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_gb: value(&read("/proc/meminfo"), "MemTotal")
                .and_then(|line| line.split(' ').next()?.parse::<f64>().ok())
                .unwrap_or(f64::NAN)
                / f64::from(1 << 20),
            date: exec::output(Command::new("date").args(["-u", "+%F"]))?
                .trim()
                .to_owned(),
            commit: commit(repo),
            toolchain: toolchain(repo)?,
            load: first_number(&read("/proc/loadavg")),
            versions: Vec::new(),
        })
    }

    /// Adds what a program calls its version, if it says one.
    pub(super) fn version(&mut self, name: &str, program: &Path, flag: &str) {
        // nginx tells it to its error output, and wrk ends with an error.
        let Ok(said) = Command::new(program).arg(flag).output() else {
            return;
        };
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = text.lines().find(|line| !line.trim().is_empty()) {
            let line: String = line.trim().chars().take(60).collect();
            self.versions.push((name.to_owned(), line));
        }
    }
}

pub(super) fn toolchain(repo: &Repo) -> Result<String> {
    let said = exec::output(
        Command::new("rustc")
            .arg("--version")
            .current_dir(repo.root()),
    )?;
    Ok(said.trim().to_owned())
}

/// The commit, and whether there is more than it in the folder.
fn commit(repo: &Repo) -> String {
    let git =
        |words: &[&str]| exec::output(Command::new("git").args(words).current_dir(repo.root()));
    match (
        git(&["rev-parse", "--short=12", "HEAD"]),
        git(&["status", "--porcelain"]),
    ) {
        (Ok(commit), Ok(changes)) if changes.trim().is_empty() => commit.trim().to_owned(),
        (Ok(commit), _) => format!("{} with changes", commit.trim()),
        _ => "unknown".to_owned(),
    }
}

/// Looks at what the machine does on its own: the share of all cores' time that is taken, in per cent.
pub(super) fn busy_pct() -> f64 {
    let before = ticks(&fs::read_to_string("/proc/stat").unwrap_or_default());
    thread::sleep(LOOK);
    let after = ticks(&fs::read_to_string("/proc/stat").unwrap_or_default());
    100.0 * (after.0 - before.0) / (after.1 - before.1).max(1.0)
}

/// Of all cores together: time in which something ran, and all time.
fn ticks(stat: &str) -> (f64, f64) {
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|word| word.parse().ok())
        .collect();
    let all: f64 = ticks.iter().sum();
    // Idle, and waiting for a disk.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// The value of `name : value`, the first time.
fn value(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

fn first_number(text: &str) -> f64 {
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let text = "processor\t: 0\nmodel name\t: A Model @ 2 GHz\nprocessor\t: 1\nmodel name\t: Another\n";
        assert_eq!(
            value(text, "model name").as_deref(),
            Some("A Model @ 2 GHz")
        );
        assert_eq!(value(text, "none"), None);
        assert_eq!(
            first_number("0.42 0.10 0.05 1/99 1234\n").to_string(),
            "0.42"
        );
        assert_eq!(
            ticks("cpu  10 1 5 100 4 0 1 2 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"),
            (19.0, 123.0)
        );
    }
}
