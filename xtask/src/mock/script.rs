//! What the mock answers when it replays nothing: told by words in the prompt, such as
//! `chunks=20 gap_ms=100 status=429 retry_after=1`.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::agent;
use super::http::{Conversation, Request};
use super::ledger::End;

/// What the prompt's words ask for.
#[derive(Debug, PartialEq, Eq)]
struct Script {
    /// Pieces of a streamed answer, and words of any.
    chunks: usize,
    /// Pause before each piece but the first.
    gap: Duration,
    /// Pause before the first byte.
    first: Duration,
    /// An error instead of an answer.
    status: Option<u16>,
    /// Seconds in the error's `retry-after`.
    retry_after: Option<String>,
    /// Hang up after so many pieces; 0 hangs up without a word.
    cut_after: Option<usize>,
    /// The model that the answer says it is from, where that is not the one asked for.
    reported: Option<String>,
    /// Where a redirect points.
    location: Option<String>,
}

impl Script {
    fn read(prompt: &str) -> Self {
        let value = |key: &str| {
            let words = prompt.split_whitespace();
            words
                .filter_map(|word| word.split_once('='))
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| value)
                .next_back()
        };
        let number = |key: &str| value(key).and_then(|value| value.parse::<usize>().ok());
        let pause = |key: &str| {
            Duration::from_millis(number(key).and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
        };
        Self {
            chunks: number("chunks").unwrap_or(5),
            gap: pause("gap_ms"),
            first: pause("first_ms"),
            status: value("status").and_then(|value| value.parse().ok()),
            retry_after: value("retry_after").map(str::to_owned),
            cut_after: number("cut_after"),
            reported: value("reported").map(str::to_owned),
            location: value("location").map(str::to_owned),
        }
    }
}

/// The text of the last message.
fn prompt(body: &Value) -> String {
    let last = body
        .get("messages")
        .and_then(Value::as_array)
        .and_then(|messages| messages.last());
    match last.and_then(|message| message.get("content")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<_> = parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect();
            texts.join(" ")
        }
        _ => String::new(),
    }
}

/// Answers a request; `sent` is told how many pieces go out.
pub(super) fn play(
    talk: &mut Conversation,
    request: &Request,
    body: &Value,
    number: usize,
    sent: &mut dyn FnMut(usize),
) -> End {
    let path = request.path.split('?').next().unwrap_or_default();
    if request.method == "POST" && agent::speaks(path) {
        return end(agent::play(talk, request, body));
    }
    if request.method != "POST" || !path.ends_with("/chat/completions") {
        return end(other(talk, &request.method, path));
    }
    let script = Script::read(&prompt(body));
    if talk.wait(script.first).is_err() {
        return End::ClosedByPeer;
    }
    if script.cut_after == Some(0) {
        talk.hang_up();
        return End::ClosedByMock;
    }
    if let Some(status) = script.status {
        return end(fail(talk, status, &script));
    }
    let model = script
        .reported
        .as_deref()
        .or_else(|| body.get("model")?.as_str())
        .unwrap_or("none")
        .to_owned();
    if body.get("stream").and_then(Value::as_bool) != Some(true) {
        sent(1);
        return end(talk.json(
            200,
            &[("x-request-id", &format!("mock-{number}"))],
            &plain(&script, &model, number),
        ));
    }
    let usage = body
        .pointer("/stream_options/include_usage")
        .and_then(Value::as_bool)
        == Some(true);
    match stream(talk, &script, &model, number, usage, sent) {
        Ok(true) => End::Answered,
        Ok(false) => {
            talk.hang_up();
            End::ClosedByMock
        }
        Err(_) => End::ClosedByPeer,
    }
}

fn end(result: io::Result<()>) -> End {
    if result.is_ok() {
        End::Answered
    } else {
        End::ClosedByPeer
    }
}

fn other(talk: &mut Conversation, method: &str, path: &str) -> io::Result<()> {
    if method == "GET" && path.ends_with("/models") {
        return talk.json(200, &[], &json!({"object": "list", "data": [{"id": "mock-model", "object": "model", "created": 0, "owned_by": "mock"}]}));
    }
    let message = format!("the mock serves no {method} {path}");
    talk.json(404, &[], &json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "not_found"}}))
}

fn fail(talk: &mut Conversation, status: u16, script: &Script) -> io::Result<()> {
    let mut headers = Vec::new();
    if let Some(seconds) = &script.retry_after {
        headers.push(("retry-after", seconds.as_str()));
    }
    if let Some(location) = &script.location {
        headers.push(("location", location.as_str()));
    }
    let error = json!({"message": format!("the mock was told to answer {status}"), "type": "mock_error", "param": null, "code": "mock"});
    talk.json(status, &headers, &json!({"error": error}))
}

fn plain(script: &Script, model: &str, number: usize) -> Value {
    let content: String = (0..script.chunks).map(word).collect();
    json!({
        "id": format!("chatcmpl-mock-{number}"), "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": usage(script),
    })
}

fn usage(script: &Script) -> Value {
    json!({"prompt_tokens": 3, "completion_tokens": script.chunks, "total_tokens": script.chunks + 3})
}

/// A piece of the answer. Some have characters of several bytes, to be cut apart.
fn word(index: usize) -> String {
    format!("wörd{index}☂ ")
}

/// Streams the answer; false where the script says to hang up.
fn stream(
    talk: &mut Conversation,
    script: &Script,
    model: &str,
    number: usize,
    with_usage: bool,
    sent: &mut dyn FnMut(usize),
) -> io::Result<bool> {
    talk.head(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache"),
        ],
        None,
    )?;
    let event = |choices: Value, usage: Value| {
        let id = format!("chatcmpl-mock-{number}");
        let mut chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices});
        if let (true, Some(chunk)) = (with_usage, chunk.as_object_mut()) {
            chunk.insert("usage".to_owned(), usage);
        }
        format!("data: {chunk}\n\n").into_bytes()
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    for index in 0..script.chunks {
        if script.cut_after == Some(index) {
            return Ok(false);
        }
        if index > 0 {
            talk.wait(script.gap)?;
        }
        // Told before: who has a piece may ask at once how many are out.
        sent(index + 1);
        talk.chunk(&event(
            choice(
                json!({"role": "assistant", "content": word(index)}),
                Value::Null,
            ),
            Value::Null,
        ))?;
    }
    talk.chunk(&event(choice(json!({}), json!("stop")), Value::Null))?;
    if with_usage {
        talk.chunk(&event(json!([]), usage(script)))?;
    }
    talk.chunk(b"data: [DONE]\n\n")?;
    talk.chunk(b"")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_steers() {
        let script =
            Script::read("Say something. chunks=3 gap_ms=20 status=429 retry_after=0.1 chunks=4");
        assert_eq!(script.chunks, 4);
        assert_eq!(script.gap, Duration::from_millis(20));
        assert_eq!(script.status, Some(429));
        assert_eq!(script.retry_after.as_deref(), Some("0.1"));
        assert_eq!(Script::read("nothing = told").chunks, 5);
    }

    #[test]
    fn the_last_message_is_the_prompt() {
        let text = json!({"messages": [{"content": "a"}, {"content": "b"}]});
        let parts = json!({"messages": [{"content": [{"type": "text", "text": "b"}, {"type": "image_url"}]}]});
        assert_eq!(prompt(&text), "b");
        assert_eq!(prompt(&parts), "b");
        assert_eq!(prompt(&json!([])), "");
    }
}
