//! Instructions of the request path, counted by callgrind: a figure that does not depend on what else the machine does, so
//! that it can be compared with that of the last release.
//!
//! Each path is gone twice, a few times and many times; the difference over the number of steps in between is what one
//! step costs, and whatever happens once in each run (connections, checkpoints of the log) cancels. callgrind shows programs
//! no instructions for SHA-2, so that the digests of keys and of the log are counted as they are computed without them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use super::lockstep::{Caller, Upstream};
use super::machine;
use crate::clients::{Duties, Running, Served};
use crate::console;
use crate::exec;
use crate::repo::Repo;
use crate::tools::{self, Valgrind};
use crate::totals::Totals;

/// The counts of the last release.
const BASELINE: &str = "xtask/instructions.toml";
const BASELINE_HEAD: &str = "\
# Instructions of the request path at the last release, as callgrind counts them: what `cargo xtask bench --instructions`
# compares with. Written anew by `--record`, for a release and where a rise is meant, with the reason in the commit.
# Counts depend on the toolchain, and a little on the processor: code is chosen by what it can do.
";
/// How much a count may rise.
const RISE_MAX: f64 = 1.05;
/// Both runs, so often; the middle one counts, since threads do not always meet in the same way.
const RUNS: usize = 3;
/// Decisions that the product keeps by default.
const DECISIONS: usize = 4_096;
/// So many bytes of text make a request of about 1 KB, and one of 150 KiB.
const SHORT: usize = 850;
const LONG: usize = 150 * 1024;
/// The log's tree is brought up to date once a second, beside the requests; what is left to do for those of a run is
/// waited for, so that it is not counted with the next one.
const SETTLE: Duration = Duration::from_millis(2_500);
/// Chunks of one stream.
const CHUNKS: usize = 50;

/// What is counted.
struct Walk {
    name: &'static str,
    /// Decisions that are kept; none where each is to be made anew.
    decisions_max: usize,
    text: usize,
    /// Chunks of the answer, for a stream.
    chunks: usize,
    /// Requests of the short run and of the long one.
    times: (usize, usize),
}

const WALKS: [Walk; 4] = [
    Walk {
        name: "request",
        decisions_max: DECISIONS,
        text: SHORT,
        chunks: 0,
        times: (100, 600),
    },
    Walk {
        name: "chunk",
        decisions_max: DECISIONS,
        text: SHORT,
        chunks: CHUNKS,
        times: (4, 24),
    },
    Walk {
        name: "request-150-kib",
        decisions_max: DECISIONS,
        text: LONG,
        chunks: 0,
        times: (10, 60),
    },
    Walk {
        name: "request-decided-anew",
        decisions_max: 0,
        text: SHORT,
        chunks: 0,
        times: (100, 600),
    },
];

/// The counts of a release.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Baseline {
    version: String,
    toolchain: String,
    valgrind: String,
    counts: BTreeMap<String, u64>,
}

/// Counts, compares and, if asked to, writes the baseline anew.
pub(super) fn run(repo: &Repo, carnet: &Path, record: bool) -> Result<Totals> {
    let Some(valgrind) = tools::for_instructions(repo)? else {
        return Ok(Totals::not_run(
            "instructions: valgrind is not there, and neither are apt-get and dpkg",
        ));
    };
    let now = count(repo, carnet, &valgrind)?;
    if record {
        fs::write(repo.path(BASELINE), now.text())
            .with_context(|| format!("cannot write `{BASELINE}`"))?;
        console::say(format_args!("wrote {BASELINE}"));
    }
    let before: Baseline = toml::from_str(&repo.read(BASELINE)?)
        .with_context(|| format!("cannot read `{BASELINE}`"))?;
    if before.toolchain != now.toolchain || before.valgrind != now.valgrind {
        console::say(format_args!(
            "the baseline was counted with {} and {}, this with {} and {}",
            before.toolchain, before.valgrind, now.toolchain, now.valgrind
        ));
    }
    let mut totals = Totals::default();
    for (name, result) in compare(&before, &now) {
        totals.case(&format!("instructions of a {name}"), result);
    }
    Ok(totals)
}

impl Baseline {
    fn text(&self) -> String {
        let mut text = format!(
            "{BASELINE_HEAD}version = {:?}\ntoolchain = {:?}\nvalgrind = {:?}\n\n[counts]\n",
            self.version, self.toolchain, self.valgrind
        );
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{name} = {count}");
        }
        text
    }
}

/// Prints each count beside the one before, and says which rose too far.
fn compare(before: &Baseline, now: &Baseline) -> Vec<(String, Result<(), String>)> {
    let mut results = Vec::new();
    for (name, count) in &now.counts {
        let result = match before.counts.get(name) {
            Some(known) => {
                let ratio = *count as f64 / *known as f64;
                console::say(format_args!(
                    "{name}: {count} instructions, {:+.1} % from {known} of {}",
                    (ratio - 1.0) * 100.0,
                    before.version
                ));
                if ratio <= RISE_MAX {
                    Ok(())
                } else {
                    Err(format!(
                        "{count} instructions, {known} in {}; if that is meant, `cargo xtask bench --instructions --record`",
                        before.version
                    ))
                }
            }
            None => Err(format!(
                "`{BASELINE}` has no count of it; `cargo xtask bench --instructions --record` writes it"
            )),
        };
        results.push((name.clone(), result));
    }
    for name in before
        .counts
        .keys()
        .filter(|name| !now.counts.contains_key(*name))
    {
        results.push((
            name.clone(),
            Err(format!("`{BASELINE}` has it, and nothing counts it")),
        ));
    }
    results
}

fn count(repo: &Repo, carnet: &Path, valgrind: &Valgrind) -> Result<Baseline> {
    let upstream = Upstream::start()?;
    let mut counts = BTreeMap::new();
    for decisions_max in [DECISIONS, 0] {
        let served = Served::new(
            repo,
            carnet,
            &Duties {
                name: "instructions",
                port: 0,
                upstream: &upstream.address().to_string(),
                decisions_max,
                all: true,
                engine: "",
            },
        )?;
        let folder = repo.target().join("suites/bench-instructions");
        let counter = Counter::start(&served, valgrind, &folder)?;
        for walk in WALKS
            .iter()
            .filter(|walk| walk.decisions_max == decisions_max)
        {
            let step = counter.step(walk, &upstream)?;
            console::say(format_args!("{}: {step} instructions", walk.name));
            counts.insert(walk.name.to_owned(), step);
        }
        counter.running.stop()?;
    }
    let version = exec::output(Command::new(carnet).arg("--version"))?;
    let said = exec::output(Command::new(&valgrind.valgrind).arg("--version"))?;
    Ok(Baseline {
        version: version.trim().trim_start_matches("carnet ").to_owned(),
        toolchain: machine::toolchain(repo)?,
        valgrind: said.trim().to_owned(),
        counts,
    })
}

/// The product under callgrind.
struct Counter<'a> {
    running: Running<'a>,
    vgdb: &'a Path,
    /// What the names of its files begin with.
    out: PathBuf,
    /// Files written so far.
    dumps: std::cell::Cell<usize>,
}

impl<'a> Counter<'a> {
    fn start(served: &'a Served, valgrind: &'a Valgrind, folder: &Path) -> Result<Self> {
        let out = folder.join("callgrind.out");
        let mut through = vec!["env".to_owned()];
        if let Some(tools) = &valgrind.tools {
            through.push(format!("VALGRIND_LIB={}", tools.display()));
        }
        // One core: threads take turns in the same order, more or less.
        through.extend(["taskset", "-c", "0"].map(str::to_owned));
        through.extend([
            valgrind.valgrind.display().to_string(),
            "--tool=callgrind".to_owned(),
            "--instr-atstart=no".to_owned(),
            format!("--callgrind-out-file={}", out.display()),
        ]);
        let counter = Self {
            running: served.run_through(&through)?,
            vgdb: &valgrind.vgdb,
            out,
            dumps: std::cell::Cell::new(0),
        };
        counter.tell(&["instrumentation", "on"])?;
        Ok(counter)
    }

    fn tell(&self, words: &[&str]) -> Result<()> {
        let pid = format!("--pid={}", self.running.pid());
        exec::output(Command::new(self.vgdb).arg(pid).args(words)).map(drop)
    }

    /// Instructions since the last time.
    fn dump(&self) -> Result<u64> {
        self.tell(&["dump"])?;
        let number = self.dumps.get() + 1;
        self.dumps.set(number);
        let mut file = self.out.clone().into_os_string();
        file.push(format!(".{number}"));
        let file = PathBuf::from(file);
        let text = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        total(&String::from_utf8_lossy(&text))
            .with_context(|| format!("no total in `{}`", file.display()))
    }

    /// What one step of a walk costs.
    fn step(&self, walk: &Walk, upstream: &Upstream) -> Result<u64> {
        let text = "The ferry leaves at nine. ".repeat(walk.text / 26 + 1);
        let body = json!({
            "model": "mock-model",
            "stream": walk.chunks > 0,
            "messages": [{"role": "user", "content": text}],
        })
        .to_string();
        let request = self.running.request(&body);
        let walked = |times: usize| -> Result<u64> {
            let mut caller = Caller::connect(self.running.address())?;
            for _ in 0..times {
                caller.ask(&request, walk.chunks, upstream)?;
            }
            drop(caller);
            thread::sleep(SETTLE);
            self.dump()
        };
        // The first time finds the upstream, the decision and the pages of the program.
        walked(walk.times.0)?;
        let mut steps = Vec::new();
        for _ in 0..RUNS {
            let (short, long) = (walked(walk.times.0)?, walked(walk.times.1)?);
            let more = (walk.times.1 - walk.times.0) * walk.chunks.max(1);
            ensure!(
                long > short,
                "{} counted {short} instructions for {} requests and {long} for {}",
                walk.name,
                walk.times.0,
                walk.times.1
            );
            steps.push((long - short) / more as u64);
        }
        steps.sort_unstable();
        let middle = steps.get(RUNS / 2).copied();
        middle.context("nothing was counted")
    }
}

/// The instructions of a file of callgrind's, by its line of totals.
fn total(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let Some(first) = line.and_then(|line| line.split_whitespace().next()) else {
        bail!("it has no line `totals:`");
    };
    Ok(first.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[(&str, u64)]) -> Baseline {
        Baseline {
            version: "0.1.0".into(),
            toolchain: "rustc 1.90.0 (\"x\")".into(),
            valgrind: "valgrind-3.19.0".into(),
            counts: counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn a_rise_of_more_than_one_in_twenty_fails() {
        let verdicts = |now: &[(&str, u64)]| {
            let results = compare(&baseline(&[("request", 100_000)]), &baseline(now));
            results
                .into_iter()
                .map(|(_, result)| result.is_ok())
                .collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&[("request", 105_000)]), [true]);
        assert_eq!(verdicts(&[("request", 50_000)]), [true]);
        assert_eq!(verdicts(&[("request", 105_001)]), [false]);
        // Neither a new path without a count nor a count without a path is passed over.
        assert_eq!(verdicts(&[("chunk", 5), ("request", 1)]), [false, true]);
        assert_eq!(verdicts(&[]), [false]);
    }

    #[test]
    fn the_baseline_is_read_as_it_is_written() {
        let written = baseline(&[("chunk", 20_000), ("request", 100_000)]);
        assert_eq!(
            toml::from_str::<Baseline>(&written.text()).unwrap(),
            written
        );
    }

    #[test]
    fn the_committed_baseline_has_each_path() {
        let text = Repo::locate().unwrap().read(BASELINE).unwrap();
        let baseline: Baseline = toml::from_str(&text).unwrap();
        let mut names = WALKS.map(|walk| walk.name);
        names.sort_unstable();
        assert_eq!(
            baseline.counts.keys().collect::<Vec<_>>(),
            names.iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn totals_are_read() {
        let text = "# callgrind format\nevents: Ir\n\nfn=(1) main\n1 5\n\ntotals: 123456\n";
        assert_eq!(total(text).unwrap(), 123_456);
        assert!(total("events: Ir\n").is_err());
    }
}
