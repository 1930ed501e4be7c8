//! Writing a stream: a message that opens, blocks that open, grow and close, and the message's end.

use crate::dialect::sse::event;
use crate::dialect::{Caller, StreamWriter};
use crate::form::{Event, Failure, Finish, LossCode, Losses, Piece, Start, Usage};
use crate::json::{Object, Text};

use super::answer_write::write_stop;
use super::failure::write_failure;
use super::usage::write_usage;

/// A writer of one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    caller: Caller,
    /// The number of the open block, or of the next one.
    index: u64,
    open: Option<Open>,
    usage: Usage,
    finish: Finish<'static>,
    stop_sequence: Option<Text<'static>>,
}

/// What the open block is, as far as its deltas differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Open {
    Encrypted,
    Reasoning,
    Text,
    ToolUse { argued: bool },
}

impl Writer {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            caller: caller.clone(),
            index: 0,
            open: None,
            usage: Usage::default(),
            finish: Finish::Stop,
            stop_sequence: None,
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, next: Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match next {
            Event::Start(start) => self.start(&start, out),
            Event::PartStart(piece) => self.part_start(&piece, out, losses),
            Event::Delta(text) => self.delta(&text, out),
            Event::Signature(text) => self.block_delta(out, "signature_delta", "signature", &text),
            Event::PartEnd => self.part_end(out),
            Event::Usage(usage) => self.usage.update(&usage),
            Event::Finish {
                finish,
                stop_sequence,
            } => {
                self.finish = finish.into_owned();
                self.stop_sequence = stop_sequence.map(Text::into_owned);
            }
            Event::End => self.end(out, losses),
            Event::Failure(failure) => write_failed(&failure, out),
            // Its own citations point into what only the service has.
            Event::Citation(_) => losses.add(LossCode::Citations),
            Event::Lost { code, place: "" } => losses.add(code),
            Event::Lost { code, place } => losses.add_at(code, place),
            Event::Ping => named(out, "ping", |_| {}),
        }
    }
}

impl Writer {
    fn start(&self, start: &Start<'_>, out: &mut Vec<u8>) {
        named(out, "message_start", |body| {
            let mut message = body.object("message");
            match &start.id {
                Some(id) => message.text("id", id),
                None => message.str("id", &self.caller.id),
            }
            message.str("type", "message");
            message.str("role", "assistant");
            message.text("model", &start.model.clone().unwrap_or_default());
            drop(message.array("content"));
            message.null("stop_reason");
            message.null("stop_sequence");
            write_usage(&self.usage, &mut message.object("usage"));
        });
    }

    fn part_start(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        self.open = Some(match piece {
            Piece::Encrypted { .. } => Open::Encrypted,
            Piece::Reasoning => Open::Reasoning,
            Piece::Refusal => {
                losses.add(LossCode::RefusalMark);
                Open::Text
            }
            Piece::Text => Open::Text,
            Piece::ToolUse { .. } => Open::ToolUse { argued: false },
        });
        named(out, "content_block_start", |body| {
            body.count("index", self.index);
            let mut block = body.object("content_block");
            match piece {
                Piece::Encrypted { data, .. } => {
                    block.str("type", "redacted_thinking");
                    block.text("data", data);
                }
                Piece::Reasoning => {
                    block.str("type", "thinking");
                    block.str("thinking", "");
                    block.str("signature", "");
                }
                Piece::Refusal | Piece::Text => {
                    block.str("type", "text");
                    block.str("text", "");
                }
                Piece::ToolUse { id, name } => {
                    block.str("type", "tool_use");
                    block.text("id", id);
                    block.text("name", name);
                    drop(block.object("input"));
                }
            }
        });
    }

    fn delta(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        match &mut self.open {
            Some(Open::Text) => self.block_delta(out, "text_delta", "text", text),
            Some(Open::Reasoning) => self.block_delta(out, "thinking_delta", "thinking", text),
            Some(Open::ToolUse { argued }) => {
                *argued |= !text.is_blank();
                self.block_delta(out, "input_json_delta", "partial_json", text);
            }
            Some(Open::Encrypted) | None => {}
        }
    }

    fn part_end(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        if open == (Open::ToolUse { argued: false }) {
            // A call without arguments is one with an empty object.
            self.block_delta(out, "input_json_delta", "partial_json", &Text::new("{}"));
        }
        named(out, "content_block_stop", |body| {
            body.count("index", self.index)
        });
        self.index += 1;
    }

    fn block_delta(&self, out: &mut Vec<u8>, kind: &str, key: &str, text: &Text<'_>) {
        named(out, "content_block_delta", |body| {
            body.count("index", self.index);
            let mut delta = body.object("delta");
            delta.str("type", kind);
            delta.text(key, text);
        });
    }

    fn end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        named(out, "message_delta", |body| {
            let mut delta = body.object("delta");
            write_stop(
                &self.finish,
                self.stop_sequence.as_ref(),
                &mut delta,
                losses,
            );
            drop(delta);
            // Only now are all counts known, so all stand here.
            write_usage(&self.usage, &mut body.object("usage"));
        });
        named(out, "message_stop", |_| {});
    }
}

/// Writes an event with its name, which its data repeats.
fn named(out: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Object<'_>)) {
    event(out, Some(name), |out| {
        let mut body = Object::open(out);
        body.str("type", name);
        data(&mut body);
    });
}

fn write_failed(failure: &Failure<'_>, out: &mut Vec<u8>) {
    event(out, Some("error"), |out| write_failure(failure, out));
}
