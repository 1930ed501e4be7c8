//! Writing a stream, whose events are answers that hold a piece each: as server-sent events, or as one JSON array.

use crate::dialect::sse::event;
use crate::dialect::{Caller, StreamWriter};
use crate::form::{Arguments, Event, Failure, Finish, LossCode, Losses, Piece, Start, Usage};
use crate::json::{Array, Object, Text};
use crate::limits::MAX_ANSWER_KEPT;

use super::answer_write::{
    finish_reason, write_alone, write_names, write_proof, write_thought, write_usage,
};
use super::failure::write_failure;

/// A writer of one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    caller: Caller,
    id: Option<Text<'static>>,
    model: Option<Text<'static>>,
    open: Option<Piece<'static>>,
    /// The arguments of the open call so far: a call is told at once.
    arguments: Text<'static>,
    /// The proof that hangs on the next part.
    proof: Option<Text<'static>>,
    usage: Usage,
    finish: &'static str,
    /// Whether the array has begun.
    begun: bool,
}

impl Writer {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            caller: caller.clone(),
            id: None,
            model: None,
            open: None,
            arguments: Text::default(),
            proof: None,
            usage: Usage::default(),
            finish: "STOP",
            begun: false,
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, next: Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match next {
            Event::Start(start) => self.start(start),
            Event::PartStart(piece) => self.part_start(piece, out, losses),
            Event::Delta(text) => self.delta(&text, out),
            Event::Signature(text) => {
                let empty = Text::default();
                self.chunk(out, None, |parts| write_thought(&empty, Some(&text), parts));
            }
            Event::PartEnd => self.part_end(out, losses),
            Event::Usage(usage) => self.usage.update(&usage),
            Event::Finish {
                finish,
                stop_sequence,
            } => self.finish(&finish, stop_sequence.is_some(), losses),
            Event::End => self.end(out),
            Event::Failure(failure) => self.failed(&failure, out),
            Event::Citation(_) => losses.add(LossCode::Citations),
            Event::Lost { code, place: "" } => losses.add(code),
            Event::Lost { code, place } => losses.add_at(code, place),
            Event::Ping => {}
        }
    }

    fn is_full(&self) -> bool {
        self.arguments.token().len() > MAX_ANSWER_KEPT
    }
}

impl Writer {
    fn start(&mut self, start: Start<'_>) {
        self.id = start.id.map(Text::into_owned);
        self.model = start.model.map(Text::into_owned);
    }

    fn part_start(&mut self, piece: Piece<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        self.open = Some(match piece {
            Piece::Encrypted { data, .. } => {
                if let Some(before) = self.proof.replace(data.into_owned()) {
                    self.chunk(out, None, |parts| write_alone(&before, parts));
                }
                return;
            }
            Piece::Reasoning => Piece::Reasoning,
            Piece::Refusal => {
                losses.add(LossCode::RefusalMark);
                Piece::Text
            }
            Piece::Text => Piece::Text,
            Piece::ToolUse { id, name } => Piece::ToolUse {
                id: id.into_owned(),
                name: name.into_owned(),
            },
        });
    }

    fn delta(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        match &self.open {
            Some(Piece::ToolUse { .. }) => self.arguments.push(text),
            Some(Piece::Reasoning) => {
                self.chunk(out, None, |parts| write_thought(text, None, parts));
            }
            Some(_) => {
                let proof = self.proof.take();
                self.chunk(out, None, |parts| {
                    let mut part = parts.object();
                    part.text("text", text);
                    write_proof(proof.as_ref(), &mut part);
                });
            }
            None => {}
        }
    }

    fn part_end(&mut self, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(Piece::ToolUse { id, name }) = self.open.take() else {
            return;
        };
        let arguments = Arguments::Quoted(std::mem::take(&mut self.arguments));
        let proof = self.proof.take();
        self.chunk(out, None, |parts| {
            let mut part = parts.object();
            let mut function = part.object("functionCall");
            function.text("id", &id);
            function.text("name", &name);
            if !arguments.write_object(function.key("args")) {
                losses.add(LossCode::InvalidArguments);
            }
            drop(function);
            write_proof(proof.as_ref(), &mut part);
        });
    }

    fn finish(&mut self, finish: &Finish<'_>, by_sequence: bool, losses: &mut Losses) {
        if by_sequence {
            losses.add_at(LossCode::FinishReason, "stop_sequence");
        }
        self.finish = finish_reason(finish, losses);
    }

    /// Only now are all counts known.
    fn end(&mut self, out: &mut Vec<u8>) {
        let proof = self.proof.take().unwrap_or_default();
        let finish = self.finish;
        self.chunk(out, Some(finish), |parts| {
            if proof.is_empty() {
                parts.object().str("text", "");
            } else {
                write_alone(&proof, parts);
            }
        });
        if self.caller.stream_as_array {
            out.extend_from_slice(b"]");
        }
    }

    fn failed(&mut self, failure: &Failure<'_>, out: &mut Vec<u8>) {
        self.separate(out);
        self.framed(out, |out| write_failure(failure, out));
        if self.caller.stream_as_array {
            out.extend_from_slice(b"]");
        }
    }

    fn chunk(
        &mut self,
        out: &mut Vec<u8>,
        finish: Option<&str>,
        write: impl FnOnce(&mut Array<'_>),
    ) {
        self.separate(out);
        let data = |out: &mut Vec<u8>| {
            let mut body = Object::open(out);
            let mut candidates = body.array("candidates");
            let mut candidate = candidates.object();
            let mut content = candidate.object("content");
            write(&mut content.array("parts"));
            content.str("role", "model");
            drop(content);
            if let Some(reason) = finish {
                candidate.str("finishReason", reason);
            }
            candidate.count("index", 0);
            drop(candidate);
            drop(candidates);
            if finish.is_some() {
                write_usage(&self.usage, &mut body);
            }
            let (model, id) = (self.model.as_ref(), self.id.as_ref());
            write_names(model, id, &self.caller, &mut body);
        };
        self.framed(out, data);
    }

    /// What stands before an event in an array.
    fn separate(&mut self, out: &mut Vec<u8>) {
        if self.caller.stream_as_array {
            out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
            self.begun = true;
        }
    }

    fn framed(&self, out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
        if self.caller.stream_as_array {
            data(out);
        } else {
            event(out, None, data);
        }
    }
}
