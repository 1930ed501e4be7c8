//! The side-by-side benchmark that is laid beside the repository: its sources copied and built, its targets written, its
//! rounds run.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::results::{DIRECT, NGINX, OURS, PASS, Results, Row};
use crate::clients::Served;
use crate::console;
use crate::exec;
use crate::repo::Repo;
use crate::tools::{BenchPeers, Peer};

/// Where its mock upstream listens.
pub(super) const UPSTREAM: &str = "127.0.0.1:9000";
/// Its list of the floor: what runs always.
const FLOOR: &str = "targets/floor.toml";
/// Its lists with the gateways of others.
const PEERS: [&str; 2] = ["targets/peers.toml", "targets/agentgateway.toml"];
/// What the entries of gateways that are in no package registry begin with, and where the program has to be.
const AGENTGATEWAY: (&str, &str) = ("agentgateway", "peers/agentgateway/agentgateway");
/// What is measured of these is what all others are compared with.
const ALWAYS: [&str; 4] = [DIRECT, NGINX, PASS, OURS];
/// Seconds of load before memory is read for the first time: about 10,000 requests.
pub(super) const SOAK_BEFORE_SECS: f64 = 0.5;

/// The benchmark, built.
pub(super) struct Harness<'a> {
    folder: PathBuf,
    programs: &'a BenchPeers,
    targets: Vec<toml::Table>,
    /// Whether a target listens on all addresses.
    isolated: bool,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: u32,
    /// A trial: everything once and shortly.
    pub(super) quick: bool,
}

impl<'a> Harness<'a> {
    /// Copies and builds it. Equal files stay, so that nothing is built again for a new date.
    pub(super) fn build(repo: &Repo, source: &Path, programs: &'a BenchPeers) -> Result<Self> {
        let folder = repo.target().join("bench");
        lay(source, &folder)?;
        let mut cargo = exec::cargo(&folder, &["build", "--release", "--quiet"]);
        ensure!(
            exec::succeeds(cargo.env("CARGO_TARGET_DIR", folder.join("target")))?,
            "the benchmark does not build"
        );
        let mut harness = Self {
            targets: Vec::new(),
            folder,
            programs,
            isolated: false,
        };
        harness.targets = harness.listed(FLOOR)?;
        Ok(harness)
    }

    /// The targets of one of its lists.
    fn listed(&self, list: &str) -> Result<Vec<toml::Table>> {
        let text = fs::read_to_string(self.folder.join(list))?;
        let mut file: toml::Table =
            toml::from_str(&text).with_context(|| format!("the benchmark's `{list}`"))?;
        let targets = file
            .remove("target")
            .context("the benchmark names no targets")?;
        let mut targets: Vec<toml::Table> = targets.try_into()?;
        for target in &mut targets {
            if program(target) == Some("nginx") {
                set_program(target, &self.programs.nginx);
            }
        }
        Ok(targets)
    }

    /// Adds the product, in one of its set-ups.
    pub(super) fn add(&mut self, name: &str, port: u16, served: &Served) -> Result<()> {
        let headers = toml::Table::from_iter([(
            "authorization".to_owned(),
            format!("Bearer {}", served.key).into(),
        )]);
        self.targets.push(toml::Table::from_iter([
            ("name".to_owned(), name.into()),
            (
                "url".to_owned(),
                format!("http://127.0.0.1:{port}/v1/chat/completions").into(),
            ),
            ("env".to_owned(), toml::Value::try_from(&served.env)?),
            ("start".to_owned(), toml::Value::try_from(&served.start)?),
            ("headers".to_owned(), headers.into()),
        ]));
        Ok(())
    }

    /// Adds the gateways of others that are installed, and agentgateway where its program is named.
    pub(super) fn add_peers(&mut self, peers: &[Peer], agentgateway: Option<&Path>) -> Result<()> {
        fs::create_dir_all(self.folder.join("peers"))?;
        for peer in peers {
            link(&peer.folder, &self.folder.join("peers").join(&peer.name))?;
        }
        let (prefix, place) = AGENTGATEWAY;
        if let Some(program) = agentgateway {
            ensure!(
                program.is_file(),
                "there is no program `{}`",
                program.display()
            );
            let place = self.folder.join(place);
            fs::create_dir_all(place.parent().unwrap_or(&self.folder))?;
            link(&program.canonicalize()?, &place)?;
            self.isolated = true;
        }
        for list in PEERS {
            for mut target in self.listed(list)? {
                let name = name(&target).to_owned();
                let known = self.targets.iter().any(|one| self::name(one) == name);
                let peer = peers.iter().find(|peer| peer.name == name);
                let wanted = peer.is_some() || (agentgateway.is_some() && name.starts_with(prefix));
                if known || !wanted {
                    continue;
                }
                if let Some(node) = peer.and_then(|peer| peer.node.as_deref())
                    && program(&target) == Some("node")
                {
                    set_program(&mut target, node);
                }
                self.targets.push(target);
            }
        }
        Ok(())
    }

    /// Leaves out what was not asked for; the product, what it is compared with and the direct way stay.
    pub(super) fn only(&mut self, names: &[String]) -> Result<()> {
        for wanted in names {
            if !self.targets.iter().any(|target| name(target) == wanted) {
                let known: Vec<&str> = self.targets.iter().map(name).collect();
                bail!("no target `{wanted}`; there are {}", known.join(", "));
            }
        }
        if !names.is_empty() {
            self.targets.retain(|target| {
                ALWAYS.contains(&name(target)) || names.iter().any(|wanted| wanted == name(target))
            });
        }
        Ok(())
    }

    /// All rounds. Every round has its crowd of large requests, so each is a run of the benchmark of its own.
    pub(super) fn rounds(&self, effort: Effort) -> Result<Results> {
        let mut settings = Settings::default();
        settings.set("soak_requests", 0);
        settings.set("soak_max_secs", 0.0);
        settings.set("crowd", 1_500);
        settings.set("crowd_kb", 150);
        if effort.quick {
            settings.set("warm_secs", 0.5);
            settings.set("sat_secs", 2.0);
            settings.set("rate_secs", 2.0);
            settings.set("streams", 16);
            settings.set("stream_chunks", 50);
            settings.set("crowd_hold_ms", 3_000);
        }
        let mut rows = Vec::new();
        for round in 1..=effort.rounds {
            console::say(format_args!("round {round} of {}", effort.rounds));
            rows.extend(self.run("rounds", &settings, &self.targets, round)?);
        }
        Ok(Results(rows))
    }

    /// One target, from about ten thousand requests to so many more.
    pub(super) fn soak(&self, only: &str, requests: u64, secs_max: f64) -> Result<Results> {
        let mut settings = Settings::default();
        // Its own client counts requests to the last; wrk takes whole seconds.
        settings.set("wrk", "");
        settings.set("warm_secs", 0.0);
        settings.set("sat_secs", SOAK_BEFORE_SECS);
        settings.set("rates", Vec::<f64>::new());
        settings.set("streams", 1);
        settings.set("stream_chunks", 1);
        settings.set("soak_requests", i64::try_from(requests)?);
        settings.set("soak_max_secs", secs_max);
        let mut targets = self.targets.clone();
        targets.retain(|target| name(target) == only);
        Ok(Results(self.run("soak", &settings, &targets, 1)?))
    }

    fn run(
        &self,
        what: &str,
        settings: &Settings,
        targets: &[toml::Table],
        round: u32,
    ) -> Result<Vec<Row>> {
        let file = self.folder.join(format!("targets/carnet-{what}.toml"));
        let results = self.folder.join(format!("carnet-{what}.json"));
        fs::write(&file, self.targets_file(settings, targets)?)?;
        let program = self.folder.join("target/release/carnet-bench");
        let mut command = if self.isolated {
            alone(&program)
        } else {
            Command::new(program)
        };
        command
            .args([
                "run".as_ref(),
                file.as_os_str(),
                "--rounds".as_ref(),
                "1".as_ref(),
            ])
            .args(["--out".as_ref(), results.as_os_str()])
            .current_dir(&self.folder)
            .env("LD_LIBRARY_PATH", libraries(&self.programs.libraries)?)
            .stdin(Stdio::null())
            // Its own tables are of one round; those over all rounds come later.
            .stdout(Stdio::null());
        ensure!(exec::succeeds(&mut command)?, "the benchmark failed");
        let mut rows: Vec<Row> = serde_json::from_slice(&fs::read(&results)?)?;
        for row in &mut rows {
            row.round = round;
        }
        Ok(rows)
    }

    fn targets_file(&self, settings: &Settings, targets: &[toml::Table]) -> Result<String> {
        let floor: toml::Table = toml::from_str(&fs::read_to_string(self.folder.join(FLOOR))?)?;
        let mut run = floor
            .get("run")
            .and_then(toml::Value::as_table)
            .cloned()
            .unwrap_or_default();
        run.insert("wrk".into(), self.programs.wrk.display().to_string().into());
        run.insert("log".into(), "run/{name}.log".into());
        run.extend(settings.0.clone());
        let file = toml::Table::from_iter([
            ("run".to_owned(), run.into()),
            ("target".to_owned(), toml::Value::try_from(targets)?),
        ]);
        Ok(toml::to_string(&file)?)
    }

    /// Does something while its upstream answers.
    pub(super) fn with_upstream<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut upstream = Command::new(self.folder.join("target/release/mock-upstream"));
        let mut upstream = upstream
            .arg(UPSTREAM)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let done = work();
        upstream.kill()?;
        upstream.wait()?;
        done
    }
}

/// What is set in the benchmark's own part of the file.
#[derive(Default)]
struct Settings(toml::Table);

impl Settings {
    fn set(&mut self, name: &str, value: impl Into<toml::Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

fn name(target: &toml::Table) -> &str {
    target
        .get("name")
        .and_then(toml::Value::as_str)
        .unwrap_or_default()
}

/// What starts a target.
fn program(target: &toml::Table) -> Option<&str> {
    target.get("start")?.as_array()?.first()?.as_str()
}

fn set_program(target: &mut toml::Table, path: &Path) {
    let start = target.get_mut("start").and_then(toml::Value::as_array_mut);
    if let Some(first) = start.and_then(|start| start.first_mut()) {
        *first = path.display().to_string().into();
    }
}

/// A command that runs a program where only loopback exists: whoever listens on all addresses is reached by nobody else.
fn alone(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    // As root no user namespace is needed, and what it maps would be another thing to go wrong.
    let words: &[&str] = if rustix::process::geteuid().is_root() {
        &["--net"]
    } else {
        &["--net", "--map-root-user"]
    };
    command
        .args(words)
        .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(program);
    command
}

/// Why nothing can be run where only loopback exists, if so.
pub(super) fn not_alone() -> Option<String> {
    let tried = exec::output(&mut alone(Path::new("true")));
    tried.err().map(|error| {
        format!(
            "it listens on all addresses, and no place without a network can be made: {error:#}"
        )
    })
}

/// Copies the benchmark's sources; its folder need not be writable.
fn lay(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            lay(&entry.path(), &target)?;
        } else if fs::read(&target).ok() != Some(fs::read(entry.path())?) {
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// A link of this name, in the place of one that led elsewhere.
fn link(to: &Path, name: &Path) -> Result<()> {
    if fs::symlink_metadata(name).is_ok_and(|known| known.is_symlink()) {
        fs::remove_file(name)?;
    }
    symlink(to, name).with_context(|| format!("cannot make `{}`", name.display()))
}

fn libraries(folders: &[PathBuf]) -> Result<OsString> {
    let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    Ok(env::join_paths(
        folders.iter().cloned().chain(env::split_paths(&before)),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR_TEXT: &str = "[run]\ngateway_cpu = 0\nwrk = \"wrk\"\n\
        [[target]]\nname = \"direct\"\nurl = \"http://127.0.0.1:9000/\"\n\
        [[target]]\nname = \"nginx\"\nurl = \"http://127.0.0.1:9001/\"\nstart = [\"nginx\", \"-p\", \".\"]\n";
    const PEERS_TEXT: &str = "[run]\nwrk = \"wrk\"\n\
        [[target]]\nname = \"nginx\"\nurl = \"http://127.0.0.1:9001/\"\nstart = [\"nginx\"]\n\
        [[target]]\nname = \"scripted\"\nurl = \"http://127.0.0.1:9006/\"\nstart = [\"node\", \"start.js\"]\n\
        [[target]]\nname = \"absent\"\nurl = \"http://127.0.0.1:9007/\"\nstart = [\"peers/absent/bin/python\"]\n";
    const AGENTGATEWAY_TEXT: &str = "[run]\nwrk = \"wrk\"\n\
        [[target]]\nname = \"agentgateway\"\nurl = \"http://127.0.0.1:9008/\"\nstart = [\"peers/agentgateway/agentgateway\"]\n\
        [[target]]\nname = \"agentgateway-governed\"\nurl = \"http://127.0.0.1:9009/\"\nstart = [\"peers/agentgateway/agentgateway\"]\n";

    fn programs() -> BenchPeers {
        BenchPeers {
            nginx: "/opt/nginx".into(),
            wrk: "/opt/wrk".into(),
            libraries: Vec::new(),
        }
    }

    fn harness<'a>(folder: &Path, programs: &'a BenchPeers) -> Harness<'a> {
        fs::create_dir_all(folder.join("targets")).unwrap();
        let texts = [FLOOR_TEXT, PEERS_TEXT, AGENTGATEWAY_TEXT];
        for (list, text) in [FLOOR, PEERS[0], PEERS[1]].into_iter().zip(texts) {
            fs::write(folder.join(list), text).unwrap();
        }
        let mut harness = Harness {
            folder: folder.to_owned(),
            programs,
            targets: Vec::new(),
            isolated: false,
        };
        harness.targets = harness.listed(FLOOR).unwrap();
        harness
    }

    fn names<'h>(harness: &'h Harness<'_>) -> Vec<&'h str> {
        harness.targets.iter().map(name).collect()
    }

    #[test]
    fn peers_are_added_where_they_are_installed() {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        let mut harness = harness(folder.path(), &programs);
        let peer = Peer {
            name: "scripted".into(),
            folder: folder.path().into(),
            node: Some("/opt/node".into()),
            version: "1.0.0".into(),
        };
        harness.add_peers(&[peer], None).unwrap();
        assert_eq!(names(&harness), ["direct", "nginx", "scripted"]);
        assert_eq!(program(&harness.targets[1]), Some("/opt/nginx"));
        assert_eq!(program(&harness.targets[2]), Some("/opt/node"));
        assert!(!harness.isolated);
    }

    #[test]
    fn a_named_program_is_run_apart_from_the_network() {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        let mut harness = harness(folder.path(), &programs);
        assert!(harness.add_peers(&[], Some(Path::new("/no/such"))).is_err());
        let given = folder.path().join("given");
        fs::write(&given, "").unwrap();
        // Twice: the link of a run before is no obstacle.
        harness.add_peers(&[], Some(&given)).unwrap();
        harness.add_peers(&[], Some(&given)).unwrap();
        assert_eq!(
            names(&harness),
            ["direct", "nginx", "agentgateway", "agentgateway-governed"]
        );
        assert!(harness.isolated);
        assert!(folder.path().join(AGENTGATEWAY.1).exists());
    }

    #[test]
    fn only_what_is_asked_for_runs_beside_what_it_is_compared_with() {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        let mut harness = harness(folder.path(), &programs);
        let given = folder.path().join("given");
        fs::write(&given, "").unwrap();
        harness.add_peers(&[], Some(&given)).unwrap();
        harness.only(&["agentgateway".to_owned()]).unwrap();
        assert_eq!(names(&harness), ["direct", "nginx", "agentgateway"]);
        let error = harness.only(&["other".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no target `other`; there are direct, nginx, agentgateway"
        );
    }

    #[test]
    fn settings_stand_in_the_file_that_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        let harness = harness(folder.path(), &programs);
        let mut settings = Settings::default();
        settings.set("crowd", 1_500);
        let text = harness.targets_file(&settings, &harness.targets).unwrap();
        let file: toml::Table = toml::from_str(&text).unwrap();
        let run = &file["run"];
        assert_eq!(run["crowd"].as_integer(), Some(1_500));
        assert_eq!(run["gateway_cpu"].as_integer(), Some(0));
        assert_eq!(run["wrk"].as_str(), Some("/opt/wrk"));
        assert_eq!(file["target"].as_array().map(Vec::len), Some(2));
    }
}
