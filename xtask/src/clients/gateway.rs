//! The product under test, called as an operator would: configuration file, keys, start, stop, log.
//!
//! All that the suites take for granted about the binary's command line stands in this file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::exec;
use crate::mock::get;
use crate::repo::Repo;

/// Longer than the product's own limit for running requests.
const STOP_TIME_MAX: Duration = Duration::from_secs(40);
/// More records than any suite leaves.
const RECORDS_MAX: usize = 1_000_000;
/// What the server writes to standard error, in the suite's folder.
const SAID: &str = "serve.log";
/// The name under which the configurations look for the upstream's key.
const UPSTREAM_KEY: (&str, &str) = ("CARNET_SUITE_UPSTREAM_KEY", "upstream-key");

/// A configuration with its state folder, made anew for each suite.
pub(super) struct Setup {
    carnet: PathBuf,
    /// The suite's files, copied out of the repository.
    folder: PathBuf,
    config: PathBuf,
    state: PathBuf,
    variables: BTreeMap<String, String>,
    /// A program with its arguments that becomes the product.
    through: Vec<String>,
}

/// What the suites read from a record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) requested: String,
    pub(super) outcome: String,
}

impl Setup {
    /// Copies `tests/clients/<suite>` into a folder of its own.
    pub(super) fn new(repo: &Repo, suite: &str) -> Result<Self> {
        Self::named(repo, suite, suite)
    }

    /// The same for one of several of a suite at once.
    pub(super) fn named(repo: &Repo, suite: &str, name: &str) -> Result<Self> {
        let folder = repo.target().join("suites").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
        copy(&repo.path("tests/clients").join(suite), &folder)?;
        let state = folder.join("state");
        Ok(Self {
            carnet: repo.carnet(),
            config: folder.join("carnet.toml"),
            folder,
            state,
            variables: environment(),
            through: Vec::new(),
        })
    }

    /// Keeps the state elsewhere.
    pub(super) fn state_in(self, state: PathBuf) -> Self {
        Self { state, ..self }
    }

    /// Calls the product by another program, which becomes it.
    pub(super) fn through(self, through: Vec<String>) -> Self {
        Self { through, ..self }
    }

    /// A variable for the product's environment.
    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The folder of the suite's files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the state lies.
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// All that the servers of this folder wrote to standard error.
    pub(super) fn said(&self) -> Result<String> {
        let path = self.folder.join(SAID);
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }

    /// Puts a value in the place of `{name}` in the configuration.
    pub(super) fn with(self, name: &str, value: &str) -> Self {
        if let Ok(text) = fs::read_to_string(&self.config) {
            // A file that cannot be written back is found out by the product itself.
            let _ = fs::write(&self.config, text.replace(&format!("{{{name}}}"), value));
        }
        self
    }

    /// The suite's configuration, filled in.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// Uses another build of the product.
    pub(super) fn of(self, carnet: &Path) -> Self {
        Self {
            carnet: carnet.to_owned(),
            ..self
        }
    }

    /// The command that starts the server, for others to run.
    pub(super) fn start_words(&self) -> Vec<String> {
        let words = [
            self.carnet.as_os_str(),
            "serve".as_ref(),
            "--state".as_ref(),
            self.state.as_os_str(),
            "--config".as_ref(),
            self.config.as_os_str(),
        ];
        words
            .map(|word| word.to_string_lossy().into_owned())
            .to_vec()
    }

    fn command(&self, words: &[&str]) -> Command {
        self.command_through(&self.through, words)
    }

    fn command_through(&self, through: &[String], words: &[&str]) -> Command {
        let mut command = match through.split_first() {
            None => Command::new(&self.carnet),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.carnet);
                command
            }
        };
        command
            .args(words)
            .arg("--state")
            .arg(&self.state)
            .current_dir(&self.folder)
            .envs(&self.variables);
        command
    }

    /// Makes a key while no server runs.
    pub(super) fn key(&self, workload: &str) -> Result<String> {
        let words = ["key", "create", "--json", "--workload", workload];
        let made: Value = serde_json::from_str(&exec::output(&mut self.command(&words))?)?;
        let key = made
            .get("secret")
            .and_then(Value::as_str)
            .context("`key create --json` names no `secret`")?;
        Ok(key.to_owned())
    }

    /// Starts the server and waits until it says where it listens.
    pub(super) fn start(&self) -> Result<Gateway> {
        self.start_through(&self.through)
    }

    /// The same by another program, which becomes it.
    pub(super) fn start_through(&self, through: &[String]) -> Result<Gateway> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(SAID))?;
        let mut command = self.command_through(through, &["serve", "--ready-json"]);
        let mut child = command
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start the product")?;
        let mut first = String::new();
        if let Some(out) = child.stdout.take() {
            let mut read = BufReader::new(out);
            read.read_line(&mut first)?;
            // Whatever else it prints must not fill the pipe.
            std::thread::spawn(move || std::io::copy(&mut read, &mut std::io::sink()));
        }
        match addresses(&first) {
            Some((data, admin)) => Ok(Gateway { child, data, admin }),
            None => {
                let _ = child.kill();
                let status = child.wait()?;
                let said = self.said().unwrap_or_default();
                bail!(
                    "the product did not come up ({status}); it said:\n{}{said}",
                    first
                )
            }
        }
    }

    /// Whether the log verifies with the public key alone.
    pub(super) fn verify(&self) -> Result<()> {
        exec::output(&mut self.command(&["audit", "verify"])).map(drop)
    }

    /// All records of requests in the log.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        let whole = self.whole_records()?;
        let records = whole.iter().map(|record| Record {
            id: text(record, "id").to_owned(),
            requested: text(record, "requested_model").to_owned(),
            outcome: text(record, "outcome").to_owned(),
        });
        Ok(records.collect())
    }

    /// The same with everything that they say.
    pub(super) fn whole_records(&self) -> Result<Vec<Value>> {
        let all = RECORDS_MAX.to_string();
        let words = ["audit", "show", "--json", "--limit", &all];
        let listed = exec::output(&mut self.command(&words))?;
        let mut records = Vec::new();
        for line in listed.lines() {
            let record: Value = serde_json::from_str(line)
                .with_context(|| format!("no JSON in a record: {line}"))?;
            if text(&record, "kind") == "request" {
                records.push(record);
            }
        }
        Ok(records)
    }

    /// The token that opens `/metrics`, once a server has run.
    pub(super) fn metrics_token(&self) -> Result<String> {
        self.token("metrics.token")
    }

    /// The token that opens the admin listener, once a server has run.
    pub(super) fn admin_token(&self) -> Result<String> {
        self.token("admin.token")
    }

    fn token(&self, name: &str) -> Result<String> {
        let path = self.state.join(name);
        let token = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(token.trim().to_owned())
    }
}

/// A text of a record; nothing if it has none.
pub(super) fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    let value = record.get(key).and_then(Value::as_str);
    value.unwrap_or_default()
}

/// `{"data": "127.0.0.1:PORT", "admin": "127.0.0.1:PORT", …}`, the first line of standard output.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let ready: Value = serde_json::from_str(line).ok()?;
    let address = |key: &str| ready.get(key)?.as_str()?.parse().ok();
    Some((address("data")?, address("admin")?))
}

/// Models as an upstream's entry lists them.
pub(super) fn model_entries<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let entries: Vec<String> = names
        .into_iter()
        .map(|name| format!("{{ name = {} }}", Value::from(name)))
        .collect();
    entries.join(",\n  ")
}

/// What the server must find in its environment.
pub(super) fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([(UPSTREAM_KEY.0.to_owned(), UPSTREAM_KEY.1.to_owned())])
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A running server; killed when dropped.
pub(super) struct Gateway {
    child: Child,
    pub(super) data: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Gateway {
    /// What a client sets as `base_url`.
    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.data)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of its threads so far, in microseconds, as the scheduler counts it.
    pub(super) fn cpu_us(&self) -> Result<f64> {
        let mut nanoseconds = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let counted = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = counted.split_whitespace().next().unwrap_or_default();
            nanoseconds += first.parse::<f64>().context("no number in `schedstat`")?;
        }
        Ok(nanoseconds / 1_000.0)
    }

    /// How many descriptors it has open, but for the segments of the log's journal, which come and go with what it holds.
    pub(super) fn descriptors(&self) -> Result<usize> {
        let mut count = 0;
        for descriptor in fs::read_dir(format!("/proc/{}/fd", self.child.id()))? {
            // One that is closed meanwhile leads nowhere.
            let leads = fs::read_link(descriptor?.path()).unwrap_or_default();
            let segment = leads.extension().is_some_and(|kind| kind == "wal");
            count += usize::from(!segment);
        }
        Ok(count)
    }

    /// The memory that it has in the machine, in kB.
    pub(super) fn resident_kb(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.context("no `VmRSS` in the process's status")
    }

    /// A counter of `/metrics`, summed over its labels.
    pub(super) fn metric(&self, name: &str, token: &str) -> Result<usize> {
        let answer = get(self.admin, "/metrics", token)?;
        if answer.status != 200 {
            bail!("/metrics answered {}", answer.status);
        }
        let text = String::from_utf8_lossy(&answer.body);
        let series = text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']));
        let values: Vec<f64> = series
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        if values.is_empty() {
            bail!("/metrics has no `{name}`");
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        Ok(values.iter().sum::<f64>() as usize)
    }

    /// Asks it to stop and waits for a clean end.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIME_MAX {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    bail!("it ended with {status}")
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("it still ran {STOP_TIME_MAX:?} after it was asked to stop")
    }

    /// Ends it without a word, as `kill -9` does.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
