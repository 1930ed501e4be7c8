//! Reading a stream, which has the beginnings and ends of its blocks.

use crate::dialect::shape::{Read, at_most, member, object, optional};
use crate::dialect::{Emit, StreamReader, cut_off};
use crate::form::{Event, Finish, LossCode, Piece, Start, TakenIds};
use crate::json::{Document, Text, Value};
use crate::limits::{MAX_DEPTH, MAX_TOOL_CALLS};

use super::answer_read::read_finish;
use super::blocks::citation;
use super::failure::read_failure;
use super::usage::read_usage;

/// Members of a message that begins which are read, or say nothing yet.
const MESSAGE: &[&str] = &[
    "content",
    "id",
    "model",
    "role",
    "stop_reason",
    "stop_sequence",
    "type",
    "usage",
];

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    ended: bool,
    /// A block that the form knows is open.
    open: bool,
    calls: usize,
    ids: TakenIds,
    finish: Option<Finish<'static>>,
    stop_sequence: Option<Text<'static>>,
}

impl StreamReader for Reader {
    fn push(&mut self, _name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()> {
        let document = Document::read(data, MAX_DEPTH)?;
        let root = object(document.root(), "the event")?;
        let kind = member(root, "type", "type")?;
        match kind.token() {
            "message_start" => self.message_start(root, emit),
            "content_block_start" => self.block_start(root, emit)?,
            "content_block_delta" => self.block_delta(root, emit),
            "content_block_stop" => self.block_stop(emit),
            "message_delta" => self.message_delta(root, emit),
            "message_stop" => self.end(emit),
            "ping" => emit(Event::Ping),
            "error" => {
                self.ended = true;
                emit(Event::Failure(read_failure(200, root)));
            }
            _ => emit(Event::Lost {
                code: LossCode::UnknownPart,
                place: &kind.plain(),
            }),
        }
        Ok(())
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        if self.finish.is_some() {
            self.end(emit);
        } else if !self.ended {
            self.ended = true;
            emit(cut_off());
        }
    }
}

impl Reader {
    fn message_start(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        let message = root.get("message").unwrap_or(root);
        self.start(
            Start {
                id: optional(message, "id").filter(|id| !id.is_empty()),
                model: optional(message, "model").filter(|model| !model.is_empty()),
                created: None,
            },
            emit,
        );
        self.usage(message, emit);
        lose_beside(message, MESSAGE, emit);
    }

    fn start(&mut self, start: Start<'_>, emit: &mut Emit<'_>) {
        if !self.started {
            self.started = true;
            emit(Event::Start(start));
        }
    }

    fn usage(&self, value: Value<'_>, emit: &mut Emit<'_>) {
        let usage = value.get("usage").map(read_usage);
        if let Some(usage) = usage.filter(|usage| !usage.is_empty()) {
            emit(Event::Usage(usage));
        }
    }

    fn block_start(&mut self, root: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        self.start(Start::default(), emit);
        self.block_stop(emit);
        let block = root.get("content_block").unwrap_or(root);
        let kind = optional(block, "type").unwrap_or_default();
        let piece = match kind.token() {
            "text" => Piece::Text,
            "thinking" => Piece::Reasoning,
            "redacted_thinking" => Piece::Encrypted {
                data: optional(block, "data").unwrap_or_default(),
                id: None,
                format: None,
            },
            "tool_use" => {
                self.calls += 1;
                at_most(self.calls, MAX_TOOL_CALLS, "tool calls")?;
                Piece::ToolUse {
                    id: self.ids.unique(optional(block, "id").unwrap_or_default()),
                    name: member(block, "name", "content_block.name")?,
                }
            }
            _ => {
                emit(Event::Lost {
                    code: LossCode::UnknownPart,
                    place: &kind.plain(),
                });
                return Ok(());
            }
        };
        self.open = true;
        emit(Event::PartStart(piece));
        self.already_there(block, kind.token(), emit);
        Ok(())
    }

    /// What a block begins with; mostly nothing.
    fn already_there(&self, block: Value<'_>, kind: &str, emit: &mut Emit<'_>) {
        let start = match kind {
            "text" => optional(block, "text"),
            "thinking" => optional(block, "thinking"),
            "tool_use" => block
                .get("input")
                .filter(|input| input.members().next().is_some())
                .map(|input| Text::new(input.raw())),
            _ => None,
        };
        if let Some(text) = start.filter(|text| !text.is_empty()) {
            emit(Event::Delta(text));
        }
        for one in block.get("citations").into_iter().flat_map(Value::elements) {
            emit(Event::Citation(citation(one)));
        }
        if let Some(signature) =
            optional(block, "signature").filter(|signature| !signature.is_empty())
        {
            emit(Event::Signature(signature));
        }
    }

    fn block_delta(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        let Some(delta) = root.get("delta").filter(|_| self.open) else {
            return;
        };
        let kind = optional(delta, "type").unwrap_or_default();
        let key = match kind.token() {
            "text_delta" => "text",
            "thinking_delta" => "thinking",
            "input_json_delta" => "partial_json",
            "signature_delta" => {
                emit(Event::Signature(
                    optional(delta, "signature").unwrap_or_default(),
                ));
                return;
            }
            "citations_delta" => {
                if let Some(one) = delta.get("citation") {
                    emit(Event::Citation(citation(one)));
                }
                return;
            }
            _ => {
                emit(Event::Lost {
                    code: LossCode::UnknownPart,
                    place: &kind.plain(),
                });
                return;
            }
        };
        if let Some(text) = optional(delta, key).filter(|text| !text.is_empty()) {
            emit(Event::Delta(text));
        }
    }

    fn block_stop(&mut self, emit: &mut Emit<'_>) {
        if std::mem::take(&mut self.open) {
            emit(Event::PartEnd);
        }
    }

    fn message_delta(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        self.usage(root, emit);
        lose_beside(root, &["delta", "type", "usage"], emit);
        let Some(delta) = root.get("delta") else {
            return;
        };
        lose_beside(delta, &["stop_reason", "stop_sequence"], emit);
        if let Some(reason) = optional(delta, "stop_reason") {
            self.finish = Some(read_finish(reason).into_owned());
        }
        if let Some(text) = optional(delta, "stop_sequence") {
            self.stop_sequence = Some(text.into_owned());
        }
    }

    fn end(&mut self, emit: &mut Emit<'_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.start(Start::default(), emit);
        self.block_stop(emit);
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        emit(Event::Finish {
            finish: finish.agreeing(self.calls > 0),
            stop_sequence: self.stop_sequence.take(),
        });
        emit(Event::End);
    }
}

/// Names what stands beside the members that are read.
fn lose_beside(value: Value<'_>, known: &[&str], emit: &mut Emit<'_>) {
    for (key, value) in value.members() {
        if !value.is_null() && !known.contains(&&*key) {
            emit(Event::Lost {
                code: LossCode::UnknownMember,
                place: &key,
            });
        }
    }
}
