//! The fault run: upstreams and callers that go wrong in every way that is known, a clock that jumps, a disk that is full and a
//! store that cannot be written, each beside good requests. Whatever happens: nothing is sent without a permit, no record of an
//! answered request is lost, nobody takes a torn answer for a whole one, nothing is left behind, and afterwards all is well again.

mod caller;
mod judge;
mod rows;
mod surroundings;
mod table;
mod upstream;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::WORKLOAD;
use super::gateway::{Gateway, Setup, model_entries, text};
use crate::console;
use crate::generate;
use crate::mock::{ask, get, read_answer};
use crate::steps::Bench;
use crate::totals::Totals;

use caller::{Asked, KINDS, Kind, View, ask_for, behave};
use judge::{Counted, judge};
use rows::{Callers, Fault, ROWS, Row, SURROUNDINGS};
use table::Table;
use upstream::{Role, Upstreams};

/// Rounds whose growth is measured; one before them warms everything up.
const ROUNDS: usize = 1;
const ROUNDS_FULL: usize = 8;
/// Callers of each kind that ask at once.
const CALLERS: usize = 2;
/// How long a state is waited for that must come. What it took is printed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Memory that all measured rounds together may leave behind: what an allocator keeps of some hundred requests, and far less
/// than the bodies of those that were left unread.
const GROWTH_KB_MAX: u64 = 8 * 1024;
/// Bytes that may be on their way to callers who do not read: what the system keeps for their sockets on both sides.
const UNREAD_BYTES_MAX: usize = 32 << 20;
/// A model that only the upstream offers which policy forbids.
const ONLY_FORBIDDEN: &str = "only-forbidden";

/// How the gateway is told to route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Routing {
    /// One attempt, and one upstream that it can go to.
    Off,
    /// As it is by default, with a second upstream that takes over.
    On,
}

impl Routing {
    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }

    /// What a caller may see.
    fn allows(self, row: &Row, kind: Kind, view: View) -> bool {
        let own = if kind.is_stream() {
            row.stream
        } else {
            row.whole
        };
        match self {
            Self::Off => own.contains(&view),
            Self::On if row.taken_over => view == View::Good,
            Self::On => view == View::Good || own.contains(&view),
        }
    }
}

/// The step.
pub(crate) fn faults(bench: &Bench<'_>) -> Result<Totals> {
    generate::build(bench.repo)?;
    let rounds = if bench.full { ROUNDS_FULL } else { ROUNDS };
    let mut totals = Totals::default();
    let mut table = Table::default();
    for routing in [Routing::Off, Routing::On] {
        let name = format!("routing {}", routing.name());
        let run = run(bench, routing, rounds, &mut table, &mut totals);
        totals.case(&name, told(run));
    }
    surroundings::all(bench, &mut table, &mut totals)?;
    console::say(table);
    Ok(totals)
}

fn told(result: Result<()>) -> Result<(), String> {
    result.map_err(|error| format!("{error:#}"))
}

/// A gateway before its upstreams, with all that was asked of it.
struct Stage {
    setup: Setup,
    upstreams: Upstreams,
    key: String,
    /// Requests with a valid key, by the model that they named.
    asked: BTreeMap<&'static str, Vec<Asked>>,
}

impl Stage {
    /// Makes everything ready but the start.
    fn new(
        bench: &Bench<'_>,
        name: &str,
        routing: Routing,
        adapt: impl FnOnce(Setup) -> Result<Setup>,
    ) -> Result<Self> {
        let setup = adapt(Setup::named(
            bench.repo,
            "faults",
            &format!("faults-{name}"),
        )?)?;
        let reported = fs::read_to_string(setup.folder().join("reported.json"))?;
        let reported: BTreeMap<String, String> = serde_json::from_str(&reported)?;
        let upstreams = Upstreams::start(&ROWS, &reported)?;
        let own = ROWS.iter().filter(|row| row.fault != Fault::Reports);
        let mut entries = String::new();
        for row in own {
            writeln!(
                entries,
                "[[upstream]]\nname = \"faulty-{0}\"\nbase_url = \"{1}\"\nprivate_addresses = true\n\
                 apis = [\"chat-completions\"]\nfirst_byte_seconds = 1\nidle_seconds = 1\nmodels = [{{ name = \"{0}\" }}]\n",
                row.name,
                upstreams.base_url(row)
            )?;
        }
        let all = || ROWS.iter().map(|row| row.name);
        let (attempts, taking_over): (_, Vec<&str>) = match routing {
            Routing::Off => ("attempts = 1", SURROUNDINGS.to_vec()),
            Routing::On => ("", all().chain(SURROUNDINGS).collect()),
        };
        let setup = setup
            .with("routing", attempts)
            .with("upstreams", &entries)
            .with("all_models", &model_entries(all().chain(SURROUNDINGS)))
            .with("second_models", &model_entries(taking_over))
            .with("faulty", &format!("http://{}", upstreams.http));
        let key = setup.key(WORKLOAD)?;
        Ok(Self {
            setup,
            upstreams,
            key,
            asked: BTreeMap::new(),
        })
    }

    /// Has as many callers as there are of each kind do what the row says, all at once.
    fn crowd(&mut self, to: SocketAddr, row: &Row) -> Vec<Asked> {
        let (upstreams, key) = (&self.upstreams, &self.key);
        let kinds = KINDS
            .iter()
            .filter(|kind| !row.callers.take_streams() || kind.is_stream());
        let kinds: Vec<Kind> = kinds.flat_map(|kind| [*kind; CALLERS]).collect();
        let over = upstreams.endless().1 + kinds.len();
        let ended = || upstreams.endless().1 >= over;
        let all: Vec<Asked> = thread::scope(|scope| {
            let callers: Vec<_> = kinds
                .iter()
                .map(|kind| scope.spawn(|| behave(to, key, row, *kind, &ended)))
                .collect();
            callers
                .into_iter()
                .filter_map(|caller| caller.join().ok())
                .collect()
        });
        self.asked
            .entry(row.name)
            .or_default()
            .extend(all.iter().cloned());
        all
    }

    /// Asks until the good answer comes; how long that took.
    fn recovers(&mut self, to: SocketAddr, model: &'static str) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let asked = ask_for(to, &self.key, model, Kind::Chat);
            let view = asked.view;
            self.asked.entry(model).or_default().push(asked);
            if view == View::Good {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < PATIENCE, "it still answers with {view:?}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The server's process has ended in good order, its log verifies, and nothing panicked.
    fn finish(&self, name: &str, gateway: Gateway, totals: &mut Totals) -> Result<()> {
        totals.case(
            &format!("{name}: it stops when told to"),
            told(gateway.stop()),
        );
        totals.case(
            &format!("{name}: the log verifies"),
            told(self.setup.verify()),
        );
        let said = self.setup.said()?;
        let panicked = said.lines().find(|line| line.contains("panicked"));
        let panicked = panicked.map_or(Ok(()), |line| Err(line.to_owned()));
        totals.case(&format!("{name}: nothing panicked"), panicked);
        Ok(())
    }
}

/// One gateway through all rows, and again.
fn run(
    bench: &Bench<'_>,
    routing: Routing,
    rounds: usize,
    table: &mut Table,
    totals: &mut Totals,
) -> Result<()> {
    let mut stage = Stage::new(bench, routing.name(), routing, Ok)?;
    let gateway = stage.setup.start()?;
    let mut recovered = BTreeMap::new();
    let mut before = (0, 0);
    for round in 0..=rounds {
        if round == 1 {
            before = (settled(&gateway)?, gateway.resident_kb()?);
        }
        for row in &ROWS {
            let name = format!("routing {}, {}", routing.name(), row.what);
            let result = through(&mut stage, &gateway, row, routing);
            let took = result.as_ref().ok().copied();
            totals.case(&name, told(result.map(drop)));
            let longest = recovered.entry(row.name).or_insert(took);
            *longest = (*longest).max(took);
        }
        let denied = ask_for(gateway.data, &stage.key, ONLY_FORBIDDEN, Kind::Chat);
        let view = denied.view;
        stage.asked.entry(ONLY_FORBIDDEN).or_default().push(denied);
        totals.case(
            "what policy forbids is refused",
            told(expect(view == View::Error(403), || format!("{view:?}"))),
        );
    }
    let name = format!("routing {}", routing.name());
    let descriptors = until(|| gateway.descriptors(), |now| *now <= before.0);
    let left = gateway.descriptors()?;
    totals.case(
        &format!("{name}: no descriptor is left open"),
        told(descriptors.map(drop)),
    );
    let memory = gateway.resident_kb()?;
    let grown = memory.saturating_sub(before.1);
    totals.case(
        &format!("{name}: memory does not grow"),
        told(expect(grown <= GROWTH_KB_MAX, || format!("by {grown} kB"))),
    );
    stage.finish(&name, gateway, totals)?;
    let records = stage.setup.whole_records()?;
    for row in &ROWS {
        let mut counted = Counted::of(&stage, &records, row.name);
        counted.recovered = recovered.get(row.name).copied().flatten();
        let judged = judge(&counted, row.fault.is_of_connection());
        totals.case(&format!("{name}, {}: what the log says", row.what), judged);
        table.push(routing.name(), row.what, counted);
    }
    let denied = Counted::of(&stage, &records, ONLY_FORBIDDEN);
    totals.case(
        &format!("{name}: what is forbidden is never asked"),
        judge(&denied, false),
    );
    table.push(routing.name(), "policy forbids the only upstream", denied);
    totals.case(
        &format!("{name}: each request has one record, and there are no others"),
        told(all_there(&stage, records.len())),
    );
    table.note(format!(
        "{name}: {} requests, {} records, {} requests at the forbidden upstream; {} descriptors before and {left} after, memory {} kB before and {memory} kB after",
        stage.asked.values().map(Vec::len).sum::<usize>(),
        records.len(),
        stage.upstreams.seen_as(Role::Forbidden),
        before.0,
        before.1,
    ));
    Ok(())
}

/// As many records as requests.
fn all_there(stage: &Stage, records: usize) -> Result<()> {
    let asked: usize = stage.asked.values().map(Vec::len).sum();
    expect(records == asked, || {
        format!("{asked} requests, {records} records")
    })
}

fn expect(holds: bool, why: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { bail!("{}", why()) }
}

/// One row: callers at once while it goes wrong, then until it is well again.
fn through(stage: &mut Stage, gateway: &Gateway, row: &Row, routing: Routing) -> Result<Duration> {
    stage.upstreams.heal(row, false);
    stage.upstreams.forget_endless();
    let seen = stage.crowd(gateway.data, row);
    stage.upstreams.heal(row, true);
    if row.fault == Fault::Reports {
        restore(stage, gateway, row, routing)?;
    }
    let recovered = stage.recovers(gateway.data, row.name)?;
    for asked in seen {
        let expected = match row.callers {
            Callers::Well | Callers::SendSlowly => routing.allows(row, asked.kind, asked.view),
            Callers::HangUp | Callers::StopSending | Callers::Unread => asked.view == View::HungUp,
        };
        ensure!(
            expected,
            "a caller of {:?} saw {:?}",
            asked.kind,
            asked.view
        );
    }
    if row.callers == Callers::Unread {
        let sent = stage.upstreams.endless().0;
        ensure!(sent > 0, "nothing was sent");
        ensure!(
            sent <= UNREAD_BYTES_MAX,
            "{sent} bytes were taken for a caller who does not read"
        );
    }
    Ok(recovered)
}

/// Puts a target into service again that answered as another model, as an administrator does.
fn restore(stage: &Stage, gateway: &Gateway, row: &Row, routing: Routing) -> Result<()> {
    let (name, token) = (format!("faulty-{}", row.name), stage.setup.admin_token()?);
    let listed = get(gateway.admin, "/api/targets", &token)?;
    let listed: Value = serde_json::from_slice(&listed.body)?;
    let suspended = listed.get("suspended").and_then(Value::as_array);
    let model = suspended.into_iter().flatten().find_map(|one| {
        let is_it = text(one, "upstream") == name;
        is_it.then(|| text(one, "model").to_owned())
    });
    let model = model.with_context(|| {
        format!(
            "with routing {}, `{name}` is not out of service",
            routing.name()
        )
    })?;
    let body = json!({"upstream": name, "model": model}).to_string();
    let asked = ask(
        gateway.admin,
        "/api/targets/restore",
        Some(&token),
        body.as_bytes(),
    )?;
    let answer = read_answer(asked)?;
    expect(answer.status == 200, || {
        format!("it is not restored: {}", answer.status)
    })
}

/// How many descriptors are open once nothing more changes.
fn settled(gateway: &Gateway) -> Result<usize> {
    let (begun, mut same) = (Instant::now(), 0);
    let mut last = gateway.descriptors()?;
    while same < 25 && begun.elapsed() < PATIENCE {
        thread::sleep(LOOK_EVERY);
        let now = gateway.descriptors()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

/// Looks until it is as wanted.
fn until<T: std::fmt::Debug>(
    mut look: impl FnMut() -> Result<T>,
    wanted: impl Fn(&T) -> bool,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let now = look()?;
        if wanted(&now) {
            return Ok(now);
        }
        ensure!(begun.elapsed() < PATIENCE, "it stays at {now:?}");
        thread::sleep(LOOK_EVERY);
    }
}
