//! What a scan found: watched values by place and kind, and how to read them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use super::text::{LoneSurrogate, unescape};

/// What a JSON value is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// `[…]`
    Array,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// A number of any size; its text is kept as it was sent.
    Number,
    /// `{…}`
    Object,
    /// `"…"`
    String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Array => "an array",
            Self::Bool => "a boolean",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
        })
    }
}

/// One value at a watched path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    /// Which path, in the order in which the [`Watch`](super::Watch) was given them.
    pub path: usize,
    /// The value's bytes in the body, quotes and brackets included.
    pub value: Range<usize>,
    /// What the value is.
    pub kind: Kind,
    /// The bytes that go when the member or element is removed: key, value and one comma if there is one.
    pub member: Range<usize>,
}

/// What one scan found, in the order of the body; a container stands before what is in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scan {
    /// Every value at a watched path.
    pub hits: SmallVec<[Hit; 8]>,
    /// Top-level keys (with their quotes) outside the known ones, at most
    /// [`MAX_UNKNOWN_KEYS`](crate::limits::MAX_UNKNOWN_KEYS) of them; empty when the watch has no known keys.
    pub unknown_keys: SmallVec<[Range<usize>; 4]>,
}

impl Scan {
    /// The first value at a path. A path without `[]` has no second one.
    pub fn first(&self, path: usize) -> Option<&Hit> {
        self.all(path).next()
    }

    /// Every value at a path.
    pub fn all(&self, path: usize) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(move |hit| hit.path == path)
    }

    /// The names of the unknown top-level keys.
    pub fn unknown<'b>(&self, body: &'b [u8]) -> impl Iterator<Item = Cow<'b, str>> {
        self.unknown_keys
            .iter()
            .filter_map(move |span| unescape(inside(body, span)?).ok())
    }
}

/// Why a watched value cannot be used. The message goes on from the path's name: "`model` must be a string, …".
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// The string has half of a surrogate pair, which parsers read differently.
    #[error("must be Unicode text, but has a lone surrogate")]
    LoneSurrogate,
    /// The hit is not from this body.
    #[error("lies outside the body")]
    OutsideBody,
    /// The value is of another kind.
    #[error("must be {expected}, but is {found}")]
    WrongKind {
        /// What was asked for.
        expected: Kind,
        /// What the body has.
        found: Kind,
    },
}

impl From<LoneSurrogate> for ValueError {
    fn from(_: LoneSurrogate) -> Self {
        Self::LoneSurrogate
    }
}

/// Reads a string value, copying it only when it has escapes.
///
/// # Errors
/// When the value is not a string, or has half of a surrogate pair.
pub fn string_value<'b>(body: &'b [u8], hit: &Hit) -> Result<Cow<'b, str>, ValueError> {
    expect_kind(hit, Kind::String)?;
    let text = inside(body, &hit.value).ok_or(ValueError::OutsideBody)?;
    Ok(unescape(text)?)
}

/// Reads `true` or `false`.
///
/// # Errors
/// When the value is anything else.
pub fn bool_value(body: &[u8], hit: &Hit) -> Result<bool, ValueError> {
    expect_kind(hit, Kind::Bool)?;
    let text = body.get(hit.value.clone()).ok_or(ValueError::OutsideBody)?;
    Ok(text == b"true")
}

fn expect_kind(hit: &Hit, expected: Kind) -> Result<(), ValueError> {
    if hit.kind == expected {
        Ok(())
    } else {
        Err(ValueError::WrongKind {
            expected,
            found: hit.kind,
        })
    }
}

/// The text between the quotes of a string.
fn inside<'b>(body: &'b [u8], span: &Range<usize>) -> Option<&'b str> {
    let text = body.get(span.start.checked_add(1)?..span.end.checked_sub(1)?)?;
    std::str::from_utf8(text).ok()
}
