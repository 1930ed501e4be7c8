//! Comments of our own while an upstream is silent, and what stands in the record of a stream that is cut.

use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{DELTA, DONE, EVENTS, LAST_CHUNK};
use crate::harness::{
    Answer, Arrival, Gateway, MODEL, Setup, Upstream, chat_body, entry, json_body,
};

const KEEP_ALIVE: &str = ": keep-alive\n";

/// A gateway that lets an upstream be silent for so many seconds before it says so.
async fn gateway(upstream: &Upstream, more: &str, seconds: u64) -> Gateway {
    let server = format!("keep_alive_seconds = {seconds}");
    let entry = entry("local", &upstream.base_url(), more);
    Setup::with(&entry).server(&server).start().await
}

/// A stream whose upstream has sent its head and these pieces.
async fn begun(gateway: &Gateway, upstream: &mut Upstream, pieces: &[&str]) -> (Answer, Arrival) {
    tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        for piece in pieces {
            arrival.chunk(piece).await;
        }
        arrival
    })
}

async fn next(answer: &mut Answer) -> String {
    String::from_utf8(answer.piece().await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn silence_is_filled_with_comments_between_events() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "", 1).await;
    // Before the first event, between events, and not before the next second of silence.
    let (mut answer, mut arrival) = begun(&gateway, &mut upstream, &[]).await;
    let id = answer.record();
    assert_eq!(next(&mut answer).await, KEEP_ALIVE);
    assert_eq!(next(&mut answer).await, KEEP_ALIVE);
    // A byte order mark stands for nothing any more.
    arrival.chunk(&format!("\u{feff}{DELTA}")).await;
    assert_eq!(next(&mut answer).await, DELTA);
    assert_eq!(next(&mut answer).await, KEEP_ALIVE);
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(answer.text().await, DONE);
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "completed");
    // They are no part of the answer.
    assert_eq!(record["bytes_out"], DELTA.len() + DONE.len());
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_05_our_comments_stand_between_events_only() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "idle_seconds = 3", 1).await;
    // Each lacks something to its end; the upstream is given up without a comment.
    let open = [
        &DELTA[..DELTA.len() - 2],
        &DELTA[..DELTA.len() - 1],
        "event: x\n",
        "data: {}\r\n\r",
    ];
    for piece in open {
        let first = [DELTA, piece].concat();
        let (answer, _arrival) = begun(&gateway, &mut upstream, &[&first]).await;
        let text = answer.text().await;
        assert!(!text.contains("keep-alive"), "{text}");
        let events = json_body(text.strip_prefix(DELTA).unwrap());
        let code = &events.last().unwrap()["error"]["code"];
        assert_eq!(code, "upstream_timeout", "{text}");
    }
    // An announced length, a whole answer, and an error under the name of a stream.
    let events = "content-type: text/event-stream\r\n";
    let whole = "content-type: application/json\r\n";
    for (status, headers, stream) in [
        ("200 OK", format!("{events}content-length: 900\r\n"), true),
        ("200 OK", format!("{whole}content-length: 900\r\n"), false),
        (
            "500 No",
            format!("{events}transfer-encoding: chunked\r\n"),
            true,
        ),
    ] {
        let (answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, stream)), async {
            let mut arrival = upstream.next().await;
            let head = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
            arrival.write(head).await;
            arrival
        });
        if stream {
            let (text, ()) = tokio::join!(answer.try_bytes(), arrival.closed());
            let bytes = text.unwrap_or_else(|(bytes, _)| bytes);
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.contains("keep-alive"), "{text}");
        } else {
            answer.error(504, "upstream_timeout").await;
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_comment_of_ours_does_not_prolong_the_patience_with_the_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "idle_seconds = 3", 1).await;
    let (answer, mut arrival) = begun(&gateway, &mut upstream, &[DELTA]).await;
    let (text, ()) = tokio::join!(answer.text(), arrival.closed());
    let comments = text.matches(KEEP_ALIVE).count();
    assert!((1..=3).contains(&comments), "{text}");
    let last = json_body(&text).pop().unwrap();
    assert_eq!(last["error"]["code"], "upstream_timeout", "{text}");
    gateway.finish().await;
}

#[tokio::test]
async fn comments_can_be_turned_off() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "idle_seconds = 3", 0).await;
    let (answer, _arrival) = begun(&gateway, &mut upstream, &[DELTA]).await;
    let text = answer.text().await;
    assert!(!text.contains("keep-alive"), "{text}");
    gateway.finish().await;
}

async fn messages(gateway: &Gateway, upstream: &mut Upstream) -> (Answer, Arrival) {
    let body = json!({ "model": MODEL, "stream": true, "messages": [{ "role": "user", "content": "Hello" }], "seed": 7 });
    let request = gateway.request(Method::POST, "/v1/chat/completions", body.to_string());
    tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        arrival
    })
}

fn event(data: Value) -> String {
    format!(
        "event: {}\ndata: {data}\n\n",
        data["type"].as_str().unwrap()
    )
}

/// The beginning of a message with a block that chat completions have no words for.
fn beginning() -> String {
    let start = json!({ "type": "message_start", "message": { "id": "m1", "type": "message", "role": "assistant", "model": MODEL,
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 1, "output_tokens": 1 } } });
    let odd = json!({ "type": "server_tool_use", "id": "s1", "name": "look", "input": {} });
    [
        event(start),
        event(json!({ "type": "content_block_start", "index": 0, "content_block": odd })),
        event(json!({ "type": "content_block_stop", "index": 0 })),
    ]
    .concat()
}

#[tokio::test]
async fn a_translated_stream_is_kept_alive_even_while_nothing_of_it_can_be_said() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "apis = [\"messages\"]", 1).await;
    let (mut answer, mut arrival) = messages(&gateway, &mut upstream).await;
    assert_eq!(next(&mut answer).await, KEEP_ALIVE);
    // Half an event of the upstream's is no event of the caller's.
    let text = beginning();
    let (half, rest) = text.split_at(30);
    arrival.chunk(half).await;
    assert_eq!(next(&mut answer).await, KEEP_ALIVE);
    arrival.chunk(rest).await;
    let first = next(&mut answer).await;
    assert!(first.starts_with("data: {"), "{first}");
    answer.hang_up();
    arrival.closed().await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_a_cut_stream_has_lost_stands_in_its_record() {
    let mut upstream = Upstream::start().await;
    let entry = entry("local", &upstream.base_url(), "apis = [\"messages\"]");
    let gateway = Setup::with(&entry).start().await;
    for ends_by in ["the upstream", "the caller"] {
        let (mut answer, mut arrival) = messages(&gateway, &mut upstream).await;
        let id = answer.record();
        arrival.chunk(&beginning()).await;
        answer.piece().await.unwrap();
        let outcome = if ends_by == "the caller" {
            answer.hang_up();
            arrival.closed().await;
            "client-gone"
        } else {
            drop(arrival);
            answer.text().await;
            "upstream-error"
        };
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], outcome);
        let losses = json!(["sampling:seed", "unknown-part:server_tool_use"]);
        assert_eq!(record["losses"], losses, "{record:#}");
    }
    gateway.finish().await;
}
