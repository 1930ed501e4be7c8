//! What passes through passes byte for byte, and nothing else passes.

use http::HeaderValue;

use crate::harness::upstream::{COMPLETION, whole};
use crate::harness::{MODEL, RENAMED, Setup, Upstream, chat_body, entry};

#[tokio::test]
async fn the_upstream_sees_the_allowed_headers_and_none_of_the_callers() {
    let mut upstream = Upstream::start().await;
    for (auth, name, value) in [
        ("bearer", "authorization", "Bearer provider-secret"),
        ("api-key", "api-key", "provider-secret"),
        ("x-api-key", "x-api-key", "provider-secret"),
    ] {
        let more = format!("key = {{ env = \"PROVIDER_KEY\" }}\nauth = \"{auth}\"");
        let setup = Setup::with(&entry("local", &upstream.base_url(), &more));
        let gateway = setup
            .variable("PROVIDER_KEY", "provider-secret")
            .start()
            .await;
        for stream in [false, true] {
            let mut request = gateway.chat_request(chat_body(MODEL, stream));
            for (name, value) in [
                ("cookie", "session=1"),
                ("x-forwarded-for", "192.0.2.1"),
                ("forwarded", "for=192.0.2.1"),
                ("openai-organization", "org-1"),
                ("openai-project", "proj-1"),
                ("openai-beta", "assistants=v2"),
                ("x-stainless-lang", "python"),
                ("user-agent", "OpenAI/Python 9"),
                ("accept", "text/html"),
                ("accept-encoding", "gzip, br"),
                ("api-key", &gateway.key),
                ("x-api-key", &gateway.key),
                ("proxy-authorization", "Basic Zm9v"),
                ("te", "trailers"),
                (
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ),
                ("idempotency-key", "k1"),
                ("referer", "http://intranet.example/"),
                ("carnet-decision", "permit"),
            ] {
                request
                    .headers_mut()
                    .append(name, HeaderValue::from_str(value).unwrap());
            }
            let (answer, ()) = tokio::join!(gateway.send(request), async {
                let arrival = upstream.next().await;
                assert_eq!(arrival.line, "POST /v1/chat/completions HTTP/1.1");
                let mut seen = arrival.headers.clone();
                seen.sort_unstable();
                let accept = if stream {
                    "text/event-stream"
                } else {
                    "application/json"
                };
                let agent = concat!("carnet/", env!("CARGO_PKG_VERSION"));
                let length = arrival.body.len().to_string();
                let host = upstream.address.to_string();
                let mut expected = [
                    ("accept", accept),
                    ("accept-encoding", "identity"),
                    ("content-length", &length),
                    ("content-type", "application/json"),
                    ("host", &host),
                    ("user-agent", agent),
                    (name, value),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
                expected.sort_unstable();
                assert_eq!(seen, expected);
                arrival.complete().await;
            });
            assert_eq!(answer.text().await, COMPLETION);
        }
        let log = format!("{:?}", gateway.finish().await);
        assert!(!log.contains("provider-secret"));
    }
}

#[tokio::test]
async fn the_answers_own_cookies_and_borrowed_words_do_not_reach_the_caller() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let headers = concat!(
        "set-cookie: a=b\r\n",
        "Set-Cookie: c=d\r\n",
        "carnet-decision: deny\r\n",
        "carnet-record: rec_forged\r\n",
        "carnet-anything: x\r\n",
        "access-control-allow-origin: *\r\n",
        "access-control-expose-headers: x\r\n",
        "strict-transport-security: max-age=1\r\n",
        "alt-svc: h3=\":443\"\r\n",
        "keep-alive: timeout=5\r\n",
        "connection: x-hop\r\n",
        "x-hop: 1\r\n",
        "x-request-id: r1\r\n",
        "retry-after: 7\r\n",
        "openai-processing-ms: 12\r\n",
        "x-ratelimit-remaining-requests: 9\r\n",
    );
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole(headers, COMPLETION.as_bytes())).await;
    });
    let mut names: Vec<&str> = answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "carnet-candidates",
            "carnet-confidence",
            "carnet-decision",
            "carnet-host",
            "carnet-jurisdictions",
            "carnet-model",
            "carnet-record",
            "content-length",
            "content-type",
            "date",
            "openai-processing-ms",
            "retry-after",
            "x-ratelimit-remaining-requests",
            "x-request-id",
        ]
    );
    assert_eq!(answer.header("carnet-decision"), "permit");
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn trailers_of_an_answer_do_not_reach_the_caller() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let request = gateway.chat_request(chat_body(MODEL, false));
    let (mut answer, ()) = tokio::join!(gateway.send_h2(&h2, request), async {
        let mut arrival = upstream.next().await;
        let head = "HTTP/1.1 200 OK\r\ntrailer: carnet-decision, set-cookie\r\ntransfer-encoding: chunked\r\n\r\n";
        arrival.write(head).await;
        arrival.chunk("{}").await;
        arrival
            .write("0\r\ncarnet-decision: deny\r\nset-cookie: a=b\r\n\r\n")
            .await;
    });
    let mut data = Vec::new();
    while let Some(frame) = http_body_util::BodyExt::frame(&mut answer.body).await {
        match frame.unwrap().into_data() {
            Ok(piece) => data.extend(piece),
            Err(trailers) => panic!("{trailers:?}"),
        }
    }
    assert_eq!(data, b"{}");
    gateway.finish().await;
}

/// Bodies that a reader who writes them anew would change, with `$` for the model's name.
const ODD: &[&str] = &[
    r#"{"model":"$","messages":[]}"#,
    "\r\n\t {  \"messages\" : [ ] ,\n\n\"model\"\t:\r\n  \"$\"  ,\"n\":1   }  \n",
    r#"{"zeta":1,"alpha":2,"model":"$","messages":[{"content":"Hé \u00e9 \/ \ud83d\ude00 😀","role":"user"}],"stream":false}"#,
    r#"{"big":123456789012345678901234567890,"float":1.10e+2,"minus":-0.0,"exp":1E5,"model":"$","messages":[]}"#,
    r#"{"messages":[{"model":"inner","role":"user"}],"\u006dodel":"$"}"#,
    r#"{"x":{"twice":1,"twice":2},"messages":[],"model":"$"}"#,
    r#"{"model" : "$", "messages":[],"user":"\u0000\"\\\b\f\n\r\t","empty":""}"#,
];

#[tokio::test]
async fn a_request_body_passes_byte_for_byte_and_only_the_models_value_is_replaced() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for odd in ODD {
        for (asked, arrives) in [
            (MODEL, MODEL),
            (RENAMED, MODEL),
            // Escapes in the name stay as they are when it is the upstream's own.
            (r"llama\u0033.3:70b", r"llama\u0033.3:70b"),
            (r"house\u002dmodel", MODEL),
        ] {
            let (answer, ()) = tokio::join!(gateway.chat(odd.replace('$', asked)), async {
                let arrival = upstream.next().await;
                let body = String::from_utf8(arrival.body.clone()).unwrap();
                assert_eq!(body, odd.replace('$', arrives));
                arrival.complete().await;
            });
            assert_eq!(answer.text().await, COMPLETION);
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_large_body_passes_byte_for_byte() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let body = chat_body(RENAMED, false).replace("Hello", &"A\\u00e9".repeat(1 << 19));
    let (answer, ()) = tokio::join!(gateway.chat(body.clone()), async {
        let arrival = upstream.next().await;
        let same = arrival.body == body.replace(RENAMED, MODEL).as_bytes();
        assert!(same, "{} bytes of {}", arrival.body.len(), body.len());
        arrival.complete().await;
    });
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn an_answer_passes_byte_for_byte_whatever_it_is() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let all_bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let answers: &[(&str, &[u8])] = &[
        (
            "200 OK",
            b"{ \"model\" : \"\\u006clama3.3:70b\" ,\r\n\"b\":1.0 }\n\n",
        ),
        ("200 OK", &all_bytes),
        ("200 OK", b""),
        (
            "400 Bad Request",
            br#"{"error":{"message":"theirs","code":null}}"#,
        ),
        ("429 Too Many Requests", b"slow down"),
        ("500 Internal Server Error", b""),
        ("529 Overloaded", b"{}"),
    ];
    for (status, body) in answers {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/odd\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            arrival.write(head).await;
            arrival.write(body).await;
            arrival.keep();
        });
        assert_eq!(answer.status.as_str(), &status[..3]);
        assert_eq!(answer.header("content-type"), "text/odd");
        let id = answer.record();
        assert!(answer.bytes().await == *body, "{status}");
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "completed", "{status}: {record:#}");
        assert_eq!(record["status"].to_string(), status[..3], "{record:#}");
        assert_eq!(record["bytes_out"].as_u64().unwrap_or(0), body.len() as u64);
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_passes_in_the_pieces_in_which_it_comes() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let pieces = [
        ": a word before the first event\n\n",
        "data: {\"model\":\"llama3.3:70b\"",
        ",\"a\":1}\n",
        "\n: ping\r\n\r\n",
        "data: [DO",
        "NE]\n\n",
    ];
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.write(crate::harness::upstream::EVENTS).await;
        arrival
    });
    assert_eq!(answer.header("content-type"), "text/event-stream");
    for piece in pieces {
        arrival.chunk(piece).await;
        assert_eq!(answer.piece().await.unwrap(), piece);
    }
    arrival.write(crate::harness::upstream::LAST_CHUNK).await;
    assert_eq!(answer.piece().await, None);
    gateway.finish().await;
}
