//! Reading a stream.

use std::collections::HashSet;

use crate::dialect::order::{Order, Slot};
use crate::dialect::shape::{Read, at_most, member, object, optional};
use crate::dialect::{Emit, StreamReader, cut_off};
use crate::form::{Event, Finish, LossCode, Piece, Start, TakenIds};
use crate::json::{Document, Text, Value};
use crate::limits::{MAX_DEPTH, MAX_TOOL_CALLS};

use super::answer_read::read_finish;
use super::failure::read_inner;
use super::items::{citation, reasoning};
use super::usage::read_usage;

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    ended: bool,
    items: usize,
    /// The items that have begun.
    added: HashSet<u64>,
    calls: bool,
    ids: TakenIds,
    order: Order,
    /// The items that have grown before their end.
    grown: HashSet<u64>,
    /// The items whose annotations have come before their end.
    cited: HashSet<u64>,
    /// The item of the last text.
    texted: Option<u64>,
    /// The item and paragraph of the last reasoning.
    paragraph: Option<(u64, u64)>,
}

impl StreamReader for Reader {
    fn push(&mut self, _name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()> {
        if data.trim_ascii().starts_with(b"[DONE]") {
            return Ok(());
        }
        let document = Document::read(data, MAX_DEPTH)?;
        let root = object(document.root(), "the event")?;
        self.event(root, emit)
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        if !self.ended {
            self.ended = true;
            emit(cut_off());
        }
    }
}

impl Reader {
    fn event(&mut self, root: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        let kind = member(root, "type", "type")?;
        let delta = || optional(root, "delta").unwrap_or_default();
        let index = root
            .get("output_index")
            .and_then(Value::count)
            .unwrap_or_default();
        match kind.token() {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(root, emit)
            }
            "response.output_item.added" => self.item_added(root, index, emit)?,
            "response.output_item.done" => self.item_done(root, index, emit)?,
            "response.output_text.delta" => {
                self.grow(index, &Slot::Text, delta(), emit);
                let probable = root.get("logprobs").into_iter().flat_map(Value::elements);
                if probable.count() > 0 {
                    emit(Event::Lost {
                        code: LossCode::Logprobs,
                        place: "",
                    });
                }
            }
            "response.refusal.delta" => self.grow(index, &Slot::Refusal, delta(), emit),
            "response.function_call_arguments.delta" => {
                self.grow(index, &Slot::Call(index), delta(), emit)
            }
            "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta"
            | "response.reasoning.delta" => {
                self.reasoning(root, index, delta(), emit);
            }
            "response.output_text.annotation.added" => {
                if let Some(annotation) = root.get("annotation") {
                    self.cite(index, annotation, emit);
                }
            }
            "response.completed" | "response.incomplete" => self.end(root, emit),
            "response.failed" | "error" => {
                let error = root
                    .get("response")
                    .unwrap_or(root)
                    .get("error")
                    .filter(|error| !error.is_null());
                self.ended = true;
                emit(Event::Failure(read_inner(error.unwrap_or(root))));
            }
            // What these say has been said, or will be with the end of the item.
            "response.content_part.added"
            | "response.content_part.done"
            | "response.output_text.done"
            | "response.refusal.done"
            | "response.function_call_arguments.done"
            | "response.reasoning_summary_part.added"
            | "response.reasoning_summary_part.done"
            | "response.reasoning_summary_text.done"
            | "response.reasoning_text.done"
            | "response.reasoning.done" => {}
            other => emit(Event::Lost {
                code: LossCode::UnknownPart,
                place: other,
            }),
        }
        Ok(())
    }

    fn start(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        if self.started {
            return;
        }
        self.started = true;
        let response = root.get("response").unwrap_or(root);
        emit(Event::Start(Start {
            id: optional(response, "id").filter(|id| !id.is_empty()),
            model: optional(response, "model").filter(|model| !model.is_empty()),
            created: response.get("created_at").and_then(Value::count),
        }));
    }

    fn grow(&mut self, index: u64, slot: &Slot, text: Text<'_>, emit: &mut Emit<'_>) {
        if !text.is_empty() {
            // There are no more items; other numbers are none of theirs.
            if self.grown.len() < MAX_TOOL_CALLS {
                self.grown.insert(index);
            }
            if *slot == Slot::Text {
                self.texted = Some(index);
            }
            self.order.grow(slot, text, emit);
        }
    }

    /// What a text rests on can be said as long as it is open.
    fn cite(&mut self, index: u64, annotation: Value<'_>, emit: &mut Emit<'_>) {
        if self.cited.len() < MAX_TOOL_CALLS {
            self.cited.insert(index);
        }
        if self.texted == Some(index) && self.order.is_open(&Slot::Text) {
            emit(Event::Citation(citation(annotation)));
        } else {
            emit(Event::Lost {
                code: LossCode::Citations,
                place: "",
            });
        }
    }

    /// Reasoning comes in paragraphs.
    fn reasoning(&mut self, root: Value<'_>, index: u64, text: Text<'_>, emit: &mut Emit<'_>) {
        let number = ["summary_index", "content_index"]
            .into_iter()
            .find_map(|key| root.get(key));
        let paragraph = (index, number.and_then(Value::count).unwrap_or_default());
        let before = self.paragraph.replace(paragraph);
        if before.is_some_and(|(item, number)| item == index && number != paragraph.1) {
            self.grow(index, &Slot::Reasoning, Text::new("\n\n"), emit);
        }
        self.grow(index, &Slot::Reasoning, text, emit);
    }

    fn item_added(&mut self, root: Value<'_>, index: u64, emit: &mut Emit<'_>) -> Read<()> {
        self.start(root, emit);
        self.items += 1;
        at_most(self.items, MAX_TOOL_CALLS, "items")?;
        self.added.insert(index);
        let Some(item) = root.get("item") else {
            return Ok(());
        };
        match optional(item, "type").unwrap_or_default().token() {
            "function_call" => {
                self.calls = true;
                let id = self
                    .ids
                    .unique(optional(item, "call_id").unwrap_or_default());
                let name = member(item, "name", "item.name")?;
                self.order.open_call(index, id, name, emit);
            }
            "message" | "reasoning" => {}
            other => emit(Event::Lost {
                code: LossCode::UnknownPart,
                place: other,
            }),
        }
        Ok(())
    }

    /// The end of an item repeats all of it, for services that send nothing before.
    fn item_done(&mut self, root: Value<'_>, index: u64, emit: &mut Emit<'_>) -> Read<()> {
        let Some(item) = root.get("item") else {
            return Ok(());
        };
        if !self.added.contains(&index) {
            self.item_added(root, index, emit)?;
        }
        let grown = self.grown.contains(&index);
        match optional(item, "type").unwrap_or_default().token() {
            "function_call" => {
                if !grown {
                    let arguments = optional(item, "arguments").unwrap_or_default();
                    self.grow(index, &Slot::Call(index), arguments, emit);
                }
                self.order.finish(&Slot::Call(index), emit);
            }
            "message" => {
                let cited = self.cited.contains(&index);
                for part in item.get("content").into_iter().flat_map(Value::elements) {
                    if !grown {
                        let text = optional(part, "text").unwrap_or_default();
                        self.grow(index, &Slot::Text, text, emit);
                    }
                    let annotations = part.get("annotations").filter(|_| !cited);
                    for annotation in annotations.into_iter().flat_map(Value::elements) {
                        self.cite(index, annotation, emit);
                    }
                    if !grown {
                        let refusal = optional(part, "refusal").unwrap_or_default();
                        self.grow(index, &Slot::Refusal, refusal, emit);
                    }
                }
                self.order.finish(&Slot::Text, emit);
            }
            "reasoning" => {
                self.reasoning_done(item, index, grown, emit);
                self.order.finish(&Slot::Reasoning, emit);
            }
            _ => {}
        }
        Ok(())
    }

    fn reasoning_done(&mut self, item: Value<'_>, index: u64, grown: bool, emit: &mut Emit<'_>) {
        let whole = reasoning(item);
        if !grown {
            self.grow(index, &Slot::Reasoning, whole.text, emit);
        }
        if let Some(signature) = whole.signature {
            self.order.sign(signature, emit);
        }
        if let Some(data) = whole.encrypted {
            let piece = Piece::Encrypted {
                data,
                id: whole.id,
                format: None,
            };
            self.order.whole(piece, emit);
        }
    }

    fn end(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.start(root, emit);
        self.order.end(emit);
        let response = root.get("response").unwrap_or(root);
        if let Some(usage) = response
            .get("usage")
            .map(read_usage)
            .filter(|usage| !usage.is_empty())
        {
            emit(Event::Usage(usage));
        }
        let finish: Finish<'_> = read_finish(response);
        emit(Event::Finish {
            finish: finish.agreeing(self.calls),
            stop_sequence: None,
        });
        emit(Event::End);
    }
}
