//! The replay differential: every recorded exchange of a served API gives a client through the gateway what it
//! gives without, however the answer is cut on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::gateway::{Gateway, Setup, model_entries};
use super::outcome::{BYTES, Outcomes, Verdict};
use super::script::{Script, Suite};
use super::{WORKLOAD, finish};
use crate::conformance::{PAGE, page};
use crate::console;
use crate::generate;
use crate::mock::{Answer, CUTS, End, Exchange, Manner, Mock, ask, read_answer};
use crate::steps::Bench;
use crate::totals::Totals;

/// Ids of exchanges that the gateway refuses for a field that would lead the prompt elsewhere.
const REFUSED: &str = "tests/clients/replay/refused.txt";
/// Codes of such refusals. The last two are given where an upstream may keep responses, to requests that name one.
const REFUSALS: [(u16, &str); 4] = [
    (400, "field_refused"),
    (400, "invalid_json"),
    (404, "previous_response_not_found"),
    (404, "state_not_found"),
];
/// Headers that belong to the answer's meaning and must arrive as they were sent.
const MEANINGFUL: [&str; 3] = ["content-type", "retry-after", "x-should-retry"];
/// Open Responses, as data.
const RESPONSES: &str = "specs/openresponses.json";
/// Long enough to be seen as a silence between two packets.
const PAUSE: Duration = Duration::from_millis(20);
/// How answers are cut under a policy that obliges.
const OBLIGED_CUT: usize = 37;
/// Longer than any abort may take to arrive.
const HOLD: Duration = Duration::from_secs(10);
/// What the upstream may have to wait for the hang-up of a caller.
const ABORT_TIME_MAX: Duration = Duration::from_secs(1);

/// What the policy of the replay demands.
#[derive(Clone, Copy)]
enum Rules {
    /// Nothing.
    Permitting,
    /// That nothing is stored, at upstreams that would.
    Obliging,
}

/// The scripts that put clients before both sides, each with the environment it runs in.
const SUITES: [Suite; 7] = [
    Suite::new("python", "replay"),
    Suite::new("node", "replay"),
    Suite::new("node", "replay-ai-sdk"),
    Suite::new("node", "replay-langchain"),
    Suite::new("python", "replay_langchain"),
    Suite::new("python", "replay_litellm"),
    Suite::new("rust", "replay"),
];

/// The step of the test command.
pub(crate) fn replay(bench: &Bench<'_>) -> Result<Totals> {
    run(bench, &mut Outcomes::default())
}

/// Replays everything and keeps what became of each exchange.
pub(crate) fn run(bench: &Bench<'_>, outcomes: &mut Outcomes) -> Result<Totals> {
    let Some(folder) = bench.repo.shared("cassettes/normalized") else {
        return Ok(Totals::not_run(
            "replay: the recorded exchanges (../shared/cassettes) are not there",
        ));
    };
    generate::build(bench.repo)?;
    let mock = Mock::start(0, Some(&folder))?;
    outcomes.exchanges = mock.exchanges().to_vec();
    outcomes.unserved = mock.unserved().to_vec();
    let setup = setup(bench, &mock, Rules::Permitting)?;
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    console::say(format_args!(
        "{} exchanges, {} more of what is not served",
        mock.exchanges().len(),
        mock.unserved().len()
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
        key: key.clone(),
        refused: &refused,
        met: BTreeSet::new(),
        outcomes,
    };
    run.all(&mut totals);
    obliged(bench, &mut run, &mut totals)?;
    let stale: Vec<_> = refused.difference(&run.met).cloned().collect();
    let result = if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("not refused any more: {}", stale.join(", ")))
    };
    totals.case(&format!("{REFUSED} names only what is refused"), result);

    for suite in SUITES {
        let begun = Instant::now();
        let script = Script {
            suite,
            mock: &mock.url(),
            gateway: &gateway.url(),
            key: &key,
        };
        let report = script.run(bench, &mut totals)?;
        outcomes.all.extend(report.outcomes);
        console::say(format_args!("  {:.0} s", begun.elapsed().as_secs_f64()));
    }
    events(bench, &mock, &gateway, &key, &mut totals)?;
    let current = bench.repo.read(PAGE).unwrap_or_default() == page(bench.repo, outcomes)?;
    let result = if current {
        Ok(())
    } else {
        Err("run `cargo xtask conformance --write`, and read what changed".to_owned())
    };
    totals.case(&format!("{PAGE} says what ran"), result);
    finish(gateway, &setup, &mut totals);
    Ok(totals)
}

/// The same under a policy that obliges. Clients come before it in a full run.
fn obliged(bench: &Bench<'_>, run: &mut Run<'_>, totals: &mut Totals) -> Result<()> {
    let setup = setup(bench, run.mock, Rules::Obliging)?;
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    let plain = mem::replace(&mut run.gateway, gateway.data);
    let plain = (plain, mem::replace(&mut run.key, key.clone()));
    let manner = Manner {
        step: OBLIGED_CUT,
        pause: None,
    };
    run.every(
        totals,
        "obliged",
        |_| true,
        |run, exchange| run.compare(exchange, manner),
    );
    (run.gateway, run.key) = plain;
    if bench.full {
        for suite in SUITES {
            let script = Script {
                suite,
                mock: &run.mock.url(),
                gateway: &gateway.url(),
                key: &key,
            };
            script.run(bench, totals)?;
        }
    }
    finish(gateway, &setup, totals);
    Ok(())
}

/// What the gateway emits in the Responses dialect of its own, whatever the upstream speaks.
fn events(
    bench: &Bench<'_>,
    mock: &Mock,
    gateway: &Gateway,
    key: &str,
    totals: &mut Totals,
) -> Result<()> {
    let Some(description) = bench.repo.shared(RESPONSES) else {
        let why =
            format!("events of Responses: the description (../shared/{RESPONSES}) is not there");
        totals.add(Totals::not_run(why));
        return Ok(());
    };
    let script = Script {
        suite: Suite::new("python", "replay_events"),
        mock: &mock.url(),
        gateway: &gateway.url(),
        key,
    };
    script.with_file(bench, &description, totals).map(drop)
}

/// The gateway's configuration: the mock as three services, each with the models that were asked of it.
fn setup(bench: &Bench<'_>, mock: &Mock, rules: Rules) -> Result<Setup> {
    let mut models: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for exchange in mock.exchanges() {
        let service = match exchange.path.split('/').nth(1) {
            Some("model") => "bedrock",
            Some("v1beta") => "google",
            _ => "models",
        };
        models.entry(service).or_default().insert(&exchange.model);
    }
    let (name, pack, kept) = match rules {
        Rules::Permitting => ("replay", "policy", "false"),
        Rules::Obliging => ("replay-obliged", "obliged", "true"),
    };
    let mut setup = Setup::named(bench.repo, "replay", name)?
        .with("pack", pack)
        .with("kept", kept)
        .with("mock", &mock.url());
    for service in ["bedrock", "google", "models"] {
        setup = setup.with(
            service,
            &model_entries(models.remove(service).unwrap_or_default()),
        );
    }
    Ok(setup)
}

struct Run<'a> {
    mock: &'a Mock,
    gateway: SocketAddr,
    key: String,
    refused: &'a BTreeSet<String>,
    /// Refusals met, to find stale entries of the list.
    met: BTreeSet<String>,
    outcomes: &'a mut Outcomes,
}

impl Run<'_> {
    /// Every exchange: cut in every way, with a silence in its middle, and left in its middle.
    fn all(&mut self, totals: &mut Totals) {
        for cut in CUTS {
            let manner = Manner {
                step: *cut,
                pause: None,
            };
            self.every(
                totals,
                &cut.to_string(),
                |_| true,
                |run, exchange| run.compare(exchange, manner),
            );
        }
        let streamed = |e: &Exchange| e.is_event_stream() && e.status == 200;
        let silent = Manner {
            step: 0,
            pause: Some(PAUSE),
        };
        self.every(totals, "pause", streamed, |run, exchange| {
            run.compare(exchange, silent)
        });
        self.every(totals, "abort", streamed, Self::abort);
    }

    fn every(
        &mut self,
        totals: &mut Totals,
        manner: &str,
        wanted: impl Fn(&Exchange) -> bool,
        mut check: impl FnMut(&mut Self, &Exchange) -> Result<Verdict>,
    ) {
        let before = (totals.passed, totals.failed);
        let mock = self.mock;
        for exchange in mock.exchanges().iter().filter(|e| wanted(e)) {
            let (verdict, result) = match check(self, exchange) {
                Ok(verdict) => (verdict, Ok(())),
                Err(error) => (Verdict::Differs, Err(format!("{error:#}"))),
            };
            let why = result.as_ref().err().map_or("", String::as_str);
            self.outcomes
                .push(BYTES, &exchange.id, manner, verdict, why);
            totals.case(&format!("bytes of {}, {manner}", exchange.id), result);
        }
        console::say(format_args!(
            "bytes, {manner}: {} passed, {} failed",
            totals.passed - before.0,
            totals.failed - before.1
        ));
    }

    /// Asks the mock itself, then the gateway, and compares byte by byte what goes up and what comes back.
    fn compare(&mut self, exchange: &Exchange, manner: Manner) -> Result<Verdict> {
        self.mock.arm(&exchange.id, manner)?;
        let body = exchange.request.as_bytes();
        let path = &*exchange.path;
        let direct = read_answer(ask(self.mock.address(), path, None, body)?)
            .context("without the gateway")?;
        let before = self.mock.seen_count();
        let through = read_answer(ask(self.gateway, path, Some(&self.key), body)?)
            .context("through the gateway")?;
        if self.is_listed_refusal(exchange, &through, before)? {
            return Ok(Verdict::Refused);
        }
        let difference = difference(&direct, &through);
        anyhow::ensure!(difference.is_none(), "{}", difference.unwrap_or_default());
        let seen = self.mock.seen_from(before);
        let [sent] = seen.as_slice() else {
            anyhow::bail!("the upstream saw {} requests", seen.len());
        };
        anyhow::ensure!(
            sent.body == exchange.request || is_edited(exchange, &sent.body),
            "the upstream was asked otherwise: `{}`",
            sent.body.chars().take(400).collect::<String>()
        );
        Ok(Verdict::Same)
    }

    /// Hangs up in the middle of an answer: the upstream must see it soon.
    fn abort(&mut self, exchange: &Exchange) -> Result<Verdict> {
        // That these never reach the upstream is seen where they are compared.
        if self.refused.contains(&exchange.id) {
            return Ok(Verdict::Refused);
        }
        self.mock.arm(
            &exchange.id,
            Manner {
                step: 0,
                pause: Some(HOLD),
            },
        )?;
        let before = self.mock.seen_count();
        let mut stream = ask(
            self.gateway,
            &exchange.path,
            Some(&self.key),
            exchange.request.as_bytes(),
        )?;
        stream.read_exact(&mut [0; 12]).context("no answer")?;
        drop(stream);
        let begun = Instant::now();
        loop {
            let seen = self.mock.seen_from(before);
            match seen.first().and_then(|seen| seen.end) {
                Some(End::ClosedByPeer) => return Ok(Verdict::Same),
                Some(end) => anyhow::bail!("it ended as {end:?}"),
                None => {}
            }
            anyhow::ensure!(
                begun.elapsed() < ABORT_TIME_MAX,
                "the upstream saw nothing of it within {ABORT_TIME_MAX:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether the gateway refused the request for one of its fields; it must be listed then, and not have gone up.
    fn is_listed_refusal(
        &mut self,
        exchange: &Exchange,
        answer: &Answer,
        before: usize,
    ) -> Result<bool> {
        if !is_refusal(answer) {
            return Ok(false);
        }
        anyhow::ensure!(
            self.refused.contains(&exchange.id),
            "refused, and not listed in {REFUSED}: {}",
            text(answer)
        );
        anyhow::ensure!(
            self.mock.seen_count() == before,
            "refused, and yet it reached the upstream"
        );
        self.met.insert(exchange.id.clone());
        Ok(true)
    }
}

/// Whether a body went up with one of the two edits that same-dialect requests may get: a service that keeps exchanges
/// unless told is told not to, and a model in the body goes where the path decides.
fn is_edited(exchange: &Exchange, sent: &str) -> bool {
    if sent == exchange.request.replacen('{', "{\"store\":false,", 1) {
        return true;
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let mut without_model = read(&exchange.request);
    if let Some(Value::Object(members)) = &mut without_model {
        members.remove("model");
    }
    exchange.path.contains(&exchange.model) && without_model == read(sent)
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body)
        .chars()
        .take(400)
        .collect()
}

/// Whether the gateway refused the request for one of its fields. Every dialect's error has the code in it.
fn is_refusal(answer: &Answer) -> bool {
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    answer.headers.contains_key("carnet-record")
        && REFUSALS
            .iter()
            .any(|(status, code)| *status == answer.status && body.contains(code))
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
