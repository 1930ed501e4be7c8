//! End-to-end suites: the built product between stock clients and the mock upstream.

mod agents;
mod bom;
mod described;
mod dice;
mod faults;
mod gateway;
mod hostile;
mod kill;
mod observe;
mod outcome;
mod replay;
mod script;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};

use crate::console;
use crate::generate;
use crate::mock::{Mock, ask, read_answer};
use crate::repo::Repo;
use crate::steps::Bench;
use crate::totals::Totals;

use gateway::{Gateway, Setup};
use script::{Script, Suite};

pub(crate) use agents::agents;
pub(crate) use described::described;
pub(crate) use faults::faults;
pub(crate) use hostile::hostile;
pub(crate) use kill::kill;
pub(crate) use observe::observe;
pub(crate) use outcome::{BYTES, Outcomes, Verdict};
pub(crate) use replay::{replay, run as replay_into};

/// The languages whose stock clients are put before the gateway.
const LANGUAGES: [&str; 2] = ["python", "node"];
/// What upstreams of each dialect answer, for the scripts that follow.
const ANSWERS: &str = "tests/clients/translated/answers.json";
/// Scripts that tell the mock what to answer.
const WITH_ANSWERS: [Suite; 3] = [
    Suite::new("python", "translated"),
    Suite::new("node", "translated"),
    Suite::new("python", "stored"),
];
/// The workload of the suites' configurations.
const WORKLOAD: &str = "suite";

/// Plain, streamed, cancelled, denied, wrong key, upstream down: with both clients, as they come.
pub(crate) fn suites(bench: &Bench<'_>) -> Result<Totals> {
    generate::build(bench.repo)?;
    let mock = Mock::start(0, None)?;
    let setup = Setup::new(bench.repo, "suite")?
        .with("mock", &mock.url())
        .with("down", &format!("http://{}", nobody()?));
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    let mut totals = Totals::default();
    let mut expected = Vec::new();
    for language in LANGUAGES {
        let script = Script {
            suite: Suite::new(language, "suite"),
            mock: &mock.url(),
            gateway: &gateway.url(),
            key: &key,
        };
        let report = script.run(bench, &mut totals)?;
        expected.extend(report.records);
    }
    let answers = bench.repo.path(ANSWERS);
    for suite in WITH_ANSWERS {
        let script = Script {
            suite,
            mock: &mock.url(),
            gateway: &gateway.url(),
            key: &key,
        };
        script.with_file(bench, &answers, &mut totals)?;
    }
    finish(gateway, &setup, &mut totals);
    let records = setup.records()?;
    for (requested, count) in expected {
        let found = records
            .iter()
            .filter(|record| record.requested == requested)
            .count();
        let result = if found == count {
            Ok(())
        } else {
            Err(format!("expected {count} records, found {found}"))
        };
        totals.case(&format!("records of requests for `{requested}`"), result);
    }
    console::say(format_args!("{} records in the log", records.len()));
    bom::check(bench, setup.config(), &mut totals)?;
    Ok(totals)
}

/// The last two cases of every suite.
fn finish(gateway: Gateway, setup: &Setup, totals: &mut Totals) {
    totals.case(
        "the gateway stops when told to",
        gateway.stop().map_err(|error| format!("{error:#}")),
    );
    totals.case(
        "the log verifies",
        setup.verify().map_err(|error| format!("{error:#}")),
    );
}

/// A loopback address at which nobody listens: a port that was free a moment ago.
fn nobody() -> Result<std::net::SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// The product as the benchmark starts it.
pub(crate) struct Served {
    pub(crate) key: String,
    pub(crate) start: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    setup: Setup,
}

/// Prepares configuration, policy and key of the benchmark for this build of the product.
pub(crate) fn serve_for_benchmark(
    repo: &Repo,
    carnet: &Path,
    port: u16,
    engine: &str,
    decisions_max: usize,
) -> Result<Served> {
    let setup = Setup::named(repo, "bench", &format!("bench-{port}"))?
        .with("port", &port.to_string())
        .with("decisions_max", &decisions_max.to_string())
        .with("engine", engine)
        .of(carnet);
    let key = setup.key(WORKLOAD)?;
    Ok(Served {
        key,
        start: setup.start_words(),
        env: gateway::environment(),
        setup,
    })
}

impl Served {
    /// Starts it outside the benchmark.
    pub(crate) fn run(&self) -> Result<Running<'_>> {
        Ok(Running {
            gateway: self.setup.start()?,
            served: self,
        })
    }
}

/// The product, running for a count.
pub(crate) struct Running<'a> {
    gateway: Gateway,
    served: &'a Served,
}

impl Running<'_> {
    /// Sends the same request so many times; how many were answered with 200.
    pub(crate) fn answered(&self, body: &str, times: usize) -> usize {
        let once = || {
            read_answer(ask(
                self.gateway.data,
                "/v1/chat/completions",
                Some(&self.served.key),
                body.as_bytes(),
            )?)
        };
        (0..times)
            .filter(|_| once().is_ok_and(|answer| answer.status == 200 && answer.complete))
            .count()
    }

    /// CPU time of the gateway's process so far, in microseconds; engines are processes of their own.
    pub(crate) fn cpu_us(&self) -> Result<f64> {
        self.gateway.cpu_us()
    }

    /// A counter, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<usize> {
        self.gateway
            .metric(name, &self.served.setup.metrics_token()?)
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.gateway.stop()
    }
}
