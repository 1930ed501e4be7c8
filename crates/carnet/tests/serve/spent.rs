//! Limits of tokens and money: reserved before a request is sent, taken while its answer grows, settled when it is over.

use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::upstream::{DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{Answer, Arrival, Gateway, MODEL, RENAMED, Setup, Upstream, entry, until};

const CODE: &str = "limit_reached";
const CHAT: &str = "/v1/chat/completions";
/// Two dollars and ten for a million tokens, a half for those that a cache had.
const PRICE: &str =
    r#"price = { currency = "USD", input = "2", output = "10", cached_input = "0.50" }"#;

/// Reserves for an answer whatever a request of these tests allows it.
const AMPLE: &str = "reserved_output_tokens = 200";

/// A gateway before one upstream, one of whose models has a price, with these limits.
fn limited(upstream: &Upstream, more: &str, limits: &[&str]) -> Setup {
    let model = "name = \"llama3.3:70b\" }";
    let entry = entry("local", &upstream.base_url(), more);
    let priced = entry.replace(model, &model.replace('}', &format!(", {PRICE} }}")));
    assert_ne!(entry, priced);
    let limits: Vec<String> = limits
        .iter()
        .map(|limit| format!("[[limit]]\n{limit}\n"))
        .collect();
    Setup::with(&format!("{priced}\n{}", limits.concat())).server("reserved_output_tokens = 20")
}

fn chat(more: &Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hello" }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn ask(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let request = gateway.request(Method::POST, path, body.to_string());
    gateway.send(request).await
}

fn completion(usage: &Value) -> String {
    let said = json!({ "role": "assistant", "content": "Hi there" });
    json!({
        "id": "c1", "object": "chat.completion", "model": "llama3.3:70b",
        "choices": [{ "index": 0, "message": said, "finish_reason": "stop" }], "usage": usage,
    })
    .to_string()
}

/// Ask so, and have the upstream answer so; the answer and its record.
async fn answered(
    (gateway, upstream): (&Gateway, &mut Upstream),
    (path, body): (&str, &Value),
    answer: &str,
) -> (String, Value) {
    let (got, ()) = tokio::join!(ask(gateway, path, body), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole("", answer.as_bytes())).await;
        arrival.keep();
    });
    assert_eq!(got.status, 200);
    let id = got.record();
    (got.text().await, gateway.record(&id).await)
}

/// An event of a stream with so many words.
fn says(words: usize) -> String {
    let delta = json!({ "content": " word".repeat(words) });
    let choice = json!({ "index": 0, "delta": delta });
    let event = json!({ "id": "c1", "object": "chat.completion.chunk", "model": "llama3.3:70b", "choices": [choice] });
    format!("data: {event}\n\n")
}

fn usage_chunk(prompt: u64, output: u64) -> String {
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": output });
    let event = json!({ "id": "c1", "model": "llama3.3:70b", "choices": [], "usage": usage });
    format!("data: {event}\n\n")
}

async fn ends(mut arrival: Arrival) {
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    arrival.keep();
}

#[tokio::test]
async fn what_may_take_more_than_is_left_is_refused_before_it_is_sent() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\ntokens = 150\nevery = \"day\"\nper = [\"key\"]";
    let gateway = limited(&upstream, "", &[limit]).server(AMPLE).start().await;
    let refused = ask(&gateway, CHAT, &chat(&json!({ "max_tokens": 150 }))).await;
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(refused.header("x-should-retry"), "false");
    let error = refused.error(429, CODE).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message
            .starts_with("`daily` lets this key use 150 tokens, and this request alone may take 1"),
        "{message}"
    );
    // As often as it is to be answered.
    let refused = ask(&gateway, CHAT, &chat(&json!({ "max_tokens": 30, "n": 5 }))).await;
    refused.error(429, CODE).await;
    let several = json!({ "model": MODEL, "prompt": ["a", "b", "c", "d", "e", "f", "g", "h"] });
    let refused = ask(&gateway, "/v1/completions", &several).await;
    refused.error(429, CODE).await;
    // A picture counts, however few bytes tell where it is.
    let picture =
        json!([{ "type": "image_url", "image_url": { "url": "https://a.example/b.png" } }]);
    let asked = json!({ "model": MODEL, "messages": [{ "role": "user", "content": picture }] });
    ask(&gateway, CHAT, &asked).await.error(429, CODE).await;
    assert!(upstream.is_untouched());

    let told = completion(&json!({ "prompt_tokens": 9, "completion_tokens": 51 }));
    let both = (&gateway, &mut upstream);
    let (_, record) = answered(both, (CHAT, &chat(&json!({ "max_tokens": 60 }))), &told).await;
    assert_eq!(record["tokens"], json!({ "input": 9, "output": 51 }));
    let reserved = record["spend"]["reserved"].as_u64().unwrap();
    assert!((65..100).contains(&reserved), "{reserved}");
    // The price is known here, so the record has it although no limit asks for it.
    assert_eq!(record["spend"]["cost"], "0.000528");
    // Sixty are used.
    let refused = ask(&gateway, CHAT, &chat(&json!({ "max_tokens": 90 }))).await;
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=24 * 3600).contains(&wait), "{wait}");
    let id = refused.record();
    let error = refused.error(429, CODE).await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("of which 90 tokens are left"), "{message}");
    let record = gateway.record(&id).await;
    assert_eq!(record["detail"], "the limit `daily` is used up");
    assert_eq!(record.get("spend"), None);
    let both = (&gateway, &mut upstream);
    answered(both, (CHAT, &chat(&json!({ "max_tokens": 20 }))), &told).await;
    let counter = "carnet_limit_tokens_total{limit=\"daily\"}";
    assert_eq!(gateway.counter(counter).await, 120);
    gateway.finish().await;
}

#[tokio::test]
async fn money_is_counted_at_the_price_of_the_model_and_nothing_without_one_is_sent() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"budget\"\nmoney = \"0.002 USD\"\nevery = \"month\"";
    let gateway = limited(&upstream, "", &[limit]).server(AMPLE).start().await;
    let unpriced = json!({ "model": RENAMED, "messages": [] });
    let refused = ask(&gateway, CHAT, &unpriced).await;
    let id = refused.record();
    let error = refused.error(403, "price_unknown").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("nobody says what `llama3.3:70b` costs at `local`")
            && message.contains("add price = { currency = \"USD\", input = "),
        "{message}"
    );
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "refused");
    // Ten dollars a million: more than the budget.
    let refused = ask(&gateway, CHAT, &chat(&json!({ "max_tokens": 200 }))).await;
    let error = refused.error(429, CODE).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("use 0.002 USD, and this request alone may take 0.0020"),
        "{message}"
    );
    assert!(upstream.is_untouched());

    let told = completion(&json!({
        "prompt_tokens": 90, "completion_tokens": 50, "prompt_tokens_details": { "cached_tokens": 40 },
    }));
    let both = (&gateway, &mut upstream);
    let (_, record) = answered(both, (CHAT, &chat(&json!({ "max_tokens": 100 }))), &told).await;
    // Fifty at two, forty at a half and fifty at ten.
    let spend = &record["spend"];
    assert_eq!(spend["cost"], "0.00062");
    assert_eq!(
        (&spend["currency"], &spend["price"]),
        (&"USD".into(), &"the configuration".into())
    );
    let reserved: f64 = spend["reserved_cost"].as_str().unwrap().parse().unwrap();
    assert!((0.001..0.002).contains(&reserved), "{reserved}");
    let refused = ask(&gateway, CHAT, &chat(&json!({ "max_tokens": 140 }))).await;
    let error = refused.error(429, CODE).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("of which 0.00138 USD are left"),
        "{message}"
    );
    let counter = "carnet_limit_money_total{limit=\"budget\",currency=\"USD\"}";
    assert_eq!(gateway.metric(counter).await, "0.00062");
    gateway.finish().await;

    // Amounts of different currencies are never compared.
    let limit = "name = \"budget\"\nmoney = \"5 EUR\"\nevery = \"month\"";
    let gateway = limited(&upstream, "", &[limit]).start().await;
    let refused = ask(&gateway, CHAT, &chat(&json!({}))).await;
    let error = refused.error(403, "price_unknown").await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("is known in USD only"), "{message}");
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_tells_what_it_used_to_us_and_not_to_whom_did_not_ask() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\ntokens = 1000\nevery = \"day\"";
    let gateway = limited(&upstream, "", &[limit]).start().await;
    let with_null = says(1).replace("\"choices\"", "\"usage\":null,\"choices\"");
    for (options, sent, hidden) in [
        (Value::Null, json!({ "include_usage": true }), true),
        (
            json!({ "include_usage": true }),
            json!({ "include_usage": true }),
            false,
        ),
        (
            json!({ "include_obfuscation": false }),
            json!({ "include_usage": true, "include_obfuscation": false }),
            true,
        ),
    ] {
        let asked = chat(&json!({ "stream": true, "stream_options": options }));
        let (answer, ()) = tokio::join!(ask(&gateway, CHAT, &asked), async {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.json()["stream_options"], sent);
            arrival.write(EVENTS).await;
            arrival.chunk(&with_null).await;
            arrival.chunk(&usage_chunk(9, 5)).await;
            ends(arrival).await;
        });
        let id = answer.record();
        let text = answer.text().await;
        let whole = [&*with_null, &usage_chunk(9, 5), DONE].concat();
        let without = [&*says(1), DONE].concat();
        assert_eq!(text, if hidden { without } else { whole });
        let record = gateway.record(&id).await;
        assert_eq!(record["tokens"], json!({ "input": 9, "output": 5 }));
        let edits = record["edits"].to_string();
        for edit in ["set stream_options.include_usage", "remove answer.usage"] {
            assert_eq!(edits.contains(edit), hidden, "{edits}");
        }
    }
    gateway.finish().await;
    // Under no limit of the kind nothing is changed.
    let limit = "name = \"daily\"\nrequests = 9\nevery = \"day\"";
    let gateway = limited(&upstream, "", &[limit]).start().await;
    let asked = chat(&json!({ "stream": true }));
    let (answer, ()) = tokio::join!(ask(&gateway, CHAT, &asked), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.json().get("stream_options"), None);
        arrival.write(EVENTS).await;
        arrival.chunk(&with_null).await;
        ends(arrival).await;
    });
    assert_eq!(answer.text().await, [&*with_null, DONE].concat());
    gateway.finish().await;
}

/// A request for a stream in each dialect.
fn streams() -> [(&'static str, Value); 5] {
    let turns = json!([{ "role": "user", "content": "Hello" }]);
    let contents = json!([{ "role": "user", "parts": [{ "text": "Hello" }] }]);
    let blocks = json!([{ "role": "user", "content": [{ "text": "Hello" }] }]);
    [
        (
            CHAT,
            json!({ "model": MODEL, "stream": true, "messages": turns }),
        ),
        (
            "/v1/messages",
            json!({ "model": MODEL, "stream": true, "max_tokens": 20, "messages": turns }),
        ),
        (
            "/v1/responses",
            json!({ "model": MODEL, "stream": true, "input": "Hello" }),
        ),
        (
            "/v1beta/models/house-model:streamGenerateContent?alt=sse",
            json!({ "contents": contents }),
        ),
        (
            "/model/house-model/converse-stream",
            json!({ "messages": blocks }),
        ),
    ]
}

#[tokio::test]
async fn an_answer_that_uses_a_limit_up_ends_in_its_dialect_where_the_operator_says_so() {
    for (path, asked) in streams() {
        let mut upstream = Upstream::start().await;
        let limit = "name = \"hard\"\ntokens = 400\nevery = \"day\"\non_exhausted = \"cut\"";
        let apis = "apis = [\"chat-completions\"]";
        let gateway = limited(&upstream, apis, &[limit]).start().await;
        let (mut answer, mut arrival) = tokio::join!(ask(&gateway, path, &asked), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(&says(10)).await;
            arrival
        });
        assert_eq!(answer.status, 200, "{path}");
        let id = answer.record();
        let mut read = answer.piece().await.unwrap().to_vec();
        arrival.chunk(&says(340)).await;
        arrival.closed().await;
        read.extend(answer.bytes().await);
        let text = String::from_utf8_lossy(&read);
        assert!(
            text.contains("has used up the limit `hard`"),
            "{path}: {text}"
        );
        let end = match path {
            CHAT => "\"code\":\"limit_reached\"",
            "/v1/messages" => "event: error\n",
            "/v1/responses" => "event: response.failed\n",
            "/model/house-model/converse-stream" => ":exception-type",
            _ => "RESOURCE_EXHAUSTED",
        };
        assert!(text.contains(end), "{path}: {text}");
        assert!(!text.contains("[DONE]"), "{text}");
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "cut", "{path}");
        assert_eq!(record["detail"], "the limit `hard` is used up");
        assert_eq!(record["tokens"]["estimated"], true);
        // Three hundred and fifty words, and a quarter more since the vocabulary is not the model's own.
        let output = record["tokens"]["output"].as_u64().unwrap();
        assert!((350..=450).contains(&output), "{path}: {output}");
        let refused = ask(&gateway, path, &asked).await;
        assert_eq!(refused.status, 429, "{path}");
        refused.bytes().await;
        gateway.finish().await;
    }
}

#[tokio::test]
async fn else_it_runs_to_its_end_and_all_of_it_is_counted() {
    for (path, asked) in streams() {
        let mut upstream = Upstream::start().await;
        let limit = "name = \"soft\"\ntokens = 400\nevery = \"day\"";
        let apis = "apis = [\"chat-completions\"]";
        let gateway = limited(&upstream, apis, &[limit]).start().await;
        let (answer, ()) = tokio::join!(ask(&gateway, path, &asked), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(&says(300)).await;
            arrival.chunk(&says(300)).await;
            arrival.chunk(&usage_chunk(9, 600)).await;
            ends(arrival).await;
        });
        let id = answer.record();
        let text = String::from_utf8_lossy(&answer.bytes().await).into_owned();
        assert!(!text.contains("limit"), "{path}: {text}");
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "completed", "{path}");
        assert_eq!(record["tokens"], json!({ "input": 9, "output": 600 }));
        assert_eq!(record["spend"]["over"], true);
        let refused = ask(&gateway, path, &asked).await;
        assert_eq!(refused.status, 429, "{path}");
        refused.bytes().await;
        let counter = "carnet_limit_tokens_total{limit=\"soft\"}";
        assert_eq!(gateway.counter(counter).await, 609, "{path}");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn where_nobody_tells_it_is_estimated_and_what_failed_counts_for_nothing() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\ntokens = 10000\nevery = \"day\"";
    let gateway = limited(&upstream, "", &[limit]).start().await;
    let both = (&gateway, &mut upstream);
    let (_, record) = answered(both, (CHAT, &chat(&json!({}))), &completion(&Value::Null)).await;
    // Two words and the quarter.
    assert_eq!(record["tokens"]["output"], 3);
    assert_eq!(record["tokens"]["estimated"], true);
    let prompt = record["tokens"]["input"].as_u64().unwrap();
    assert_eq!(record["spend"]["reserved"], prompt + 20);

    let asked = chat(&json!({ "stream": true }));
    let (mut answer, mut arrival) = tokio::join!(ask(&gateway, CHAT, &asked), async {
        let mut arrival = upstream.next().await;
        arrival.write(EVENTS).await;
        arrival.chunk(&says(8)).await;
        arrival
    });
    let id = answer.record();
    answer.piece().await.unwrap();
    answer.hang_up();
    arrival.closed().await;
    let record = until("the record", async || {
        let records = gateway.records().await;
        records.into_iter().find(|record| record["id"] == *id)
    });
    let record = record.await;
    assert_eq!(record["outcome"], "client-gone");
    assert_eq!(record["tokens"]["output"], 10);
    assert_eq!(record["tokens"]["estimated"], true);

    let before = gateway
        .counter("carnet_limit_tokens_total{limit=\"daily\"}")
        .await;
    let asked = chat(&json!({}));
    let (answer, ()) = tokio::join!(ask(&gateway, CHAT, &asked), async {
        let mut arrival = upstream.next().await;
        let error = r#"{"error":{"message":"busy"}}"#;
        let head = "HTTP/1.1 529 Busy\r\ncontent-type: application/json\r\n";
        let head = format!("{head}content-length: {}\r\n\r\n{error}", error.len());
        arrival.write(head).await;
        arrival.keep();
    });
    assert_eq!(answer.status, 529);
    let id = answer.record();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    assert_eq!(record["tokens"], json!({ "input": 0, "output": 0 }));
    let after = gateway
        .counter("carnet_limit_tokens_total{limit=\"daily\"}")
        .await;
    assert_eq!(before, after);
    gateway.finish().await;
}

#[tokio::test]
async fn every_kind_of_request_counts_or_is_refused() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\ntokens = 5000\nevery = \"day\"";
    let used = "carnet_limit_tokens_total{limit=\"daily\"}";
    let gateway = limited(&upstream, "stored_responses = true", &[limit])
        .start()
        .await;
    let vectors = json!({ "model": MODEL, "input": ["a", "b"] });
    let answer = json!({ "object": "list", "model": MODEL, "data": [], "usage": { "prompt_tokens": 5, "total_tokens": 5 } });
    let both = (&gateway, &mut upstream);
    let asked = ("/v1/embeddings", &vectors);
    let (_, record) = answered(both, asked, &answer.to_string()).await;
    assert_eq!(record["tokens"], json!({ "input": 5, "output": 0 }));
    assert_eq!(gateway.counter(used).await, 5);

    let response = json!({
        "id": "resp_1", "object": "response", "model": MODEL, "status": "completed", "output": [],
        "usage": { "input_tokens": 30, "output_tokens": 10 },
    });
    let asked = json!({ "model": MODEL, "input": "Hello" });
    for path in ["/v1/responses", "/v1/responses/compact"] {
        let both = (&gateway, &mut upstream);
        answered(both, (path, &asked), &response.to_string()).await;
    }
    assert_eq!(gateway.counter(used).await, 85);
    // What it was given already is not counted again.
    let request = gateway.request(Method::GET, "/v1/responses/resp_1", "");
    let (again, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(whole("", response.to_string().as_bytes()))
            .await;
        arrival.keep();
    });
    assert_eq!(again.status, 200);
    again.bytes().await;
    assert_eq!(gateway.counter(used).await, 85);
    let asked = json!({ "model": MODEL, "input": "Hello", "background": true });
    let refused = ask(&gateway, "/v1/responses", &asked).await;
    let error = refused.error(400, "field_refused").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("`daily` counts what a request uses"),
        "{message}"
    );

    // Each message of a WebSocket is a request of its own.
    gateway.expect_untold(1);
    let mut socket = gateway.socket().await;
    let message = json!({ "type": "response.create", "model": MODEL, "input": "Hello" });
    let ((), ()) = tokio::join!(
        async {
            socket.send(message.to_string()).await;
            assert_eq!(socket.event().await["type"], "response.completed");
        },
        async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            let event = json!({ "type": "response.completed", "response": response });
            arrival.chunk(&format!("data: {event}\n\n")).await;
            ends(arrival).await;
        }
    );
    until("its tokens", async || {
        (gateway.counter(used).await == 125).then_some(())
    })
    .await;
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn carried_and_counted_requests() {
    let mut upstream = Upstream::start().await;
    let limit = "name = \"daily\"\ntokens = 5000\nevery = \"day\"";
    let used = "carnet_limit_tokens_total{limit=\"daily\"}";
    let messages = json!({ "model": MODEL, "max_tokens": 9, "messages": [{ "role": "user", "content": "Hi" }] });
    let answer = json!({
        "model": "llama3.3:70b", "id": "msg_1", "type": "message", "role": "assistant",
        "content": [{ "type": "text", "text": "Hi" }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 7, "output_tokens": 3 },
    });
    let apis = "apis = [\"bedrock-messages\"]";
    let gateway = limited(&upstream, apis, &[limit]).start().await;
    let both = (&gateway, &mut upstream);
    let (_, record) = answered(both, ("/v1/messages", &messages), &answer.to_string()).await;
    assert_eq!(record["tokens"], json!({ "input": 7, "output": 3 }));
    assert_eq!(gateway.counter(used).await, 10);
    gateway.finish().await;

    let gateway = limited(&upstream, "apis = [\"messages\"]", &[limit])
        .start()
        .await;
    let both = (&gateway, &mut upstream);
    let asked = ("/v1/messages/count_tokens", &messages);
    let (_, record) = answered(both, asked, r#"{"input_tokens":7}"#).await;
    assert_eq!(record["tokens"], json!({ "input": 0, "output": 0 }));
    assert_eq!(gateway.counter(used).await, 0);
    gateway.finish().await;
}

#[tokio::test]
async fn what_was_spent_stays_spent_over_a_sudden_death() {
    let mut upstream = Upstream::start().await;
    let tokens = "name = \"tokens\"\ntokens = 100\nevery = \"day\"";
    let money = "name = \"money\"\nmoney = \"0.001 USD\"\nevery = \"week\"";
    // Ten tokens at two dollars a million, and fifty at ten.
    for (limit, left) in [
        (tokens, "of which 40 tokens are left"),
        (money, "of which 0.00048 USD are left"),
    ] {
        let mut gateway = limited(&upstream, "", &[limit]).server(AMPLE).start().await;
        let told = completion(&json!({ "prompt_tokens": 10, "completion_tokens": 50 }));
        let asked = chat(&json!({ "max_tokens": 60 }));
        let both = (&gateway, &mut upstream);
        answered(both, (CHAT, &asked), &told).await;
        // By now it has been written down.
        sleep(Duration::from_millis(1200)).await;
        gateway.signal(Signal::KILL);
        gateway.ended().await;
        gateway.start_again().await;
        let refused = ask(&gateway, CHAT, &asked).await;
        let error = refused.error(429, CODE).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(left), "{message}");
        gateway.finish().await;
    }
}
