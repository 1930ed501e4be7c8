//! Reading a stream. Only calls say when they begin; the counts come behind the end.

use crate::dialect::order::{Order, Slot};
use crate::dialect::shape::{Read, at_most, member, object, optional};
use crate::dialect::{Emit, StreamReader, cut_off};
use crate::form::{Event, Finish, LossCode, Piece, Start, TakenIds};
use crate::json::{Document, Text, Value};
use crate::limits::{MAX_DEPTH, MAX_TOOL_CALLS};

use super::answer_read::{lost, read_finish, read_usage};
use super::failure::read_exception;

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    ended: bool,
    calls: usize,
    ids: TakenIds,
    order: Order,
    finish: Option<Finish<'static>>,
}

impl StreamReader for Reader {
    fn push(&mut self, name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()> {
        let document = Document::read(data, MAX_DEPTH)?;
        let root = object(document.root(), "the event")?;
        if let Some(failure) = read_exception(name, root) {
            self.ended = true;
            emit(Event::Failure(failure));
            return Ok(());
        }
        self.start(emit);
        let index = root
            .get("contentBlockIndex")
            .and_then(Value::count)
            .unwrap_or_default();
        match name {
            "messageStart" => {}
            "contentBlockStart" => self.block_start(index, root, emit)?,
            "contentBlockDelta" => self.block_delta(index, root, emit),
            "contentBlockStop" => {
                for slot in [Slot::Text, Slot::Reasoning, Slot::Call(index)] {
                    self.order.finish(&slot, emit);
                }
            }
            "messageStop" => {
                self.finish =
                    optional(root, "stopReason").map(|reason| read_finish(reason).into_owned())
            }
            "metadata" => self.metadata(root, emit),
            other => emit(Event::Lost {
                code: LossCode::UnknownPart,
                place: other,
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
    fn start(&mut self, emit: &mut Emit<'_>) {
        if !self.started {
            self.started = true;
            emit(Event::Start(Start::default()));
        }
    }

    fn block_start(&mut self, index: u64, root: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        let Some(start) = root.get("start") else {
            return Ok(());
        };
        if let Some(call) = start.get("toolUse") {
            self.calls += 1;
            at_most(self.calls, MAX_TOOL_CALLS, "tool calls")?;
            let id = self
                .ids
                .unique(optional(call, "toolUseId").unwrap_or_default());
            let name = member(call, "name", "toolUse.name")?;
            self.order.open_call(index, id, name, emit);
        } else if let Some((kind, _)) = start.members().next() {
            emit(Event::Lost {
                code: LossCode::UnknownPart,
                place: &kind,
            });
        }
        Ok(())
    }

    fn block_delta(&mut self, index: u64, root: Value<'_>, emit: &mut Emit<'_>) {
        let Some((kind, delta)) = root.get("delta").and_then(|delta| delta.members().next()) else {
            return;
        };
        match &*kind {
            "text" => self
                .order
                .grow(&Slot::Text, delta.text().unwrap_or_default(), emit),
            "toolUse" => {
                let input = optional(delta, "input").unwrap_or_default();
                self.order.grow(&Slot::Call(index), input, emit);
            }
            "reasoningContent" => self.reasoning(delta, emit),
            "citation" => emit(Event::Lost {
                code: LossCode::Citations,
                place: "",
            }),
            other => emit(Event::Lost {
                code: LossCode::UnknownPart,
                place: other,
            }),
        }
    }

    fn reasoning(&mut self, delta: Value<'_>, emit: &mut Emit<'_>) {
        let said = |key| optional(delta, key).filter(|text: &Text<'_>| !text.is_empty());
        if let Some(text) = said("text") {
            self.order.grow(&Slot::Reasoning, text, emit);
        }
        if let Some(signature) = said("signature") {
            self.order.sign(signature, emit);
        }
        if let Some(data) = said("redactedContent") {
            self.order.whole(
                Piece::Encrypted {
                    data,
                    id: None,
                    format: None,
                },
                emit,
            );
        }
    }

    fn metadata(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        for (key, value) in root.members() {
            match &*key {
                _ if value.is_null() => {}
                "usage" => emit(Event::Usage(read_usage(value))),
                "metrics" => {}
                _ => emit(Event::Lost {
                    code: lost(&key),
                    place: &key,
                }),
            }
        }
        if self.finish.is_some() {
            self.end(emit);
        }
    }

    fn end(&mut self, emit: &mut Emit<'_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.order.end(emit);
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        emit(Event::Finish {
            finish: finish.agreeing(self.calls > 0),
            stop_sequence: None,
        });
        emit(Event::End);
    }
}
