//! The mock against plain sockets.

use std::io::Read;
use std::time::{Duration, Instant};

use super::*;

fn post(mock: &Mock, prompt: &str, stream: bool) -> Answer {
    let body =
        json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}]})
            .to_string();
    read_answer(
        ask(
            mock.address(),
            "/v1/chat/completions",
            None,
            body.as_bytes(),
        )
        .unwrap(),
    )
    .unwrap()
}

/// How the first requests ended, once they have: the ledger hears of it after the peer does.
fn ends(mock: &Mock, number: usize) -> Vec<End> {
    let begun = Instant::now();
    loop {
        let ends: Vec<_> = mock.seen().iter().filter_map(|seen| seen.end).collect();
        if ends.len() == number {
            return ends;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "only {ends:?} have ended"
        );
        thread::yield_now();
    }
}

#[test]
fn plain_streamed_failed_and_cut() {
    let mock = Mock::start(0, None).unwrap();
    let plain = post(&mock, "chunks=2", false);
    let value: Value = serde_json::from_slice(&plain.body).unwrap();
    assert_eq!(
        value.pointer("/choices/0/message/content"),
        Some(&json!("wörd0☂ wörd1☂ "))
    );

    let streamed = post(&mock, "chunks=3", true);
    assert!(streamed.complete);
    assert_eq!(
        String::from_utf8(streamed.body)
            .unwrap()
            .matches("data: ")
            .count(),
        5
    );

    let failed = post(&mock, "status=429 retry_after=2", false);
    assert_eq!(
        (
            failed.status,
            failed.headers.get("retry-after").map(String::as_str)
        ),
        (429, Some("2"))
    );

    assert!(!post(&mock, "chunks=3 cut_after=1", true).complete);
    assert_eq!(
        ends(&mock, 4),
        [
            End::Answered,
            End::Answered,
            End::Answered,
            End::ClosedByMock
        ]
    );
}

#[test]
fn a_peer_that_hangs_up_is_noticed_at_once() {
    let mock = Mock::start(0, None).unwrap();
    let body =
        json!({"stream": true, "messages": [{"content": "chunks=3 gap_ms=60000"}]}).to_string();
    let mut stream = ask(
        mock.address(),
        "/v1/chat/completions",
        None,
        body.as_bytes(),
    )
    .unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    drop(stream);
    assert_eq!(ends(&mock, 1), [End::ClosedByPeer]);
}

#[test]
fn a_recorded_exchange_comes_back_the_same_however_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let line = json!({
        "id": "a#0", "provider": "p", "api": "chat.completions", "method": "POST", "path": "/chat/completions", "status": 200,
        "reserialised": false,
        "request_body": {"text": "{\"model\": \"m\", \"stream\": true}"},
        "response_headers": {"content-type": "text/event-stream", "content-length": "5"},
        "response_body": {"text": "data: {\"x\":\"ü\"}\r\n\r\ndata: [DONE]\n\n"},
    });
    std::fs::write(folder.path().join("p.jsonl"), line.to_string()).unwrap();
    let mock = Mock::start(0, Some(folder.path())).unwrap();
    for cut in CUTS {
        mock.arm(
            "a#0",
            Manner {
                step: *cut,
                pause: None,
            },
        )
        .unwrap();
        let stream = ask(
            mock.address(),
            "/v1/chat/completions",
            None,
            b"{\"stream\":true,\"model\":\"m\"}",
        )
        .unwrap();
        let answer = read_answer(stream).unwrap();
        assert_eq!(
            String::from_utf8(answer.body).unwrap(),
            "data: {\"x\":\"ü\"}\r\n\r\ndata: [DONE]\n\n",
            "cut into {cut}"
        );
    }
    assert!(mock.seen().iter().all(|seen| seen.matches == Some(true)));
    assert!(mock.arm("b#0", Manner::default()).is_err());
}
