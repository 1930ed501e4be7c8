//! What is served, to whom, and under which name.

use http::Method;
use http::header::{ALLOW, AUTHORIZATION, HOST, HeaderValue};

use crate::harness::upstream::COMPLETION;
use crate::harness::{Gateway, MODEL, Raw, Setup, Upstream, chat_body};

#[tokio::test]
async fn unknown_models_paths_and_methods_are_told_apart() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let error = gateway.chat(chat_body("nobody-has-it", false)).await;
    let error = error.error(404, "model_not_found").await;
    assert_eq!(error["param"], "model");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("`nobody-has-it`")
    );
    for path in [
        "/",
        "/v1/moderations",
        "/v1/chat/completions/",
        "/V1/models",
        "/v1/%6dodels",
    ] {
        let request = gateway.request(Method::POST, path, "{}");
        let error = gateway
            .send(request)
            .await
            .error(404, "path_not_served")
            .await;
        let message = error["message"].as_str().unwrap();
        for served in [
            "GET /healthz",
            "GET /readyz",
            "POST /v1/chat/completions",
            "GET /v1/models",
        ] {
            assert!(message.contains(served), "{path}: {message}");
        }
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/chat/completions", "POST"),
        (Method::PUT, "/v1/chat/completions", "POST"),
        (Method::OPTIONS, "/v1/chat/completions", "POST"),
        (Method::POST, "/v1/models", "GET"),
    ] {
        let answer = gateway.send(gateway.request(method, path, "")).await;
        let allow: Vec<_> = answer.headers.get_all(ALLOW).iter().collect();
        assert_eq!(allow, [allowed], "{path}");
        answer.error(405, "method_not_allowed").await;
    }
    assert!(upstream.is_untouched());
    let records = gateway.finish().await;
    assert_eq!(
        records
            .iter()
            .filter(|record| record["outcome"] == "refused")
            .count(),
        10
    );
}

#[tokio::test]
async fn health_and_readiness_need_no_key_and_leave_no_record() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for (path, text) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let mut request = gateway.request(Method::GET, path, "");
        request.headers_mut().remove(AUTHORIZATION);
        let answer = gateway.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().await.as_str()),
            (200, text)
        );
    }
    gateway.finish().await;
}

#[tokio::test]
async fn only_the_listeners_own_names_are_served() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let port = gateway.data.port();
    for host in [
        "localhost",
        "LocalHost",
        "127.0.0.1",
        &format!("127.0.0.1:{port}"),
        &format!("[::1]:{port}"),
    ] {
        let mut request = gateway.chat_request(chat_body(MODEL, false));
        request.headers_mut().insert(HOST, host.parse().unwrap());
        let (answer, ()) = tokio::join!(gateway.send(request), upstream.complete());
        assert_eq!(answer.text().await, COMPLETION, "{host}");
    }
    assert_eq!(gateway.counter("carnet_hosts_refused_total").await, 0);
    for host in [
        "evil.example",
        "localhost.evil.example",
        "localhost:1@evil.example",
        "localhost.",
        "",
    ] {
        let mut request = gateway.chat_request(chat_body(MODEL, false));
        request.headers_mut().insert(HOST, host.parse().unwrap());
        gateway
            .send(request)
            .await
            .error(421, "host_not_served")
            .await;
        let mut request = gateway.request(Method::GET, "/healthz", "");
        request.headers_mut().insert(HOST, host.parse().unwrap());
        assert_eq!(gateway.send(request).await.status, 421, "{host}");
    }
    let mut two = gateway.chat_request(chat_body(MODEL, false));
    two.headers_mut()
        .append(HOST, HeaderValue::from_static("localhost"));
    gateway.send(two).await.error(421, "host_not_served").await;
    assert_eq!(gateway.counter("carnet_hosts_refused_total").await, 11);
    assert_eq!(gateway.counter("carnet_strangers_refused_total").await, 0);
    let mut raw = Raw::connect(&gateway).await;
    raw.write("GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await;
    assert!(
        raw.read_to_end().await.starts_with("HTTP/1.1 4"),
        "no Host at all"
    );
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn without_one_well_formed_valid_key_nothing_is_served() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let good = format!("Bearer {}", gateway.key);
    let flipped = format!(
        "{}{}",
        &good[..good.len() - 1],
        if good.ends_with('0') { '1' } else { '0' }
    );
    let cases: Vec<Vec<HeaderValue>> = [
        &[][..],
        &[""],
        &["Bearer"],
        &["Bearer "],
        &["Bearer sk-proj-of-a-provider"],
        &[&gateway.key],
        &[&format!("Basic {}", gateway.key)],
        &[&format!("Bearer{}", gateway.key)],
        &[&flipped],
        &[&good, &good],
        &[&good, "Bearer other"],
    ]
    .iter()
    .map(|values| values.iter().map(|value| value.parse().unwrap()).collect())
    .chain([vec![HeaderValue::from_bytes(b"Bearer \xff").unwrap()]])
    .collect();
    for values in cases {
        let mut request = gateway.chat_request(chat_body(MODEL, false));
        request.headers_mut().remove(AUTHORIZATION);
        for value in &values {
            request.headers_mut().append(AUTHORIZATION, value.clone());
        }
        let answer = gateway.send(request).await;
        assert!(!answer.headers.contains_key("carnet-record"), "{values:?}");
        let error = answer.error(401, "invalid_api_key").await;
        assert_eq!(error["type"], "authentication_error");
        assert!(error.get("record").is_none());
    }
    assert!(upstream.is_untouched());
    let records = gateway.finish().await;
    assert_eq!(strangers(&records), 12, "{records:#?}");
}

#[tokio::test]
async fn an_address_with_too_many_refusals_must_wait_and_a_valid_key_need_not() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let mut statuses = Vec::new();
    for _ in 0..103 {
        let mut request = gateway.request(Method::GET, "/v1/models", "");
        request.headers_mut().remove(AUTHORIZATION);
        let answer = gateway.send_h2(&h2, request).await;
        statuses.push(answer.status.as_u16());
        if answer.status == 429 {
            assert!(!answer.header("retry-after").is_empty());
            answer.error(429, "too_many_refusals").await;
        }
    }
    assert_eq!(statuses[..100], [401; 100]);
    assert_eq!(statuses[100..], [429; 3]);
    let request = gateway.chat_request(chat_body(MODEL, false));
    let (answer, ()) = tokio::join!(gateway.send_h2(&h2, request), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    let records = gateway.finish().await;
    assert_eq!(strangers(&records), 103, "{records:#?}");
    let aggregated = records
        .iter()
        .filter(|record| record["kind"] == "strangers")
        .count();
    assert!(aggregated <= 2, "{records:#?}");
}

#[tokio::test]
async fn a_key_of_a_workload_that_is_gone_is_told_so() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let text = gateway
        .setup
        .config()
        .replace("id = \"app\"", "id = \"another\"");
    gateway.setup.write("carnet.toml", &text);
    let (status, _) = gateway.admin(Method::POST, "/api/reload").await;
    assert_eq!(status, 200);
    forbidden(&gateway).await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

async fn forbidden(gateway: &Gateway) {
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    let id = answer.record();
    answer.error(403, "workload_unknown").await;
    assert_eq!(gateway.record(&id).await["outcome"], "denied");
    gateway
        .get("/v1/models")
        .await
        .error(403, "workload_unknown")
        .await;
}

/// Requests without a valid key that the log speaks of.
fn strangers(records: &[serde_json::Value]) -> u64 {
    records
        .iter()
        .filter(|record| record["kind"] == "strangers")
        .map(|record| record["count"].as_u64().unwrap())
        .sum()
}
