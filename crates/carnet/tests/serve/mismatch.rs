//! Answers that name another model than was decided on.

use http::Method;
use serde_json::Value;

use crate::harness::upstream::{COMPLETION, DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{Gateway, MODEL, Setup, Upstream, chat_body, until};

const OTHER: &str = "deepseek-r1:70b";

fn other(text: &str) -> String {
    text.replace(MODEL, OTHER)
}

/// The record of a cut answer, with all three names.
async fn is_mismatch(gateway: &Gateway, id: &str) {
    let record = gateway.record(id).await;
    for (key, value) in [
        ("outcome", "mismatch"),
        ("requested_model", MODEL),
        ("resolved_model", "llama-3.3"),
        ("reported_model", OTHER),
        ("answering_model", "deepseek-r1-distill-llama-70b"),
    ] {
        assert_eq!(record[key], value, "{key} in {record:#}");
    }
}

async fn targets(gateway: &Gateway) -> Value {
    gateway.admin(Method::GET, "/api/targets").await.1
}

#[tokio::test]
async fn an_answer_of_another_model_is_kept_back_and_its_target_goes_out_of_service() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole("", other(COMPLETION).as_bytes())).await;
    });
    let id = answer.record();
    let error = answer.error(502, "model_mismatch").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(OTHER) && message.contains("`local`"),
        "{message}"
    );
    is_mismatch(&gateway, &id).await;

    // Nothing more is sent there, whatever the way it was asked for, until somebody says so.
    let answer = gateway.chat(chat_body(MODEL, true)).await;
    let id = answer.record();
    answer.error(503, "target_suspended").await;
    assert_eq!(gateway.record(&id).await["attempts"], Value::Null);
    let listed = targets(&gateway).await;
    assert_eq!(listed["suspended"][0]["upstream"], "local");
    assert_eq!(listed["suspended"][0]["reported"], OTHER);
    assert_eq!(gateway.counter("carnet_model_mismatches_total").await, 1);
    assert_eq!(gateway.counter("carnet_targets_suspended").await, 1);

    // The list outlives the process.
    let file = gateway.setup.path("state/suspended.json");
    let kept = until("the list on disk", async || {
        let text = std::fs::read(&file).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    });
    assert_eq!(kept.await[0]["reported"], OTHER);

    let body = format!(r#"{{"upstream":"local","model":"{MODEL}"}}"#);
    let (status, _) = gateway
        .admin_with(Method::POST, "/api/targets/restore", &body)
        .await;
    assert_eq!(status, 200);
    let (status, error) = gateway
        .admin_with(Method::POST, "/api/targets/restore", &body)
        .await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (404, &"target_in_service".into())
    );
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        upstream.next().await.complete().await;
    });
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn a_probe_puts_a_target_into_service_when_the_right_model_answers() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let answers = [other(COMPLETION), other(COMPLETION), COMPLETION.to_owned()];
    let [first, second, third] = answers.map(|body| whole("", body.as_bytes()));
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        upstream.next().await.write(first).await;
    });
    answer.error(502, "model_mismatch").await;
    let body = format!(r#"{{"upstream":"local","model":"{MODEL}","workload":"WORKLOAD"}}"#);
    let probe = |workload: &str| body.replace("WORKLOAD", workload);
    let path = "/api/targets/probe";

    let (status, error) = gateway
        .admin_with(Method::POST, path, &probe("nobody"))
        .await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (502, &"probe_failed".into())
    );
    for (answer, clean) in [(second, false), (third, true)] {
        let asked = probe("app");
        let ((status, told), question) =
            tokio::join!(gateway.admin_with(Method::POST, path, &asked), async {
                let mut arrival = upstream.next().await;
                arrival.write(answer).await;
                arrival.json()
            });
        assert_eq!(
            (status, told["clean"].as_bool()),
            (200, Some(clean)),
            "{told}"
        );
        assert_eq!(question["max_tokens"], 1);
    }
    assert_eq!(
        targets(&gateway).await["suspended"],
        Value::Array(Vec::new())
    );
    let (status, error) = gateway.admin_with(Method::POST, path, &probe("app")).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (404, &"target_in_service".into())
    );
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_of_another_model_ends_before_its_first_content() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        arrival
    });
    let id = answer.record();
    // The name comes in two pieces, the second behind an event that has content but no name.
    arrival.chunk(": hold on\n\n").await;
    assert_eq!(answer.piece().await.unwrap(), ": hold on\n\n");
    arrival
        .chunk("data: {\"choices\":[{\"delta\":{\"content\":\"Ho\"}}]}\n\n")
        .await;
    let delta = other(DELTA);
    let (front, back) = delta.split_at(60);
    arrival.chunk(front).await;
    arrival.chunk(back).await;
    let event = String::from_utf8(answer.piece().await.unwrap().to_vec()).unwrap();
    assert!(
        event.contains("model_mismatch") && !event.contains("content"),
        "{event}"
    );
    assert_eq!(answer.piece().await, None);
    is_mismatch(&gateway, &id).await;
    gateway.finish().await;
}

#[tokio::test]
async fn where_it_is_only_flagged_the_answer_passes_and_the_record_says_so() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .server("on_mismatch = \"flag\"")
        .start()
        .await;
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(&other(DELTA)).await;
            arrival.chunk(DONE).await;
            arrival.write(LAST_CHUNK).await;
        });
        let id = answer.record();
        assert_eq!(answer.text().await, other(DELTA) + DONE);
        is_mismatch(&gateway, &id).await;
    }
    assert_eq!(
        targets(&gateway).await["suspended"],
        Value::Array(Vec::new())
    );
    gateway.finish().await;
}

#[tokio::test]
async fn other_names_of_the_same_model_are_no_mismatch() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for name in [
        "llama3.3:70b-instruct-q4_K_M",
        "meta-llama/Llama-3.3-70B-Instruct",
        "LLAMA3.3:70B",
        "/srv/models/Llama-3.3-70B-Instruct-Q4_K_M.gguf",
        "",
    ] {
        let body = COMPLETION.replace(MODEL, name);
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            arrival.write(whole("", body.as_bytes())).await;
            arrival.keep();
        });
        let id = answer.record();
        assert_eq!(answer.text().await, body, "{name}");
        assert_eq!(gateway.record(&id).await["outcome"], "completed", "{name}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn an_answer_that_says_its_model_last_waits_for_it() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for (name, status) in [(MODEL, 200), ("nobody-knows-1", 502)] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"Hi"}}}}],"model":"{name}"}}"#);
        let (front, back) = body.split_at(20);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{front}",
            body.len()
        );
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            arrival.write(head).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            arrival.write(back).await;
            arrival.keep();
        });
        assert_eq!(answer.status, status, "{name}");
        if status == 200 {
            assert_eq!(answer.text().await, body);
        } else {
            answer.error(502, "model_mismatch").await;
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_name_that_comes_late_or_under_another_content_type_is_found() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .server("on_mismatch = \"flag\"")
        .start()
        .await;
    let long = format!(
        r#"{{"choices":[{{"message":{{"content":"{}"}}}}],"model":"{OTHER}"}}"#,
        "x".repeat(100_000)
    );
    let sse = format!("{}{}", other(DELTA), DONE);
    let comments = format!("{}{sse}", ": still working\n\n".repeat(5_000));
    for (stream, kind, body) in [
        (false, "application/json", long),
        (true, "text/plain", sse),
        (true, "text/event-stream", comments),
    ] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, stream)), async {
            let mut arrival = upstream.next().await;
            arrival.write(head).await;
            arrival.write(&body).await;
            arrival.keep();
        });
        let id = answer.record();
        assert_eq!(answer.text().await, body, "{kind}");
        is_mismatch(&gateway, &id).await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_whole_answer_kept_alive_by_blank_lines_is_waited_for() {
    let mut upstream = Upstream::start().await;
    let entry = crate::harness::entry("local", &upstream.base_url(), "idle_seconds = 1");
    let gateway = Setup::with(&entry).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        let lines = 16;
        let length = COMPLETION.len() + lines;
        arrival
            .write(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
        for _ in 0..lines {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            arrival.write("\n").await;
        }
        arrival.write(COMPLETION).await;
        arrival.keep();
    });
    assert_eq!(answer.text().await.trim_start(), COMPLETION);
    gateway.finish().await;
}
