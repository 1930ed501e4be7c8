//! The model that an answer names, and what the record says was changed on the way.

use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{COMPLETION, DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{Gateway, MODEL, RENAMED, Setup, Upstream, chat_body, entry};

const CLOSE: &str = "connection: close\r\n";

async fn edits(gateway: &Gateway, id: &str) -> Value {
    let record = gateway.record(id).await;
    assert_eq!(record["outcome"], "completed");
    assert_eq!(record["reported_model"], MODEL);
    record["edits"].clone()
}

#[tokio::test]
async fn an_answer_names_the_model_as_its_upstream_does_or_as_its_caller_did() {
    let mut upstream = Upstream::start().await;
    for requested in [false, true] {
        let mut setup = Setup::new(&upstream.base_url());
        if requested {
            setup = setup.server("answer_model = \"requested\"");
        }
        let gateway = setup.start().await;
        for (asked, set) in [(RENAMED, true), (MODEL, false)] {
            let shown = |text: &str| text.replace(MODEL, if requested { asked } else { MODEL });
            let mut made = Vec::new();
            made.extend(set.then_some("set model"));
            made.extend(requested.then_some("set answer.model"));
            let made = if made.is_empty() {
                Value::Null
            } else {
                json!(made)
            };

            let (answer, ()) = tokio::join!(gateway.chat(chat_body(asked, false)), async {
                let mut arrival = upstream.next().await;
                assert_eq!(arrival.json()["model"], MODEL);
                arrival.write(whole(CLOSE, COMPLETION.as_bytes())).await;
            });
            let id = answer.record();
            assert_eq!(answer.text().await, shown(COMPLETION));
            assert_eq!(edits(&gateway, &id).await, made);

            let (answer, ()) = tokio::join!(gateway.chat(chat_body(asked, true)), async {
                let mut arrival = upstream.next().await;
                arrival.write(EVENTS).await;
                // In the middle of the name.
                let (front, back) = DELTA.split_at(DELTA.find("3.3").unwrap());
                for piece in [front, back, DELTA, DONE] {
                    arrival.chunk(piece).await;
                }
                arrival.write(LAST_CHUNK).await;
            });
            let id = answer.record();
            assert_eq!(answer.text().await, shown(&[DELTA, DELTA, DONE].concat()));
            assert_eq!(edits(&gateway, &id).await, made);
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_translated_answer_names_it_too() {
    let mut upstream = Upstream::start().await;
    let more = "apis = [\"chat-completions\"]";
    let entry = entry("local", &upstream.base_url(), more);
    let setup = Setup::with(&entry).server("answer_model = \"requested\"");
    let gateway = setup.start().await;
    let body = json!({ "model": RENAMED, "max_tokens": 9, "messages": [{ "role": "user", "content": "Hello" }] });
    let request = gateway.request(Method::POST, "/v1/messages", body.to_string());
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole(CLOSE, COMPLETION.as_bytes())).await;
    });
    let id = answer.record();
    let said: Value = serde_json::from_str(&answer.text().await).unwrap();
    assert_eq!(
        (&said["model"], &said["type"]),
        (&json!(RENAMED), &json!("message"))
    );
    assert_eq!(
        edits(&gateway, &id).await,
        json!(["set model", "set answer.model"])
    );
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_translated_into_an_array_names_it_too() {
    let mut upstream = Upstream::start().await;
    let more = "apis = [\"chat-completions\"]";
    let entry = entry("local", &upstream.base_url(), more);
    let setup = Setup::with(&entry).server("answer_model = \"requested\"");
    let gateway = setup.start().await;
    let path = format!("/v1beta/models/{RENAMED}:streamGenerateContent");
    let body = r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#;
    let request = gateway.request(Method::POST, &path, body);
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        for piece in [DELTA, DELTA, DONE] {
            arrival.chunk(piece).await;
        }
        arrival.write(LAST_CHUNK).await;
        arrival.keep();
    });
    let id = answer.record();
    let said: Value = serde_json::from_str(&answer.text().await).unwrap();
    let said = said.as_array().unwrap();
    assert!(said.len() > 1, "{said:?}");
    for part in said {
        assert_eq!(part["modelVersion"], RENAMED, "{said:?}");
    }
    assert_eq!(edits(&gateway, &id).await, json!(["set answer.model"]));
    gateway.finish().await;
}

/// A stream of `generateContent` is one JSON array unless it is asked for as events.
#[tokio::test]
async fn a_stream_of_generate_content_names_it_as_an_array_and_as_events() {
    let part = |text: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}}}}],"modelVersion":"{MODEL}"}}"#
        )
    };
    let (first, last) = (part("Hel"), part("lo"));
    let array = format!("[{first}\n,\n{last}\n]\n");
    let events = format!("data: {first}\r\n\r\ndata: {last}\r\n\r\n");
    let mut upstream = Upstream::start().await;
    for requested in [false, true] {
        let entry = entry(
            "local",
            &upstream.base_url(),
            "apis = [\"generate-content\"]",
        );
        let mut setup = Setup::with(&entry);
        if requested {
            setup = setup.server("answer_model = \"requested\"");
        }
        let gateway = setup.start().await;
        for (query, kind, said) in [
            ("", "application/json", &array),
            ("?alt=sse", "text/event-stream", &events),
        ] {
            let path = format!("/v1beta/models/{RENAMED}:streamGenerateContent{query}");
            let body = r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#;
            let request = gateway.request(Method::POST, &path, body);
            let (answer, line) = tokio::join!(gateway.send(request), async {
                let mut arrival = upstream.next().await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n{CLOSE}\r\n"
                );
                arrival.write(head).await;
                // In the middle of the first name, and of the second object.
                let cut = said.find("3.3").unwrap();
                let other = said.rfind("candidates").unwrap();
                for piece in [&said[..cut], &said[cut..other], &said[other..]] {
                    arrival.chunk(piece).await;
                }
                arrival.write(LAST_CHUNK).await;
                arrival.line.clone()
            });
            assert!(
                line.contains(&format!(":streamGenerateContent{query} ")),
                "{line}"
            );
            let id = answer.record();
            assert_eq!(answer.header("content-type"), kind);
            let shown = if requested { RENAMED } else { MODEL };
            assert_eq!(answer.text().await, said.replace(MODEL, shown));
            let edits = edits(&gateway, &id).await;
            let edits = edits.as_array().into_iter().flatten();
            let renamed = edits.filter(|edit| *edit == "set answer.model").count();
            assert_eq!(renamed, usize::from(requested));
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn what_is_taken_out_or_put_in_stands_in_the_record() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    for (path, body, sent, made) in [
        (
            "/v1/responses",
            json!({ "model": MODEL, "input": "Hello" }),
            json!({ "store": false, "model": MODEL, "input": "Hello" }),
            "set store",
        ),
        (
            "/v1/chat/completions",
            json!({ "model": MODEL, "messages": messages, "metadata": { "a": "b" } }),
            json!({ "model": MODEL, "messages": messages }),
            "remove metadata",
        ),
    ] {
        let request = gateway.request(Method::POST, path, body.to_string());
        let (answer, ()) = tokio::join!(gateway.send(request), async {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.json(), sent);
            arrival.write(whole(CLOSE, COMPLETION.as_bytes())).await;
        });
        let id = answer.record();
        answer.text().await;
        assert_eq!(edits(&gateway, &id).await, json!([made]));
    }
    gateway.finish().await;
}
