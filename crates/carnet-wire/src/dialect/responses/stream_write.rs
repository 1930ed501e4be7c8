//! Writing a stream: each item with its beginning, growth and end, and the whole answer once more at the end.

use crate::dialect::sse::event;
use crate::dialect::{Caller, StreamWriter};
use crate::form::{
    Citation, Event, Failure, Finish, LossCode, Losses, Piece, Reasoning, Start, Usage,
};
use crate::json::{Array, Object, Text};
use crate::limits::MAX_ANSWER_KEPT;

use super::answer_write::{item_id, write_annotation, write_call, write_content, write_message};
use super::resource::{Head, Status, write_reasoning, write_resource, write_summary};

/// A writer of one stream.
#[derive(Debug)]
pub(crate) struct Writer {
    caller: Caller,
    head: Head,
    started: bool,
    sequence: u64,
    /// The number of the open item, or of the next one.
    index: u64,
    open: Option<Open>,
    /// The items so far, with commas between them.
    items: Vec<u8>,
    usage: Option<Usage>,
    finish: Finish<'static>,
}

/// The open item with all that its end repeats.
#[derive(Debug)]
struct Open {
    id: Text<'static>,
    kind: Kind,
    /// What it has grown to: a text, or the arguments of a call.
    text: Text<'static>,
    signature: Text<'static>,
    /// Annotations with commas between them.
    annotations: Vec<u8>,
    annotated: u64,
    /// The characters of the text so far.
    characters: u64,
}

#[derive(Debug)]
enum Kind {
    Call {
        id: Text<'static>,
        name: Text<'static>,
    },
    Encrypted(Text<'static>),
    Reasoning,
    Refusal,
    Text,
}

impl Writer {
    pub(crate) fn new(caller: &Caller) -> Self {
        Self {
            caller: caller.clone(),
            head: Head::default(),
            started: false,
            sequence: 0,
            index: 0,
            open: None,
            items: Vec::new(),
            usage: None,
            finish: Finish::Stop,
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, next: Event<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        match next {
            Event::Start(start) => self.start(start, out),
            Event::PartStart(piece) => self.part_start(piece, out),
            Event::Delta(text) => self.delta(&text, out),
            Event::Signature(text) => {
                if let Some(open) = &mut self.open {
                    open.signature.push(&text);
                }
            }
            Event::Citation(citation) => self.citation(&citation, out, losses),
            Event::PartEnd => self.part_end(out),
            Event::Usage(usage) => self.usage.get_or_insert_default().update(&usage),
            Event::Finish {
                finish,
                stop_sequence,
            } => {
                if stop_sequence.is_some() {
                    losses.add_at(LossCode::FinishReason, "stop_sequence");
                }
                self.finish = finish.into_owned();
            }
            Event::End => {
                let finish = std::mem::replace(&mut self.finish, Finish::Stop);
                self.end(&Status::of_finish(&finish, losses), out);
            }
            Event::Failure(failure) => self.fail(&failure, out),
            Event::Lost { code, place: "" } => losses.add(code),
            Event::Lost { code, place } => losses.add_at(code, place),
            Event::Ping => {}
        }
    }

    fn is_full(&self) -> bool {
        let open = self.open.as_ref();
        let open = open.map_or(0, |open| {
            open.text.token().len() + open.signature.token().len() + open.annotations.len()
        });
        self.items.len() + open > MAX_ANSWER_KEPT
    }
}

impl Writer {
    fn start(&mut self, start: Start<'_>, out: &mut Vec<u8>) {
        self.started = true;
        let named = (start.id.as_ref(), start.model.as_ref());
        self.head = Head::of(&self.caller, named, start.created);
        for name in ["response.created", "response.in_progress"] {
            self.resource(name, &Status::InProgress, out);
        }
    }

    fn part_start(&mut self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let kind = match piece {
            Piece::Encrypted { data, .. } => Kind::Encrypted(data.into_owned()),
            Piece::Reasoning => Kind::Reasoning,
            Piece::Refusal => Kind::Refusal,
            Piece::Text => Kind::Text,
            Piece::ToolUse { id, name } => Kind::Call {
                id: id.into_owned(),
                name: name.into_owned(),
            },
        };
        let open = Open {
            id: item_id(&self.head, self.index),
            kind,
            text: Text::default(),
            signature: Text::default(),
            annotations: Vec::new(),
            annotated: 0,
            characters: 0,
        };
        self.named("response.output_item.added", out, |body| {
            open.write_item("in_progress", &mut body.object("item"));
        });
        match open.kind {
            Kind::Text | Kind::Refusal => {
                self.at("response.content_part.added", &open, out, |body| {
                    open.write_part(&mut body.object("part"));
                })
            }
            Kind::Reasoning => self.at(
                "response.reasoning_summary_part.added",
                &open,
                out,
                |body| {
                    open.write_part(&mut body.object("part"));
                },
            ),
            Kind::Call { .. } | Kind::Encrypted(_) => {}
        }
        self.open = Some(open);
    }

    fn delta(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let name = match open.kind {
            Kind::Call { .. } => "response.function_call_arguments.delta",
            Kind::Encrypted(_) => return,
            Kind::Reasoning => "response.reasoning_summary_text.delta",
            Kind::Refusal => "response.refusal.delta",
            Kind::Text => "response.output_text.delta",
        };
        self.at(name, &open, out, |body| {
            body.text("delta", text);
            if matches!(open.kind, Kind::Text) {
                drop(body.array("logprobs"));
            }
        });
        open.characters += text.characters();
        open.text.push(text);
        self.open = Some(open);
    }

    fn citation(&mut self, citation: &Citation<'_>, out: &mut Vec<u8>, losses: &mut Losses) {
        let Some(mut open) = self.open.take() else {
            losses.add(LossCode::Citations);
            return;
        };
        let mut list = Vec::new();
        if write_annotation(citation, (0, open.characters), &mut Array::open(&mut list)) {
            let json = list.get(1..list.len() - 1).unwrap_or_default();
            self.at(
                "response.output_text.annotation.added",
                &open,
                out,
                |body| {
                    body.count("annotation_index", open.annotated);
                    body.key("annotation").extend_from_slice(json);
                },
            );
            if open.annotated > 0 {
                open.annotations.push(b',');
            }
            open.annotations.extend_from_slice(json);
            open.annotated += 1;
        } else {
            losses.add(LossCode::Citations);
        }
        self.open = Some(open);
    }

    fn part_end(&mut self, out: &mut Vec<u8>) {
        if let Some(Open {
            kind: Kind::Call { .. },
            text,
            ..
        }) = &self.open
            && text.is_blank()
        {
            // A call without arguments is one with an empty object.
            self.delta(&Text::new("{}"), out);
        }
        let Some(open) = self.open.take() else {
            return;
        };
        let (said, key) = match open.kind {
            Kind::Call { .. } => (Some("response.function_call_arguments.done"), "arguments"),
            Kind::Encrypted(_) => (None, ""),
            Kind::Reasoning => (Some("response.reasoning_summary_text.done"), "text"),
            Kind::Refusal => (Some("response.refusal.done"), "refusal"),
            Kind::Text => (Some("response.output_text.done"), "text"),
        };
        if let Some(said) = said {
            self.at(said, &open, out, |body| {
                body.text(key, &open.text);
                if matches!(open.kind, Kind::Text) {
                    drop(body.array("logprobs"));
                }
            });
        }
        let part = match open.kind {
            Kind::Text | Kind::Refusal => Some("response.content_part.done"),
            Kind::Reasoning => Some("response.reasoning_summary_part.done"),
            Kind::Call { .. } | Kind::Encrypted(_) => None,
        };
        if let Some(part) = part {
            self.at(part, &open, out, |body| {
                open.write_part(&mut body.object("part"))
            });
        }
        self.named("response.output_item.done", out, |body| {
            open.write_item("completed", &mut body.object("item"));
        });
        if !self.items.is_empty() {
            self.items.push(b',');
        }
        open.write_item("completed", &mut Object::open(&mut self.items));
        self.index += 1;
    }

    fn end(&mut self, status: &Status<'_>, out: &mut Vec<u8>) {
        self.resource(&format!("response.{}", status.name()), status, out);
    }

    /// Clients of this dialect look for the answer that failed, so there is always one.
    fn fail(&mut self, failure: &Failure<'_>, out: &mut Vec<u8>) {
        if !self.started {
            self.start(Start::default(), out);
        }
        self.end(&Status::Failed(failure), out);
    }

    fn resource(&mut self, name: &str, status: &Status<'_>, out: &mut Vec<u8>) {
        let sequence = self.sequence;
        self.sequence += 1;
        let usage = self.usage.filter(|_| !matches!(status, Status::InProgress));
        event(out, Some(name), |out| {
            let mut body = Object::open(out);
            body.str("type", name);
            body.count("sequence_number", sequence);
            write_resource(
                &self.head,
                status,
                &self.items,
                usage.as_ref(),
                &mut body.object("response"),
            );
        });
    }

    /// Writes an event about the open item.
    fn named(&mut self, name: &str, out: &mut Vec<u8>, data: impl FnOnce(&mut Object<'_>)) {
        let sequence = self.sequence;
        self.sequence += 1;
        event(out, Some(name), |out| {
            let mut body = Object::open(out);
            body.str("type", name);
            body.count("sequence_number", sequence);
            body.count("output_index", self.index);
            data(&mut body);
        });
    }

    /// Writes an event about the one part of the open item.
    fn at(
        &mut self,
        name: &str,
        open: &Open,
        out: &mut Vec<u8>,
        data: impl FnOnce(&mut Object<'_>),
    ) {
        self.named(name, out, |body| {
            body.text("item_id", &open.id);
            match open.kind {
                Kind::Text | Kind::Refusal => body.count("content_index", 0),
                Kind::Reasoning => body.count("summary_index", 0),
                Kind::Call { .. } | Kind::Encrypted(_) => {}
            }
            data(body);
        });
    }
}

impl Open {
    fn write_item(&self, status: &str, item: &mut Object<'_>) {
        match &self.kind {
            Kind::Text => write_message(
                &self.id,
                "output_text",
                &self.text,
                &self.annotations,
                status,
                item,
            ),
            Kind::Refusal => write_message(&self.id, "refusal", &self.text, &[], status, item),
            Kind::Call { id, name } => write_call(&self.id, id, name, &self.text, status, item),
            Kind::Encrypted(_) | Kind::Reasoning => {
                item.str("type", "reasoning");
                item.text("id", &self.id);
                write_reasoning(&self.reasoning(), item);
            }
        }
    }

    fn reasoning(&self) -> Reasoning<'_> {
        let encrypted = match &self.kind {
            Kind::Encrypted(data) => Some(data.borrowed()),
            _ => None,
        };
        let signature = Some(self.signature.borrowed()).filter(|signature| !signature.is_empty());
        let text = self.text.borrowed();
        Reasoning {
            text,
            signature,
            encrypted,
            ..Reasoning::default()
        }
    }

    fn write_part(&self, part: &mut Object<'_>) {
        match self.kind {
            Kind::Text => write_content("output_text", &self.text, &self.annotations, part),
            Kind::Refusal => write_content("refusal", &self.text, &[], part),
            _ => write_summary(&self.text, part),
        }
    }
}
