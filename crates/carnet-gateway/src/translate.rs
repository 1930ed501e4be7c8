//! An answer in the caller's dialect, from an upstream that was asked in another one.

use std::mem;

use bytes::Bytes;
use carnet_wire::carrier::Carrier;
use carnet_wire::dialect::{Caller, ClientDialect, Dialect, Options};
use carnet_wire::embeddings::{Asked, Embedder};
use carnet_wire::form::{FailureKind, Loss};
use carnet_wire::stream::aws::AwsDecoder;
use carnet_wire::stream::sse::{Block, KEEP_ALIVE, SseParser};
use carnet_wire::translate::{self, State};
use http::StatusCode;

use crate::codes::Code;
use crate::error::Fault;
use crate::limits::ANSWER_BYTES_MAX;
use crate::relay::Shape;

/// How a request was asked of its upstream.
#[derive(Clone, Debug)]
pub(crate) struct Translation {
    /// The caller's dialect.
    pub(crate) from: ClientDialect,
    /// The upstream's.
    pub(crate) to: Dialect,
    /// What of the request the upstream was not told.
    pub(crate) losses: Vec<Box<str>>,
    /// Whether the caller wants a stream to tell what it used.
    pub(crate) include_usage: bool,
    /// Whether the caller reads a stream as one JSON array.
    pub(crate) as_array: bool,
}

/// How an answer has to be that brings vectors.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    /// The shape in which they were asked for.
    pub(crate) by: Embedder,
    /// The model, as an answer names it that comes without.
    pub(crate) model: Box<str>,
    /// How many are wanted.
    pub(crate) texts: usize,
    /// Whether they are wanted in base64.
    pub(crate) base64: bool,
    /// What of the request the upstream was not told.
    pub(crate) losses: Vec<Box<str>>,
}

/// An answer on its way into the caller's dialect.
#[derive(Debug)]
pub(crate) struct Translator {
    from: Dialect,
    to: ClientDialect,
    /// The platform that carried the answer, which may word errors its own way.
    carrier: Option<Carrier>,
    options: Options,
    reading: Reading,
    /// What the caller is not told of an answer that came whole.
    losses: Vec<Box<str>>,
    failed: Option<FailureKind>,
}

#[derive(Debug)]
enum Reading {
    Aws(AwsDecoder, translate::Stream),
    Events(SseParser, translate::Stream),
    /// Vectors, with the count of tokens that headers tell.
    Vectors(Vec<u8>, Vectors, StatusCode, Option<u64>),
    Whole(Vec<u8>, StatusCode),
}

impl Translator {
    /// For an answer with this status and shape. `id`, `created` (seconds since 1970) and `model` are for an answer that
    /// comes without; one that is kept has the id in any case.
    pub(crate) fn new(
        translation: &Translation,
        (status, shape): (StatusCode, Shape),
        (id, created, model): (&str, u64, &str),
        kept: bool,
    ) -> Self {
        let options = Options {
            caller: Caller {
                id: id.to_owned(),
                created,
                model: model.to_owned(),
                kept,
                include_usage: translation.include_usage,
                stream_as_array: translation.as_array,
                ..Caller::default()
            },
            ..Options::default()
        };
        let (from, to) = (translation.to, translation.from);
        let stream = || translate::Stream::new(from, to, &options);
        let reading = match shape {
            Shape::AwsStream => Reading::Aws(AwsDecoder::new(), stream()),
            Shape::Events => Reading::Events(SseParser::new(), stream()),
            // No upstream is asked for an array.
            Shape::Array | Shape::Whole => Reading::Whole(Vec::new(), status),
        };
        Self {
            from,
            to,
            carrier: None,
            reading,
            options,
            losses: Vec::new(),
            failed: None,
        }
    }

    /// For an answer with vectors, of which headers say that its texts had so many tokens.
    pub(crate) fn of_vectors(vectors: &Vectors, status: StatusCode, tokens: Option<u64>) -> Self {
        Self {
            from: Dialect::Chat,
            to: ClientDialect::Chat,
            carrier: None,
            options: Options::default(),
            reading: Reading::Vectors(Vec::new(), vectors.clone(), status, tokens),
            losses: Vec::new(),
            failed: None,
        }
    }

    /// For the body of an error with this status, by a platform that was asked in the caller's own dialect.
    pub(crate) fn of_error(carrier: Carrier, to: ClientDialect, status: StatusCode) -> Self {
        Self {
            from: carrier.dialect(),
            to,
            carrier: Some(carrier),
            options: Options::default(),
            reading: Reading::Whole(Vec::new(), status),
            losses: Vec::new(),
            failed: None,
        }
    }

    /// The same, for an answer that a platform has carried.
    pub(crate) fn carried(mut self, by: Option<Carrier>) -> Self {
        self.carrier = by;
        self
    }

    /// Whether the caller has had the end of a stream, whatever its upstream still sends.
    pub(crate) fn is_over(&self) -> bool {
        match &self.reading {
            Reading::Vectors(..) | Reading::Whole(..) => false,
            Reading::Aws(_, stream) | Reading::Events(_, stream) => {
                stream.state() != translate::State::Open
            }
        }
    }

    /// How the answer is framed for the caller.
    pub(crate) fn shape(&self) -> Shape {
        match (&self.reading, self.to) {
            (Reading::Vectors(..) | Reading::Whole(..), _) => Shape::Whole,
            (_, ClientDialect::Converse) => Shape::AwsStream,
            _ if self.options.caller.stream_as_array => Shape::Array,
            _ => Shape::Events,
        }
    }

    /// What the caller gets for a piece of the answer; nothing while there is not enough of it.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Bytes, Fault> {
        let mut out = Vec::new();
        let mut rest = piece;
        let keeps_alive = self.shape() == Shape::Events;
        match &mut self.reading {
            Reading::Vectors(whole, ..) | Reading::Whole(whole, _) => {
                if whole.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
                    return Err(unreadable("it is too long to be translated"));
                }
                whole.extend_from_slice(piece);
            }
            Reading::Events(parser, stream) => {
                while let Some(block) = parser.next(&mut rest).map_err(unreadable)? {
                    match block {
                        Block::Event(event) => {
                            stream.push(&String::from_utf8_lossy(event.name), event.data, &mut out);
                        }
                        // The upstream is thinking, and the caller is not to give up on it.
                        Block::Comment(_) if keeps_alive && stream.state() == State::Open => {
                            out.extend_from_slice(KEEP_ALIVE);
                        }
                        Block::Comment(_) => {}
                    }
                }
            }
            Reading::Aws(decoder, stream) => {
                while let Some(message) = decoder.next(&mut rest).map_err(unreadable)? {
                    let name = message
                        .event_type()
                        .or_else(|| message.exception_type())
                        .or_else(|| message.error_code());
                    stream.push(name.unwrap_or_default(), message.payload, &mut out);
                }
            }
        }
        Ok(out.into())
    }

    /// What the caller gets when the upstream has sent everything.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Fault> {
        let mut out = Vec::new();
        match &mut self.reading {
            Reading::Vectors(whole, vectors, status, tokens) => {
                let whole = Bytes::from(mem::take(whole));
                return vectors_of(&whole, vectors, *status, *tokens);
            }
            Reading::Whole(whole, status) if status.is_success() => {
                let whole = mem::take(whole);
                let answer = translate::answer(self.from, self.to, &whole, &self.options);
                let answer = answer.map_err(unreadable)?;
                self.losses.extend(answer.losses.iter().map(said));
                self.failed = answer.failed;
                out = answer.body;
            }
            Reading::Whole(whole, status) => {
                let status = status.as_u16();
                (_, out) = match self.carrier {
                    Some(by) => by.failure(self.to, status, whole),
                    None => translate::failure(self.from, self.to, status, whole),
                };
            }
            Reading::Events(parser, stream) => {
                if let Some(event) = parser.finish() {
                    stream.push(&String::from_utf8_lossy(event.name), event.data, &mut out);
                }
                stream.finish(&mut out);
                self.failed = failed_as(stream);
            }
            Reading::Aws(decoder, stream) => {
                decoder.finish().map_err(unreadable)?;
                stream.finish(&mut out);
                self.failed = failed_as(stream);
            }
        }
        Ok(out.into())
    }

    /// What the caller was not told so far.
    pub(crate) fn losses(&self) -> Vec<Box<str>> {
        match &self.reading {
            Reading::Aws(_, stream) | Reading::Events(_, stream) => {
                stream.losses().iter().map(said).collect()
            }
            _ => self.losses.clone(),
        }
    }

    /// The error that the upstream sent under a status of success, if it did.
    pub(crate) fn failed(&self) -> Option<FailureKind> {
        self.failed
    }
}

/// An answer with vectors as the API has it.
fn vectors_of(
    whole: &Bytes,
    vectors: &Vectors,
    status: StatusCode,
    tokens: Option<u64>,
) -> Result<Bytes, Fault> {
    let by = vectors.by;
    if !status.is_success() {
        return Ok(by.failure(status.as_u16(), whole).into());
    }
    let asked = Asked {
        model: &vectors.model,
        texts: vectors.texts,
        base64: vectors.base64,
    };
    let answer = by.answer(whole, asked, tokens);
    answer.map(Bytes::from).map_err(unreadable)
}

/// The error by which a stream has ended, if it has.
fn failed_as(stream: &translate::Stream) -> Option<FailureKind> {
    match stream.state() {
        State::Failed(kind) => Some(kind),
        State::Ended | State::Open => None,
    }
}

/// A loss in the words of headers and records.
pub(crate) fn said(loss: &Loss) -> Box<str> {
    loss.to_string().into()
}

fn unreadable(why: impl ToString) -> Fault {
    let message = format!(
        "the upstream's answer cannot be read in its dialect: {}",
        why.to_string()
    );
    Fault::new(Code::AnswerUnreadable, message)
}
