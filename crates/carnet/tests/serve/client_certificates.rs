//! Callers who show a certificate in place of a key.

use http::Method;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::harness::certificates::{Authority, Identity};
use crate::harness::upstream::DELTA;
use crate::harness::{
    Answer, Gateway, MODEL, ONE_SECOND, Setup, Upstream, chat_body, entry, json_body, with_key,
    within,
};

const APP: &str = "spiffe://example.org/app";
const RULES: &str = r#"
[[certificate]]
uri = "spiffe://example.org/lab/*"
workload = "other"

[[certificate]]
uri = "spiffe://example.org/app"
workload = "app"

[[workload]]
id = "other"
"#;

/// A gateway whose callers show certificates of `authority`.
fn setup(upstream: &Upstream, authority: &Authority, more: &str) -> Setup {
    let own = authority.identity("localhost");
    let tls = format!(
        r#"tls = {{ cert = "server.pem", key = "server.key", client_ca_file = "clients.pem"{more} }}"#
    );
    let entries = entry("local", &upstream.base_url(), "") + RULES;
    let setup = Setup::with(&entries).server(&tls);
    setup.write("server.pem", &own.chain);
    setup.write("server.key", &own.key);
    setup.write("clients.pem", &authority.pem());
    setup
}

/// Ask for the list of models, without a key or with this one.
async fn models(
    gateway: &Gateway,
    (authority, identity): (&Authority, Option<&Identity>),
    key: Option<&str>,
) -> Answer {
    let tcp = gateway.connect().await;
    let tls = authority.connect_as(identity, tcp, &[]).await.unwrap();
    let mut request = gateway.request(Method::GET, "/v1/models", "");
    request.headers_mut().remove("authorization");
    if let Some(key) = key {
        request = with_key(request, key);
    }
    gateway.send_over(Box::new(tls), request).await
}

#[tokio::test]
async fn a_certificate_speaks_for_the_workload_of_its_names() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let gateway = setup(&upstream, &authority, "").start().await;
    let app = authority.identity_of(&[], &[APP]);
    let lab = authority.identity_of(&[], &["spiffe://example.org/lab/a"]);
    let (_, other_key) = gateway.key_for("other").await;
    for (identity, key, workload, id) in [
        (&app, None, "app", "certificate:spiffe://example.org/app"),
        // What clients send that cannot do without a key.
        (
            &app,
            Some("certificate"),
            "app",
            "certificate:spiffe://example.org/app",
        ),
        (
            &lab,
            None,
            "other",
            "certificate:spiffe://example.org/lab/a",
        ),
        // A key counts before it.
        (&app, Some(&*other_key), "other", "key_"),
    ] {
        let answer = models(&gateway, (&authority, Some(identity)), key).await;
        assert_eq!(answer.status, 200);
        let record = gateway.record(&answer.record()).await;
        assert_eq!(record["workload"], json!(workload));
        let told = record["key_id"].as_str().unwrap();
        assert!(told.starts_with(id), "{told}");
    }
    let unnamed = authority.identity("unnamed.example.org");
    models(&gateway, (&authority, Some(&unnamed)), None)
        .await
        .error(403, "certificate_unmapped")
        .await;
    for key in [None, Some("certificate")] {
        models(&gateway, (&authority, None), key)
            .await
            .error(401, "invalid_api_key")
            .await;
    }
    // Whoever shows one of another authority does not get so far as to ask.
    let stranger = Authority::new().identity_of(&[], &[APP]);
    let tcp = gateway.connect().await;
    let tls = authority.connect_as(Some(&stranger), tcp, &[]).await;
    // With TLS 1.3 the client learns it with its first read.
    if let Ok(mut tls) = tls {
        assert!(tls.read_u8().await.is_err());
    }
    gateway.finish().await;
}

#[tokio::test]
async fn answers_by_a_rule_that_is_taken_out_are_cut() {
    let mut upstream = Upstream::start().await;
    let authority = Authority::new();
    let gateway = setup(&upstream, &authority, ", client_required = true")
        .start()
        .await;
    let app = authority.identity_of(&[], &[APP]);
    let tls = authority.connect_as(Some(&app), gateway.connect().await, &[]);
    let mut request = gateway.chat_request(chat_body(MODEL, true));
    request.headers_mut().remove("authorization");
    let sent = gateway.send_over(Box::new(tls.await.unwrap()), request);
    let (mut answer, mut arrival) = tokio::join!(sent, async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    let config = gateway
        .setup
        .config()
        .replace(APP, "spiffe://example.org/new");
    gateway.setup.write("carnet.toml", &config);
    gateway.signal(Signal::HUP);
    let rest = answer.text().await;
    assert_eq!(json_body(&rest)[0]["error"]["code"], "revoked", "{rest}");
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    models(&gateway, (&authority, Some(&app)), None)
        .await
        .error(403, "certificate_unmapped")
        .await;
    gateway.finish().await;
}
