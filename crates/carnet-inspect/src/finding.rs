//! A finding: what is wrong with a file, and at which byte.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::Code;
use crate::limits::MAX_SHOWN;

/// Why a file is refused. A reader stops at the first: what follows a broken number cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message} (byte {offset})")]
pub struct Finding {
    /// The kind of fault, stable across versions.
    pub code: Code,
    /// Where in the file the faulty part begins.
    pub offset: u64,
    /// What is wrong, with the values that show it.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(code: Code, offset: u64, message: impl Into<String>) -> Self {
        Self {
            code,
            offset,
            message: message.into(),
        }
    }

    /// The file could not be read, so nothing is known about it.
    pub(crate) fn unreadable(offset: u64, error: &io::Error) -> Self {
        Self::new(
            Code::FileUnreadable,
            offset,
            format!("the file cannot be read: {error}"),
        )
    }
}

/// A name from a file as a message shows it: in backticks, escaped and cut, so that it can neither forge lines nor
/// fill a log.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for c in self.0.chars().take(MAX_SHOWN) {
            write!(f, "{}", c.escape_debug())?;
        }
        if self.0.chars().nth(MAX_SHOWN).is_some() {
            f.write_str("…")?;
        }
        f.write_str("`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_cut() {
        assert_eq!(Shown("a\n\u{202e}").to_string(), "`a\\n\\u{202e}`");
        let long = "x".repeat(MAX_SHOWN + 1);
        assert_eq!(Shown(&long).to_string(), format!("`{}…`", &long[1..]));
    }
}
