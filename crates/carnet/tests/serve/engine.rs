//! Models that the binary runs itself: what callers get, and what the death of an engine costs.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{
    Gateway, MODEL, OVERLAY, PATIENCE, Setup, Upstream, chat_body, entry, until, within,
};

const SUMS: &str = "carnet-sums";

/// Whose machine the engine is on, so that the pack `default` permits known models there.
const OWN_MACHINE: &str = r#"
[[host]]
id = "carnet-engine"
operator = "me"
country = "DE"
parent_country = "DE"
regions = [{ id = "here", country = "DE" }]
complete = true
reason = "my own machine"
author = "me"
until = "2099-12-31"
"#;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../carnet-engine/tests/fixtures")
}

/// An engine of a tiny model of random weights, by the name of a known one.
fn tiny(name: &str, file: &Path, more: &str) -> String {
    format!(
        "[[engine]]\nname = \"{name}\"\nfile = \"{}\"\nmodel = \"{MODEL}\"\nplatform = \"ollama\"\n{more}\n",
        file.display()
    )
}

fn question(more: &Value) -> String {
    let mut body = json!({
        "model": SUMS,
        "messages": [{"role": "user", "content": "What is 47 + 85?"}],
    });
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body.to_string()
}

/// The process of a server's engine of this name.
async fn engine_of(gateway: &Gateway, name: &str) -> Pid {
    let server = gateway.child.id().unwrap();
    let socket = format!("engine-{name}-");
    until("an engine's process", async || {
        let tasks = std::fs::read_dir(format!("/proc/{server}/task")).ok()?;
        let children = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let all = children.collect::<Vec<_>>().join(" ");
        all.split_whitespace()
            .find(|child| {
                std::fs::read_to_string(format!("/proc/{child}/cmdline"))
                    .is_ok_and(|line| line.contains(&socket))
            })
            .and_then(|child| Pid::from_raw(child.parse().ok()?))
    })
    .await
}

#[tokio::test]
async fn the_model_that_comes_along_reasons_apart_from_its_answer() {
    let gateway = Setup::with("[[engine]]\nname = \"sums\"\n").start().await;
    let answer = gateway.chat(question(&json!({}))).await;
    assert_eq!(answer.status, 200);
    let id = answer.record();
    let body = answer.json().await;
    let message = &body["choices"][0]["message"];
    let reasoning = message["reasoning_content"].as_str().unwrap();
    assert_eq!(message["content"], "47 + 85 = 132.", "{body:#}");
    assert!(reasoning.contains("7 + 5 = 12"), "{reasoning}");
    assert!(body["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64() > Some(10));
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "completed", "{record:#}");
    let origin = record["attempts"][0]["origin"].as_str().unwrap();
    let socket = gateway.setup.path("state/engine-sums-");
    let socket = format!("unix:{}", socket.display());
    assert!(origin.starts_with(&socket), "{origin}");

    let streamed = gateway.chat(question(&json!({"stream": true}))).await;
    assert_eq!(streamed.header("content-type"), "text/event-stream");
    let text = streamed.text().await;
    let mut content = String::new();
    let mut thought = String::new();
    for event in text.split("\n\n").filter_map(|e| e.strip_prefix("data: {")) {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        let delta = &event["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        thought.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
    }
    assert_eq!(
        (content.as_str(), thought.as_str()),
        ("47 + 85 = 132.", reasoning)
    );
    assert!(text.ends_with("data: [DONE]\n\n"));

    let none = gateway.chat(question(&json!({"n": 9}))).await;
    let error = none.error(400, "invalid_value").await;
    assert_eq!(error["param"], "n");
    gateway.finish().await;
}

#[tokio::test]
async fn a_file_is_not_trusted_for_what_it_is_called() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/carnet-sums");
    let engine = |index: usize, model: &str| {
        format!(
            "[[engine]]\nname = \"e{index}\"\nfile = \"{}\"\nmodel = \"{model}\"\n",
            models.display()
        )
    };
    // Spellings that the registry takes for the model that comes along, and a mapping to it.
    let names = [
        SUMS,
        "carnet_sums",
        "Carnet-Sums",
        "carnet-sums-q8_0",
        "mapped",
    ];
    let entries: String = (0..).zip(names).map(|(i, name)| engine(i, name)).collect();
    let setup = Setup::with(&entries);
    let mapped =
        format!("[[deployment]]\nid = \"mapped\"\nupstream = \"e4\"\nmodel = \"{SUMS}\"\n");
    setup.write("overlay.toml", &mapped);
    let gateway = setup.start().await;
    for name in names {
        let answer = gateway.chat(chat_body(name, false)).await;
        let error = answer.error(403, "policy_denied").await;
        assert_eq!(error["reasons"][0]["rule"], "unknown-place", "{error:#}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn an_engine_has_nothing_of_the_gateway_and_ends_with_it() {
    let gateway = Setup::with("[[engine]]\nname = \"sums\"\nmemory_mb = 512\n")
        .variable("PROVIDER_KEY", "sk-secret")
        .start()
        .await;
    let engine = engine_of(&gateway, "sums").await;
    let read = |name: &str| std::fs::read(format!("/proc/{engine}/{name}")).unwrap();
    let environment = String::from_utf8(read("environ")).unwrap();
    assert!(!environment.contains("sk-secret"), "{environment}");
    // How many threads compute, and how its allocator takes memory.
    assert_eq!(environment.matches('=').count(), 2, "{environment}");
    let state = gateway.setup.path("state");
    let opened: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{engine}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .collect();
    assert!(
        !opened
            .iter()
            .any(|file| file.starts_with(&state) || file.starts_with("/dev/pts")),
        "{opened:?}"
    );
    let limits = String::from_utf8(read("limits")).unwrap();
    let bytes = ((512 + 128 + 1_024) << 20).to_string();
    let data = limits
        .lines()
        .find(|line| line.starts_with("Max data size"))
        .unwrap();
    assert!(data.contains(&bytes), "{data}");
    let status = String::from_utf8(read("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    // Of the fields behind the name in parentheses the 17th is how much a process yields, 19 at most.
    let yields = |process: u32| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
        fields.nth(16).unwrap().parse().unwrap()
    };
    let gateways = yields(gateway.child.id().unwrap());
    let engines = yields(engine.as_raw_pid().try_into().unwrap());
    assert_eq!(engines, (gateways + 10).min(19));

    gateway.signal(Signal::KILL);
    until("the engine's end", async || {
        let gone = !Path::new(&format!("/proc/{engine}")).exists();
        let dead = std::fs::read_to_string(format!("/proc/{engine}/stat"))
            .is_ok_and(|stat| stat.contains(") Z "));
        (gone || dead).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_killed_costs_its_caller_an_error_and_nobody_else_anything() {
    let mut upstream = Upstream::start().await;
    let long = format!(
        "{}{}",
        entry("local", &upstream.base_url(), ""),
        tiny("tiny", &fixtures().join("tied"), "").replace(MODEL, "qwen2.5:0.5b")
    );
    let setup = Setup::with(&long);
    setup.write("overlay.toml", &format!("{OVERLAY}{OWN_MACHINE}"));
    let gateway = setup.start().await;
    let body = json!({
        "model": "qwen2.5:0.5b",
        "messages": [{"role": "user", "content": "Go on for ever"}],
        "stream": true, "n": 8, "temperature": 1, "seed": 3,
    });
    let mut running = gateway.chat(body.to_string()).await;
    assert_eq!(running.status, 200);
    let cut = running.record();
    running.piece().await.unwrap();
    // Another request is in the middle of its answer meanwhile.
    let (other, killed) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let arrival = within(PATIENCE, "a request", upstream.next()).await;
        let engine = engine_of(&gateway, "tiny").await;
        kill_process(engine, Signal::KILL).unwrap();
        arrival.complete().await;
        engine
    });
    assert_eq!(other.status, 200);
    let rest = running.text().await;
    assert!(rest.contains("upstream_"), "{rest}");
    let record = gateway.record(&cut).await;
    assert_eq!(record["outcome"], "upstream-error", "{record:#}");
    // It is started again, and answers.
    let again = until("another engine", async || {
        let short = body
            .to_string()
            .replace("\"n\":8", "\"n\":1,\"max_tokens\":3");
        let answer = gateway.chat(short).await;
        let status = answer.status;
        answer.bytes().await;
        (status == 200).then_some(engine_of(&gateway, "tiny").await)
    })
    .await;
    assert_ne!(again, killed);
    let stderr = gateway.stderr();
    assert!(
        stderr.contains("engine `tiny`: was ended by signal 9"),
        "{stderr}"
    );
    gateway.finish().await;
}

#[tokio::test]
async fn an_engine_that_is_replaced_ends_the_answers_that_it_has() {
    let entry = tiny("tiny", &fixtures().join("tied"), "queue = 2");
    let setup = Setup::with(&entry);
    setup.write("overlay.toml", &format!("{OVERLAY}{OWN_MACHINE}"));
    let gateway = setup.start().await;
    let ask = async |choices: u32, tokens: u32| {
        let body = json!({
            "model": MODEL,
            "messages": [{"role": "user", "content": "Go on for ever"}],
            "stream": true, "n": choices, "max_tokens": tokens, "temperature": 1,
        });
        gateway.chat(body.to_string()).await
    };
    let ends = |text: String| assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let engines = async || {
        let state = std::fs::read_dir(gateway.setup.path("state")).unwrap();
        let names = state.flatten().map(|entry| entry.file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("engine-"))
            .count()
    };
    // One at work and two that wait: many times the work of a reload.
    let mut running = ask(8, 480).await;
    running.piece().await.unwrap();
    let replace = async {
        let more = gateway.setup.config().replace("queue = 2", "queue = 3");
        gateway.setup.write("carnet.toml", &more);
        until("both engines", async || {
            (engines().await == 2).then_some(())
        })
        .await;
        // The old one has no room; at no time is a request turned away for want of a server.
        until("an answer of the new one", async || {
            let answer = ask(1, 3).await;
            let status = answer.status.as_u16();
            let text = answer.text().await;
            assert!([200, 429].contains(&status), "{text}");
            (status == 200).then(|| ends(text))
        })
        .await;
        assert_eq!(engines().await, 2);
        // Back to the first settings, whose process still works: another one takes its place.
        let before = gateway.setup.config();
        gateway.setup.write("carnet.toml", &before);
        until("the first settings", async || {
            (engines().await == 1).then_some(())
        })
        .await;
    };
    let (second, third, ()) = tokio::join!(ask(8, 480), ask(8, 480), replace);
    for answer in [running, second, third] {
        ends(answer.text().await);
    }
    // The first process has ended by now, and has left the socket to the one that took its place.
    ends(ask(1, 3).await.text().await);
    assert_eq!(engines().await, 1);
    gateway.finish().await;
}

#[tokio::test]
async fn a_model_that_is_taken_over_later_or_refused_leaves_the_gateway_running() {
    let gateway = Setup::with("[[engine]]\nname = \"sums\"\n").start().await;
    let sums = gateway.chat(question(&json!({}))).await;
    assert_eq!(sums.status, 200);
    sums.bytes().await;
    let before = engine_of(&gateway, "sums").await;

    // A file whose header promises more than there is.
    let hostile = gateway.setup.path("hostile.gguf");
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend(u64::MAX.to_le_bytes());
    std::fs::write(&hostile, bytes).unwrap();
    let config = gateway.setup.config();
    let with_hostile = format!("{config}{}", tiny("tiny", &hostile, ""));
    gateway.setup.write("carnet.toml", &with_hostile);
    until("the refusal", async || {
        gateway
            .stderr()
            .contains("engine `tiny`: does not run: hostile.gguf")
            .then_some(())
    })
    .await;
    assert_eq!(
        engine_of(&gateway, "sums").await,
        before,
        "the other went on"
    );
    // It is told of before the configuration that names it is in force.
    until("a denial", async || {
        let answer = gateway.chat(chat_body(MODEL, false)).await;
        let status = answer.status;
        answer.bytes().await;
        (status == 403).then_some(())
    })
    .await;

    // The same entry with a good file, and the operator's word on the machine.
    std::fs::copy(fixtures().join("q8_0.gguf"), &hostile).unwrap();
    gateway
        .setup
        .write("overlay.toml", &format!("{OVERLAY}{OWN_MACHINE}"));
    gateway.signal(Signal::HUP);
    until("an answer", async || {
        let body = chat_body(MODEL, false).replace("\"stream\"", "\"max_tokens\":5,\"stream\"");
        let answer = gateway.chat(body).await;
        let status = answer.status;
        answer.bytes().await;
        (status == 200).then_some(())
    })
    .await;
    gateway.finish().await;
}
