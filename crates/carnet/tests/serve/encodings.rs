//! Upstreams that compress their answers although they were asked not to.

use async_compression::tokio::write::{
    BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder,
};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::harness::upstream::{COMPLETION, DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{Answer, Gateway, MODEL, Setup, Upstream, chat_body, entry, json_body};

/// The name in the header, and how it is written: `deflate` has two forms.
const CODINGS: [(&str, &str); 6] = [
    ("br", "br"),
    ("deflate", "zlib"),
    ("deflate", "bare"),
    ("gzip", "gzip"),
    ("X-GZIP", "gzip"),
    ("zstd", "zstd"),
];

/// Pieces compressed one after the other, each to its end before the next begins.
async fn compressed(form: &str, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    async fn all<E: AsyncWrite + Unpin>(
        mut encoder: E,
        pieces: &[&[u8]],
        written: impl Fn(&mut E) -> &mut Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for piece in pieces {
            encoder.write_all(piece).await.unwrap();
            encoder.flush().await.unwrap();
            out.push(std::mem::take(written(&mut encoder)));
        }
        encoder.shutdown().await.unwrap();
        out.push(std::mem::take(written(&mut encoder)));
        out
    }
    let to = Vec::new();
    match form {
        "br" => all(BrotliEncoder::new(to), pieces, |e| e.get_mut()).await,
        "zlib" => all(ZlibEncoder::new(to), pieces, |e| e.get_mut()).await,
        "bare" => all(DeflateEncoder::new(to), pieces, |e| e.get_mut()).await,
        "zstd" => all(ZstdEncoder::new(to), pieces, |e| e.get_mut()).await,
        _ => all(GzipEncoder::new(to), pieces, |e| e.get_mut()).await,
    }
}

pub(crate) async fn together(form: &str, text: &[u8]) -> Vec<u8> {
    compressed(form, &[text]).await.concat()
}

/// Ask for a whole answer, and let the upstream send this.
async fn answered(gateway: &Gateway, upstream: &mut Upstream, bytes: Vec<u8>) -> Answer {
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.header("accept-encoding"), ["identity"]);
        arrival.write(bytes).await;
    });
    answer
}

fn encoded(name: &str, body: &[u8]) -> Vec<u8> {
    let headers = format!(
        "content-encoding: {name}\r\ncontent-digest: sha-256=:x:\r\nx-request-id: r1\r\nconnection: close\r\n"
    );
    whole(&headers, body)
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_passed_on_as_what_it_is() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for (name, form) in CODINGS {
        let body = together(form, COMPLETION.as_bytes()).await;
        let answer = answered(&gateway, &mut upstream, encoded(name, &body)).await;
        assert_eq!(answer.status, 200, "{name}");
        for gone in ["content-encoding", "content-digest", "content-length"] {
            assert_eq!(answer.header(gone), "", "{name}");
        }
        assert_eq!(answer.header("x-request-id"), "r1");
        let id = answer.record();
        assert_eq!(answer.text().await, COMPLETION, "{name}");
        let record = gateway.record(&id).await;
        let told = name.to_ascii_lowercase().replace("x-", "");
        assert_eq!(
            record["attempts"][0]["content_encoding"],
            told.as_str(),
            "{record:#}"
        );
        assert_eq!(
            (&record["outcome"], &record["reported_model"]),
            (&json!("completed"), &json!(MODEL))
        );
    }
    // A body without a byte, and a coding that says nothing, are what they are.
    let answer = answered(&gateway, &mut upstream, encoded("gzip", b"")).await;
    assert_eq!(answer.text().await, "");
    let plain = encoded("identity", COMPLETION.as_bytes());
    let answer = answered(&gateway, &mut upstream, plain).await;
    assert_eq!(answer.text().await, COMPLETION);
    // Members of gzip may follow each other.
    let (one, two) = COMPLETION.split_at(40);
    let one = together("gzip", one.as_bytes()).await;
    let both = [one, together("gzip", two.as_bytes()).await].concat();
    let answer = answered(&gateway, &mut upstream, encoded("gzip", &both)).await;
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn events_of_a_compressed_stream_pass_as_they_come() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for (name, form) in CODINGS {
        let pieces = compressed(form, &[DELTA.as_bytes(), DONE.as_bytes()]).await;
        let [first, second, end] = &pieces[..] else {
            panic!("two events and an end");
        };
        let head = EVENTS.trim_end().to_owned() + "\r\ncontent-encoding: " + name + "\r\n\r\n";
        let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
            let mut arrival = upstream.next().await;
            arrival.write(head).await;
            // Cut into single bytes.
            for byte in first {
                arrival
                    .write([b'1', b'\r', b'\n', *byte, b'\r', b'\n'])
                    .await;
            }
            arrival
        });
        let mut got = Vec::new();
        while got.len() < DELTA.len() {
            got.extend(answer.piece().await.unwrap());
        }
        assert_eq!(got, DELTA.as_bytes(), "{name}");
        let rest = [&second[..], end].concat();
        arrival.write(format!("{:x}\r\n", rest.len())).await;
        arrival.write(rest).await;
        arrival.write("\r\n").await;
        arrival.write(LAST_CHUNK).await;
        assert_eq!(answer.text().await, DONE, "{name}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_compressed_answer_is_translated_and_checked_like_any_other() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .server("on_mismatch = \"flag\"")
        .start()
        .await;
    // Nothing of another dialect is passed unread.
    let other = COMPLETION.replace(MODEL, "qwen3:8b");
    let body = together("zstd", other.as_bytes()).await;
    let answer = answered(&gateway, &mut upstream, encoded("zstd", &body)).await;
    let id = answer.record();
    assert_eq!(answer.text().await, other);
    assert_eq!(gateway.record(&id).await["outcome"], "mismatch");
    gateway.finish().await;

    let entry = entry("local", &upstream.base_url(), "apis = [\"messages\"]");
    let gateway = Setup::with(&entry).start().await;
    let message = json!({ "id": "m1", "type": "message", "role": "assistant", "model": MODEL, "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": "Hi" }], "usage": { "input_tokens": 1, "output_tokens": 1 } });
    let body = together("br", message.to_string().as_bytes()).await;
    let answer = answered(&gateway, &mut upstream, encoded("br", &body)).await;
    let said = answer.json().await;
    assert_eq!(said["choices"][0]["message"]["content"], "Hi", "{said:#}");
    let error =
        json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "slow down" } });
    let body = together("gzip", error.to_string().as_bytes()).await;
    let refused = String::from_utf8_lossy(&encoded("gzip", b"")).replace("200 OK", "429 No");
    let refused = refused.replace(
        "content-length: 0",
        &format!("content-length: {}", body.len()),
    );
    let refused = [refused.as_bytes(), &body].concat();
    let answer = answered(&gateway, &mut upstream, refused).await;
    assert_eq!(answer.status, 429);
    let said = answer.json().await;
    assert_eq!(said["error"]["message"], "slow down", "{said:#}");
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_not_read_damaged_or_too_much_is_the_upstreams_error() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .server("decoded_bytes_max = 3000000")
        .start()
        .await;
    let gzip = together("gzip", COMPLETION.as_bytes()).await;
    let mut flipped = gzip.clone();
    // The checksum stands in the last eight bytes.
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    let blank = |bytes: usize| vec![b' '; bytes];
    let noise: Vec<u8> = (0..3_100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for (name, body, why) in [
        ("compress", gzip.clone(), "`content-encoding: compress`"),
        ("gzip, br", gzip.clone(), "`content-encoding: gzip, br`"),
        ("gzip", gzip[..gzip.len() - 3].to_vec(), "cannot be decoded"),
        ("gzip", flipped, "cannot be decoded"),
        ("gzip", COMPLETION.into(), "cannot be decoded"),
        ("zstd", gzip.clone(), "cannot be decoded"),
        (
            "br",
            [together("br", b"{}").await, b"x".to_vec()].concat(),
            "cannot be decoded",
        ),
        (
            "gzip",
            together("gzip", &blank(2_000_000)).await,
            "`server.decoded_ratio_max`",
        ),
        (
            "br",
            together("br", &blank(2_000_000)).await,
            "`server.decoded_ratio_max`",
        ),
        (
            "zstd",
            together("zstd", &noise).await,
            "`server.decoded_bytes_max`",
        ),
    ] {
        // A body of blanks names no model: its head waits for it.
        let answer = answered(&gateway, &mut upstream, encoded(name, &body)).await;
        let id = answer.record();
        if answer.status == 200 {
            // What came before the damage has passed; then it is torn, and not a whole answer.
            assert!(answer.try_bytes().await.is_err(), "{name}: {why}");
        } else {
            let error = answer.error(502, "upstream_encoding").await;
            let message = error["message"].as_str().unwrap();
            assert!(
                message.contains(why) && message.contains("`local`"),
                "{message}"
            );
        }
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "upstream-error", "{record:#}");
    }
    // A dense answer of little is none too much.
    let short = [blank(900_000), COMPLETION.into()].concat();
    let body = together("gzip", &short).await;
    let answer = answered(&gateway, &mut upstream, encoded("gzip", &body)).await;
    assert_eq!(answer.bytes().await, short);
    gateway.finish().await;
}

#[tokio::test]
async fn a_compressed_stream_that_is_damaged_ends_in_an_error_of_its_dialect() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let pieces = compressed("gzip", &[DELTA.as_bytes()]).await;
    let head = EVENTS.trim_end().to_owned() + "\r\ncontent-encoding: gzip\r\n\r\n";
    for damage in ["", "no more gzip"] {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
            let mut arrival = upstream.next().await;
            arrival.write(&head).await;
            arrival.write(format!("{:x}\r\n", pieces[0].len())).await;
            arrival.write(&pieces[0]).await;
            arrival.write("\r\n").await;
            if !damage.is_empty() {
                arrival.chunk(damage).await;
            }
            arrival.write(LAST_CHUNK).await;
        });
        let text = answer.text().await;
        assert!(text.starts_with(DELTA), "{text}");
        let events = json_body(&text);
        assert_eq!(events[1]["error"]["code"], "upstream_encoding", "{text}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_probe_reads_a_compressed_answer_too() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let other = COMPLETION.replace(MODEL, "qwen3:8b");
    let answer = answered(&gateway, &mut upstream, whole("", other.as_bytes())).await;
    answer.error(502, "model_mismatch").await;
    let asked = format!(r#"{{"upstream":"local","model":"{MODEL}","workload":"app"}}"#);
    let body = together("gzip", COMPLETION.as_bytes()).await;
    let ((status, told), ()) = tokio::join!(
        gateway.admin_with(Method::POST, "/api/targets/probe", &asked),
        async {
            let mut arrival = upstream.next().await;
            arrival.write(encoded("gzip", &body)).await;
        }
    );
    assert_eq!((status, &told["clean"]), (200, &json!(true)), "{told}");
    gateway.finish().await;
}
