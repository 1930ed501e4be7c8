//! Responses over a WebSocket: every message is a request of its own, with its own decision and record.

use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::upstream::{EVENTS, LAST_CHUNK, whole};
use crate::harness::websocket::{Came, Socket};
use crate::harness::{Arrival, DENIED, Gateway, MODEL, ONE_SECOND, Setup, Upstream, entry, within};

/// A message with these members beside its type and model.
fn create(more: &str) -> String {
    format!(r#"{{"type":"response.create","model":"{MODEL}"{more}}}"#)
}

/// An event of a stream, with this response.
fn event(kind: &str, number: u64, response: &Value) -> String {
    let data = json!({ "type": kind, "sequence_number": number, "response": response });
    format!("event: {kind}\ndata: {data}\n\n")
}

fn response(id: &str, status: &str, output: &Value) -> Value {
    json!({ "id": id, "object": "response", "model": MODEL, "status": status, "output": output })
}

fn says(text: &str) -> Value {
    json!([{ "type": "message", "id": "msg_1", "role": "assistant", "content": [{ "type": "output_text", "text": text }] }])
}

/// Answer with a stream of two events.
async fn stream(arrival: &mut Arrival, id: &str, output: &Value) {
    arrival.write(EVENTS).await;
    let first = response(id, "in_progress", &json!([]));
    arrival.chunk(&event("response.created", 0, &first)).await;
    let last = response(id, "completed", output);
    arrival.chunk(&event("response.completed", 1, &last)).await;
    arrival.chunk("data: [DONE]\n\n").await;
    arrival.write(LAST_CHUNK).await;
}

/// The events of such a stream.
async fn streamed(socket: &mut Socket, id: &str) {
    for (kind, number) in [("response.created", 0), ("response.completed", 1)] {
        let event = socket.event().await;
        assert_eq!(
            (
                &event["type"],
                &event["sequence_number"],
                &event["response"]["id"]
            ),
            (&kind.into(), &number.into(), &id.into()),
            "{event:#}"
        );
    }
}

/// Send a message that is answered so; what the upstream was asked.
async fn turn(
    gateway: &Gateway,
    (socket, upstream): (&mut Socket, &mut Upstream),
    message: String,
    (id, output): (&str, &Value),
) -> Value {
    gateway.expect_untold(1);
    let asked = async {
        socket.send(message).await;
        streamed(socket, id).await;
    };
    let ((), asked) = tokio::join!(asked, async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.line, "POST /v1/responses HTTP/1.1");
        stream(&mut arrival, id, output).await;
        let asked = arrival.json();
        arrival.keep();
        asked
    });
    asked
}

#[tokio::test]
async fn each_message_is_a_request_and_goes_on_from_the_last_answer() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    let both = (&mut socket, &mut upstream);
    let output = json!([
        { "type": "reasoning", "id": "rs_1", "summary": [] },
        { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}" },
    ]);
    let asked = turn(
        &gateway,
        both,
        create(r#","input":"Hello","tools":[]"#),
        ("resp_1", &output),
    )
    .await;
    let first = json!({ "type": "message", "role": "user", "content": "Hello" });
    let want =
        json!({ "model": MODEL, "stream": true, "store": false, "input": "Hello", "tools": [] });
    assert_eq!(asked, want);
    let more = r#","previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"c1","output":"3"}]"#;
    let both = (&mut socket, &mut upstream);
    let asked = turn(&gateway, both, create(more), ("resp_2", &says("three"))).await;
    let second = json!({ "type": "function_call_output", "call_id": "c1", "output": "3" });
    let conversation = json!([first, output[1], second]);
    let want = json!({ "model": MODEL, "stream": true, "store": false, "input": conversation });
    assert_eq!(
        asked, want,
        "the thoughts that only the service could read again are left out"
    );
    let both = (&mut socket, &mut upstream);
    let asked = turn(
        &gateway,
        both,
        create(r#","previous_response_id":"resp_2","input":"bye""#),
        ("resp_3", &says("bye")),
    )
    .await;
    assert_eq!(asked["input"].as_array().unwrap().len(), 5, "{asked:#}");
    // Only the last answer is remembered, and a request that goes on from it and fails forgets it; one that asks for
    // something else does not, and neither does an upstream that says to come again.
    let from = |id: &str| {
        create(&format!(
            r#","previous_response_id":"{id}","input":"again""#
        ))
    };
    gateway.expect_untold(5);
    socket.send(from("resp_2")).await;
    socket.error(404, "previous_response_not_found").await;
    for (status, code) in [(429, "rate_limit"), (500, "server_error")] {
        let body = json!({ "error": { "message": "no", "type": code, "code": code } }).to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        tokio::join!(
            async {
                socket.send(from("resp_3")).await;
                socket.error(status, code).await;
            },
            async {
                let mut arrival = upstream.next().await;
                arrival.write(&head).await;
                arrival.keep();
            }
        );
    }
    socket.send(from("resp_3")).await;
    socket.error(404, "previous_response_not_found").await;
    socket.send("{".to_owned()).await;
    socket.error(400, "invalid_json").await;
    let records = gateway.finish().await;
    let turns = |outcome: &str| {
        let of = |record: &&Value| record["kind"] == "request" && record["outcome"] == outcome;
        records.iter().filter(of).count()
    };
    assert_eq!(
        (turns("completed"), turns("refused")),
        (6, 3),
        "{records:#?}"
    );
    let answered = |record: &&Value| {
        record["requested_model"] == MODEL && record["attempts"][0]["status"] == 200
    };
    let asked: Vec<&Value> = records.iter().filter(answered).collect();
    assert_eq!(asked.len(), 3);
    for record in asked {
        assert_eq!(record["api"], "responses");
        assert_eq!(record["detail"], "a message of a WebSocket");
        assert_eq!(record["decision"], "permit");
    }
    let opened = records
        .iter()
        .find(|record| record["detail"] == "opens a WebSocket");
    assert_eq!(opened.unwrap()["status"], 101);
}

#[tokio::test]
async fn every_message_is_decided_and_what_is_wrong_with_one_ends_no_socket() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    let cases = [
        (create("").replace(MODEL, DENIED), 403, "policy_denied"),
        (
            create("").replace(MODEL, "nobody-has-it"),
            404,
            "model_not_found",
        ),
        (
            create(r#","tools":[{"type":"web_search"}]"#),
            400,
            "field_refused",
        ),
        (create(r#","store":true"#), 400, "field_refused"),
        (create(r#","background":true"#), 400, "invalid_request"),
        (create(r#","stream_id":"a""#), 400, "invalid_request"),
        (
            create(r#","previous_response_id":7"#),
            400,
            "invalid_request",
        ),
        (create(r#","input":[{"id":"msg_1"}]"#), 400, "field_refused"),
        (
            r#"{"type":"response.create"}"#.to_owned(),
            400,
            "invalid_request",
        ),
        (
            r#"{"type":"response.cancel"}"#.to_owned(),
            400,
            "invalid_request",
        ),
        (
            r#"{"type":"response.create","model":"a","model":"b"}"#.to_owned(),
            400,
            "invalid_json",
        ),
        ("hello".to_owned(), 400, "invalid_json"),
    ];
    gateway.expect_untold(cases.len() + 1);
    for (message, status, code) in cases {
        socket.send(message).await;
        let error = socket.error(status, code).await;
        let record = gateway.record(error["record"].as_str().unwrap()).await;
        let outcome = if status == 403 { "denied" } else { "refused" };
        assert_eq!(record["outcome"], outcome, "{record:#}");
    }
    socket.send_message(Message::Binary("{}".into())).await;
    socket.error(400, "invalid_request").await;
    assert!(upstream.is_untouched());
    let both = (&mut socket, &mut upstream);
    turn(
        &gateway,
        both,
        create(r#","input":"Hello""#),
        ("resp_1", &json!([])),
    )
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn upstreams_errors_and_broken_answers_are_events() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    gateway.expect_untold(5);
    let refusal =
        r#"{"error":{"message":"slow down","type":"rate_limit","param":null,"code":null}}"#;
    let answer = String::from_utf8(whole("retry-after: 3\r\n", refusal.as_bytes())).unwrap();
    socket.send(create(r#","input":"a""#)).await;
    let mut arrival = upstream.next().await;
    arrival
        .write(answer.replace("200 OK", "429 Too Many Requests"))
        .await;
    arrival.keep();
    let error = socket.error(429, "rate_limit").await;
    assert_eq!(error["message"], "slow down");
    assert_eq!(error["headers"]["retry-after"], "3");
    // An upstream that breaks off.
    socket.send(create(r#","input":"b""#)).await;
    let mut arrival = upstream.next().await;
    arrival.write(EVENTS).await;
    let first = response("resp_b", "in_progress", &json!([]));
    arrival.chunk(&event("response.created", 0, &first)).await;
    assert_eq!(socket.event().await["type"], "response.created");
    drop(arrival);
    let failed = socket.event().await;
    assert_eq!(failed["type"], "response.failed", "{failed:#}");
    assert_eq!(failed["response"]["id"], "resp_b");
    // One whose stream ends too early.
    socket.send(create(r#","input":"c""#)).await;
    let mut arrival = upstream.next().await;
    arrival.write(EVENTS).await;
    arrival.chunk(&event("response.created", 0, &first)).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(socket.event().await["type"], "response.created");
    socket.error(502, "upstream_closed").await;
    arrival.keep();
    // One that does not stream at all.
    socket.send(create(r#","input":"d""#)).await;
    let mut arrival = upstream.next().await;
    let given = response("resp_d", "completed", &says("hi"));
    arrival.write(whole("", given.to_string().as_bytes())).await;
    let event = socket.event().await;
    assert_eq!(
        (&event["type"], &event["response"]),
        (&"response.completed".into(), &given)
    );
    arrival.keep();
    // One that gives what is no answer.
    socket.send(create(r#","input":"e""#)).await;
    let mut arrival = upstream.next().await;
    arrival.write(whole("", b"no")).await;
    socket.error(502, "upstream_closed").await;
    gateway.finish().await;
}

#[tokio::test]
async fn messages_wait_for_the_answer_before_them() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    // More than may wait: the rest waits in the connection.
    const MESSAGES: usize = 8;
    gateway.expect_untold(MESSAGES);
    for number in 0..MESSAGES {
        socket
            .send(create(&format!(r#","input":"{number}""#)))
            .await;
    }
    for number in 0..MESSAGES {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.json()["input"], number.to_string());
        assert!(upstream.is_untouched(), "one at a time");
        let id = format!("resp_{number}");
        stream(&mut arrival, &id, &json!([])).await;
        streamed(&mut socket, &id).await;
        arrival.keep();
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_request_at_its_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for begun in [false, true] {
        let mut socket = gateway.socket().await;
        gateway.expect_untold(1);
        socket.send(create(r#","input":"a""#)).await;
        let mut arrival = upstream.next().await;
        if begun {
            arrival.write(EVENTS).await;
            let first = response("resp_1", "in_progress", &json!([]));
            arrival.chunk(&event("response.created", 0, &first)).await;
            socket.event().await;
        }
        drop(socket);
        within(ONE_SECOND, "the end at the upstream", arrival.closed()).await;
    }
    let records = gateway.finish().await;
    let gone = records
        .iter()
        .filter(|record| record["outcome"] == "client-gone");
    assert_eq!(gone.count(), 2, "{records:#?}");
}

#[tokio::test]
async fn a_revoked_key_ends_the_answer_and_the_socket() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    let mut idle = gateway.socket().await;
    gateway.expect_untold(1);
    socket.send(create(r#","input":"a""#)).await;
    let mut arrival = upstream.next().await;
    arrival.write(EVENTS).await;
    let first = response("resp_1", "in_progress", &json!([]));
    arrival.chunk(&event("response.created", 0, &first)).await;
    socket.event().await;
    gateway.revoke(&gateway.key_id).await;
    let failed = within(ONE_SECOND, "the end", socket.event()).await;
    assert_eq!(failed["response"]["error"]["code"], "revoked", "{failed:#}");
    for socket in [&mut socket, &mut idle] {
        socket.send(create(r#","input":"b""#)).await;
        socket.error(401, "invalid_api_key").await;
        assert_eq!(socket.closed().await, 1008);
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn too_much_closes_a_socket_and_too_many_are_not_opened() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url())
        .server("body_bytes_max = 1000")
        .start()
        .await;
    let mut socket = gateway.socket().await;
    gateway.expect_untold(1);
    socket
        .send(create(&format!(r#","input":"{}""#, "x".repeat(1000))))
        .await;
    socket.error(413, "body_too_large").await;
    assert_eq!(socket.closed().await, 1009);
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(gateway.socket().await);
    }
    let head = gateway.upgrade("/v1/responses", &gateway.key);
    let (answer, _) = gateway.opening(&head).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    // Another key has its own number, and one that ends makes room.
    let (_, other) = gateway.new_key().await;
    let (answer, _) = gateway
        .opening(&gateway.upgrade("/openai/v1/responses", &other))
        .await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    open.pop();
    crate::harness::until("room", async || {
        let (answer, _) = gateway.opening(&head).await;
        answer.starts_with("HTTP/1.1 101 ").then_some(())
    })
    .await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn an_opening_needs_a_key_and_the_handshake() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let good = gateway.upgrade("/v1/responses", &gateway.key);
    for (head, status) in [
        (gateway.upgrade("/v1/responses", "sk-carnet-wrong"), 401),
        (
            good.replace("sec-websocket-version: 13", "sec-websocket-version: 8"),
            400,
        ),
        (good.replace("sec-websocket-version: 13\r\n", ""), 400),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400),
        (good.replace("host: localhost", "host: evil.example"), 421),
        (good.replace("websocket\r\n", "h2c\r\n"), 405),
        (gateway.upgrade("/v1/chat/completions", &gateway.key), 405),
        (gateway.upgrade("/v1/responses/resp_1", &gateway.key), 404),
    ] {
        let (answer, _) = gateway.opening(&head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}\n{answer}"
        );
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_server_that_stops_lets_the_answer_end_and_closes_its_sockets() {
    let mut upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut idle, mut busy) = (gateway.socket().await, gateway.socket().await);
    gateway.expect_untold(1);
    busy.send(create(r#","input":"a""#)).await;
    let mut arrival = upstream.next().await;
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(idle.closed().await, 1001);
    stream(&mut arrival, "resp_1", &json!([])).await;
    streamed(&mut busy, "resp_1").await;
    assert_eq!(busy.closed().await, 1001);
    assert!(gateway.ended().await.success());
    gateway.check_log().await;
}

#[tokio::test]
async fn what_is_prepared_is_gone_on_from_and_asked_of_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    gateway.expect_untold(2);
    socket
        .send(create(r#","generate":false,"input":"Hello""#))
        .await;
    assert_eq!(socket.event().await["type"], "response.created");
    let prepared = socket.event().await;
    assert_eq!(prepared["type"], "response.completed");
    assert_eq!(prepared["response"]["output"], json!([]));
    assert!(upstream.is_untouched());
    let id = prepared["response"]["id"].as_str().unwrap();
    let record = gateway.record(id.strip_prefix("resp_").unwrap()).await;
    assert_eq!(
        (&record["decision"], &record["outcome"]),
        (&"permit".into(), &"completed".into())
    );
    assert!(record.get("attempts").is_none(), "{record:#}");
    let more = format!(r#","previous_response_id":"{id}","input":"Now""#);
    let both = (&mut socket, &mut upstream);
    let asked = turn(&gateway, both, create(&more), ("resp_1", &json!([]))).await;
    assert_eq!(asked["input"].as_array().unwrap().len(), 2, "{asked:#}");
    socket
        .send(create(r#","generate":false,"input":"Hello""#).replace(MODEL, DENIED))
        .await;
    socket.error(403, "policy_denied").await;
    gateway.finish().await;
}

#[tokio::test]
async fn one_socket_knows_nothing_of_another_but_what_is_kept_for_its_workload() {
    let mut upstream = Upstream::start().await;
    let entries = entry("local", &upstream.base_url(), "stored_responses = true");
    let gateway = Setup::with(&entries).start().await;
    let (mut one, mut two) = (gateway.socket().await, gateway.socket().await);
    let both = (&mut one, &mut upstream);
    turn(
        &gateway,
        both,
        create(r#","store":false,"input":"a""#),
        ("resp_secret", &json!([])),
    )
    .await;
    gateway.expect_untold(1);
    two.send(create(
        r#","previous_response_id":"resp_secret","input":"b""#,
    ))
    .await;
    two.error(404, "previous_response_not_found").await;
    // What was stored goes on at its upstream.
    let both = (&mut one, &mut upstream);
    let asked = turn(
        &gateway,
        both,
        create(r#","input":"a""#),
        ("resp_kept", &json!([])),
    )
    .await;
    assert!(asked.get("store").is_none(), "{asked:#}");
    let both = (&mut two, &mut upstream);
    let more = create(r#","previous_response_id":"resp_kept","input":"b""#);
    let asked = turn(&gateway, both, more, ("resp_2", &json!([]))).await;
    assert_eq!(
        (&asked["previous_response_id"], &asked["input"]),
        (&"resp_kept".into(), &"b".into())
    );
    // So it does on the socket that remembers it: there is more of it than what was said here.
    let thought = json!([{ "type": "reasoning", "id": "rs_1", "summary": [] }]);
    let both = (&mut one, &mut upstream);
    let more = create(r#","input":"a""#);
    turn(&gateway, both, more, ("resp_thought", &thought)).await;
    let both = (&mut one, &mut upstream);
    let more = create(r#","previous_response_id":"resp_thought","input":"b""#);
    let asked = turn(&gateway, both, more, ("resp_3", &json!([]))).await;
    assert_eq!(
        (&asked["previous_response_id"], &asked["input"]),
        (&"resp_thought".into(), &"b".into())
    );
    let request = gateway.request(Method::GET, "/v1/responses/resp_secret", "");
    gateway
        .send(request)
        .await
        .error(404, "state_not_found")
        .await;
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_of_another_dialect_answers_over_a_socket_too() {
    let mut upstream = Upstream::start().await;
    let entries = entry(
        "local",
        &upstream.base_url(),
        r#"apis = ["chat-completions"]"#,
    );
    let gateway = Setup::with(&entries).start().await;
    let mut socket = gateway.socket().await;
    gateway.expect_untold(2);
    let mut id = String::new();
    for (more, messages) in [("", 1), (r#","previous_response_id":"ID""#, 3)] {
        let more = more.replace("ID", &id);
        socket
            .send(create(&format!(r#"{more},"input":"Hello""#)))
            .await;
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.line, "POST /v1/chat/completions HTTP/1.1");
        assert_eq!(
            arrival.json()["messages"].as_array().unwrap().len(),
            messages
        );
        arrival.begin_stream().await;
        arrival.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"llama3.3:70b\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n").await;
        arrival.write(LAST_CHUNK).await;
        let last = loop {
            let event = match socket.next().await {
                Came::Event(event) => event,
                came => panic!("{came:?}"),
            };
            assert_ne!(event["type"], "error", "{event:#}");
            if event["type"] == "response.completed" {
                break event;
            }
        };
        id = last["response"]["id"].as_str().unwrap().to_owned();
        arrival.keep();
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_goodbye_is_answered() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut socket = gateway.socket().await;
    let goodbye = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    socket.send_message(Message::Close(Some(goodbye))).await;
    assert_eq!(socket.closed().await, 1000);
    gateway.finish().await;
}

#[tokio::test]
async fn a_socket_without_requests_is_closed() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server("websocket_idle_seconds = 1");
    let gateway = setup.start().await;
    let mut socket = gateway.socket().await;
    let both = (&mut socket, &mut upstream);
    turn(
        &gateway,
        both,
        create(r#","input":"a""#),
        ("resp_1", &json!([])),
    )
    .await;
    assert_eq!(socket.closed().await, 1000);
    gateway.finish().await;
}
