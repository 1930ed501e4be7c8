//! The replay differential: every recorded exchange of a served API gives a client through the gateway what it
//! gives without, however the answer is cut on its way.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use super::gateway::Setup;
use super::script::Script;
use super::{LANGUAGES, WORKLOAD};
use crate::console;
use crate::generate;
use crate::mock::{Answer, CUTS, Exchange, Mock, ask, read_answer};
use crate::steps::Bench;
use crate::totals::Totals;

/// Ids of exchanges that the gateway refuses for a field that would lead the prompt elsewhere.
const REFUSED: &str = "tests/clients/replay/refused.txt";
/// Code of such a refusal.
const FIELD_REFUSED: &str = "field_refused";
/// Headers that belong to the answer's meaning and must arrive as they were sent.
const MEANINGFUL: [&str; 3] = ["content-type", "retry-after", "x-should-retry"];

pub(crate) fn replay(bench: &Bench<'_>) -> Result<Totals> {
    let Some(folder) = bench.repo.shared("cassettes/normalized") else {
        return Ok(Totals::not_run(
            "replay: the recorded exchanges (../shared/cassettes) are not there",
        ));
    };
    generate::build(bench.repo)?;
    let mock = Mock::start(0, Some(&folder))?;
    let models: BTreeSet<&str> = mock.exchanges().iter().map(|e| e.model.as_str()).collect();
    let entries: Vec<String> = models
        .iter()
        .map(|model| format!("{{ name = {} }}", Value::from(*model)))
        .collect();
    let setup = Setup::new(bench.repo, "replay")?
        .with("mock", &mock.url())
        .with("models", &entries.join(",\n  "));
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    console::say(format_args!(
        "{} exchanges, {} models",
        mock.exchanges().len(),
        models.len()
    ));

    let mut totals = Totals::default();
    let refused: BTreeSet<String> = bench
        .repo
        .read(REFUSED)?
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let mut run = Run {
        mock: &mock,
        gateway: gateway.data,
        key: &key,
        refused: &refused,
        met: BTreeSet::new(),
    };
    for cut in CUTS {
        let before = (totals.passed, totals.failed);
        for exchange in mock.exchanges() {
            let name = format!("bytes of {} in pieces of {cut}", exchange.id);
            totals.case(
                &name,
                run.compare(exchange, *cut)
                    .map_err(|error| format!("{error:#}")),
            );
        }
        console::say(format_args!(
            "bytes, pieces of {cut}: {} passed, {} failed",
            totals.passed - before.0,
            totals.failed - before.1
        ));
    }
    let stale: Vec<_> = refused.difference(&run.met).cloned().collect();
    let result = if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("not refused any more: {}", stale.join(", ")))
    };
    totals.case(&format!("{REFUSED} names only what is refused"), result);

    for language in LANGUAGES {
        Script {
            language,
            name: "replay",
            mock: &mock.url(),
            gateway: &gateway.url(),
            key: &key,
        }
        .run(bench, &mut totals)?;
    }
    totals.case(
        "the gateway stops when told to",
        gateway.stop().map_err(|error| format!("{error:#}")),
    );
    totals.case(
        "the log verifies",
        setup.verify().map_err(|error| format!("{error:#}")),
    );
    Ok(totals)
}

struct Run<'a> {
    mock: &'a Mock,
    gateway: SocketAddr,
    key: &'a str,
    refused: &'a BTreeSet<String>,
    /// Refusals met, to find stale entries of the list.
    met: BTreeSet<String>,
}

impl Run<'_> {
    /// Asks the mock itself, then the gateway, and compares what comes back byte by byte.
    fn compare(&mut self, exchange: &Exchange, cut: usize) -> Result<()> {
        self.mock.arm(&exchange.id, cut)?;
        let body = exchange.request.as_bytes();
        let path = &*exchange.path;
        let direct = read_answer(ask(self.mock.address(), path, None, body)?)
            .context("without the gateway")?;
        let before = self.mock.seen().len();
        let through = read_answer(ask(self.gateway, path, Some(self.key), body)?)
            .context("through the gateway")?;
        if refusal(&through) {
            anyhow::ensure!(
                self.refused.contains(&exchange.id),
                "refused, and not listed in {REFUSED}: {}",
                text(&through)
            );
            anyhow::ensure!(
                self.mock.seen().len() == before,
                "refused, and yet it reached the upstream"
            );
            self.met.insert(exchange.id.clone());
            return Ok(());
        }
        let difference = difference(&direct, &through);
        anyhow::ensure!(difference.is_none(), "{}", difference.unwrap_or_default());
        Ok(())
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body)
        .chars()
        .take(400)
        .collect()
}

/// Whether the gateway refused the request for one of its fields.
fn refusal(answer: &Answer) -> bool {
    let code = || {
        serde_json::from_slice::<Value>(&answer.body)
            .ok()?
            .pointer("/error/code")?
            .as_str()
            .map(str::to_owned)
    };
    answer.status == 400
        && answer.headers.contains_key("carnet-record")
        && code().as_deref() == Some(FIELD_REFUSED)
}

/// How two answers differ, if they do.
fn difference(direct: &Answer, through: &Answer) -> Option<String> {
    if direct.status != through.status {
        return Some(format!(
            "status {} became {}: {}",
            direct.status,
            through.status,
            text(through)
        ));
    }
    for name in MEANINGFUL {
        let (was, is) = (direct.headers.get(name), through.headers.get(name));
        if was != is {
            return Some(format!("{name} {was:?} became {is:?}"));
        }
    }
    if direct.complete != through.complete {
        return Some(format!(
            "complete was {}, is {}",
            direct.complete, through.complete
        ));
    }
    if direct.body == through.body {
        return None;
    }
    let at = direct
        .body
        .iter()
        .zip(&through.body)
        .take_while(|(a, b)| a == b)
        .count();
    let near = |body: &[u8]| {
        String::from_utf8_lossy(body.get(at.saturating_sub(20)..).unwrap_or_default())
            .chars()
            .take(80)
            .collect::<String>()
    };
    Some(format!(
        "bodies differ at byte {at}: `{}` became `{}`",
        near(&direct.body),
        near(&through.body)
    ))
}
