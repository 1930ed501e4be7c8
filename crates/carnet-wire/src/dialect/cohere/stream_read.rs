//! Reading a stream, whose events say what begins, grows and ends.

use crate::dialect::chat::as_number;
use crate::dialect::order::{Order, Slot};
use crate::dialect::shape::{Read, at_most, member, object, optional, shape};
use crate::dialect::{Emit, StreamReader, cut_off};
use crate::form::{Event, LossCode, Start, TakenIds};
use crate::json::{Document, Kind, Text, Value};
use crate::limits::{MAX_DEPTH, MAX_TOOL_CALLS};

use super::answer_read::{read_finish, read_usage};
use super::failure::{read_failed, read_failure};

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    ended: bool,
    calls: Vec<Call>,
    ids: TakenIds,
    order: Order,
}

/// A call that has begun.
#[derive(Debug)]
struct Call {
    index: Option<u64>,
    /// Whether it has arguments.
    has_arguments: bool,
}

impl StreamReader for Reader {
    fn push(&mut self, name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()> {
        if self.ended || data.trim_ascii().starts_with(b"[DONE]") {
            return Ok(());
        }
        let document = Document::read(data, MAX_DEPTH)?;
        let root = object(document.root(), "the event")?;
        // An error within a stream is worded as one before it, and no event.
        if root.get("type").is_none() && root.get("message").is_some_and(is_text) {
            self.ended = true;
            emit(Event::Failure(read_failure(502, root)));
            return Ok(());
        }
        self.start(root, emit);
        let kind = optional(root, "type").unwrap_or_else(|| Text::new(name));
        let index = root.get("index").and_then(Value::count);
        let message = root.get("delta").and_then(|delta| delta.get("message"));
        let said = |key| message.and_then(|message| message.get(key));
        match kind.token() {
            "message-start" | "citation-end" => {}
            "content-start" | "content-delta" => {
                if root.get("logprobs").is_some_and(|value| !value.is_null()) {
                    lost(LossCode::Logprobs, "", emit);
                }
                if let Some(content) = said("content") {
                    self.content(content, emit);
                }
            }
            "content-end" => {
                for slot in [Slot::Text, Slot::Reasoning] {
                    self.order.finish(&slot, emit);
                }
            }
            "tool-plan-delta" => {
                let plan = said("tool_plan").and_then(Value::text).unwrap_or_default();
                self.order.grow(&Slot::Reasoning, plan, emit);
            }
            "tool-call-start" => match said("tool_calls") {
                Some(call) => self.call_start(index, call, emit)?,
                None => return shape("delta.message.tool_calls", "an object"),
            },
            "tool-call-delta" => {
                if let Some(function) = said("tool_calls").and_then(|call| call.get("function")) {
                    self.arguments(index, function, emit);
                }
            }
            "tool-call-end" => self.call_end(index, emit),
            "citation-start" => lost(LossCode::Citations, "", emit),
            "message-end" => self.end(root.get("delta"), emit),
            _ => lost(LossCode::UnknownPart, &kind.plain(), emit),
        }
        Ok(())
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        if !self.ended {
            self.ended = true;
            emit(cut_off());
        }
    }
}

impl Reader {
    fn start(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        if !self.started {
            self.started = true;
            emit(Event::Start(Start {
                id: optional(root, "id").filter(|id| !id.is_empty()),
                ..Start::default()
            }));
        }
    }

    fn content(&mut self, content: Value<'_>, emit: &mut Emit<'_>) {
        match optional(content, "type") {
            Some(kind) if !matches!(kind.token(), "text" | "thinking") => {
                lost(LossCode::UnknownPart, &kind.plain(), emit);
            }
            _ => {}
        }
        for (key, slot) in [("thinking", Slot::Reasoning), ("text", Slot::Text)] {
            self.order
                .grow(&slot, optional(content, key).unwrap_or_default(), emit);
        }
    }

    fn call_start(&mut self, index: Option<u64>, call: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        let Some(function) = call.get("function") else {
            return shape("delta.message.tool_calls.function", "an object");
        };
        let number = as_number(self.calls.len());
        self.calls.push(Call {
            index,
            has_arguments: false,
        });
        at_most(self.calls.len(), MAX_TOOL_CALLS, "tool calls")?;
        let id = self.ids.unique(optional(call, "id").unwrap_or_default());
        let name = member(function, "name", "delta.message.tool_calls.function.name")?;
        self.order.open_call(number, id, name, emit);
        self.arguments(index, function, emit);
        Ok(())
    }

    fn arguments(&mut self, index: Option<u64>, function: Value<'_>, emit: &mut Emit<'_>) {
        let text = optional(function, "arguments").unwrap_or_default();
        let Some((at, call)) = self.call(index).filter(|_| !text.is_empty()) else {
            return;
        };
        call.has_arguments = true;
        self.order.grow(&Slot::Call(at), text, emit);
    }

    /// Without arguments a call would never be complete, and what comes behind it would wait.
    fn call_end(&mut self, index: Option<u64>, emit: &mut Emit<'_>) {
        if let Some((at, call)) = self.call(index).filter(|(_, call)| !call.has_arguments) {
            call.has_arguments = true;
            self.order.grow(&Slot::Call(at), Text::new("{}"), emit);
        }
    }

    /// The call that an event is of: the last one of its index.
    fn call(&mut self, index: Option<u64>) -> Option<(u64, &mut Call)> {
        let at = self.calls.iter().rposition(|call| call.index == index)?;
        Some((as_number(at), self.calls.get_mut(at)?))
    }

    fn end(&mut self, delta: Option<Value<'_>>, emit: &mut Emit<'_>) {
        self.ended = true;
        if let Some(usage) = delta
            .and_then(|delta| delta.get("usage"))
            .and_then(read_usage)
        {
            emit(Event::Usage(usage));
        }
        let told = |key| delta.and_then(|delta| optional(delta, key));
        let reason = told("finish_reason");
        if let Some(failure) = read_failed(reason.as_ref(), told("error")) {
            return emit(Event::Failure(failure));
        }
        let Some(reason) = reason else {
            return emit(cut_off());
        };
        self.order.end(emit);
        emit(Event::Finish {
            finish: read_finish(reason).agreeing(!self.calls.is_empty()),
            stop_sequence: None,
        });
        emit(Event::End);
    }
}

fn is_text(value: Value<'_>) -> bool {
    value.kind() == Kind::String
}

fn lost(code: LossCode, place: &str, emit: &mut Emit<'_>) {
    emit(Event::Lost { code, place });
}
