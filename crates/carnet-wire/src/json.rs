//! A strict reader of request bodies that finds watched values, and the tool that edits them in place.
//!
//! [`scan`] accepts RFC 8259 and nothing else, with an object as its root. Beyond the grammar it refuses what would
//! let two parsers see two different requests: a watched key twice, or in another letter case, wherever a watched
//! path leads. Whatever is not watched is checked but neither copied nor kept.
//!
//! A body that is to be translated is read as a [`Document`] instead: all its values by place, none of them copied.

mod document;
mod error;
mod found;
mod lexer;
mod scan;
mod splice;
mod text;
mod token;
mod watch;
mod write;

#[cfg(test)]
mod tests;

pub use document::{Document, Elements, Members, Value};
pub use error::{ScanError, ScanErrorKind, SyntaxError};
pub use found::{Hit, Kind, Scan, ValueError, bool_value, string_value};
pub use scan::scan;
pub use splice::{Edit, splice};
pub use text::{LoneSurrogate, plain_bytes};
pub use token::Text;
pub use watch::{Watch, WatchError, WatchErrorKind};

pub(crate) use text::unescape;
pub(crate) use write::{Array, Object, write_str, write_text};
