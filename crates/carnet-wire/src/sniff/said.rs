//! Listening in on an answer for the texts that a model has written in it, so that they can be counted where nobody
//! tells how many tokens they were.
//!
//! Every dialect puts them under a few names; what stands under others is ids, names of kinds and the like. The events
//! of one dialect repeat at the end of a text what came before, so that there only the pieces count.

use crate::dialect::Dialect;
use crate::json::{Document, Kind, Value};
use crate::limits::{MAX_DEPTH, MAX_SAID};
use crate::stream::aws::AwsDecoder;
use crate::stream::sse::{Block, SseParser};

use super::Framing;

/// The names of texts.
const TEXTS: [&str; 11] = [
    "arguments",
    "content",
    "input",
    "name",
    "partial_json",
    "reasoning",
    "reasoning_content",
    "refusal",
    "text",
    "thinking",
    "tool_plan",
];
/// The names of the arguments of a call, where they come as an object.
const OBJECTS: [&str; 2] = ["args", "input"];
/// The name of a piece of a text in the events of Responses.
const PIECE: &str = "delta";

/// A push parser for what a model says in an answer.
///
/// ```
/// use carnet_wire::dialect::Dialect;
/// use carnet_wire::sniff::{Framing, SaidTexts};
///
/// let mut said = String::new();
/// let mut sniff = SaidTexts::new(Dialect::Chat, Some(Framing::EventStream));
/// sniff.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n", &mut |text| said.push_str(text));
/// sniff.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n", &mut |text| said.push_str(text));
/// assert_eq!(said, "Hello");
/// ```
#[derive(Debug)]
pub struct SaidTexts {
    dialect: Dialect,
    reading: Reading,
    /// Bytes that are not read.
    unread: usize,
}

#[derive(Debug)]
enum Reading {
    Aws(AwsDecoder),
    Events(SseParser),
    /// Nothing more can be read.
    Over,
    Whole(Vec<u8>),
}

impl SaidTexts {
    /// Starts at the beginning of an answer of a dialect; one without a framing is an AWS event stream.
    #[must_use]
    pub fn new(dialect: Dialect, framing: Option<Framing>) -> Self {
        Self {
            dialect,
            reading: match framing {
                None => Reading::Aws(AwsDecoder::new()),
                Some(Framing::EventStream) => Reading::Events(SseParser::new()),
                Some(Framing::Json) => Reading::Whole(Vec::new()),
            },
            unread: 0,
        }
    }

    /// Looks at the next bytes, and gives each text in them. Those of an answer that is no stream are given at its end.
    pub fn push(&mut self, chunk: &[u8], said: &mut dyn FnMut(&str)) {
        let dialect = self.dialect;
        let mut rest = chunk;
        let over = match &mut self.reading {
            Reading::Over => {
                self.unread = self.unread.saturating_add(chunk.len());
                return;
            }
            Reading::Whole(whole) => {
                let room = MAX_SAID.saturating_sub(whole.len());
                let (kept, unread) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
                whole.extend_from_slice(kept);
                self.unread = self.unread.saturating_add(unread.len());
                return;
            }
            Reading::Events(parser) => loop {
                match parser.next(&mut rest) {
                    Ok(Some(Block::Event(event))) => of_event(dialect, event.data, said),
                    Ok(Some(Block::Comment(_))) => {}
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            },
            Reading::Aws(decoder) => loop {
                match decoder.next(&mut rest) {
                    Ok(Some(message)) => of_event(dialect, message.payload, said),
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            },
        };
        if over {
            self.unread = self.unread.saturating_add(rest.len());
            self.reading = Reading::Over;
        }
    }

    /// Gives the texts of an answer that came as a whole, as far as it has come. How many bytes of it could not be read.
    pub fn finish(&mut self, said: &mut dyn FnMut(&str)) -> usize {
        let unread = std::mem::take(&mut self.unread);
        let Reading::Whole(whole) = &mut self.reading else {
            return unread;
        };
        let whole = std::mem::take(whole);
        if whole.trim_ascii().is_empty() {
            return unread;
        }
        match Document::read(&whole, MAX_DEPTH) {
            Ok(document) => {
                within(document.root(), said);
                unread
            }
            Err(_) => unread.saturating_add(whole.len()),
        }
    }
}

fn of_event(dialect: Dialect, event: &[u8], said: &mut dyn FnMut(&str)) {
    let Ok(document) = Document::read(event, MAX_DEPTH) else {
        return;
    };
    let root = document.root();
    if dialect != Dialect::Responses {
        return within(root, said);
    }
    if let Some(piece) = root.get(PIECE).and_then(Value::string) {
        said(&piece);
    }
}

// INVARIANT: a document is nested at most MAX_DEPTH deep, so that this may recurse.
fn within(value: Value<'_>, said: &mut dyn FnMut(&str)) {
    for element in value.elements() {
        within(element, said);
    }
    for (name, member) in value.members() {
        match member.kind() {
            Kind::String if TEXTS.contains(&&*name) => {
                if let Some(text) = member.string() {
                    said(&text);
                }
            }
            Kind::Object if OBJECTS.contains(&&*name) => said(member.raw()),
            Kind::Array | Kind::Object => within(member, said),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::aws::write_message;

    fn said(dialect: Dialect, framing: Option<Framing>, answer: &[u8], size: usize) -> Vec<String> {
        let mut texts = Vec::new();
        let mut sniff = SaidTexts::new(dialect, framing);
        let mut take = |text: &str| texts.push(text.to_owned());
        for piece in answer.chunks(size) {
            sniff.push(piece, &mut take);
        }
        assert_eq!(sniff.finish(&mut take), 0);
        texts
    }

    fn check(dialect: Dialect, framing: Option<Framing>, answer: &[u8], want: &[&str]) {
        for size in [1, 3, answer.len()] {
            assert_eq!(
                said(dialect, framing, answer, size),
                want,
                "{dialect} by {size}"
            );
        }
    }

    #[test]
    fn every_dialect_says_it_under_names_of_its_own() {
        use Dialect::{Chat, Cohere, Converse, GenerateContent, Messages, Responses};
        for (dialect, answer, want) in [
            (
                Chat,
                r#"{"id":"c","model":"m","choices":[{"message":{"role":"assistant","content":"a","reasoning_content":"b","tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]}},{"message":{"content":"c"}}],"usage":{"prompt_tokens":1}}"#,
                &["a", "b", "f", "{}", "c"][..],
            ),
            (
                Chat,
                r#"{"choices":[{"text":"a","logprobs":{"tokens":["a"]}}]}"#,
                &["a"],
            ),
            (
                Messages,
                r#"{"type":"message","role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"zz"},{"type":"text","text":"b"},{"type":"tool_use","id":"t","name":"f","input":{"x":1}}]}"#,
                &["a", "b", "f", r#"{"x":1}"#],
            ),
            (
                Responses,
                r#"{"id":"r","output":[{"type":"reasoning","summary":[{"text":"a"}]},{"type":"message","content":[{"type":"output_text","text":"b"}]},{"type":"function_call","name":"f","arguments":"{}"}]}"#,
                &["a", "b", "f", "{}"],
            ),
            (
                GenerateContent,
                r#"[{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"f","args":{"x":1}}}]}}]}]"#,
                &["a", "f", r#"{"x":1}"#],
            ),
            (
                Converse,
                r#"{"output":{"message":{"content":[{"reasoningContent":{"reasoningText":{"text":"a"}}},{"text":"b"},{"toolUse":{"toolUseId":"t","name":"f","input":{"x":1}}}]}}}"#,
                &["a", "b", "f", r#"{"x":1}"#],
            ),
            (
                Cohere,
                r#"{"message":{"tool_plan":"a","content":[{"type":"text","text":"b"}]}}"#,
                &["a", "b"],
            ),
        ] {
            check(dialect, Some(Framing::Json), answer.as_bytes(), want);
        }
    }

    #[test]
    fn of_streams_each_text_counts_once() {
        use Dialect::{Messages, Responses};
        for (dialect, events, want) in [
            (
                Messages,
                r#"data: {"type":"content_block_start","content_block":{"type":"text","text":""}}

data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}

data: {"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}

"#,
                &["", "a", "{"][..],
            ),
            (
                Responses,
                r#"data: {"type":"response.output_text.delta","delta":"a"}

data: {"type":"response.output_text.done","text":"a"}

data: {"type":"response.completed","response":{"output":[{"content":[{"text":"a"}]}]}}

"#,
                &["a"],
            ),
        ] {
            check(dialect, Some(Framing::EventStream), events.as_bytes(), want);
        }
        let mut frames = Vec::new();
        write_message(&mut frames, &[], br#"{"delta":{"text":"a"}}"#).unwrap();
        write_message(&mut frames, &[], br#"{"delta":{"toolUse":{"input":"b"}}}"#).unwrap();
        check(Dialect::Converse, None, &frames, &["a", "b"]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut sniff = SaidTexts::new(Dialect::Chat, Some(Framing::Json));
        sniff.push(b"{\"choices\":[", &mut |_| {});
        assert_eq!(sniff.finish(&mut |_| {}), 12);
        sniff.push(&vec![b' '; MAX_SAID + 5], &mut |_| {});
        assert_eq!(sniff.finish(&mut |_| {}), 5);
    }
}
