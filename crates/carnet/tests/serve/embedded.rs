//! Embeddings of services that have shapes of their own, in the form in which they were asked for.

use std::borrow::Borrow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::whole;
use crate::harness::{Answer, Gateway, MODEL, Setup, Upstream, entry};

const CLOSE: &str = "connection: close\r\n";

async fn gateway(upstream: &Upstream, api: &str) -> Gateway {
    let more = format!("apis = [\"{api}\"]");
    Setup::with(&entry("local", &upstream.base_url(), &more))
        .start()
        .await
}

async fn ask(gateway: &Gateway, body: impl Borrow<Value>) -> Answer {
    let body: &Value = body.borrow();
    let request = gateway.request(Method::POST, "/v1/embeddings", body.to_string());
    gateway.send(request).await
}

fn floats(text: &str) -> Vec<f32> {
    let bytes = BASE64_STANDARD.decode(text).unwrap();
    let fours = bytes.chunks_exact(4);
    fours
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect()
}

#[tokio::test]
async fn every_shape_of_embeddings_is_reached_from_one() {
    let input = json!(["a"]);
    for (api, line, want, answer, tokens) in [
        (
            "bedrock-embed-text",
            "/v1/model/llama3.3%3A70b/invoke",
            json!({ "inputText": "a", "dimensions": 2 }),
            r#"{"embedding":[0.5,-1.0],"inputTextTokenCount":5}"#,
            5,
        ),
        (
            "bedrock-embed-texts",
            "/v1/model/llama3.3%3A70b/invoke",
            json!({ "texts": ["a"], "input_type": "search_document", "output_dimension": 2 }),
            r#"{"embeddings":[[0.5,-1.0]],"id":"i","response_type":"embeddings_floats","texts":["a"]}"#,
            6,
        ),
        (
            "cohere-embed",
            "/v1/v2/embed",
            json!({ "model": MODEL, "texts": ["a"], "input_type": "search_document", "output_dimension": 2, "embedding_types": ["float"] }),
            r#"{"id":"i","embeddings":{"float":[[0.5,-1.0]]},"meta":{"billed_units":{"input_tokens":4}}}"#,
            4,
        ),
        (
            "embed-contents",
            "/v1/models/llama3.3%3A70b:batchEmbedContents",
            json!({ "requests": [{ "model": format!("models/{MODEL}"), "content": { "parts": [{ "text": "a" }] }, "outputDimensionality": 2 }] }),
            r#"{"embeddings":[{"values":[0.5,-1.0]}]}"#,
            6,
        ),
    ] {
        let mut upstream = Upstream::start().await;
        let gateway = gateway(&upstream, api).await;
        for base64 in [false, true] {
            let mut body = json!({ "model": MODEL, "input": input, "dimensions": 2, "user": "u" });
            if base64 {
                body["encoding_format"] = json!("base64");
            }
            let (got, ()) = tokio::join!(ask(&gateway, &body), async {
                let mut arrival = upstream.next().await;
                assert_eq!(arrival.line, format!("POST {line} HTTP/1.1"));
                assert_eq!(arrival.json(), want);
                let head = format!("{CLOSE}x-amzn-bedrock-input-token-count: 6\r\n");
                arrival.write(whole(&head, answer.as_bytes())).await;
            });
            assert_eq!(got.status, 200);
            assert_eq!(got.header("carnet-losses"), "unknown-member:user");
            let id = got.record();
            let got = got.json().await;
            assert_eq!(
                (&got["object"], &got["model"]),
                (&json!("list"), &json!(MODEL))
            );
            assert_eq!(
                got["usage"],
                json!({ "prompt_tokens": tokens, "total_tokens": tokens })
            );
            let vector = &got["data"][0]["embedding"];
            if base64 {
                assert_eq!(floats(vector.as_str().unwrap()), [0.5, -1.0], "{api}");
            } else {
                assert_eq!(*vector, json!([0.5, -1.0]), "{api}");
            }
            let record = gateway.record(&id).await;
            assert_eq!(
                (&record["api"], &record["losses"], &record["outcome"]),
                (
                    &json!("embeddings"),
                    &json!(["unknown-member:user"]),
                    &json!("completed")
                )
            );
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn texts_that_need_several_requests_are_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "bedrock-embed-text").await;
    for input in [json!(["a", "b"]), json!([1, 2]), json!([])] {
        let answer = ask(&gateway, json!({ "model": MODEL, "input": input })).await;
        let told = answer.error(400, "invalid_request").await;
        let message = told["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("`input`"), "{told}");
    }
    assert!(upstream.is_untouched());

    let (answer, ()) = tokio::join!(
        ask(&gateway, json!({ "model": MODEL, "input": "a" })),
        async {
            let body = r#"{"message":"Too many requests"}"#;
            let head = format!(
                "HTTP/1.1 429 Too Many Requests\r\n{CLOSE}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            upstream.next().await.write(head).await;
        }
    );
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json().await["error"]["message"], "Too many requests");

    // Fewer vectors than texts are no answer.
    let (answer, ()) = tokio::join!(
        ask(&gateway, json!({ "model": MODEL, "input": "a" })),
        async {
            let mut arrival = upstream.next().await;
            arrival.write(whole(CLOSE, b"{}")).await;
        }
    );
    answer.error(502, "answer_unreadable").await;
    gateway.finish().await;
}
