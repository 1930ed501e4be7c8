//! Answers that are given again: byte for byte, to nobody else, under no other rules, and never what was not whole.

use std::borrow::Borrow;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::conversations::{holds, set, state};
use crate::harness::upstream::{COMPLETION, DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Answer, DENIED, Gateway, MODEL, OVERLAY, Raw, Setup, Upstream, entry, until, with_key,
};

/// Else the next request could meet a connection just when it ends.
const CLOSE: &str = "connection: close\r\n";
const CACHE: &str = "\n[cache]\n";
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// A gateway before one upstream, with these lines in its section `[cache]`.
fn caching(upstream: &Upstream, lines: &str) -> Setup {
    let entry = entry("local", &upstream.base_url(), "");
    Setup::with(&(entry + "\n[[workload]]\nid = \"other\"\n" + CACHE + lines))
}

/// A request that leaves nothing to chance.
fn body(stream: bool) -> Value {
    json!({
        "model": MODEL, "messages": [{ "role": "user", "content": "Hello" }], "temperature": 0, "stream": stream,
    })
}

fn request(gateway: &Gateway, body: &Value) -> Request<Full<bytes::Bytes>> {
    gateway.request(Method::POST, CHAT, body.to_string())
}

async fn ask(gateway: &Gateway, body: impl Borrow<Value>) -> Answer {
    gateway.send(request(gateway, body.borrow())).await
}

async fn ask_saying(gateway: &Gateway, body: impl Borrow<Value>, said: &'static str) -> Answer {
    let mut request = request(gateway, body.borrow());
    let said = HeaderValue::from_static(said);
    request.headers_mut().insert(CACHE_CONTROL, said);
    gateway.send(request).await
}

/// Have the next request answered so.
async fn answers(upstream: &mut Upstream, answer: impl AsRef<[u8]>) {
    upstream.next().await.write(answer).await;
}

/// The standard answer goes to one who asks, and the upstream was asked for it; its record.
async fn misses(gateway: &Gateway, upstream: &mut Upstream, body: &Value) -> String {
    let (answer, ()) = tokio::join!(ask(gateway, body), upstream.complete());
    assert_eq!(answer.header("carnet-cache"), "miss");
    assert_eq!(answer.header("age"), "");
    let record = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    record
}

/// The standard answer is given again; its record.
async fn hits(upstream: &mut Upstream, answer: Answer) -> String {
    assert_eq!(
        (answer.status.as_u16(), answer.header("carnet-cache")),
        (200, "hit")
    );
    assert!(answer.header("age").parse::<u64>().unwrap() < 300);
    let record = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    assert!(upstream.is_untouched());
    record
}

/// Nothing of what was answered is given again: another request reaches the upstream.
async fn is_not_kept(gateway: &Gateway, upstream: &mut Upstream, body: &Value, why: &str) {
    let (answer, ()) = tokio::join!(ask(gateway, body), async {
        answers(
            upstream,
            whole(CLOSE, br#"{"error":{"message":"asked again"}}"#),
        )
        .await;
    });
    assert_ne!(answer.header("carnet-cache"), "hit", "{why}");
    assert!(answer.text().await.contains("asked again"), "{why}");
}

async fn entries(gateway: &Gateway) -> u64 {
    gateway.counter("carnet_cache_entries").await
}

async fn counted(gateway: &Gateway, result: &str) -> u64 {
    let name = format!("carnet_cache_requests_total{{result=\"{result}\"}}");
    gateway.counter(&name).await
}

#[tokio::test]
async fn an_answer_is_given_again_to_its_workload_and_to_no_other() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    let first = misses(&gateway, &mut upstream, &body(false)).await;
    let again = ask(&gateway, body(false)).await;
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(again.header("content-length"), COMPLETION.len().to_string());
    for (name, value) in [
        ("carnet-decision", "permit"),
        ("carnet-model", "llama-3.3"),
        ("carnet-host", "rack"),
        ("carnet-jurisdictions", "DE"),
    ] {
        assert_eq!(again.header(name), value, "{name}");
    }
    let second = hits(&mut upstream, again).await;

    let (first, second) = (gateway.record(&first).await, gateway.record(&second).await);
    assert_eq!(first["cache"], json!({ "result": "kept" }));
    assert_eq!(second["cache"]["result"], "hit");
    assert_eq!(second["cache"]["record"], first["id"]);
    assert!(second["cache"]["age_seconds"].as_u64().unwrap() < 300);
    for name in [
        "outcome",
        "status",
        "decision",
        "decision_doc",
        "rules",
        "bytes_in",
        "bytes_out",
        "requested_model",
        "resolved_model",
        "reported_model",
        "answering_model",
        "host",
    ] {
        assert!(!first[name].is_null(), "{name}");
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_eq!(first["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(second.get("attempts"), None);
    assert_eq!(second.get("tokens"), None);

    // A further key of the same workload is the same caller; making one leaves what is kept.
    let (_, further) = gateway.new_key().await;
    let answer = gateway
        .send(with_key(request(&gateway, &body(false)), &further))
        .await;
    hits(&mut upstream, answer).await;
    let (_, other) = gateway.key_for("other").await;
    let asked = with_key(request(&gateway, &body(false)), &other);
    let (answer, ()) = tokio::join!(gateway.send(asked), upstream.complete());
    assert_eq!(answer.header("carnet-cache"), "miss");
    assert_eq!(answer.text().await, COMPLETION);

    assert_eq!(
        (
            counted(&gateway, "hit").await,
            counted(&gateway, "miss").await
        ),
        (2, 2)
    );
    assert_eq!(entries(&gateway).await, 2);
    assert!(gateway.counter("carnet_cache_bytes").await > 2 * COMPLETION.len() as u64);
    assert!(!holds(&state(&gateway), "\"finish_reason\":\"stop\""));
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_is_given_again_as_one() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    let long = DELTA.repeat(400);
    let (answer, ()) = tokio::join!(ask(&gateway, body(true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        for part in long.as_bytes().chunks(1_111) {
            let part = std::str::from_utf8(part).unwrap();
            arrival.chunk(part).await;
        }
        arrival.chunk(DONE).await;
        arrival.write(LAST_CHUNK).await;
        arrival.keep();
    });
    assert_eq!(answer.header("carnet-cache"), "miss");
    let first = answer.text().await;
    assert_eq!(first, format!("{DELTA}{long}{DONE}"));
    let mut again = ask(&gateway, body(true)).await;
    assert_eq!(again.header("carnet-cache"), "hit");
    assert_eq!(again.header("content-type"), "text/event-stream");
    assert_eq!(again.header("content-length"), "");
    let id = again.record();
    let mut all = Vec::new();
    while let Some(piece) = again.piece().await {
        all.extend(piece);
    }
    assert_eq!(String::from_utf8(all).unwrap(), first);
    assert!(upstream.is_untouched());
    let record = gateway.record(&id).await;
    assert_eq!(record["bytes_out"], first.len());
    assert_eq!(
        (&record["stream"], &record["outcome"]),
        (&json!(true), &json!("completed"))
    );
    // The same without a stream is something else.
    misses(&gateway, &mut upstream, &body(false)).await;
    gateway.finish().await;
}

#[tokio::test]
async fn without_the_section_nothing_is_given_again() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(ask(&gateway, body(false)), upstream.complete());
        assert_eq!(answer.header("carnet-cache"), "");
        let id = answer.record();
        assert_eq!(answer.text().await, COMPLETION);
        assert_eq!(gateway.record(&id).await.get("cache"), None);
    }
    gateway.finish().await;
}

#[tokio::test]
async fn only_whom_the_section_names_is_answered_so() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let named = format!("name = \"{MODEL}\" }}");
    let renamed = format!("name = \"second\", upstream_model = \"{MODEL}\" }}");
    let second = entry("two", &two.base_url(), "").replace(&named, &renamed);
    let lines = "\n[cache]\nworkloads = [\"app\"]\nupstreams = [\"one\"]\n";
    let entries = entry("one", &one.base_url(), "") + &second + "\n[[workload]]\nid = \"other\"\n";
    let gateway = Setup::with(&(entries + lines)).start().await;
    misses(&gateway, &mut one, &body(false)).await;
    let answer = ask(&gateway, body(false)).await;
    hits(&mut one, answer).await;
    let (_, other) = gateway.key_for("other").await;
    let asked = with_key(request(&gateway, &body(false)), &other);
    let (answer, ()) = tokio::join!(gateway.send(asked), one.complete());
    assert_eq!(answer.header("carnet-cache"), "");
    assert_eq!(answer.text().await, COMPLETION);
    let mut elsewhere = body(false);
    elsewhere["model"] = json!("second");
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(ask(&gateway, &elsewhere), two.complete());
        assert_eq!(answer.header("carnet-cache"), "");
        answer.bytes().await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn under_other_rules_nothing_of_before_is_given_again() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").permitting_all().start().await;
    let mut denied = body(false);
    denied["model"] = json!(DENIED);
    let answer = ask(&gateway, &denied);
    let (answer, ()) = tokio::join!(
        answer,
        answers(&mut upstream, whole(CLOSE, br#"{"choices":[]}"#))
    );
    assert_eq!(answer.text().await, r#"{"choices":[]}"#);
    misses(&gateway, &mut upstream, &body(false)).await;
    assert_eq!(entries(&gateway).await, 2);
    assert_eq!(ask(&gateway, &denied).await.header("carnet-cache"), "hit");

    let other = gateway
        .setup
        .config()
        .replace("packs = [\"all\"]", "packs = [\"default\"]");
    set(&gateway, &other).await;
    assert_eq!(entries(&gateway).await, 0);
    assert_eq!(gateway.counter("carnet_cache_bytes").await, 0);
    ask(&gateway, &denied)
        .await
        .error(403, "policy_denied")
        .await;
    misses(&gateway, &mut upstream, &body(false)).await;
    // Nor do the same rules, read anew, know what was before.
    set(&gateway, &format!("{other}\n# read anew\n")).await;
    misses(&gateway, &mut upstream, &body(false)).await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_one_upstream_answered_is_not_given_for_another() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let there = OVERLAY
        .replace("\"rack\"", "\"yard\"")
        .replace("\"DE\"", "\"FR\"");
    let entries = entry("one", &one.base_url(), "")
        + &entry("two", &two.base_url(), "").replace("\"rack\"", "\"yard\"");
    let setup = Setup::with(&(entries + CACHE)).routing("attempts = 2\nbreaker_failures = 0");
    setup.write("overlay.toml", &format!("{OVERLAY}{there}"));
    let gateway = setup.start().await;
    let unwell =
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let (answer, (), ()) = tokio::join!(
        ask(&gateway, body(false)),
        answers(&mut one, unwell),
        two.complete()
    );
    assert_eq!(answer.header("carnet-jurisdictions"), "FR");
    assert_eq!(answer.text().await, COMPLETION);
    // The first is well again: it is asked, for it has answered nothing yet.
    let other = COMPLETION.replace("\"c1\"", "\"c2\"");
    let (answer, ()) = tokio::join!(
        ask(&gateway, body(false)),
        answers(&mut one, whole(CLOSE, other.as_bytes()))
    );
    assert_eq!(
        (
            answer.header("carnet-jurisdictions"),
            answer.header("carnet-cache")
        ),
        ("DE", "miss")
    );
    assert_eq!(answer.text().await, other);
    let answer = ask(&gateway, body(false)).await;
    assert_eq!(
        (
            answer.header("carnet-jurisdictions"),
            answer.header("carnet-cache")
        ),
        ("DE", "hit")
    );
    assert_eq!(answer.text().await, other);
    assert!(one.is_untouched() && two.is_untouched());

    // A target that is tried after another one may have answered before, too.
    let mut fresh = body(false);
    fresh["messages"][0]["content"] = json!("Another");
    for cached in ["miss", "hit"] {
        let (answer, (), ()) =
            tokio::join!(ask(&gateway, &fresh), answers(&mut one, unwell), async {
                if cached == "miss" {
                    two.complete().await;
                }
            });
        assert_eq!(
            (
                answer.header("carnet-jurisdictions"),
                answer.header("carnet-cache")
            ),
            ("FR", cached)
        );
        let id = answer.record();
        assert_eq!(answer.text().await, COMPLETION);
        let record = gateway.record(&id).await;
        let attempts = record["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), if cached == "miss" { 2 } else { 1 });
        assert_eq!(record["upstream"], "two");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_caller_can_do_without() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    let bypass = async |upstream: &mut Upstream| {
        let asked = ask_saying(&gateway, body(false), "no-store");
        let (answer, ()) = tokio::join!(asked, upstream.complete());
        assert_eq!(answer.header("carnet-cache"), "bypass");
        let id = answer.record();
        assert_eq!(answer.text().await, COMPLETION);
        assert_eq!(gateway.record(&id).await.get("cache"), None);
    };
    bypass(&mut upstream).await;
    assert_eq!(entries(&gateway).await, 0);
    misses(&gateway, &mut upstream, &body(false)).await;
    bypass(&mut upstream).await;
    // A new answer takes the place of the old one.
    let newer = COMPLETION.replace("Hi", "Ho");
    for said in ["no-cache", "max-age=0"] {
        let asked = ask_saying(&gateway, body(false), said);
        let (answer, ()) = tokio::join!(
            asked,
            answers(&mut upstream, whole(CLOSE, newer.as_bytes()))
        );
        assert_eq!(answer.header("carnet-cache"), "miss", "{said}");
        assert_eq!(answer.text().await, newer);
    }
    let answer = ask_saying(&gateway, body(false), "max-age=100").await;
    assert_eq!(answer.header("carnet-cache"), "hit");
    assert_eq!(answer.text().await, newer);
    assert_eq!(counted(&gateway, "bypass").await, 2);
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_left_to_chance_is_kept_only_if_the_operator_says_so() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    let mut chance = body(false);
    chance["temperature"] = json!(1);
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(ask(&gateway, &chance), upstream.complete());
        assert_eq!(answer.header("carnet-cache"), "bypass");
        assert_eq!(answer.text().await, COMPLETION);
    }
    let sampled = format!("{}sampled = true\n", gateway.setup.config());
    set(&gateway, &sampled).await;
    misses(&gateway, &mut upstream, &chance).await;
    let answer = ask(&gateway, &chance).await;
    hits(&mut upstream, answer).await;
    chance["temperature"] = json!(2);
    misses(&gateway, &mut upstream, &chance).await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_must_not_be_stored_is_not_kept() {
    let mut upstream = Upstream::start().await;
    let setup = caching(&upstream, "").permitting_all();
    let rule = "@id(\"all\")\n@title(\"everything\")\n@obligation(\"no-store\")\npermit (principal, action, resource);\n";
    setup.write("all/rules.cedar", rule);
    let gateway = setup.start().await;
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(ask(&gateway, body(false)), upstream.complete());
        assert_eq!(answer.header("carnet-cache"), "bypass");
        assert_eq!(answer.text().await, COMPLETION);
    }
    assert_eq!(entries(&gateway).await, 0);
    gateway.finish().await;
}

#[tokio::test]
async fn what_somebody_keeps_is_not_kept_here() {
    let response = |id: &str| {
        json!({
            "id": id, "object": "response", "model": MODEL, "status": "completed", "error": null,
            "output": [{ "type": "message", "role": "assistant", "content": [] }],
        })
        .to_string()
    };
    let mut upstream = Upstream::start().await;
    let (base, here) = (upstream.base_url(), "here");
    let keeps = "apis = [\"responses\"]\nstored_responses = true";
    let named = format!("name = \"{MODEL}\" }}");
    let renamed = format!("name = \"{here}\", upstream_model = \"{MODEL}\" }}");
    let entries = entry("there", &base, keeps)
        + &entry("here", &base, "apis = [\"responses\"]").replace(&named, &renamed);
    let gateway = Setup::with(&(entries + "\n[conversations]\n" + CACHE))
        .start()
        .await;
    let asked = |model: &str, more: &Value| {
        let mut body = json!({ "model": model, "input": "Hello", "temperature": 0 });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        gateway.send(gateway.request(Method::POST, RESPONSES, body.to_string()))
    };
    let mut number = 0;
    let mut answered = async |upstream: &mut Upstream, model: &str, more: &Value| {
        number += 1;
        let id = format!("resp_{number}");
        let answer = whole(CLOSE, response(&id).as_bytes());
        let (answer, ()) = tokio::join!(asked(model, more), answers(upstream, &answer));
        let cached = answer.header("carnet-cache").to_owned();
        assert_eq!(answer.json().await["id"], id.as_str());
        (cached, id)
    };
    for model in [MODEL, here] {
        let (cached, id) = answered(&mut upstream, model, &json!({})).await;
        assert_eq!(cached, "bypass", "{model}");
        for more in [
            json!({}),
            json!({ "store": true }),
            json!({ "previous_response_id": id }),
            json!({ "previous_response_id": id, "store": false }),
        ] {
            for _ in 0..2 {
                let (cached, _) = answered(&mut upstream, model, &more).await;
                assert_eq!(cached, "bypass", "{model} {more}");
            }
        }
        // Only what nobody keeps.
        let more = json!({ "store": false });
        let (cached, id) = answered(&mut upstream, model, &more).await;
        assert_eq!(cached, "miss", "{model}");
        let again = asked(model, &more).await;
        assert_eq!(again.header("carnet-cache"), "hit", "{model}");
        assert_eq!(again.json().await["id"], id.as_str());
    }
    gateway.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_no_good_is_not_kept() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    let plain = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{CLOSE}content-length: {length}\r\n\r\n{body}"
        )
    };
    for (why, answer) in [
        (
            "an error",
            plain("400 Bad Request", r#"{"error":{"message":"no"}}"#),
        ),
        (
            "a limit",
            plain("429 Too Many Requests", r#"{"error":{"message":"no"}}"#),
        ),
        (
            "a failure",
            plain("500 Internal Server Error", r#"{"choices":[]}"#),
        ),
        (
            "another success",
            plain("202 Accepted", r#"{"choices":[]}"#),
        ),
        (
            "an error inside",
            plain("200 OK", r#"{"error":{"message":"no"}}"#),
        ),
        ("no JSON", plain("200 OK", "choices")),
    ] {
        let (answer, ()) = tokio::join!(
            ask(&gateway, body(false)),
            answers(&mut upstream, answer.as_bytes())
        );
        let id = answer.record();
        answer.bytes().await;
        assert_eq!(gateway.record(&id).await.get("cache"), None, "{why}");
        is_not_kept(&gateway, &mut upstream, &body(false), why).await;
    }
    // An answer that breaks off.
    let torn = whole("", COMPLETION.as_bytes());
    let asked = ask(&gateway, body(false));
    let (answer, ()) = tokio::join!(asked, answers(&mut upstream, &torn[..torn.len() - 1]));
    assert!(answer.try_bytes().await.is_err());
    is_not_kept(&gateway, &mut upstream, &body(false), "a torn answer").await;
    for (why, events, end) in [
        ("no end", vec![DELTA], LAST_CHUNK),
        (
            "an error",
            vec![DELTA, "data: {\"error\":{\"message\":\"no\"}}\n\n", DONE],
            LAST_CHUNK,
        ),
        ("torn before the end", vec![DELTA, DONE], ""),
        ("nothing", vec![], LAST_CHUNK),
        ("an open event", vec![DELTA, "data: [DONE]\n"], LAST_CHUNK),
    ] {
        let (answer, ()) = tokio::join!(ask(&gateway, body(true)), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            for event in events {
                arrival.chunk(event).await;
            }
            arrival.write(end).await;
            if !end.is_empty() {
                arrival.keep();
            }
        });
        // Some break off.
        let _ = answer.try_bytes().await;
        is_not_kept(&gateway, &mut upstream, &body(true), why).await;
    }
    assert_eq!(entries(&gateway).await, 0);
    gateway.finish().await;
}

#[tokio::test]
async fn an_answer_of_another_model_is_not_kept() {
    let mut upstream = Upstream::start().await;
    let setup = caching(&upstream, "").server("on_mismatch = \"flag\"");
    let gateway = setup.start().await;
    let other = COMPLETION.replace(MODEL, "deepseek-r1:70b");
    let (answer, ()) = tokio::join!(
        ask(&gateway, body(false)),
        answers(&mut upstream, whole(CLOSE, other.as_bytes()))
    );
    assert_eq!(answer.text().await, other);
    is_not_kept(&gateway, &mut upstream, &body(false), "another model").await;
    gateway.finish().await;
}

#[tokio::test]
async fn an_answer_whose_key_was_revoked_meanwhile_is_not_kept() {
    let mut upstream = Upstream::start().await;
    let setup = caching(&upstream, "").server("on_revoke = \"drain\"");
    let gateway = setup.start().await;
    let (id, key) = gateway.new_key().await;
    let asked = with_key(request(&gateway, &body(true)), &key);
    let (answer, mut arrival) = tokio::join!(gateway.send(asked), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    gateway.revoke(&id).await;
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    arrival.keep();
    assert_eq!(answer.text().await, format!("{DELTA}{DONE}"));
    is_not_kept(&gateway, &mut upstream, &body(true), "a revoked key").await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_request_that_is_refused_is_refused_whatever_is_kept() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    misses(&gateway, &mut upstream, &body(false)).await;
    let mut refused = body(false);
    refused["fallbacks"] = json!([DENIED]);
    for _ in 0..2 {
        let answer = ask(&gateway, &refused).await;
        assert_eq!(answer.header("carnet-cache"), "");
        answer.error(400, "field_refused").await;
    }
    let (id, key) = gateway.new_key().await;
    gateway.revoke(&id).await;
    let answer = gateway
        .send(with_key(request(&gateway, &body(false)), &key))
        .await;
    assert_eq!(answer.status.as_u16(), 401);
    answer.bytes().await;
    let (_, bound) = gateway.key_with(&["--model", "house-model"]).await;
    let answer = gateway
        .send(with_key(request(&gateway, &body(false)), &bound))
        .await;
    assert_eq!(answer.status.as_u16(), 403);
    answer.bytes().await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_hit_counts_as_a_request_and_uses_no_tokens() {
    let mut upstream = Upstream::start().await;
    let limits = "\n[[limit]]\nname = \"daily\"\nrequests = 3\nevery = \"day\"\n
[[limit]]\nname = \"tokens\"\ntokens = 100000\nevery = \"day\"\n";
    let entry = entry("local", &upstream.base_url(), "");
    let gateway = Setup::with(&(entry + CACHE + limits)).start().await;
    let usage = r#","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;
    let answer = format!("{}{usage}", COMPLETION.strip_suffix('}').unwrap());
    let (first, ()) = tokio::join!(
        ask(&gateway, body(false)),
        answers(&mut upstream, whole(CLOSE, answer.as_bytes()))
    );
    let first_id = first.record();
    assert_eq!(first.text().await, answer);
    assert_eq!(gateway.record(&first_id).await["tokens"]["input"], 5);
    let counter = "carnet_limit_tokens_total{limit=\"tokens\"}";
    assert_eq!(gateway.counter(counter).await, 7);
    for _ in 0..2 {
        let again = ask(&gateway, body(false)).await;
        assert_eq!(again.header("carnet-cache"), "hit");
        let id = again.record();
        assert_eq!(again.text().await, answer);
        let record = gateway.record(&id).await;
        assert_eq!((record.get("tokens"), record.get("spend")), (None, None));
    }
    assert_eq!(gateway.counter(counter).await, 7);
    assert_eq!(
        gateway.counter("carnet_tokens_total{kind=\"input\"}").await,
        5
    );
    let refused = ask(&gateway, body(false)).await;
    refused.error(429, "limit_reached").await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_translated_answer_is_given_again_in_the_callers_dialect() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "").start().await;
    let asked = json!({
        "model": MODEL, "max_tokens": 9, "temperature": 0, "top_k": 3,
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    let send = async |beta: Option<&'static str>| {
        let mut request = gateway.request(Method::POST, "/v1/messages", asked.to_string());
        if let Some(beta) = beta {
            let headers = request.headers_mut();
            headers.insert("anthropic-beta", HeaderValue::from_static(beta));
        }
        gateway.send(request).await
    };
    let (first, ()) = tokio::join!(send(None), upstream.complete());
    assert_eq!(first.header("carnet-cache"), "miss");
    let losses = first.header("carnet-losses").to_owned();
    assert_ne!(losses, "");
    let first = first.text().await;
    assert!(first.contains("\"type\":\"message\""), "{first}");
    let again = send(None).await;
    assert_eq!(again.header("carnet-cache"), "hit");
    assert_eq!(again.header("carnet-losses"), losses);
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(again.text().await, first);
    // A trial of the dialect may change the answer.
    let (other, ()) = tokio::join!(send(Some("some-trial")), upstream.complete());
    assert_eq!(other.header("carnet-cache"), "miss");
    other.bytes().await;
    gateway.finish().await;
}

/// So many callers ask the same at once.
fn at_once(gateway: &Arc<Gateway>, callers: u64, body: &Value) -> JoinSet<Answer> {
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (gateway, request) = (gateway.clone(), request(gateway, body));
        running.spawn(async move { gateway.send(request).await });
    }
    running
}

/// Wait until so many requests wait for another.
async fn waiting(gateway: &Gateway, requests: u64) {
    until("the waiting", async || {
        let now = gateway.counter("carnet_cache_waiting").await;
        (now == requests).then_some(())
    })
    .await;
}

/// Wait for all answers and end the gateway: all records of requests.
async fn ended(gateway: Arc<Gateway>) -> Vec<Value> {
    let gateway = Arc::into_inner(gateway).unwrap();
    let mut records = gateway.finish().await;
    records.retain(|record| record["kind"] == "request");
    records
}

#[tokio::test]
async fn of_twenty_equal_requests_at_once_one_reaches_the_upstream() {
    for stream in [false, true] {
        let mut upstream = Upstream::start().await;
        let gateway = Arc::new(caching(&upstream, "").start().await);
        let mut running = at_once(&gateway, 20, &body(stream));
        let mut arrival = upstream.next().await;
        waiting(&gateway, 19).await;
        let wanted = if stream {
            arrival.begin_stream().await;
            arrival.chunk(DONE).await;
            arrival.write(LAST_CHUNK).await;
            format!("{DELTA}{DONE}")
        } else {
            arrival.complete().await;
            COMPLETION.to_owned()
        };
        let mut cached = Vec::new();
        while let Some(answer) = running.join_next().await {
            let answer = answer.unwrap();
            cached.push(answer.header("carnet-cache").to_owned());
            assert_eq!(answer.text().await, wanted);
        }
        cached.sort();
        assert_eq!(
            (cached.len(), &*cached[18], &*cached[19]),
            (20, "hit", "miss")
        );
        assert!(upstream.is_untouched());
        assert_eq!(counted(&gateway, "shared").await, 19);
        waiting(&gateway, 0).await;
        let records = ended(gateway).await;
        assert_eq!(records.len(), 20);
        let kept: Vec<&Value> = records
            .iter()
            .filter(|one| one["cache"]["result"] == "kept")
            .collect();
        assert_eq!(kept.len(), 1);
        for record in records.iter().filter(|one| one["cache"]["result"] == "hit") {
            assert_eq!(record["cache"]["record"], kept[0]["id"], "{record:#}");
            assert_eq!(record["decision"], "permit");
            assert!(!record["decision_doc"].is_null());
        }
    }
}

#[tokio::test]
async fn who_waits_asks_for_himself_when_the_first_comes_to_nothing() {
    for fails in ["an error", "a hang-up"] {
        let mut upstream = Upstream::start().await;
        let gateway = Arc::new(caching(&upstream, "").start().await);
        let first = {
            let (gateway, request) = (gateway.clone(), request(&gateway, &body(false)));
            tokio::spawn(async move { gateway.send(request).await })
        };
        let mut arrival = upstream.next().await;
        let mut others = at_once(&gateway, 2, &body(false));
        waiting(&gateway, 2).await;
        assert!(upstream.is_untouched());
        if fails == "an error" {
            let failure = "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            arrival.write(failure).await;
            assert_eq!(first.await.unwrap().status.as_u16(), 500);
        } else {
            gateway.expect_untold(1);
            first.abort();
            arrival.closed().await;
        }
        // Both ask before either is answered.
        let (one, two) = (upstream.next().await, upstream.next().await);
        one.complete().await;
        two.complete().await;
        while let Some(answer) = others.join_next().await {
            let answer = answer.unwrap();
            assert_eq!(answer.header("carnet-cache"), "miss", "{fails}");
            assert_eq!(answer.text().await, COMPLETION, "{fails}");
        }
        // One of them led from then on.
        let answer = ask(&gateway, body(false)).await;
        hits(&mut upstream, answer).await;
        assert_eq!(ended(gateway).await.len(), 4);
    }
}

#[tokio::test]
async fn who_hangs_up_while_he_waits_leaves_the_others_alone() {
    let mut upstream = Upstream::start().await;
    let gateway = Arc::new(caching(&upstream, "").start().await);
    let mut running = at_once(&gateway, 2, &body(false));
    let arrival = upstream.next().await;
    waiting(&gateway, 1).await;
    let gone = {
        let (gateway, request) = (gateway.clone(), request(&gateway, &body(false)));
        tokio::spawn(async move { gateway.send(request).await })
    };
    waiting(&gateway, 2).await;
    gateway.expect_untold(1);
    gone.abort();
    waiting(&gateway, 1).await;
    gateway
        .record_where("the one who hung up", |record| {
            record["outcome"] == "client-gone"
        })
        .await;
    arrival.complete().await;
    while let Some(answer) = running.join_next().await {
        assert_eq!(answer.unwrap().text().await, COMPLETION);
    }
    assert!(upstream.is_untouched());
    let records = ended(gateway).await;
    let gone = records
        .iter()
        .find(|one| one["outcome"] == "client-gone")
        .unwrap();
    assert_eq!(
        (gone.get("attempts"), gone.get("cache")),
        (None, None),
        "{gone:#}"
    );
}

#[tokio::test]
async fn nobody_waits_longer_than_the_operator_says() {
    for lines in ["wait_seconds = 0", "wait_seconds = 1"] {
        let mut upstream = Upstream::start().await;
        let gateway = Arc::new(caching(&upstream, lines).start().await);
        let mut running = at_once(&gateway, 2, &body(false));
        // The first is not answered before the second has asked.
        let (first, second) = (upstream.next().await, upstream.next().await);
        second.complete().await;
        first.complete().await;
        while let Some(answer) = running.join_next().await {
            let answer = answer.unwrap();
            assert_eq!(answer.header("carnet-cache"), "miss", "{lines}");
            assert_eq!(answer.text().await, COMPLETION);
        }
        assert_eq!(entries(&gateway).await, 1);
        ended(gateway).await;
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_before_its_answer_is_kept_like_any_other() {
    let mut upstream = Upstream::start().await;
    let setup = caching(&upstream, "").routing("attempts = 1\ncommit_after_seconds = 1");
    let gateway = Arc::new(setup.start().await);
    // Both begin, for neither waits longer than that.
    let mut running = at_once(&gateway, 2, &body(true));
    let mut begun = Vec::new();
    while let Some(answer) = running.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.header("carnet-cache"), "miss");
        begun.push(answer);
    }
    let arrivals = [upstream.next().await, upstream.next().await];
    for mut arrival in arrivals {
        arrival.begin_stream().await;
        arrival.chunk(DONE).await;
        arrival.write(LAST_CHUNK).await;
        arrival.keep();
    }
    let wanted = format!("{DELTA}{DONE}");
    for answer in begun {
        assert_eq!(answer.text().await, wanted);
    }
    let again = ask(&gateway, body(true)).await;
    assert_eq!(again.header("carnet-cache"), "hit");
    assert_eq!(again.text().await, wanted);
    assert!(upstream.is_untouched());
    ended(gateway).await;
}

#[tokio::test]
async fn answers_never_take_more_memory_than_there_is() {
    const MAX: u64 = 65_536;
    let mut upstream = Upstream::start().await;
    let lines = format!("bytes_max = {MAX}\nanswer_bytes_max = 16384\n");
    let gateway = caching(&upstream, &lines).start().await;
    let mut kept = 0_u64;
    for number in 0..24_usize {
        let mut asked = body(false);
        asked["messages"][0]["content"] = json!(format!("Hello {number}"));
        // The last ones are too long to be kept.
        let text = "x".repeat(if number < 20 {
            9_000 + number * 100
        } else {
            20_000
        });
        let long = COMPLETION.replace("Hi", &text);
        let (answer, ()) = tokio::join!(
            ask(&gateway, &asked),
            answers(&mut upstream, whole(CLOSE, long.as_bytes()))
        );
        let id = answer.record();
        assert_eq!(answer.text().await, long);
        kept += u64::from(!gateway.record(&id).await["cache"].is_null());
        let bytes = gateway.counter("carnet_cache_bytes").await;
        assert!(bytes <= MAX, "{bytes} after {number}");
    }
    assert_eq!(kept, 20);
    let left = entries(&gateway).await;
    assert!((2..=6).contains(&left), "{left}");
    assert_eq!(
        gateway.counter("carnet_cache_evictions_total").await,
        20 - left
    );
    gateway.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_given_again_ends_with_its_key_even_if_nobody_reads_it() {
    let mut upstream = Upstream::start().await;
    let lines = "bytes_max = 134217728\nanswer_bytes_max = 33554432\n";
    let gateway = caching(&upstream, lines).start().await;
    let long = COMPLETION.replace("Hi", &"x".repeat(24 * 1024 * 1024));
    let given = whole(CLOSE, long.as_bytes());
    let (answer, ()) = tokio::join!(
        async { ask(&gateway, body(false)).await.bytes().await },
        answers(&mut upstream, given)
    );
    assert_eq!(answer.len(), long.len());
    let (id, key) = gateway.new_key().await;
    let asked = body(false).to_string();
    let mut raw = Raw::connect(&gateway).await;
    let head = gateway.raw_chat(&asked).replace(&gateway.key, &key);
    assert!(raw.write(head).await);
    gateway.expect_untold(1);
    let name = "carnet_cache_requests_total{result=\"hit\"}";
    until("the hit", async || {
        (gateway.counter(name).await == 1).then_some(())
    })
    .await;
    gateway.revoke(&id).await;
    let record = gateway
        .record_where("the record", |record| record["cache"]["result"] == "hit")
        .await;
    assert_eq!(record["outcome"], "revoked", "{record:#}");
    assert!(record["bytes_out"].as_u64().unwrap() < long.len() as u64);
    // It stays for those whose key counts.
    let answer = ask(&gateway, body(false)).await;
    assert_eq!(answer.header("carnet-cache"), "hit");
    assert!(answer.bytes().await == long.as_bytes());
    drop(raw);
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_by_itself() {
    let mut upstream = Upstream::start().await;
    let gateway = caching(&upstream, "seconds = 1").start().await;
    misses(&gateway, &mut upstream, &body(false)).await;
    until("the forgetting", async || {
        (gateway.counter("carnet_cache_bytes").await == 0).then_some(())
    })
    .await;
    assert_eq!(entries(&gateway).await, 0);
    misses(&gateway, &mut upstream, &body(false)).await;
    gateway.finish().await;
}
