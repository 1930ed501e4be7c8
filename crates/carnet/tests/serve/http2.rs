//! HTTP/2 to callers: by prior knowledge and by ALPN, and what a hostile one may not do.

use bytes::Bytes;

use crate::harness::certificates::Authority;
use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK};
use crate::harness::{Answer, MODEL, Raw, Setup, Upstream, chat_body};

/// A plain and a streamed request at once over one HTTP/2 connection or two.
async fn serves_both(
    upstream: &mut Upstream,
    plain: impl Future<Output = Answer>,
    streamed: impl Future<Output = Answer>,
) {
    let (plain, mut streamed, ()) = tokio::join!(plain, streamed, async {
        for _ in 0..2 {
            let mut arrival = upstream.next().await;
            if arrival.json()["stream"] == false {
                arrival.complete().await;
            } else {
                arrival.begin_stream().await;
                arrival.chunk(DONE).await;
                arrival.write(LAST_CHUNK).await;
            }
        }
    });
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("carnet-decision"), "permit");
    assert_eq!(plain.text().await, COMPLETION);
    let mut events = String::new();
    while let Some(piece) = streamed.piece().await {
        events.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert_eq!(events, format!("{DELTA}{DONE}"));
}

#[tokio::test]
async fn prior_knowledge_serves_plain_and_streamed_over_one_connection() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let plain = gateway.send_h2(&h2, gateway.chat_request(chat_body(MODEL, false)));
    let streamed = gateway.send_h2(&h2, gateway.chat_request(chat_body(MODEL, true)));
    serves_both(&mut upstream, plain, streamed).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_tls_listener_serves_both_protocols_by_alpn() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url())
        .server(r#"tls = { cert = "server.pem", key = "server.key" }"#);
    setup.write("server.pem", &identity.chain);
    setup.write("server.key", &identity.key);
    let gateway = setup.start().await;
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let tls = async || authority.connect(gateway.connect().await, offered).await;
        let (first, second) = (tls().await, tls().await);
        assert_eq!(first.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
        let plain = gateway.chat_request(chat_body(MODEL, false));
        let streamed = gateway.chat_request(chat_body(MODEL, true));
        if chosen == Some(b"h2") {
            let h2 = gateway.h2(Box::new(first)).await;
            let (plain, streamed) = (gateway.send_h2(&h2, plain), gateway.send_h2(&h2, streamed));
            serves_both(&mut upstream, plain, streamed).await;
        } else {
            let plain = gateway.send_over(Box::new(first), plain);
            let streamed = gateway.send_over(Box::new(second), streamed);
            serves_both(&mut upstream, plain, streamed).await;
        }
    }
    // Plain HTTP on the TLS port gets no answer and hurts nobody.
    let mut raw = Raw::connect(&gateway).await;
    raw.write(gateway.raw_chat(&chat_body(MODEL, false))).await;
    assert!(!raw.read_to_end().await.contains("HTTP/1.1 200"));
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_is_closed_at_the_upstream_and_others_go_on() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let request = || gateway.chat_request(chat_body(MODEL, true));
    let (gone, mut first) = tokio::join!(gateway.send_h2(&h2, request()), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    let (stays, mut second) = tokio::join!(gateway.send_h2(&h2, request()), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    let id = gone.record();
    drop(gone);
    crate::harness::within(crate::harness::ONE_SECOND, "the close", first.closed()).await;
    assert_eq!(gateway.record(&id).await["outcome"], "client-gone");
    second.chunk(DONE).await;
    second.write(LAST_CHUNK).await;
    assert_eq!(stays.text().await, format!("{DELTA}{DONE}"));
    gateway.finish().await;
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const END_STREAM_AND_HEADERS: u8 = 5;
/// `GET http://localhost/v1/models` in HPACK: three indexed fields and two literals.
const GET_MODELS: &[u8] = b"\x82\x86\x04\x0a/v1/models\x01\x09localhost";

#[tokio::test]
async fn rapid_reset_closes_the_connection_and_hurts_no_other() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let honest = gateway.h2(Box::new(gateway.connect().await)).await;
    let mut hostile = Raw::connect(&gateway).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for stream in (1..20_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_STREAM_AND_HEADERS, stream, GET_MODELS));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // The gateway may close before it has read all of it.
    hostile.write(&bytes).await;
    hostile.read_to_end().await;
    let request = gateway.chat_request(chat_body(MODEL, false));
    let (answer, ()) = tokio::join!(gateway.send_h2(&honest, request), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn header_lists_and_bodies_are_bounded_over_http2_too() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("body_bytes_max = 100000");
    let gateway = setup.start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let large = Bytes::from(vec![b' '; 100_001]);
    let answer = gateway.send_h2(&h2, gateway.chat_request(large)).await;
    answer.error(413, "body_too_large").await;
    let mut request = gateway.chat_request(chat_body(MODEL, false));
    for number in 0..9 {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        let value = "v".repeat(8 * 1024).parse().unwrap();
        request.headers_mut().insert(name, value);
    }
    let answer = gateway.send_h2(&h2, request).await;
    assert_eq!(answer.status, 431);
    gateway.finish().await;
}

#[tokio::test]
async fn header_fields_are_counted_over_http2_too() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let with_fields = |count: usize, repeat: bool| {
        let mut request = gateway.chat_request(chat_body(MODEL, false));
        // The listener's name becomes part of the target, and the body's length a field.
        for number in request.headers().len()..count {
            let name = if repeat {
                "x-same".to_owned()
            } else {
                format!("x-{number}")
            };
            let name = http::HeaderName::try_from(name).unwrap();
            request
                .headers_mut()
                .append(name, http::HeaderValue::from_static("1"));
        }
        request
    };
    for repeat in [false, true] {
        let passes = gateway.send_h2(&h2, with_fields(100, repeat));
        let (answer, ()) = tokio::join!(passes, upstream.complete());
        assert_eq!(answer.text().await, COMPLETION);
        let answer = gateway.send_h2(&h2, with_fields(101, repeat)).await;
        assert!(!answer.headers.contains_key("carnet-record"));
        answer.error(431, "too_many_header_fields").await;
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}
