//! Responses that upstreams keep: who may refer to them, where that leads, and what is made of it.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Answer, DENIED, Gateway, MODEL, OVERLAY, RENAMED, Setup, Upstream, entry, with_key,
};

const KEEPS: &str = "stored_responses = true";
/// All that can be asked of a response that is kept.
const ASKED: [(Method, &str); 4] = [
    (Method::GET, ""),
    (Method::DELETE, ""),
    (Method::POST, "/cancel"),
    (Method::GET, "/input_items"),
];

/// An upstream that may keep responses, and two workloads.
fn keeping(upstream: &Upstream) -> Setup {
    Setup::with(&(entry("local", &upstream.base_url(), KEEPS) + OTHER))
}

const OTHER: &str = "\n[[workload]]\nid = \"other\"\n";

fn response(id: &str) -> String {
    json!({ "id": id, "object": "response", "model": MODEL, "status": "completed", "output": [] })
        .to_string()
}

fn ask(more: &str) -> String {
    format!(r#"{{"model":"{MODEL}","input":"Hello"{more}}}"#)
}

async fn create(gateway: &Gateway, body: impl Into<Bytes>) -> Answer {
    gateway
        .send(gateway.request(Method::POST, "/v1/responses", body))
        .await
}

/// Have the upstream make a response of this id.
async fn make(gateway: &Gateway, upstream: &mut Upstream, id: &str) {
    let (answer, ()) = tokio::join!(create(gateway, ask("")), async {
        let mut arrival = upstream.next().await;
        assert_eq!(String::from_utf8(arrival.body.clone()).unwrap(), ask(""));
        arrival.write(whole("", response(id).as_bytes())).await;
        arrival.keep();
    });
    assert_eq!(answer.text().await, response(id));
}

/// Ask something of a response that the upstream answers with this; the line that the upstream read, and the record.
async fn pass(
    gateway: &Gateway,
    upstream: &mut Upstream,
    (method, path): (Method, &str),
    body: &str,
) -> (String, Value) {
    let request = gateway.request(method, path, "");
    let (answer, line) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        assert!(arrival.body.is_empty());
        assert!(arrival.header("content-type").is_empty());
        arrival.write(whole("", body.as_bytes())).await;
        let line = arrival.line.clone();
        arrival.keep();
        line
    });
    let id = answer.record();
    assert_eq!(answer.text().await, body);
    (line, gateway.record(&id).await)
}

/// Nothing is known of this response.
async fn is_unknown(gateway: &Gateway, id: &str) {
    let answer = gateway.get(&format!("/v1/responses/{id}")).await;
    answer.error(404, "state_not_found").await;
}

#[tokio::test]
async fn a_kept_response_is_asked_for_where_it_was_made_each_time_with_a_decision() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    make(&gateway, &mut upstream, "resp_1").await;
    let list = r#"{"object":"list","data":[{"type":"message","role":"user","content":"Hello"}]}"#;
    let gone = r#"{"id":"resp_1","object":"response","deleted":true}"#;
    for (method, path, arrives, body, detail) in [
        (
            Method::GET,
            "/v1/responses/resp_1",
            "GET /v1/responses/resp_1",
            &*response("resp_1"),
            "retrieves",
        ),
        (
            Method::GET,
            "/openai/v1/responses/resp%5F1?include%5B%5D=reasoning.encrypted_content&api-version=v1",
            "GET /v1/responses/resp_1?include%5B%5D=reasoning.encrypted_content",
            &response("resp_1"),
            "retrieves",
        ),
        (
            Method::GET,
            "/openai/responses/resp_1/input_items?limit=2&order=asc&api-version=2025-04-01-preview",
            "GET /v1/responses/resp_1/input_items?limit=2&order=asc",
            list,
            "lists",
        ),
        (
            Method::POST,
            "/v1/responses/resp_1/cancel",
            "POST /v1/responses/resp_1/cancel",
            &response("resp_1"),
            "cancels",
        ),
        (
            Method::DELETE,
            "/v1/responses/resp_1",
            "DELETE /v1/responses/resp_1",
            gone,
            "deletes",
        ),
    ] {
        let (line, record) = pass(&gateway, &mut upstream, (method, path), body).await;
        assert_eq!(line, format!("{arrives} HTTP/1.1"));
        assert_eq!(record["outcome"], "completed", "{record:#}");
        assert_eq!(record["decision"], "permit", "{record:#}");
        assert_eq!(record["api"], "responses");
        assert_eq!(record["requested_model"], MODEL);
        assert_eq!(
            record["detail"],
            format!(
                "{detail} {} kept response",
                if detail == "lists" {
                    "the input of a"
                } else {
                    "a"
                }
            )
        );
        assert_eq!(record["attempts"][0]["status"], 200);
    }
    for (method, below) in ASKED {
        let path = format!("/v1/responses/resp_1{below}");
        gateway
            .send(gateway.request(method, &path, ""))
            .await
            .error(404, "state_not_found")
            .await;
    }
    let error = create(&gateway, ask(r#","previous_response_id":"resp_1""#)).await;
    let error = error.error(404, "previous_response_not_found").await;
    assert_eq!(error["param"], "previous_response_id");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn what_another_model_answered_long_ago_takes_nothing_out_of_service() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    make(&gateway, &mut upstream, "resp_1").await;
    let old = response("resp_1").replace(MODEL, "deepseek-r1-distill-llama-70b");
    let request = gateway.request(Method::GET, "/v1/responses/resp_1", "");
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole("", old.as_bytes())).await;
        arrival.keep();
    });
    let id = answer.record();
    answer.error(502, "model_mismatch").await;
    let detail = gateway.record(&id).await["detail"].clone();
    let want = "retrieves a kept response; the answer names another model than was decided on";
    assert_eq!(detail, want);
    make(&gateway, &mut upstream, "resp_2").await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_tells_the_id_and_a_kept_response_is_streamed_again() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    let first = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}}\n\n",
        response("resp_s")
    );
    let (mut answer, mut arrival) = tokio::join!(
        create(&gateway, ask(r#","stream":true,"background":true"#)),
        async {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.json()["background"], true);
            arrival.write(EVENTS).await;
            // Byte by byte: the id is taken down wherever it is cut.
            for byte in first.as_bytes() {
                arrival
                    .write([b"1\r\n", &[*byte][..], b"\r\n"].concat())
                    .await;
            }
            arrival
        }
    );
    let mut seen = String::new();
    while seen != first {
        seen.push_str(std::str::from_utf8(&answer.piece().await.unwrap()).unwrap());
    }
    // It can be asked for while it is still on its way.
    let path = "/v1/responses/resp_s?stream=true&starting_after=0";
    let rest =
        "data: {\"type\":\"response.completed\",\"response\":{\"model\":\"llama3.3:70b\"}}\n\n";
    let (again, ()) = tokio::join!(gateway.get(path), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.line, format!("GET {path} HTTP/1.1"));
        assert_eq!(arrival.header("accept"), ["text/event-stream"]);
        arrival.write(EVENTS).await;
        arrival.chunk(rest).await;
        arrival.write(LAST_CHUNK).await;
    });
    let id = again.record();
    assert_eq!(again.text().await, rest);
    assert_eq!(gateway.record(&id).await["stream"], true);
    arrival.write(LAST_CHUNK).await;
    assert_eq!(answer.text().await, "");
    gateway.finish().await;
}

#[tokio::test]
async fn another_workloads_ids_are_as_unknown_as_those_that_nobody_has() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    make(&gateway, &mut upstream, "resp_mine").await;
    let (_, other) = gateway.key_for("other").await;
    let continued = |id: &str| ask(&format!(r#","previous_response_id":"{id}""#));
    for (method, below) in ASKED {
        let mut told = Vec::new();
        for id in ["resp_mine", "resp_none"] {
            let path = format!("/v1/responses/{id}{below}");
            let request = with_key(gateway.request(method.clone(), &path, ""), &other);
            let error = gateway
                .send(request)
                .await
                .error(404, "state_not_found")
                .await;
            told.push(error["message"].clone());
        }
        assert_eq!(told[0], told[1], "the two must not be told apart");
    }
    let mut told = Vec::new();
    for id in ["resp_mine", "resp_none"] {
        for path in ["/v1/responses", "/v1/responses/compact"] {
            let request = gateway.request(Method::POST, path, continued(id));
            let error = gateway.send(with_key(request, &other)).await;
            let error = error.error(404, "previous_response_not_found").await;
            told.push(error["message"].clone());
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(upstream.is_untouched());
    // Another key of the same workload reads it.
    let (_, same) = gateway.new_key().await;
    let request = with_key(
        gateway.request(Method::POST, "/v1/responses", continued("resp_mine")),
        &same,
    );
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.json()["previous_response_id"], "resp_mine");
        arrival
            .write(whole("", response("resp_2").as_bytes()))
            .await;
    });
    assert_eq!(answer.text().await, response("resp_2"));
    gateway.finish().await;
}

#[tokio::test]
async fn ids_outlive_a_restart_and_only_their_digests_are_written() {
    let mut upstream = Upstream::start().await;
    let mut gateway = keeping(&upstream).start().await;
    make(&gateway, &mut upstream, "resp_kept").await;
    make(&gateway, &mut upstream, "resp_deleted").await;
    let gone = r#"{"id":"resp_deleted","object":"response","deleted":true}"#;
    let delete = (Method::DELETE, "/v1/responses/resp_deleted");
    pass(&gateway, &mut upstream, delete, gone).await;
    gateway.restart().await;
    let kept = (Method::GET, "/v1/responses/resp_kept");
    pass(&gateway, &mut upstream, kept, &response("resp_kept")).await;
    is_unknown(&gateway, "resp_deleted").await;
    for file in std::fs::read_dir(gateway.setup.path("state")).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_str().unwrap().starts_with("carnet.db") {
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(
                !bytes.windows(9).any(|window| window == b"resp_kept"),
                "{file:?}"
            );
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_response_goes_on_only_where_it_was_made() {
    let mut upstream = Upstream::start().await;
    let elsewhere = Upstream::start().await;
    let second = format!(
        r#"
[[upstream]]
name = "elsewhere"
base_url = "{}"
platform = "ollama"
host = "rack"
models = [{{ name = "far", upstream_model = "llama3.3:70b" }}]
stored_responses = true
"#,
        elsewhere.base_url()
    );
    let gateway = Setup::with(&(entry("local", &upstream.base_url(), KEEPS) + &second))
        .start()
        .await;
    make(&gateway, &mut upstream, "resp_1").await;
    let body = |model: &str| {
        format!(r#"{{"model":"{model}","input":"go on","previous_response_id":"resp_1"}}"#)
    };
    let error = create(&gateway, body("far")).await;
    let error = error.error(400, "field_refused").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("`local`") && message.contains("`far`"),
        "{message}"
    );
    // The same model there under another name is the same target, and a denied one is denied.
    let (answer, ()) = tokio::join!(create(&gateway, body(RENAMED)), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.json()["model"], MODEL);
        assert_eq!(arrival.json()["previous_response_id"], "resp_1");
        arrival
            .write(whole("", response("resp_2").as_bytes()))
            .await;
    });
    assert_eq!(answer.text().await, response("resp_2"));
    create(&gateway, body(DENIED))
        .await
        .error(400, "field_refused")
        .await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn every_use_of_an_id_is_decided_anew() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    make(&gateway, &mut upstream, "resp_1").await;
    make(&gateway, &mut upstream, "resp_2").await;
    let reload = async || assert_eq!(gateway.admin(Method::POST, "/api/reload").await.0, 200);
    // Nothing is known of the host any more: the pack denies.
    gateway.setup.write(
        "overlay.toml",
        &OVERLAY
            .replace(r#"egress = "none""#, r#"egress = "external""#)
            .replace("complete = true\n", ""),
    );
    reload().await;
    for (method, below) in ASKED {
        let path = format!("/v1/responses/resp_1{below}");
        let denied = gateway.send(gateway.request(method, &path, "")).await;
        assert_eq!(denied.header("carnet-decision"), "deny");
        denied.error(403, "policy_denied").await;
    }
    // The operator no longer allows it.
    gateway.setup.write("overlay.toml", OVERLAY);
    gateway
        .setup
        .write("carnet.toml", &gateway.setup.config().replace(KEEPS, ""));
    reload().await;
    let error = gateway.get("/v1/responses/resp_1").await;
    let error = error.error(400, "api_not_offered").await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("stored_responses = true"),
        "{error:#}"
    );
    // What was kept can be deleted all the same.
    let deleted = (Method::DELETE, "/v1/responses/resp_2");
    let (line, _) = pass(&gateway, &mut upstream, deleted, r#"{"deleted":true}"#).await;
    assert!(line.starts_with("DELETE /v1/responses/resp_2 "), "{line}");
    is_unknown(&gateway, "resp_2").await;
    // Another address under the same name is another place.
    let moved = gateway.setup.config().replace("127.0.0.1:", "localhost:");
    gateway.setup.write(
        "carnet.toml",
        &moved.replace("listen = \"localhost:", "listen = \"127.0.0.1:"),
    );
    reload().await;
    is_unknown(&gateway, "resp_1").await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn nothing_is_kept_unless_the_operator_allows_it() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, ()) = tokio::join!(create(&gateway, ask("")), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.json()["store"], false);
        arrival
            .write(whole("", response("resp_1").as_bytes()))
            .await;
    });
    answer.bytes().await;
    is_unknown(&gateway, "resp_1").await;
    for field in [
        r#""previous_response_id":"resp_1""#,
        r#""store":true"#,
        r#""background":true"#,
    ] {
        let error = create(&gateway, ask(&format!(",{field}"))).await;
        let error = error.error(400, "field_refused").await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("`stored_responses = true` for the upstream `local`"),
            "{message}"
        );
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_host_that_keeps_nothing_is_told_to_keep_nothing() {
    let mut upstream = Upstream::start().await;
    let setup = keeping(&upstream);
    let none = OVERLAY.replace(
        "egress = \"none\"",
        "egress = \"none\"\nretention = \"none\"",
    );
    setup.write("overlay.toml", &none);
    let gateway = setup.start().await;
    let (answer, ()) = tokio::join!(create(&gateway, ask("")), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.json()["store"], false);
        arrival
            .write(whole("", response("resp_1").as_bytes()))
            .await;
    });
    answer.bytes().await;
    let error = create(&gateway, ask(r#","store":true"#)).await;
    let error = error.error(400, "field_refused").await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("this host keeps nothing"),
        "{error:#}"
    );
    gateway.finish().await;
}

#[tokio::test]
async fn a_rule_can_oblige_that_nothing_is_kept() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).permitting_all().start().await;
    make(&gateway, &mut upstream, "resp_1").await;
    let rule = "@id(\"all\")\n@title(\"everything\")\n@obligation(\"no-store\")\npermit (principal, action, resource);\n";
    gateway.setup.write("all/rules.cedar", rule);
    assert_eq!(gateway.admin(Method::POST, "/api/reload").await.0, 200);
    // What was kept before can be gone on from, and what comes of it is not kept.
    for (more, id) in [
        ("", "resp_2"),
        (r#","previous_response_id":"resp_1""#, "resp_3"),
    ] {
        let (answer, ()) = tokio::join!(create(&gateway, ask(more)), async {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.json()["store"], false);
            arrival.write(whole("", response(id).as_bytes())).await;
            arrival.keep();
        });
        let record = answer.record();
        answer.bytes().await;
        let record = gateway.record(&record).await;
        assert_eq!(record["edits"], json!(["set store"]));
        is_unknown(&gateway, id).await;
    }
    for field in [r#""store":true"#, r#""background":true"#] {
        let error = create(&gateway, ask(&format!(",{field}"))).await;
        let error = error.error(400, "field_refused").await;
        let message = error["message"].as_str().unwrap();
        let why = "the rule that permits the request obliges that nothing is stored";
        assert!(message.contains(why), "{message}");
    }
    let (line, _) = pass(
        &gateway,
        &mut upstream,
        (Method::GET, "/v1/responses/resp_1"),
        "{}",
    )
    .await;
    assert!(line.starts_with("GET /v1/responses/resp_1 "), "{line}");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_that_speaks_no_responses_says_so() {
    let mut upstream = Upstream::start().await;
    let more = format!("{KEEPS}\napis = [\"chat-completions\"]");
    let gateway = Setup::with(&entry("local", &upstream.base_url(), &more))
        .start()
        .await;
    let error = create(&gateway, ask(r#","previous_response_id":"resp_1""#)).await;
    let error = error.error(400, "field_refused").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("speaks chat completions and keeps no responses"),
        "{message}"
    );
    let compact = gateway.request(Method::POST, "/v1/responses/compact", ask(""));
    let error = gateway
        .send(compact)
        .await
        .error(400, "api_not_offered")
        .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("/v1/responses/compact"),
        "{error:#}"
    );
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_not_stored_and_what_cannot_be_an_id_is_not_taken_down() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    for (more, id, path) in [
        (r#","store":false"#, "resp_1", "resp_1"),
        ("", "../models", "..%2Fmodels"),
        ("", "a?b=c", "a%3Fb=c"),
    ] {
        let (answer, ()) = tokio::join!(create(&gateway, ask(more)), async {
            let mut arrival = upstream.next().await;
            arrival.write(whole("", response(id).as_bytes())).await;
            arrival.keep();
        });
        assert_eq!(answer.text().await, response(id));
        let answer = gateway.get(&format!("/v1/responses/{path}")).await;
        assert_eq!(answer.status, 404, "{id}");
        answer.bytes().await;
    }
    // What failed was not kept either.
    let (answer, ()) = tokio::join!(create(&gateway, ask("")), async {
        let mut arrival = upstream.next().await;
        let failed = whole("", response("resp_2").as_bytes());
        let failed = String::from_utf8(failed)
            .unwrap()
            .replace("200 OK", "500 Oh No");
        arrival.write(failed).await;
    });
    answer.bytes().await;
    is_unknown(&gateway, "resp_2").await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn other_names_of_kept_things_are_unknown_and_short_references_are_refused() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    for field in [
        r#""conversation":"conv_1""#,
        r#""conversation":{"id":"conv_1"}"#,
        r#""prompt":{"id":"pmpt_1"}"#,
    ] {
        let error = create(&gateway, ask(&format!(",{field}"))).await;
        error.error(404, "state_not_found").await;
    }
    for (input, status, code) in [
        (
            r#"[{"role":"user","content":[{"type":"input_file","file_id":"file_1"}]}]"#,
            404,
            "state_not_found",
        ),
        (
            r#"[{"type":"item_reference","id":"msg_1"}]"#,
            400,
            "field_refused",
        ),
        (r#"[{"id":"msg_1"}]"#, 400, "field_refused"),
    ] {
        let body = format!(r#"{{"model":"{MODEL}","input":{input}}}"#);
        create(&gateway, body).await.error(status, code).await;
    }
    for (method, path, status, code) in [
        (
            Method::GET,
            "/v1/responses/resp_1?limit=1",
            400,
            "invalid_request",
        ),
        (
            Method::PUT,
            "/v1/responses/resp_1",
            405,
            "method_not_allowed",
        ),
        (
            Method::GET,
            "/v1/responses/resp_1/cancel",
            405,
            "method_not_allowed",
        ),
        (Method::GET, "/v1/responses", 405, "method_not_allowed"),
        (Method::GET, "/v1/responses/", 404, "path_not_served"),
        (Method::GET, "/v1/responses/a/b", 404, "path_not_served"),
        (
            Method::POST,
            "/v1/responses/input_tokens",
            404,
            "path_not_served",
        ),
    ] {
        let answer = gateway.send(gateway.request(method, path, "")).await;
        answer.error(status, code).await;
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn compacting_is_a_request_like_any_other() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream).start().await;
    let compacted = r#"{"id":"resp_c","object":"response.compaction","created_at":1,"output":[{"id":"cmp_1","type":"compaction","encrypted_content":"x"}]}"#;
    let body = |model: &str| {
        format!(r#"{{"model":"{model}","input":[{{"role":"user","content":"Hello"}}]}}"#)
    };
    for (path, model) in [
        ("/v1/responses/compact", MODEL),
        ("/openai/responses/compact?api-version=x", RENAMED),
    ] {
        let request = gateway.request(Method::POST, path, body(model));
        let (answer, ()) = tokio::join!(gateway.send(request), async {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.line, "POST /v1/responses/compact HTTP/1.1");
            assert_eq!(
                String::from_utf8(arrival.body.clone()).unwrap(),
                body(MODEL)
            );
            arrival.write(whole("", compacted.as_bytes())).await;
            arrival.keep();
        });
        let id = answer.record();
        assert_eq!(answer.text().await, compacted);
        assert_eq!(gateway.record(&id).await["requested_model"], model);
    }
    let denied = gateway.request(Method::POST, "/v1/responses/compact", body(DENIED));
    gateway.send(denied).await.error(403, "policy_denied").await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}
