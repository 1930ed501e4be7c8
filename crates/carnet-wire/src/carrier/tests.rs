//! Requests as the platforms want them, and what comes of their answers.

use serde_json::{Value, json};

use super::*;
use crate::stream::aws::{Header, HeaderValue, write_message};

fn packed(carrier: Carrier, body: &str, betas: &[&str]) -> String {
    let body = Bytes::from(body.to_owned());
    let packed = carrier.pack(&body, betas.iter().copied()).unwrap();
    String::from_utf8(json::splice(&body, &packed.edits).concat()).unwrap()
}

fn frame(kind: &str, name: &str, payload: &[u8]) -> Vec<u8> {
    let header = |name, value| Header {
        name,
        value: HeaderValue::String(value),
    };
    let named = format!(":{kind}-type");
    let headers = [header(&named, name), header(":message-type", kind)];
    let mut out = Vec::new();
    write_message(&mut out, &headers, payload).unwrap();
    out
}

fn chunk(event: &str) -> Vec<u8> {
    let payload = json!({ "bytes": BASE64_STANDARD.encode(event), "p": "abcdefgh" });
    frame("event", "chunk", payload.to_string().as_bytes())
}

/// What comes of a stream in pieces of this many bytes.
fn unpacked(carrier: Carrier, stream: &[u8], step: usize) -> (String, Result<(), UnpackError>) {
    let mut unpacker = Unpacker::of(carrier).unwrap();
    let mut out = Vec::new();
    let mut pieces = stream.chunks(step);
    let done = pieces
        .try_for_each(|piece| unpacker.push(piece, &mut out))
        .and_then(|()| unpacker.finish(&mut out));
    (String::from_utf8(out).unwrap(), done)
}

#[test]
fn a_body_says_what_its_platform_wants_and_keeps_the_rest_byte_for_byte() {
    let body = r#"{ "model": "m", "max_tokens" : 5, "stream": true, "messages": [ ] }"#;
    for (carrier, want) in [
        (
            Carrier::BedrockMessages,
            r#"{"anthropic_version":"bedrock-2023-05-31", "max_tokens" : 5, "messages": [ ] }"#,
        ),
        (
            Carrier::VertexMessages,
            r#"{"anthropic_version":"vertex-2023-10-16", "max_tokens" : 5, "stream": true, "messages": [ ] }"#,
        ),
        (
            Carrier::BedrockChat,
            r#"{ "max_tokens" : 5, "messages": [ ] }"#,
        ),
    ] {
        let packed = packed(carrier, body, &[]);
        let squeezed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(squeezed(&packed), squeezed(want), "{packed}");
        assert!(packed.contains(r#""max_tokens" : 5"#), "{packed}");
    }
    let only = packed(Carrier::BedrockMessages, r#"{"messages":[]}"#, &[]);
    assert_eq!(
        only,
        r#"{"anthropic_version":"bedrock-2023-05-31","messages":[]}"#
    );
    let wrong = packed(
        Carrier::VertexMessages,
        r#"{"messages":[],"anthropic_version":"bedrock-2023-05-31"}"#,
        &[],
    );
    assert_eq!(
        wrong,
        r#"{"messages":[],"anthropic_version":"vertex-2023-10-16"}"#
    );
}

#[test]
fn trials_stand_in_the_body_where_the_platform_reads_them_there() {
    let betas = ["one-1, two-2", "one-1"];
    let body = r#"{"messages":[]}"#;
    let sent: Value =
        serde_json::from_str(&packed(Carrier::BedrockMessages, body, &betas)).unwrap();
    assert_eq!(sent["anthropic_beta"], json!(["one-1", "two-2"]));
    let body = r#"{"messages":[],"anthropic_beta":["two-2","three-3"]}"#;
    let sent: Value =
        serde_json::from_str(&packed(Carrier::BedrockMessages, body, &betas)).unwrap();
    assert_eq!(sent["anthropic_beta"], json!(["two-2", "three-3", "one-1"]));
    let kept = packed(Carrier::BedrockMessages, body, &["two-2"]);
    assert!(kept.contains(r#"["two-2","three-3"]"#), "{kept}");
    let vertex = packed(Carrier::VertexMessages, r#"{"messages":[]}"#, &betas);
    assert!(!vertex.contains("anthropic_beta"), "{vertex}");
    let many: Vec<String> = (0..=MAX_BETAS).map(|index| format!("b-{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let body = Bytes::from_static(br#"{"messages":[]}"#);
    let refused = Carrier::BedrockMessages.pack(&body, many.into_iter());
    assert!(matches!(
        refused,
        Err(TranslateError::TooMany { max: MAX_BETAS, .. })
    ));
}

#[test]
fn what_is_no_conversation_is_not_packed() {
    for (body, place) in [
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"messages":"hi"}"#, "messages"),
        (r#"{"messages":[],"anthropic_beta":"a"}"#, "anthropic_beta"),
    ] {
        let body = Bytes::from_static(body.as_bytes());
        let refused = Carrier::BedrockMessages.pack(&body, ["b"].into_iter());
        assert!(
            matches!(&refused, Err(TranslateError::Shape { place: at, .. }) if *at == place),
            "{refused:?}"
        );
    }
    let twice = Bytes::from_static(br#"{"messages":[],"model":"a","model":"b"}"#);
    let refused = Carrier::BedrockChat.pack(&twice, [].into_iter());
    assert!(
        matches!(refused, Err(TranslateError::Json(_))),
        "{refused:?}"
    );
}

const STOP: &str = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":3}}"#;

#[test]
fn chunks_become_the_events_of_the_dialect_however_they_are_cut() {
    let stream = [
        chunk("{\"type\":\"message_start\",\n \"message\":{}}"),
        frame("event", "somethingNew", b"{}"),
        chunk(STOP),
    ]
    .concat();
    let want = "event: message_start\ndata: {\"type\":\"message_start\",  \"message\":{}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for step in [1, 7, stream.len()] {
        let (out, done) = unpacked(Carrier::BedrockMessages, &stream, step);
        assert_eq!((out.as_str(), done), (want, Ok(())));
    }
}

#[test]
fn a_stream_of_chat_ends_as_chat_ends() {
    let choice =
        |finish: &str| format!(r#"{{"choices":[{{"index":0,"finish_reason":{finish}}}]}}"#);
    let usage = r#"{"choices":[],"usage":{},"amazon-bedrock-invocationMetrics":{}}"#;
    let stream = [
        chunk(&choice("null")),
        chunk(&choice("\"stop\"")),
        chunk(usage),
    ]
    .concat();
    let (out, done) = unpacked(Carrier::BedrockChat, &stream, 5);
    assert_eq!(done, Ok(()));
    assert!(out.starts_with("data: {\"choices\":[{\"index\":0,\"finish_reason\":null}]}\n\n"));
    assert!(
        out.ends_with("data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n"),
        "{out}"
    );
    let (out, _) = unpacked(Carrier::BedrockChat, &chunk(&choice("null")), 5);
    assert!(
        out.contains("before its end") && !out.contains("[DONE]"),
        "{out}"
    );
}

#[test]
fn an_exception_ends_a_stream_with_an_error_of_the_dialect() {
    for (name, class) in [
        ("throttlingException", "rate_limit_error"),
        ("modelTimeoutException", "timeout_error"),
        ("modelStreamErrorException", "api_error"),
        ("validationException", "invalid_request_error"),
        ("serviceUnavailableException", "overloaded_error"),
    ] {
        let exception = frame("exception", name, br#"{"message":"slow \"down\""}"#);
        let stream = [chunk(r#"{"type":"ping"}"#), exception, chunk(STOP)].concat();
        let (out, done) = unpacked(Carrier::BedrockMessages, &stream, 11);
        assert_eq!(done, Ok(()));
        let want = format!(
            "event: ping\ndata: {{\"type\":\"ping\"}}\n\nevent: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{class}\",\"message\":\"slow \\\"down\\\"\"}},\"request_id\":null}}\n\n"
        );
        assert_eq!(out, want);
    }
    let (out, _) = unpacked(
        Carrier::BedrockChat,
        &frame("exception", "throttlingException", b"<html>"),
        9,
    );
    assert!(
        out.starts_with("data: {\"error\":{\"message\":\"the upstream gives no reason\""),
        "{out}"
    );
}

#[test]
fn a_torn_stream_is_not_taken_for_a_whole_one() {
    let stream = chunk(r#"{"type":"ping"}"#);
    let (out, done) = unpacked(Carrier::BedrockMessages, &stream, 11);
    assert_eq!(done, Ok(()));
    assert!(
        out.contains("event: error\n") && out.contains("before its end"),
        "{out}"
    );
    let (_, done) = unpacked(Carrier::BedrockMessages, &stream[..stream.len() - 1], 11);
    assert!(matches!(done, Err(UnpackError::Framing(_))), "{done:?}");
    let mut wrong = stream.clone();
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    let (out, done) = unpacked(Carrier::BedrockMessages, &wrong, 11);
    assert!(
        matches!(done, Err(UnpackError::Framing(_))) && out.is_empty(),
        "{done:?}"
    );
}

#[test]
fn a_chunk_without_an_event_is_none() {
    let stream = |payload: &str| frame("event", "chunk", payload.as_bytes());
    let encoded = |event: &str| json!({ "bytes": BASE64_STANDARD.encode(event) }).to_string();
    for payload in [
        "",
        "{}",
        r#"{"bytes":1}"#,
        r#"{"bytes":"*"}"#,
        &encoded("not JSON"),
        &encoded("{}"),
        &encoded(r#"{"type":"a\nevent: b"}"#),
        &encoded(r#"{"type":"a","type":"b"}"#),
    ] {
        let (out, done) = unpacked(Carrier::BedrockMessages, &stream(payload), 64);
        assert_eq!(
            (out.as_str(), done),
            ("", Err(UnpackError::Chunk)),
            "{payload}"
        );
    }
}

#[test]
fn errors_are_the_platforms_or_the_dialects() {
    let failure = |carrier: Carrier, status, body: &str| {
        let (_, out) = carrier.failure(ClientDialect::Messages, status, body.as_bytes());
        let out: Value = serde_json::from_slice(&out).unwrap();
        [&out["error"]["type"], &out["error"]["message"]]
            .map(|text| text.as_str().unwrap().to_owned())
    };
    let of_maker = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    for (carrier, status, body, want) in [
        (
            Carrier::BedrockMessages,
            429,
            r#"{"message":"Too many requests"}"#,
            ["rate_limit_error", "Too many requests"],
        ),
        (
            Carrier::VertexMessages,
            403,
            r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#,
            ["permission_error", "no"],
        ),
        (
            Carrier::VertexMessages,
            404,
            r#"[{"error":{"code":404,"message":"gone","status":"NOT_FOUND"}}]"#,
            ["not_found_error", "gone"],
        ),
        (
            Carrier::VertexMessages,
            529,
            of_maker,
            ["overloaded_error", "busy"],
        ),
        (
            Carrier::BedrockMessages,
            500,
            of_maker,
            ["overloaded_error", "busy"],
        ),
        (
            Carrier::BedrockMessages,
            502,
            "<html>",
            ["api_error", "the upstream gives no reason"],
        ),
    ] {
        assert_eq!(failure(carrier, status, body), want, "{body}");
    }
}
