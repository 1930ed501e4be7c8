//! A strict reader of request bodies that finds watched values, and the tool that edits them in place.
//!
//! [`scan`] accepts RFC 8259 and nothing else, with an object as its root. Beyond the grammar it refuses what would
//! let two parsers see two different requests: a watched key twice, or in another letter case, wherever a watched
//! path leads. Whatever is not watched is checked but neither copied nor kept.

mod error;
mod found;
mod lexer;
mod scan;
mod splice;
mod text;
mod watch;

#[cfg(test)]
mod tests;

pub use error::{ScanError, ScanErrorKind, SyntaxError};
pub use found::{Hit, Kind, Scan, ValueError, bool_value, string_value};
pub use scan::scan;
pub use splice::{Edit, splice};
pub use text::LoneSurrogate;
pub use watch::{Watch, WatchError, WatchErrorKind};

pub(crate) use text::unescape;
