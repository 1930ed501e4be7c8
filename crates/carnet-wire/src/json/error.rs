//! Why a body was refused, where, and what its author can do about it.

use super::found::Kind;

/// A refusal of a request body.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ScanError {
    /// Where in the body, counted in bytes from 0.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ScanErrorKind,
}

/// What is wrong with a body.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanErrorKind {
    /// Bytes that are not UTF-8.
    #[error("invalid UTF-8")]
    BadUtf8,
    /// A byte order mark before the document.
    #[error("byte order mark")]
    Bom,
    /// A key that a lenient parser would take for a watched one.
    #[error("key `{}` could be read as `{expected}`", .key.escape_debug())]
    CaseVariant {
        /// The key as the body has it, unescaped and cut to a length that can be shown.
        key: String,
        /// The watched key.
        expected: String,
    },
    /// A watched key for the second time in one object.
    #[error("key `{key}` occurs twice")]
    Duplicate {
        /// The watched key.
        key: String,
    },
    /// Half of a surrogate pair in a key, which parsers read differently.
    #[error("key with a lone surrogate")]
    LoneSurrogateInKey,
    /// A document that is a list or a single value.
    #[error("body is not a JSON object")]
    NotAnObject,
    /// An object where watched paths expect a list, or the reverse.
    #[error("`{path}` must be {expected}, but is {found}")]
    Shape {
        /// The path of the value.
        path: String,
        /// What the watched paths expect.
        expected: Kind,
        /// What the body has.
        found: Kind,
    },
    /// A breach of the grammar.
    #[error("{0}")]
    Syntax(SyntaxError),
    /// More nested objects and lists than allowed.
    #[error("more than {max} nested objects and arrays")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More watched values than one request may have.
    #[error("more than {max} values to decide on")]
    TooManyHits {
        /// The limit.
        max: usize,
    },
    /// More values and keys than are looked at.
    #[error("more than {max} values and keys")]
    TooManyNodes {
        /// The limit.
        max: usize,
    },
    /// Bytes other than white space behind the document.
    #[error("bytes after the end of the JSON object")]
    TrailingBytes,
}

/// A breach of the JSON grammar. `found` is the character in the way, `None` at the end of the body.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxError {
    /// An unescaped control character in a string.
    #[error("unescaped control character in a string")]
    ControlCharacter,
    /// An escape that JSON does not have.
    #[error("invalid escape in a string")]
    Escape,
    /// No colon behind a key.
    #[error("expected `:`, found {}", shown(*.found))]
    ExpectedColon {
        /// What stands there instead.
        found: Option<char>,
    },
    /// Neither a comma nor the closing bracket behind a member or element.
    #[error("expected `,` or a closing bracket, found {}", shown(*.found))]
    ExpectedCommaOrEnd {
        /// What stands there instead.
        found: Option<char>,
    },
    /// No quoted key where an object needs one.
    #[error("expected a key in double quotes, found {}", shown(*.found))]
    ExpectedKey {
        /// What stands there instead.
        found: Option<char>,
    },
    /// No value where one must stand.
    #[error("expected a value, found {}", shown(*.found))]
    ExpectedValue {
        /// What stands there instead.
        found: Option<char>,
    },
    /// A number in a form that JSON does not have.
    #[error("invalid number")]
    Number,
    /// A string without its closing quote.
    #[error("string without an end")]
    UnendedString,
}

fn shown(found: Option<char>) -> String {
    match found {
        Some(quote @ ('\'' | '"')) => format!("`{quote}`"),
        Some(c) => format!("`{}`", c.escape_debug()),
        None => "the end of the body".to_owned(),
    }
}

impl ScanError {
    /// What the author of the body can do, where there is more to say than the message says.
    pub fn help(&self) -> Option<&'static str> {
        match &self.kind {
            ScanErrorKind::BadUtf8 => Some("encode the body as UTF-8"),
            ScanErrorKind::Bom => Some("send the body without a byte order mark"),
            ScanErrorKind::CaseVariant { .. } => {
                Some("write the key exactly as documented, or leave it out")
            }
            ScanErrorKind::Duplicate { .. } => Some("send the key once"),
            ScanErrorKind::LoneSurrogateInKey => {
                Some("escape characters beyond U+FFFF as a pair of surrogates")
            }
            ScanErrorKind::NotAnObject => Some("the body starts with `{` and ends with `}`"),
            ScanErrorKind::Syntax(error) => error.help(),
            ScanErrorKind::TrailingBytes => Some("send one JSON object per request"),
            ScanErrorKind::Shape { .. }
            | ScanErrorKind::TooDeep { .. }
            | ScanErrorKind::TooManyHits { .. }
            | ScanErrorKind::TooManyNodes { .. } => None,
        }
    }
}

impl SyntaxError {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::ControlCharacter => {
                Some("write line breaks and tabs in strings as `\\n` and `\\t`")
            }
            Self::ExpectedCommaOrEnd {
                found: Some('/' | '#'),
            }
            | Self::ExpectedKey {
                found: Some('/' | '#'),
            }
            | Self::ExpectedValue {
                found: Some('/' | '#'),
            } => Some("JSON has no comments"),
            Self::ExpectedKey { found: Some('\'') } | Self::ExpectedValue { found: Some('\'') } => {
                Some("JSON strings stand in double quotes")
            }
            Self::ExpectedKey { found: Some('}') }
            | Self::ExpectedValue {
                found: Some(']' | '}'),
            } => Some("JSON has no trailing commas"),
            Self::ExpectedValue {
                found: Some('I' | 'N'),
            }
            | Self::Number => {
                Some("JSON has no NaN, Infinity, leading zeros, plus signs or bare decimal points")
            }
            _ => None,
        }
    }
}
