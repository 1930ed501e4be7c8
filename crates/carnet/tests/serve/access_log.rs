//! The access log: a line for each request, with nothing in it that is nobody's business.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::upstream::COMPLETION;
use crate::harness::{DENIED, Gateway, MODEL, Setup, Upstream, entry, until};

const PLANTED: &str = "the quick brown secret";

fn asked(model: &str) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": PLANTED}]}).to_string()
}

/// The lines of a file, once there are so many.
async fn lines(path: &PathBuf, count: usize) -> Vec<Value> {
    until("lines of the access log", async || {
        let text = fs::read_to_string(path).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        let read = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        (lines.len() >= count && text.ends_with('\n')).then(|| read.collect())
    })
    .await
}

async fn completed(gateway: &Gateway, upstream: &mut Upstream) -> String {
    let (answer, ()) = tokio::join!(gateway.chat(asked(MODEL)), upstream.complete());
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    id
}

#[tokio::test]
async fn each_request_is_a_line_and_a_file_that_was_moved_is_opened_again() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("access_log = \"access.log\"");
    let path = setup.path("access.log");
    let gateway = setup.start().await;
    let id = completed(&gateway, &mut upstream).await;
    let denied = gateway.chat(asked(DENIED)).await;
    let denied_id = denied.record();
    denied.error(403, "policy_denied").await;
    let both = lines(&path, 2).await;
    let line = |id: &str| both.iter().find(|line| line["id"] == id).unwrap();
    let (good, bad) = (line(&id), line(&denied_id));
    for (name, value) in [
        ("workload", json!("app")),
        ("key_id", json!(gateway.key_id)),
        ("api", json!("chat-completions")),
        ("requested_model", json!(MODEL)),
        ("upstream", json!("local")),
        ("decision", json!("permit")),
        ("outcome", json!("completed")),
        ("status", json!(200)),
        ("attempts", json!(1)),
        ("bytes_out", json!(COMPLETION.len())),
    ] {
        assert_eq!(good[name], value, "{name}: {good:#}");
    }
    assert!(
        good["duration_ms"].as_f64() >= good["first_byte_ms"].as_f64(),
        "{good:#}"
    );
    assert_eq!(
        (&bad["decision"], &bad["status"]),
        (&json!("deny"), &json!(403))
    );
    assert!(!bad["rules"].as_array().unwrap().is_empty(), "{bad:#}");
    let moved = path.with_extension("1");
    fs::rename(&path, &moved).unwrap();
    // Within a second it is looked for again; what comes before that is in the file that was moved.
    until("the new file", async || {
        completed(&gateway, &mut upstream).await;
        path.exists().then_some(())
    })
    .await;
    let last = completed(&gateway, &mut upstream).await;
    until("the last line", async || {
        let text = fs::read_to_string(&path).ok()?;
        text.contains(&last).then_some(())
    })
    .await;
    let text = [&moved, &path]
        .map(|path| fs::read_to_string(path).unwrap())
        .concat();
    let key = gateway.key.clone();
    for planted in [PLANTED, "quick", &key, "Bearer", "\"Hi\""] {
        assert!(!text.contains(planted), "`{planted}` stands in {text}");
    }
    let all = text.lines().count();
    let requests = gateway.finish().await;
    let requests = requests.iter().filter(|record| record["kind"] == "request");
    assert_eq!(all, requests.count());
}

#[tokio::test]
async fn lines_go_to_stderr_and_all_of_them_before_the_end() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("access_log = \"stderr\"");
    let mut gateway = setup.start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(completed(&gateway, &mut upstream).await);
    }
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    until("all lines", async || {
        let text = gateway.stderr();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told: Vec<String> = lines
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect();
        (told == ids).then_some(())
    })
    .await;
    gateway.check_log().await;
}

#[tokio::test]
async fn at_no_level_a_prompt_or_a_key_is_logged() {
    let mut upstream = Upstream::start().await;
    let entry = entry(
        "local",
        &upstream.base_url(),
        "key = { env = \"UPSTREAM_KEY\" }",
    );
    let gateway = Setup::with(&entry)
        .variable("UPSTREAM_KEY", "sk-of-the-upstream")
        .variable("CARNET_LOG", "trace")
        .variable("CARNET_LOG_FORMAT", "json")
        .start()
        .await;
    completed(&gateway, &mut upstream).await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let (answer, ()) = tokio::join!(
        gateway.send_h2(&h2, gateway.chat_request(asked(MODEL))),
        upstream.complete()
    );
    answer.text().await;
    gateway.chat(asked(DENIED)).await.bytes().await;
    until("something is logged", async || {
        (gateway.stderr().len() > 1_000).then_some(())
    })
    .await;
    let text = gateway.stderr();
    for line in text.lines().take(20) {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["level"].is_string(), "{line}");
    }
    let key = gateway.key.clone();
    for planted in [PLANTED, "sk-of-the-upstream", &key] {
        assert!(!text.contains(planted), "`{planted}` is logged");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn what_cannot_be_written_is_counted_and_hinders_nobody() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("access_log = \"/dev/full\"");
    let gateway = setup.start().await;
    for _ in 0..3 {
        completed(&gateway, &mut upstream).await;
    }
    until("lost lines", async || {
        let lost = gateway.counter("carnet_access_log_lines_lost_total").await;
        (lost == 3).then_some(())
    })
    .await;
    gateway.finish().await;
}
