//! Request heads that are too large, too many or too slow.

use crate::harness::upstream::COMPLETION;
use crate::harness::{MODEL, Raw, Setup, Upstream, chat_body};

#[tokio::test]
async fn heads_beyond_the_bounds_are_refused_and_those_within_pass() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let body = chat_body(MODEL, false);
    let last = format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let many = |count: usize| -> String { (0..count).map(|n| format!("x-{n}: 1\r\n")).collect() };
    let long = |bytes: usize| format!("x-long: {}\r\n", "v".repeat(bytes));
    // Host, authorization, connection and content-length are four.
    for (name, head, passes) in [
        ("100 fields", many(96), true),
        ("101 fields", many(97), false),
        ("60 KiB", long(60 * 1024), true),
        ("70 KiB", long(70 * 1024), false),
        ("300 KiB", long(300 * 1024), false),
    ] {
        let mut raw = Raw::connect(&gateway).await;
        raw.write(gateway.raw_head(&(head + &last))).await;
        if passes {
            gateway.expect_untold(1);
            upstream.complete().await;
            let answer = raw.read_to_end().await;
            assert!(answer.ends_with(COMPLETION), "{name}: {answer}");
        } else {
            let answer = raw.read_to_end().await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{name}: {answer}");
        }
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let begun = gateway.raw_head("x-slow: ");
    // Nothing at all, the beginning of HTTP/2's preface, and a head without its end.
    let (mut silent, mut preface, mut slow) = tokio::join!(
        Raw::connect(&gateway),
        Raw::connect(&gateway),
        Raw::connect(&gateway)
    );
    assert!(preface.write("PRI * HTTP/2.0\r\n").await);
    assert!(slow.write(&begun).await);
    tokio::join!(
        async { assert_eq!(silent.read_to_end().await, "") },
        preface.read_to_end(),
        slow.read_to_end()
    );
    gateway.finish().await;
}

#[tokio::test]
async fn requests_that_two_readers_would_cut_apart_differently_are_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let body = chat_body(MODEL, false);
    let length = body.len();
    for lines in [
        format!("content-length: {length}\r\ncontent-length: 5\r\n\r\n"),
        format!("content-length: {length}, 5\r\n\r\n"),
        format!("content-length: +{length}\r\n\r\n"),
        "transfer-encoding: chunked, identity\r\n\r\n".to_owned(),
        format!("content-length : {length}\r\n\r\n"),
        format!("x: 1\r\n folded: 1\r\ncontent-length: {length}\r\n\r\n"),
    ] {
        let mut raw = Raw::connect(&gateway).await;
        raw.write(gateway.raw_head(&lines) + &body).await;
        let answer = raw.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer}");
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}
