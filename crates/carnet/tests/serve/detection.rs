//! Detection: what a request holds is counted in its record and known to the rules, and its text is nowhere.

use serde_json::{Value, json};

use crate::conversations::{holds, state};
use crate::harness::upstream::COMPLETION;
use crate::harness::{Gateway, MODEL, Setup, Upstream};

const PACK: &str = r#"
name = "found"
title = "Found"
description = "What may go out."
mode = "enforce"
trust = "overlay"
"#;
const RULES: &str = r#"
@id("all")
@title("All may be used")
permit (principal, action, resource);
@id("no-secrets")
@title("No secrets go out")
forbid (principal, action, resource) when { principal.found.contains("secret/high") };
@id("looked-through")
@title("Only what was looked through")
forbid (principal, action, resource) unless { principal.found_known };
"#;

const CARD: &str = "4111 1111 1111 1111";
const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

fn asked(text: &str) -> String {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}]}).to_string()
}

fn found(record: &Value) -> Vec<String> {
    let detections = record["detections"].as_array();
    let word = |detection: &Value| {
        let text = |name: &str| detection[name].as_str().unwrap().to_owned();
        format!(
            "{}/{} {}",
            text("kind"),
            text("confidence"),
            detection["count"]
        )
    };
    detections.into_iter().flatten().map(word).collect()
}

async fn started(upstream: &Upstream, server: &str) -> Gateway {
    let setup = Setup::new(&upstream.base_url()).server(server);
    setup.write("found/pack.toml", PACK);
    setup.write("found/rules.cedar", RULES);
    setup.policy("packs = [\"found\"]").start().await
}

#[tokio::test]
async fn what_a_request_holds_is_counted_and_kept_nowhere() {
    let mut upstream = Upstream::start().await;
    let gateway = started(&upstream, "").await;
    let text = format!("card {CARD}\n\"{CARD}\" of jane.doe@acme.test");
    let (answer, ()) = tokio::join!(gateway.chat(asked(&text)), upstream.complete());
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    let record = gateway.record(&id).await;
    assert_eq!(
        found(&record),
        ["email-address/medium 1", "payment-card/high 2"]
    );
    let (answer, ()) = tokio::join!(gateway.chat(asked("hello")), upstream.complete());
    let id = answer.record();
    answer.text().await;
    let record = gateway.record(&id).await;
    assert_eq!(record.get("detections"), None);
    let cards = "carnet_detections_total{kind=\"payment-card\",confidence=\"high\"}";
    assert_eq!(gateway.counter(cards).await, 2);
    assert_eq!(gateway.counter("carnet_scans_total").await, 2);
    let all = state(&gateway);
    for planted in [CARD, "jane.doe"] {
        assert!(!holds(&all, planted), "{planted} lies on the disk");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn rules_decide_on_what_is_found() {
    let mut upstream = Upstream::start().await;
    let gateway = started(&upstream, "").await;
    let escaped = asked(TOKEN).replace("ghp_", "gh\\u0070_");
    let inner = json!({"token": TOKEN}).to_string();
    for body in [asked(TOKEN), escaped, asked(&inner)] {
        let refused = gateway.chat(body).await;
        let id = refused.record();
        refused.error(403, "policy_denied").await;
        let record = gateway.record(&id).await;
        assert_eq!(found(&record), ["github-token/high 1"]);
        assert_eq!(record["rules"], json!(["no-secrets"]));
    }
    assert!(upstream.is_untouched());
    // The same caller with another text: a decision of its own.
    let (answer, ()) = tokio::join!(gateway.chat(asked("hello")), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    // Put to the same rules again, the recorded requests are decided as they were.
    let config = gateway.setup.path("carnet.toml").display().to_string();
    let rules = gateway.setup.path("found").display().to_string();
    let simulated = gateway
        .carnet(&["policy", "simulate", &rules, "--json", "--config", &config])
        .await;
    let simulated: Value = serde_json::from_slice(&simulated.stdout).unwrap();
    let figures = [
        "requests",
        "newly_refused",
        "newly_let_through",
        "unchanged",
    ];
    let figures = figures.map(|name| simulated[name].as_u64().unwrap());
    assert_eq!(figures, [4, 0, 0, 4], "{simulated:#}");
    gateway.finish().await;
}

#[tokio::test]
async fn where_nobody_looks_nothing_is_known() {
    let upstream = Upstream::start().await;
    let gateway = started(&upstream, "detect = false").await;
    let refused = gateway.chat(asked(TOKEN)).await;
    let id = refused.record();
    refused.error(403, "policy_denied").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["rules"], json!(["looked-through"]));
    assert_eq!(record.get("detections"), None);
    assert_eq!(gateway.counter("carnet_scans_total").await, 0);
    gateway.finish().await;
}
