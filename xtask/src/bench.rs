//! `cargo xtask bench`: the product beside nginx, reference proxies and the gateways of others, with the side-by-side
//! benchmark that is laid beside the repository, and what it measures held to its bars.

mod bars;
mod harness;
mod instructions;
mod lockstep;
mod machine;
mod more;
mod page;
mod results;
mod table;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::clients::{Duties, Served};
use crate::console;
use crate::exec;
use crate::repo::Repo;
use crate::tools::{self, BenchPeers};
use crate::totals::Totals;

use harness::{Effort, Harness, UPSTREAM};
use machine::{Machine, QUIET_MAX_PCT};
use more::More;
use results::{ANEW, OURS, PLAIN, Results, median};

/// The product's ports; the benchmark's own targets have those from 9000 to 9015.
const PORT: u16 = 9020;
const ANEW_PORT: u16 = 9021;
const PLAIN_PORT: u16 = 9022;
/// Decisions that the product keeps by default.
const DECISIONS: usize = 4_096;
/// The configuration's engine, where there is to be one.
const ENGINE: &str = "[[engine]]\nname = \"sums\"";
/// Rounds, if nothing else is said.
const ROUNDS: u32 = 5;
/// Rounds of the test command, which takes long enough.
const ROUNDS_OF_TESTS: u32 = 3;
/// Names a program that is in no package registry.
const AGENTGATEWAY: &str = "AGENTGATEWAY";

/// What the command was asked for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    rounds: Option<u32>,
    only: Vec<String>,
    quick: bool,
    peers: bool,
    agentgateway: Option<PathBuf>,
    carnet: Option<PathBuf>,
    page: bool,
    instructions: bool,
    record: bool,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("`{word}` needs a value"))
            };
            match word.as_str() {
                "--rounds" => {
                    let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = Some(rounds.context("`--rounds` needs a number from 1 on")?);
                }
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--quick" => options.quick = true,
                "--peers" => options.peers = true,
                "--agentgateway" => options.agentgateway = Some(value()?.into()),
                "--carnet" => options.carnet = Some(value()?.into()),
                "--page" => options.page = true,
                "--instructions" => options.instructions = true,
                "--record" => options.record = true,
                other => bail!(
                    "no option `{other}`; there are --rounds N, --only A,B, --quick, --peers, --agentgateway FILE, \
                     --carnet FILE, --page, --instructions and --record"
                ),
            }
        }
        ensure!(
            !options.record || options.instructions,
            "`--record` writes what `--instructions` counts, and needs it"
        );
        ensure!(
            !options.page || !(options.quick || options.instructions || !options.only.is_empty()),
            "`--page` writes down a whole run: `--quick`, `--only` and `--instructions` do not go with it"
        );
        Ok(options)
    }
}

/// `cargo xtask bench`.
pub(crate) fn command(repo: &Repo, words: &[String]) -> Result<ExitCode> {
    let mut options = Options::parse(words)?;
    if options.agentgateway.is_none() {
        let named = env::var_os(AGENTGATEWAY).filter(|named| !named.is_empty());
        options.agentgateway = named.map(PathBuf::from);
    }
    let totals = if options.instructions {
        let carnet = product(repo, options.carnet.as_deref())?;
        instructions::run(repo, &carnet, options.record)?
    } else {
        measured(repo, &options, true)?
    };
    for what in &totals.skipped {
        console::say(format_args!("not run: {what}"));
    }
    console::say(&totals);
    Ok(ExitCode::from(u8::from(totals.failed > 0)))
}

/// The benchmark as a step of the test command.
pub(crate) fn run(repo: &Repo) -> Result<Totals> {
    let options = Options {
        rounds: Some(ROUNDS_OF_TESTS),
        ..Options::default()
    };
    measured(repo, &options, false)
}

/// The count of instructions as a step of the test command.
pub(crate) fn instructions(repo: &Repo) -> Result<Totals> {
    instructions::run(repo, &product(repo, None)?, false)
}

/// The product as it is handed out, built if no other is given.
fn product(repo: &Repo, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return given
            .canonicalize()
            .with_context(|| format!("there is no program `{}`", given.display()));
    }
    let words = ["build", "--release", "--locked", "--quiet", "-p", "carnet"];
    ensure!(
        exec::succeeds(&mut exec::cargo(repo.root(), &words))?,
        "the product does not build"
    );
    Ok(repo.target().join("release/carnet"))
}

/// Measures, prints and judges; with `all`, also by the bars that presume a quiet machine.
fn measured(repo: &Repo, options: &Options, all: bool) -> Result<Totals> {
    let Some(source) = repo.shared("bench") else {
        return Ok(Totals::not_run(
            "bench: the benchmark (../shared/bench) is not there",
        ));
    };
    let Some(programs) = tools::for_benchmark(repo)? else {
        return Ok(Totals::not_run(
            "bench: nginx and wrk are not there, and neither are apt-get and dpkg",
        ));
    };
    let mut machine = Machine::now(repo)?;
    let carnet = product(repo, options.carnet.as_deref())?;
    let mut harness = Harness::build(repo, &source, &programs)?;
    versions(&mut machine, &carnet, &programs);

    let set_ups = [(OURS, PORT), (ANEW, ANEW_PORT), (PLAIN, PLAIN_PORT)];
    for (name, port) in set_ups {
        let duties = Duties {
            name,
            port,
            upstream: UPSTREAM,
            decisions_max: if name == ANEW { 0 } else { DECISIONS },
            all: name != PLAIN,
            engine: "",
        };
        harness.add(name, port, &Served::new(repo, &carnet, &duties)?)?;
    }
    let mut totals = Totals::default();
    if options.peers || options.agentgateway.is_some() {
        totals.skipped = add_peers(repo, options, &mut harness, &mut machine)?;
    }
    harness.only(&options.only)?;

    more::raise_file_limit();
    let busy = machine::busy_pct();
    console::say(format_args!(
        "load {:.2} when asked, the machine is {busy:.0} % busy now",
        machine.load
    ));
    let effort = Effort {
        rounds: options
            .rounds
            .unwrap_or(if options.quick { 1 } else { ROUNDS }),
        quick: options.quick,
    };
    let results = harness.rounds(effort)?;
    let more = besides(repo, &carnet, &harness, options.quick, &mut totals)?;
    let bars = bars::bars(&results, &more);
    console::say(table::tables(&results, &more));
    totals.add(bars::judge(&bars, all));
    for (row, why) in results.errors() {
        let what = format!("{} in round {}", row.target, row.round);
        totals.case(&what, Err(why.to_owned()));
    }
    let quiet = busy <= QUIET_MAX_PCT && between(&results) <= QUIET_MAX_PCT;
    if options.page && quiet {
        page::write(repo, &machine, &results, &more, &bars)?;
    } else if options.page {
        totals.case(
            "the page",
            Err(format!(
                "the machine was busy ({busy:.0} % before, {:.0} % between the targets; at most {QUIET_MAX_PCT:.0} % is quiet): \
                 such figures are not written down",
                between(&results)
            )),
        );
    }
    Ok(totals)
}

/// What else the gateway's core did before the targets started, in per cent.
fn between(results: &Results) -> f64 {
    let all = results.targets().into_iter();
    let values = all.flat_map(|target| results.each(target, |row| row.other_load_pct));
    median(values).unwrap_or(f64::INFINITY)
}

fn versions(machine: &mut Machine, carnet: &Path, programs: &BenchPeers) {
    machine.version("carnet", carnet, "--version");
    machine.version("nginx", &programs.nginx, "-v");
    machine.version("wrk", &programs.wrk, "-v");
}

/// Adds the gateways of others; why some of them are not in the run.
fn add_peers(
    repo: &Repo,
    options: &Options,
    harness: &mut Harness<'_>,
    machine: &mut Machine,
) -> Result<Vec<String>> {
    let (peers, mut missing) = if options.peers {
        let only = &options.only;
        tools::peers_for_benchmark(repo, |name| {
            only.is_empty() || only.iter().any(|one| one == name)
        })?
    } else {
        (Vec::new(), Vec::new())
    };
    for peer in &peers {
        machine
            .versions
            .push((peer.name.clone(), peer.version.clone()));
    }
    let mut agentgateway = options.agentgateway.as_deref();
    if let (Some(_), Some(why)) = (
        agentgateway,
        agentgateway.and_then(|_| harness::not_alone()),
    ) {
        missing.push(format!("bench: agentgateway: {why}"));
        agentgateway = None;
    } else if options.peers && agentgateway.is_none() {
        missing.push(format!(
            "bench: agentgateway: it is in no package registry; name its program with --agentgateway or `{AGENTGATEWAY}`"
        ));
    }
    if let Some(program) = agentgateway {
        machine.version("agentgateway", program, "--version");
    }
    harness.add_peers(&peers, agentgateway)?;
    Ok(missing)
}

/// What is measured of the product alone. A trial leaves out what takes minutes.
fn besides(
    repo: &Repo,
    carnet: &Path,
    harness: &Harness<'_>,
    quick: bool,
    totals: &mut Totals,
) -> Result<More> {
    let served = |engine| {
        let duties = Duties {
            name: "besides",
            port: PORT,
            upstream: UPSTREAM,
            decisions_max: DECISIONS,
            all: true,
            engine,
        };
        Served::new(repo, carnet, &duties)
    };
    let mut more = More::default();
    let strace = tools::for_traces(repo)?;
    let traced = repo.target().join("bench/run/fsync.trace");
    let counts = served("").and_then(|served| {
        harness.with_upstream(|| more::count(&served, strace.as_deref(), &traced))
    });
    totals.case(
        "requests sent, decisions, scans and records are the same number",
        told(counts, &mut more.counts).and_then(|counts| counts.check()),
    );
    let at_once = served("").and_then(|served| harness.with_upstream(|| more::at_once(&served)));
    totals.case(
        "large requests whose connections open at once",
        told(at_once, &mut more.at_once).map(drop),
    );
    let streams = served("").and_then(|served| harness.with_upstream(|| more::streams(&served)));
    totals.case(
        "many streams open at a time",
        told(streams, &mut more.streams).map(drop),
    );
    if quick {
        return Ok(more);
    }
    totals.case(
        "growth to a million requests",
        told(more::soak(harness, OURS), &mut more.soak).map(drop),
    );
    totals.case(
        "an engine at work makes other requests hardly dearer",
        served(ENGINE)
            .and_then(|served| harness.with_upstream(|| more::engine_load(&served)))
            .map_err(|error| format!("{error:#}")),
    );
    Ok(more)
}

/// Keeps what was measured, or says why it was not.
fn told<T>(measured: Result<T>, keep: &mut Option<T>) -> Result<&T, String> {
    match measured {
        Ok(one) => Ok(keep.insert(one)),
        Err(error) => Err(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read() {
        let expected = Options {
            rounds: Some(6),
            only: vec!["a".into(), "b".into(), "c".into()],
            peers: true,
            carnet: Some("x/carnet".into()),
            quick: true,
            ..Options::default()
        };
        let words = "--rounds 6 --only a,b --only c --peers --carnet x/carnet --quick";
        assert_eq!(parse(words).unwrap(), expected);
        assert!(parse("--instructions --record").unwrap().record);
        assert!(parse("--page --peers").unwrap().page);
    }

    #[test]
    fn options_that_mean_nothing_are_refused() {
        for words in [
            "--rounds",
            "--rounds 0",
            "--rounds many",
            "--record",
            "--page --quick",
            "--page --only a",
            "--page --instructions",
            "--carnet",
            "quick",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn a_machine_of_which_nothing_is_known_is_not_quiet() {
        let row = |busy| {
            let mut row = results::tests::row(1, OURS, 50.0);
            row.other_load_pct = busy;
            row
        };
        assert!(between(&Results(Vec::new())) > QUIET_MAX_PCT);
        assert!(between(&Results(vec![row(2.0)])) <= QUIET_MAX_PCT);
        assert!(between(&Results(vec![row(2.0), row(60.0), row(70.0)])) > QUIET_MAX_PCT);
    }
}
