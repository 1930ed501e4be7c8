//! Models on platforms that take a dialect's bodies in an API of their own.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use carnet_wire::stream::aws::AwsDecoder;
use http::Method;
use http::header::HeaderValue;
use serde_json::{Value, json};

use crate::harness::upstream::whole;
use crate::harness::{Answer, Arrival, Gateway, MODEL, Setup, Upstream, entry, json_body};
use crate::translations::{frame, message};

const CLOSE: &str = "connection: close\r\n";
const MESSAGE: &str = r#"{"model":"llama3.3:70b","id":"msg_bdrk_1","type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":3}}"#;
const FRAMES: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/vnd.amazon.eventstream\r\nx-amzn-bedrock-content-type: application/json\r\n\r\n";

async fn gateway(upstream: &Upstream, api: &str) -> Gateway {
    let more = format!("apis = [\"{api}\"]");
    Setup::with(&entry("local", &upstream.base_url(), &more))
        .start()
        .await
}

async fn ask(gateway: &Gateway, path: &str, body: impl Borrow<Value>) -> Answer {
    let body: &Value = body.borrow();
    let request = gateway.request(Method::POST, path, body.to_string());
    gateway.send(request).await
}

fn messages(stream: bool) -> Value {
    json!({ "model": MODEL, "max_tokens": 64, "stream": stream, "messages": [{ "role": "user", "content": "Hello" }] })
}

/// A chunk that holds one event, with the padding that the service puts beside it.
fn chunk(event: &Value) -> Vec<u8> {
    let bytes = BASE64_STANDARD.encode(event.to_string());
    frame("chunk", &json!({ "bytes": bytes, "p": "abcdefghijklmn" }))
}

fn exception(kind: &str, text: &str) -> Vec<u8> {
    message(
        ("exception", ":exception-type", kind),
        &json!({ "message": text }),
    )
}

/// A streamed message; its last event has what only this platform puts there.
fn events() -> Vec<Value> {
    vec![
        json!({ "type": "message_start", "message": { "model": MODEL, "id": "msg_bdrk_1", "type": "message", "role": "assistant", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 7, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Gr\u{fc}\u{df} " } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Gott" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 3 } }),
        json!({ "type": "message_stop", "amazon-bedrock-invocationMetrics": { "inputTokenCount": 7, "outputTokenCount": 3, "invocationLatency": 9, "firstByteLatency": 4 } }),
    ]
}

async fn write_in_pieces(arrival: &mut Arrival, head: &str, bytes: &[u8]) {
    arrival.write(head).await;
    for piece in bytes.chunks(97) {
        arrival.write(piece).await;
    }
}

#[tokio::test]
async fn messages_are_signed_and_carried_as_they_came() {
    let mut upstream = Upstream::start().await;
    let more = "apis = [\"bedrock-messages\"]\nauth = \"aws-sigv4\"\nregion = \"here\"\nkey = { env = \"AWS_KEYS\" }";
    let setup = Setup::with(&entry("local", &upstream.base_url(), more));
    let gateway = setup
        .variable("AWS_KEYS", "AKIDEXAMPLE:secret")
        .start()
        .await;
    let sent = r#"{ "model": "llama3.3:70b", "max_tokens" : 64, "stream":false, "messages": [{"role":"user","content":"Gr\u00fc\u00df"}] }"#;
    let mut request = gateway.request(Method::POST, "/v1/messages?beta=true", sent.to_owned());
    let headers = request.headers_mut();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    headers.append(
        "anthropic-beta",
        HeaderValue::from_static("one-2025-01-01,two-2025-02-02"),
    );
    headers.append("anthropic-beta", HeaderValue::from_static("one-2025-01-01"));
    let (answer, arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole(CLOSE, MESSAGE.as_bytes())).await;
        arrival
    });
    assert_eq!(
        arrival.line,
        "POST /v1/model/llama3.3%3A70b/invoke HTTP/1.1"
    );
    assert_eq!(arrival.header("accept"), ["application/json"]);
    let authorization = arrival.header("authorization")[0];
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && authorization.contains("/here/bedrock/aws4_request, "),
        "{authorization}"
    );
    for header in ["anthropic-version", "anthropic-beta"] {
        assert!(arrival.header(header).is_empty(), "{header}");
    }
    let body = String::from_utf8(arrival.body.clone()).unwrap();
    // What the caller wrote is not written anew.
    assert!(
        body.contains(r#""max_tokens" : 64"#) && body.contains(r"Gr\u00fc\u00df"),
        "{body}"
    );
    assert_eq!(
        arrival.json(),
        json!({
            "anthropic_version": "bedrock-2023-05-31",
            "anthropic_beta": ["one-2025-01-01", "two-2025-02-02"],
            "max_tokens": 64,
            "messages": [{ "role": "user", "content": "Gr\u{fc}\u{df}" }],
        })
    );
    let id = answer.record();
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text().await, MESSAGE);
    let record = gateway.record(&id).await;
    for (field, value) in [
        ("api", json!("messages")),
        (
            "edits",
            json!([
                "remove model",
                "remove stream",
                "set anthropic_version",
                "set anthropic_beta"
            ]),
        ),
        ("reported_model", json!(MODEL)),
        ("outcome", json!("completed")),
    ] {
        assert_eq!(record[field], value, "{record:#}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_carried_stream_is_that_of_the_dialect() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "bedrock-messages").await;
    let frames: Vec<u8> = events().iter().flat_map(chunk).collect();
    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/messages", messages(true)), async {
        let mut arrival = upstream.next().await;
        assert_eq!(
            arrival.line,
            "POST /v1/model/llama3.3%3A70b/invoke-with-response-stream HTTP/1.1"
        );
        assert_eq!(
            arrival.header("accept"),
            ["application/vnd.amazon.eventstream"]
        );
        let asked = arrival.json();
        assert!(
            asked.get("stream").is_none() && asked.get("model").is_none(),
            "{asked}"
        );
        write_in_pieces(&mut arrival, FRAMES, &frames).await;
    });
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let id = answer.record();
    let want: String = events()
        .into_iter()
        .map(|mut event| {
            event
                .as_object_mut()
                .unwrap()
                .remove("amazon-bedrock-invocationMetrics");
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(answer.text().await, want);
    let record = gateway.record(&id).await;
    assert_eq!(
        (&record["reported_model"], &record["outcome"]),
        (&json!(MODEL), &json!("completed"))
    );
    gateway.finish().await;
}

/// The paths of the callers in other dialects, each with a request.
fn others(stream: bool) -> Vec<(String, Value)> {
    let turns = json!([{ "role": "user", "content": "Hello" }]);
    let contents = json!([{ "role": "user", "parts": [{ "text": "Hello" }] }]);
    let blocks = json!([{ "role": "user", "content": [{ "text": "Hello" }] }]);
    let (method, operation) = if stream {
        ("streamGenerateContent?alt=sse", "converse-stream")
    } else {
        ("generateContent", "converse")
    };
    vec![
        (
            "/v1/chat/completions".to_owned(),
            json!({ "model": MODEL, "stream": stream, "messages": turns }),
        ),
        (
            "/v1/responses".to_owned(),
            json!({ "model": MODEL, "stream": stream, "input": "Hello" }),
        ),
        (
            format!("/v1beta/models/{MODEL}:{method}"),
            json!({ "contents": contents }),
        ),
        (
            format!("/model/{MODEL}/{operation}"),
            json!({ "messages": blocks }),
        ),
    ]
}

#[tokio::test]
async fn every_other_dialect_reaches_a_carried_model() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "bedrock-messages").await;
    let frames: Vec<u8> = events().iter().flat_map(chunk).collect();
    for stream in [false, true] {
        for (path, body) in others(stream) {
            let (answer, asked) = tokio::join!(ask(&gateway, &path, &body), async {
                let mut arrival = upstream.next().await;
                let operation = if stream {
                    "invoke-with-response-stream"
                } else {
                    "invoke"
                };
                assert_eq!(
                    arrival.line,
                    format!("POST /v1/model/llama3.3%3A70b/{operation} HTTP/1.1")
                );
                if stream {
                    write_in_pieces(&mut arrival, FRAMES, &frames).await;
                } else {
                    arrival.write(whole(CLOSE, MESSAGE.as_bytes())).await;
                }
                arrival.json()
            });
            assert_eq!(asked["anthropic_version"], "bedrock-2023-05-31", "{path}");
            assert!(asked["max_tokens"].is_u64(), "{asked}");
            for gone in ["model", "stream"] {
                assert!(asked.get(gone).is_none(), "{path}: {asked}");
            }
            let id = answer.record();
            let text = String::from_utf8_lossy(&answer.bytes().await).into_owned();
            for said in if stream {
                ["Gr\u{fc}\u{df} ", "Gott"]
            } else {
                ["Hi", "Hi"]
            } {
                assert!(text.contains(said), "{path}: {text}");
            }
            let record = gateway.record(&id).await;
            assert_eq!(
                (&record["translated_to"], &record["outcome"]),
                (&json!("messages"), &json!("completed")),
                "{path}: {record:#}"
            );
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn an_exception_in_mid_stream_is_an_error_of_the_callers_dialect() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "bedrock-messages").await;
    let mut frames: Vec<u8> = events()[..4].iter().flat_map(chunk).collect();
    frames.extend(exception("throttlingException", "slow down"));
    let messages = ("/v1/messages".to_owned(), messages(true));
    for (path, body) in [messages].into_iter().chain(others(true)) {
        let (answer, ()) = tokio::join!(ask(&gateway, &path, &body), async {
            let mut arrival = upstream.next().await;
            write_in_pieces(&mut arrival, FRAMES, &frames).await;
        });
        assert_eq!(answer.status, 200);
        let id = answer.record();
        let text = String::from_utf8_lossy(&answer.bytes().await).into_owned();
        let said = match path.as_str() {
            "/v1/messages" => {
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}"#
            }
            "/v1/chat/completions" => {
                r#"{"error":{"message":"slow down","type":"rate_limit_error""#
            }
            "/v1/responses" => "response.failed",
            _ if path.contains("converse") => "throttlingException",
            _ => r#""status":"RESOURCE_EXHAUSTED""#,
        };
        assert!(
            text.contains("slow down") && text.contains(said),
            "{path}: {text}"
        );
        assert_eq!(
            gateway.record(&id).await["outcome"],
            "upstream-error",
            "{path}"
        );
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_torn_or_broken_stream_of_chunks_is_not_a_whole_answer() {
    let frames: Vec<u8> = events()[..4].iter().flat_map(chunk).collect();
    let mut damaged = frames.clone();
    let last = damaged.len() - 20;
    damaged[last] ^= 1;
    let within = frames[..frames.len() - 9].to_vec();
    for (stream, outcome) in [(frames, "upstream-error"), (damaged, ""), (within, "")] {
        let mut upstream = Upstream::start().await;
        let gateway = gateway(&upstream, "bedrock-messages").await;
        for (path, body) in [
            ("/v1/messages", messages(true)),
            ("/v1/chat/completions", others(true)[0].1.clone()),
        ] {
            let (answer, ()) = tokio::join!(ask(&gateway, path, &body), async {
                let mut arrival = upstream.next().await;
                write_in_pieces(&mut arrival, FRAMES, &stream).await;
            });
            let id = answer.record();
            let text = answer.text().await;
            assert!(text.contains("Gr\u{fc}\u{df}"), "{path}: {text}");
            let error = text
                .rfind("\"error\"")
                .map(|at| &text[at..])
                .unwrap_or_default();
            assert!(error.contains("message"), "{path}: {text}");
            assert!(
                !text.contains("message_stop") && !text.contains("[DONE]"),
                "{path}: {text}"
            );
            let record = gateway.record(&id).await;
            assert_ne!(record["outcome"], "completed", "{path}: {record:#}");
            if !outcome.is_empty() {
                assert_eq!(record["outcome"], outcome, "{path}: {record:#}");
            }
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn refusals_of_the_platform_are_told_in_the_callers_dialect() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "bedrock-messages").await;
    let refused = |body: &str| {
        format!(
            "HTTP/1.1 429 Too Many Requests\r\n{CLOSE}content-type: application/json\r\nx-amzn-errortype: ThrottlingException\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (path, body, class) in [
        ("/v1/messages", messages(false), "rate_limit_error"),
        ("/v1/messages", messages(true), "rate_limit_error"),
        (
            "/v1/chat/completions",
            others(false)[0].1.clone(),
            "rate_limit_error",
        ),
    ] {
        let (answer, ()) = tokio::join!(ask(&gateway, path, &body), async {
            let mut arrival = upstream.next().await;
            arrival
                .write(refused(r#"{"message":"Too many tokens, please wait"}"#))
                .await;
        });
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("content-type"), "application/json");
        let told = answer.json().await;
        assert_eq!(told["error"]["type"], class, "{told}");
        assert_eq!(
            told["error"]["message"], "Too many tokens, please wait",
            "{told}"
        );
    }
    // What is no conversation is not sent there.
    let body = json!({ "model": MODEL, "max_tokens": 5, "messages": "Hello" });
    let answer = ask(&gateway, "/v1/messages", &body).await;
    assert_eq!(answer.status, 400);
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn messages_reach_a_model_by_raw_predict() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "vertex-messages").await;
    let mut request = gateway.request(Method::POST, "/v1/messages", messages(true).to_string());
    let betas = HeaderValue::from_static("one-2025-01-01");
    request.headers_mut().insert("anthropic-beta", betas);
    let events: String = events()
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        })
        .collect();
    let (answer, arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        let head = format!(
            "HTTP/1.1 200 OK\r\n{CLOSE}content-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{events}",
            events.len()
        );
        arrival.write(head).await;
        arrival
    });
    assert_eq!(
        arrival.line,
        "POST /v1/models/llama3.3%3A70b:streamRawPredict HTTP/1.1"
    );
    assert_eq!(arrival.header("accept"), ["text/event-stream"]);
    assert_eq!(arrival.header("anthropic-beta"), ["one-2025-01-01"]);
    assert!(arrival.header("anthropic-version").is_empty());
    let mut want = messages(true);
    want.as_object_mut().unwrap().remove("model");
    want["anthropic_version"] = json!("vertex-2023-10-16");
    assert_eq!(arrival.json(), want);
    assert_eq!(answer.text().await, events);

    let chat = &others(false)[0].1;
    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/chat/completions", chat), async {
        let mut arrival = upstream.next().await;
        assert_eq!(
            arrival.line,
            "POST /v1/models/llama3.3%3A70b:rawPredict HTTP/1.1"
        );
        assert_eq!(arrival.json()["anthropic_version"], "vertex-2023-10-16");
        arrival.write(whole(CLOSE, MESSAGE.as_bytes())).await;
    });
    assert_eq!(
        answer.json().await["choices"][0]["message"]["content"],
        "Hi"
    );

    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/messages", messages(false)), async {
        let body = r#"{"error":{"code":403,"message":"not enabled","status":"PERMISSION_DENIED"}}"#;
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\n{CLOSE}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        upstream.next().await.write(head).await;
    });
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.json().await["error"],
        json!({ "type": "permission_error", "message": "not enabled" })
    );
    gateway.finish().await;
}

#[tokio::test]
async fn chat_is_carried_too() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "bedrock-chat").await;
    let chunk_of = |delta: Value, finish: Value| json!({ "id": "c1", "object": "chat.completion.chunk", "model": MODEL, "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
    let mut last = chunk_of(json!({}), json!("stop"));
    last["amazon-bedrock-invocationMetrics"] = json!({ "inputTokenCount": 7 });
    let frames = [
        chunk(&chunk_of(json!({ "content": "Hi" }), Value::Null)),
        chunk(&last),
    ]
    .concat();
    let body = json!({ "model": MODEL, "stream": true, "messages": [{ "role": "user", "content": "Hello" }], "seed": 7 });
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let body = if path == "/v1/messages" {
            messages(true)
        } else {
            body.clone()
        };
        let (answer, asked) = tokio::join!(ask(&gateway, path, &body), async {
            let mut arrival = upstream.next().await;
            assert_eq!(
                arrival.line,
                "POST /v1/model/llama3.3%3A70b/invoke-with-response-stream HTTP/1.1"
            );
            write_in_pieces(&mut arrival, FRAMES, &frames).await;
            arrival.json()
        });
        assert!(
            asked.get("model").is_none() && asked.get("stream").is_none(),
            "{asked}"
        );
        let text = answer.text().await;
        if path == "/v1/messages" {
            assert!(
                text.contains(r#""text":"Hi""#) && text.contains("message_stop"),
                "{text}"
            );
            continue;
        }
        assert_eq!(asked["seed"], 7);
        assert!(
            text.ends_with("data: [DONE]\n\n") && !text.contains("Metrics"),
            "{text}"
        );
        let chunks = json_body(text.trim_end_matches("data: [DONE]\n\n"));
        assert_eq!(chunks[0]["choices"][0]["delta"]["content"], "Hi");
        assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
    }
    // Callers do not speak in the words of a platform.
    let path = format!("/model/{MODEL}/invoke");
    let answer = ask(&gateway, &path, &body).await;
    assert_eq!(answer.status, 404);
    gateway.finish().await;
}

/// The recorded exchanges in which a client of the platform sent a body of Messages; none where they are not on this
/// machine.
fn recorded(test: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes/normalized");
    let Ok(lines) = fs::read_to_string(folder.join("bedrock.jsonl")) else {
        if let Ok(folder) = std::env::var("CARNET_NOT_RUN") {
            fs::write(
                Path::new(&folder).join(test),
                "the recorded exchanges are not on this machine",
            )
            .unwrap();
        }
        return Vec::new();
    };
    let all = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    all.filter(|entry: &Value| {
        let asked = entry["request_body"]["text"].as_str().unwrap_or_default();
        entry["path"]
            .as_str()
            .unwrap_or_default()
            .contains("/invoke")
            && asked.contains("\"anthropic_version\"")
    })
    .collect()
}

/// What a recorder kept of a body: text, or binary as base64, which not every recorder says.
fn kept(body: &Value) -> Vec<u8> {
    let text = body["text"].as_str().unwrap_or_default();
    let binary = body["base64"]
        .as_str()
        .or_else(|| text.starts_with("AAAA").then_some(text));
    match binary {
        Some(binary) => BASE64_STANDARD.decode(binary).unwrap(),
        None => text.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn recorded_answers_reach_callers_of_messages() {
    let exchanges = recorded("recorded_answers_reach_callers_of_messages");
    let mut upstream = Upstream::start().await;
    let base_url = upstream.base_url();
    let names: BTreeSet<String> = exchanges.iter().map(model).collect();
    let models: Vec<String> = names
        .iter()
        .map(|name| format!("{{ name = \"{name}\" }}"))
        .collect();
    let entry = format!(
        "[[upstream]]\nname = \"local\"\nbase_url = \"{base_url}\"\nhost = \"rack\"\napis = [\"bedrock-messages\"]\nmodels = [{{ name = \"none\" }}, {}]\n",
        models.join(", ")
    );
    let gateway = Setup::with(&entry).permitting_all().start().await;
    for exchange in &exchanges {
        let id = exchange["id"].as_str().unwrap();
        let stream = exchange["path"].as_str().unwrap().ends_with("-stream");
        let sent: Value = serde_json::from_slice(&kept(&exchange["request_body"])).unwrap();
        let mut body = sent.clone();
        let members = body.as_object_mut().unwrap();
        members.remove("anthropic_version");
        members.insert("model".to_owned(), model(exchange).into());
        members.insert("stream".to_owned(), stream.into());
        let answer_bytes = kept(&exchange["response_body"]);
        let (answer, ()) = tokio::join!(ask(&gateway, "/v1/messages", &body), async {
            let mut arrival = upstream.next().await;
            let path = arrival.line.split(' ').nth(1).unwrap();
            assert_eq!(
                path,
                format!("/v1{}", exchange["path"].as_str().unwrap()),
                "{id}"
            );
            assert_eq!(arrival.json(), sent, "{id}");
            if stream {
                write_in_pieces(&mut arrival, FRAMES, &answer_bytes).await;
            } else {
                arrival.write(whole(CLOSE, &answer_bytes)).await;
            }
        });
        assert_eq!(answer.status, 200, "{id}");
        let got = answer.bytes().await;
        if !stream {
            assert_eq!(got, answer_bytes, "{id}");
            continue;
        }
        let text = String::from_utf8(got).unwrap();
        let events: Vec<&str> = text
            .split("\n\n")
            .filter_map(|event| event.split_once("\ndata: ").map(|(_, data)| data))
            .collect();
        let mut want = chunks_of(&answer_bytes);
        for event in &mut want {
            event
                .as_object_mut()
                .unwrap()
                .remove("amazon-bedrock-invocationMetrics");
        }
        let events: Vec<Value> = events
            .iter()
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(events, want, "{id}");
    }
    gateway.finish().await;
}

fn model(exchange: &Value) -> String {
    let path = exchange["path"].as_str().unwrap();
    let name = path.split('/').nth(2).unwrap();
    name.replace("%3A", ":")
}

/// The events of a recorded stream, read by the decoder alone.
fn chunks_of(mut stream: &[u8]) -> Vec<Value> {
    let mut decoder = AwsDecoder::new();
    let mut events = Vec::new();
    while let Some(message) = decoder.next(&mut stream).unwrap() {
        let payload: Value = serde_json::from_slice(message.payload).unwrap();
        let event = BASE64_STANDARD
            .decode(payload["bytes"].as_str().unwrap())
            .unwrap();
        events.push(serde_json::from_slice(&event).unwrap());
    }
    events
}
