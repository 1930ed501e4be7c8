//! The dialects: how each says what the internal form means. One folder a dialect, one file a direction.

pub(crate) mod chat;
pub(crate) mod messages;

mod options;
mod shape;
mod sse;

use std::fmt;

use crate::form::{Ask, Losses};
use crate::json::ScanError;

pub use options::{Caller, Options, ReasoningName, Target, ThinkingForm, TokenLimitName};

/// A way in which a service is spoken to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// Chat completions.
    Chat,
    /// Messages.
    Messages,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat completions",
            Self::Messages => "messages",
        })
    }
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

/// Names the top-level members of a request that another dialect cannot be told.
fn lose_unknown(ask: &Ask<'_>, target: Dialect, losses: &mut Losses) -> Result<(), TranslateError> {
    for unknown in &ask.unknown {
        let unsupported = match ask.origin {
            Dialect::Chat => chat::lose(unknown, losses),
            Dialect::Messages => messages::lose(unknown, losses),
        };
        if let Some(what) = unsupported {
            return Err(TranslateError::Unsupported { what, target });
        }
    }
    Ok(())
}
