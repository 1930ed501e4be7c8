//! TLS to upstreams and proxies on the way: what is trusted, what is shown, what is recorded.

use crate::harness::certificates::Authority;
use crate::harness::proxy::Proxy;
use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK};
use crate::harness::{MODEL, PATIENCE, Setup, Upstream, chat_body, entry, within};

#[tokio::test]
async fn an_unknown_authority_is_refused_and_one_that_is_named_is_trusted() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let mut upstream = Upstream::tls(authority.server(&identity, false)).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let gateway = Setup::new(&base_url).start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    let id = answer.record();
    answer.error(502, "upstream_unreachable").await;
    assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
    assert!(upstream.is_untouched());
    gateway.finish().await;

    let setup = Setup::with(&entry("local", &base_url, r#"ca_file = "ca.pem""#));
    setup.write("ca.pem", &authority.pem());
    let gateway = setup.start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    let attempt = gateway.record(&id).await["attempts"][0].clone();
    assert_eq!(attempt["address"], upstream.address.to_string().as_str());
    assert_eq!(attempt["server_name"], "localhost");
    assert_eq!(
        attempt["certificate_sha256"],
        identity.fingerprint().as_str()
    );
    assert!(attempt.get("proxy").is_none());
    gateway.finish().await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let other = authority.identity("other.example");
    let mut upstream = Upstream::tls(authority.server(&other, false)).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let setup = Setup::with(&entry("local", &base_url, r#"ca_file = "ca.pem""#));
    setup.write("ca.pem", &authority.pem());
    let gateway = setup.start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    answer.error(502, "upstream_unreachable").await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_configured() {
    let authority = Authority::new();
    let server = authority.identity("localhost");
    let mut upstream = Upstream::tls(authority.server(&server, true)).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let own = authority.identity("gateway.example");
    for shown in [false, true] {
        let more = if shown {
            "ca_file = \"ca.pem\"\nclient_cert = \"own.pem\"\nclient_key = \"own.key\""
        } else {
            "ca_file = \"ca.pem\""
        };
        let setup = Setup::with(&entry("local", &base_url, more));
        setup.write("ca.pem", &authority.pem());
        setup.write("own.pem", &own.chain);
        setup.write("own.key", &own.key);
        let gateway = setup.start().await;
        if shown {
            let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
                let arrival = upstream.next().await;
                assert!(arrival.tls.certified);
                arrival.complete().await;
            });
            assert_eq!(answer.text().await, COMPLETION);
        } else {
            let answer = gateway.chat(chat_body(MODEL, false)).await;
            assert_eq!(answer.status, 502);
            answer.bytes().await;
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn an_upstream_that_prefers_http2_is_spoken_to_by_http1() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let mut server = authority.server(&identity, false);
    // The server's order decides: it would take h2 if that were offered.
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut upstream = Upstream::tls(server).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let setup = Setup::with(&entry("local", &base_url, r#"ca_file = "ca.pem""#));
    setup.write("ca.pem", &authority.pem());
    let gateway = setup.start().await;
    let streamed = gateway.chat(chat_body(MODEL, true));
    let (mut streamed, mut arrival) = tokio::join!(streamed, async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    let line = "POST /v1/chat/completions HTTP/1.1";
    assert_eq!(arrival.line, line);
    assert_eq!(arrival.tls.protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(streamed.piece().await.unwrap(), DELTA);
    // Meanwhile another request has a connection of its own.
    let (plain, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let arrival = upstream.next().await;
        assert_eq!(arrival.line, line);
        arrival.complete().await;
    });
    assert_eq!(upstream.connections(), 2);
    let id = plain.record();
    assert_eq!(plain.text().await, COMPLETION);
    let attempts = gateway.record(&id).await["attempts"].clone();
    assert_eq!(attempts.as_array().unwrap().len(), 1, "{attempts:#}");
    assert_eq!(attempts[0]["status"], 200);
    assert_eq!(
        attempts[0]["certificate_sha256"],
        identity.fingerprint().as_str()
    );
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(streamed.text().await, DONE);
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_that_speaks_http2_alone_is_unreachable() {
    let authority = Authority::new();
    let mut server = authority.server(&authority.identity("localhost"), false);
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut upstream = Upstream::tls(server).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let setup = Setup::with(&entry("local", &base_url, r#"ca_file = "ca.pem""#));
    setup.write("ca.pem", &authority.pem());
    let gateway = setup.start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    let error = answer.error(502, "upstream_unreachable").await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("NoApplicationProtocol"), "{message}");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_changed_authority_reaches_the_next_request_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let identity = new.identity("localhost");
    let mut upstream = Upstream::tls(new.server(&identity, false)).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let setup = Setup::with(&entry("local", &base_url, r#"ca_file = "trust/ca.pem""#));
    setup.write("trust/ca.pem", &old.pem());
    let gateway = setup.start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    answer.error(502, "upstream_unreachable").await;
    gateway.setup.write("trust/ca.pem", &new.pem());
    let (status, _) = gateway.admin(http::Method::POST, "/api/reload").await;
    assert_eq!(status, 200);
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_stands_in_the_record() {
    let authority = Authority::new();
    let identity = authority.identity("models.example");
    let mut tls = Upstream::tls(authority.server(&identity, false)).await;
    let mut plain = Upstream::start().await;
    // The names exist nowhere: only the proxy has to know them.
    for (base_url, asked) in [
        ("https://models.example/v1", "models.example:443"),
        ("https://models.example:8443/v1", "models.example:8443"),
        ("http://models.example:8080/v1", "models.example:8080"),
        ("http://models.example/v1", "models.example:80"),
    ] {
        let upstream = if base_url.starts_with("https") {
            &mut tls
        } else {
            &mut plain
        };
        let mut proxy = Proxy::start(Some(upstream.address)).await;
        let more = format!("ca_file = \"ca.pem\"\nproxy = \"http://{}\"", proxy.address);
        let setup = Setup::with(&entry("local", base_url, &more));
        setup.write("ca.pem", &authority.pem());
        let gateway = setup.start().await;
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
        let id = answer.record();
        assert_eq!(answer.text().await, COMPLETION);
        let head = within(PATIENCE, "a CONNECT", proxy.asked.recv())
            .await
            .unwrap();
        assert!(
            head.starts_with(&format!("CONNECT {asked} HTTP/1.1\r\n")),
            "{head}"
        );
        let attempt = gateway.record(&id).await["attempts"][0].clone();
        assert_eq!(attempt["proxy"], proxy.address.to_string().as_str());
        assert_eq!(attempt["address"], proxy.address.to_string().as_str());
        if base_url.starts_with("https") {
            assert_eq!(attempt["server_name"], "models.example");
            assert_eq!(
                attempt["certificate_sha256"],
                identity.fingerprint().as_str()
            );
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_as_unreachable() {
    let proxy = Proxy::start(None).await;
    let more = format!("proxy = \"http://{}\"", proxy.address);
    let setup = Setup::with(&entry("local", "https://models.example/v1", &more));
    let gateway = setup.start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    let id = answer.record();
    answer.error(502, "upstream_unreachable").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["attempts"][0]["error"], "upstream_unreachable");
    gateway.finish().await;
}
