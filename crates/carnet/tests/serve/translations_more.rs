//! Callers that speak generateContent or Converse, and a model whose upstream speaks neither.

use carnet_wire::stream::aws::AwsDecoder;
use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{Answer, Gateway, Setup, Upstream, entry, json_body};
use crate::translations::frame;

const GENERATE: &str = "/v1beta/models/llama3.3:70b:generateContent";
const STREAM_GENERATE: &str = "/v1beta/models/llama3.3:70b:streamGenerateContent";
const CONVERSE: &str = "/model/llama3.3:70b/converse";
const CONVERSE_STREAM: &str = "/model/llama3.3:70b/converse-stream";
/// Else the next request could meet a connection just when it ends.
const CLOSE: &str = "connection: close\r\n";
const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"llama3.3:70b","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"at\":\"sky\"}"}}]}}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#;

async fn gateway(upstream: &Upstream, api: &str) -> Gateway {
    let more = format!("apis = [\"{api}\"]");
    let entry = entry("local", &upstream.base_url(), &more);
    Setup::with(&entry).start().await
}

async fn ask(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let request = gateway.request(Method::POST, path, body.to_string());
    gateway.send(request).await
}

fn generate() -> Value {
    json!({
        "system_instruction": { "parts": [{ "text": "Be brief" }] },
        "contents": [{ "role": "user", "parts": [{ "text": "Hello" }] }],
        "generationConfig": { "maxOutputTokens": 9, "topK": 3 },
        "tools": [{ "functionDeclarations": [{ "name": "look", "parameters": { "type": "OBJECT" } }] }],
        "safetySettings": [{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE" }],
    })
}

fn converse() -> Value {
    json!({
        "system": [{ "text": "Be brief" }],
        "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }],
        "inferenceConfig": { "maxTokens": 9 },
        "toolConfig": { "tools": [{ "toolSpec": { "name": "look", "inputSchema": { "json": { "type": "object" } } } }] },
        "additionalModelRequestFields": { "top_k": 3 },
    })
}

/// Asks, and has an upstream that speaks chat completions answer with `answer`.
async fn exchange(path: &str, body: &Value, answer: impl AsRef<[u8]>) -> (Value, Answer, Gateway) {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "chat-completions").await;
    let (told, asked) = tokio::join!(ask(&gateway, path, body), async {
        let mut arrival = upstream.next().await;
        arrival.write(answer).await;
        assert_eq!(arrival.line, "POST /v1/chat/completions HTTP/1.1");
        arrival.json()
    });
    (asked, told, gateway)
}

fn check_asked(asked: &Value) {
    assert_eq!(asked["model"], "llama3.3:70b", "{asked}");
    assert_eq!(asked["messages"][0]["content"], "Be brief");
    assert_eq!(
        asked["messages"][1],
        json!({ "role": "user", "content": "Hello" })
    );
    let function = &asked["tools"][0]["function"];
    assert_eq!(function["name"], "look");
    assert_eq!(function["parameters"], json!({ "type": "object" }));
    assert_eq!(asked["max_tokens"], 9);
}

#[tokio::test]
async fn generate_content_reaches_a_model_that_speaks_chat() {
    let whole = whole(CLOSE, COMPLETION.as_bytes());
    let (asked, answer, gateway) = exchange(GENERATE, &generate(), whole).await;
    check_asked(&asked);
    assert!(asked.get("stream").is_none(), "{asked}");
    assert_eq!(
        answer.header("carnet-losses"),
        "sampling:top_k, unknown-member:safetySettings"
    );
    let id = answer.record();
    let body = answer.json().await;
    let candidate = &body["candidates"][0];
    let call = json!({ "id": "call_1", "name": "look", "args": { "at": "sky" } });
    assert_eq!(
        candidate["content"],
        json!({ "parts": [{ "text": "Hi" }, { "functionCall": call }], "role": "model" })
    );
    assert_eq!(candidate["finishReason"], "STOP");
    assert_eq!(body["usageMetadata"]["totalTokenCount"], 10);
    assert_eq!(body["modelVersion"], "llama3.3:70b");
    let record = gateway.record(&id).await;
    assert_eq!(record["api"], "generate-content", "{record:#}");
    assert_eq!(record["translated_to"], "chat completions");
    gateway.finish().await;
}

#[tokio::test]
async fn converse_reaches_a_model_that_speaks_chat() {
    let whole = whole(CLOSE, COMPLETION.as_bytes());
    let (asked, answer, gateway) = exchange(CONVERSE, &converse(), whole).await;
    check_asked(&asked);
    assert_eq!(answer.header("carnet-losses"), "sampling:top_k");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json().await;
    let call = json!({ "toolUseId": "call_1", "name": "look", "input": { "at": "sky" } });
    assert_eq!(
        body,
        json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": "Hi" }, { "toolUse": call }] } },
            "stopReason": "tool_use",
            "usage": { "inputTokens": 7, "outputTokens": 3, "totalTokens": 10 },
        })
    );
    gateway.finish().await;
}

/// A stream of chat completions that says "Grüß Gott", with its head; it breaks off before its end if it is to be cut.
fn stream(cut: bool) -> Vec<u8> {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        format!(
            "data: {}\n\n",
            json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "llama3.3:70b", "choices": [choice] })
        )
    };
    let mut events = vec![
        ": there soon\n\n".to_owned(),
        chunk(json!({ "content": "Gr\u{fc}\u{df} " }), Value::Null),
        chunk(json!({ "content": "Gott" }), Value::Null),
    ];
    if !cut {
        events.push(chunk(json!({}), json!("stop")));
        events.push("data: [DONE]\n\n".to_owned());
    }
    let mut out = crate::harness::upstream::EVENTS.as_bytes().to_vec();
    for event in events {
        out.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    }
    if !cut {
        out.extend_from_slice(LAST_CHUNK.as_bytes());
    }
    out
}

fn text_of(chunks: &[Value]) -> String {
    let text = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].clone();
    chunks
        .iter()
        .filter_map(|chunk| text(chunk).as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn generate_content_is_streamed_as_events_or_as_an_array() {
    for query in ["?alt=sse", ""] {
        let path = format!("{STREAM_GENERATE}{query}");
        let (asked, answer, gateway) = exchange(&path, &generate(), stream(false)).await;
        assert_eq!(asked["stream"], true, "{asked}");
        let chunks: Vec<Value> = if query.is_empty() {
            assert_eq!(answer.header("content-type"), "application/json");
            serde_json::from_slice(&answer.bytes().await).unwrap()
        } else {
            assert_eq!(answer.header("content-type"), "text/event-stream");
            let text = answer.text().await;
            assert!(
                text.starts_with(": keep-alive\n") && !text.contains("[DONE]"),
                "{text}"
            );
            json_body(&text)
        };
        assert_eq!(text_of(&chunks), "Gr\u{fc}\u{df} Gott");
        let last = &chunks.last().unwrap()["candidates"][0];
        assert_eq!(last["finishReason"], "STOP");
        gateway.finish().await;
    }
}

/// The messages of an AWS event stream: what each is called, and its body.
fn messages(mut stream: &[u8]) -> Vec<(String, Value)> {
    let mut decoder = AwsDecoder::new();
    let mut found = Vec::new();
    while let Some(message) = decoder.next(&mut stream).unwrap() {
        let name = message.event_type().or_else(|| message.exception_type());
        let body = serde_json::from_slice(message.payload).unwrap();
        found.push((name.unwrap().to_owned(), body));
    }
    decoder.finish().unwrap();
    found
}

#[tokio::test]
async fn converse_is_streamed_as_messages_and_a_break_is_an_exception() {
    for cut in [false, true] {
        let (asked, answer, gateway) = exchange(CONVERSE_STREAM, &converse(), stream(cut)).await;
        assert_eq!(asked["stream"], true, "{asked}");
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.amazon.eventstream"
        );
        let messages = messages(&answer.bytes().await);
        let text: String = messages
            .iter()
            .filter_map(|(_, body)| body["delta"]["text"].as_str())
            .collect();
        assert_eq!(text, "Gr\u{fc}\u{df} Gott");
        let (name, body) = messages.last().unwrap();
        if cut {
            assert_eq!(name, "internalServerException");
            assert_eq!(body["code"], "upstream_closed", "{body}");
        } else {
            assert_eq!(name, "metadata");
            let names: Vec<&str> = messages.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names.first(), Some(&"messageStart"));
            assert!(names.contains(&"messageStop"), "{names:?}");
        }
        gateway.finish().await;
    }
}

/// As it comes from its upstream, a stream breaks off between two messages, or within one.
#[tokio::test]
async fn a_converse_stream_that_passes_ends_in_an_exception_where_one_fits() {
    let frames = [
        frame("messageStart", &json!({ "role": "assistant" })),
        frame(
            "contentBlockDelta",
            &json!({ "contentBlockIndex": 0, "delta": { "text": "Hi" } }),
        ),
    ]
    .concat();
    for torn in [false, true] {
        let mut upstream = Upstream::start().await;
        let gateway = gateway(&upstream, "converse").await;
        let sent = if torn {
            &frames[..frames.len() - 3]
        } else {
            &frames[..]
        };
        let body = converse();
        let (answer, ()) = tokio::join!(ask(&gateway, CONVERSE_STREAM, &body), async {
            let mut arrival = upstream.next().await;
            arrival.write("HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n\r\n").await;
            for piece in sent.chunks(7) {
                arrival.write(format!("{:x}\r\n", piece.len())).await;
                arrival.write(piece).await;
                arrival.write("\r\n").await;
            }
        });
        match answer.try_bytes().await {
            Ok(bytes) => {
                assert!(!torn, "{bytes:?}");
                let messages = messages(&bytes);
                assert_eq!(messages.len(), 3);
                assert_eq!(messages[2].0, "internalServerException");
                assert_eq!(messages[2].1["code"], "upstream_closed");
            }
            // What was not yet on its way goes with the connection.
            Err((bytes, _)) => {
                assert!(torn, "an exception would have fitted");
                assert!(sent.starts_with(&bytes), "{bytes:?}");
            }
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_stream_ends_once_whatever_its_upstream_does_behind_the_end() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "chat-completions").await;
    let finish = r#"{"id":"c1","object":"chat.completion.chunk","model":"llama3.3:70b","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    for (path, end) in [
        (
            "/v1/messages",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        ("/v1/responses", "}\n\n"),
    ] {
        for holds in [true, false] {
            let body = if path == "/v1/messages" {
                let turns = json!([{ "role": "user", "content": "Hello" }]);
                json!({ "model": "llama3.3:70b", "stream": true, "max_tokens": 9, "messages": turns })
            } else {
                json!({ "model": "llama3.3:70b", "stream": true, "input": "Hello" })
            };
            let (answer, arrival) = tokio::join!(ask(&gateway, path, &body), async {
                let mut arrival = upstream.next().await;
                arrival.write(EVENTS).await;
                arrival.chunk(DELTA).await;
                arrival.chunk(&format!("data: {finish}\n\n")).await;
                arrival.chunk(DONE).await;
                holds.then_some(arrival)
            });
            let id = answer.record();
            // A connection that stays open does not keep the caller, and one that breaks takes nothing back.
            let text = answer.text().await;
            drop(arrival);
            assert!(text.ends_with(end), "{text}");
            assert!(
                !text.contains("error\",") && !text.contains("response.failed"),
                "{text}"
            );
            assert_eq!(gateway.record(&id).await["outcome"], "completed", "{path}");
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn errors_have_the_shape_that_the_caller_reads() {
    let body =
        r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":null}}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for path in [CONVERSE, CONVERSE_STREAM] {
        let (_, told, gateway) = exchange(path, &converse(), &answer).await;
        assert_eq!(told.status, 429);
        assert_eq!(told.header("content-type"), "application/json");
        assert_eq!(told.header("x-amzn-errortype"), "ThrottlingException");
        assert_eq!(told.json().await, json!({ "message": "slow down" }));
        gateway.finish().await;
    }
    // Some services send an error under a status of success.
    let (_, told, gateway) = exchange(CONVERSE, &converse(), whole(CLOSE, body.as_bytes())).await;
    assert_eq!(told.status, 429);
    assert_eq!(told.header("x-amzn-errortype"), "ThrottlingException");
    let id = told.record();
    assert_eq!(told.json().await, json!({ "message": "slow down" }));
    assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
    gateway.finish().await;
    for path in [GENERATE, STREAM_GENERATE] {
        let (_, told, gateway) = exchange(path, &generate(), &answer).await;
        assert_eq!(told.status, 429);
        let error = json!({ "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED" });
        assert_eq!(told.json().await, json!({ "error": error }));
        gateway.finish().await;
    }
}

/// What the caller's dialect could lead elsewhere is refused before it is translated.
#[tokio::test]
async fn fields_are_ruled_by_the_callers_dialect() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "chat-completions").await;
    let mut body = generate();
    body["cached_content"] = json!("cachedContents/1");
    let answer = ask(&gateway, GENERATE, &body).await;
    assert_eq!(answer.status, 400);
    let error = answer.json().await;
    assert_eq!(
        error["error"]["details"][0]["reason"], "FIELD_REFUSED",
        "{error:#}"
    );

    let mut body = converse();
    body["guardrailConfig"] = json!({ "guardrailIdentifier": "g" });
    let answer = ask(&gateway, CONVERSE, &body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().await["code"], "field_refused");

    let mut body = generate();
    body["generationConfig"]["responseModalities"] = json!(["IMAGE"]);
    let answer = ask(&gateway, GENERATE, &body).await;
    assert_eq!(answer.status, 400);
    let error = answer.json().await;
    assert_eq!(
        error["error"]["details"][0]["reason"], "NOT_TRANSLATABLE",
        "{error:#}"
    );
    gateway.finish().await;
}
