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
mod served;

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use crate::console;
use crate::generate;
use crate::mock::Mock;
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
pub(crate) use served::{Duties, Running, Served};

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
