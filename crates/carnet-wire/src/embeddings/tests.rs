//! What services of each shape are asked, and what becomes of their answers.

use serde_json::{Value as Json, json};

use super::*;

fn asked(by: Embedder, body: Json) -> (Json, EmbedAsk) {
    let ask = by.ask(body.to_string().as_bytes(), "own-1").unwrap();
    (serde_json::from_slice(&ask.body).unwrap(), ask)
}

fn answered(by: Embedder, body: &str, texts: usize, base64: bool) -> Result<Json, EmbedError> {
    let asked = Asked {
        model: "m",
        texts,
        base64,
    };
    let answer = by.answer(body.as_bytes(), asked, Some(9))?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

#[test]
fn each_service_is_asked_in_its_shape() {
    let body = json!({ "model": "m", "input": "gr\u{fc}\u{df}", "dimensions": 256, "user": "u", "encoding_format": "base64" });
    for (by, want) in [
        (
            Embedder::BedrockText,
            json!({ "inputText": "gr\u{fc}\u{df}", "dimensions": 256 }),
        ),
        (
            Embedder::BedrockTexts,
            json!({ "texts": ["gr\u{fc}\u{df}"], "input_type": "search_document", "output_dimension": 256 }),
        ),
        (
            Embedder::Cohere,
            json!({ "model": "own-1", "texts": ["gr\u{fc}\u{df}"], "input_type": "search_document", "output_dimension": 256, "embedding_types": ["float"] }),
        ),
        (
            Embedder::EmbedContents,
            json!({ "requests": [{ "model": "models/own-1", "content": { "parts": [{ "text": "gr\u{fc}\u{df}" }] }, "outputDimensionality": 256 }] }),
        ),
    ] {
        let (sent, ask) = asked(by, body.clone());
        assert_eq!(sent, want);
        assert_eq!((ask.texts, ask.base64), (1, true));
        let losses: Vec<String> = ask.losses.iter().map(ToString::to_string).collect();
        assert_eq!(losses, ["unknown-member:user"]);
    }
}

#[test]
fn what_texts_are_for_is_passed_on_where_there_is_a_word_for_it() {
    let body = json!({ "input": ["a", "b"], "input_type": "search_query", "truncate": "END" });
    let (sent, ask) = asked(Embedder::BedrockTexts, body.clone());
    assert_eq!(
        sent,
        json!({ "texts": ["a", "b"], "input_type": "search_query", "truncate": "END" })
    );
    assert!(ask.losses.is_empty() && !ask.base64);
    let (sent, ask) = asked(Embedder::EmbedContents, body);
    assert_eq!(sent["requests"][1]["taskType"], "RETRIEVAL_QUERY");
    let losses: Vec<String> = ask.losses.iter().map(ToString::to_string).collect();
    assert_eq!(losses, ["unknown-member:truncate"]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let refused = |by: Embedder, body: &str| by.ask(body.as_bytes(), "m").unwrap_err();
    let one = refused(Embedder::BedrockText, r#"{"input":["a","b"]}"#);
    assert_eq!(one, EmbedError::OneText(2));
    assert!(one.to_string().contains("send a request for each"));
    for (body, want) in [
        (r#"{"input":[1,2]}"#, EmbedError::Tokens),
        (r#"{"input":[[1,2]]}"#, EmbedError::Tokens),
        (r#"{}"#, shape("input", "a text or a list of texts")),
        (
            r#"{"input":[]}"#,
            shape("input", "a text or a list of texts"),
        ),
        (
            r#"{"input":{"a":1}}"#,
            shape("input", "a text or a list of texts"),
        ),
        (
            r#"{"input":["a",null]}"#,
            shape("input", "a text or a list of texts"),
        ),
        (
            r#"{"input":"a","dimensions":"x"}"#,
            shape("dimensions", "a whole number"),
        ),
        (
            r#"{"input":"a","input_type":7}"#,
            shape("input_type", "a text"),
        ),
    ] {
        assert_eq!(refused(Embedder::Cohere, body), want, "{body}");
    }
    let many = json!({ "input": vec!["a"; MAX_TEXTS + 1] }).to_string();
    assert!(matches!(
        refused(Embedder::Cohere, &many),
        EmbedError::TooMany { max: MAX_TEXTS, .. }
    ));
}

#[test]
fn each_answer_becomes_that_of_the_api() {
    for (by, body, tokens) in [
        (
            Embedder::BedrockText,
            r#"{"embedding":[0.25,-3e-05],"embeddingsByType":{"float":[0.25,-3e-05]},"inputTextTokenCount":5}"#,
            5,
        ),
        (
            Embedder::BedrockTexts,
            r#"{"embeddings":[[0.25,-3e-05]],"id":"i","response_type":"embeddings_floats","texts":["a"]}"#,
            9,
        ),
        (
            Embedder::BedrockTexts,
            r#"{"embeddings":{"float":[[0.25,-3e-05]]},"response_type":"embeddings_by_type"}"#,
            9,
        ),
        (
            Embedder::Cohere,
            r#"{"id":"i","embeddings":{"float":[[0.25,-3e-05]]},"meta":{"billed_units":{"input_tokens":4}}}"#,
            4,
        ),
        (
            Embedder::EmbedContents,
            r#"{"embeddings":[{"values":[0.25,-3e-05]}]}"#,
            9,
        ),
    ] {
        let want = json!({
            "object": "list",
            "data": [{ "object": "embedding", "index": 0, "embedding": [0.25, -3e-05] }],
            "model": "m",
            "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
        });
        assert_eq!(answered(by, body, 1, false).unwrap(), want, "{body}");
    }
}

#[test]
fn numbers_become_base64_as_clients_read_it() {
    let body = r#"{"embedding":[ 1.0 , 2.50,-3e-05 ],"inputTextTokenCount":5}"#;
    let answer = answered(Embedder::BedrockText, body, 1, true).unwrap();
    let text = answer["data"][0]["embedding"].as_str().unwrap();
    let bytes = BASE64_STANDARD.decode(text).unwrap();
    let floats: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    assert_eq!(floats, [1.0, 2.5, -3e-05]);
}

#[test]
fn what_is_no_vector_is_refused() {
    for body in [
        r#"{"embedding":[1,null],"inputTextTokenCount":5}"#,
        r#"{"embedding":["1"]}"#,
        r#"{"embedding":[[1]]}"#,
        r#"{"embedding":[1e999]}"#,
    ] {
        for base64 in [false, true] {
            let refused = answered(Embedder::BedrockText, body, 1, base64);
            assert_eq!(
                refused,
                Err(shape("embedding", "a list of numbers")),
                "{body}"
            );
        }
    }
    for (body, vectors) in [
        ("{}", 0),
        (r#"{"embeddings":[[1],[2]]}"#, 2),
        (r#"{"embeddings":["x"]}"#, 0),
    ] {
        let refused = answered(Embedder::BedrockTexts, body, 1, false);
        assert_eq!(
            refused,
            Err(EmbedError::Count { vectors, texts: 1 }),
            "{body}"
        );
    }
    assert!(matches!(
        answered(Embedder::Cohere, "<html>", 1, false),
        Err(EmbedError::Json(_))
    ));
}

#[test]
fn errors_are_those_of_the_api() {
    for (by, body) in [
        (Embedder::BedrockText, r#"{"message":"no"}"#),
        (Embedder::Cohere, r#"{"message":"no"}"#),
        (
            Embedder::EmbedContents,
            r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#,
        ),
    ] {
        let told: Json = serde_json::from_slice(&by.failure(400, body.as_bytes())).unwrap();
        assert_eq!(told["error"]["message"], "no", "{told}");
        assert_eq!(told["error"]["type"], "invalid_request_error", "{told}");
    }
}
