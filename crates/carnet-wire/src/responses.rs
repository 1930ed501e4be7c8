//! How a stream of the Responses API ends when it must: with `response.failed`, which carries on from the events
//! that came before it. Its clients pass over an `error` event.
//!
//! Shape: <https://platform.openai.com/docs/api-reference/responses-streaming/response/failed>.

pub mod kept;
pub mod socket;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};

use crate::limits::MAX_FIRST_EVENT;
use crate::openai::ErrorBody;

const SEQUENCE: &[u8] = b"\"sequence_number\":";
/// The longest end of a piece that can hold the beginning of a number in the next: the key, a space and a number.
const CARRY: usize = SEQUENCE.len() + 24;

/// What of a stream is remembered for the event that may have to end it: its first event, which has the response as
/// it began, and the last number.
#[derive(Clone, Debug, Default)]
pub struct StreamSoFar {
    /// The pieces that the first event is in.
    first: Vec<Bytes>,
    first_bytes: usize,
    /// Whether it is whole, or too long to be kept.
    first_over: bool,
    /// Whether a line has begun, and whether one of data has.
    in_line: bool,
    data: bool,
    /// The end of what came.
    carry: Vec<u8>,
    last: Option<u64>,
}

impl StreamSoFar {
    /// Looks at a piece that goes to the caller.
    pub fn push(&mut self, piece: &Bytes) {
        self.keep_first(piece);
        let head = piece.get(..CARRY).unwrap_or(piece);
        self.carry.extend_from_slice(head);
        let number = last_number(piece).or_else(|| last_number(&self.carry));
        self.last = number.or(self.last);
        if head.len() < piece.len() {
            let tail = piece.len().saturating_sub(CARRY);
            self.carry.clear();
            self.carry.extend(piece.iter().skip(tail));
        }
        let over = self.carry.len().saturating_sub(CARRY);
        self.carry.drain(..over);
    }

    fn keep_first(&mut self, piece: &Bytes) {
        if self.first_over {
            return;
        }
        self.first_bytes = self.first_bytes.saturating_add(piece.len());
        if self.first_bytes > MAX_FIRST_EVENT {
            self.first.clear();
            self.first_over = true;
            return;
        }
        self.first.push(piece.clone());
        for byte in piece {
            match byte {
                b'\n' if self.data && !self.in_line => self.first_over = true,
                b'\n' => self.in_line = false,
                b'\r' => {}
                _ => {
                    self.data |= *byte == b'd' && !self.in_line;
                    self.in_line = true;
                }
            }
        }
    }

    /// The response as the first event has it.
    fn first_event(&self) -> Option<Map<String, Value>> {
        let text = self.first.concat();
        let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.find_map(|line| {
            let data = line.strip_prefix(b"data:")?;
            let mut event: Value = serde_json::from_slice(data).ok()?;
            match event.get_mut("response")?.take() {
                Value::Object(response) => Some(response),
                _ => None,
            }
        })
    }

    /// The event that ends the stream: `response.failed` with the response as it began and the error.
    #[must_use]
    pub fn failed_event(&self, error: &ErrorBody) -> Bytes {
        let mut response = self.first_event().unwrap_or_else(|| {
            Map::from_iter([
                ("object".to_owned(), "response".into()),
                ("output".to_owned(), json!([])),
            ])
        });
        let code = error.code_text().unwrap_or("server_error");
        response.insert("status".to_owned(), "failed".into());
        response.insert(
            "error".to_owned(),
            json!({ "code": code, "message": error.message() }),
        );
        let event = json!({
            "type": "response.failed",
            "sequence_number": self.last.map_or(0, |last| last.saturating_add(1)),
            "response": response,
        });
        Bytes::from(format!("event: response.failed\ndata: {event}\n\n"))
    }
}

/// The last number that is whole. Within a text the key's quotes are escaped, so it is not taken for one.
fn last_number(bytes: &[u8]) -> Option<u64> {
    memmem::rfind_iter(bytes, SEQUENCE).find_map(|at| {
        let rest = bytes.get(at + SEQUENCE.len()..)?.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // A number at the very end may go on in the next piece.
        let number = rest.get(..digits).filter(|_| digits < rest.len())?;
        std::str::from_utf8(number).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "event: response.created\n",
        "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",",
        "\"status\":\"in_progress\",\"error\":null,\"model\":\"m\",\"output\":[],\"instructions\":\"say \\\"hi\\\"\"}}\n\n",
        "event: response.output_text.delta\r\n",
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"sequence_number\\\": 900 \",\"sequence_number\": 12}\r\n\r\n",
    );

    fn failed(pieces: &[&[u8]]) -> Value {
        let mut so_far = StreamSoFar::default();
        for piece in pieces {
            so_far.push(&Bytes::copy_from_slice(piece));
        }
        let event =
            so_far.failed_event(&ErrorBody::new("too slow", "api_error").code("upstream_timeout"));
        let data = event
            .strip_prefix(b"event: response.failed\ndata: ")
            .unwrap();
        serde_json::from_slice(data.strip_suffix(b"\n\n").unwrap()).unwrap()
    }

    #[test]
    fn the_last_event_goes_on_from_the_first_wherever_the_stream_was_cut() {
        let want = json!({
            "type": "response.failed",
            "sequence_number": 13,
            "response": {
                "id": "resp_1", "object": "response", "status": "failed", "model": "m", "output": [],
                "instructions": "say \"hi\"", "error": {"code": "upstream_timeout", "message": "too slow"},
            },
        });
        for size in 1..STREAM.len() {
            let pieces: Vec<&[u8]> = STREAM.as_bytes().chunks(size).collect();
            assert_eq!(failed(&pieces), want, "pieces of {size}");
        }
    }

    #[test]
    fn a_stream_that_says_nothing_is_ended_too() {
        for text in ["", ": keep-alive\n\n", "data: {\"response\": 7}\n\n"] {
            let event = failed(&[text.as_bytes()]);
            assert_eq!(event["sequence_number"], 0);
            assert_eq!(event["response"]["status"], "failed");
        }
    }

    #[test]
    fn a_huge_first_event_is_not_kept() {
        let big = vec![b' '; MAX_FIRST_EVENT + 1];
        let event = failed(&[&big, b"data: {\"sequence_number\":4}\n"]);
        assert_eq!(event["sequence_number"], 5);
        assert!(event["response"].get("id").is_none());
    }
}
