//! The events of a streamed answer, in one order whatever the dialect.
//!
//! Parts never overlap: each begins, grows and ends before the next. Readers see to that, so writers need not.

use crate::json::Text;

use super::answer::Finish;
use super::failure::Failure;
use super::loss::LossCode;
use super::part::Citation;
use super::usage::Usage;

/// One event.
#[derive(Clone, Debug)]
pub enum Event<'e> {
    /// Something that the text of the open part rests on.
    Citation(Citation<'e>),
    /// The open part grows by this.
    Delta(Text<'e>),
    /// Nothing comes any more. The last event, unless it is a failure.
    End,
    /// The upstream has failed. The last event.
    Failure(Failure<'e>),
    /// Why the answer ends; once, after its last part.
    Finish {
        /// The reason.
        finish: Finish<'e>,
        /// The text that ended it.
        stop_sequence: Option<Text<'e>>,
    },
    /// Something in the stream that the form has no event for.
    Lost {
        /// What it is.
        code: LossCode,
        /// What its dialect calls it.
        place: &'e str,
    },
    /// The open part has ended.
    PartEnd,
    /// A part begins.
    PartStart(Piece<'e>),
    /// A sign of life.
    Ping,
    /// The proof of the open reasoning, or a piece of it.
    Signature(Text<'e>),
    /// The answer begins; the first event.
    Start(Start<'e>),
    /// What is known of the usage so far.
    Usage(Usage),
}

/// What is known when an answer begins.
#[derive(Clone, Debug, Default)]
pub struct Start<'e> {
    /// The answer's id.
    pub id: Option<Text<'e>>,
    /// The model that says it answers.
    pub model: Option<Text<'e>>,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
}

/// A part that begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece<'e> {
    /// Reasoning that nobody but its service can read; it is there at once.
    Encrypted {
        /// The reasoning.
        data: Text<'e>,
        /// Its id.
        id: Option<Text<'e>>,
        /// The name of its form.
        format: Option<Text<'e>>,
    },
    /// Reasoning; deltas are its text.
    Reasoning,
    /// A refusal; deltas are its text.
    Refusal,
    /// A text.
    Text,
    /// A call of a tool; deltas are its arguments.
    ToolUse {
        /// The call's id, unique in this answer.
        id: Text<'e>,
        /// The tool's name.
        name: Text<'e>,
    },
}
