//! What operators look at: the shipped rules, alerts and dashboard before a real Prometheus that reads a running product, and
//! telemetry read by OpenTelemetry's own classes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::gateway::{Gateway, Setup};
use super::script::{Script, Suite};
use super::{WORKLOAD, finish, nobody};
use crate::console;
use crate::exec;
use crate::generate;
use crate::mock::{Mock, ask, get, read_answer};
use crate::steps::Bench;
use crate::tools;
use crate::totals::Totals;

const RULES: &str = "packaging/prometheus";
const DASHBOARD: &str = "packaging/grafana/carnet.json";
/// Prometheus is asked again until it has what is looked for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What Grafana puts in the place of its variables.
const VARIABLES: [(&str, &str); 4] = [
    ("$job", ".*"),
    ("$instance", ".*"),
    ("$__rate_interval", "1m"),
    ("$__range", "1h"),
];

/// The step.
pub(crate) fn observe(bench: &Bench<'_>) -> Result<Totals> {
    generate::build(bench.repo)?;
    let mut totals = Totals::default();
    let mock = Mock::start(0, None)?;
    let collector = nobody()?;
    let setup = Setup::new(bench.repo, "observe")?
        .with("mock", &mock.url())
        .with("collector", &collector.to_string());
    let folder = bench.repo.target().join("suites/observe");
    let address = folder.join("collector");
    fs::write(&address, collector.to_string())?;
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    let script = Script {
        suite: Suite::new("python", "otlp"),
        mock: &mock.url(),
        gateway: &gateway.url(),
        key: &key,
    };
    script.with_file(bench, &address, &mut totals)?;
    match tools::for_observation(bench.repo)? {
        Some(prometheus) => {
            let rules = bench.repo.path(RULES);
            promtool(&prometheus.promtool, &rules, &mut totals)?;
            let dashboard = bench.repo.read(DASHBOARD)?;
            let running = Prometheus::start(&prometheus.prometheus, &folder, &rules, &gateway)?;
            let more = || asked(gateway.data, &key);
            running.judge(&dashboard, more, &mut totals);
        }
        None => totals.add(Totals::not_run(
            "observe: Prometheus is not there, and Debian's package tools are not either",
        )),
    }
    let lines = fs::read_to_string(folder.join("access.log")).unwrap_or_default();
    totals.case(
        "the access log has lines",
        if lines.contains("\"closed-observe\"") {
            Ok(())
        } else {
            Err(lines)
        },
    );
    finish(gateway, &setup, &mut totals);
    Ok(totals)
}

fn promtool(program: &Path, rules: &Path, totals: &mut Totals) -> Result<()> {
    let mut alerts = 0;
    for line in fs::read_to_string(rules.join("alerts.yml"))?.lines() {
        let Some(alert) = line.trim().strip_prefix("- alert: ") else {
            continue;
        };
        alerts += 1;
        let tests = fs::read_to_string(rules.join("tests.yml"))?;
        totals.case(
            &format!("{alert} has a test"),
            if tests.contains(&format!("alertname: {alert}\n")) {
                Ok(())
            } else {
                Err("tests.yml does not name it".to_owned())
            },
        );
    }
    console::say(format_args!("{alerts} alerts"));
    for words in [
        &["check", "rules", "rules.yml", "alerts.yml"][..],
        &["test", "rules", "tests.yml"],
    ] {
        let said = exec::output(Command::new(program).args(words).current_dir(rules));
        let result = said.map(drop).map_err(|error| format!("{error:#}"));
        totals.case(&format!("promtool {}", words.join(" ")), result);
    }
    Ok(())
}

/// A running Prometheus that reads the product; killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(program: &Path, folder: &Path, rules: &Path, gateway: &Gateway) -> Result<Self> {
        let address = nobody()?;
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{:?}, {:?}]\n\
             scrape_configs:\n\
             - job_name: carnet\n\
             \x20 authorization: {{ credentials_file: {:?} }}\n\
             \x20 static_configs: [{{ targets: [\"{}\"] }}]\n",
            rules.join("rules.yml"),
            rules.join("alerts.yml"),
            folder.join("state/metrics.token"),
            gateway.admin,
        );
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let flag = |name: &str, value: PathBuf| format!("--{name}={}", value.display());
        let log = fs::File::create(folder.join("prometheus.log"))?;
        let child = Command::new(program)
            .arg(flag("config.file", file))
            .arg(flag("storage.tsdb.path", folder.join("tsdb")))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start Prometheus")?;
        Ok(Self { child, address })
    }

    /// `more` sends another request: a rate needs one between two looks.
    fn judge(&self, dashboard: &str, more: impl Fn() -> Result<()>, totals: &mut Totals) {
        let told = |result: Result<()>| result.map_err(|error| format!("{error:#}"));
        totals.case(
            "Prometheus reads the product",
            told(self.until("sum(carnet_requests_total) > 0 and min(up) == 1")),
        );
        totals.case("requests go on", told(more()));
        totals.case(
            "the recorded rules have values",
            told(self.until("job_stage:carnet_stage_duration_seconds:p95_rate5m > 0")),
        );
        totals.case(
            "an alert on lost telemetry looks at what is there",
            told(self.until("carnet_telemetry_spans_total{result=\"sent\"} > 0")),
        );
        totals.case("every rule can be evaluated", told(self.rules()));
        totals.case(
            "every panel of the dashboard can be evaluated",
            told(self.panels(dashboard)),
        );
    }

    /// Ask until a query has a result.
    fn until(&self, query: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = self.query(query);
            if found.as_ref().is_ok_and(|found| !found.is_empty()) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("`{query}` stays without a result: {found:?}");
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn query(&self, query: &str) -> Result<Vec<Value>> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(query)))?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        result
            .cloned()
            .with_context(|| format!("`{query}`: {answer}"))
    }

    fn rules(&self) -> Result<()> {
        let answer = self.ask("/api/v1/rules")?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        let groups = groups.into_iter().flatten();
        let rules: Vec<&Value> = groups
            .filter_map(|group| group.get("rules")?.as_array())
            .flatten()
            .collect();
        let bad = rules
            .iter()
            .find(|rule| rule.get("health") != Some(&"ok".into()));
        match bad {
            Some(bad) => bail!("{bad:#}"),
            None if rules.is_empty() => bail!("there are no rules: {answer}"),
            None => Ok(()),
        }
    }

    fn panels(&self, dashboard: &str) -> Result<()> {
        let dashboard: Value = serde_json::from_str(dashboard)?;
        let panels = dashboard.get("panels").and_then(Value::as_array);
        let targets = panels
            .into_iter()
            .flatten()
            .filter_map(|panel| panel.get("targets")?.as_array())
            .flatten();
        let mut count = 0;
        for target in targets {
            let expr = target.get("expr").and_then(Value::as_str);
            let mut query = expr.context("a target has no `expr`")?.to_owned();
            for (name, value) in VARIABLES {
                query = query.replace(name, value);
            }
            self.query(&query)?;
            count += 1;
        }
        console::say(format_args!("{count} queries of the dashboard"));
        if count == 0 {
            bail!("the dashboard has no queries");
        }
        Ok(())
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let answer = get(self.address, path, "")?;
        serde_json::from_slice(&answer.body).with_context(|| {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            format!("{} answers {}: {body}", path, answer.status)
        })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and reads its answer.
fn asked(to: SocketAddr, key: &str) -> Result<()> {
    let messages = json!([{"role": "user", "content": "chunks=2 gap_ms=1"}]);
    let body = json!({"model": "mock-chat", "stream": true, "messages": messages}).to_string();
    let answer = read_answer(ask(to, "/v1/chat/completions", Some(key), body.as_bytes())?)?;
    if answer.status != 200 {
        bail!("the product answered {}", answer.status);
    }
    Ok(())
}

/// A text as it may stand in a query.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
