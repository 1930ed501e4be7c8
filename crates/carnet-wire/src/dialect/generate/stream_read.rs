//! Reading a stream, whose events are answers that hold a piece each. Nothing but its close says that it has ended.

use crate::dialect::order::{Order, Slot};
use crate::dialect::shape::{Read, at_most, member, object, optional};
use crate::dialect::{Emit, StreamReader, cut_off};
use crate::form::{Event, Finish, LossCode, Piece, Start, TakenIds};
use crate::json::{Document, Text, Value};
use crate::limits::{MAX_DEPTH, MAX_TOOL_CALLS};

use super::answer_read::{arguments, lost, parts, read_finish, read_usage, unknown_kind};
use super::failure::read_failure;

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    ended: bool,
    calls: u64,
    ids: TakenIds,
    order: Order,
    finish: Option<Finish<'static>>,
}

impl StreamReader for Reader {
    fn push(&mut self, _name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()> {
        if data.trim_ascii().starts_with(b"[DONE]") {
            return Ok(());
        }
        let document = Document::read(data, MAX_DEPTH)?;
        let root = object(document.root(), "the event")?;
        if root.get("error").is_some_and(|error| !error.is_null()) {
            self.ended = true;
            emit(Event::Failure(read_failure(200, root)));
            return Ok(());
        }
        self.start(root, emit);
        let candidates = root.get("candidates").into_iter().flat_map(Value::elements);
        for candidate in candidates {
            if candidate
                .get("index")
                .and_then(Value::count)
                .unwrap_or_default()
                == 0
            {
                self.candidate(candidate, emit)?;
            } else {
                emit(Event::Lost {
                    code: LossCode::Choices,
                    place: "",
                });
            }
        }
        if root
            .get("promptFeedback")
            .is_some_and(|feedback| feedback.get("blockReason").is_some())
        {
            self.finish = Some(Finish::Filter);
        }
        lost(root, &mut |code, place| emit(Event::Lost { code, place }));
        if let Some(usage) = root.get("usageMetadata").and_then(read_usage) {
            emit(Event::Usage(usage));
        }
        Ok(())
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let Some(finish) = self.finish.take() else {
            emit(cut_off());
            return;
        };
        self.order.end(emit);
        emit(Event::Finish {
            finish: finish.agreeing(self.calls > 0),
            stop_sequence: None,
        });
        emit(Event::End);
    }
}

impl Reader {
    fn start(&mut self, root: Value<'_>, emit: &mut Emit<'_>) {
        if !self.started {
            self.started = true;
            emit(Event::Start(Start {
                id: optional(root, "responseId").filter(|id| !id.is_empty()),
                model: optional(root, "modelVersion").filter(|model| !model.is_empty()),
                created: None,
            }));
        }
    }

    fn candidate(&mut self, candidate: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        for part in parts(candidate) {
            self.part(part, emit)?;
        }
        if let Some(reason) =
            optional(candidate, "finishReason").filter(|reason| !reason.is_empty())
        {
            self.finish = Some(read_finish(reason).into_owned());
        }
        Ok(())
    }

    fn part(&mut self, part: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        let proof = optional(part, "thoughtSignature").filter(|proof| !proof.is_empty());
        let text = optional(part, "text");
        if part.get("thought").and_then(Value::bool) == Some(true) {
            self.order
                .grow(&Slot::Reasoning, text.unwrap_or_default(), emit);
            if let Some(proof) = proof {
                self.order.sign(proof, emit);
            }
            return Ok(());
        }
        if let Some(data) = proof {
            self.order.whole(
                Piece::Encrypted {
                    data,
                    id: None,
                    format: None,
                },
                emit,
            );
        }
        if let Some(call) = part.get("functionCall") {
            return self.call(call, emit);
        }
        match text {
            Some(text) => self.order.grow(&Slot::Text, text, emit),
            None => {
                if let Some(kind) = unknown_kind(part) {
                    emit(Event::Lost {
                        code: LossCode::UnknownPart,
                        place: &kind.plain(),
                    });
                }
            }
        }
        Ok(())
    }

    /// A call comes with all its arguments.
    fn call(&mut self, call: Value<'_>, emit: &mut Emit<'_>) -> Read<()> {
        let number = self.calls;
        self.calls += 1;
        at_most(
            usize::try_from(self.calls).unwrap_or(usize::MAX),
            MAX_TOOL_CALLS,
            "tool calls",
        )?;
        let id = self.ids.unique(optional(call, "id").unwrap_or_default());
        let name = member(call, "name", "functionCall.name")?;
        self.order.open_call(number, id, name, emit);
        self.order
            .grow(&Slot::Call(number), Text::new(arguments(call)), emit);
        Ok(())
    }
}
