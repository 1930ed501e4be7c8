//! `carnet doctor` beside a running server, over TLS, and on logs that are damaged.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::harness::certificates::Authority;
use crate::harness::upstream::COMPLETION;
use crate::harness::{Gateway, MODEL, Setup, Upstream, chat_body, entry};

/// What it finds: the exit code, and the lines of one check.
async fn examine(gateway: &Gateway, words: &[&str]) -> (i32, Vec<Value>) {
    let config = gateway.setup.path("carnet.toml");
    let line = [
        &["doctor", "--json", "--config", config.to_str().unwrap()],
        words,
    ]
    .concat();
    let Output { status, stdout, .. } = gateway.carnet(&line).await;
    let answer: Value = serde_json::from_slice(&stdout).unwrap();
    let checks = answer["checks"].as_array().unwrap().clone();
    (status.code().unwrap(), checks)
}

#[track_caller]
fn says(checks: &[Value], check: &str, standing: &str, word: &str) {
    let line = checks.iter().find(|one| {
        one["check"] == check && one["standing"] == standing && one.to_string().contains(word)
    });
    assert!(
        line.is_some(),
        "no {standing} of {check} with `{word}`: {checks:#?}"
    );
}

async fn ended(gateway: &mut Gateway) {
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_running_server_is_found_ready_and_alive() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    let address = gateway.data.to_string();
    let (code, checks) = examine(&gateway, &["--address", &address]).await;
    assert_eq!(code, 0, "{checks:#?}");
    says(&checks, "server", "ok", "runs as process");
    says(&checks, "ready", "ok", "takes requests");
    says(&checks, "log", "ok", "entries");
    says(&checks, "keys", "ok", "1 valid");
    assert!(checks.iter().all(|one| one["check"] != "port"));
    let (code, checks) = examine(&gateway, &["--live", "--address", &address]).await;
    assert_eq!((code, checks.len()), (0, 1));
    // Where nobody listens.
    let (code, checks) = examine(&gateway, &["--address", "127.0.0.1:1"]).await;
    assert_eq!(code, 1);
    says(&checks, "ready", "problem", "does not answer");
    gateway.finish().await;
}

#[tokio::test]
async fn a_damaged_log_and_a_strange_signing_key_are_problems() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    ended(&mut gateway).await;
    let state = gateway.setup.path("state");
    let kept = fs::read(state.join("audit.key")).unwrap();
    fs::write(state.join("audit.key"), "00".repeat(32)).unwrap();
    let (code, checks) = examine(&gateway, &[]).await;
    assert_eq!(code, 1);
    says(&checks, "log", "problem", "not that of audit.pub");
    assert!(!format!("{checks:?}").contains(&"00".repeat(32)));
    fs::remove_file(state.join("audit.key")).unwrap();
    let (_, checks) = examine(&gateway, &[]).await;
    says(&checks, "log", "problem", "audit.key");
    fs::write(state.join("audit.key"), kept).unwrap();
    let tiles = state.join("audit/tile/entries/000.p");
    let tile = fs::read_dir(tiles).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&tile).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&tile, bytes).unwrap();
    let (code, checks) = examine(&gateway, &[]).await;
    assert_eq!(code, 1);
    says(&checks, "log", "problem", "hashes");
}

#[tokio::test]
async fn over_tls_the_listener_must_show_its_own_certificate() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url())
        .server(r#"tls = { cert = "server.pem", key = "server.key" }"#);
    setup.write("server.pem", &identity.chain);
    setup.write("server.key", &identity.key);
    let gateway = setup.start().await;
    let address = gateway.data.to_string();
    let live = ["--live", "--address", &address];
    let (code, checks) = examine(&gateway, &live).await;
    assert_eq!(code, 0, "{checks:#?}");
    let other = authority.identity("localhost");
    gateway.setup.write("server.pem", &other.chain);
    let (code, checks) = examine(&gateway, &live).await;
    assert_eq!(code, 1);
    says(&checks, "live", "problem", "another certificate");
    gateway.finish().await;
}

#[tokio::test]
async fn a_listener_that_wants_certificates_is_alive_without_one() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server(
        r#"tls = { cert = "server.pem", key = "server.key", client_ca_file = "ca.pem", client_required = true }"#,
    );
    setup.write("server.pem", &identity.chain);
    setup.write("server.key", &identity.key);
    setup.write("ca.pem", &authority.pem());
    let gateway = setup.start().await;
    let address = gateway.data.to_string();
    let (code, checks) = examine(&gateway, &["--live", "--address", &address]).await;
    assert_eq!(code, 0, "{checks:#?}");
    says(&checks, "live", "ok", "show a certificate");
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_with_an_unknown_authority_is_a_problem_and_gets_no_request() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let mut upstream = Upstream::tls(authority.server(&identity, false)).await;
    let base_url = format!("https://localhost:{}/v1", upstream.address.port());
    let gateway = Setup::new(&base_url).start().await;
    let address = gateway.data.to_string();
    let connect = ["--connect", "--address", &address];
    let (code, checks) = examine(&gateway, &connect).await;
    assert_eq!(code, 1);
    says(
        &checks,
        "upstream",
        "problem",
        "TLS with `localhost` failed",
    );
    gateway.finish().await;

    let setup = Setup::with(&entry("local", &base_url, r#"ca_file = "ca.pem""#));
    setup.write("ca.pem", &authority.pem());
    let gateway = setup.start().await;
    let address = gateway.data.to_string();
    let connect = ["--connect", "--address", &address];
    let (code, checks) = examine(&gateway, &connect).await;
    assert_eq!(code, 0, "{checks:#?}");
    says(&checks, "upstream", "ok", "is trusted");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}
