//! Conversations that Carnet itself keeps: what is gone on from, by whom, and what lies on the disk meanwhile.

use http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::upstream::{EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Answer, Arrival, DENIED, Gateway, MODEL, Setup, Upstream, entry, json_body, until, with_key,
};

/// Else the next request could meet a connection just when it ends.
const CLOSE: &str = "connection: close\r\n";
const KEPT: &str = "\n[conversations]\n";
const OTHER: &str = "\n[[workload]]\nid = \"other\"\n";

/// Gateway before one upstream that takes these kinds of requests and keeps nothing.
fn keeping(upstream: &Upstream, apis: &str) -> Setup {
    let more = format!("apis = [{apis}]");
    Setup::with(&(entry("local", &upstream.base_url(), &more) + OTHER + KEPT))
}

const CHAT: &str = "\"chat-completions\"";
const RESPONSES: &str = "\"responses\"";

async fn send(gateway: &Gateway, (method, path): (Method, &str), body: Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    gateway.send(gateway.request(method, path, body)).await
}

/// Ask for an answer with these members beside the model.
async fn create(gateway: &Gateway, more: Value) -> Answer {
    let mut body = json!({ "model": MODEL });
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    send(gateway, (Method::POST, "/v1/responses"), body).await
}

async fn get(gateway: &Gateway, path: &str) -> Answer {
    gateway.get(&format!("/v1/responses/{path}")).await
}

fn completion(text: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
    })
    .to_string()
}

/// A response of an upstream that speaks the caller's dialect.
fn response(id: &str, status: &str, text: &str) -> Value {
    json!({
        "id": id, "object": "response", "model": MODEL, "status": status, "store": false,
        "output": [
            { "type": "reasoning", "id": "rs_1", "summary": [] },
            {
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{ "type": "output_text", "text": text, "annotations": [] }],
            },
        ],
    })
}

/// Ask, and have the upstream answer with this; the answer's body and what the upstream was asked.
async fn turn(
    gateway: &Gateway,
    upstream: &mut Upstream,
    more: Value,
    answer: &str,
) -> (Value, Value, String) {
    let (given, asked) = tokio::join!(create(gateway, more), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole(CLOSE, answer.as_bytes())).await;
        arrival.json()
    });
    assert_eq!(given.status, 200);
    let record = given.record();
    (given.json().await, asked, record)
}

async fn stream(arrival: &mut Arrival, events: &[&str]) {
    arrival.write(EVENTS).await;
    for event in events {
        arrival.chunk(event).await;
    }
    arrival.write(LAST_CHUNK).await;
}

fn chunk(delta: &Value, finish: &Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
    });
    format!("data: {chunk}\n\n")
}

fn event(kind: &str, number: u64, response: &Value) -> String {
    let data = json!({ "type": kind, "sequence_number": number, "response": response });
    format!("event: {kind}\ndata: {data}\n\n")
}

/// All bytes of the state directory.
pub(crate) fn state(gateway: &Gateway) -> Vec<u8> {
    fn read(folder: &std::path::Path, all: &mut Vec<u8>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, all);
            } else if let Ok(bytes) = std::fs::read(&path) {
                all.extend(bytes);
            }
        }
    }
    let mut all = Vec::new();
    read(&gateway.setup.path("state"), &mut all);
    all
}

pub(crate) fn holds(all: &[u8], text: &str) -> bool {
    all.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Another program that has the database open.
fn database(gateway: &Gateway) -> Connection {
    Connection::open(gateway.setup.path("state/conversations.db")).unwrap()
}

/// Wait until so many conversations are written down.
async fn written(gateway: &Gateway, count: u64) {
    until("the writing", async || {
        let kept = gateway.counter("carnet_conversations_kept_total").await;
        (kept == count).then_some(())
    })
    .await;
}

/// Have another configuration in force. The file is replaced as a whole: half of it could be one as well.
pub(crate) async fn set(gateway: &Gateway, text: &str) {
    gateway.setup.write("carnet.toml.new", text);
    let path = |name: &str| gateway.setup.path(name);
    std::fs::rename(path("carnet.toml.new"), path("carnet.toml")).unwrap();
    let (status, told) = gateway.admin(Method::POST, "/api/reload").await;
    assert_eq!((status, &told["done"]), (200, &json!(true)), "{told:#}");
}

#[tokio::test]
async fn a_conversation_goes_on_with_an_upstream_that_speaks_another_dialect_and_over_a_restart() {
    let mut upstream = Upstream::start().await;
    let mut gateway = keeping(&upstream, CHAT).start().await;
    let more = json!({ "input": "planted-one", "instructions": "be brief", "store": true });
    let (first, asked, record) =
        turn(&gateway, &mut upstream, more, &completion("planted-two")).await;
    assert_eq!(asked["messages"].as_array().unwrap().len(), 2, "{asked:#}");
    let id = first["id"].as_str().unwrap();
    assert!(id.starts_with("resp_") && id.len() == 53, "{id}");
    assert_eq!(
        (&first["status"], &first["store"]),
        (&json!("completed"), &json!(true))
    );
    let record = gateway.record(&record).await;
    assert_eq!(record["edits"], json!(["set store"]));

    // At once, while it may still wait to be written.
    let more = json!({ "input": "more", "previous_response_id": id, "stream": true });
    let (answer, asked) = tokio::join!(create(&gateway, more), async {
        let mut arrival = upstream.next().await;
        let (one, two) = (
            json!({ "role": "assistant", "content": "planted-" }),
            json!({ "content": "three" }),
        );
        let events = [
            chunk(&one, &Value::Null),
            chunk(&two, &Value::Null),
            chunk(&json!({}), &json!("stop")),
        ];
        let events: Vec<&str> = events
            .iter()
            .map(String::as_str)
            .chain(["data: [DONE]\n\n"])
            .collect();
        stream(&mut arrival, &events).await;
        arrival.json()
    });
    let told = |role: &str, text: &str| json!({ "role": role, "content": text });
    let conversation = [
        told("user", "planted-one"),
        told("assistant", "planted-two"),
        told("user", "more"),
        told("assistant", "planted-three"),
        told("user", "last"),
    ];
    assert_eq!(
        asked["messages"],
        json!(conversation[..3]),
        "instructions are not taken over"
    );
    assert_eq!(asked.get("store"), None);
    let record = answer.record();
    let events = json_body(&answer.text().await);
    let second = &events.last().unwrap()["response"];
    assert_eq!(
        (&second["status"], &second["store"]),
        (&json!("completed"), &json!(true))
    );
    assert_eq!(events[0]["response"]["id"], second["id"]);
    let record = gateway.record(&record).await;
    assert_eq!(
        record["edits"],
        json!(["remove previous_response_id", "set input", "set store"])
    );
    assert_eq!(
        (&record["decision"], &record["outcome"]),
        (&json!("permit"), &json!("completed"))
    );

    written(&gateway, 2).await;
    gateway.restart().await;
    let more = json!({ "input": "last", "previous_response_id": second["id"] });
    let (third, asked, _) = turn(&gateway, &mut upstream, more, &completion("end")).await;
    assert_eq!(asked["messages"], json!(conversation));
    written(&gateway, 1).await;

    let ids = [
        id,
        second["id"].as_str().unwrap(),
        third["id"].as_str().unwrap(),
    ];
    let all = state(&gateway);
    for planted in ["planted", "chatcmpl"].iter().chain(&ids) {
        assert!(!holds(&all, planted), "{planted} lies on the disk");
    }
    let path = |name: &str| gateway.setup.path("state").join(name);
    for name in ["conversations.db", "conversations.key"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    gateway.finish().await;
    assert!(
        !holds(&all, "nowhere") && holds(&all, "llama3.3:70b"),
        "the search finds what is there"
    );
}

#[tokio::test]
async fn what_an_upstream_answered_in_the_same_dialect_is_given_again_and_deleted() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream, RESPONSES).start().await;
    let first = response("resp_a", "completed", "one");
    let more = json!({ "input": "Hello" });
    let (given, asked, _) = turn(&gateway, &mut upstream, more, &first.to_string()).await;
    assert_eq!((&given, &asked["store"]), (&first, &json!(false)));
    let input = json!([{ "type": "function_call_output", "call_id": "c", "output": "3" }]);
    let more =
        json!({ "input": input, "previous_response_id": "resp_a", "stream": true, "store": true });
    let second = response("resp_b", "incomplete", "two");
    let (answer, asked) = tokio::join!(create(&gateway, more), async {
        let mut arrival = upstream.next().await;
        let created = event(
            "response.created",
            0,
            &response("resp_b", "in_progress", ""),
        );
        let last = event("response.incomplete", 1, &second);
        stream(&mut arrival, &[&created, &last]).await;
        arrival.json()
    });
    let hello = json!({ "type": "message", "role": "user", "content": "Hello" });
    let conversation = json!([hello, first["output"][1], input[0]]);
    let want = json!({ "model": MODEL, "store": false, "stream": true, "input": conversation });
    assert_eq!(asked, want);
    answer.text().await;

    for (id, want) in [("resp_a", &first), ("resp_b", &second)] {
        let again = get(&gateway, id).await;
        let record = again.record();
        assert_eq!(again.text().await, want.to_string(), "byte for byte");
        let record = gateway.record(&record).await;
        assert_eq!(record["detail"], "retrieves a response kept here");
        assert_eq!(
            (&record["api"], &record["requested_model"]),
            (&json!("responses"), &json!(MODEL))
        );
        assert_eq!(record.get("attempts"), None, "{record:#}");
    }
    let list = get(&gateway, "resp_b/input_items?order=asc&limit=2")
        .await
        .json()
        .await;
    assert_eq!(
        (&list["data"][1], &list["has_more"]),
        (&first["output"][1], &json!(true))
    );
    assert_eq!(
        (&list["first_id"], &list["last_id"]),
        (&json!("item_0"), &json!("msg_1"))
    );
    let rest = get(&gateway, "resp_b/input_items?order=asc&after=msg_1")
        .await
        .json()
        .await;
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rest["data"][0]["output"], &rest["has_more"]),
        (&json!("3"), &json!(false))
    );
    for (path, param) in [
        ("resp_b?stream=true", "stream"),
        ("resp_b/input_items?limit=0", "limit"),
        ("resp_b/input_items?after=msg_9", "after"),
    ] {
        let error = get(&gateway, path)
            .await
            .error(400, "invalid_request")
            .await;
        assert_eq!(error["param"], param);
    }
    let cancel = (Method::POST, "/v1/responses/resp_b/cancel");
    let error = send(&gateway, cancel, Value::Null).await;
    let error = error.error(400, "invalid_request").await;
    assert!(
        error["message"].as_str().unwrap().contains("background"),
        "{error}"
    );

    let delete = || {
        send(
            &gateway,
            (Method::DELETE, "/v1/responses/resp_a"),
            Value::Null,
        )
    };
    let gone = json!({ "id": "resp_a", "object": "response", "deleted": true });
    assert_eq!(delete().await.json().await, gone);
    delete().await.error(404, "state_not_found").await;
    get(&gateway, "resp_a")
        .await
        .error(404, "state_not_found")
        .await;
    let more = json!({ "input": "on", "previous_response_id": "resp_a" });
    let error = create(&gateway, more).await;
    error.error(404, "previous_response_not_found").await;
    assert_eq!(
        get(&gateway, "resp_b").await.json().await,
        second,
        "what went on from it stays"
    );
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn what_one_workload_had_kept_is_as_unknown_to_another_as_what_nobody_had() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream, RESPONSES).start().await;
    let first = response("resp_mine", "completed", "one").to_string();
    turn(&gateway, &mut upstream, json!({ "input": "a" }), &first).await;
    let (_, other) = gateway.key_for("other").await;
    let mut told = Vec::new();
    for id in ["resp_mine", "resp_none"] {
        let body = json!({ "model": MODEL, "input": "b", "previous_response_id": id });
        let request = gateway.request(Method::POST, "/v1/responses", body.to_string());
        let error = gateway.send(with_key(request, &other)).await;
        let error = error.error(404, "previous_response_not_found").await;
        told.push(error["message"].clone());
    }
    assert_eq!(told[0], told[1]);
    for (method, below) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::GET, "/input_items"),
        (Method::POST, "/cancel"),
    ] {
        let request = gateway.request(method, &format!("/v1/responses/resp_mine{below}"), "");
        let error = gateway.send(with_key(request, &other)).await;
        error.error(404, "state_not_found").await;
    }
    assert!(upstream.is_untouched());
    assert_eq!(get(&gateway, "resp_mine").await.text().await, first);
    gateway.finish().await;
}

#[tokio::test]
async fn only_what_was_given_and_may_be_is_kept() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream, RESPONSES).start().await;
    let mut ask = async |more: Value, response: &Value| {
        turn(&gateway, &mut upstream, more, &response.to_string())
            .await
            .2
    };
    let input = json!({ "input": "a" });
    ask(
        json!({ "input": "a", "store": false }),
        &response("resp_1", "completed", ""),
    )
    .await;
    ask(input.clone(), &response("resp_2", "failed", "")).await;
    ask(input.clone(), &response("../resp_3", "completed", "")).await;
    // An upstream that counts from the beginning again: which of the two would be meant?
    ask(input.clone(), &response("resp_4", "completed", "")).await;
    ask(input, &response("resp_4", "completed", "")).await;
    for id in ["resp_1", "resp_2", "..%2Fresp_3", "resp_4"] {
        let answer = get(&gateway, id).await;
        assert_eq!(answer.status, 404, "{id}");
    }
    // A stream that breaks off.
    let more = json!({ "input": "a", "stream": true });
    let (answer, ()) = tokio::join!(create(&gateway, more), async {
        let mut arrival = upstream.next().await;
        let created = event(
            "response.created",
            0,
            &response("resp_5", "in_progress", ""),
        );
        arrival.write(EVENTS).await;
        arrival.chunk(&created).await;
    });
    assert!(answer.text().await.contains("response.failed"));
    get(&gateway, "resp_5")
        .await
        .error(404, "state_not_found")
        .await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_a_rule_obliges_not_to_store_is_not_kept_here_either() {
    let mut upstream = Upstream::start().await;
    let setup = keeping(&upstream, CHAT).permitting_all();
    setup.write(
        "all/rules.cedar",
        "@id(\"all\")\n@title(\"everything\")\n@obligation(\"no-store\")\npermit (principal, action, resource);\n",
    );
    let gateway = setup.start().await;
    let input = json!({ "input": "a" });
    let (given, _, _) = turn(&gateway, &mut upstream, input, &completion("b")).await;
    let id = given["id"].as_str().unwrap();
    get(&gateway, id).await.error(404, "state_not_found").await;
    let stored = json!({ "input": "a", "store": true });
    let error = create(&gateway, stored).await;
    let error = error.error(400, "field_refused").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("obliges that nothing is stored"),
        "{message}"
    );
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_too_long_passes_and_is_not_kept() {
    let mut upstream = Upstream::start().await;
    let lines = format!("apis = [{RESPONSES}]\n{KEPT}conversation_bytes_max = 1000\n");
    let gateway = Setup::with(&entry("local", &upstream.base_url(), &lines))
        .server("body_bytes_max = 900")
        .start()
        .await;
    let long = response("resp_1", "completed", &"x".repeat(1000));
    let input = json!({ "input": "a" });
    let (given, _, record) = turn(&gateway, &mut upstream, input.clone(), &long.to_string()).await;
    assert_eq!(given, long);
    let record = gateway.record(&record).await;
    assert_eq!(
        record["detail"],
        "not kept: longer than `conversation_bytes_max`"
    );
    get(&gateway, "resp_1")
        .await
        .error(404, "state_not_found")
        .await;
    let (answer, ()) = tokio::join!(
        create(&gateway, json!({ "input": "a", "stream": true })),
        async {
            let mut arrival = upstream.next().await;
            stream(&mut arrival, &[&event("response.completed", 0, &long)]).await;
        }
    );
    assert!(answer.text().await.contains("xxx"));
    get(&gateway, "resp_1")
        .await
        .error(404, "state_not_found")
        .await;
    assert_eq!(
        gateway.counter("carnet_conversations_not_kept_total").await,
        2
    );

    // What fits is kept, and is too much together with what comes.
    let short = response("resp_2", "completed", &"y".repeat(500));
    turn(&gateway, &mut upstream, input, &short.to_string()).await;
    let more = json!({ "input": "z".repeat(300), "previous_response_id": "resp_2" });
    let error = create(&gateway, more)
        .await
        .error(413, "body_too_large")
        .await;
    assert_eq!(error["param"], "previous_response_id");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn going_on_with_another_model_is_another_decision_on_the_whole_conversation() {
    let (mut upstream, mut elsewhere) = (Upstream::start().await, Upstream::start().await);
    let second = format!(
        r#"
[[upstream]]
name = "elsewhere"
base_url = "{}"
platform = "ollama"
host = "rack"
models = [{{ name = "far", upstream_model = "llama3.3:70b" }}]
apis = ["chat-completions"]
"#,
        elsewhere.base_url()
    );
    let lines = format!("apis = [{RESPONSES}]\n{second}{KEPT}");
    let gateway = Setup::with(&entry("local", &upstream.base_url(), &lines))
        .start()
        .await;
    let first = response("resp_1", "completed", "one");
    turn(
        &gateway,
        &mut upstream,
        json!({ "input": "a" }),
        &first.to_string(),
    )
    .await;
    let more =
        |model: &str| json!({ "model": model, "input": "b", "previous_response_id": "resp_1" });
    let denied = create(&gateway, more(DENIED)).await;
    let record = denied.record();
    denied.error(403, "policy_denied").await;
    let record = gateway.record(&record).await;
    assert_eq!(
        (&record["decision"], &record["requested_model"]),
        (&json!("deny"), &json!(DENIED))
    );
    let (answer, asked) = tokio::join!(create(&gateway, more("far")), async {
        let mut arrival = elsewhere.next().await;
        arrival
            .write(whole(CLOSE, completion("two").as_bytes()))
            .await;
        arrival.json()
    });
    let texts = asked["messages"].as_array().unwrap().iter();
    let texts: Vec<&Value> = texts.map(|message| &message["content"]).collect();
    assert_eq!(texts, ["a", "one", "b"]);
    let third = answer.json().await;
    assert_ne!(third["id"], "resp_1");

    // What is kept is looked at again: an upstream may answer with what no request may bring along.
    let mut odd = response("resp_2", "completed", "x");
    odd["output"][0] = json!({ "type": "mcp_call", "id": "mcp_1", "name": "f" });
    turn(
        &gateway,
        &mut upstream,
        json!({ "input": "a" }),
        &odd.to_string(),
    )
    .await;
    let more = json!({ "input": "b", "previous_response_id": "resp_2" });
    let error = create(&gateway, more)
        .await
        .error(400, "field_refused")
        .await;
    assert_eq!(error["param"], "input[].type");
    // A conversation can be made shorter as well.
    let body = json!({ "model": MODEL, "previous_response_id": "resp_1" });
    let compact = (Method::POST, "/v1/responses/compact");
    let (answer, asked) = tokio::join!(send(&gateway, compact, body), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(whole(
                CLOSE,
                b"{\"id\":\"c\",\"object\":\"response.compaction\",\"output\":[]}",
            ))
            .await;
        arrival.json()
    });
    assert_eq!(answer.status, 200);
    let hello = json!({ "type": "message", "role": "user", "content": "a" });
    assert_eq!(asked["input"], json!([hello, first["output"][1]]));
    answer.text().await;
    assert!(upstream.is_untouched() && elsewhere.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_socket_goes_on_from_what_another_one_was_answered() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream, CHAT).start().await;
    let create = |more: &str| format!(r#"{{"type":"response.create","model":"{MODEL}"{more}}}"#);
    let mut ids: Vec<String> = Vec::new();
    for (number, text) in ["one", "two", "three"].into_iter().enumerate() {
        let mut socket = gateway.socket().await;
        gateway.expect_untold(1);
        let more = match ids.last() {
            None => r#","input":"a""#.to_owned(),
            Some(id) => format!(r#","input":"a","previous_response_id":"{id}""#),
        };
        socket.send(create(&more)).await;
        let mut arrival = upstream.next().await;
        let asked = arrival.json();
        assert_eq!(asked["messages"].as_array().unwrap().len(), 2 * number + 1);
        let events = [
            chunk(
                &json!({ "role": "assistant", "content": text }),
                &Value::Null,
            ),
            chunk(&json!({}), &json!("stop")),
        ];
        stream(&mut arrival, &[&events[0], &events[1], "data: [DONE]\n\n"]).await;
        let last = loop {
            let event = socket.event().await;
            if event["type"] == "response.completed" {
                break event;
            }
        };
        ids.push(last["response"]["id"].as_str().unwrap().to_owned());
    }
    let mut socket = gateway.socket().await;
    gateway.expect_untold(1);
    socket
        .send(create(r#","previous_response_id":"resp_none""#))
        .await;
    socket.error(404, "previous_response_not_found").await;
    let records = gateway.finish().await;
    let joined = json!(["remove previous_response_id", "set input", "set store"]);
    let joined = records.iter().filter(|record| record["edits"] == joined);
    assert_eq!(joined.count(), 2, "{records:#?}");
}

#[tokio::test]
async fn a_request_is_never_made_without_what_came_before_it() {
    let mut upstream = Upstream::start().await;
    let gateway = keeping(&upstream, RESPONSES).start().await;
    for id in ["resp_1", "resp_2"] {
        let answer = response(id, "completed", "one").to_string();
        turn(&gateway, &mut upstream, json!({ "input": "a" }), &answer).await;
    }
    written(&gateway, 2).await;
    let database = database(&gateway);
    let sealed: Vec<u8> = database
        .query_row(
            "SELECT sealed FROM conversations ORDER BY number",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut changed = sealed.clone();
    changed[30] ^= 1;
    let change = "UPDATE conversations SET sealed = ?1 WHERE number = (SELECT min(number) FROM conversations)";
    database.execute(change, [changed]).unwrap();
    get(&gateway, "resp_1")
        .await
        .error(404, "state_not_found")
        .await;
    let more = json!({ "input": "b", "previous_response_id": "resp_1" });
    let error = create(&gateway, more.clone()).await;
    error.error(404, "previous_response_not_found").await;
    database.execute(change, [sealed]).unwrap();
    assert_eq!(get(&gateway, "resp_1").await.status, 200);

    database
        .execute("ALTER TABLE conversations RENAME TO elsewhere", [])
        .unwrap();
    let answer = create(&gateway, more).await;
    assert_eq!(answer.header("x-should-retry"), "true");
    answer.error(503, "conversations_unavailable").await;
    get(&gateway, "resp_2")
        .await
        .error(503, "conversations_unavailable")
        .await;
    let delete = (Method::DELETE, "/v1/responses/resp_2");
    let error = send(&gateway, delete, Value::Null).await;
    error.error(503, "conversations_unavailable").await;
    assert!(upstream.is_untouched());
    // Others are answered meanwhile.
    let answer = response("resp_3", "completed", "one").to_string();
    turn(&gateway, &mut upstream, json!({ "input": "a" }), &answer).await;
    gateway.finish().await;
}

#[tokio::test]
async fn it_is_off_until_the_operator_turns_it_on_and_again_when_he_turns_it_off() {
    let mut upstream = Upstream::start().await;
    let mut gateway = keeping(&upstream, CHAT).start().await;
    let on = gateway.setup.config();
    let off = on.replace(KEPT, "");
    set(&gateway, &off).await;
    let answer = completion("one");
    let (first, _, _) = turn(&gateway, &mut upstream, json!({ "input": "a" }), &answer).await;
    assert_eq!(
        (&first["id"], &first["store"]),
        (&json!("chatcmpl-1"), &json!(false))
    );
    let more = json!({ "input": "b", "previous_response_id": "chatcmpl-1" });
    let error = create(&gateway, more)
        .await
        .error(400, "field_refused")
        .await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`[conversations]`"), "{message}");
    let error = create(&gateway, json!({ "input": "b", "store": true })).await;
    let error = error.error(400, "field_refused").await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("`[conversations]`")
    );

    set(&gateway, &on).await;
    let (kept, _, _) = turn(&gateway, &mut upstream, json!({ "input": "a" }), &answer).await;
    let id = kept["id"].as_str().unwrap().to_owned();
    written(&gateway, 1).await;
    for background in [
        json!({ "background": true }),
        json!({ "background": true, "store": true }),
    ] {
        let error = create(&gateway, background)
            .await
            .error(400, "field_refused")
            .await;
        assert!(
            !error["message"]
                .as_str()
                .unwrap()
                .contains("[conversations]"),
            "{error}"
        );
    }
    set(&gateway, &off).await;
    get(&gateway, &id).await.error(404, "state_not_found").await;
    // A server that starts without the section leaves what is there to its time.
    gateway.restart().await;
    get(&gateway, &id).await.error(404, "state_not_found").await;
    set(&gateway, &on).await;
    assert_eq!(get(&gateway, &id).await.json().await, kept);
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn without_the_section_there_is_no_file_and_reloading_makes_one() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let files = || {
        let files = std::fs::read_dir(gateway.setup.path("state")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.starts_with("conversations"))
            .count()
    };
    let answer = response("resp_1", "completed", "one").to_string();
    turn(&gateway, &mut upstream, json!({ "input": "a" }), &answer).await;
    assert_eq!(files(), 0);
    set(&gateway, &(gateway.setup.config() + KEPT)).await;
    get(&gateway, "resp_1")
        .await
        .error(404, "state_not_found")
        .await;
    turn(&gateway, &mut upstream, json!({ "input": "a" }), &answer).await;
    assert_eq!(get(&gateway, "resp_1").await.text().await, answer);
    assert!(files() >= 2);
    gateway.finish().await;
}
