//! The server over a real socket, and what the queue promises.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};

use super::queue::{Event, Job, Queue, answer};
use super::{Server, Serving, ask, serve};
use crate::{Engine, LoadOptions};

/// Long enough for any machine; what does not come by then never does.
const PATIENCE: Duration = Duration::from_secs(60);

fn engine(name: &str) -> Arc<Engine> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    Arc::new(Engine::load(&folder.join(name), &LoadOptions::default()).unwrap())
}

/// A server of a model by the name `tiny`, and the folder of its socket.
fn start(model: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let serving = Serving {
        model: "tiny".to_owned(),
        waiting_max: 64,
    };
    tokio::spawn(serve(
        engine(model),
        listener,
        serving,
        std::future::pending(),
    ));
    folder
}

/// A server whose requests nobody answers but the test.
fn start_by_hand(waiting_max: usize) -> (TempDir, Queue) {
    let queue = Queue::new(waiting_max);
    let server = Arc::new(Server {
        engine: engine("tied"),
        queue: queue.clone(),
        model: "tiny".to_owned(),
    });
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    tokio::spawn(async move {
        let (_open, closing) = tokio::sync::watch::channel(false);
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(server.clone().connection(stream, closing.clone()));
        }
    });
    (folder, queue)
}

async fn connect(folder: &TempDir) -> SendRequest<Full<Bytes>> {
    let stream = UnixStream::connect(folder.path().join("socket"))
        .await
        .unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "engine")
        .body(Full::new(body.into()))
        .unwrap()
}

fn chat(body: &Value) -> Request<Full<Bytes>> {
    request("POST", "/v1/chat/completions", body.to_string())
}

async fn send(folder: &TempDir, request: Request<Full<Bytes>>) -> Response<Incoming> {
    connect(folder).await.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn told(folder: &TempDir, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let response = send(folder, request).await;
    let status = response.status();
    (status, serde_json::from_str(&text(response).await).unwrap())
}

fn question(more: &Value) -> Value {
    let mut body = json!({
        "model": "tiny",
        "messages": [{"role": "user", "content": "What is the answer?"}],
        "max_tokens": 24,
        "temperature": 0,
    });
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

/// The events of a stream; the last must be the word that ends it.
fn events(text: &str) -> Vec<Value> {
    let mut lines: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(lines.pop(), Some("data: [DONE]"));
    lines
        .iter()
        .map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn joined(events: &[Value], index: u64, field: &str) -> String {
    events
        .iter()
        .filter_map(|event| event["choices"].as_array()?.first())
        .filter(|choice| choice["index"] == index)
        .filter_map(|choice| choice["delta"][field].as_str())
        .collect()
}

#[tokio::test]
async fn an_answer_has_its_reasoning_apart_whole_and_streamed() {
    let folder = start("tied");
    let body = question(&json!({"reasoning_effort": "minimal", "max_tokens": 120}));
    let (status, whole) = told(&folder, chat(&body)).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    assert_eq!(whole["object"], "chat.completion");
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    let reasoning = message["reasoning_content"].as_str().unwrap();
    let content = message["content"].as_str().unwrap();
    assert!(!reasoning.is_empty() && !content.is_empty(), "{message}");
    assert!(!reasoning.contains("think>") && !content.contains("</think>"));
    let usage = &whole["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        count("total_tokens"),
        count("prompt_tokens") + count("completion_tokens")
    );
    let reasoned = &usage["completion_tokens_details"]["reasoning_tokens"];
    // 64, and the few that close it.
    assert!((64..70).contains(&reasoned.as_u64().unwrap()), "{usage}");

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let response = send(&folder, chat(&streamed)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = events(&text(response).await);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(joined(&events, 0, "reasoning_content"), reasoning);
    assert_eq!(joined(&events, 0, "content"), content);
    let last = events.last().unwrap();
    assert_eq!(
        last["choices"][0]["finish_reason"],
        whole["choices"][0]["finish_reason"]
    );
    assert!(events.iter().all(|event| event["usage"].is_null()));

    streamed["stream_options"] = json!({"include_usage": true});
    let events = self::events(&text(send(&folder, chat(&streamed)).await).await);
    let last = events.last().unwrap();
    assert_eq!(last["usage"], whole["usage"]);
    assert_eq!(last["choices"], json!([]));
}

#[tokio::test]
async fn several_choices_differ_by_their_seed_and_repeat() {
    let folder = start("tied");
    let body = question(&json!({"n": 3, "seed": 7, "temperature": 1.5}));
    let (_, first) = told(&folder, chat(&body)).await;
    let (_, second) = told(&folder, chat(&body)).await;
    assert_eq!(first["choices"], second["choices"]);
    let said = |index: usize| first["choices"][index]["message"].clone();
    assert_eq!(first["choices"][2]["index"], 2);
    assert!(said(0) != said(1) && said(1) != said(2));
    assert_eq!(first["usage"]["completion_tokens"], 72);

    let mut streamed = body;
    streamed["stream"] = json!(true);
    let events = events(&text(send(&folder, chat(&streamed)).await).await);
    for index in 0..3 {
        let whole = &first["choices"][index]["message"]["reasoning_content"];
        assert_eq!(
            joined(&events, index as u64, "reasoning_content"),
            whole.as_str().unwrap()
        );
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_is_told_why() {
    let folder = start("tied");
    let part = json!([{"type": "image_url", "image_url": {"url": "x"}}]);
    let table = [
        (json!({"model": "other"}), 404, "model_not_found"),
        (json!({"n": 9}), 400, "invalid_value"),
        (json!({"n": 0}), 400, "invalid_value"),
        (json!({"reasoning_effort": "much"}), 400, "invalid_value"),
        (json!({"messages": "hello"}), 400, "invalid_value"),
        (
            json!({"messages": [{"role": "user", "content": 1}]}),
            400,
            "invalid_value",
        ),
        (
            json!({"messages": [{"role": "user", "content": part}]}),
            400,
            "unsupported_parameter",
        ),
        (
            json!({"tools": [{"type": "function"}]}),
            400,
            "unsupported_parameter",
        ),
        (
            json!({"response_format": {"type": "json_object"}}),
            400,
            "unsupported_parameter",
        ),
        (
            json!({"temperature": -1}),
            400,
            "generation_setting_invalid",
        ),
        (
            json!({"messages": [{"role": "user", "content": "1".repeat(600)}]}),
            400,
            "context_length_exceeded",
        ),
    ];
    for stream in [false, true] {
        for (more, status, code) in &table {
            let mut body = question(more);
            body["stream"] = json!(stream);
            let (had, error) = told(&folder, chat(&body)).await;
            let found = (had.as_u16(), error["error"]["code"].as_str().unwrap());
            assert_eq!(found, (*status, *code), "{more}: {error}");
            assert!(error["error"]["message"].as_str().unwrap().len() > 10);
        }
    }
    // What asks for nothing is no reason to refuse.
    let nothing = json!({"tools": [], "logprobs": false, "response_format": {"type": "text"}, "user": "u", "tool_choice": null});
    let (status, _) = told(&folder, chat(&question(&nothing))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn paths_methods_and_bodies_are_bounded() {
    let folder = start("plain");
    let (status, models) = told(&folder, request("GET", "/v1/models", "")).await;
    assert_eq!(
        (status, models["data"][0]["id"].as_str()),
        (StatusCode::OK, Some("tiny"))
    );
    let (status, health) = told(&folder, request("GET", "/health", "")).await;
    assert_eq!(
        (status, health["status"].as_str()),
        (StatusCode::OK, Some("ok"))
    );
    let (status, _) = told(&folder, request("GET", "/v1/embeddings", "")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let response = send(&folder, request("GET", "/v1/chat/completions", "")).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");
    let (status, _) = told(&folder, request("POST", "/v1/chat/completions", "{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let large = vec![b' '; super::BODY_BYTES_MAX + 1];
    let (status, _) = told(&folder, request("POST", "/v1/chat/completions", large)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// The first in the line.
async fn first(queue: &Queue) -> Job {
    let queue = queue.clone();
    let next = tokio::task::spawn_blocking(move || queue.next());
    tokio::time::timeout(PATIENCE, next).await.unwrap().unwrap()
}

#[tokio::test]
async fn more_than_may_wait_are_told_to_come_back() {
    let (folder, queue) = start_by_hand(2);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut sender = connect(&folder).await;
        waiting.push(tokio::spawn(async move {
            sender.send_request(chat(&question(&json!({})))).await
        }));
    }
    // Those before one that is refused have their places.
    let refused = loop {
        let mut sender = connect(&folder).await;
        let asked = sender.send_request(chat(&question(&json!({}))));
        match tokio::time::timeout(Duration::from_millis(100), asked).await {
            Ok(response) => break response.unwrap(),
            Err(_) => continue,
        }
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let error: Value = serde_json::from_str(&text(refused).await).unwrap();
    assert_eq!(error["error"]["code"], "engine_busy");
    for _ in 0..2 {
        drop(first(&queue).await);
    }
    for answer in waiting {
        let response = answer.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let error: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(error["error"]["code"], "engine_stopping");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_no_work_behind() {
    let (folder, queue) = start_by_hand(4);
    for stream in [false, true] {
        let mut sender = connect(&folder).await;
        let asked = tokio::spawn(async move {
            let body = question(&json!({"stream": stream}));
            sender.send_request(chat(&body)).await
        });
        let job = first(&queue).await;
        job.events.send(Event::Begin(0)).unwrap();
        assert!(!job.events.is_closed());
        asked.abort();
        drop(asked.await);
        tokio::time::timeout(PATIENCE, job.events.closed())
            .await
            .unwrap();
    }
}

#[test]
fn who_hangs_up_while_waiting_leaves_the_line() {
    let engine = engine("tied");
    let queue = Queue::new(2);
    let push = |seed: u64| {
        let body = question(&json!({"seed": seed})).to_string();
        queue.push(ask::read(body.as_bytes(), &engine, "tiny", 1).unwrap())
    };
    for _ in 0..100 {
        drop(push(1).unwrap());
    }
    let (gone, _stays) = (push(2).unwrap(), push(3).unwrap());
    assert!(push(4).is_err());
    drop(gone);
    let _last = push(5).unwrap();
    assert!(push(6).is_err());
    let seeds = [queue.next(), queue.next()].map(|job| job.seed());
    assert_eq!(seeds, [3, 5]);
}

#[tokio::test]
async fn a_stop_lets_running_answers_end() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let serving = Serving {
        model: "tiny".to_owned(),
        waiting_max: 4,
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(engine("tied"), listener, serving, async {
        let _ = stopped.await;
    }));
    let body = question(&json!({"stream": true, "n": 8, "max_tokens": 100}));
    let running = send(&folder, chat(&body)).await;
    let mut idle = connect(&folder).await;
    let models = idle.send_request(request("GET", "/v1/models", "")).await;
    drop(text(models.unwrap()).await);
    stop.send(()).unwrap();
    let events = events(&text(running).await);
    assert_eq!(joined(&events, 7, "role"), "assistant");
    let ended = tokio::time::timeout(PATIENCE, serving).await;
    ended.unwrap().unwrap().unwrap();
    assert!(
        UnixStream::connect(folder.path().join("socket"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn values_that_would_fill_memory_are_refused_before_they_wait() {
    let (folder, _queue) = start_by_hand(4);
    let many = format!("[{}0]", "{\"\":0},".repeat(200_000));
    let ask = |field: &str, message: &str| {
        let body = format!(
            r#"{{"model":"tiny","messages":[{{"role":"user","content":"hi"{message}}}]{field}}}"#
        );
        request("POST", "/v1/chat/completions", body)
    };
    let table = [
        (
            ask("", &format!(",\"tool_calls\":{many}")),
            "generation_setting_invalid",
        ),
        (
            ask(&format!(",\"chat_template_kwargs\":{{\"a\":{many}}}"), ""),
            "generation_setting_invalid",
        ),
        (
            ask(&format!(",\"tools\":{many}"), ""),
            "unsupported_parameter",
        ),
    ];
    for (request, code) in table {
        let (status, error) = told(&folder, request).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(error["error"]["code"], code, "{error}");
    }
    let long = ask(
        "",
        &format!(",\"name\":\"x\",\"content\":\"{}\"", "x".repeat(5 << 20)),
    );
    let (status, _) = told(&folder, long).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[test]
fn an_answer_ends_in_the_step_after_its_caller_has_gone() {
    let engine = engine("plain");
    let body = question(&json!({"n": 8, "max_tokens": 400})).to_string();
    let ask = ask::read(body.as_bytes(), &engine, "tiny", 1).unwrap();
    let (events, mut coming) = tokio::sync::mpsc::unbounded_channel();
    let reader = std::thread::spawn(move || {
        let begun = coming.blocking_recv();
        assert!(matches!(begun, Some(Event::Begin(0))), "{begun:?}");
        drop(coming);
    });
    // 3,200 tokens are asked for; with the reader gone there is no end to tell.
    let ended = answer(&engine, ask.request, ask.choices, &events).unwrap();
    assert_eq!(ended, None);
    reader.join().unwrap();
}
