//! What follows when an upstream fails before it has begun to answer: another target, the same one again, or its own words.

use std::time::{Duration, Instant};

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK, whole};
use crate::harness::{
    Answer, Arrival, Gateway, MODEL, OVERLAY, RENAMED, Setup, Upstream, chat_body, entry,
};
use crate::reload::{generation, reloaded};

const BUSY: &str = r#"{"error":{"message":"Overloaded","type":"overloaded"}}"#;
/// Waits between attempts that a test does not notice.
const QUICK: &str = "repeats = 9\nbackoff_milliseconds = 10\nbreaker_failures = 0";

/// An answer by which an upstream says that it is unwell; these header lines have their line ends.
fn unwell(status: &str, headers: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{BUSY}",
        BUSY.len()
    )
}

/// Answer the next request so, and keep the connection. What was asked.
async fn answers(upstream: &mut Upstream, answer: impl AsRef<[u8]>) -> Vec<u8> {
    let mut arrival = upstream.next().await;
    arrival.write(answer).await;
    let body = arrival.body.clone();
    arrival.keep();
    body
}

/// A gateway before two upstreams that offer the same.
async fn before_two(routing: &str) -> (Gateway, Upstream, Upstream) {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let entries = entry("one", &one.base_url(), "") + &entry("two", &two.base_url(), "");
    let gateway = Setup::with(&entries).routing(routing).start().await;
    (gateway, one, two)
}

/// The answer is the standard one; its record.
async fn completed(gateway: &Gateway, answer: Answer) -> Value {
    assert_eq!(answer.status, 200);
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "completed", "{record:#}");
    assert_eq!(record["status"], 200, "{record:#}");
    record
}

/// Upstream, status and error of each attempt.
fn attempts(record: &Value) -> Vec<(String, u64, String)> {
    let attempts = record["attempts"].as_array().unwrap();
    for (at, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt["n"], at + 1, "{record:#}");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = |one: &Value| {
        let status = one["status"].as_u64().unwrap_or(0);
        (text(&one["upstream"]), status, text(&one["error"]))
    };
    attempts.iter().map(told).collect()
}

fn tried(all: &[(&str, u64, &str)]) -> Vec<(String, u64, String)> {
    let owned = |(upstream, status, error): &(&str, u64, &str)| {
        ((*upstream).to_owned(), *status, (*error).to_owned())
    };
    all.iter().map(owned).collect()
}

#[tokio::test]
async fn another_upstream_answers_in_place_of_one_that_is_unwell() {
    // What is counted must not end the test before its end.
    let routing = "repeats = 9\nbreaker_failures = 0\nretries_per_second = 100";
    let (gateway, mut one, mut two) = before_two(routing).await;
    let throttled = "x-amzn-errortype: ThrottlingException\r\n";
    for (status, headers) in [
        ("408 Request Timeout", ""),
        ("500 Internal Server Error", ""),
        ("502 Bad Gateway", ""),
        ("503 Service Unavailable", ""),
        ("504 Gateway Timeout", ""),
        ("529 Overloaded", ""),
        ("400 Bad Request", throttled),
        ("503 Service Unavailable", "x-should-retry: false\r\n"),
        // It wants to be left alone for a while; the other one does not.
        ("429 Too Many Requests", "retry-after: 60\r\n"),
    ] {
        if status.starts_with("503") {
            // What a throttled one says counts for a second.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        let body = chat_body(RENAMED, false);
        let (answer, first, second) = tokio::join!(
            gateway.chat(body.clone()),
            answers(&mut one, unwell(status, headers)),
            answers(&mut two, whole("", COMPLETION.as_bytes())),
        );
        let record = completed(&gateway, answer).await;
        assert_eq!(first, second, "{status}");
        let number: u64 = status[..3].parse().unwrap();
        assert_eq!(
            attempts(&record),
            tried(&[("one", number, ""), ("two", 200, "")])
        );
        assert_eq!(record["upstream"], "two", "{record:#}");
        for attempt in record["attempts"].as_array().unwrap() {
            assert!(attempt.get("unsent").is_none(), "{record:#}");
        }
    }
    // Whoever wants to be left alone is not asked before by other requests either, where another one is there.
    let (answer, _) = tokio::join!(
        gateway.chat(chat_body(MODEL, false)),
        answers(&mut two, whole("", COMPLETION.as_bytes())),
    );
    let record = completed(&gateway, answer).await;
    assert_eq!(attempts(&record), tried(&[("two", 200, "")]));
    let counter = |labels: &str| format!("carnet_upstream_requests_total{{{labels}}}");
    let busy = counter("upstream=\"one\",result=\"rate-limited\"");
    assert_eq!(gateway.counter(&busy).await, 1);
    let answered = counter("upstream=\"two\",result=\"answered\"");
    assert_eq!(gateway.counter(&answered).await, 10);
    let retries = "carnet_retries_total{upstream=\"one\"}";
    assert_eq!(gateway.counter(retries).await, 9);
    assert!(one.is_untouched() && two.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_told_by_the_first() {
    let (gateway, mut one, mut two) = before_two("repeats = 9").await;
    for status in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "409 Conflict",
        "422 Unprocessable Entity",
        "501 Not Implemented",
    ] {
        let (answer, _) = tokio::join!(
            gateway.chat(chat_body(MODEL, false)),
            answers(&mut one, unwell(status, "x-own: 1\r\n")),
        );
        let number: u64 = status[..3].parse().unwrap();
        assert_eq!(u64::from(answer.status.as_u16()), number);
        assert_eq!(answer.header("x-own"), "1");
        let id = answer.record();
        assert_eq!(answer.text().await, BUSY);
        let record = gateway.record(&id).await;
        assert_eq!(attempts(&record), tried(&[("one", number, "")]));
    }
    assert!(two.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn one_that_cannot_be_reached_that_closes_or_that_is_silent_is_left_for_the_next() {
    let mut two = Upstream::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut one = Upstream::start().await;
    let entries = entry("gone", &format!("http://{address}/v1"), "")
        + &entry("one", &one.base_url(), "first_byte_seconds = 1")
        + &entry("two", &two.base_url(), "");
    let gateway = Setup::with(&entries)
        .routing("repeats = 9\nbreaker_failures = 0")
        .start()
        .await;
    // A stream too, as long as nothing of it has come.
    let (mut answer, (), ()) = tokio::join!(
        gateway.chat(chat_body(MODEL, true)),
        async { drop(one.next().await) },
        async {
            let mut arrival = two.next().await;
            arrival.begin_stream().await;
            arrival.chunk(DONE).await;
            arrival.write(LAST_CHUNK).await;
            arrival.keep();
        }
    );
    let id = answer.record();
    let first = answer.piece().await.unwrap();
    assert!(first.starts_with(DELTA.as_bytes()));
    answer.bytes().await;
    let record = gateway.record(&id).await;
    let closed = [
        ("gone", 0, "upstream_unreachable"),
        ("one", 0, "upstream_closed"),
        ("two", 200, ""),
    ];
    assert_eq!(attempts(&record), tried(&closed));
    assert_eq!(record["attempts"][0]["unsent"], true, "{record:#}");
    assert_eq!(record["attempts"][1].get("unsent"), None, "{record:#}");
    assert_eq!(record["outcome"], "completed");

    let began = Instant::now();
    let (answer, (), _) = tokio::join!(
        gateway.chat(chat_body(MODEL, false)),
        async { one.next().await.closed().await },
        answers(&mut two, whole("", COMPLETION.as_bytes())),
    );
    let record = completed(&gateway, answer).await;
    let silent = [
        ("gone", 0, "upstream_unreachable"),
        ("one", 0, "upstream_timeout"),
        ("two", 200, ""),
    ];
    assert_eq!(attempts(&record), tried(&silent));
    assert!(began.elapsed() >= Duration::from_secs(1));
    for (result, count) in [("no-answer", 2), ("server-error", 0)] {
        let name =
            format!("carnet_upstream_requests_total{{upstream=\"gone\",result=\"{result}\"}}");
        assert_eq!(gateway.counter(&name).await, count, "{result}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn the_same_one_is_asked_again_and_its_own_words_are_the_last() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .routing(QUICK)
        .start()
        .await;
    let body = chat_body(MODEL, false);
    let said = unwell(
        "503 Service Unavailable",
        "x-own: yes\r\nretry-after: 0\r\n",
    );
    let (answer, bodies) = tokio::join!(gateway.chat(body.clone()), async {
        let mut bodies = Vec::new();
        for _ in 0..3 {
            bodies.push(answers(&mut upstream, &said).await);
        }
        bodies
    });
    assert!(bodies.iter().all(|sent| *sent == body.as_bytes()));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-own"), "yes");
    assert_eq!(answer.header("retry-after"), "0");
    let id = answer.record();
    assert_eq!(answer.text().await, BUSY);
    let record = gateway.record(&id).await;
    let three = [("local", 503, ""); 3];
    assert_eq!(attempts(&record), tried(&three));
    assert_eq!(record["status"], 503);
    // Small errors are read to their end, so that one connection did for all.
    assert_eq!(upstream.connections(), 1);
    assert!(upstream.is_untouched());

    // And a fault of the connection is told as before.
    let (answer, ()) = tokio::join!(gateway.chat(body), async {
        for _ in 0..3 {
            drop(upstream.next().await);
        }
    });
    let id = answer.record();
    answer.error(502, "upstream_closed").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "upstream-error");
    let three = [("local", 0, "upstream_closed"); 3];
    assert_eq!(attempts(&record), tried(&three));
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_that_says_for_how_long_is_left_alone_for_so_long() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .routing("repeats = 9\nbackoff_milliseconds = 0\nretry_after_seconds_max = 2")
        .start()
        .await;
    for (says, least) in [("retry-after: 1", 1_000), ("retry-after-ms: 300", 300)] {
        let busy = unwell("429 Too Many Requests", &format!("{says}\r\n"));
        let (answer, waited) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            answers(&mut upstream, &busy).await;
            let began = Instant::now();
            upstream.complete().await;
            began.elapsed()
        });
        // A little is lost between the answer and the clock of the test.
        assert!(waited.as_millis() + 20 >= least, "{says}: {waited:?}");
        let record = completed(&gateway, answer).await;
        let twice = [("local", 429, ""), ("local", 200, "")];
        assert_eq!(attempts(&record), tried(&twice));
    }
    // A longer wait is the caller's own.
    let far = "retry-after: Wed, 21 Oct 2099 07:28:00 GMT";
    for says in ["retry-after: 3", "retry-after-ms: 2001", far] {
        let busy = unwell("503 Service Unavailable", &format!("{says}\r\n"));
        let (answer, _) = tokio::join!(
            gateway.chat(chat_body(MODEL, false)),
            answers(&mut upstream, &busy),
        );
        assert_eq!(answer.status, 503);
        let (name, value) = says.split_once(": ").unwrap();
        assert_eq!(answer.header(name), value);
        let id = answer.record();
        assert_eq!(answer.text().await, BUSY);
        let record = gateway.record(&id).await;
        assert_eq!(attempts(&record), tried(&[("local", 503, "")]));
    }
    // One that never wants it again.
    let never = unwell("500 Internal Server Error", "x-should-retry: false\r\n");
    let (answer, _) = tokio::join!(
        gateway.chat(chat_body(MODEL, false)),
        answers(&mut upstream, &never),
    );
    assert_eq!(answer.status, 500);
    answer.bytes().await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn failures_cause_no_more_attempts_than_the_budget_has() {
    let mut upstream = Upstream::start().await;
    let routing = "repeats = 9\nbackoff_milliseconds = 0\nretry_percent = 100\nretries_per_second = 0\nbreaker_failures = 0";
    let gateway = Setup::new(&upstream.base_url())
        .routing(routing)
        .start()
        .await;
    let busy = unwell("503 Service Unavailable", "");
    // One request, so one further attempt; then two, so one more.
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            answers(&mut upstream, &busy).await;
            answers(&mut upstream, &busy).await;
        });
        assert_eq!(answer.status, 503);
        answer.bytes().await;
    }
    assert!(upstream.is_untouched());
    let counter = |name: &str| format!("carnet_{name}_total{{upstream=\"local\"}}");
    assert_eq!(gateway.counter(&counter("retries")).await, 2);
    assert_eq!(gateway.counter(&counter("retries_refused")).await, 2);
    gateway.finish().await;
}

#[tokio::test]
async fn all_attempts_together_have_so_much_time() {
    let (gateway, mut one, mut two) =
        before_two("repeats = 9\ntotal_seconds = 1\nbackoff_milliseconds = 0").await;
    let began = Instant::now();
    let (answer, _, ()) = tokio::join!(
        gateway.chat(chat_body(MODEL, false)),
        answers(&mut one, unwell("503 Service Unavailable", "")),
        async { two.next().await.closed().await },
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    let id = answer.record();
    let error = answer.error(504, "upstream_timeout").await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`two`"), "{message}");
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "timeout");
    let both = [("one", 503, ""), ("two", 0, "upstream_timeout")];
    assert_eq!(attempts(&record), tried(&both));
    gateway.finish().await;
}

#[tokio::test]
async fn what_an_upstream_keeps_is_never_made_twice() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let keeps = "stored_responses = true";
    let entries = entry("one", &one.base_url(), keeps) + &entry("two", &two.base_url(), keeps);
    let gateway = Setup::with(&entries).routing(QUICK).start().await;
    let response = |id: &str| {
        json!({ "id": id, "object": "response", "model": MODEL, "status": "completed", "output": [] })
            .to_string()
    };
    let ask = |more: &str| {
        let body = format!(r#"{{"model":"{MODEL}","input":"Hello"{more}}}"#);
        gateway.request(Method::POST, "/v1/responses", body)
    };
    let busy = unwell("503 Service Unavailable", "");
    for more in [r#","store":true"#, r#","store":true,"background":true"#, ""] {
        let (answer, _) = tokio::join!(gateway.send(ask(more)), answers(&mut one, &busy));
        assert_eq!(answer.status, 503, "{more}");
        answer.bytes().await;
        let (answer, ()) = tokio::join!(gateway.send(ask(more)), async {
            drop(one.next().await);
        });
        answer.error(502, "upstream_closed").await;
    }
    // What is not stored may be asked of the other one.
    let (answer, _, _) = tokio::join!(
        gateway.send(ask(r#","store":false"#)),
        answers(&mut one, &busy),
        answers(&mut two, whole("", response("resp_2").as_bytes())),
    );
    assert_eq!(answer.text().await, response("resp_2"));
    // What goes on from a response goes to where that was made, once.
    let (answer, _) = tokio::join!(
        gateway.send(ask("")),
        answers(&mut one, whole("", response("resp_1").as_bytes())),
    );
    assert_eq!(answer.text().await, response("resp_1"));
    let on = r#","store":false,"previous_response_id":"resp_1""#;
    let (answer, _) = tokio::join!(gateway.send(ask(on)), answers(&mut one, &busy));
    assert_eq!(answer.status, 503);
    answer.bytes().await;
    for (method, path) in [
        (Method::GET, "/v1/responses/resp_1"),
        (Method::DELETE, "/v1/responses/resp_1"),
    ] {
        let request = gateway.request(method, path, "");
        let (answer, _) = tokio::join!(gateway.send(request), answers(&mut one, &busy));
        assert_eq!(answer.status, 503);
        answer.bytes().await;
    }
    assert!(one.is_untouched() && two.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_that_is_revoked_meanwhile_ends_it() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .routing("repeats = 9")
        .start()
        .await;
    let busy = unwell("429 Too Many Requests", "retry-after: 9\r\n");
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        answers(&mut upstream, &busy).await;
        gateway.revoke(&gateway.key_id).await;
    });
    let id = answer.record();
    answer.error(403, "revoked").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "revoked");
    assert_eq!(attempts(&record), tried(&[("local", 429, "")]));
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_further_attempt_is_decided_under_the_rules_of_its_own_instant() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .routing("repeats = 9")
        .start()
        .await;
    let busy = unwell("503 Service Unavailable", "retry-after: 3\r\n");
    let changed = async |overlay: &str| {
        let before = generation(&gateway).await;
        gateway.setup.write("overlay.toml", overlay);
        let after = reloaded(&gateway, &before, "a changed file").await;
        assert_eq!(after["last_reload"]["done"], true, "{after:#}");
        after
    };
    // In the time that the upstream asked for, its host becomes unknown.
    let unknown = OVERLAY.replace("complete = true", "complete = false");
    let (answer, _) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        answers(&mut upstream, &busy).await;
        changed(&unknown).await
    });
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("carnet-decision"), "permit");
    let id = answer.record();
    assert_eq!(answer.text().await, BUSY);
    let record = gateway.record(&id).await;
    assert_eq!(record["decision"], "permit");
    assert_eq!(attempts(&record), tried(&[("local", 503, "")]));
    assert!(upstream.is_untouched());
    let denied = gateway.chat(chat_body(MODEL, false)).await;
    denied.error(403, "policy_denied").await;

    changed(OVERLAY).await;
    let (answer, after) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        answers(&mut upstream, &busy).await;
        let after = changed(&OVERLAY.replace("my own machine", "still mine")).await;
        upstream.complete().await;
        after
    });
    let record = completed(&gateway, answer).await;
    // The record names the rules and facts of the attempt that was answered, and of the other its own decision.
    let version = after["versions"]["registry"].as_str().unwrap();
    assert_eq!(record["registry_version"], version, "{record:#}");
    let (first, last) = (&record["attempts"][0], &record["attempts"][1]);
    assert_eq!(last.get("decision_doc"), None, "{record:#}");
    let document = first["decision_doc"].as_str().unwrap();
    assert_ne!(document, record["decision_doc"]);
    gateway.finish().await;
}

#[tokio::test]
async fn each_attempt_screens_what_the_caller_sent_for_its_own_target() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let other = "apis = [\"messages\"]";
    let entries = entry("chat", &one.base_url(), "") + &entry("other", &two.base_url(), other);
    let gateway = Setup::with(&entries).routing("repeats = 9").start().await;
    let body = json!({
        "model": RENAMED, "logit_bias": { "1": 2 },
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    let message = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": "Hi" }], "usage": { "input_tokens": 3, "output_tokens": 1 },
    });
    let (answer, first, second) = tokio::join!(
        gateway.chat(body.to_string()),
        answers(&mut one, unwell("529 Overloaded", "")),
        answers(&mut two, whole("", message.to_string().as_bytes())),
    );
    let first: Value = serde_json::from_slice(&first).unwrap();
    let second: Value = serde_json::from_slice(&second).unwrap();
    assert_eq!(first["logit_bias"], body["logit_bias"]);
    assert_eq!(first["model"], MODEL);
    assert_eq!(second.get("logit_bias"), None, "{second:#}");
    assert_eq!(second["messages"][0]["role"], "user", "{second:#}");
    assert_eq!(second["model"], MODEL);
    assert_eq!(answer.header("carnet-losses"), "sampling:logit_bias");
    let id = answer.record();
    let read = answer.json().await;
    assert_eq!(read["choices"][0]["message"]["content"], "Hi", "{read:#}");
    let record = gateway.record(&id).await;
    assert_eq!(record["translated_to"], "messages", "{record:#}");
    assert_eq!(
        attempts(&record),
        tried(&[("chat", 529, ""), ("other", 200, "")])
    );

    // When the other way round nothing follows, the record says what was told to the one that answered.
    let never = unwell("503 Service Unavailable", "retry-after: 60\r\n");
    let (answer, _, _) = tokio::join!(
        gateway.chat(body.to_string()),
        answers(&mut one, &never),
        answers(&mut two, &never),
    );
    assert_eq!(answer.status, 503);
    let id = answer.record();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    assert_eq!(record["upstream"], "other", "{record:#}");
    assert_eq!(record["translated_to"], "messages");
    gateway.finish().await;
}

#[tokio::test]
async fn limits_hold_what_was_used_and_not_what_failed() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let entries = entry("one", &one.base_url(), "first_byte_seconds = 1")
        + &entry("two", &two.base_url(), "")
        + "\n[[limit]]\nname = \"few\"\nrequests = 3\nevery = \"day\"\n"
        + "\n[[limit]]\nname = \"daily\"\ntokens = 1000\nevery = \"day\"\n";
    let gateway = Setup::with(&entries)
        .server("reserved_output_tokens = 50")
        .routing("repeats = 9\nbreaker_failures = 0")
        .start()
        .await;
    let told = json!({ "prompt_tokens": 9, "completion_tokens": 11 });
    let answer_of = json!({
        "id": "c1", "object": "chat.completion", "model": MODEL, "usage": told,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Hi" }, "finish_reason": "stop" }],
    });
    let good = whole("", answer_of.to_string().as_bytes());
    let (answer, _, _) = tokio::join!(
        gateway.chat(chat_body(MODEL, false)),
        answers(&mut one, unwell("500 Internal Server Error", "")),
        answers(&mut two, &good),
    );
    let id = answer.record();
    assert_eq!(answer.status, 200);
    answer.bytes().await;
    let record = gateway.record(&id).await;
    assert_eq!(record["tokens"], json!({ "input": 9, "output": 11 }));
    let counter = "carnet_limit_tokens_total{limit=\"daily\"}";
    assert_eq!(gateway.counter(counter).await, 20);

    // The one that was silent may have worked on it, and may charge for it.
    let (answer, (), _) = tokio::join!(
        gateway.chat(chat_body(MODEL, false)),
        async { one.next().await.closed().await },
        answers(&mut two, &good),
    );
    let id = answer.record();
    assert_eq!(answer.status, 200);
    answer.bytes().await;
    let record = gateway.record(&id).await;
    let silent = &record["attempts"][0];
    assert_eq!(silent["error"], "upstream_timeout", "{record:#}");
    let estimate = &silent["tokens"];
    assert_eq!(estimate["estimated"], true, "{record:#}");
    assert_eq!(estimate["output"], 50, "{record:#}");
    let prompt = estimate["input"].as_u64().unwrap();
    assert!((5..40).contains(&prompt), "{record:#}");
    assert_eq!(
        record["tokens"],
        json!({ "input": 9 + prompt, "output": 61, "estimated": true })
    );
    assert_eq!(gateway.counter(counter).await, 20 + 20 + prompt + 50);
    // What was counted by its upstream is, whatever was estimated beside it.
    assert_eq!(
        gateway.counter("carnet_tokens_total{kind=\"input\"}").await,
        18
    );

    // Three requests count: one was given back, and the silent one was not.
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    let error = refused.error(429, "limit_reached").await;
    assert!(error["message"].as_str().unwrap().contains("`few`"));
    gateway.finish().await;
}

#[tokio::test]
async fn the_journal_knows_each_attempt_before_it_is_made() {
    let (mut gateway, mut one, mut two) = before_two("repeats = 9").await;
    gateway.expect_untold(1);
    let mut raw = crate::harness::Raw::connect(&gateway).await;
    raw.write(gateway.raw_chat(&chat_body(MODEL, false))).await;
    answers(&mut one, unwell("503 Service Unavailable", "")).await;
    let arrival: Arrival = two.next().await;
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    drop((raw, arrival));
    gateway.start_again().await;
    let record = gateway.only_record().await;
    assert_eq!(record["outcome"], "interrupted", "{record:#}");
    assert_eq!(record["upstream"], "two", "{record:#}");
    gateway.finish().await;
}

#[tokio::test]
async fn nobody_is_asked_twice_who_is_not_said_to_be() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).routing("").start().await;
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let (answer, _) = tokio::join!(
            gateway.chat(chat_body(MODEL, false)),
            answers(&mut upstream, unwell(status, "retry-after: 1\r\n"))
        );
        assert_eq!(answer.status, status[..3].parse::<u16>().unwrap());
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn answers_that_break_off_are_failures_of_their_upstream_too() {
    let routing = "attempts = 2\nbreaker_failures = 2\nbreaker_seconds = 1";
    let (gateway, mut one, mut two) = before_two(routing).await;
    let open = "carnet_target_left_out{upstream=\"one\",model=\"llama3.3:70b\"}";
    // A stream that has begun, and an answer as a whole.
    let (mut answer, arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = one.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    drop(arrival);
    assert!(answer.text().await.contains("upstream_closed"));
    assert_eq!(gateway.counter(open).await, 0);
    let half = whole("", COMPLETION.as_bytes());
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = one.next().await;
        arrival.write(&half[..half.len() - 9]).await;
    });
    assert!(answer.try_bytes().await.is_err());
    assert_eq!(gateway.counter(open).await, 1);
    for _ in 0..3 {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), two.complete());
        completed(&gateway, answer).await;
    }
    // The head of the next one says nothing yet: only its end does.
    sleep(Duration::from_millis(1_100)).await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = one.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    assert_eq!(gateway.counter(open).await, 1);
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(answer.text().await, DONE);
    assert_eq!(gateway.counter(open).await, 0);
    gateway.finish().await;
}
