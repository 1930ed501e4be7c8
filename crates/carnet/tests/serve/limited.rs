//! Limits: what comes under one that is used up is refused before it is sent, and nothing else counts.

use std::pin::pin;
use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::sleep;

use crate::harness::upstream::{COMPLETION, DONE, LAST_CHUNK};
use crate::harness::{
    Answer, DENIED, Gateway, MODEL, RENAMED, Setup, Upstream, chat_body, entry, until, with_key,
};
use crate::reload::{generation, reloaded};

const CODE: &str = "limit_reached";

/// A gateway before one upstream, with this limit and what else is configured.
fn limited(upstream: &Upstream, limit: &str) -> Setup {
    let entry = entry("local", &upstream.base_url(), "");
    Setup::with(&format!("{entry}\n[[limit]]\n{limit}\n"))
}

/// A request that is let through.
async fn passes(gateway: &Gateway, upstream: &mut Upstream) {
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
}

/// A request with another key.
async fn asked_with(gateway: &Gateway, key: &str) -> Answer {
    let request = with_key(gateway.chat_request(chat_body(MODEL, false)), key);
    gateway.send(request).await
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_never_sent() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\nrequests = 2\nevery = \"day\"\nper = [\"key\"]";
    let gateway = limited(&upstream, limit).start().await;
    for _ in 0..2 {
        passes(&gateway, &mut upstream).await;
    }
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    let id = refused.record();
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=24 * 3600).contains(&wait), "{wait}");
    assert_eq!(refused.header("x-should-retry"), "false");
    let error = refused.error(429, CODE).await;
    let message = error["message"].as_str().unwrap();
    assert_eq!(
        message,
        format!(
            "`daily` lets this key send 2 requests, and they are used up; ask again in {wait} seconds"
        )
    );
    // Another key of the same workload is counted apart.
    let (_, other) = gateway.new_key().await;
    let (answer, ()) = tokio::join!(asked_with(&gateway, &other), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    assert!(upstream.is_untouched());
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "refused");
    assert_eq!(record["decision"], "permit");
    assert_eq!(record["detail"], "the limit `daily` is used up");
    assert_eq!(record.get("attempts"), None);
    let counted = gateway
        .counter("carnet_limited_total{limit=\"daily\"}")
        .await;
    assert_eq!(counted, 1);
    gateway.finish().await;
}

#[tokio::test]
async fn each_dialect_tells_it_in_its_own_shape() {
    let mut upstream = Upstream::start().await;
    let gateway = limited(&upstream, "name = \"none\"\nrequests = 0\nevery = \"1h\"")
        .start()
        .await;
    let told = async |path: &str, body: &str| -> Value {
        let request = gateway.request(Method::POST, path, body.to_owned());
        let answer = gateway.send(request).await;
        assert_eq!(answer.status.as_u16(), 429, "{path}");
        assert_eq!(answer.header("retry-after"), "", "{path}");
        answer.json().await
    };
    let chat = told("/v1/chat/completions", &chat_body(MODEL, false)).await;
    let message = "`none` lets all callers send no request; ask your operator to raise it";
    assert_eq!(chat["error"]["message"], message);
    assert_eq!(chat["error"]["type"], "rate_limit_error");
    let messages =
        r#"{"model":"house-model","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let messages = told("/v1/messages", messages).await;
    assert_eq!(messages["error"]["type"], "rate_limit_error");
    let contents = r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#;
    let google = told("/v1beta/models/house-model:generateContent", contents).await;
    assert_eq!(google["error"]["status"], "RESOURCE_EXHAUSTED");
    let turns = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
    let converse = told("/model/house-model/converse", turns).await;
    assert!(converse["message"].as_str().unwrap().contains(message));
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_team_shares_what_its_workloads_use() {
    let mut upstream = Upstream::start().await;
    let limit =
        "name = \"team\"\nrequests = 1\nevery = \"1h\"\nper = [\"team\"]\nteams = [\"one\"]\n
[[workload]]\nid = \"first\"\nteam = \"one\"\n
[[workload]]\nid = \"second\"\nteam = \"one\"\n
[[workload]]\nid = \"third\"\nteam = \"two\"";
    let gateway = limited(&upstream, limit).start().await;
    let mut keys = Vec::new();
    for workload in ["first", "second", "third"] {
        keys.push(gateway.key_for(workload).await.1);
    }
    let (answer, ()) = tokio::join!(asked_with(&gateway, &keys[0]), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    let refused = asked_with(&gateway, &keys[1]).await;
    refused.error(429, CODE).await;
    // It is for this team alone.
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(asked_with(&gateway, &keys[2]), upstream.complete());
        assert_eq!(answer.text().await, COMPLETION);
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_place_among_running_requests_is_free_again_at_the_end_of_one_and_when_its_caller_goes() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"at once\"\nconcurrent = 1\nper = [\"workload\"]";
    let gateway = limited(&upstream, limit).start().await;
    let refused = async || {
        let refused = gateway.chat(chat_body(MODEL, false)).await;
        assert_eq!(refused.header("retry-after"), "1");
        let error = refused.error(429, CODE).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("wait until one ends"), "{message}");
    };
    let (answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    refused().await;
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    arrival.keep();
    answer.text().await;
    let (answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    refused().await;
    answer.hang_up();
    arrival.closed().await;
    let again = until("a free place", async || {
        let mut answer = pin!(gateway.chat(chat_body(MODEL, false)));
        tokio::select! {
            refused = &mut answer => {
                assert_eq!(refused.status, 429);
                None
            }
            arrival = upstream.next() => {
                arrival.complete().await;
                Some(answer.await)
            }
        }
    });
    assert_eq!(again.await.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn a_limit_for_a_model_counts_that_one_alone() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"rare\"\nrequests = 0\nevery = \"30s\"\nmodels = [\"house-model\"]";
    let gateway = limited(&upstream, limit).start().await;
    let refused = gateway.chat(chat_body(RENAMED, false)).await;
    refused.error(429, CODE).await;
    passes(&gateway, &mut upstream).await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_denied_or_reaches_nobody_is_not_counted() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"one\"\nrequests = 1\nevery = \"month\"";
    // Nobody listens at the second address.
    let nobody = entry("nobody", "http://127.0.0.1:9/v1", "").replace(MODEL, "unreachable");
    let gateway = limited(&upstream, &format!("{limit}\n{nobody}"))
        .permitting_all()
        .start()
        .await;
    for _ in 0..2 {
        let failed = gateway.chat(chat_body("unreachable", false)).await;
        failed.error(502, "upstream_unreachable").await;
    }
    let unknown = gateway.chat(chat_body("no-such-model", false)).await;
    unknown.error(404, "model_not_found").await;
    passes(&gateway, &mut upstream).await;
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(429, CODE).await;
    gateway.finish().await;

    let limit = "name = \"one\"\nrequests = 1\nevery = \"week\"";
    let gateway = limited(&upstream, limit).start().await;
    let denied = gateway.chat(chat_body(DENIED, false)).await;
    denied.error(403, "policy_denied").await;
    passes(&gateway, &mut upstream).await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_was_used_stays_used_over_a_sudden_death_and_a_change_of_the_limit() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\nrequests = 2\nevery = \"day\"";
    let mut gateway = limited(&upstream, limit).start().await;
    passes(&gateway, &mut upstream).await;
    passes(&gateway, &mut upstream).await;
    // By now it has been written down.
    sleep(Duration::from_millis(1200)).await;
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    gateway.start_again().await;
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(429, CODE).await;

    let before = generation(&gateway).await;
    let wider = gateway
        .setup
        .config()
        .replace("requests = 2", "requests = 3");
    gateway.setup.write("carnet.toml", &wider);
    reloaded(&gateway, &before, "a changed file").await;
    passes(&gateway, &mut upstream).await;
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(429, CODE).await;
    gateway.restart().await;
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(429, CODE).await;
    gateway.finish().await;
}
