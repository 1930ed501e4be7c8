//! The end in good order, the end of patience, and a disk that is full.

use std::process::Command;

use http::Method;
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK};
use crate::harness::{MODEL, Setup, Upstream, chat_body, entry, json_body, until};

#[tokio::test]
async fn a_signal_lets_running_answers_end_and_takes_no_new_connection() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    gateway.signal(Signal::TERM);
    until("the end of listening", async || {
        TcpStream::connect(gateway.data)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    arrival.chunk(DELTA).await;
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    let id = answer.record();
    assert_eq!(answer.text().await, DONE);
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
    let records = gateway.check_log().await;
    let record = records
        .iter()
        .find(|record| record["id"] == id.as_str())
        .unwrap();
    assert_eq!(record["outcome"], "completed");
}

#[tokio::test]
async fn a_key_revoked_while_the_server_drains_still_cuts() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut answer, _arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    gateway.signal(Signal::TERM);
    until("the end of listening", async || {
        TcpStream::connect(gateway.data)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    gateway.revoke(&gateway.key_id).await;
    assert!(answer.text().await.contains("\"revoked\""));
    assert_eq!(gateway.ended().await.code(), Some(0));
    gateway.check_log().await;
}

#[tokio::test]
async fn an_answer_that_outlasts_the_draining_is_cut_and_has_its_record() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("drain_seconds = 1");
    let mut gateway = setup.start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    let id = answer.record();
    gateway.signal(Signal::TERM);
    let rest = answer.text().await;
    let events = json_body(&rest);
    assert_eq!(events.len(), 1, "{rest}");
    assert_eq!(events[0]["error"]["code"], "server_stopping");
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
    assert!(
        gateway.stderr().contains("1 requests had to be cut"),
        "{}",
        gateway.stderr()
    );
    arrival.closed().await;
    let records = gateway.check_log().await;
    let record = records
        .iter()
        .find(|record| record["id"] == id.as_str())
        .unwrap();
    assert_eq!(record["outcome"], "cut", "{record:#}");
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let _silent = gateway.connect().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let request = gateway.chat_request(chat_body(MODEL, false));
    let (answer, ()) = tokio::join!(gateway.send_h2(&h2, request), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    let begun = std::time::Instant::now();
    gateway.finish().await;
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn proxy_variables_of_the_environment_are_ignored_and_warned_of() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url())
        .variable("HTTP_PROXY", "http://127.0.0.1:9")
        .variable("https_proxy", "http://127.0.0.1:9")
        .variable("ALL_PROXY", "socks5://127.0.0.1:9");
    gateway.environment.push(("NO_PROXY", String::new()));
    let gateway = gateway.start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    for name in ["HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
        let warning = format!("warning: {name} is set and ignored");
        assert!(gateway.stderr().contains(&warning), "{}", gateway.stderr());
    }
    gateway.finish().await;
}

/// A small file system of its own, if this process may mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256m,mode=700", "tmpfs"])
            .arg(&at)
            .output();
        done.is_ok_and(|done| done.status.success())
            .then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since the server may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_requests_and_lets_running_ones_end() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url());
    let Some(disk) = SmallDisk::mount(setup.path("state")) else {
        println!("not run: this process may not mount a file system");
        return;
    };
    let gateway = setup.start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    // No more room can be got now; what was kept is used up first, and readiness ends with that.
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let nobodys = || gateway.chat_request(chat_body(&"x".repeat(500), false));
    let (mut ready, mut together) = (true, 200);
    while together > 0 {
        // What the log gives back of its journal is not to help it either.
        fill(&ballast);
        let requests = (0..together).map(|_| nobodys());
        let statuses = gateway.send_all(&h2, requests).await;
        let refused = statuses.iter().any(|status| *status == 503);
        if ready && gateway.get("/readyz").await.status == 503 {
            ready = false;
            assert!(!refused, "room was kept");
        }
        if refused {
            // Each open request has room of its own: fewer of them still find some.
            together /= 2;
        }
    }
    assert!(!ready);
    let refused = gateway.send(nobodys()).await;
    assert_eq!(refused.header("carnet-record"), "");
    refused.error(503, "log_unavailable").await;
    assert_eq!(gateway.get("/readyz").await.status, 503);
    assert_eq!(gateway.get("/healthz").await.status, 200);
    let (_, status) = gateway.admin(Method::GET, "/api/status").await;
    assert_eq!(status["ready"], false, "{status:#}");

    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    arrival.keep();
    let id = answer.record();
    assert_eq!(answer.text().await, DONE);
    assert_eq!(gateway.record(&id).await["outcome"], "completed");
    std::fs::remove_file(&ballast).unwrap();
    until("readiness", async || {
        (gateway.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

/// Write until the disk takes no more.
fn fill(file: &std::path::Path) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(file).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test]
async fn as_many_requests_run_as_the_log_keeps_room_for() {
    let mut upstream = Upstream::start().await;
    let entry = entry("local", &upstream.base_url(), "[audit]\nopen_max = 1\n");
    let gateway = Setup::with(&entry).start().await;
    let (mut running, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    running.piece().await.unwrap();
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    assert_eq!(refused.header("carnet-record"), "");
    refused.error(503, "log_unavailable").await;
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    arrival.keep();
    let id = running.record();
    running.text().await;
    // Its room is free when its record is written.
    gateway.record(&id).await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.status, 200);
    gateway.finish().await;
}
