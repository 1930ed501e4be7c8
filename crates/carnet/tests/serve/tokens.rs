//! What an upstream counts of tokens stands in the record, whatever its dialect and the caller's.

use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{EVENTS, LAST_CHUNK, whole};
use crate::harness::{Gateway, MODEL, Setup, Upstream, chat_body, entry, until};

const CLOSE: &str = "connection: close\r\n";

async fn gateway(upstream: &Upstream, api: &str) -> Gateway {
    let more = format!("apis = [\"{api}\"]");
    Setup::with(&entry("local", &upstream.base_url(), &more))
        .start()
        .await
}

/// The tokens in the record of a request to this path, which the upstream answers so.
async fn counted(api: &str, path: &str, asked: &Value, answer: &str) -> Value {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, api).await;
    let request = gateway.request(Method::POST, path, asked.to_string());
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole(CLOSE, answer.as_bytes())).await;
    });
    assert_eq!(answer.status, 200);
    let id = answer.record();
    answer.bytes().await;
    let tokens = gateway.record(&id).await["tokens"].clone();
    for (kind, of) in [("input", "input"), ("output", "output")] {
        let name = format!("carnet_tokens_total{{kind=\"{kind}\"}}");
        let want = tokens[of].as_u64().unwrap_or_default();
        assert_eq!(gateway.counter(&name).await, want);
    }
    gateway.finish().await;
    tokens
}

fn turns() -> Value {
    json!([{ "role": "user", "content": "Hello" }])
}

#[tokio::test]
async fn a_whole_answer_is_counted_as_its_upstream_says() {
    let chat = json!({ "model": MODEL, "messages": turns() });
    let said = json!({ "role": "assistant", "content": "Hi" });
    let answer = json!({
        "id": "c1", "object": "chat.completion", "model": MODEL,
        "choices": [{ "index": 0, "message": said, "finish_reason": "stop" }],
        "usage": {
            "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
            "prompt_tokens_details": { "cached_tokens": 4 },
            "completion_tokens_details": { "reasoning_tokens": 2 },
        },
    });
    let want = json!({ "input": 9, "cache_read": 4, "output": 5, "reasoning": 2 });
    let path = "/v1/chat/completions";
    let tokens = counted("chat-completions", path, &chat, &answer.to_string()).await;
    assert_eq!(tokens, want);

    // The caller's dialect has no part in it.
    let messages = json!({ "model": MODEL, "max_tokens": 9, "messages": turns() });
    let tokens = counted(
        "chat-completions",
        "/v1/messages",
        &messages,
        &answer.to_string(),
    )
    .await;
    assert_eq!(tokens, want);

    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{ "type": "text", "text": "Hi" }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 3, "cache_creation_input_tokens": 6, "output_tokens": 5 },
    });
    let tokens = counted("messages", path, &chat, &answer.to_string()).await;
    assert_eq!(tokens, json!({ "input": 9, "cache_write": 6, "output": 5 }));

    // Who says nothing has nothing counted.
    let answer = json!({ "id": "c1", "model": MODEL, "choices": [], "usage": null });
    let tokens = counted("chat-completions", path, &chat, &answer.to_string()).await;
    assert_eq!(tokens, Value::Null);
}

#[tokio::test]
async fn vectors_are_counted_too() {
    let asked = json!({ "model": MODEL, "input": "a" });
    for (api, answer) in [
        (
            "embeddings",
            json!({ "object": "list", "model": MODEL, "data": [], "usage": { "prompt_tokens": 5, "total_tokens": 5 } }),
        ),
        (
            "bedrock-embed-text",
            json!({ "embedding": [0.5], "inputTextTokenCount": 5 }),
        ),
    ] {
        let tokens = counted(api, "/v1/embeddings", &asked, &answer.to_string()).await;
        assert_eq!(tokens, json!({ "input": 5, "output": 0 }), "{api}");
    }
}

#[tokio::test]
async fn of_a_stream_that_is_left_counts_what_was_told_before() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "messages").await;
    let asked = json!({ "model": MODEL, "max_tokens": 9, "messages": turns(), "stream": true });
    let request = gateway.request(Method::POST, "/v1/messages", asked.to_string());
    let (mut answer, mut arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        let start = json!({
            "type": "message_start",
            "message": { "id": "msg_1", "role": "assistant", "model": MODEL, "content": [],
                "usage": { "input_tokens": 9, "output_tokens": 1 } },
        });
        arrival
            .chunk(&format!("event: message_start\ndata: {start}\n\n"))
            .await;
        arrival
    });
    let id = answer.record();
    answer.piece().await.unwrap();
    answer.hang_up();
    arrival.closed().await;
    let record = until("the record", async || {
        let records = gateway.records().await;
        records.into_iter().find(|record| record["id"] == *id)
    });
    let record = record.await;
    assert_eq!(record["outcome"], "client-gone");
    assert_eq!(record["tokens"], json!({ "input": 9, "output": 1 }));
    gateway.finish().await;
}

#[tokio::test]
async fn the_last_count_of_a_stream_is_the_one_that_counts() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "chat-completions").await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        for output in [1, 2, 5] {
            let usage = json!({ "prompt_tokens": 9, "completion_tokens": output });
            let event = json!({ "id": "c1", "model": MODEL, "choices": [], "usage": usage });
            arrival.chunk(&format!("data: {event}\n\n")).await;
        }
        arrival.write(LAST_CHUNK).await;
        arrival.keep();
    });
    let id = answer.record();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    assert_eq!(record["tokens"], json!({ "input": 9, "output": 5 }));
    gateway.finish().await;
}
