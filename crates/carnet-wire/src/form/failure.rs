//! An error that an upstream answers with, before or within a stream.

use crate::json::Text;

/// An upstream's error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure<'b> {
    /// Whose fault it is, as far as dialects agree on that.
    pub kind: FailureKind,
    /// What the upstream says, for people.
    pub message: Text<'b>,
    /// The upstream's own code, for programs.
    pub code: Option<Text<'b>>,
}

impl<'b> Failure<'b> {
    /// An error of an upstream, which should say why.
    pub(crate) fn told(
        kind: FailureKind,
        message: Option<Text<'b>>,
        code: Option<Text<'b>>,
    ) -> Self {
        Self {
            kind,
            message: message.unwrap_or_else(|| Text::new("the upstream gives no reason")),
            code,
        }
    }

    /// An error with a message of our own.
    pub fn new(kind: FailureKind, message: &'b str) -> Self {
        Self {
            kind,
            message: Text::new(message),
            code: None,
        }
    }
}

/// What sort of error it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// The upstream does not know who asks.
    Authentication,
    /// There is nothing left to pay with.
    Billing,
    /// The request is not one that the upstream understands.
    InvalidRequest,
    /// There is no such model or place.
    NotFound,
    /// The upstream has too much to do.
    Overloaded,
    /// Who asks may not.
    Permission,
    /// Too many requests of this caller.
    RateLimit,
    /// The upstream failed.
    Server,
    /// The answer took too long.
    Timeout,
    /// The request is too large.
    TooLarge,
}

impl FailureKind {
    /// What a status means.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Server,
        }
    }

    /// The status that says it best.
    pub fn status(self) -> u16 {
        match self {
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::InvalidRequest => 400,
            Self::NotFound => 404,
            Self::Overloaded => 503,
            Self::Permission => 403,
            Self::RateLimit => 429,
            Self::Server => 502,
            Self::Timeout => 504,
            Self::TooLarge => 413,
        }
    }
}
