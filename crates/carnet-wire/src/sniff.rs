//! Listening in on an answer for the model that it says it comes from, and for the id that it gives a response, while
//! the bytes pass.
//!
//! The first name counts, because the answer is held back only until there is one. Nothing is validated here beyond
//! what finding the name needs.

mod finder;
mod rename;
mod said;
mod sse;
mod unasked;
mod usage;
mod whole;

#[cfg(test)]
mod tests;

use finder::{Finder, Found, Idle, Search};
use memchr::memchr2;
pub use rename::ModelRename;
pub use said::SaidTexts;
use sse::{Lines, Piece};
pub use unasked::UnaskedUsage;
pub use usage::ReportedUsage;
pub use whole::JsonEnd;

use crate::limits::{MAX_SNIFFED, MAX_SNIFFED_WHOLE};

/// How an answer is framed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Server-sent events. The name is also looked for in the top-level `response` and `message`, where the events
    /// that open a stream of some dialects have it.
    EventStream,
    /// One JSON object.
    Json,
}

impl Framing {
    /// The framing that a `content-type` header names; JSON unless it is an event stream.
    pub fn of_content_type(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else {
            Self::Json
        }
    }
}

/// What is known about the reported model so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reported {
    /// No name, and none will be looked for any more.
    Absent(Absence),
    /// The name, unescaped and never empty.
    Model(String),
    /// Not seen yet.
    Pending,
}

/// Why there is no name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Absence {
    /// The answer ended without one.
    #[error("the answer names no model")]
    Ended,
    /// It was not among the first bytes.
    #[error("the answer names no model in the part that was searched")]
    Limit,
    /// The answer is no JSON object.
    #[error("the answer is not a JSON object")]
    NotJson,
    /// The name has half of a surrogate pair, bad escapes or bytes that are not UTF-8.
    #[error("the answer names a model in invalid text")]
    NotText,
    /// The name is longer than any that can be resolved.
    #[error("the answer names a model with an overlong name")]
    TooLong,
}

/// A push parser for the reported model. Cutting the answer elsewhere never changes its result.
///
/// ```
/// use carnet_wire::sniff::{Framing, Reported, ReportedModel};
///
/// let mut sniff = ReportedModel::new(Framing::EventStream);
/// assert_eq!(sniff.push(b": keep-alive\n\ndata: {\"id\":\"1\",\"mod"), &Reported::Pending);
/// assert_eq!(sniff.push(b"el\":\"a-1\",\"choices\":[]}\n\n"), &Reported::Model("a-1".to_owned()));
/// ```
#[derive(Clone, Debug)]
pub struct ReportedModel {
    framing: Framing,
    lines: Lines,
    finder: Finder,
    left: usize,
    /// Whether something else than comments has come.
    begun: bool,
    /// Whether the next byte begins a line, and whether this one is a comment, which does not count.
    line_begins: bool,
    comment: bool,
    reported: Reported,
}

impl ReportedModel {
    /// Starts at the beginning of an answer and gives up after [`MAX_SNIFFED_WHOLE`] bytes of it, and behind the first
    /// event of a stream after [`MAX_SNIFFED`] more.
    pub fn new(framing: Framing) -> Self {
        Self::with_limit(framing, MAX_SNIFFED_WHOLE)
    }

    /// Starts at the beginning of an answer and gives up after so many bytes.
    pub fn with_limit(framing: Framing, limit: usize) -> Self {
        Self::searching(framing, Search::model(framing), limit)
    }

    fn searching(framing: Framing, search: Search, limit: usize) -> Self {
        Self {
            framing,
            lines: Lines::default(),
            finder: Finder::new(search),
            left: limit,
            begun: false,
            line_begins: true,
            comment: false,
            reported: Reported::Pending,
        }
    }

    /// Looks at the next bytes. Once the result is not [`Reported::Pending`], further bytes are ignored.
    pub fn push(&mut self, chunk: &[u8]) -> &Reported {
        let mut rest = chunk;
        while matches!(self.reported, Reported::Pending) {
            let idle = self.idle(rest).min(self.left);
            self.left -= idle;
            rest = rest.get(idle..).unwrap_or_default();
            if let Some(text) = self.text_at_once(rest) {
                let passed = text.len() + 1;
                self.left -= passed;
                rest = rest.get(passed..).unwrap_or_default();
                let found = self.finder.text(text);
                self.found(found);
                continue;
            }
            let Some((byte, after)) = rest.split_first() else {
                break;
            };
            rest = after;
            self.byte(*byte);
        }
        &self.reported
    }

    /// A text that begins here and ends within the next bytes, with nothing in it that has to be read byte by byte.
    fn text_at_once<'c>(&self, next: &'c [u8]) -> Option<&'c [u8]> {
        let room = self.finder.text_begins()?;
        let (text, end) = next.split_at_checked(memchr2(b'"', b'\\', next)?)?;
        let cut = self.framing == Framing::EventStream
            && (!self.lines.in_data() || memchr2(b'\n', b'\r', text).is_some());
        let whole = !cut && end.first() == Some(&b'"') && text.len() < self.left.min(room);
        whole.then_some(text)
    }

    fn byte(&mut self, byte: u8) {
        if self.is_comment(byte) {
            return self.stream_byte(byte);
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => {
                self.reported = Reported::Absent(Absence::Limit);
                return;
            }
        }
        match self.framing {
            Framing::EventStream => self.stream_byte(byte),
            Framing::Json => self.json_byte(byte),
        }
    }

    /// How many of the next bytes stand in a text that is not looked for, or behind what was looked at, and change nothing.
    /// All that is looked at is passed, so that no byte is looked at again for each that comes before it.
    fn idle(&self, next: &[u8]) -> usize {
        let found = match (self.framing, self.finder.idles()) {
            (_, Idle::No) => Some(0),
            (Framing::EventStream, _) if !self.lines.in_data() => Some(0),
            (Framing::EventStream, Idle::ToEnd) => memchr2(b'\n', b'\r', next),
            (Framing::EventStream, Idle::ToQuote) => {
                let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | b'\n' | b'\r');
                next.iter().position(ends)
            }
            (Framing::Json, Idle::ToEnd) => None,
            (Framing::Json, Idle::ToQuote) => memchr2(b'"', b'\\', next),
        };
        found.unwrap_or(next.len())
    }

    /// Says that the answer has ended.
    pub fn finish(&mut self) -> &Reported {
        if self.reported == Reported::Pending {
            self.reported = Reported::Absent(Absence::Ended);
        }
        &self.reported
    }

    /// What is known so far.
    pub fn reported(&self) -> &Reported {
        &self.reported
    }

    /// Whether a byte belongs to a comment of a stream, by which upstreams keep a connection alive.
    fn is_comment(&mut self, byte: u8) -> bool {
        if self.framing == Framing::Json {
            return false;
        }
        if self.line_begins {
            self.comment = byte == b':';
        }
        self.line_begins = matches!(byte, b'\n' | b'\r');
        self.comment
    }

    fn json_byte(&mut self, byte: u8) {
        let found = self.finder.push(byte);
        self.found(found);
    }

    fn found(&mut self, found: Found) {
        match found {
            Found::Absent(absence) => self.reported = Reported::Absent(absence),
            Found::Text(name) => self.reported = Reported::Model(name),
            Found::Nothing => {}
        }
    }

    fn stream_byte(&mut self, byte: u8) {
        match self.lines.push(byte) {
            Piece::Data(byte) => {
                self.begun = true;
                self.json_byte(byte);
                // An event without a name, or without JSON such as `[DONE]`, says nothing about the next one.
                if let Reported::Absent(Absence::Ended | Absence::NotJson) = self.reported {
                    self.reported = Reported::Pending;
                }
            }
            Piece::EventEnd => {
                self.finder.restart();
                if self.begun {
                    self.left = self.left.min(MAX_SNIFFED);
                    self.begun = false;
                }
            }
            Piece::Nothing => {}
        }
    }
}

/// A push parser for the id by which a response can be referred to later: `id` of an answer of the Responses API, and in
/// a stream of its events that of their `response`.
///
/// ```
/// use carnet_wire::sniff::{Framing, ResponseId};
///
/// let mut sniff = ResponseId::new(Framing::EventStream);
/// assert_eq!(sniff.push(b"data: {\"type\":\"response.created\",\"response\":{\"id\":\"re"), None);
/// assert_eq!(sniff.push(b"sp_1\",\"model\":\"a\"}}\n\n"), Some("resp_1"));
/// ```
#[derive(Clone, Debug)]
pub struct ResponseId(ReportedModel);

impl ResponseId {
    /// Starts at the beginning of an answer, with the bounds of [`ReportedModel::new`].
    pub fn new(framing: Framing) -> Self {
        let search = Search::response_id(framing);
        Self(ReportedModel::searching(framing, search, MAX_SNIFFED_WHOLE))
    }

    /// Looks at the next bytes. The id, once all of it has been seen.
    pub fn push(&mut self, chunk: &[u8]) -> Option<&str> {
        match self.0.push(chunk) {
            Reported::Model(id) => Some(id),
            Reported::Absent(_) | Reported::Pending => None,
        }
    }
}
