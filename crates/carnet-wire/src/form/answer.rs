//! A whole answer.

use crate::dialect::Dialect;
use crate::json::Text;

use super::failure::Failure;
use super::ids::TakenIds;
use super::part::{Content, Part, Unknown};
use super::usage::Usage;

/// What came back as a success.
#[derive(Clone, Debug)]
pub enum Reply<'b> {
    /// An answer.
    Answer(Box<Answer<'b>>),
    /// An error that a service sends as if it were an answer.
    Failure(Failure<'b>),
}

/// What a model has answered.
#[derive(Clone, Debug)]
pub struct Answer<'b> {
    /// The dialect it was read from; the same one gets back what only it knows.
    pub origin: Dialect,
    /// The answer's id.
    pub id: Option<Text<'b>>,
    /// The model that says it has answered.
    pub model: Option<Text<'b>>,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
    /// What it says.
    pub parts: Vec<Part<'b>>,
    /// Why it ends.
    pub finish: Finish<'b>,
    /// Which of the texts that end an answer has ended it.
    pub stop_sequence: Option<Text<'b>>,
    /// What it has used.
    pub usage: Option<Usage>,
    /// Probabilities of its tokens, as JSON.
    pub logprobs: Option<&'b str>,
    /// Top-level members without a place in the form.
    pub unknown: Vec<Unknown<'b>>,
}

impl Answer<'_> {
    /// Gives each call an id of its own, and lets the reason for the end agree with the calls.
    pub(crate) fn settle(&mut self) {
        let mut taken = TakenIds::default();
        let mut calls = false;
        for part in &mut self.parts {
            if let Content::ToolUse(call) = &mut part.content {
                call.id = taken.unique(std::mem::take(&mut call.id));
                calls = true;
            }
        }
        let finish = std::mem::replace(&mut self.finish, Finish::Stop);
        self.finish = finish.agreeing(calls);
    }

    /// An empty answer of a dialect.
    pub fn new(origin: Dialect) -> Self {
        Self {
            origin,
            id: None,
            model: None,
            created: None,
            parts: Vec::new(),
            finish: Finish::Stop,
            stop_sequence: None,
            usage: None,
            logprobs: None,
            unknown: Vec::new(),
        }
    }
}

/// Why an answer ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finish<'b> {
    /// A filter has cut it off.
    Filter,
    /// No more tokens were allowed.
    Length,
    /// A reason that only the service knows.
    Other(Text<'b>),
    /// The service has paused and goes on when asked.
    Pause,
    /// The model declines.
    Refusal,
    /// The model has said what it has to say.
    Stop,
    /// One of the texts that end an answer came.
    StopSequence,
    /// The caller is to run tools.
    ToolUse,
}

impl Finish<'_> {
    /// The same on its own, when the body it was read from goes.
    pub fn into_owned(self) -> Finish<'static> {
        match self {
            Self::Filter => Finish::Filter,
            Self::Length => Finish::Length,
            Self::Other(text) => Finish::Other(text.into_owned()),
            Self::Pause => Finish::Pause,
            Self::Refusal => Finish::Refusal,
            Self::Stop => Finish::Stop,
            Self::StopSequence => Finish::StopSequence,
            Self::ToolUse => Finish::ToolUse,
        }
    }

    /// The reason that agrees with the answer: it is `ToolUse` exactly if there are calls to run.
    ///
    /// Services say `stop` beside calls, or name calls that they have not made. A cut or a refusal stays one.
    #[must_use]
    pub fn agreeing(self, has_tool_use: bool) -> Self {
        match (self, has_tool_use) {
            (Self::Stop | Self::StopSequence | Self::Other(_), true) => Self::ToolUse,
            (Self::ToolUse, false) => Self::Stop,
            (finish, _) => finish,
        }
    }
}
