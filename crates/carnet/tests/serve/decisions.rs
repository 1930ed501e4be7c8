//! What a caller is told of a decision.

use crate::harness::upstream::COMPLETION;
use crate::harness::{DENIED, MODEL, RENAMED, Setup, Upstream, chat_body};
use serde_json::{Value, json};

#[tokio::test]
async fn a_permitted_answer_names_model_place_and_record() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    let id = answer.record();
    let record = gateway.record(&id).await;
    let resolved = record["resolved_model"].as_str().unwrap();
    for (header, value) in [
        ("carnet-decision", "permit"),
        ("carnet-model", resolved),
        ("carnet-candidates", resolved),
        ("carnet-host", "rack"),
        ("carnet-jurisdictions", "DE"),
    ] {
        assert_eq!(answer.header(header), value, "{header}");
    }
    assert!(["low", "medium", "high"].contains(&answer.header("carnet-confidence")));
    assert_eq!(answer.text().await, COMPLETION);
    for (field, value) in [
        ("workload", "app"),
        ("api", "chat-completions"),
        ("requested_model", MODEL),
        ("reported_model", MODEL),
        ("upstream", "local"),
        ("host", "rack"),
        ("decision", "permit"),
        ("outcome", "completed"),
    ] {
        assert_eq!(record[field], value, "{field}: {record:#}");
    }
    let attempts = record["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        attempts[0]["address"],
        upstream.address.to_string().as_str()
    );
    assert_eq!(
        attempts[0]["origin"],
        format!("http://{}", upstream.address).as_str()
    );
    assert_eq!(attempts[0]["status"], 200);
    assert_eq!(record["bytes_in"], chat_body(MODEL, false).len());
    assert_eq!(record["bytes_out"], COMPLETION.len());
    gateway.finish().await;
}

#[tokio::test]
async fn a_denial_says_why_on_which_facts_and_what_would_pass() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for stream in [false, true] {
        let answer = gateway.chat(chat_body(DENIED, stream)).await;
        let id = answer.record();
        assert_eq!(answer.header("carnet-decision"), "deny");
        assert_eq!(answer.header("x-should-retry"), "false");
        assert_eq!(answer.header("content-type"), "application/json");
        let error = answer.error(403, "policy_denied").await;
        assert_eq!(error["type"], "permission_error");
        assert_eq!(error["param"], "model");
        assert_eq!(error["record"], id.as_str());
        let reason = &error["reasons"][0];
        assert_eq!(
            (&reason["rule"], &reason["pack"]),
            (&"unknown-model".into(), &"default".into())
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(reason["title"].as_str().unwrap()),
            "{message}"
        );
        assert!(!error["facts"].as_array().unwrap().is_empty(), "{error:#}");
        let permitted = error["permitted"].as_array().unwrap();
        assert!(
            permitted
                .iter()
                .any(|name| name.as_str().unwrap().contains(MODEL)),
            "{error:#}"
        );
        assert!(
            error["help"].as_str().unwrap().contains(DENIED),
            "{error:#}"
        );
        let record = gateway.record(&id).await;
        assert_eq!(
            (&record["outcome"], &record["decision"]),
            (&"denied".into(), &"deny".into())
        );
        assert_eq!(record["status"], 403);
        assert!(record.get("attempts").is_none());
        let shown = gateway.carnet(&["audit", "show", &id, "--json"]).await;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["decision"]["decision"], "deny", "{shown:#}");
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn the_list_of_models_is_the_callers_own() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let names = |list: &serde_json::Value| -> Vec<String> {
        let entries = list["data"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let answer = gateway.get("/v1/models").await;
    let record = gateway.record(&answer.record()).await;
    assert_eq!(
        (&record["outcome"], &record["api"]),
        (&"completed".into(), &"models".into())
    );
    let list = answer.json().await;
    assert_eq!(list["object"], "list");
    assert_eq!(names(&list), [MODEL, RENAMED]);
    let list = gateway.get("/v1/models?include=denied").await.json().await;
    assert_eq!(names(&list), [MODEL, RENAMED, DENIED]);
    assert!(!list["data"][2]["denied"].as_str().unwrap().is_empty());
    assert!(list["data"][0].get("denied").is_none());
    gateway.finish().await;
}

#[tokio::test]
async fn a_pack_in_report_mode_lets_through_and_says_so() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).policy(
        "packs = [\"default\", \"trial\"]\n\n[[policy.settings]]\npack = \"trial\"\nmode = \"report\"",
    );
    setup.write(
        "trial/pack.toml",
        "name = \"trial\"\ntitle = \"Trial\"\ndescription = \"Nothing.\"\nmode = \"enforce\"\ntrust = \"overlay\"\n",
    );
    setup.write(
        "trial/rules.cedar",
        "@id(\"none\")\n@title(\"nothing\")\nforbid (principal, action, resource);\n@id(\"all\")\n@title(\"everything\")\npermit (principal, action, resource);\n",
    );
    let trial = setup.path("trial").display().to_string();
    let gateway = setup.start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.header("carnet-decision"), "report-deny");
    assert_eq!(
        gateway.record(&answer.record()).await["decision"],
        "report-deny"
    );
    assert_eq!(answer.text().await, COMPLETION);
    let config = gateway.setup.path("carnet.toml").display().to_string();
    let report = gateway
        .carnet(&["policy", "report", "--json", "--config", &config])
        .await;
    assert!(report.status.success(), "{report:?}");
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(
        (&report["decided"], &report["reported"]),
        (&json!(1), &json!(1))
    );
    let sum = &report["teams"]["workload app"]["trial/none"];
    assert_eq!(
        (&sum["requests"], &sum["title"], &sum["models"]),
        (&json!(1), &json!("nothing"), &json!([MODEL]))
    );
    // A proof about the rules stands in the log, as an admin action.
    let proved = gateway
        .carnet(&[
            "policy",
            "prove",
            "always permit when true",
            "--pack",
            &trial,
            "--json",
        ])
        .await;
    let proved: Value = serde_json::from_slice(&proved.stdout).unwrap();
    assert_eq!(proved["result"]["outcome"], "disproved", "{proved:#}");
    let record = gateway
        .record(proved["result"]["record"].as_str().unwrap())
        .await;
    let detail = record["detail"].as_str().unwrap();
    assert_eq!(record["kind"], "admin");
    assert!(
        detail.starts_with("policy property disproved, asked by ")
            && detail.contains("always permit when true (policy sha256:"),
        "{detail}"
    );
    // Enforced, the pack would refuse what was let through.
    let simulated = gateway
        .carnet(&["policy", "simulate", &trial, "--json", "--config", &config])
        .await;
    assert_eq!(simulated.status.code(), Some(1), "{simulated:?}");
    let simulated: Value = serde_json::from_slice(&simulated.stdout).unwrap();
    assert_eq!(
        (&simulated["requests"], &simulated["newly_refused"]),
        (&json!(1), &json!(1))
    );
    gateway.finish().await;
}
