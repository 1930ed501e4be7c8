//! Changed files come into force whole or not at all, while requests run.

use http::Method;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK};
use crate::harness::{Gateway, MODEL, ONE_SECOND, Setup, Upstream, chat_body, entry, until};

/// Wait until a reload with this cause has ended, and say how it went.
pub(crate) async fn reloaded(gateway: &Gateway, after: &Value, by: &str) -> Value {
    until("the reload", async || {
        let (_, now) = gateway.admin(Method::GET, "/api/generation").await;
        let last = &now["last_reload"];
        (last["time"] != after["last_reload"]["time"] && last["by"] == by).then(|| now.clone())
    })
    .await
}

/// How things stand before a change.
pub(crate) async fn generation(gateway: &Gateway) -> Value {
    gateway.admin(Method::GET, "/api/generation").await.1
}

/// The configuration with one more name for the model.
fn with_another_name(gateway: &Gateway, name: &str) -> String {
    let last = "  { name = \"mystery\" },\n";
    let more = format!("{last}  {{ name = \"{name}\", upstream_model = \"{MODEL}\" }},\n");
    gateway.setup.config().replacen(last, &more, 1)
}

#[tokio::test]
async fn a_changed_file_is_taken_over_by_itself() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let refused = gateway.chat(chat_body("newcomer", false)).await;
    refused.error(404, "model_not_found").await;
    let before = generation(&gateway).await;
    gateway
        .setup
        .write("carnet.toml", &with_another_name(&gateway, "newcomer"));
    let after = reloaded(&gateway, &before, "a changed file").await;
    assert_eq!(after["last_reload"]["done"], true, "{after:#}");
    assert!(after["number"].as_u64() > before["number"].as_u64());
    assert_ne!(after["versions"]["config"], before["versions"]["config"]);
    let (answer, ()) = tokio::join!(
        gateway.chat(chat_body("newcomer", false)),
        upstream.complete()
    );
    assert_eq!(answer.text().await, COMPLETION);
    let records = gateway.finish().await;
    assert!(records.iter().any(|record| record["kind"] == "config"));
}

#[tokio::test]
async fn a_file_that_replaces_another_is_seen_too() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let before = generation(&gateway).await;
    let text = with_another_name(&gateway, "newcomer");
    gateway.setup.write("carnet.toml.new", &text);
    let path = |name: &str| gateway.setup.path(name);
    std::fs::rename(path("carnet.toml.new"), path("carnet.toml")).unwrap();
    let after = reloaded(&gateway, &before, "a changed file").await;
    assert_ne!(after["versions"]["config"], before["versions"]["config"]);
    gateway.finish().await;
}

#[tokio::test]
async fn a_folder_of_rules_that_is_put_there_anew_is_seen() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .permitting_all()
        .start()
        .await;
    let before = generation(&gateway).await;
    let path = |name: &str| gateway.setup.path(name);
    copy(&path("all"), &path("other"));
    let rules =
        "@id(\"all\")\n@title(\"everything again\")\npermit (principal, action, resource);\n";
    gateway.setup.write("other/rules.cedar", rules);
    std::fs::remove_dir_all(path("all")).unwrap();
    std::fs::rename(path("other"), path("all")).unwrap();
    until("the new rules", async || {
        let now = generation(&gateway).await;
        (now["versions"]["policy"] != before["versions"]["policy"]).then_some(())
    })
    .await;
    // It is watched from now on, too.
    let before = generation(&gateway).await;
    gateway
        .setup
        .write("all/rules.cedar", &rules.replace("again", "once more"));
    until("the next rules", async || {
        let now = generation(&gateway).await;
        (now["versions"]["policy"] != before["versions"]["policy"]).then_some(())
    })
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_file_that_nobody_reads_changes_nothing() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let before = generation(&gateway).await;
    for line in ["one", "two"] {
        gateway.setup.write("carnet.log", line);
        // Longer than changes may settle.
        tokio::time::sleep(ONE_SECOND / 2).await;
    }
    assert_eq!(generation(&gateway).await["number"], before["number"]);
    let text = with_another_name(&gateway, "newcomer");
    gateway.setup.write("carnet.toml", &text);
    reloaded(&gateway, &before, "a changed file").await;
    gateway.finish().await;
}

/// Each reload prints a line: one that counted as a change would be followed by the next for ever.
#[tokio::test]
async fn what_the_server_prints_beside_its_configuration_is_no_change() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url());
    setup.save();
    let log = setup.path("server.log");
    let file = std::fs::File::create(&log).unwrap();
    // As people start it: in the folder, with the default name or a short one.
    let mut server = tokio::process::Command::new(env!("CARGO_BIN_EXE_carnet"))
        .args(["serve", "--config", "carnet.toml", "--state", "state"])
        .current_dir(setup.path(""))
        .stdin(std::process::Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    let reloads = || text().matches("is in force").count();
    let pid = rustix::process::Pid::from_raw(server.id().unwrap().cast_signed()).unwrap();
    // The signal is an order only once the server listens for it.
    until("the start", async || {
        text().contains("127.0.0.1:").then_some(())
    })
    .await;
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    until("the reload", async || (reloads() > 0).then_some(())).await;
    // Longer than changes may settle, several times over.
    tokio::time::sleep(ONE_SECOND).await;
    let settled = reloads();
    tokio::time::sleep(ONE_SECOND).await;
    assert_eq!(reloads(), settled, "{}", text());
    server.kill().await.unwrap();
}

#[tokio::test]
async fn signal_and_admin_call_reload_at_once() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let before = generation(&gateway).await;
    gateway.signal(Signal::HUP);
    let after = reloaded(&gateway, &before, "SIGHUP").await;
    assert_eq!(after["last_reload"]["done"], true);
    let (status, answer) = gateway.admin(Method::POST, "/api/reload").await;
    assert_eq!((status, &answer["done"]), (200, &Value::Bool(true)));
    assert_eq!(answer["by"], "the admin token from 127.0.0.1");
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(number(&after["number"]), number(&before["number"]) + 1);
    assert_eq!(number(&answer["generation"]), number(&after["number"]) + 1);
    gateway.finish().await;
}

#[tokio::test]
async fn a_bad_file_leaves_the_old_generation_in_force_and_says_where_it_is_wrong() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).policy(r#"packs = ["default", "house"]"#);
    setup.write(
        "house/pack.toml",
        "name = \"house\"\ntitle = \"House\"\ndescription = \"Everything.\"\nmode = \"enforce\"\ntrust = \"overlay\"\n",
    );
    let rules = "@id(\"all\")\n@title(\"everything\")\npermit (principal, action, resource);\n";
    setup.write("house/rules.cedar", rules);
    let gateway = setup.start().await;
    let config = gateway.setup.config();
    let overlay = std::fs::read_to_string(gateway.setup.path("overlay.toml")).unwrap();
    let cases = [
        (
            "carnet.toml",
            &config,
            format!("{config}\nbroken = = 1\n"),
            "carnet.toml",
        ),
        (
            "carnet.toml",
            &config,
            config.replace("[admin]\nlisten", "[admin]\nlisen"),
            "carnet.toml",
        ),
        (
            "house/rules.cedar",
            &rules.to_owned(),
            format!("{rules}\npermit (nobody);\n"),
            "house/rules.cedar",
        ),
        (
            "overlay.toml",
            &overlay,
            overlay.replace("country = \"DE\"", "country = \"Germany\""),
            "overlay.toml",
        ),
    ];
    for (file, good, bad, told) in cases {
        let before = generation(&gateway).await;
        gateway.setup.write(file, &bad);
        let after = reloaded(&gateway, &before, "a changed file").await;
        let last = &after["last_reload"];
        assert_eq!(last["done"], false, "{file}: {after:#}");
        assert_eq!(after["number"], before["number"], "{file}");
        assert_eq!(after["versions"], before["versions"], "{file}");
        let problem = &last["problems"][0];
        assert!(
            problem["file"].as_str().unwrap().ends_with(told),
            "{last:#}"
        );
        assert!(problem["line"].as_u64().unwrap() > 1, "{last:#}");
        assert!(!problem["message"].as_str().unwrap().is_empty());
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
        assert_eq!(answer.text().await, COMPLETION, "{file}");
        let (status, refused) = gateway.admin(Method::POST, "/api/reload").await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (422, &"reload_refused".into()),
            "{refused:#}"
        );
        gateway.setup.write(file, good);
        until("the mended file", async || {
            let (status, _) = gateway.admin(Method::POST, "/api/reload").await;
            (status == 200).then_some(())
        })
        .await;
    }
    let records = gateway.finish().await;
    let refused = |record: &&Value| record["kind"] == "admin" && record["outcome"] == "refused";
    // By the file watch and by the call, for each of the four.
    assert!(records.iter().filter(refused).count() >= 8, "{records:#?}");
}

#[tokio::test]
async fn a_running_request_keeps_its_generation() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    let before = generation(&gateway).await;
    let gone = gateway.setup.config().replace(MODEL, "gpt-oss:20b");
    gateway.setup.write("carnet.toml", &gone);
    let after = reloaded(&gateway, &before, "a changed file").await;
    assert_eq!(after["last_reload"]["done"], true, "{after:#}");
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    let late = refused.record();
    refused.error(404, "model_not_found").await;

    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    let id = answer.record();
    assert_eq!(answer.text().await, DONE);
    let (early, late) = (gateway.record(&id).await, gateway.record(&late).await);
    assert_eq!(early["outcome"], "completed");
    assert_eq!(early["config_version"], before["versions"]["config"]);
    assert_eq!(late["config_version"], after["versions"]["config"]);
    gateway.finish().await;
}

#[tokio::test]
async fn a_rotated_provider_key_reaches_the_next_request_over_the_same_connection() {
    let mut upstream = Upstream::start().await;
    let more = r#"key = { file = "provider/key" }"#;
    let setup = Setup::with(&entry("local", &upstream.base_url(), more));
    setup.write("provider/key", "the-first-key\n");
    let gateway = setup.start().await;
    for (round, key) in ["the-first-key", "the-second-key"].iter().enumerate() {
        if round > 0 {
            let before = generation(&gateway).await;
            gateway.setup.write("provider/key", &format!("{key}\n"));
            reloaded(&gateway, &before, "a changed file").await;
        }
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let arrival = upstream.next().await;
            assert_eq!(arrival.header("authorization"), [format!("Bearer {key}")]);
            arrival.complete().await;
        });
        assert_eq!(answer.text().await, COMPLETION);
    }
    assert_eq!(upstream.connections(), 1, "connections survive a reload");
    let log = format!("{:?}", gateway.finish().await);
    assert!(!log.contains("the-first-key") && !log.contains("the-second-key"));
}

#[tokio::test]
async fn files_of_a_registry_folder_are_watched_too() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url());
    let registry = setup.path("registry");
    copy(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry"),
        &registry,
    );
    let text = setup
        .config()
        .replace("[registry]", "[registry]\nfolder = \"registry\"");
    setup.write("carnet.toml", &text);
    let gateway = Gateway::start(setup).await;
    let before = generation(&gateway).await;
    let host = registry.join("hosts/ollama-local.toml");
    let text = std::fs::read_to_string(&host).unwrap();
    std::fs::write(&host, text.replacen("name = \"", "name = \"The ", 1)).unwrap();
    let after = reloaded(&gateway, &before, "a changed file").await;
    assert_eq!(after["last_reload"]["done"], true, "{after:#}");
    assert_ne!(
        after["versions"]["registry"],
        before["versions"]["registry"]
    );
    gateway.finish().await;
}

pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
