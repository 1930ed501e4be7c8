//! Bodies that are refused: what is wrong with them is said, recorded, and never reaches an upstream.

use crate::harness::raw::header_in;
use crate::harness::{Gateway, MODEL, Raw, Setup, Upstream, chat_body};

/// Largest memory that the server has used so far, in KiB.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id().unwrap()));
    let status = status.unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let figure = line.unwrap().split_whitespace().next().unwrap();
    figure.parse().unwrap()
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let before = peak(&gateway);
    let mut raw = Raw::connect(&gateway).await;
    let length = 100 * 1024 * 1024;
    raw.write(gateway.raw_head(&format!("content-length: {length}\r\n\r\n")))
        .await;
    let piece = vec![b' '; 1024 * 1024];
    for _ in 0..100 {
        if !raw.write(&piece).await {
            break;
        }
    }
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"body_too_large""#), "{answer}");
    let grown = peak(&gateway) - before;
    assert!(grown < 16 * 1024, "memory grew by {grown} KiB");
    let id = header_in(&answer, "carnet-record");
    gateway.expect_told(id);
    assert_eq!(gateway.record(id).await["outcome"], "refused");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_read_up_to_the_limit_only() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("body_bytes_max = 4194304");
    let gateway = setup.start().await;
    let before = peak(&gateway);
    let mut raw = Raw::connect(&gateway).await;
    raw.write(gateway.raw_head("transfer-encoding: chunked\r\n\r\n"))
        .await;
    let piece = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    for _ in 0..100 {
        if !raw.write(&piece).await {
            break;
        }
    }
    let answer = raw.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"body_too_large""#), "{answer}");
    let grown = peak(&gateway) - before;
    assert!(grown < 32 * 1024, "memory grew by {grown} KiB");
    gateway.expect_told(header_in(&answer, "carnet-record"));
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_refused_and_recorded() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut raw = Raw::connect(&gateway).await;
    raw.write(gateway.raw_head("content-length: 1000\r\n\r\n{\"model\""))
        .await;
    drop(raw);
    gateway.expect_untold(1);
    let record = gateway.only_record().await;
    assert!(
        ["client-gone", "refused"].contains(&record["outcome"].as_str().unwrap()),
        "{record:#}"
    );
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_not_strict_json_or_leads_elsewhere_is_refused_with_its_code() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let with = |more: &str| {
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"Hello"}}],{more}}}"#)
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "invalid_json"),
        ("a word", b"hello".to_vec(), "invalid_json"),
        ("an array", b"[]".to_vec(), "invalid_json"),
        ("a form", b"model=a&stream=true".to_vec(), "invalid_json"),
        (
            "BOM",
            [b"\xef\xbb\xbf", chat_body(MODEL, false).as_bytes()].concat(),
            "invalid_json",
        ),
        (
            "UTF-16",
            chat_body(MODEL, false)
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            "invalid_json",
        ),
        (
            "invalid UTF-8",
            [b"{\"model\":\"\xff\"", &b"}"[..]].concat(),
            "invalid_json",
        ),
        ("NaN", with(r#""temperature":NaN"#).into(), "invalid_json"),
        (
            "Infinity",
            with(r#""temperature":-Infinity"#).into(),
            "invalid_json",
        ),
        (
            "trailing bytes",
            (chat_body(MODEL, false) + "{}").into(),
            "invalid_json",
        ),
        ("trailing comma", with(r#""n":1,"#).into(), "invalid_json"),
        ("a comment", with(r#"/* */"n":1"#).into(), "invalid_json"),
        (
            "too deep",
            with(&format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200))).into(),
            "invalid_json",
        ),
        (
            "model twice",
            with(r#""model":"other""#).into(),
            "invalid_json",
        ),
        (
            "model twice, escaped",
            with(r#""\u006dodel":"other""#).into(),
            "invalid_json",
        ),
        ("Model", with(r#""Model":"other""#).into(), "invalid_json"),
        (
            "stream twice",
            with(r#""stream":false,"stream":true"#).into(),
            "invalid_json",
        ),
        (
            "messages twice",
            with(r#""messages":[]"#).into(),
            "invalid_json",
        ),
        (
            "no model",
            br#"{"messages":[]}"#.to_vec(),
            "invalid_request",
        ),
        (
            "model a number",
            br#"{"model":1}"#.to_vec(),
            "invalid_request",
        ),
        (
            "model null",
            br#"{"model":null}"#.to_vec(),
            "invalid_request",
        ),
        (
            "model empty",
            br#"{"model":""}"#.to_vec(),
            "invalid_request",
        ),
        (
            "stream a word",
            with(r#""stream":"yes""#).into(),
            "invalid_request",
        ),
        (
            "server_url",
            with(r#""tools":[{"type":"function","server_url":"https://evil.example"}]"#).into(),
            "field_refused",
        ),
        (
            "hosted tool",
            with(r#""tools":[{"type":"mcp"}]"#).into(),
            "field_refused",
        ),
        (
            "hosted tool, second",
            with(r#""tools":[{"type":"function"},{"type":"web_search"}]"#).into(),
            "field_refused",
        ),
        (
            "Tools",
            with(r#""Tools":[{"type":"mcp"}]"#).into(),
            "invalid_json",
        ),
        (
            "tools[].Type",
            with(r#""tools":[{"type":"function","Type":"mcp"}]"#).into(),
            "invalid_json",
        ),
        (
            "provider",
            with(r#""provider":{"order":["elsewhere"]}"#).into(),
            "field_refused",
        ),
        (
            "provider, escaped",
            with(r#""provide\u0072":{"order":["elsewhere"]}"#).into(),
            "field_refused",
        ),
        (
            "models",
            with(r#""models":["other"]"#).into(),
            "field_refused",
        ),
        ("store", with(r#""store":true"#).into(), "field_refused"),
        (
            "background",
            with(r#""background":true"#).into(),
            "field_refused",
        ),
        (
            "web search",
            with(r#""web_search_options":{}"#).into(),
            "field_refused",
        ),
    ];
    for (name, body, code) in cases {
        let answer = gateway.chat(body).await;
        let id = answer.record();
        assert_eq!(answer.header("x-should-retry"), "false", "{name}");
        let status = answer.status;
        let error = answer.json().await["error"].clone();
        assert_eq!(
            (status.as_u16(), error["code"].as_str()),
            (400, Some(code)),
            "{name}: {error:#}"
        );
        assert_eq!(error["record"], id.as_str(), "{name}");
        assert_eq!(error["type"], "invalid_request_error", "{name}");
    }
    assert!(upstream.is_untouched());
    let records = gateway.finish().await;
    for record in records.iter().filter(|record| record["kind"] == "request") {
        assert_eq!(record["outcome"], "refused", "{record:#}");
        assert_eq!(record["status"], 400, "{record:#}");
        assert!(record.get("attempts").is_none(), "{record:#}");
    }
}

#[tokio::test]
async fn harmless_values_of_routing_fields_pass_and_stored_ones_are_taken_out() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for (sent, arrives) in [
        (
            r#","store":false,"provider":{},"models":[],"tools":[{"type":"function"}]"#,
            None,
        ),
        (r#","store":null,"provider":null"#, None),
        (r#","metadata":{"a":"b"},"n":1"#, Some(r#","n":1"#)),
        (r#","unknown":{"x":[1,2]},"n":1"#, None),
    ] {
        let body = |more: &str| format!(r#"{{"model":"{MODEL}","messages":[]{more}}}"#);
        let (answer, ()) = tokio::join!(gateway.chat(body(sent)), async {
            let arrival = upstream.next().await;
            let text = String::from_utf8(arrival.body.clone()).unwrap();
            assert_eq!(text, body(arrives.unwrap_or(sent)));
            arrival.complete().await;
        });
        assert_eq!(answer.status, 200);
        answer.bytes().await;
    }
    gateway.finish().await;
}
