//! The framings of streamed answers, cut into events as the bytes come and written again.
//!
//! The parsers take chunks cut anywhere, as the network has them, and own only what a cut leaves open: an event that
//! lies in one chunk is lent from there. Each call of `next` takes bytes off the front of what it is given, up to the
//! end of one event or the end of the chunk. So a relay can inspect the events and pass the same bytes on, and a
//! translator can write others. Text is never decoded here: a character may be cut by a chunk, and an event is not.
//!
//! ```
//! use carnet_wire::stream::sse::{Block, SseParser};
//!
//! let mut parser = SseParser::new();
//! let mut data = Vec::new();
//! for chunk in [&b"data: {\"a\""[..], b":1}\n\n: still here\n\ndata: [DONE]\n\n"] {
//!     let mut rest = chunk;
//!     while let Some(block) = parser.next(&mut rest)? {
//!         if let Block::Event(event) = block {
//!             data.push(String::from_utf8_lossy(event.data).into_owned());
//!         }
//!     }
//! }
//! assert_eq!(data, [r#"{"a":1}"#, "[DONE]"]);
//! assert!(parser.finish().is_none());
//! # Ok::<(), carnet_wire::stream::TooLong>(())
//! ```

pub mod aws;
mod joined;
pub mod ndjson;
pub mod sse;

#[cfg(test)]
mod cuts;

/// Something longer than its bound. A parser that has said so once says it again at every further call, because it
/// no longer knows where the next event begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} of more than {max} bytes")]
pub struct TooLong {
    /// What it is.
    pub what: &'static str,
    /// The bound.
    pub max: usize,
}

impl TooLong {
    /// The stable code of this error.
    pub fn code(self) -> &'static str {
        "too-long"
    }
}
