//! The dialects: how each says what the internal form means. One folder a dialect, one file a direction.

mod chat;
mod cohere;
mod converse;
mod generate;
mod known;
mod media;
mod messages;
mod options;
mod order;
mod proof;
mod responses;
mod settings;
mod shape;
mod sse;
mod turns;

use std::fmt;

use crate::form::{Answer, Ask, Event, Failure, FailureKind, Losses, Reply, Usage};
use crate::json::{Document, ScanError, Value};

use shape::Read;

pub(crate) use sse::event;

pub(crate) use converse::read_exception as converse_exception;
pub(crate) use messages::class as messages_error;
pub use options::{Caller, Options, ReasoningName, Target, ThinkingForm, TokenLimitName};

/// A way in which clients speak to us.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ClientDialect {
    /// Chat completions.
    Chat,
    /// Converse.
    Converse,
    /// `generateContent`.
    GenerateContent,
    /// Messages.
    Messages,
    /// Responses.
    Responses,
}

impl ClientDialect {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::Converse,
        Self::GenerateContent,
        Self::Messages,
        Self::Responses,
    ];
}

impl From<ClientDialect> for Dialect {
    fn from(dialect: ClientDialect) -> Self {
        match dialect {
            ClientDialect::Chat => Self::Chat,
            ClientDialect::Converse => Self::Converse,
            ClientDialect::GenerateContent => Self::GenerateContent,
            ClientDialect::Messages => Self::Messages,
            ClientDialect::Responses => Self::Responses,
        }
    }
}

/// A way in which a service is spoken to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// Chat completions.
    Chat,
    /// Cohere's chat, version 2.
    Cohere,
    /// Converse.
    Converse,
    /// `generateContent`.
    GenerateContent,
    /// Messages.
    Messages,
    /// Responses.
    Responses,
}

impl Dialect {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Cohere,
        Self::Converse,
        Self::GenerateContent,
        Self::Messages,
        Self::Responses,
    ];
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat completions",
            Self::Cohere => "cohere chat",
            Self::Converse => "converse",
            Self::GenerateContent => "generateContent",
            Self::Messages => "messages",
            Self::Responses => "responses",
        })
    }
}

/// What an object of a dialect says was used.
pub(crate) fn read_usage(dialect: Dialect, told: Value<'_>) -> Option<Usage> {
    let told = match dialect {
        Dialect::Chat => chat::read_usage(told)?,
        Dialect::Cohere => cohere::read_usage(told)?,
        Dialect::Converse => converse::read_usage(told),
        Dialect::GenerateContent => generate::read_usage(told)?,
        Dialect::Messages => messages::read_usage(told),
        Dialect::Responses => responses::read_usage(told),
    };
    Some(told)
}

/// Why something could not be translated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TranslateError {
    /// The body is not JSON, or nested too deep.
    #[error("{0}")]
    Json(#[from] ScanError),
    /// A member is not of the shape that the dialect gives it.
    #[error("`{place}` must be {expected}")]
    Shape {
        /// The member.
        place: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// More of something than a translation keeps track of.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The target has no words for something that the answer depends on.
    #[error("{what} cannot be said in the dialect `{target}`")]
    Unsupported {
        /// What it is.
        what: &'static str,
        /// The dialect that lacks it.
        target: Dialect,
    },
}

/// What takes the events of a stream.
pub(crate) type Emit<'e> = dyn FnMut(Event<'_>) + 'e;

/// A reader of one stream.
pub(crate) trait StreamReader: fmt::Debug + Send {
    /// Reads the data of one event. Most dialects say in the data what event it is.
    fn push(&mut self, name: &str, data: &[u8], emit: &mut Emit<'_>) -> Read<()>;

    /// The upstream has closed the stream.
    fn close(&mut self, emit: &mut Emit<'_>);
}

/// A writer of one stream.
pub(crate) trait StreamWriter: fmt::Debug + Send {
    /// Writes what the client is to see of one event.
    fn write(&mut self, event: Event<'_>, out: &mut Vec<u8>, losses: &mut Losses);

    /// Whether the stream has become longer than what its end would have to repeat.
    fn is_full(&self) -> bool {
        false
    }
}

/// The one place where a client's dialect leads to its readers and writers.
impl ClientDialect {
    pub(crate) fn read_ask<'b>(self, document: &'b Document<'b>) -> Read<Ask<'b>> {
        match self {
            Self::Chat => chat::read_ask(document),
            Self::Converse => converse::read_ask(document),
            Self::GenerateContent => generate::read_ask(document),
            Self::Messages => messages::read_ask(document),
            Self::Responses => responses::read_ask(document),
        }
    }

    /// Names what no reader of a request looks at.
    pub(crate) fn lose_beside(self, root: Value<'_>, losses: &mut Losses) {
        let places = match self {
            Self::Chat => chat::ASKED,
            Self::Converse => converse::ASKED,
            Self::GenerateContent => generate::ASKED,
            Self::Messages => messages::ASKED,
            Self::Responses => responses::ASKED,
        };
        known::lose_beside(root, places, losses);
    }

    pub(crate) fn write_answer(
        self,
        answer: &Answer<'_>,
        caller: &Caller,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) -> Read<()> {
        match self {
            Self::Chat => chat::write_answer(answer, caller, out, losses),
            Self::Converse => converse::write_answer(answer, out, losses),
            Self::GenerateContent => generate::write_answer(answer, caller, out, losses),
            Self::Messages => messages::write_answer(answer, caller, out, losses),
            Self::Responses => responses::write_answer(answer, caller, out, losses),
        }
    }

    pub(crate) fn write_failure(self, failure: &Failure<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Chat => chat::write_failure(failure, out),
            Self::Converse => converse::write_failure(failure, out),
            Self::GenerateContent => generate::write_failure(failure, out),
            Self::Messages => messages::write_failure(failure, out),
            Self::Responses => responses::write_failure(failure, out),
        }
    }

    pub(crate) fn writer(self, caller: &Caller) -> Box<dyn StreamWriter> {
        match self {
            Self::Chat => Box::new(chat::Writer::new(caller)),
            Self::Converse => Box::new(converse::Writer::default()),
            Self::GenerateContent => Box::new(generate::Writer::new(caller)),
            Self::Messages => Box::new(messages::Writer::new(caller)),
            Self::Responses => Box::new(responses::Writer::new(caller)),
        }
    }
}

/// The one place where a service's dialect leads to its readers and writers.
impl Dialect {
    pub(crate) fn write_ask(
        self,
        ask: &Ask<'_>,
        target: &Target,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) -> Read<()> {
        match self {
            Self::Chat => chat::write_ask(ask, target, out, losses),
            Self::Cohere => cohere::write_ask(ask, target, out, losses),
            Self::Converse => converse::write_ask(ask, target, out, losses),
            Self::GenerateContent => generate::write_ask(ask, target, out, losses),
            Self::Messages => messages::write_ask(ask, target, out, losses),
            Self::Responses => responses::write_ask(ask, target, out, losses),
        }
    }

    pub(crate) fn read_answer<'b>(
        self,
        document: &'b Document<'b>,
        losses: &mut Losses,
    ) -> Read<Reply<'b>> {
        match self {
            Self::Chat => chat::read_answer(document, losses),
            Self::Cohere => cohere::read_answer(document, losses),
            Self::Converse => converse::read_answer(document, losses),
            Self::GenerateContent => generate::read_answer(document, losses),
            Self::Messages => messages::read_answer(document),
            Self::Responses => responses::read_answer(document),
        }
    }

    /// Names what no reader of an answer looks at.
    pub(crate) fn lose_beside(self, root: Value<'_>, losses: &mut Losses) {
        let places = match self {
            Self::Chat => chat::ANSWERED,
            Self::Messages => messages::ANSWERED,
            Self::Responses => responses::ANSWERED,
            // Their readers see to it.
            Self::Cohere | Self::Converse | Self::GenerateContent => return,
        };
        known::lose_beside(root, places, losses);
    }

    pub(crate) fn read_failure<'b>(self, status: u16, root: Value<'b>) -> Failure<'b> {
        match self {
            Self::Chat => chat::read_failure(status, root),
            Self::Cohere => cohere::read_failure(status, root),
            Self::Converse => converse::read_failure(status, root),
            Self::GenerateContent => generate::read_failure(status, root),
            Self::Messages => messages::read_failure(status, root),
            Self::Responses => responses::read_failure(status, root),
        }
    }

    pub(crate) fn reader(self) -> Box<dyn StreamReader> {
        match self {
            Self::Chat => Box::new(chat::Reader::default()),
            Self::Cohere => Box::new(cohere::Reader::default()),
            Self::Converse => Box::new(converse::Reader::default()),
            Self::GenerateContent => Box::new(generate::Reader::default()),
            Self::Messages => Box::new(messages::Reader::default()),
            Self::Responses => Box::new(responses::Reader::default()),
        }
    }
}

/// What a client is told when an upstream closes a stream that has not ended.
fn cut_off() -> Event<'static> {
    Event::Failure(torn())
}

/// The same as an error.
pub(crate) fn torn() -> Failure<'static> {
    let message = "the upstream closed the stream before its end";
    Failure::new(FailureKind::Server, message)
}

/// Names the top-level members of a request that another dialect cannot be told.
fn lose_unknown(ask: &Ask<'_>, target: Dialect, losses: &mut Losses) -> Result<(), TranslateError> {
    for unknown in &ask.unknown {
        let unsupported = match ask.origin {
            Dialect::Chat => chat::lose(unknown, losses),
            Dialect::Converse => converse::lose(unknown, losses),
            Dialect::GenerateContent => generate::lose(unknown, losses),
            Dialect::Messages => messages::lose(unknown, losses),
            Dialect::Responses => responses::lose(unknown, losses),
            // No client speaks it.
            Dialect::Cohere => None,
        };
        if let Some(what) = unsupported {
            return Err(TranslateError::Unsupported { what, target });
        }
    }
    Ok(())
}
