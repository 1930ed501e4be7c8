//! Backups of a running server, and servers that go on from one.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::upstream::COMPLETION;
use crate::harness::{Gateway, MODEL, Setup, Upstream, chat_body};

/// One request, answered.
async fn ask(gateway: &Gateway, upstream: &mut Upstream) -> String {
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    id
}

async fn backup(gateway: &Gateway, to: &Path) -> Value {
    let to = to.to_str().unwrap();
    let made = gateway.carnet(&["backup", "--to", to, "--json"]).await;
    assert!(made.status.success(), "{made:?}");
    serde_json::from_slice(&made.stdout).unwrap()
}

/// Put a backup in the place of what a server that has ended left.
async fn restore(gateway: &Gateway, from: &Path) {
    let state = gateway.setup.path("state");
    fs::remove_dir_all(&state).unwrap();
    let done = gateway
        .carnet(&["restore", from.to_str().unwrap(), "--json"])
        .await;
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["log"]["verified"], true);
}

#[tokio::test]
async fn a_server_goes_on_from_a_backup_of_a_running_one() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let first = ask(&gateway, &mut upstream).await;
    let file = gateway.setup.path("one.tar.zst");
    let made = backup(&gateway, &file).await;
    assert_eq!(made["left_out"], serde_json::json!([]), "{made}");
    let entries = made["log"]["size"].as_u64().unwrap() + made["log"]["pending"].as_u64().unwrap();
    assert!(entries >= 2, "{made}");
    // Neither is in the backup.
    ask(&gateway, &mut upstream).await;
    let (_, later) = gateway.new_key().await;
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());

    restore(&gateway, &file).await;
    gateway.start_again().await;
    let second = ask(&gateway, &mut upstream).await;
    gateway.key = later;
    let strange = gateway.chat(chat_body(MODEL, false)).await;
    assert_eq!(strange.status, 401);
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());
    let verified = gateway.carnet(&["audit", "verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
    let records = gateway.records().await;
    let requests: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "request")
        .map(|record| {
            (
                record["id"].as_str().unwrap(),
                record["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        requests,
        [(&*second, "completed"), (&*first, "completed")],
        "newest first"
    );
}

#[tokio::test]
async fn a_request_that_runs_meanwhile_is_an_interrupted_one_of_the_backup() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let file = gateway.setup.path("one.tar.zst");
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let arrival = upstream.next().await;
        backup(&gateway, &file).await;
        arrival.complete().await;
    });
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());
    assert_eq!(gateway.record(&id).await["outcome"], "completed");
    restore(&gateway, &file).await;
    gateway.start_again().await;
    assert_eq!(gateway.record(&id).await["outcome"], "interrupted");
}

#[tokio::test]
async fn no_server_goes_on_with_another_key_or_makes_one() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    ask(&gateway, &mut upstream).await;
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());
    let state = gateway.setup.path("state");
    let public = fs::read(state.join("audit.pub")).unwrap();
    fs::rename(state.join("audit.key"), gateway.setup.path("kept")).unwrap();
    let config = gateway.setup.path("carnet.toml");
    let started = gateway
        .carnet(&["serve", "--config", config.to_str().unwrap()])
        .await;
    let said = String::from_utf8(started.stderr).unwrap();
    assert_eq!(started.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the key that signs the log is missing"),
        "{said}"
    );
    assert!(!state.join("audit.key").exists());
    assert_eq!(fs::read(state.join("audit.pub")).unwrap(), public);
    fs::rename(gateway.setup.path("kept"), state.join("audit.key")).unwrap();
    gateway.start_again().await;
}

#[tokio::test]
async fn a_damaged_log_is_not_backed_up_as_if_it_were_whole() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    ask(&gateway, &mut upstream).await;
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());
    let tiles = gateway.setup.path("state/audit/tile/entries/000.p");
    let tile = fs::read_dir(tiles).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&tile).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&tile, bytes).unwrap();
    let file = gateway.setup.path("one.tar.zst");
    let made = gateway
        .carnet(&["backup", "--to", file.to_str().unwrap()])
        .await;
    let said = String::from_utf8(made.stderr).unwrap();
    assert_eq!(made.status.code(), Some(1), "{said}");
    assert!(said.contains("the log does not verify"), "{said}");
    assert!(!file.exists());
    assert!(!gateway.setup.path("state/backup.tmp").exists());
}
