//! Listening in on an answer for the tokens that it says were used, while the bytes pass.
//!
//! A stream is read event by event only where an event may tell of them; all others cost one search for a word. Of an
//! answer that comes as a whole nothing is kept but the object that tells.

use std::sync::LazyLock;

use memchr::{memchr2, memmem};

use crate::dialect::{Dialect, read_usage};
use crate::form::Usage;
use crate::json::{Document, Value};
use crate::limits::{MAX_DEPTH, MAX_USAGE};
use crate::stream::aws::AwsDecoder;
use crate::stream::sse::{Block, SseParser};

use super::Framing;

/// How every name begins under which usage is told.
const WORD: &[u8] = b"\"usage";
/// Finds it; made once, since most events are looked through for it alone.
static FIND: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(WORD));
/// How an event ends behind which another one begins.
const ENDS: [&[u8]; 2] = [b"\n\n", b"\r\n\r\n"];

/// A push parser for what an answer has used. Cutting the answer elsewhere never changes its result.
///
/// ```
/// use carnet_wire::dialect::Dialect;
/// use carnet_wire::sniff::{Framing, ReportedUsage};
///
/// let mut sniff = ReportedUsage::new(Dialect::Messages, Some(Framing::EventStream));
/// sniff.push(b"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n");
/// sniff.push(b"data: {\"type\":\"message_delta\",\"usage\":{\"output_tok");
/// sniff.push(b"ens\":30}}\n\n");
/// let usage = sniff.usage().unwrap();
/// assert_eq!((usage.prompt_including().0, usage.output()), (7, 30));
/// ```
#[derive(Debug)]
pub struct ReportedUsage {
    dialect: Dialect,
    reading: Reading,
    usage: Usage,
}

#[derive(Debug)]
enum Reading {
    Aws(AwsDecoder),
    Events(SseParser),
    /// Nothing more can be read.
    Over,
    Whole(Catcher),
}

impl ReportedUsage {
    /// Starts at the beginning of an answer of a dialect; one without a framing is an AWS event stream.
    #[must_use]
    pub fn new(dialect: Dialect, framing: Option<Framing>) -> Self {
        Self {
            dialect,
            reading: match framing {
                None => Reading::Aws(AwsDecoder::new()),
                Some(Framing::EventStream) => Reading::Events(SseParser::new()),
                Some(Framing::Json) => Reading::Whole(Catcher::new(name(dialect))),
            },
            usage: Usage::default(),
        }
    }

    /// What has been told so far, if anything.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        Some(&self.usage).filter(|usage| !usage.is_empty())
    }

    /// Looks at the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        let (dialect, usage) = (self.dialect, &mut self.usage);
        let mut rest = chunk;
        let over = match &mut self.reading {
            Reading::Over => return,
            Reading::Whole(catcher) => {
                for byte_run in catcher.push(chunk) {
                    tell(dialect, &byte_run, usage);
                }
                false
            }
            Reading::Events(parser) => {
                let whole = parser.at_boundary() && ENDS.iter().any(|end| chunk.ends_with(end));
                if whole && FIND.find(chunk).is_none() {
                    return;
                }
                loop {
                    match parser.next(&mut rest) {
                        Ok(Some(Block::Event(event))) => tell_of(dialect, event.data, usage),
                        Ok(Some(Block::Comment(_))) => {}
                        Ok(None) => break false,
                        Err(_) => break true,
                    }
                }
            }
            Reading::Aws(decoder) => loop {
                match decoder.next(&mut rest) {
                    Ok(Some(message)) => tell_of(dialect, message.payload, usage),
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            },
        };
        if over {
            self.reading = Reading::Over;
        }
    }
}

/// The name under which a dialect tells usage.
fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::GenerateContent => "usageMetadata",
        _ => "usage",
    }
}

/// Takes over what an event says, if it says it.
fn tell_of(dialect: Dialect, event: &[u8], usage: &mut Usage) {
    if !may_tell(dialect, event) {
        return;
    }
    let Ok(document) = Document::read(event, MAX_DEPTH) else {
        return;
    };
    let name = name(dialect);
    let root = document.root();
    let inside = ["message", "response"]
        .into_iter()
        .filter_map(|key| root.get(key));
    for holder in std::iter::once(root).chain(inside) {
        if let Some(told) = holder.get(name) {
            update(dialect, told, usage);
        }
    }
}

/// Whether the name stands there with an object behind it: some services put `null` there in every event. Each byte is
/// looked at a fixed number of times, whatever stands there.
fn may_tell(dialect: Dialect, event: &[u8]) -> bool {
    let name = name(dialect).as_bytes();
    FIND.find_iter(event).any(|at| {
        let behind = event.get(at + 1..).and_then(|key| key.strip_prefix(name));
        let behind = behind.and_then(|rest| rest.strip_prefix(b"\""));
        let behind = behind.and_then(|rest| rest.trim_ascii_start().strip_prefix(b":"));
        behind.is_some_and(|value| value.trim_ascii_start().first() == Some(&b'{'))
    })
}

/// Takes over what an object says.
fn tell(dialect: Dialect, object: &[u8], usage: &mut Usage) {
    if let Ok(document) = Document::read(object, MAX_DEPTH) {
        update(dialect, document.root(), usage);
    }
}

fn update(dialect: Dialect, told: Value<'_>, usage: &mut Usage) {
    if let Some(told) = read_usage(dialect, told) {
        usage.update(&told);
    }
}

/// A push parser for an object that is a member of a JSON object, or of the objects in an array, with nothing remembered
/// but the nesting and that object.
#[derive(Debug)]
struct Catcher {
    name: &'static str,
    /// Open objects and arrays.
    depth: usize,
    /// How deep the members lie that may have the name.
    level: usize,
    at: At,
    escape: bool,
    /// The key at hand, as far as it can be the name.
    key: Vec<u8>,
    /// The object that is being caught.
    caught: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    /// In the object that was looked for, between its texts.
    Caught,
    /// In a text of that object.
    CaughtText,
    /// In a key.
    Key,
    /// Where a key may begin.
    KeyBegins,
    /// Before anything.
    Start,
    /// In a text that is no key.
    Text,
    /// Elsewhere.
    Value,
    /// Behind the name that was looked for.
    Wanted,
}

impl Catcher {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            depth: 0,
            level: 1,
            at: At::Start,
            escape: false,
            key: Vec::new(),
            caught: Vec::new(),
        }
    }

    /// Looks at the next bytes; the objects that end in them.
    fn push(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut rest = chunk;
        loop {
            // What stands between the bytes that matter is passed over, or kept, at once.
            if !self.escape {
                let end = match self.at {
                    At::Key | At::Text | At::CaughtText => memchr2(b'"', b'\\', rest),
                    At::Caught => rest.iter().position(|byte| b"\"[]{}".contains(byte)),
                    At::Value => rest.iter().position(|byte| b"\"[]{},".contains(byte)),
                    At::KeyBegins | At::Start | At::Wanted => Some(0),
                };
                let run = rest.split_at_checked(end.unwrap_or(rest.len()));
                let (run, behind) = run.unwrap_or_default();
                match self.at {
                    At::Caught | At::CaughtText => self.catch(run),
                    At::Key => self.spell(run),
                    At::KeyBegins | At::Start | At::Text | At::Value | At::Wanted => {}
                }
                rest = behind;
            }
            let Some((byte, behind)) = rest.split_first() else {
                return found;
            };
            rest = behind;
            match self.at {
                At::Key | At::Text | At::CaughtText => self.in_text(*byte),
                At::Caught => {
                    if let Some(object) = self.in_caught(*byte) {
                        found.push(object);
                    }
                }
                At::KeyBegins | At::Start | At::Value | At::Wanted => self.between(*byte),
            }
        }
    }

    fn in_text(&mut self, byte: u8) {
        if self.at == At::CaughtText {
            self.catch(&[byte]);
        }
        let ends = byte == b'"' && !self.escape;
        self.escape = byte == b'\\' && !self.escape;
        if !ends {
            if self.at == At::Key {
                self.spell(&[byte]);
            }
            return;
        }
        self.at = match self.at {
            At::Key if self.key == self.name.as_bytes() => At::Wanted,
            At::CaughtText => At::Caught,
            _ => At::Value,
        };
    }

    /// A part of a key, of which one byte more than the name has is enough to tell that it is another.
    fn spell(&mut self, part: &[u8]) {
        let room = (self.name.len() + 1).saturating_sub(self.key.len());
        let kept = part.get(..part.len().min(room)).unwrap_or_default();
        self.key.extend_from_slice(kept);
    }

    fn in_caught(&mut self, byte: u8) -> Option<Vec<u8>> {
        self.catch(&[byte]);
        match byte {
            b'"' => self.at = At::CaughtText,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == self.level {
                    self.at = At::Value;
                    let caught = std::mem::take(&mut self.caught);
                    return Some(caught).filter(|caught| caught.len() <= MAX_USAGE);
                }
            }
            _ => {}
        }
        None
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'[' if self.at == At::Start => {
                self.depth = 1;
                self.level = 2;
                self.at = At::Value;
            }
            b'{' if self.at == At::Wanted => {
                self.depth += 1;
                self.caught.clear();
                self.catch(b"{");
                self.at = At::Caught;
            }
            b'{' | b'[' => {
                self.depth += 1;
                let members = byte == b'{' && self.depth == self.level;
                self.at = if members { At::KeyBegins } else { At::Value };
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.at = At::Value;
            }
            b',' if self.depth == self.level => self.at = At::KeyBegins,
            b'"' => {
                self.key.clear();
                self.at = if self.at == At::KeyBegins {
                    At::Key
                } else {
                    At::Text
                };
            }
            // A byte order mark is forgiven in an answer.
            b':' | b' ' | b'\n' | b'\r' | b'\t' | b'\xEF' | b'\xBB' | b'\xBF' => {}
            _ if self.at == At::Wanted => self.at = At::Value,
            _ => {}
        }
    }

    /// Keeps what is caught, up to one byte over the bound.
    fn catch(&mut self, bytes: &[u8]) {
        let room = (MAX_USAGE + 1).saturating_sub(self.caught.len());
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.caught.extend_from_slice(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::aws::{Header, HeaderValue, write_message};

    fn told(dialect: Dialect, framing: Option<Framing>, answer: &[u8]) -> Option<Usage> {
        let mut whole = ReportedUsage::new(dialect, framing);
        whole.push(answer);
        let mut bytes = ReportedUsage::new(dialect, framing);
        for byte in answer {
            bytes.push(&[*byte]);
        }
        assert_eq!(bytes.usage(), whole.usage());
        for cut in 0..answer.len() {
            let mut cut_once = ReportedUsage::new(dialect, framing);
            let (before, after) = answer.split_at(cut);
            cut_once.push(before);
            cut_once.push(after);
            assert_eq!(cut_once.usage(), whole.usage(), "cut at {cut}");
        }
        whole.usage().copied()
    }

    fn counts(dialect: Dialect, framing: Framing, answer: &str) -> Option<(u64, u64)> {
        let usage = told(dialect, Some(framing), answer.as_bytes())?;
        Some((usage.prompt_including().0, usage.output()))
    }

    #[test]
    fn whole_answers() {
        use Dialect::{Chat, Converse, GenerateContent, Messages, Responses};
        for (dialect, answer) in [
            (
                Chat,
                r#"{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":9}"}}],"usage":{"prompt_tokens":7,"completion_tokens":30,"a":{"b":["}"]}}}"#,
            ),
            (
                Chat,
                r#" { "usage" : { "prompt_tokens" : 7, "completion_tokens" : 30 } } "#,
            ),
            (
                Responses,
                r#"{"output":[{"usage":{"input_tokens":1}}],"usage":{"input_tokens":7,"output_tokens":30}}"#,
            ),
            (
                Messages,
                r#"{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":1,"output_tokens":1}}}],"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":30}}"#,
            ),
            (
                Converse,
                r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":7,"outputTokens":30}}"#,
            ),
            (
                GenerateContent,
                r#"{"candidates":[],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":20,"thoughtsTokenCount":10}}"#,
            ),
            (
                GenerateContent,
                "[{\"usageMetadata\":{\"promptTokenCount\":7}}\n,{\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":7,\"candidatesTokenCount\":30}}\n]",
            ),
        ] {
            assert_eq!(
                counts(dialect, Framing::Json, answer),
                Some((7, 30)),
                "{answer}"
            );
        }
        for nothing in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"usage":null,"a":{"prompt_tokens":1}}"#,
            r#"{"usage":"{","b":{"prompt_tokens":1,"completion_tokens":1}}"#,
            r#"{"usages":{"prompt_tokens":1}}"#,
            r#"{"usag":{"prompt_tokens":1}}"#,
            r#"{"a":{"usage":{"prompt_tokens":1}}}"#,
            r#"{"usage":{"prompt_tokens":"#,
        ] {
            assert_eq!(counts(Chat, Framing::Json, nothing), None, "{nothing}");
        }
    }

    #[test]
    fn streams() {
        use Dialect::{Chat, GenerateContent, Responses};
        for (dialect, answer) in [
            (
                Chat,
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":30}}\n\ndata: [DONE]\n\n",
            ),
            // Sums so far, in every event; the last one counts.
            (
                Chat,
                "data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\r\n\r\ndata: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":30}}\r\n\r\n",
            ),
            (
                Responses,
                "event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"output_tokens\":30}}}\n\n",
            ),
            (
                GenerateContent,
                "data: {\"usageMetadata\": {\"promptTokenCount\": 7,\"candidatesTokenCount\": 30}}\r\n\r\n",
            ),
        ] {
            assert_eq!(
                counts(dialect, Framing::EventStream, answer),
                Some((7, 30)),
                "{answer}"
            );
        }
        let content = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\"}}]}\n\n";
        assert_eq!(counts(Chat, Framing::EventStream, content), None);
    }

    /// Were each of them followed to the end, it would take hours.
    #[test]
    fn names_without_values_cost_no_multiple_of_their_length() {
        let event = format!("data: {}\n\n", "\"usage".repeat(1 << 20));
        let mut sniff = ReportedUsage::new(Dialect::Chat, Some(Framing::EventStream));
        sniff.push(event.as_bytes());
        assert_eq!(sniff.usage(), None);
    }

    #[test]
    fn frames() {
        let mut answer = Vec::new();
        let kind = [Header {
            name: ":event-type",
            value: HeaderValue::String("metadata"),
        }];
        write_message(&mut answer, &[], br#"{"delta":{"text":"a"}}"#).unwrap();
        write_message(
            &mut answer,
            &kind,
            br#"{"usage":{"inputTokens":7,"outputTokens":30}}"#,
        )
        .unwrap();
        let usage = told(Dialect::Converse, None, &answer).unwrap();
        assert_eq!((usage.prompt_including().0, usage.output()), (7, 30));
        // Behind a broken frame nothing can be read.
        answer.splice(0..4, [0xff; 4]);
        assert_eq!(told(Dialect::Converse, None, &answer), None);
    }

    #[test]
    fn an_object_over_the_bound_tells_nothing() {
        let long = "1".repeat(MAX_USAGE);
        let answer = format!(r#"{{"usage":{{"prompt_tokens":7,"b":"{long}"}}}}"#);
        let mut sniff = ReportedUsage::new(Dialect::Chat, Some(Framing::Json));
        sniff.push(answer.as_bytes());
        assert_eq!(sniff.usage(), None);
    }
}
