//! Writing a stream: chunks, then the usage if the client wants it, then the end.

use crate::dialect::sse::event;
use crate::dialect::{Caller, ReasoningName, StreamWriter};
use crate::form::{Citation, Event, Failure, LossCode, Losses, Piece, Reasoning, Start, Usage};
use crate::json::{Object, Text};
use crate::limits::MAX_HELD_BACK;
use crate::openai::DONE_EVENT;

use super::answer_write::{finish_reason, write_annotation};
use super::failure::write_failure;
use super::parts_write::write_details;
use super::usage::write_usage;

/// A writer of one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    caller: Caller,
    /// What every chunk begins with.
    id: Text<'static>,
    model: Text<'static>,
    created: u64,
    open: Option<Piece<'static>>,
    /// Whether the open call has had arguments.
    argued: bool,
    calls: u64,
    details: u64,
    /// The open reasoning as it will stand in the details, once there is a proof of it.
    reasoning: Reasoning<'static>,
    /// The open reasoning, or its proof, is too long to be repeated there.
    too_long: bool,
    /// Characters of text before the open part, and up to now.
    text_start: u64,
    text_end: u64,
    usage: Usage,
}

impl Writer {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            caller: caller.clone(),
            id: Text::default(),
            model: Text::default(),
            created: 0,
            open: None,
            argued: false,
            calls: 0,
            details: 0,
            reasoning: Reasoning::default(),
            too_long: false,
            text_start: 0,
            text_end: 0,
            usage: Usage::default(),
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, next: Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match next {
            Event::Start(start) => self.start(start, out),
            Event::PartStart(piece) => self.part_start(piece, out),
            Event::Delta(text) => self.delta(text, out, losses),
            Event::Signature(text) => self.sign(&text),
            Event::Citation(citation) => self.citation(&citation, out, losses),
            Event::PartEnd => self.part_end(out, losses),
            Event::Usage(usage) => self.usage.update(&usage),
            Event::Finish {
                finish,
                stop_sequence,
            } => {
                if stop_sequence.is_some() {
                    losses.add_at(LossCode::FinishReason, "stop_sequence");
                }
                let reason = finish_reason(&finish, losses);
                self.chunk(out, Some(reason), |_| {});
            }
            Event::End => self.end(out),
            Event::Failure(failure) => write_failed(&failure, out),
            Event::Lost { code, place: "" } => losses.add(code),
            Event::Lost { code, place } => losses.add_at(code, place),
            Event::Ping => {}
        }
    }
}

impl Writer {
    fn start(&mut self, start: Start<'_>, out: &mut Vec<u8>) {
        self.id = match start.id {
            Some(id) => id.into_owned(),
            None => Text::new(&self.caller.id).into_owned(),
        };
        self.model = start.model.unwrap_or_default().into_owned();
        self.created = start.created.unwrap_or(self.caller.created);
        self.chunk(out, None, |delta| {
            delta.str("role", "assistant");
            delta.str("content", "");
        });
    }

    fn part_start(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        self.argued = false;
        self.text_start = self.text_end;
        self.open = Some(match piece {
            Piece::ToolUse { id, name } => {
                self.open_call(&id, &name, out);
                // Who the call is has been said; what is open is enough to know.
                Piece::ToolUse {
                    id: Text::default(),
                    name: Text::default(),
                }
            }
            Piece::Encrypted { data, id, format } => {
                let one = Reasoning {
                    encrypted: Some(data),
                    id,
                    format,
                    ..Reasoning::default()
                };
                self.detail(&one, out);
                Piece::Encrypted {
                    data: Text::default(),
                    id: None,
                    format: None,
                }
            }
            Piece::Reasoning => Piece::Reasoning,
            Piece::Refusal => Piece::Refusal,
            Piece::Text => Piece::Text,
        });
    }

    fn open_call(&mut self, id: &Text<'_>, name: &Text<'_>, out: &mut Vec<u8>) {
        let index = self.calls;
        self.calls += 1;
        self.chunk(out, None, |delta| {
            let mut calls = delta.array("tool_calls");
            let mut call = calls.object();
            call.count("index", index);
            call.text("id", id);
            call.str("type", "function");
            let mut function = call.object("function");
            function.text("name", name);
            function.str("arguments", "");
        });
    }

    fn delta(&mut self, text: Text<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match self.open {
            Some(Piece::Text) => {
                self.text_end += text.characters();
                self.chunk(out, None, |delta| delta.text("content", &text));
            }
            Some(Piece::Refusal) => self.chunk(out, None, |delta| delta.text("refusal", &text)),
            Some(Piece::Reasoning) => {
                self.keep_reasoning(&text);
                match self.caller.reasoning {
                    ReasoningName::Absent => losses.add(LossCode::Reasoning),
                    ReasoningName::Reasoning => {
                        self.chunk(out, None, |delta| delta.text("reasoning", &text))
                    }
                    ReasoningName::ReasoningContent => {
                        self.chunk(out, None, |delta| delta.text("reasoning_content", &text));
                    }
                }
            }
            Some(Piece::ToolUse { .. }) => {
                self.argued |= !text.is_blank();
                self.arguments(&text, out);
            }
            Some(Piece::Encrypted { .. }) | None => {}
        }
    }

    /// Keeps reasoning until its proof comes, unless it is too long for that.
    fn keep_reasoning(&mut self, text: &Text<'_>) {
        self.too_long |= self.reasoning.text.token().len() + text.token().len() > MAX_HELD_BACK;
        if !self.too_long {
            self.reasoning.text.push(text);
        }
    }

    fn arguments(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        let index = self.calls.saturating_sub(1);
        self.chunk(out, None, |delta| {
            let mut calls = delta.array("tool_calls");
            let mut call = calls.object();
            call.count("index", index);
            call.object("function").text("arguments", text);
        });
    }

    fn sign(&mut self, text: &Text<'_>) {
        if text.is_empty() {
            return;
        }
        let signature = self.reasoning.signature.get_or_insert_default();
        self.too_long |= signature.token().len() + text.token().len() > MAX_HELD_BACK;
        if !self.too_long {
            signature.push(text);
        }
    }

    fn part_end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        match self.open.take() {
            // A call without arguments is one with an empty object.
            Some(Piece::ToolUse { .. }) if !self.argued => self.arguments(&Text::new("{}"), out),
            Some(Piece::Reasoning) => {
                let reasoning = std::mem::take(&mut self.reasoning);
                let too_long = std::mem::take(&mut self.too_long);
                if reasoning.signature.is_some() && too_long {
                    losses.add(LossCode::ReasoningSignature);
                } else if reasoning.signature.is_some() {
                    self.detail(&reasoning, out);
                }
            }
            _ => {}
        }
    }

    /// Reasoning with its proof, whole, so that the client can send it back.
    fn detail(&mut self, reasoning: &Reasoning<'_>, out: &mut Vec<u8>) {
        let mut index = self.details;
        self.chunk(out, None, |delta| {
            write_details(reasoning, &mut index, &mut delta.array("reasoning_details"));
        });
        self.details = index;
    }

    fn citation(&mut self, citation: &Citation<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(url) = &citation.url else {
            losses.add(LossCode::Citations);
            return;
        };
        let text = (self.text_start, self.text_end);
        self.chunk(out, None, |delta| {
            write_annotation(
                citation,
                url,
                text,
                &mut delta.array("annotations").object(),
            );
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.caller.include_usage && !self.usage.is_empty() {
            let usage = self.usage;
            event(out, None, |out| {
                let mut chunk = self.head(out);
                drop(chunk.array("choices"));
                write_usage(&usage, &mut chunk.object("usage"));
            });
        }
        out.extend_from_slice(&DONE_EVENT);
    }

    fn chunk(&self, out: &mut Vec<u8>, finish: Option<&str>, delta: impl FnOnce(&mut Object<'_>)) {
        event(out, None, |out| {
            let mut chunk = self.head(out);
            let mut choices = chunk.array("choices");
            let mut choice = choices.object();
            choice.count("index", 0);
            delta(&mut choice.object("delta"));
            choice.null("logprobs");
            match finish {
                Some(reason) => choice.str("finish_reason", reason),
                None => choice.null("finish_reason"),
            }
        });
    }

    fn head<'o>(&self, out: &'o mut Vec<u8>) -> Object<'o> {
        let mut chunk = Object::open(out);
        chunk.text("id", &self.id);
        chunk.str("object", "chat.completion.chunk");
        chunk.count("created", self.created);
        chunk.text("model", &self.model);
        chunk
    }
}

/// An error ends the stream; clients of this dialect raise it when they read it.
fn write_failed(failure: &Failure<'_>, out: &mut Vec<u8>) {
    event(out, None, |out| write_failure(failure, out));
}
