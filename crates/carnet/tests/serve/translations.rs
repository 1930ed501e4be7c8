//! A model whose upstream speaks another dialect than the caller: both see only their own.

use carnet_wire::stream::aws::{Header, HeaderValue, write_message};
use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Answer, Arrival, Gateway, MODEL, ONE_SECOND, RENAMED, Setup, Upstream, entry, json_body, within,
};

/// Else the next request could meet a connection just when it ends.
const CLOSE: &str = "connection: close\r\n";

async fn gateway(upstream: &Upstream, api: &str) -> Gateway {
    let entry = entry(
        "local",
        &upstream.base_url(),
        &format!("apis = [\"{api}\"]"),
    );
    Setup::with(&entry).start().await
}

async fn ask(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let request = gateway.request(Method::POST, path, body.to_string());
    gateway.send(request).await
}

fn chat(more: Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hello" }] });
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    body
}

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"llama3.3:70b","content":[{"type":"text","text":"Hi"},{"type":"tool_use","id":"toolu_1","name":"look","input":{"at":"sky"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":3}}"#;

#[tokio::test]
async fn a_chat_reaches_a_model_that_speaks_messages() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "messages").await;
    let tools = json!([{ "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } }]);
    let body = chat(json!({ "tools": tools, "seed": 7 }));
    let (answer, seen) = tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(whole(
                "retry-after: 3\r\nconnection: close\r\n",
                MESSAGE.as_bytes(),
            ))
            .await;
        arrival
    });
    assert_eq!(seen.line, "POST /v1/messages HTTP/1.1");
    assert_eq!(seen.header("anthropic-version"), ["2023-06-01"]);
    let asked = seen.json();
    assert_eq!(asked["model"], MODEL);
    assert_eq!(
        asked["messages"][0],
        json!({ "role": "user", "content": "Hello" })
    );
    assert_eq!(asked["tools"][0]["name"], "look");
    assert!(
        asked["max_tokens"].is_u64() && asked.get("seed").is_none(),
        "{asked}"
    );

    assert_eq!(answer.header("carnet-losses"), "sampling:seed");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("retry-after"), "3");
    let id = answer.record();
    let body = answer.json().await;
    assert_eq!(
        (&body["object"], &body["model"]),
        (&json!("chat.completion"), &json!(MODEL))
    );
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "Hi");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(
        (&call["id"], &call["function"]["name"]),
        (&json!("toolu_1"), &json!("look"))
    );
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({ "at": "sky" }));
    assert_eq!(body["usage"]["total_tokens"], 10);

    let record = gateway.record(&id).await;
    for (field, value) in [
        ("api", json!("chat-completions")),
        ("translated_to", json!("messages")),
        ("losses", json!(["sampling:seed"])),
        ("reported_model", json!(MODEL)),
        ("outcome", json!("completed")),
    ] {
        assert_eq!(record[field], value, "{record:#}");
    }
    gateway.finish().await;
}

/// The events of a message that is streamed.
fn message_events(model: &str) -> Vec<String> {
    let event = |name: &str, data: Value| format!("event: {name}\ndata: {data}\n\n");
    vec![
        event(
            "message_start",
            json!({ "type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 7, "output_tokens": 1 } } }),
        ),
        event(
            "content_block_start",
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
        event("ping", json!({ "type": "ping" })),
        event(
            "content_block_delta",
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Gr\u{fc}\u{df} " } }),
        ),
        event(
            "content_block_delta",
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Gott" } }),
        ),
        event(
            "content_block_stop",
            json!({ "type": "content_block_stop", "index": 0 }),
        ),
        event(
            "message_delta",
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 3 } }),
        ),
        event("message_stop", json!({ "type": "message_stop" })),
    ]
}

async fn stream(arrival: &mut Arrival, bytes: &[u8], step: usize) {
    arrival.write(EVENTS).await;
    for piece in bytes.chunks(step) {
        arrival.write(format!("{:x}\r\n", piece.len())).await;
        arrival.write(piece).await;
        arrival.write("\r\n").await;
    }
    arrival.write(LAST_CHUNK).await;
}

#[tokio::test]
async fn a_stream_is_translated_event_by_event_wherever_it_is_cut() {
    for step in [1, 7, 37, 4_096] {
        let mut upstream = Upstream::start().await;
        let gateway = gateway(&upstream, "messages").await;
        let body = chat(json!({ "stream": true, "stream_options": { "include_usage": true } }));
        let (answer, ()) = tokio::join!(
            async { ask(&gateway, "/v1/chat/completions", &body).await },
            async {
                let mut arrival = upstream.next().await;
                assert_eq!(arrival.header("accept"), ["text/event-stream"]);
                let events = message_events(MODEL).concat();
                stream(&mut arrival, events.as_bytes(), step).await;
            }
        );
        assert_eq!(answer.header("content-type"), "text/event-stream");
        let id = answer.record();
        let text = answer.text().await;
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let chunks = json_body(text.trim_end_matches("data: [DONE]\n\n"));
        let said: String = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(said, "Gr\u{fc}\u{df} Gott");
        let finishes: Vec<&Value> = chunks
            .iter()
            .map(|chunk| &chunk["choices"][0]["finish_reason"])
            .filter(|finish| finish.is_string())
            .collect();
        assert_eq!(finishes, ["stop"]);
        let usage = &chunks.last().unwrap()["usage"];
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"]),
            (&json!(7), &json!(3))
        );
        let record = gateway.record(&id).await;
        assert_eq!(
            (&record["outcome"], &record["stream"]),
            (&json!("completed"), &json!(true))
        );
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_caller_hears_that_the_upstream_is_still_there() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "messages").await;
    let body = chat(json!({ "stream": true }));
    let (mut answer, mut arrival) =
        tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(": still thinking\n\n").await;
            arrival
        });
    assert_eq!(answer.piece().await.unwrap(), ": keep-alive\n");
    arrival.chunk(&message_events(MODEL)[0]).await;
    let first = String::from_utf8(answer.piece().await.unwrap().to_vec()).unwrap();
    assert!(
        first.starts_with("data: {") && first.ends_with("\n\n"),
        "{first}"
    );
    answer.hang_up();
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    gateway.finish().await;
}

#[tokio::test]
async fn messages_and_responses_reach_a_model_that_speaks_chat() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "chat-completions").await;
    let completion = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Hi" } }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 },
    })
    .to_string();
    for (path, body) in [
        (
            "/v1/messages",
            json!({ "model": MODEL, "max_tokens": 9, "system": "Be brief", "messages": [{ "role": "user", "content": "Hello" }] }),
        ),
        (
            "/v1/responses",
            json!({ "model": MODEL, "max_output_tokens": 9, "instructions": "Be brief", "input": "Hello" }),
        ),
    ] {
        let (answer, seen) = tokio::join!(ask(&gateway, path, &body), async {
            let mut arrival = upstream.next().await;
            arrival.write(whole(CLOSE, completion.as_bytes())).await;
            arrival
        });
        assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
        let asked = seen.json();
        assert_eq!(asked["messages"][0]["content"], "Be brief", "{asked}");
        assert_eq!(
            asked["messages"][1],
            json!({ "role": "user", "content": "Hello" })
        );
        assert_eq!(answer.status, 200);
        let body = answer.json().await;
        if path == "/v1/messages" {
            assert_eq!(
                body["content"],
                json!([{ "type": "text", "text": "Hi" }]),
                "{body:#}"
            );
            assert_eq!(body["stop_reason"], "end_turn");
        } else {
            assert_eq!(body["output"][0]["content"][0]["text"], "Hi", "{body:#}");
            assert_eq!(
                (&body["status"], &body["store"]),
                (&json!("completed"), &json!(false))
            );
        }
    }
    gateway.finish().await;
}

pub(crate) fn frame(kind: &str, data: &Value) -> Vec<u8> {
    message(("event", ":event-type", kind), data)
}

/// One message of an AWS event stream: which sort it is, and by which header its kind is named.
pub(crate) fn message((sort, named, kind): (&str, &str, &str), data: &Value) -> Vec<u8> {
    let header = |name, value| Header {
        name,
        value: HeaderValue::String(value),
    };
    let headers = [
        header(":message-type", sort),
        header(named, kind),
        header(":content-type", "application/json"),
    ];
    let mut out = Vec::new();
    write_message(&mut out, &headers, data.to_string().as_bytes()).unwrap();
    out
}

#[tokio::test]
async fn a_chat_is_streamed_from_a_model_that_speaks_converse() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "converse").await;
    let frames = [
        frame("messageStart", &json!({ "role": "assistant" })),
        frame("contentBlockDelta", &json!({ "contentBlockIndex": 0, "delta": { "text": "Hi" } })),
        frame("contentBlockStop", &json!({ "contentBlockIndex": 0 })),
        frame("messageStop", &json!({ "stopReason": "end_turn" })),
        frame("metadata", &json!({ "usage": { "inputTokens": 7, "outputTokens": 3, "totalTokens": 10 }, "metrics": { "latencyMs": 1 } })),
    ]
    .concat();
    let body = chat(json!({ "stream": true }));
    let (first, rest) = frames.split_at(frames.len() / 2);
    let (mut answer, mut arrival) = tokio::join!(
        ask(&gateway, "/v1/chat/completions", &body),
        async {
            let mut arrival = upstream.next().await;
            assert_eq!(
                arrival.line,
                "POST /v1/model/llama3.3%3A70b/converse-stream HTTP/1.1"
            );
            assert_eq!(arrival.json()["messages"][0]["content"][0]["text"], "Hello");
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ncontent-length: {}\r\n\r\n",
                frames.len()
            );
            arrival.write(head).await;
            for piece in first.chunks(11) {
                arrival.write(piece).await;
            }
            arrival
        }
    );
    // What has come is passed on, though half of the answer is still out.
    let begun = answer.piece().await.unwrap();
    for piece in rest.chunks(11) {
        arrival.write(piece).await;
    }
    let text = String::from_utf8_lossy(&begun).into_owned() + &answer.text().await;
    let chunks = json_body(text.trim_end_matches("data: [DONE]\n\n"));
    let said: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(said, "Hi", "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    gateway.finish().await;
}

#[tokio::test]
async fn messages_are_streamed_from_a_model_that_speaks_generate_content() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "generate-content").await;
    let chunk = |text: &str, finish: Value| {
        let candidate = json!({ "index": 0, "content": { "role": "model", "parts": [{ "text": text }] }, "finishReason": finish });
        let usage =
            json!({ "promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10 });
        let body =
            json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL });
        format!("data: {body}\r\n\r\n")
    };
    let events = chunk("Gr\u{fc}\u{df} ", Value::Null) + &chunk("Gott", json!("STOP"));
    let body = json!({ "model": MODEL, "max_tokens": 9, "stream": true, "messages": [{ "role": "user", "content": "Hello" }] });
    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/messages", &body), async {
        let mut arrival = upstream.next().await;
        let line = "POST /v1/models/llama3.3%3A70b:streamGenerateContent?alt=sse HTTP/1.1";
        assert_eq!(arrival.line, line);
        let asked = arrival.json();
        assert_eq!(asked["contents"][0]["parts"][0]["text"], "Hello", "{asked}");
        assert_eq!(asked["generationConfig"]["maxOutputTokens"], 9);
        stream(&mut arrival, events.as_bytes(), 5).await;
    });
    let text = answer.text().await;
    let said: String = json_body(&text)
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str())
        .collect();
    assert_eq!(said, "Gr\u{fc}\u{df} Gott", "{text}");
    assert!(
        text.contains("event: message_start\n") && text.contains("event: message_stop\n"),
        "{text}"
    );
    gateway.finish().await;
}

/// The events of a streamed chat that ends in a call, as Cohere has them.
fn cohere_events() -> Vec<String> {
    let event = |kind: &str, more: Value| {
        let mut data = json!({ "type": kind });
        data.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let said = |message: Value| json!({ "index": 0, "delta": { "message": message } });
    let call = json!({ "id": "look_1", "type": "function", "function": { "name": "look", "arguments": "" } });
    let usage = json!({ "billed_units": { "input_tokens": 2, "output_tokens": 1 }, "tokens": { "input_tokens": 7, "output_tokens": 3 } });
    vec![
        event(
            "message-start",
            json!({ "id": "c-1", "delta": { "message": { "role": "assistant" } } }),
        ),
        event(
            "tool-plan-delta",
            said(json!({ "tool_plan": "I will gr\u{fc}\u{df} " })),
        ),
        event("tool-plan-delta", said(json!({ "tool_plan": "Gott" }))),
        event("tool-call-start", said(json!({ "tool_calls": call }))),
        event(
            "tool-call-delta",
            said(json!({ "tool_calls": { "function": { "arguments": "{\"at\":" } } })),
        ),
        event(
            "tool-call-delta",
            said(json!({ "tool_calls": { "function": { "arguments": "\"sky\"}" } } })),
        ),
        event("tool-call-end", json!({ "index": 0 })),
        event(
            "message-end",
            json!({ "id": "c-1", "delta": { "finish_reason": "TOOL_CALL", "usage": usage } }),
        ),
    ]
}

#[tokio::test]
async fn a_chat_reaches_a_model_that_speaks_cohere() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "cohere-chat").await;
    let mut body = chat(json!({ "top_p": 0.5, "user": "u" }));
    body["model"] = json!(RENAMED);
    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.line, "POST /v1/v2/chat HTTP/1.1");
        assert_eq!(arrival.header("accept"), ["application/json"]);
        let asked = arrival.json();
        assert_eq!(
            (&asked["model"], &asked["p"]),
            (&json!("llama3.3:70b"), &json!(0.5))
        );
        assert_eq!(
            asked["messages"][0],
            json!({ "role": "user", "content": "Hello" })
        );
        let answer = r#"{"id":"c-1","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"Hi"}]},"usage":{"tokens":{"input_tokens":7,"output_tokens":3}}}"#;
        arrival.write(whole(CLOSE, answer.as_bytes())).await;
    });
    assert_eq!(answer.header("carnet-losses"), "metadata:user");
    let id = answer.record();
    let said = answer.json().await;
    assert_eq!(said["choices"][0]["message"]["content"], "Hi", "{said:#}");
    assert_eq!(said["usage"]["total_tokens"], 10);
    // The service names none: it is what it was asked for, and nothing that it has reported.
    assert_eq!(said["model"], MODEL);
    let record = gateway.record(&id).await;
    for (field, value) in [
        ("api", json!("chat-completions")),
        ("reported_model", Value::Null),
        ("translated_to", json!("cohere chat")),
        ("outcome", json!("completed")),
    ] {
        assert_eq!(record[field], value, "{record:#}");
    }

    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
        let body = r#"{"id":"c-2","message":"slow down"}"#;
        let head = format!(
            "HTTP/1.1 429 Too Many Requests\r\n{CLOSE}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        upstream.next().await.write(head).await;
    });
    assert_eq!(answer.status.as_u16(), 429);
    assert_eq!(answer.json().await["error"]["message"], "slow down");

    // Callers do not speak it.
    let request = gateway.request(Method::POST, "/v2/chat", body.to_string());
    gateway
        .send(request)
        .await
        .error(404, "path_not_served")
        .await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_call_is_streamed_from_a_model_that_speaks_cohere() {
    let events = cohere_events();
    let body = chat(json!({ "stream": true }));
    for (events, is_whole) in [(&events[..], true), (&events[..5], false)] {
        let mut upstream = Upstream::start().await;
        let gateway = gateway(&upstream, "cohere-chat").await;
        let (answer, ()) = tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.header("accept"), ["text/event-stream"]);
            assert_eq!(arrival.json()["stream"], true);
            stream(&mut arrival, events.concat().as_bytes(), 7).await;
        });
        let id = answer.record();
        let text = answer.text().await;
        let chunks = json_body(text.trim_end_matches("data: [DONE]\n\n"));
        let told = |place: &str| -> String {
            let piece = |chunk: &Value| {
                chunk
                    .pointer(place)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            chunks.iter().filter_map(piece).collect()
        };
        assert_eq!(
            told("/choices/0/delta/reasoning_content"),
            "I will gr\u{fc}\u{df} Gott"
        );
        let arguments = told("/choices/0/delta/tool_calls/0/function/arguments");
        assert_eq!(told("/choices/0/delta/tool_calls/0/id"), "look_1");
        assert_eq!(arguments == r#"{"at":"sky"}"#, is_whole, "{text}");
        let mut models = chunks.iter().filter_map(|chunk| chunk.get("model"));
        assert!(models.all(|model| *model == json!(MODEL)), "{text}");
        assert_eq!(text.ends_with("data: [DONE]\n\n"), is_whole, "{text}");
        let finish = told("/choices/0/finish_reason");
        assert_eq!(finish, if is_whole { "tool_calls" } else { "" });
        assert_eq!(told("/error/message").is_empty(), is_whole, "{text}");
        let outcome = if is_whole {
            "completed"
        } else {
            "upstream-error"
        };
        assert_eq!(gateway.record(&id).await["outcome"], outcome, "{text}");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn errors_come_in_the_callers_dialect_with_their_status() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "messages").await;
    for stream in [false, true] {
        let (answer, ()) = tokio::join!(
            async {
                ask(
                    &gateway,
                    "/v1/chat/completions",
                    &chat(json!({ "stream": stream })),
                )
                .await
            },
            async {
                let mut arrival = upstream.next().await;
                let body =
                    r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
                let head = format!(
                    "HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-type: application/json\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                arrival.write(head).await;
            }
        );
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (429, "7")
        );
        assert_eq!(answer.header("content-type"), "application/json");
        let error = answer.json().await;
        assert_eq!(error["error"]["message"], "slow down", "{error:#}");
        assert!(error.get("type").is_none(), "{error:#}");
    }
    // What is no answer of the dialect is said to be none.
    let (answer, ()) = tokio::join!(
        async { ask(&gateway, "/v1/chat/completions", &chat(json!({}))).await },
        async { upstream.next().await.write(whole(CLOSE, b"[1]")).await }
    );
    let id = answer.record();
    answer.error(502, "answer_unreadable").await;
    assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
    gateway.finish().await;
}

#[tokio::test]
async fn a_translated_stream_is_cut_like_any_other() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "messages").await;
    // Another model than was decided on answers.
    let body = chat(json!({ "stream": true }));
    let (answer, _arrival) = tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        arrival.chunk(&message_events("qwen3:8b")[0]).await;
        arrival
    });
    let id = answer.record();
    let text = answer.text().await;
    assert_eq!(
        json_body(&text)[0]["error"]["code"],
        "model_mismatch",
        "{text}"
    );
    assert_eq!(gateway.record(&id).await["outcome"], "mismatch");
    gateway.finish().await;

    // The key is revoked in the middle.
    let mut upstream = Upstream::start().await;
    let gateway = self::gateway(&upstream, "messages").await;
    let (mut answer, mut arrival) =
        tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(&message_events(MODEL)[..4].concat()).await;
            arrival
        });
    let beginning = answer.piece().await.unwrap();
    assert!(String::from_utf8_lossy(&beginning).contains("chat.completion.chunk"));
    gateway.revoke(&gateway.key_id).await;
    let rest = within(ONE_SECOND, "the cut", answer.text()).await;
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    let events = json_body(&rest);
    assert_eq!(events.last().unwrap()["error"]["code"], "revoked", "{rest}");
    gateway.finish().await;
}

#[tokio::test]
async fn an_operator_may_refuse_what_cannot_be_said() {
    let mut upstream = Upstream::start().await;
    let entry = entry("local", &upstream.base_url(), "apis = [\"messages\"]");
    let setup = Setup::with(&entry).server("on_loss = \"refuse\"");
    let gateway = setup.start().await;
    let answer = ask(
        &gateway,
        "/v1/chat/completions",
        &chat(json!({ "seed": 7 })),
    )
    .await;
    let error = answer.error(400, "not_translatable").await;
    assert!(
        error["message"].as_str().unwrap().contains("sampling:seed"),
        "{error}"
    );
    assert!(upstream.is_untouched());
    let (answer, ()) = tokio::join!(
        async { ask(&gateway, "/v1/chat/completions", &chat(json!({}))).await },
        async {
            upstream
                .next()
                .await
                .write(whole(CLOSE, MESSAGE.as_bytes()))
                .await
        }
    );
    assert_eq!(
        (answer.status.as_u16(), answer.header("carnet-losses")),
        (200, "")
    );
    gateway.finish().await;
}

#[tokio::test]
async fn a_model_that_is_permitted_in_translation_alone_is_listed() {
    let upstream = Upstream::start().await;
    let more = "apis = [\"messages\"]";
    let setup = Setup::with(&entry("local", &upstream.base_url(), more))
        .policy("packs = [\"default\", \"chats\"]");
    setup.write(
        "chats/pack.toml",
        "name = \"chats\"\ntitle = \"Chats\"\ndescription = \"Nothing else.\"\nmode = \"enforce\"\ntrust = \"overlay\"\n",
    );
    setup.write(
        "chats/rules.cedar",
        "@id(\"other\")\n@title(\"another kind of request\")\nforbid (principal, action, resource) when { context.api != \"chat-completions\" };\n@id(\"all\")\n@title(\"everything\")\npermit (principal, action, resource);\n",
    );
    let gateway = setup.start().await;
    let list = gateway.get("/v1/models").await.json().await;
    assert_eq!(list["data"][0]["id"], MODEL, "{list}");
    let refused = gateway.request(
        Method::POST,
        "/v1/embeddings",
        format!(r#"{{"model":"{MODEL}","input":"a"}}"#),
    );
    let error = gateway
        .send(refused)
        .await
        .error(400, "api_not_offered")
        .await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("/v1/chat/completions") && message.contains("/v1/messages"),
        "{message}"
    );
    gateway.finish().await;
}

#[tokio::test]
async fn who_takes_a_call_as_it_is_comes_before_who_needs_it_translated() {
    let (mut messages, mut chats) = (Upstream::start().await, Upstream::start().await);
    let entries = [
        entry("first", &messages.base_url(), "apis = [\"messages\"]"),
        entry("second", &chats.base_url(), "apis = [\"chat-completions\"]"),
    ];
    let gateway = Setup::with(&entries.concat()).start().await;
    let body = chat(json!({}));
    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/chat/completions", &body), async {
        let mut arrival = chats.next().await;
        arrival.write(whole(CLOSE, b"{}")).await;
    });
    assert_eq!(answer.status, 200);
    let body = json!({ "model": MODEL, "max_tokens": 9, "messages": body["messages"] });
    let (answer, ()) = tokio::join!(ask(&gateway, "/v1/messages", &body), async {
        let mut arrival = messages.next().await;
        arrival.write(whole(CLOSE, MESSAGE.as_bytes())).await;
    });
    assert_eq!(answer.text().await, MESSAGE);
    gateway.finish().await;
}
