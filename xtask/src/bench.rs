//! Benchmark glue: the product beside nginx and two reference proxies, with the side-by-side
//! benchmark that is laid beside the repository.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::clients::{self, Running, Served};
use crate::console;
use crate::exec;
use crate::repo::Repo;
use crate::tools;
use crate::totals::Totals;

/// CPU time a request may cost at saturation, in multiples of nginx.
const RATIO_MAX: f64 = 4.0;
/// CPU time a chunk of a stream may cost, in multiples of the reference proxy that only passes on.
const CHUNK_RATIO_MAX: f64 = 1.3;
const PASS: &str = "limit-pass";
/// Requests of the run that counts decisions and records.
const COUNTED: usize = 10_000;
/// Clients at once in that run.
const CLIENTS: usize = 8;
/// CPU time a request may cost while an engine is at work, in multiples of that while it rests.
const ENGINE_LOAD_MAX: f64 = 1.10;
/// How often either is measured, in turn, and the requests of each time.
const ENGINE_LOAD_ROUNDS: usize = 5;
const ENGINE_LOAD_REQUESTS: usize = 8_000;
/// The configuration's engine, where there is to be one.
const ENGINE: &str = "[[engine]]\nname = \"sums\"";
/// The product's port; the benchmark's own peers have those from 9000 to 9009.
const PORT: u16 = 9010;
/// That of the product which keeps no decision.
const MISSING_PORT: u16 = 9011;
/// Their names among the targets.
const OURS: &str = "carnet";
const MISSING: &str = "carnet-unremembered";
/// CPU time a request may cost when each is decided anew over twenty rules, in multiples of nginx.
const MISSING_RATIO_MAX: f64 = 4.5;
/// Decisions that the product keeps by default.
const DECISIONS: usize = 4_096;

/// A row of the benchmark's results, as far as it is used here.
#[derive(Deserialize)]
struct Row {
    round: u32,
    target: String,
    error: Option<String>,
    cpu_us: f64,
    cpu_us_per_chunk: f64,
    startup_ms: Option<f64>,
    idle_rss_mb: f64,
}

pub(crate) fn run(repo: &Repo) -> Result<Totals> {
    let Some(source) = repo.shared("bench") else {
        return Ok(Totals::not_run(
            "bench: the benchmark (../shared/bench) is not there",
        ));
    };
    let Some(peers) = tools::for_benchmark(repo)? else {
        return Ok(Totals::not_run(
            "bench: nginx and wrk are not there, and neither are apt-get and dpkg",
        ));
    };
    let folder = repo.target().join("bench");
    lay(&source, &folder)?;
    build(&folder, repo)?;

    let carnet = repo.target().join("release/carnet");
    let served = clients::serve_for_benchmark(repo, &carnet, PORT, "", DECISIONS)?;
    let missing = clients::serve_for_benchmark(repo, &carnet, MISSING_PORT, "", 0)?;
    let targets = folder.join("targets/carnet.toml");
    fs::write(
        &targets,
        targets_file(
            &folder,
            &peers.nginx,
            &peers.wrk,
            &[(OURS, PORT, &served), (MISSING, MISSING_PORT, &missing)],
        )?,
    )?;
    let results = folder.join("carnet.json");
    let mut command = Command::new(folder.join("target/release/carnet-bench"));
    command
        .arg("run")
        .arg(&targets)
        .arg("--out")
        .arg(&results)
        .current_dir(&folder);
    let ran = exec::succeeds(
        command
            .env("LD_LIBRARY_PATH", libraries(&peers.libraries)?)
            .stdin(Stdio::null()),
    )?;
    ensure!(ran, "the benchmark failed");

    let rows: Vec<Row> = serde_json::from_slice(&fs::read(&results)?)?;
    let mut totals = Totals::default();
    totals.case("the product costs no more than its bar", ratios(&rows));
    totals.case(
        "nor does it when every decision is made anew",
        within(&a_request(&rows), MISSING, MISSING_RATIO_MAX),
    );
    totals.case(
        "a streamed chunk costs little more than to pass it on",
        within(&a_chunk(&rows), OURS, CHUNK_RATIO_MAX),
    );
    totals.case(
        "requests sent, decisions and records are the same number",
        with_upstream(&folder, || count(&served)).map_err(|e| format!("{e:#}")),
    );
    let served = clients::serve_for_benchmark(repo, &carnet, PORT, ENGINE, DECISIONS)?;
    totals.case(
        "an engine at work makes other requests hardly dearer",
        with_upstream(&folder, || engine_load(&served)).map_err(|e| format!("{e:#}")),
    );
    Ok(totals)
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
            // Equal files stay, so that nothing is built again for a new date.
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn build(folder: &Path, repo: &Repo) -> Result<()> {
    let mut benchmark = exec::cargo(folder, &["build", "--release", "--quiet"]);
    ensure!(
        exec::succeeds(benchmark.env("CARGO_TARGET_DIR", folder.join("target")))?,
        "the benchmark does not build"
    );
    let product = exec::succeeds(&mut exec::cargo(
        repo.root(),
        &["build", "--release", "--locked", "--quiet", "-p", "carnet"],
    ))?;
    ensure!(product, "the product does not build");
    Ok(())
}

fn libraries(folders: &[PathBuf]) -> Result<OsString> {
    let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    Ok(env::join_paths(
        folders.iter().cloned().chain(env::split_paths(&before)),
    )?)
}

/// The benchmark's own list of the floor, with the product as one more target.
fn targets_file(
    folder: &Path,
    nginx: &Path,
    wrk: &Path,
    ours: &[(&str, u16, &Served)],
) -> Result<String> {
    let floor = fs::read_to_string(folder.join("targets/floor.toml"))?;
    let mut file: toml::Table = toml::from_str(&floor)?;
    let text = |path: &Path| toml::Value::from(path.display().to_string());
    if let Some(run) = file.get_mut("run").and_then(toml::Value::as_table_mut) {
        run.insert("wrk".into(), text(wrk));
        run.insert("log".into(), toml::Value::from("run/{name}.log"));
    }
    let targets = file
        .get_mut("target")
        .and_then(toml::Value::as_array_mut)
        .context("the benchmark names no targets")?;
    for target in targets.iter_mut().filter_map(toml::Value::as_table_mut) {
        let start = target
            .get_mut("start")
            .and_then(toml::Value::as_array_mut)
            .and_then(|start| start.first_mut());
        if let Some(program) = start.filter(|program| program.as_str() == Some("nginx")) {
            *program = text(nginx);
        }
    }
    for (name, port, served) in ours {
        let headers = toml::Table::from_iter([(
            "authorization".to_owned(),
            format!("Bearer {}", served.key).into(),
        )]);
        targets.push(toml::Value::Table(toml::Table::from_iter([
            ("name".to_owned(), (*name).into()),
            (
                "url".to_owned(),
                format!("http://127.0.0.1:{port}/v1/chat/completions").into(),
            ),
            ("env".to_owned(), toml::Value::try_from(&served.env)?),
            ("start".to_owned(), toml::Value::try_from(&served.start)?),
            ("headers".to_owned(), headers.into()),
        ])));
    }
    Ok(toml::to_string(&file)?)
}

/// Prints what each target costs beside nginx in the same round, and holds the product to its bar.
fn ratios(rows: &[Row]) -> Result<(), String> {
    if let Some(row) = rows
        .iter()
        .find(|row| row.error.is_some() && [OURS, MISSING, "nginx"].contains(&row.target.as_str()))
    {
        return Err(format!(
            "{} in round {}: {}",
            row.target,
            row.round,
            row.error.as_deref().unwrap_or_default()
        ));
    }
    for (target, values) in &a_request(rows) {
        console::say(format_args!(
            "{target}: {:.2} times the CPU of nginx a request",
            median(values.iter().copied())
        ));
    }
    for (target, values) in &a_chunk(rows) {
        console::say(format_args!(
            "{target}: {:.2} times the CPU of {PASS} a chunk of a stream",
            median(values.iter().copied())
        ));
    }
    let ours = |of: fn(&Row) -> Option<f64>| {
        median(rows.iter().filter(|r| r.target == OURS).filter_map(of))
    };
    console::say(format_args!(
        "carnet: first answer after {:.0} ms, {:.1} MB at rest",
        ours(|r| r.startup_ms),
        ours(|r| Some(r.idle_rss_mb))
    ));
    within(&a_request(rows), OURS, RATIO_MAX)
}

/// By targets: what something costs in multiples of one of them, in each round.
type Ratios<'r> = BTreeMap<&'r str, Vec<f64>>;

/// A request, in multiples of nginx.
fn a_request(rows: &[Row]) -> Ratios<'_> {
    beside(rows, "nginx", |row| row.cpu_us)
}

/// A chunk of a stream, in multiples of the proxy that only passes on.
fn a_chunk(rows: &[Row]) -> Ratios<'_> {
    beside(rows, PASS, |row| row.cpu_us_per_chunk)
}

fn beside<'r>(rows: &'r [Row], floor: &str, cost: fn(&Row) -> f64) -> Ratios<'r> {
    let floors: BTreeMap<u32, f64> = rows
        .iter()
        .filter(|r| r.target == floor)
        .map(|r| (r.round, cost(r)))
        .collect();
    let mut ratios = Ratios::new();
    for row in rows {
        if let Some(floor) = floors.get(&row.round) {
            let values = ratios.entry(&row.target).or_default();
            values.push(cost(row) / floor);
        }
    }
    ratios
}

/// Holds a target to its bar.
fn within(ratios: &Ratios<'_>, target: &str, max: f64) -> Result<(), String> {
    let values = ratios.get(target).map(|values| values.iter().copied());
    match values.map(median) {
        Some(ratio) if ratio <= max => Ok(()),
        Some(ratio) => Err(format!("{ratio:.2} times the floor; the bar is {max:.1}")),
        None => Err("it was not measured".to_owned()),
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Does something while the benchmark's upstream answers.
fn with_upstream(folder: &Path, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut upstream = Command::new(folder.join("target/release/mock-upstream"));
    let mut upstream = upstream
        .arg("127.0.0.1:9000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let done = work();
    upstream.kill()?;
    upstream.wait()?;
    done
}

/// Sends so many requests by several clients; how many were answered.
fn send(running: &Running<'_>, requests: usize) -> usize {
    let body = json!({"model": "mock-model", "messages": [{"role": "user", "content": "hello"}]})
        .to_string();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| running.answered(&body, requests / CLIENTS)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or(0))
            .sum()
    })
}

/// Measures what a request to the upstream costs the gateway while its engine rests and while it works.
fn engine_load(served: &Served) -> Result<()> {
    let running = served.run()?;
    let long = json!({
        "model": "carnet-sums",
        "n": 8,
        "temperature": 1,
        "messages": [{"role": "user", "content": "Sort 47, 85, 12, 63, 9, 700"}],
    })
    .to_string();
    let one = || -> Result<f64> {
        let before = running.cpu_us()?;
        let answered = send(&running, ENGINE_LOAD_REQUESTS);
        ensure!(
            answered == ENGINE_LOAD_REQUESTS,
            "{answered} of {ENGINE_LOAD_REQUESTS} requests were answered"
        );
        Ok((running.cpu_us()? - before) / ENGINE_LOAD_REQUESTS as f64)
    };
    one()?;
    let (mut resting, mut working) = (Vec::new(), Vec::new());
    for _ in 0..ENGINE_LOAD_ROUNDS {
        resting.push(one()?);
        let over = AtomicBool::new(false);
        let (cost, answers) = thread::scope(|scope| {
            let loader = scope.spawn(|| {
                let mut answers = 0;
                while !over.load(Ordering::Relaxed) {
                    answers += running.answered(&long, 1);
                }
                answers
            });
            let cost = one();
            over.store(true, Ordering::Relaxed);
            (cost, loader.join().unwrap_or(0))
        });
        working.push(cost?);
        ensure!(answers > 0, "the engine did not answer");
    }
    running.stop()?;
    let (resting, working) = (median(resting), median(working));
    let ratio = working / resting;
    console::say(format_args!(
        "engine at rest {resting:.1} us a request, at work {working:.1} us: {ratio:.2} times"
    ));
    ensure!(
        ratio <= ENGINE_LOAD_MAX,
        "the bar is {ENGINE_LOAD_MAX:.2} times"
    );
    Ok(())
}

/// Sends a counted number of requests and asks the product what it made of them.
fn count(served: &Served) -> Result<()> {
    let running = served.run()?;
    let answered = send(&running, COUNTED);
    let (decisions, records) = (
        running.metric("carnet_decisions_total")?,
        running.metric("carnet_records_total")?,
    );
    running.stop()?;
    console::say(format_args!(
        "requests sent {COUNTED}, answered {answered}, decisions {decisions}, records {records}"
    ));
    ensure!(
        [answered, decisions, records].iter().all(|n| *n == COUNTED),
        "they differ"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(round: u32, target: &str, cpu_us: f64) -> Row {
        Row {
            round,
            target: target.into(),
            error: None,
            cpu_us,
            cpu_us_per_chunk: cpu_us / 10.0,
            startup_ms: Some(50.0),
            idle_rss_mb: 20.0,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rows = |carnet: f64| {
            vec![
                row(1, "nginx", 10.0),
                row(1, "carnet", carnet),
                row(2, "nginx", 20.0),
                row(2, "carnet", 2.0 * carnet),
                row(3, "nginx", 1.0),
            ]
        };
        assert!(ratios(&rows(39.0)).is_ok());
        assert!(ratios(&rows(41.0)).is_err());
        assert!(ratios(&[row(1, "nginx", 1.0)]).is_err());
        let chunks = [row(1, "carnet", 13.0), row(1, PASS, 10.0)];
        assert!(within(&a_chunk(&chunks), OURS, 1.3).is_ok());
        assert!(within(&a_chunk(&chunks), OURS, 1.2).is_err());
    }
}
