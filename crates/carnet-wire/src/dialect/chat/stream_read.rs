//! Reading a stream. The dialect has no beginnings and ends of parts; they are found here.

use crate::dialect::order::{Order, Slot};
use crate::dialect::shape::{Read, object, optional};
use crate::dialect::{Emit, StreamReader, cut_off};
use crate::form::{Event, Finish, LossCode, Piece, Start};
use crate::json::{Document, Kind, Text, Value};
use crate::limits::MAX_DEPTH;

use super::answer_read::{MESSAGE, read_finish};
use super::calls::{Call, Calls};
use super::failure::read_failure;
use super::parts::{annotation, reasoning_detail};
use super::usage::read_usage;

/// Members of a chunk that are read, or say nothing.
const CHUNK: &[&str] = &[
    "choices",
    "created",
    "error",
    "id",
    "model",
    "obfuscation",
    "object",
    "usage",
];

/// The same of a choice; what it grows by has the members of a message.
const CHOICE: &[&str] = &["delta", "finish_reason", "index", "logprobs", "message"];

/// The same of a call.
const CALL: &[&str] = &["custom", "function", "id", "index", "type"];

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    ended: bool,
    /// Reasoning has come as plain text, so that what details repeat of it is passed over.
    plain_reasoning: bool,
    finish: Option<Finish<'static>>,
    calls: Calls,
    order: Order,
}

impl StreamReader for Reader {
    fn push(&mut self, _name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()> {
        if data.trim_ascii().starts_with(b"[DONE]") {
            self.end(emit);
            return Ok(());
        }
        let document = Document::read(data, MAX_DEPTH)?;
        self.chunk(object(document.root(), "the event")?, emit)
    }

    /// Not all services say that a stream has ended before they close it.
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
    fn chunk<'e>(&mut self, chunk: Value<'e>, emit: &mut Emit<'_>) -> Read<()> {
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            self.ended = true;
            emit(Event::Failure(read_failure(200, chunk)));
            return Ok(());
        }
        let mut choices = chunk
            .get("choices")
            .into_iter()
            .flat_map(Value::elements)
            .peekable();
        if choices.peek().is_some() {
            self.start(chunk, emit);
        }
        for choice in choices {
            if choice
                .get("index")
                .and_then(Value::count)
                .unwrap_or_default()
                == 0
            {
                self.choice(choice, emit)?;
            } else {
                emit(lost(LossCode::Choices, ""));
            }
        }
        for (key, value) in chunk.members() {
            if !value.is_null() && !CHUNK.contains(&&*key) {
                emit(lost(LossCode::UnknownMember, &key));
            }
        }
        let usage = chunk.get("usage").filter(|usage| !usage.is_null());
        if let Some(usage) = usage.or_else(|| beside(chunk)).and_then(read_usage) {
            emit(Event::Usage(usage));
        }
        Ok(())
    }

    fn start(&mut self, chunk: Value<'_>, emit: &mut Emit<'_>) {
        if !self.started {
            self.started = true;
            emit(Event::Start(Start {
                id: optional(chunk, "id").filter(|id| !id.is_empty()),
                model: optional(chunk, "model").filter(|model| !model.is_empty()),
                created: chunk.get("created").and_then(Value::count),
            }));
        }
    }

    fn choice(&mut self, choice: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        if let Some(delta) = choice
            .get("delta")
            .filter(|delta| delta.kind() == Kind::Object)
        {
            self.reasoning(delta, emit);
            self.content(delta, emit);
            if let Some(refusal) = optional(delta, "refusal") {
                self.order.grow(&Slot::Refusal, refusal, emit);
            }
            self.tool_calls(delta, emit)?;
            for citation in delta
                .get("annotations")
                .into_iter()
                .flat_map(Value::elements)
            {
                if self.order.is_open(&Slot::Text) {
                    emit(Event::Citation(annotation(citation)));
                } else {
                    emit(lost(LossCode::Citations, ""));
                }
            }
        }
        for (members, known) in [(Some(choice), CHOICE), (choice.get("delta"), MESSAGE)] {
            for (key, value) in members.into_iter().flat_map(Value::members) {
                if !value.is_null() && !known.contains(&&*key) {
                    emit(lost(LossCode::UnknownMember, &key));
                }
            }
        }
        if choice
            .get("logprobs")
            .is_some_and(|logprobs| !logprobs.is_null())
        {
            emit(lost(LossCode::Logprobs, ""));
        }
        if let Some(reason) = optional(choice, "finish_reason").filter(|reason| !reason.is_empty())
        {
            // Some services give a reason with every chunk, so that only the last one is true.
            self.finish = Some(read_finish(Some(reason)).into_owned());
        }
        Ok(())
    }

    fn reasoning(&mut self, delta: Value<'_>, emit: &mut Emit<'_>) {
        let plain = ["reasoning_content", "reasoning"]
            .into_iter()
            .filter_map(|key| optional(delta, key))
            .find(|text| !text.is_empty());
        if let Some(text) = plain {
            self.plain_reasoning = true;
            self.order.grow(&Slot::Reasoning, text, emit);
        }
        let details = delta
            .get("reasoning_details")
            .into_iter()
            .flat_map(Value::elements);
        for detail in details.filter_map(reasoning_detail) {
            if !self.plain_reasoning {
                self.order.grow(&Slot::Reasoning, detail.text, emit);
            }
            if let Some(signature) = detail.signature {
                self.order.sign(signature, emit);
            }
            if let Some(data) = detail.encrypted {
                let (id, format) = (detail.id, detail.format);
                self.order
                    .whole(Piece::Encrypted { data, id, format }, emit);
            }
        }
    }

    fn content(&mut self, delta: Value<'_>, emit: &mut Emit<'_>) {
        let Some(content) = delta.get("content") else {
            return;
        };
        if let Some(text) = content.text() {
            self.order.grow(&Slot::Text, text, emit);
            return;
        }
        for part in content.elements() {
            let kind = optional(part, "type").unwrap_or_default();
            match kind.token() {
                "text" => self.order.grow(
                    &Slot::Text,
                    optional(part, "text").unwrap_or_default(),
                    emit,
                ),
                "thinking" => {
                    let inside = part.get("thinking");
                    if let Some(text) = inside.and_then(Value::text) {
                        self.order.grow(&Slot::Reasoning, text, emit);
                    }
                    for piece in inside.into_iter().flat_map(Value::elements) {
                        let text = optional(piece, "text").unwrap_or_default();
                        self.order.grow(&Slot::Reasoning, text, emit);
                    }
                }
                _ => emit(lost(LossCode::UnknownPart, &kind.plain())),
            }
        }
    }

    fn tool_calls(&mut self, delta: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        for value in delta
            .get("tool_calls")
            .into_iter()
            .flat_map(Value::elements)
        {
            let index = value.get("index").and_then(Value::count);
            let id = optional(value, "id").unwrap_or_default();
            let function = value.get("function");
            if let Some(function) = function.filter(|function| function.kind() == Kind::Object) {
                self.call(index, id, function, emit)?;
            } else if value.get("custom").is_some_and(|custom| !custom.is_null()) {
                emit(lost(LossCode::UnknownPart, "custom"));
            }
            for (key, value) in value.members() {
                if !value.is_null() && !CALL.contains(&&*key) {
                    emit(lost(LossCode::UnknownMember, &key));
                }
            }
        }
        match delta
            .get("function_call")
            .filter(|call| call.kind() == Kind::Object)
        {
            Some(call) => self.call(Some(0), Text::default(), call, emit),
            None => Ok(()),
        }
    }

    fn call(
        &mut self,
        index: Option<u64>,
        id: Text<'_>,
        function: Value<'_>,
        emit: &mut Emit<'_>,
    ) -> Read<()> {
        let name = optional(function, "name").unwrap_or_default();
        let given = function
            .get("arguments")
            .filter(|arguments| !arguments.is_null());
        let arguments = match given {
            Some(value) => value.text().unwrap_or_else(|| Text::new(value.raw())),
            None => Text::default(),
        };
        if index.is_none() && id.is_empty() && name.is_empty() && arguments.is_empty() {
            return Ok(());
        }
        let Call { number, opened } = self.calls.find(index, id, name, &arguments)?;
        if let Some((id, name)) = opened {
            self.order.open_call(number, id, name, emit);
        }
        self.order.grow(&Slot::Call(number), arguments, emit);
        Ok(())
    }

    fn end(&mut self, emit: &mut Emit<'_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        if !self.started {
            self.started = true;
            emit(Event::Start(Start::default()));
        }
        self.order.end(emit);
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        emit(Event::Finish {
            finish: finish.agreeing(self.calls.any()),
            stop_sequence: None,
        });
        emit(Event::End);
    }
}

/// The usage in a member of the service's own, where some put it.
fn beside(chunk: Value<'_>) -> Option<Value<'_>> {
    let mut own = chunk.members().filter(|(key, _)| key.starts_with("x_"));
    own.find_map(|(_, value)| value.get("usage"))
}

fn lost(code: LossCode, place: &str) -> Event<'_> {
    Event::Lost { code, place }
}
