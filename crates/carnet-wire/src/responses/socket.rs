//! The Responses API over a WebSocket: messages that callers send, as bodies of ordinary requests, and what they get that
//! is no event of a stream.
//!
//! Shapes: the vendor-neutral specification of 2026-04-24, `WebSocketResponseCreateEvent` and `WebSocketErrorEvent`, and
//! openai 3.57.0 (Python package), `types/responses/responses_client_event_param.py` and `responses_server_event.py`.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};

use super::kept;
use crate::json::{self, Edit, Hit, Kind, Scan, ScanError, Watch};
use crate::limits::MAX_DEPTH;

/// A `response.create` message.
#[derive(Debug)]
pub struct Create<'m> {
    message: &'m Bytes,
    scan: Scan,
    previous: Option<Box<str>>,
    generates: bool,
}

/// Why a message is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CreateError {
    /// A member that cannot be said over a WebSocket, or not so.
    #[error("`{field}` {why}")]
    Field {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The message is not JSON that everybody reads alike.
    #[error("the message is not acceptable JSON: {0}")]
    Json(#[from] ScanError),
}

/// How an event ends an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It failed.
    Failed,
    /// It was given, at least in part.
    Given,
}

const TYPE: &str = "type";
const STREAM: &str = "stream";
const GENERATE: &str = "generate";
const BACKGROUND: &str = "background";
const LANE: &str = "stream_id";
const PREVIOUS: &str = "previous_response_id";
const INPUT: &str = "input";

static CREATE: LazyLock<Option<Watch>> =
    LazyLock::new(|| Watch::new([TYPE, STREAM, GENERATE, BACKGROUND, LANE, PREVIOUS, INPUT]).ok());

const RESPONSE_ID: &str = "response.id";
const ITEM: &str = "response.output[]";
const ITEM_TYPE: &str = "response.output[].type";
const ITEM_SECRET: &str = "response.output[].encrypted_content";
const ITEM_THOUGHT: &str = "response.output[].content[]";

static EVENT: LazyLock<Option<Watch>> = LazyLock::new(|| {
    Watch::new([
        TYPE,
        RESPONSE_ID,
        ITEM,
        ITEM_TYPE,
        ITEM_SECRET,
        ITEM_THOUGHT,
    ])
    .ok()
});

/// The first value at a path of a watch.
fn first<'s>(watch: &LazyLock<Option<Watch>>, scan: &'s Scan, path: &str) -> Option<&'s Hit> {
    let index = watch.as_ref()?.index(path)?;
    scan.first(index)
}

impl<'m> Create<'m> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is no JSON, not of this type, or says what cannot be said here.
    pub fn read(message: &'m Bytes) -> Result<Self, CreateError> {
        let wrong = |field, why| CreateError::Field { field, why };
        let watch = CREATE.as_ref();
        let watch = watch.ok_or_else(|| wrong(TYPE, "cannot be looked for"))?;
        let scan = json::scan(message, watch, MAX_DEPTH)?;
        let hit = |path| first(&CREATE, &scan, path);
        let kind = hit(TYPE).and_then(|hit| json::string_value(message, hit).ok());
        if kind.as_deref() != Some("response.create") {
            return Err(wrong(
                TYPE,
                "is not `response.create`, which is all that is served",
            ));
        }
        if hit(BACKGROUND).is_some_and(|hit| json::bool_value(message, hit) != Ok(false)) {
            let why =
                "cannot be asked for over a WebSocket; send the request to `POST /v1/responses`";
            return Err(wrong(BACKGROUND, why));
        }
        if hit(LANE).is_some_and(|hit| hit.kind != Kind::Null) {
            let why = "asks for several answers at once, and one connection gives one after the other; open another one";
            return Err(wrong(LANE, why));
        }
        let previous = match hit(PREVIOUS).filter(|hit| hit.kind != Kind::Null) {
            None => None,
            Some(hit) => {
                let id = json::string_value(message, hit);
                Some(id.map_err(|_| wrong(PREVIOUS, "is not a text"))?.into())
            }
        };
        let generates = match hit(GENERATE).filter(|hit| hit.kind != Kind::Null) {
            None => true,
            Some(hit) => {
                let value = json::bool_value(message, hit);
                value.map_err(|_| wrong(GENERATE, "is not true or false"))?
            }
        };
        Ok(Self {
            message,
            scan,
            previous,
            generates,
        })
    }

    /// The response that it goes on from.
    pub fn previous(&self) -> Option<&str> {
        self.previous.as_deref()
    }

    /// Whether an answer is wanted, or only what is said is to be remembered.
    pub fn generates(&self) -> bool {
        self.generates
    }

    /// The items of its input, with commas between them.
    pub fn items(&self) -> Bytes {
        kept::items(self.message, first(&CREATE, &self.scan, INPUT))
    }

    /// The body by which the same is asked for as a stream. With `items` these are its whole input, and it goes on from no
    /// other response.
    pub fn body(&self, items: Option<&[u8]>) -> Bytes {
        let mut edits = Vec::new();
        let hit = |path| first(&CREATE, &self.scan, path);
        edits.extend(
            [GENERATE, LANE]
                .into_iter()
                .filter_map(hit)
                .map(Edit::remove),
        );
        match (hit(STREAM), hit(TYPE)) {
            (Some(stream), kind) => {
                edits.push(Edit::replace(stream, Bytes::from_static(b"true")));
                edits.extend(kind.map(Edit::remove));
            }
            (None, Some(kind)) => {
                edits.push(kept::instead(self.message, kind, b"\"stream\":true"));
            }
            (None, None) => {}
        }
        if let (Some(items), Some(previous)) = (items, hit(PREVIOUS)) {
            edits.extend(kept::goes_on(self.message, previous, hit(INPUT), items));
        }
        json::splice(self.message, &edits).concat().into()
    }
}

/// Puts two lists of items together.
#[must_use]
pub fn join(first: &[u8], second: &[u8]) -> Bytes {
    let comma: &[u8] = if first.is_empty() || second.is_empty() {
        b""
    } else {
        b","
    };
    [first, comma, second].concat().into()
}

/// How an event ends an answer, if it does.
#[must_use]
pub fn ending(event: &[u8]) -> Option<Ending> {
    // Cheap for the many events that do not: no name of the others has one of these in it.
    let words: [&[u8]; 4] = [b"completed", b"incomplete", b"failed", b"error"];
    words
        .iter()
        .find(|word| memmem::find(event, word).is_some())?;
    let scan = json::scan(event, EVENT.as_ref()?, MAX_DEPTH).ok()?;
    let kind = json::string_value(event, first(&EVENT, &scan, TYPE)?).ok()?;
    match &*kind {
        "response.completed" | "response.incomplete" => Some(Ending::Given),
        "response.failed" | "error" => Some(Ending::Failed),
        _ => None,
    }
}

/// What an answer said, of the event that ended it: its id, and its items as those of a further request, with commas
/// between them. Thoughts that only the service could read again, because it did not give them along, are left out.
#[must_use]
pub fn said(event: &[u8]) -> Option<(Box<str>, Bytes)> {
    let watch = EVENT.as_ref()?;
    let scan = json::scan(event, watch, MAX_DEPTH).ok()?;
    let id = json::string_value(event, first(&EVENT, &scan, RESPONSE_ID)?).ok()?;
    let paths = [ITEM, ITEM_TYPE, ITEM_SECRET, ITEM_THOUGHT].map(|path| watch.index(path));
    let mut items: Vec<&[u8]> = Vec::new();
    let (mut thought, mut given) = (false, false);
    for hit in &scan.hits {
        let path = Some(hit.path);
        if path == paths[0] {
            if thought && !given {
                items.pop();
            }
            (thought, given) = (false, false);
            items.push(event.get(hit.value.clone())?);
        } else if path == paths[1] {
            thought = json::string_value(event, hit).is_ok_and(|kind| kind == "reasoning");
        } else if path == paths[2] {
            given |= hit.kind == Kind::String;
        } else if path == paths[3] {
            given = true;
        }
    }
    if thought && !given {
        items.pop();
    }
    Some((id.into(), items.join(&b","[..]).into()))
}

/// The event that ends an answer which came as a whole.
#[must_use]
pub fn completed_event(response: &[u8]) -> Option<Bytes> {
    json::scan(response, EVENT.as_ref()?, MAX_DEPTH).ok()?;
    let start = br#"{"type":"response.completed","sequence_number":0,"response":"#;
    Some([&start[..], response.trim_ascii(), b"}"].concat().into())
}

/// The event of an error, of its status and the body that it has over HTTP.
#[must_use]
pub fn error_event(status: u16, body: &[u8], retry_after: Option<&str>) -> Bytes {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut error = match body.get("error") {
        Some(Value::Object(error)) => error.clone(),
        Some(Value::String(message)) => Map::from_iter([("message".to_owned(), json!(message))]),
        _ => Map::new(),
    };
    let text = |error: &Map<String, Value>, key: &str| {
        let text = error.get(key).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    let class = text(&error, "type").unwrap_or_else(|| "server_error".to_owned());
    let code = text(&error, "code").unwrap_or_else(|| class.clone());
    let message =
        text(&error, "message").unwrap_or_else(|| format!("the upstream answered {status}"));
    for (key, value) in [("type", class), ("code", code), ("message", message)] {
        error.insert(key.to_owned(), value.into());
    }
    if let Some(retry_after) = retry_after {
        error.insert("headers".to_owned(), json!({ "retry-after": retry_after }));
    }
    json!({ "type": "error", "status": status, "error": error })
        .to_string()
        .into()
}

/// The two events of an answer that nobody was asked for: what was said is remembered under this id.
#[must_use]
pub fn prepared_events(id: &str, created: u64, model: &str) -> [Bytes; 2] {
    let mut response = json!({
        "id": id, "object": "response", "created_at": created, "completed_at": null, "status": "in_progress",
        "background": false, "error": null, "frequency_penalty": 0, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "max_tool_calls": null, "metadata": {}, "model": model, "output": [],
        "parallel_tool_calls": true, "presence_penalty": 0, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": { "effort": null, "summary": null }, "safety_identifier": null, "service_tier": "default",
        "store": false, "temperature": 1, "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [],
        "top_logprobs": 0, "top_p": 1, "truncation": "disabled", "usage": null,
    });
    let first = json!({ "type": "response.created", "sequence_number": 0, "response": response });
    let first = first.to_string().into();
    if let Some(response) = response.as_object_mut() {
        response.insert("status".to_owned(), "completed".into());
        response.insert("completed_at".to_owned(), created.into());
        let usage = json!({
            "input_tokens": 0, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 0,
            "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 0,
        });
        response.insert("usage".to_owned(), usage);
    }
    let last = json!({ "type": "response.completed", "sequence_number": 1, "response": response });
    [first, last.to_string().into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn body(message: &str, items: Option<&str>) -> Value {
        let message = bytes(message);
        let create = Create::read(&message).unwrap();
        serde_json::from_slice(&create.body(items.map(str::as_bytes))).unwrap()
    }

    #[test]
    fn a_message_becomes_the_body_of_a_streamed_request() {
        for (message, want) in [
            (
                r#"{"type":"response.create","model":"m","input":"hi"}"#,
                json!({"stream": true, "model": "m", "input": "hi"}),
            ),
            (
                r#"{ "model": "m" , "type" : "response.create" }"#,
                json!({"model": "m", "stream": true}),
            ),
            (
                r#"{"stream":false,"type":"response.create","generate":true,"stream_id":null,"background":false}"#,
                json!({"stream": true, "background": false}),
            ),
            (r#"{"type":"response.create"}"#, json!({"stream": true})),
            (
                r#"{"previous_response_id":"r","type":"response.create"}"#,
                json!({"previous_response_id": "r", "stream": true}),
            ),
        ] {
            assert_eq!(body(message, None), want, "{message}");
        }
    }

    #[test]
    fn a_message_goes_on_from_items_in_place_of_an_id() {
        let items = Some(r#"{"a":1},{"b":2}"#);
        let input = json!([{"a": 1}, {"b": 2}]);
        for message in [
            r#"{"type":"response.create","previous_response_id":"r","input":"hi","model":"m"}"#,
            r#"{"model":"m","input":[],"type":"response.create","previous_response_id":"r"}"#,
            r#"{"previous_response_id" : "r", "model":"m","type":"response.create"}"#,
        ] {
            let want = json!({"stream": true, "input": input, "model": "m"});
            assert_eq!(body(message, items), want, "{message}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_told_by_its_name() {
        for (message, field) in [
            ("{}", TYPE),
            (r#"{"type":"response.append"}"#, TYPE),
            (r#"{"type":7}"#, TYPE),
            (
                r#"{"type":"response.create","background":true}"#,
                BACKGROUND,
            ),
            (
                r#"{"type":"response.create","background":null}"#,
                BACKGROUND,
            ),
            (r#"{"type":"response.create","stream_id":"a"}"#, LANE),
            (
                r#"{"type":"response.create","previous_response_id":1}"#,
                PREVIOUS,
            ),
            (r#"{"type":"response.create","generate":"no"}"#, GENERATE),
        ] {
            let message = bytes(message);
            let why = Create::read(&message).unwrap_err();
            assert!(why.to_string().starts_with(&format!("`{field}` ")), "{why}");
        }
        for message in ["", "[]", "{", r#"{"type":"response.create","Type":"x"}"#] {
            let message = bytes(message);
            assert!(
                matches!(Create::read(&message), Err(CreateError::Json(_))),
                "{message:?}"
            );
        }
    }

    #[test]
    fn items_are_those_of_the_input() {
        for (input, want) in [
            (r#","input":[ {"a":[1,2]} , 3 ]"#, r#"{"a":[1,2]} , 3"#),
            (r#","input":[]"#, ""),
            (
                r#","input":"h\"i""#,
                r#"{"type":"message","role":"user","content":"h\"i"}"#,
            ),
            (r#","input":null"#, ""),
            ("", ""),
        ] {
            let message = bytes(&format!(r#"{{"type":"response.create"{input}}}"#));
            assert_eq!(Create::read(&message).unwrap().items(), want, "{input}");
        }
        assert_eq!(join(b"", b"1"), "1");
        assert_eq!(join(b"1", b""), "1");
        assert_eq!(join(b"1", b"2"), "1,2");
    }

    #[test]
    fn events_end_an_answer_by_their_type_alone() {
        for (event, want) in [
            (
                r#"{"type":"response.completed","response":{}}"#,
                Some(Ending::Given),
            ),
            (
                r#"{"response":{"type":"x"},"type":"response.incomplete"}"#,
                Some(Ending::Given),
            ),
            (r#"{"type":"response.failed"}"#, Some(Ending::Failed)),
            (r#"{"type":"error","code":"x"}"#, Some(Ending::Failed)),
            (
                r#"{"type":"response.output_text.delta","delta":"response.completed"}"#,
                None,
            ),
            (r#"{"type":"response.web_search_call.completed"}"#, None),
            (r#"{"type":"response.in_progress"}"#, None),
            ("error", None),
        ] {
            assert_eq!(ending(event.as_bytes()), want, "{event}");
        }
    }

    #[test]
    fn what_was_said_goes_on_without_thoughts_that_only_the_service_has() {
        let event = concat!(
            r#"{"type":"response.completed","response":{"output":["#,
            r#"{"type":"reasoning","id":"rs_1","encrypted_content":null},{"type":"reasoning","encrypted_content":"x"},"#,
            r#"{"type":"message","content":[{"type":"output_text","text":"a"}]},{"id":"rs_2","type":"reasoning"}],"id":"resp_1"}}"#,
        );
        let (id, items) = said(event.as_bytes()).unwrap();
        assert_eq!(&*id, "resp_1");
        let want = concat!(
            r#"{"type":"reasoning","encrypted_content":"x"},"#,
            r#"{"type":"message","content":[{"type":"output_text","text":"a"}]}"#,
        );
        assert_eq!(items, want);
        assert_eq!(said(br#"{"response":{"output":[]}}"#), None);
    }

    #[test]
    fn errors_have_what_their_readers_need() {
        for (body, want) in [
            (
                r#"{"error":{"message":"no","type":"t","param":"p","code":"c","record":"rec_1"}}"#,
                json!({"message": "no", "type": "t", "param": "p", "code": "c", "record": "rec_1"}),
            ),
            (
                r#"{"error":{"message":"no","type":"t","code":null}}"#,
                json!({"message": "no", "type": "t", "code": "t"}),
            ),
            (
                r#"{"error":"no"}"#,
                json!({"message": "no", "type": "server_error", "code": "server_error"}),
            ),
            (
                "<html>",
                json!({"message": "the upstream answered 502", "type": "server_error", "code": "server_error"}),
            ),
        ] {
            let event: Value =
                serde_json::from_slice(&error_event(502, body.as_bytes(), None)).unwrap();
            assert_eq!(
                event,
                json!({"type": "error", "status": 502, "error": want}),
                "{body}"
            );
        }
        let event: Value = serde_json::from_slice(&error_event(429, b"{}", Some("3"))).unwrap();
        assert_eq!(event["error"]["headers"]["retry-after"], "3");
    }

    #[test]
    fn a_whole_answer_is_one_event() {
        let event = completed_event(b" {\"id\":\"r\"} \n").unwrap();
        assert_eq!(ending(&event), Some(Ending::Given));
        assert_eq!(completed_event(b"no"), None);
    }
}
