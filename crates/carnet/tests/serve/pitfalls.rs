//! What went wrong in other gateways, by its number on the page `docs/src/reference/pitfalls.md`: those that need a
//! running gateway. The others stand in `crates/carnet-wire/tests`.

use carnet_wire::stream::aws;
use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{COMPLETION, DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Answer, Arrival, Gateway, MODEL, ONE_SECOND, Raw, Setup, Upstream, chat_body, json_body, within,
};

const APIS: [&str; 5] = [
    "chat-completions",
    "converse",
    "generate-content",
    "messages",
    "responses",
];

/// The paths of clients whose requests are translated.
const CLIENTS: [&str; 3] = ["/v1/chat/completions", "/v1/messages", "/v1/responses"];

/// A gateway with an upstream for each kind of request, all of them the same server; `to-…` is its model's name.
async fn every_api(upstream: &Upstream, server: &str) -> Gateway {
    let entry = |name: &str, apis: &str| {
        format!(
            r#"
[[upstream]]
name = "{name}"
base_url = "{}"
platform = "ollama"
host = "rack"
models = [{{ name = "to-{name}", upstream_model = "{MODEL}" }}]
apis = [{apis}]
"#,
            upstream.base_url()
        )
    };
    let mut entries = APIS.map(|api| entry(api, &format!("\"{api}\""))).concat();
    entries += &entry("others", "\"completions\", \"embeddings\"");
    Setup::with(&entries).server(server).start().await
}

/// A request of a client for the model of an upstream.
fn ask(path: &str, api: &str, stream: bool) -> String {
    let model = format!("to-{api}");
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    match path {
        "/v1/responses" => json!({ "model": model, "input": "Hello", "stream": stream }),
        "/v1/messages" => {
            json!({ "model": model, "max_tokens": 9, "messages": messages, "stream": stream })
        }
        "/v1/completions" => json!({ "model": model, "prompt": "Hello", "stream": stream }),
        "/v1/embeddings" => json!({ "model": model, "input": "Hello" }),
        _ => json!({ "model": model, "messages": messages, "stream": stream }),
    }
    .to_string()
}

async fn send(
    gateway: &Gateway,
    upstream: &mut Upstream,
    (path, body): (&str, String),
    answer: impl AsRef<[u8]>,
) -> (Answer, Arrival) {
    let request = gateway.request(Method::POST, path, body);
    tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(answer).await;
        arrival
    })
}

/// The data of events as a reader finds them that takes every blank line for the end of one.
fn dispatched(stream: &str) -> Vec<String> {
    let blocks = stream.trim_end_matches('\n').split("\n\n");
    blocks
        .map(|block| {
            let data = block.lines().filter_map(|line| line.strip_prefix("data: "));
            data.collect::<Vec<_>>().join("\n")
        })
        .collect()
}

/// An answer of a service, in pieces that clients of any dialect understand once they are translated.
fn chunks(pieces: &[&str]) -> String {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        json!({ "id": "c1", "object": "chat.completion.chunk", "model": MODEL, "choices": [choice] })
    };
    let mut all = String::new();
    for piece in pieces {
        all += &format!(
            "data: {}\n\n",
            chunk(json!({ "content": piece }), Value::Null)
        );
    }
    all + &format!("data: {}\n\n", chunk(json!({}), json!("stop"))) + DONE
}

#[tokio::test]
async fn pitfall_03_comments_stay_comments() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    for path in CLIENTS {
        let body = ask(path, "chat-completions", true);
        let (answer, mut arrival) = send(&gateway, &mut upstream, (path, body), EVENTS).await;
        let pieces = [": PROCESSING\n\n", &chunks(&["a"]), ": bye\n\n"];
        for piece in pieces {
            arrival.chunk(piece).await;
        }
        arrival.write(LAST_CHUNK).await;
        let text = answer.text().await;
        assert!(text.starts_with(": "), "{path}: {text}");
        let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        assert!(
            data.all(|data| data == "[DONE]" || data.starts_with('{')),
            "{path}: {text}"
        );
        if path == "/v1/chat/completions" {
            assert_eq!(text, pieces.concat());
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_04_no_comment_of_ours_ends_an_event() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "keep_alive_seconds = 1").await;
    for path in CLIENTS {
        let body = ask(path, "chat-completions", true);
        let (mut answer, mut arrival) = send(&gateway, &mut upstream, (path, body), EVENTS).await;
        let mut text = String::new();
        // By ourselves, for the upstream where it is translated, and between events.
        for piece in ["", &chunks(&["a"])] {
            if !piece.is_empty() && path != "/v1/chat/completions" {
                arrival.chunk(": still here\n\n").await;
            }
            if !piece.is_empty() {
                arrival.chunk(piece).await;
            }
            let comments = text.matches("keep-alive").count();
            while piece.is_empty() && text.matches("keep-alive").count() == comments {
                text += std::str::from_utf8(&answer.piece().await.unwrap()).unwrap();
            }
        }
        arrival.write(LAST_CHUNK).await;
        text += &answer.text().await;
        let data = dispatched(&text);
        assert!(data.iter().all(|data| !data.is_empty()), "{path}: {text}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_06_blank_lines_and_comments_keep_an_upstream_alive() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    for path in CLIENTS {
        let padded = format!("\n\n\r\n\n{COMPLETION}");
        let answered = whole("connection: close\r\n", padded.as_bytes());
        let body = ask(path, "chat-completions", false);
        let (answer, _) = send(&gateway, &mut upstream, (path, body), answered).await;
        let said = answer.json().await;
        assert!(said.to_string().contains("\"Hi\""), "{path}: {said}");

        let body = ask(path, "chat-completions", true);
        let (answer, mut arrival) = send(&gateway, &mut upstream, (path, body), EVENTS).await;
        for piece in [": keep-alive\n\n", ": keep-alive\n\n", &chunks(&["a"])] {
            arrival.chunk(piece).await;
        }
        arrival.write(LAST_CHUNK).await;
        let text = answer.text().await;
        assert!(text.contains("\"a\""), "{path}: {text}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_11_the_upstream_is_asked_before_a_status_is_told() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    for path in CLIENTS {
        for api in APIS {
            let refused = "HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            let body = ask(path, api, true);
            let (answer, _) = send(&gateway, &mut upstream, (path, body), refused).await;
            assert_eq!(answer.status, 503, "{path} to {api}");
            assert!(!answer.bytes().await.is_empty());
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_15_a_torn_answer_is_none() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    let json = "content-type: application/json\r\n";
    let half = &COMPLETION[..COMPLETION.len() - 20];
    let announced = format!("HTTP/1.1 200 OK\r\n{json}content-length: 500\r\n\r\n{half}");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\n{json}transfer-encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n",
        half.len()
    );
    let unannounced = format!("HTTP/1.1 200 OK\r\n{json}connection: close\r\n\r\n{half}");
    for torn in [&announced, &chunked, &unannounced] {
        for path in CLIENTS {
            let body = ask(path, "chat-completions", false);
            let request = gateway.request(Method::POST, path, body);
            let (answer, ()) = tokio::join!(gateway.send(request), async {
                upstream.next().await.write(torn).await;
            });
            let id = answer.record();
            if path != "/v1/chat/completions" {
                assert_eq!(answer.status, 502, "{path}");
                let error = answer.json().await;
                let told = error["error"].to_string();
                assert!(told.contains("upstream_closed"), "{path}: {error}");
            } else {
                // Its beginning has passed: the client must see that there was more.
                assert_eq!(answer.status, 200);
                answer.try_bytes().await.unwrap_err();
            }
            assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
        }
    }
    gateway.finish().await;
}

/// How services say when to come again.
const LATER: [&str; 3] = [
    "retry-after: 7\r\n",
    "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n",
    "retry-after-ms: 7500\r\nx-ratelimit-reset-requests: 7.5s\r\nanthropic-ratelimit-unified-status: rejected\r\n",
];

#[tokio::test]
async fn pitfall_67_when_to_come_again_reaches_every_client() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    let error =
        r#"{"error":{"message":"slow down","type":"rate_limit_error"},"message":"slow down"}"#;
    for later in LATER {
        for path in CLIENTS {
            for (api, stream) in APIS.into_iter().flat_map(|api| [(api, false), (api, true)]) {
                let refused = format!(
                    "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{later}\r\n{error}",
                    error.len()
                );
                let body = ask(path, api, stream);
                let (answer, _) = send(&gateway, &mut upstream, (path, body), refused).await;
                assert_eq!(answer.status, 429, "{path} to {api}");
                for line in later.lines() {
                    let (name, value) = line.split_once(": ").unwrap();
                    assert_eq!(answer.header(name), value, "{path} to {api}");
                }
                let told = answer.json().await;
                assert_eq!(told["error"]["message"], "slow down", "{path} to {api}");
            }
        }
    }
    gateway.finish().await;
}

/// Every way to ask, with its body: those that are translated, and each dialect as it is.
fn every_way(stream: bool) -> Vec<(String, String)> {
    let translated = CLIENTS
        .into_iter()
        .flat_map(|path| APIS.map(|api| (path.to_owned(), ask(path, api, stream))));
    let mut all: Vec<_> = translated.collect();
    all.push((
        "/v1/completions".into(),
        ask("/v1/completions", "others", stream),
    ));
    let content = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hello" }] }] });
    let talk = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] });
    if stream {
        let path = "/v1beta/models/to-generate-content:streamGenerateContent?alt=sse";
        all.push((path.into(), content.to_string()));
        all.push((
            "/model/to-converse/converse-stream".into(),
            talk.to_string(),
        ));
    } else {
        let path = "/v1beta/models/to-generate-content:generateContent";
        all.push((path.into(), content.to_string()));
        all.push(("/model/to-converse/converse".into(), talk.to_string()));
        all.push((
            "/v1/embeddings".into(),
            ask("/v1/embeddings", "others", false),
        ));
    }
    all
}

#[tokio::test]
async fn pitfall_68_who_hangs_up_ends_the_work_of_the_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    // Before the first byte, of a whole answer and of a stream.
    for (path, body) in every_way(false).into_iter().chain(every_way(true)) {
        let mut raw = Raw::connect(&gateway).await;
        raw.write(gateway.raw_post(&path, &body)).await;
        let mut arrival = upstream.next().await;
        drop(raw);
        within(ONE_SECOND, &path, arrival.closed()).await;
        gateway.expect_untold(1);
    }
    // In the middle of a stream.
    for (path, body) in every_way(true) {
        let request = gateway.request(Method::POST, &path, body);
        let (mut answer, mut arrival) = tokio::join!(gateway.send(request), async {
            let mut arrival = upstream.next().await;
            if arrival.line.contains("converse-stream") {
                arrival
                    .write(EVENTS.replace("text/event-stream", aws::MEDIA_TYPE))
                    .await;
            } else {
                arrival.write(EVENTS).await;
                arrival.chunk(": working\n\n").await;
            }
            arrival
        });
        assert_eq!(answer.status, 200, "{path}");
        if !arrival.line.contains("converse-stream") {
            answer.piece().await.unwrap();
        }
        let id = answer.record();
        answer.hang_up();
        within(ONE_SECOND, &path, arrival.closed()).await;
        assert_eq!(
            gateway.record(&id).await["outcome"],
            "client-gone",
            "{path}"
        );
    }
    // In the middle of a whole answer that waits for its rest.
    for path in CLIENTS {
        let body = ask(path, "chat-completions", false);
        let mut raw = Raw::connect(&gateway).await;
        raw.write(gateway.raw_post(path, &body)).await;
        let mut arrival = upstream.next().await;
        let answer = whole("", COMPLETION.as_bytes());
        arrival.write(&answer[..answer.len() - 9]).await;
        drop(raw);
        within(ONE_SECOND, path, arrival.closed()).await;
        gateway.expect_untold(1);
    }
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_69_a_service_that_counts_no_tokens_still_answers() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let message = json!({ "id": "m1", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": "Hi" }], "usage": { "input_tokens": 1, "output_tokens": 1 } });
    for _ in 0..3 {
        let path = "/v1/messages/count_tokens";
        let body = ask("/v1/messages", "messages", false);
        let (answer, _) = send(&gateway, &mut upstream, (path, body), missing).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().await.as_str()),
            (404, "{}")
        );
        let body = ask("/v1/messages", "messages", false);
        let answered = whole("connection: close\r\n", message.to_string().as_bytes());
        let (answer, _) = send(&gateway, &mut upstream, ("/v1/messages", body), answered).await;
        assert_eq!(answer.json().await, message);
    }
    let (_, targets) = gateway.admin(Method::GET, "/api/targets").await;
    assert_eq!(targets["suspended"], json!([]));
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_70_vectors_pass_in_the_form_in_which_they_were_asked_for() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    let path = "/v1/embeddings";
    for (format, vector) in [
        (Some("base64"), r#""AACAPwAAAEA=""#),
        (Some("float"), "[1.0,2.50,-3e-05]"),
        (None, "[1.0,2.50,-3e-05]"),
    ] {
        let mut body: Value = serde_json::from_str(&ask(path, "others", false)).unwrap();
        if let Some(format) = format {
            body["encoding_format"] = json!(format);
        }
        let text = format!(
            r#"{{"object":"list","model":"{MODEL}","data":[{{"object":"embedding","index":0,"embedding":{vector}}}]}}"#
        );
        let answered = whole("connection: close\r\n", text.as_bytes());
        let sent = (path, body.to_string());
        let (answer, arrival) = send(&gateway, &mut upstream, sent, answered).await;
        let format = format.map_or(Value::Null, Value::from);
        assert_eq!(arrival.json()["encoding_format"], format);
        assert_eq!(answer.text().await, text);
    }
    gateway.finish().await;
}

/// Not a pitfall with a number: one event that is longer than any buffer on the way.
#[tokio::test]
async fn an_event_of_five_megabytes_passes_and_is_translated() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    let text = "0123456789abcdef".repeat(5 * 65_536);
    let events = chunks(&[&text]);
    for path in CLIENTS {
        let body = ask(path, "chat-completions", true);
        let request = gateway.request(Method::POST, path, body);
        let (got, ()) = tokio::join!(async { gateway.send(request).await.text().await }, async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(&events).await;
            arrival.write(LAST_CHUNK).await;
        });
        if path == "/v1/chat/completions" {
            assert_eq!(got, events);
        }
        let deltas = json_body(&got);
        let said: String = deltas
            .iter()
            .filter_map(|event| match path {
                "/v1/chat/completions" => event["choices"][0]["delta"]["content"].as_str(),
                "/v1/messages" => event["delta"]["text"].as_str(),
                _ => event["delta"].as_str(),
            })
            .collect();
        assert!(said == text, "{path}: {} bytes", said.len());
    }
    gateway.finish().await;
}

/// Nor has this one: a stream cut into single bytes loses nothing, and its text is there before its end.
#[tokio::test]
async fn a_stream_of_single_bytes_is_a_stream() {
    let mut upstream = Upstream::start().await;
    let gateway = every_api(&upstream, "").await;
    let body = chat_body("to-chat-completions", true);
    let sent = ("/v1/chat/completions", body);
    let (mut answer, mut arrival) = send(&gateway, &mut upstream, sent, EVENTS).await;
    for byte in DELTA.as_bytes() {
        arrival.chunk(std::str::from_utf8(&[*byte]).unwrap()).await;
    }
    let mut got = Vec::new();
    while got.len() < DELTA.len() {
        got.extend(answer.piece().await.unwrap());
    }
    assert_eq!(got, DELTA.as_bytes());
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(answer.text().await, DONE);
    gateway.finish().await;
}
