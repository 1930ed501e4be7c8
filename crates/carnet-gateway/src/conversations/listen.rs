//! Listens in on an answer that is to be kept: a copy is made as it passes, and nothing of it is held back.

use std::sync::Arc;

use bytes::Bytes;
use carnet_wire::responses::kept;
use carnet_wire::stream::sse::{Block, SseParser};

use super::{Conversation, Conversations};
use crate::budget::Held;
use crate::gateway::Gateway;
use crate::ingress::is_id;

/// What was asked, to be kept with its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The name that the caller asked for.
    pub(crate) requested: Arc<str>,
    /// The items of the whole conversation up to the answer, with commas between them.
    pub(crate) input: Bytes,
    /// The most that one conversation may have.
    pub(crate) bytes_max: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Listening {
    asked: Asked,
    held: Held,
    heard: Heard,
}

#[derive(Debug)]
enum Heard {
    Events(SseParser),
    Whole(Vec<u8>),
}

/// Why nothing is kept of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// One like it was kept before, so its id would tell neither.
    IdAgain,
    /// The id cannot be asked for.
    NoId,
    /// Others that wait to be written take all the room.
    NoRoom,
    /// It is longer than one may be.
    TooLong,
}

impl Unkept {
    /// What the record says.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::IdAgain => "not kept: the upstream gave an id again that it gave before",
            Self::NoId => "not kept: the answer has no id that can be asked for",
            Self::NoRoom => "not kept: too much waits to be written",
            Self::TooLong => "not kept: longer than `conversation_bytes_max`",
        }
    }
}

impl Listening {
    /// Begin, if there is room for what was asked.
    pub(crate) fn new(
        conversations: &Conversations,
        asked: Asked,
        events: bool,
    ) -> Result<Self, Unkept> {
        let bytes = asked.input.len();
        if bytes > asked.bytes_max {
            return Err(Unkept::TooLong);
        }
        let heard = if events {
            Heard::Events(SseParser::with_limit(asked.bytes_max))
        } else {
            Heard::Whole(Vec::new())
        };
        Ok(Self {
            held: conversations.hold(bytes).ok_or(Unkept::NoRoom)?,
            asked,
            heard,
        })
    }

    /// Looks at a piece that goes to the caller; the response, once it has ended.
    pub(crate) fn looks(&mut self, mut piece: &[u8]) -> Result<Option<Bytes>, Unkept> {
        match &mut self.heard {
            Heard::Events(parser) => loop {
                match parser.next(&mut piece) {
                    Ok(Some(Block::Event(event))) => {
                        if let Some(response) = kept::given_by(event.data) {
                            return Ok(Some(Bytes::copy_from_slice(response)));
                        }
                    }
                    Ok(Some(Block::Comment(_))) => {}
                    Ok(None) => return Ok(None),
                    Err(_) => return Err(Unkept::TooLong),
                }
            },
            Heard::Whole(whole) => {
                let bytes = self.asked.input.len().saturating_add(whole.len());
                if bytes.saturating_add(piece.len()) > self.asked.bytes_max {
                    return Err(Unkept::TooLong);
                }
                if !self.held.grow(piece.len()) {
                    return Err(Unkept::NoRoom);
                }
                whole.extend_from_slice(piece);
                Ok(None)
            }
        }
    }

    /// The response that came as a whole, now that it has ended.
    pub(crate) fn whole(&mut self) -> Option<Bytes> {
        match &mut self.heard {
            Heard::Events(_) => None,
            Heard::Whole(whole) => Some(std::mem::take(whole).into()),
        }
    }

    /// Keep it with this response. One that failed is kept by nobody.
    pub(crate) fn keep(
        mut self,
        gateway: &Gateway,
        workload: Arc<str>,
        response: Bytes,
    ) -> Result<(), Unkept> {
        let Some(id) = kept::given(&response) else {
            return Ok(());
        };
        if !is_id(&id) {
            return Err(Unkept::NoId);
        }
        let bytes = self.asked.input.len().saturating_add(response.len());
        if bytes > self.asked.bytes_max {
            return Err(Unkept::TooLong);
        }
        let more = match self.heard {
            Heard::Events(_) => response.len(),
            Heard::Whole(_) => 0,
        };
        if !self.held.grow(more) {
            return Err(Unkept::NoRoom);
        }
        let conversation = Conversation {
            workload,
            id,
            requested: self.asked.requested,
            input: self.asked.input,
            response,
        };
        gateway
            .conversations()
            .keep(conversation, self.held, gateway.now())
    }
}
