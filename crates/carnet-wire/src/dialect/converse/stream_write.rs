//! Writing a stream: messages of the AWS event stream, whose headers say what event each is.

use crate::dialect::{StreamWriter, proof};
use crate::form::{Event, Finish, LossCode, Losses, Piece, Usage};
use crate::json::{Object, Text};
use crate::stream::aws::{Header, HeaderValue, write_message};

use super::answer_write::{stop_reason, write_usage};
use super::failure::write_exception;

/// A writer of one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The number of the open block, or of the next one.
    index: u64,
    open: Option<Open>,
    usage: Usage,
    finish: Finish<'static>,
    /// The body of the message that is being written; kept for its memory.
    payload: Vec<u8>,
    /// Whether something did not fit into a message.
    too_long: bool,
}

/// What the open block is, as far as its deltas differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Open {
    Encrypted,
    Reasoning,
    Text,
    ToolUse { argued: bool },
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            index: 0,
            open: None,
            usage: Usage::default(),
            finish: Finish::Stop,
            payload: Vec::new(),
            too_long: false,
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, next: Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match next {
            Event::Start(_) => {
                self.message(out, "messageStart", |body| body.str("role", "assistant"));
            }
            Event::PartStart(piece) => self.part_start(&piece, out, losses),
            Event::Delta(text) => self.delta(&text, out),
            Event::Signature(text) => self.reasoning(out, "signature", &text),
            Event::PartEnd => self.part_end(out),
            Event::Usage(usage) => self.usage.update(&usage),
            Event::Finish {
                finish,
                stop_sequence,
            } => {
                if stop_sequence.is_some() {
                    losses.add_at(LossCode::FinishReason, "stop_sequence");
                }
                self.finish = finish.into_owned();
            }
            Event::End => self.end(out, losses),
            Event::Failure(failure) => write_exception(&failure, out),
            Event::Citation(_) => losses.add(LossCode::Citations),
            Event::Lost { code, place: "" } => losses.add(code),
            Event::Lost { code, place } => losses.add_at(code, place),
            Event::Ping => {}
        }
    }

    fn is_full(&self) -> bool {
        self.too_long
    }
}

impl Writer {
    fn part_start(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        self.open = Some(match piece {
            Piece::Encrypted { data, .. } => {
                self.reasoning(out, "redactedContent", &proof::wrap(data));
                Open::Encrypted
            }
            Piece::Reasoning => Open::Reasoning,
            Piece::Refusal => {
                losses.add(LossCode::RefusalMark);
                Open::Text
            }
            Piece::Text => Open::Text,
            Piece::ToolUse { id, name } => {
                // Only calls say when they begin.
                let index = self.index;
                self.message(out, "contentBlockStart", |body| {
                    let mut start = body.object("start");
                    let mut tool = start.object("toolUse");
                    tool.text("toolUseId", id);
                    tool.text("name", name);
                    drop(tool);
                    drop(start);
                    body.count("contentBlockIndex", index);
                });
                Open::ToolUse { argued: false }
            }
        });
    }

    fn delta(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        match &mut self.open {
            Some(Open::Text) => self.block_delta(out, |delta| delta.text("text", text)),
            Some(Open::Reasoning) => self.reasoning(out, "text", text),
            Some(Open::ToolUse { argued }) => {
                *argued |= !text.is_blank();
                self.block_delta(out, |delta| delta.object("toolUse").text("input", text));
            }
            Some(Open::Encrypted) | None => {}
        }
    }

    fn reasoning(&mut self, out: &mut Vec<u8>, key: &str, text: &Text<'_>) {
        self.block_delta(out, |delta| {
            delta.object("reasoningContent").text(key, text)
        });
    }

    fn part_end(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        if open == (Open::ToolUse { argued: false }) {
            // A call without arguments is one with an empty object.
            self.block_delta(out, |delta| delta.object("toolUse").str("input", "{}"));
        }
        let index = self.index;
        self.message(out, "contentBlockStop", |body| {
            body.count("contentBlockIndex", index);
        });
        self.index += 1;
    }

    fn block_delta(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        let index = self.index;
        self.message(out, "contentBlockDelta", |body| {
            write(&mut body.object("delta"));
            body.count("contentBlockIndex", index);
        });
    }

    /// The counts come behind the end.
    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        let (reason, usage) = (stop_reason(&self.finish, losses), self.usage);
        self.message(out, "messageStop", |body| body.str("stopReason", reason));
        self.message(out, "metadata", |body| write_usage(&usage, body));
    }

    fn message(&mut self, out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.payload.clear();
        write(&mut Object::open(&mut self.payload));
        let header = |name, value| Header {
            name,
            value: HeaderValue::String(value),
        };
        let headers = [
            header(":event-type", name),
            header(":content-type", "application/json"),
            header(":message-type", "event"),
        ];
        self.too_long |= write_message(out, &headers, &self.payload).is_err();
    }
}
