//! Why a message of an AWS event stream was refused, and where.

use crate::limits::MAX_AWS_HEADERS;
use crate::stream::TooLong;

/// A refusal of a stream from some place on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{kind} at byte {offset} of the stream")]
pub struct AwsError {
    /// Where in the stream, counted in bytes from 0.
    pub offset: usize,
    /// What is wrong there.
    pub kind: AwsErrorKind,
}

/// What is wrong with a message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AwsErrorKind {
    /// A header for the second time.
    #[error("header `{}` occurs twice", .name.escape_debug())]
    DuplicateHeader {
        /// Its name.
        name: String,
    },
    /// A header that is longer than what is left of the headers.
    #[error("header that ends behind the headers")]
    HeaderCut,
    /// A name or a string that is not UTF-8.
    #[error("header in invalid UTF-8")]
    HeaderText,
    /// A type that the format does not have.
    #[error("header of the unknown type {found}")]
    HeaderType {
        /// The number of the type.
        found: u8,
    },
    /// Lengths that contradict each other.
    #[error("message of {message} bytes with {headers} bytes of headers")]
    Lengths {
        /// The length of the message.
        message: usize,
        /// The length of its headers.
        headers: usize,
    },
    /// A message that is not what was sent.
    #[error("message with the checksum {computed:08x} instead of {stated:08x}")]
    MessageChecksum {
        /// What the message says.
        stated: u32,
        /// What it is.
        computed: u32,
    },
    /// A prelude that is not what was sent, or no event stream at all.
    #[error("prelude with the checksum {computed:08x} instead of {stated:08x}")]
    PreludeChecksum {
        /// What the prelude says.
        stated: u32,
        /// What it is.
        computed: u32,
    },
    /// Something over its bound.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// More headers than a message may have.
    #[error("more than {MAX_AWS_HEADERS} headers")]
    TooManyHeaders,
    /// The end of the stream within a message.
    #[error("end of the stream after {have} bytes of a message")]
    Truncated {
        /// How much of it came.
        have: usize,
    },
}

impl AwsErrorKind {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DuplicateHeader { .. } => "duplicate-header",
            Self::HeaderCut => "header-cut",
            Self::HeaderText => "header-text",
            Self::HeaderType { .. } => "header-type",
            Self::Lengths { .. } => "lengths",
            Self::MessageChecksum { .. } => "message-checksum",
            Self::PreludeChecksum { .. } => "prelude-checksum",
            Self::TooLong(error) => error.code(),
            Self::TooManyHeaders => "too-many-headers",
            Self::Truncated { .. } => "truncated",
        }
    }
}
