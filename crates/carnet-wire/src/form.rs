//! The internal form between dialects: what a request, an answer or an event of a stream means, whoever words it.
//!
//! Everything borrows from the body it was read from: texts are the tokens of its strings and move on unread, schemas
//! and arguments are its JSON. What the form has no place for is kept beside it, so that the same dialect gets it
//! back and another one names the loss.

mod answer;
mod ask;
mod event;
mod failure;
mod ids;
mod loss;
mod part;
mod progress;
mod usage;

pub use answer::{Answer, Finish, Reply};
pub use ask::{Ask, Format, Role, Sampling, Thinking, Tool, ToolChoice, ToolKind, Turn};
pub use event::{Event, Piece, Start};
pub use failure::{Failure, FailureKind};
pub use ids::IdRule;
pub use loss::{Loss, LossCode, Losses};
pub use part::{
    Arguments, Citation, Content, Media, MediaKind, MediaSource, Part, Reasoning, ToolResult,
    ToolUse, Unknown,
};
pub use usage::{PromptExcludingCached, PromptIncludingCached, Usage};

pub(crate) use ids::{TakenIds, unique_ids};
pub(crate) use progress::Progress;
