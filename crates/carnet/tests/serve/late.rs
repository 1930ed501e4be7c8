//! Streams that begin before their upstream does.

use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::{COMPLETION, DELTA, DONE, EVENTS, LAST_CHUNK, whole};
use crate::harness::{
    Answer, Gateway, MODEL, ONE_SECOND, Setup, Upstream, chat_body, entry, json_body, within,
};

const KEEP_ALIVE: &str = ": keep-alive\n";
const SOON: &str = "repeats = 9\ncommit_after_seconds = 1\nbreaker_failures = 0";

/// A gateway before two upstreams that offer the same; its streams begin after a second.
async fn before_two() -> (Gateway, Upstream, Upstream) {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let entries = entry("one", &one.base_url(), "") + &entry("two", &two.base_url(), "");
    let setup = Setup::with(&entries).server("keep_alive_seconds = 1");
    let gateway = setup.routing(SOON).start().await;
    (gateway, one, two)
}

/// The paths whose streams take comments, with a request for each.
fn streams() -> [(&'static str, Value); 4] {
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    [
        (
            "/v1/chat/completions",
            json!({ "model": MODEL, "messages": messages, "stream": true }),
        ),
        (
            "/v1/messages",
            json!({ "model": MODEL, "messages": messages, "max_tokens": 9, "stream": true }),
        ),
        (
            "/v1/responses",
            json!({ "model": MODEL, "input": "Hello", "stream": true }),
        ),
        (
            "/v1beta/models/house-model:streamGenerateContent?alt=sse",
            json!({ "contents": [{ "parts": [{ "text": "Hello" }] }] }),
        ),
    ]
}

async fn ask(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let answer = gateway
        .send(gateway.request(Method::POST, path, body.to_string()))
        .await;
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("carnet-decision"), "permit");
    assert_eq!(answer.header("carnet-host"), "rack");
    answer
}

/// How an error ends a stream of this path.
fn ends(path: &str, text: &str, code: &str) {
    let last = text.trim_start_matches(KEEP_ALIVE);
    let begins = match path {
        "/v1/messages" => "event: error\n",
        "/v1/responses" => "event: response.failed\n",
        _ => "data: {\"error\":",
    };
    assert!(last.starts_with(begins), "{path}: {text}");
    assert!(last.to_lowercase().contains(code), "{path}: {text}");
    assert!(text.starts_with(KEEP_ALIVE), "{path}: {text}");
}

#[tokio::test]
async fn it_begins_with_comments_and_goes_on_as_its_upstream_does() {
    let (gateway, mut one, mut two) = before_two().await;
    let chat = &streams()[0];
    // The answer has begun before anything came.
    let (mut answer, mut arrival) = tokio::join!(ask(&gateway, chat.0, &chat.1), one.next());
    let id = answer.record();
    assert_eq!(answer.piece().await.unwrap(), KEEP_ALIVE);
    assert_eq!(answer.piece().await.unwrap(), KEEP_ALIVE);
    arrival.write(EVENTS).await;
    arrival.chunk(DELTA).await;
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    let text = answer.text().await;
    assert_eq!(text.replace(KEEP_ALIVE, ""), format!("{DELTA}{DONE}"));
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "completed");
    assert_eq!(
        (&record["status"], &record["upstream"]),
        (&json!(200), &json!("one"))
    );
    assert_eq!(record["reported_model"], MODEL);
    assert!(two.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn what_fails_from_then_on_is_said_in_it_and_nobody_else_is_asked() {
    let (gateway, mut one, mut two) = before_two().await;
    let busy = json!({ "error": { "message": "slow down, please", "type": "rate_limit" } });
    for (path, body) in streams() {
        let (answer, arrival) = tokio::join!(ask(&gateway, path, &body), one.next());
        let id = answer.record();
        drop(arrival);
        ends(path, &answer.text().await, "upstream_closed");
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "upstream-error", "{path}");
        assert_eq!(record["status"], 200);
        assert_eq!(record["attempts"].as_array().unwrap().len(), 1);

        let (answer, mut arrival) = tokio::join!(ask(&gateway, path, &body), one.next());
        let id = answer.record();
        let said = String::from_utf8(whole("", busy.to_string().as_bytes())).unwrap();
        let said = said.replace("200 OK", "429 Too Many");
        arrival.write(said).await;
        let text = answer.text().await;
        ends(path, &text, "slow down, please");
        assert!(text.contains("status 429"), "{text}");
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "upstream-error", "{path}");
        assert_eq!(record["attempts"][0]["status"], 429);
        // It wanted rest for a second.
        tokio::time::sleep(ONE_SECOND * 11 / 10).await;
    }
    // No stream at all.
    let chat = &streams()[0];
    let (answer, mut arrival) = tokio::join!(ask(&gateway, chat.0, &chat.1), one.next());
    arrival.write(whole("", COMPLETION.as_bytes())).await;
    ends(chat.0, &answer.text().await, "answer_unreadable");
    assert!(two.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn revoking_and_hanging_up_end_it_while_nothing_has_come() {
    let (gateway, mut one, _two) = before_two().await;
    let chat = &streams()[0];
    let (answer, mut arrival) = tokio::join!(ask(&gateway, chat.0, &chat.1), one.next());
    let id = answer.record();
    answer.hang_up();
    within(
        ONE_SECOND * 2,
        "the close at the upstream",
        arrival.closed(),
    )
    .await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "client-gone", "{record:#}");

    let (answer, mut arrival) = tokio::join!(ask(&gateway, chat.0, &chat.1), one.next());
    let id = answer.record();
    gateway.revoke(&gateway.key_id).await;
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    let text = answer.text().await;
    ends(chat.0, &text, "revoked");
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "revoked", "{record:#}");
    gateway.finish().await;
}

#[tokio::test]
async fn what_comes_as_a_whole_waits_for_its_upstream() {
    let (gateway, mut one, mut two) = before_two().await;
    let converse = "/model/house-model/converse-stream";
    let contents = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] });
    let array = "/v1beta/models/house-model:streamGenerateContent";
    let parts = json!({ "contents": [{ "parts": [{ "text": "Hello" }] }] });
    for (path, body) in [
        ("/v1/chat/completions", chat_body(MODEL, false)),
        (converse, contents.to_string()),
        (array, parts.to_string()),
    ] {
        let fails = async {
            let first = one.next().await;
            tokio::time::sleep(ONE_SECOND * 3 / 2).await;
            drop(first);
            drop(two.next().await);
            // Once more, after a wait.
            tokio::select! {
                arrival = one.next() => drop(arrival),
                arrival = two.next() => drop(arrival),
            }
        };
        let request = gateway.request(Method::POST, path, body);
        let (answer, ()) = tokio::join!(gateway.send(request), fails);
        assert_eq!(answer.status, 502, "{path}");
        answer.bytes().await;
    }
    // No wait goes beyond the beginning of a stream.
    let rest = "HTTP/1.1 503 No\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
    let (answer, (), ()) = tokio::join!(
        gateway.chat(chat_body(MODEL, true)),
        async { one.next().await.write(rest).await },
        async { two.next().await.write(rest).await },
    );
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "2")
    );
    assert!(json_body(&answer.text().await).is_empty());
    gateway.finish().await;
}
