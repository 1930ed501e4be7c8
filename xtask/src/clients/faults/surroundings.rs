//! What goes wrong around the gateway: the clock jumps, the disk is full, the store cannot be written.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::caller::{Asked, KINDS, Kind, View, ask_for};
use super::judge::{Counted, judge};
use super::table::Table;
use super::upstream::Role;
use super::{CALLERS, LOOK_EVERY, PATIENCE, Routing, Stage, all_there, told, until};
use crate::clients::WORKLOAD;
use crate::clients::gateway::{Gateway, text};
use crate::exec;
use crate::mock::get;
use crate::steps::Bench;
use crate::totals::Totals;

/// Where the clock is set to, in seconds from what it is: forward, back beyond the start, far away, and right.
const STEPS: [i64; 5] = [3_600, -7_200, 400 * 86_400, -86_400, 0];
/// How long requests run on after each step.
const AFTER_STEP: Duration = Duration::from_millis(300);
/// Room for the segments of the log's journal that are taken at the start, and for what comes of them in the end.
const DISK_BYTES: u64 = 128 << 20;
/// A model that nobody offers, by a name that takes much room in a record: each byte of it is escaped.
const FILLING: &str = match str::from_utf8(&[1; 500]) {
    Ok(name) => name,
    Err(_) => "",
};
/// Requests that a full disk must refuse, all of them.
const REFUSED: usize = 40;
/// The clock of `tests/clients/faults/clock.rs` reads it.
const CLOCK: &str = "CARNET_SUITE_CLOCK";
const LOCKING: &str = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); \
                       c.execute('BEGIN EXCLUSIVE'); print('ready', flush=True); sys.stdin.read()";
const MOUNTING: &str =
    "mount -t tmpfs -o size=\"$2\",mode=0700 full \"$1\" && echo ready && read -r _";

pub(super) fn all(bench: &Bench<'_>, table: &mut Table, totals: &mut Totals) -> Result<()> {
    let clock = clock(bench, table, totals);
    totals.case("the clock is set forward and back", told(clock));
    let disk = disk(bench, table, totals);
    totals.case("the disk is full", told(disk));
    let store = store(bench, table, totals);
    totals.case("the store cannot be written", told(store));
    Ok(())
}

impl Stage {
    /// Has callers ask without a pause for as long as `during` runs. What that came to, and what they saw.
    fn under_load<T>(
        &self,
        gateway: &Gateway,
        model: &'static str,
        during: impl FnOnce() -> Result<T>,
    ) -> (Result<T>, Vec<Asked>) {
        let (stop, key, to) = (AtomicBool::new(false), &self.key, gateway.data);
        thread::scope(|scope| {
            let callers: Vec<_> = KINDS
                .iter()
                .flat_map(|kind| [*kind; CALLERS])
                .map(|kind| {
                    let stop = &stop;
                    scope.spawn(move || {
                        let mut asked = Vec::new();
                        while !stop.load(Ordering::Relaxed) {
                            asked.push(ask_for(to, key, model, kind));
                        }
                        asked
                    })
                })
                .collect();
            let result = during();
            stop.store(true, Ordering::Relaxed);
            let asked = callers.into_iter().filter_map(|caller| caller.join().ok());
            (result, asked.flatten().collect())
        })
    }

    fn note(&mut self, model: &'static str, asked: impl IntoIterator<Item = Asked>) {
        self.asked.entry(model).or_default().extend(asked);
    }

    fn views(&self, model: &str) -> BTreeSet<View> {
        let asked = self.asked.get(model).into_iter().flatten();
        asked.map(|asked| asked.view).collect()
    }

    /// What the log says of a model's requests, once the server has ended.
    fn judged(
        &self,
        (model, what): (&str, &'static str),
        table: &mut Table,
        took: Duration,
    ) -> Result<()> {
        let mut counted = Counted::of(self, &self.setup.whole_records()?, model);
        counted.recovered = Some(took);
        let judged = judge(&counted, false);
        table.push("off", what, counted);
        judged.map_err(anyhow::Error::msg)
    }
}

/// The clock jumps under load.
fn clock(bench: &Bench<'_>, table: &mut Table, totals: &mut Totals) -> Result<()> {
    let library = bench.repo.target().join("suites/clock.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    exec::output(
        Command::new(rustc)
            .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
            .arg(&library)
            .arg(bench.repo.path("tests/clients/faults/clock.rs")),
    )?;
    let offset = bench.repo.target().join("suites/faults-clock.offset");
    fs::write(&offset, "0")?;
    let mut stage = Stage::new(bench, "clock", Routing::Off, |setup| {
        let preload = setup.variable("LD_PRELOAD", &library.to_string_lossy());
        Ok(preload.variable(CLOCK, &offset.to_string_lossy()))
    })?;
    let gateway = stage.setup.start()?;
    let (stepped, asked) = stage.under_load(&gateway, "clock", || {
        for step in STEPS {
            // Put there at once: a file that is half written would be another step.
            let next = offset.with_extension("next");
            fs::write(&next, step.to_string())?;
            fs::rename(&next, &offset)?;
            thread::sleep(AFTER_STEP);
        }
        Ok(())
    });
    stage.note("clock", asked);
    stepped?;
    let took = stage.recovers(gateway.data, "clock")?;
    stage.finish("the clock", gateway, totals)?;
    let views = stage.views("clock");
    ensure!(
        views == BTreeSet::from([View::Good]),
        "callers saw {views:?}"
    );
    let records = stage.setup.whole_records()?;
    let days: BTreeSet<&str> = records
        .iter()
        .filter_map(|one| text(one, "time").get(..10))
        .collect();
    ensure!(
        days.len() >= 3,
        "the product did not see the clock's steps: all was on {days:?}"
    );
    all_there(&stage, records.len())?;
    stage.judged(("clock", "the clock is set forward and back"), table, took)
}

/// A program that holds something until it is let go.
struct Holder(Child);

impl Holder {
    /// Starts it and waits until it says that it is ready; what it said otherwise.
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start what holds it")?;
        let mut said = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut said)?;
        }
        if said.trim() == "ready" {
            return Ok(Self(child));
        }
        let _ = child.kill();
        let ended = child.wait_with_output()?;
        bail!("{}", String::from_utf8_lossy(&ended.stderr).trim_end())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The state lies on a disk that becomes full under load.
fn disk(bench: &Bench<'_>, table: &mut Table, totals: &mut Totals) -> Result<()> {
    let mount = bench.repo.target().join("suites/faults-disk.mount");
    fs::create_dir_all(&mount)?;
    let holder = Holder::start(
        Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                MOUNTING,
                "sh",
            ])
            .arg(&mount)
            .arg(DISK_BYTES.to_string()),
    );
    let holder = match holder {
        Ok(holder) => holder,
        Err(why) => {
            let what = format!(
                "faults: a full disk, for which a file system of its own is needed: {why:#}"
            );
            totals.add(Totals::not_run(what));
            return Ok(());
        }
    };
    // The file system is only in the holder's name space, where the product has to be called, and has a path for others.
    let id = holder.0.id().to_string();
    let mut stage = Stage::new(bench, "disk", Routing::Off, |setup| {
        let inside = ["nsenter", "--user", "--mount", "--target", &id];
        let mut through: Vec<String> = inside.map(str::to_owned).to_vec();
        through.push(format!("--wd={}", setup.folder().display()));
        Ok(setup.state_in(mount.join("state")).through(through))
    })?;
    let disk = PathBuf::from(format!("/proc/{id}/root{}", mount.display()));
    let ballast = disk.join("ballast");
    let gateway = stage.setup.start()?;
    stage.recovers(gateway.data, "disk")?;
    let refused = |view| view == View::Error(503);
    let begun = Instant::now();
    let (full, asked) = stage.under_load(&gateway, "disk", || {
        fill(&ballast)?;
        // Room that was taken before is used up first.
        let last = || ask_for(gateway.data, &stage.key, FILLING, Kind::Chat);
        let (last, mut asked) = stage.under_load(&gateway, FILLING, || {
            let mut all = vec![last()];
            while all.last().is_some_and(|last| !refused(last.view)) {
                ensure!(begun.elapsed() < PATIENCE, "the disk takes ever more");
                all.push(last());
            }
            ensure!(
                ready(&gateway) == 503,
                "/readyz answers {}",
                ready(&gateway)
            );
            Ok(all)
        });
        asked.extend(last?);
        Ok(asked)
    });
    stage.note("disk", asked);
    stage.note(FILLING, full?);
    let filled = begun.elapsed();
    // Without others beside it a request may still find room, until there is none at all.
    let mut refusals = 0;
    while refusals < REFUSED {
        let sent = stage.upstreams.seen_as(Role::Second);
        let asked = ask_for(gateway.data, &stage.key, "disk", Kind::Chat);
        let view = asked.view;
        stage.note("disk", [asked]);
        if refused(view) {
            refusals += 1;
            ensure!(
                stage.upstreams.seen_as(Role::Second) == sent,
                "a request was sent that the log could not take"
            );
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "requests are still answered on a full disk"
        );
    }
    fs::remove_file(&ballast)?;
    let took = stage.recovers(gateway.data, "disk")?;
    until(|| Ok(ready(&gateway)), |status| *status == 200)?;
    stage.finish("the disk", gateway, totals)?;
    let odd = stage
        .views("disk")
        .into_iter()
        .find(|view| !matches!(view, View::Good | View::Error(503)));
    ensure!(odd.is_none(), "callers saw {odd:?}");
    // Who is refused before a record could be opened is told none.
    let mut untold = 0;
    for asked in stage.asked.values_mut() {
        let before = asked.len();
        asked.retain(|asked| asked.id.is_some() || !refused(asked.view));
        untold += before - asked.len();
    }
    ensure!(untold >= REFUSED, "only {untold} requests were refused");
    all_there(&stage, stage.setup.whole_records()?.len())?;
    table.note(format!(
        "the disk: full after {} ms of load, {untold} requests refused, none of them sent",
        filled.as_millis()
    ));
    stage.judged(("disk", "the disk is full"), table, took)
}

/// The status of `/readyz`; 0 where there is no answer.
fn ready(gateway: &Gateway) -> u16 {
    get(gateway.data, "/readyz", "").map_or(0, |answer| answer.status)
}

/// Fills a disk to its last byte.
fn fill(ballast: &Path) -> Result<()> {
    let mut file = fs::File::create(ballast)?;
    for piece in [1 << 16, 1 << 12, 1] {
        let bytes = vec![0; piece];
        while file.write_all(&bytes).is_ok() {}
    }
    Ok(())
}

/// Another process holds the store for itself.
fn store(bench: &Bench<'_>, table: &mut Table, totals: &mut Totals) -> Result<()> {
    let mut stage = Stage::new(bench, "store", Routing::Off, Ok)?;
    let gateway = stage.setup.start()?;
    stage.recovers(gateway.data, "store")?;
    let file = stage.setup.state().join("carnet.db");
    let python = &bench.tools.python;
    let holder = Holder::start(Command::new(python).args(["-c", LOCKING]).arg(file))?;
    let (made, asked) = stage.under_load(&gateway, "store", || stage.setup.key(WORKLOAD));
    stage.note("store", asked);
    ensure!(
        made.is_err(),
        "a key was made in a store that cannot be written"
    );
    drop(holder);
    let begun = Instant::now();
    loop {
        match stage.setup.key(WORKLOAD) {
            Ok(key) => {
                stage.key = key;
                break;
            }
            Err(why) => ensure!(begun.elapsed() < PATIENCE, "it stays so: {why:#}"),
        }
        thread::sleep(LOOK_EVERY);
    }
    let took = begun.elapsed();
    stage.recovers(gateway.data, "store")?;
    stage.finish("the store", gateway, totals)?;
    let views = stage.views("store");
    ensure!(
        views == BTreeSet::from([View::Good]),
        "callers saw {views:?}"
    );
    all_there(&stage, stage.setup.whole_records()?.len())?;
    stage.judged(("store", "the store cannot be written"), table, took)
}
