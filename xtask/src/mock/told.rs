//! Answers that a driver in another process wrote out: `/__answer` takes a list of them, and each answers one request, in
//! order. What is streamed is written as its events, whatever frames the dialect puts them in.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::http::Conversation;
use super::ledger::End;

/// How the media type of events in binary frames ends; all others are lines of text.
const BINARY: &str = ".eventstream";

/// An answer.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    status: u16,
    headers: BTreeMap<String, String>,
    #[serde(flatten)]
    body: Body,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Events(Vec<Event>),
    Json(Value),
}

/// An event of a stream; an exception ends a binary one.
#[derive(Debug, Deserialize)]
struct Event {
    event: Option<String>,
    exception: Option<String>,
    data: Value,
}

/// What is still to be answered with.
#[derive(Default)]
pub(super) struct Queue(Mutex<VecDeque<Told>>);

impl Queue {
    /// In the place of what is left from before.
    pub(super) fn replace(&self, answers: Vec<Told>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answers.into();
    }

    pub(super) fn next(&self) -> Option<Told> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }
}

/// Gives an answer.
pub(super) fn play(talk: &mut Conversation, told: &Told) -> End {
    match send(talk, told) {
        Ok(()) => End::Answered,
        Err(_) => End::ClosedByPeer,
    }
}

fn send(talk: &mut Conversation, told: &Told) -> io::Result<()> {
    let headers: Vec<_> = told
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    match &told.body {
        Body::Json(body) => talk.json(told.status, &headers, body),
        Body::Events(events) => {
            talk.head(told.status, &headers, None)?;
            let binary = told
                .headers
                .get("content-type")
                .is_some_and(|media_type| media_type.ends_with(BINARY));
            for event in events {
                talk.chunk(&if binary {
                    event.binary()
                } else {
                    event.lines()
                })?;
            }
            talk.chunk(b"")
        }
    }
}

impl Event {
    fn data(&self) -> String {
        match &self.data {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn lines(&self) -> Vec<u8> {
        let name = self.event.as_ref();
        let name = name
            .map(|name| format!("event: {name}\n"))
            .unwrap_or_default();
        format!("{name}data: {}\n\n", self.data()).into_bytes()
    }

    /// A message of AWS's event streams: lengths and their checksum, headers of strings, payload, checksum of it all.
    fn binary(&self) -> Vec<u8> {
        let (kind, named, name) = match (&self.exception, &self.event) {
            (Some(name), _) => ("exception", ":exception-type", name.as_str()),
            (None, name) => ("event", ":event-type", name.as_deref().unwrap_or_default()),
        };
        let mut headers = Vec::new();
        for (header, value) in [
            (":message-type", kind),
            (named, name),
            (":content-type", "application/json"),
        ] {
            headers.push(u8::try_from(header.len()).unwrap_or(u8::MAX));
            headers.extend(header.as_bytes());
            // A string, whose length takes two bytes.
            headers.push(7);
            headers.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            headers.extend(value.as_bytes());
        }
        let payload = self.data().into_bytes();
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
        let mut message = Vec::new();
        message.extend(length(16 + headers.len() + payload.len()));
        message.extend(length(headers.len()));
        message.extend(crc32fast::hash(&message).to_be_bytes());
        message.extend(headers);
        message.extend(payload);
        message.extend(crc32fast::hash(&message).to_be_bytes());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> serde_json::Result<Told> {
        serde_json::from_str(text)
    }

    #[test]
    fn events_have_the_frames_of_their_dialect() {
        let event = |text: &str| serde_json::from_str::<Event>(text).unwrap();
        let named = event(r#"{"event": "a", "data": {"b": 1}}"#);
        assert_eq!(named.lines(), b"event: a\ndata: {\"b\":1}\n\n");
        assert_eq!(event(r#"{"data": "[DONE]"}"#).lines(), b"data: [DONE]\n\n");
        let message = named.binary();
        // Three headers of a name and a value, each with 4 bytes of lengths and kind; then 7 of payload.
        let headers: u32 = 12 + (13 + 5) + (11 + 1) + (13 + 16);
        let lengths = [(16 + headers + 7).to_be_bytes(), headers.to_be_bytes()].concat();
        assert!(message.starts_with(&lengths));
        assert_eq!(u32::try_from(message.len()).unwrap(), 16 + headers + 7);
        let failed = event(r#"{"exception": "e", "data": {}}"#).binary();
        let text = String::from_utf8_lossy(&failed);
        assert!(text.contains(":exception-type") && !text.contains(":event-type"));
    }

    #[test]
    fn an_answer_has_a_body_of_one_kind() {
        assert!(told(r#"{"status": 200, "headers": {}, "json": {}}"#).is_ok());
        assert!(told(r#"{"status": 200, "headers": {}, "events": [{"data": "x"}]}"#).is_ok());
        assert!(told(r#"{"status": 200, "headers": {}, "text": "x"}"#).is_err());
    }

    #[test]
    fn each_answer_is_given_once() {
        let queue = Queue::default();
        queue.replace(vec![
            told(r#"{"status": 201, "headers": {}, "json": 1}"#).unwrap(),
        ]);
        assert_eq!(queue.next().map(|told| told.status), Some(201));
        assert!(queue.next().is_none());
    }
}
