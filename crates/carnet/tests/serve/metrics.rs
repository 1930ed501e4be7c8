//! Counters and histograms: what requests leave in them, and that what is shipped to look at them names none that is not there.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::upstream::{COMPLETION, whole};
use crate::harness::{DENIED, Gateway, MODEL, RENAMED, Setup, Upstream, chat_body, entry, until};
use crate::reload::{generation, reloaded};

const LIMITS: &str = r#"
[[limit]]
name = "spending"
money = "1000 USD"
every = "day"
models = ["llama3.3:70b"]

[[limit]]
name = "tokens"
tokens = 100000
every = "day"

[[limit]]
name = "once"
requests = 1
every = "day"
models = ["house-model"]
"#;

/// A gateway whose requests touch every counter.
fn limited(upstream: &Upstream) -> Setup {
    let price = r#"price = { currency = "USD", input = "2", output = "10" }"#;
    let entry = entry("local", &upstream.base_url(), "").replace(
        "{ name = \"llama3.3:70b\" }",
        &format!("{{ name = \"llama3.3:70b\", {price} }}"),
    );
    Setup::with(&format!("{entry}\n{LIMITS}"))
}

async fn answered(gateway: &Gateway, upstream: &mut Upstream, answer: Vec<u8>) {
    let text = "to jane.doe@acme.test";
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    let (got, ()) = tokio::join!(gateway.chat(body.to_string()), async {
        let mut arrival = upstream.next().await;
        arrival.write(answer).await;
        arrival.end().await;
    });
    got.bytes().await;
}

fn with_usage() -> Vec<u8> {
    let mut answer: Value = serde_json::from_str(COMPLETION).unwrap();
    answer["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    whole("connection: close\r\n", answer.to_string().as_bytes())
}

/// An answer without success.
fn failed(status: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\ncontent-type: application/json");
    format!("{head}\r\nconnection: close\r\n\r\n{{}}").into_bytes()
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    let mut upstream = Upstream::start().await;
    let gateway = limited(&upstream).start().await;
    for answer in [
        with_usage(),
        with_usage(),
        failed("503 Service Unavailable"),
        failed("429 Too Many Requests"),
        failed("404 Not Found"),
    ] {
        answered(&gateway, &mut upstream, answer).await;
    }
    let denied = gateway.chat(chat_body(DENIED, false)).await;
    denied.error(403, "policy_denied").await;
    // The relay's record is closed behind the last byte.
    let count = async || {
        let done = "carnet_stage_duration_seconds_count{stage=\"total\"}";
        (gateway.counter(done).await == 6).then_some(())
    };
    until("all records", count).await;
    for (name, value) in [
        ("carnet_ready", 1),
        (
            "carnet_upstream_requests_total{upstream=\"local\",result=\"answered\"}",
            2,
        ),
        (
            "carnet_upstream_requests_total{upstream=\"local\",result=\"server-error\"}",
            1,
        ),
        (
            "carnet_upstream_requests_total{upstream=\"local\",result=\"rate-limited\"}",
            1,
        ),
        (
            "carnet_upstream_requests_total{upstream=\"local\",result=\"client-error\"}",
            1,
        ),
        (
            "carnet_upstream_requests_total{upstream=\"local\",result=\"no-answer\"}",
            0,
        ),
        ("carnet_upstream_open_requests{upstream=\"local\"}", 0),
        (
            "carnet_upstream_response_seconds_count{upstream=\"local\"}",
            5,
        ),
        (
            "carnet_upstream_tokens_total{upstream=\"local\",kind=\"input\"}",
            14,
        ),
        (
            "carnet_upstream_tokens_total{upstream=\"local\",kind=\"output\"}",
            6,
        ),
        ("carnet_stage_duration_seconds_count{stage=\"read\"}", 6),
        ("carnet_stage_duration_seconds_count{stage=\"detect\"}", 6),
        ("carnet_stage_duration_seconds_count{stage=\"decide\"}", 6),
        ("carnet_stage_duration_seconds_count{stage=\"prepare\"}", 5),
        ("carnet_stage_duration_seconds_count{stage=\"upstream\"}", 5),
        (
            "carnet_stage_duration_seconds_count{stage=\"first-piece\"}",
            5,
        ),
        (
            "carnet_stage_duration_seconds_bucket{le=\"+Inf\",stage=\"total\"}",
            6,
        ),
    ] {
        assert_eq!(gateway.counter(name).await, value, "{name}");
    }
    let text = gateway.metrics().await;
    let sum = |start: &str, with: &str| -> f64 {
        let lines = text
            .lines()
            .filter(|line| line.starts_with(start) && line.contains(with));
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!(sum("carnet_targets_decided_total{", "permit"), 5.0);
    assert_eq!(sum("carnet_targets_decided_total{", "deny"), 1.0);
    assert_eq!(
        sum("carnet_targets_decided_total{", "confidence=\"unknown\""),
        1.0
    );
    assert_eq!(sum("carnet_permits_by_rule_total{", ""), 5.0);
    assert!(sum("carnet_denials_by_rule_total{", "") >= 1.0);
    // Fourteen tokens for two and six for ten dollars a million.
    assert_eq!(sum("carnet_spend_total{", "currency=\"USD\""), 0.000_088);
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_that_is_gone_leaves_no_series() {
    let mut upstream = Upstream::start().await;
    let entries = ["local", "other"].map(|name| entry(name, &upstream.base_url(), ""));
    let mut gateway = Setup::with(&entries.concat()).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    answer.bytes().await;
    assert!(gateway.metrics().await.contains("upstream=\"other\""));
    let before = generation(&gateway).await;
    // Another setting makes another upstream, which counts on.
    let changed = gateway
        .setup
        .config()
        .replace(&entries[1], "")
        .replace("host = \"rack\"", "host = \"rack\"\nidle_seconds = 20");
    gateway.setup.write("carnet.toml", &changed);
    reloaded(&gateway, &before, "a changed file").await;
    let text = gateway.metrics().await;
    assert!(!text.contains("upstream=\"other\""), "{text}");
    let answers = "carnet_upstream_requests_total{upstream=\"local\",result=\"answered\"}";
    assert_eq!(gateway.counter(answers).await, 1);
    gateway.setup.write("carnet.toml", &changed);
    gateway.restart().await;
    gateway.finish().await;
}

/// All words that begin so, up to what no name has.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let words = text.split(|c| !is_part(c));
    let ours = words.filter(|word| word.starts_with("carnet_"));
    ours.map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_shipped_looks_at_nothing_that_is_not_served() {
    let mut upstream = Upstream::start().await;
    let gateway = limited(&upstream).start().await;
    answered(&gateway, &mut upstream, with_usage()).await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(RENAMED, false)), upstream.complete());
    answer.bytes().await;
    for model in [DENIED, RENAMED] {
        gateway.chat(chat_body(model, false)).await.bytes().await;
    }
    let served = until("what limits count", async || {
        let text = gateway.metrics().await;
        text.contains("carnet_spend_total").then_some(text)
    })
    .await;
    let served: BTreeSet<&str> = served
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let mut seen = BTreeSet::new();
    for file in [
        "grafana/carnet.json",
        "prometheus/alerts.yml",
        "prometheus/rules.yml",
        "prometheus/tests.yml",
    ] {
        let text = std::fs::read_to_string(packaging.join(file)).unwrap();
        for name in named(&text) {
            assert!(
                served.contains(&*name),
                "`{name}` of {file} is not in {served:#?}"
            );
            seen.insert(name);
        }
    }
    assert!(seen.len() > 30, "{seen:#?}");
    // And the guide has every one that is served.
    let guide = packaging.join("../docs/src/guides/observe.md");
    let guide = named(&std::fs::read_to_string(guide).unwrap());
    let family = |name: &str| {
        let ends = ["_bucket", "_count", "_sum"];
        let end = ends.iter().find_map(|end| name.strip_suffix(end));
        end.filter(|name| name.ends_with("_seconds"))
            .unwrap_or(name)
            .to_owned()
    };
    let untold: Vec<_> = served.iter().map(|name| family(name)).collect();
    let untold: Vec<_> = untold
        .iter()
        .filter(|name| !guide.contains(*name))
        .collect();
    assert!(untold.is_empty(), "the guide does not tell of {untold:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn the_dashboard_is_one_that_can_be_imported() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/grafana/carnet.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel:#}");
        assert!(
            !panel["targets"].as_array().unwrap().is_empty(),
            "{panel:#}"
        );
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24, "{panel:#}");
    }
}
