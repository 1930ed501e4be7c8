//! An answer that is kept, and the pieces in which it is given again.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memmem;

use crate::budget::Held;
use crate::limits::CACHE_PIECE_BYTES;
use crate::place::ENDS_OF_EVENT;

/// An answer, as the caller was given it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) bytes: Vec<u8>,
    /// Whether they are events.
    pub(super) events: bool,
    /// What kind of content they are.
    pub(super) kind: HeaderValue,
    /// When they were there.
    pub(super) made: Instant,
    /// Id of the record of the request that was answered so.
    pub(super) record: Arc<str>,
    /// The model that it names, and what that is.
    pub(super) reported: (Option<Arc<str>>, Option<Arc<str>>),
    /// What the upstream could not be told.
    pub(super) losses: Box<[Box<str>]>,
    pub(super) _held: Held,
}

impl Entry {
    /// What kind of content it is.
    pub(crate) fn kind(&self) -> &HeaderValue {
        &self.kind
    }

    /// The model that it names, and what that is.
    pub(crate) fn reported(&self) -> (Option<Arc<str>>, Option<Arc<str>>) {
        self.reported.clone()
    }

    /// What the upstream could not be told.
    pub(crate) fn losses(&self) -> Box<[Box<str>]> {
        self.losses.clone()
    }
}

/// Lends an answer until its last byte is written.
#[derive(Debug)]
struct Lent(Arc<Entry>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// An answer that is given again. What it takes of memory counts until nobody reads it any more.
#[derive(Debug)]
pub(crate) struct Again {
    rest: Bytes,
    events: bool,
}

impl Again {
    pub(crate) fn new(entry: Arc<Entry>) -> Self {
        Self {
            events: entry.events,
            rest: Bytes::from_owner(Lent(entry)),
        }
    }

    /// How much of it comes, where that is told in advance.
    pub(crate) fn length(&self) -> Option<u64> {
        (!self.events).then_some(self.rest.len() as u64)
    }

    /// Whether all has been given.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next piece; of events, whole ones.
    pub(crate) fn piece(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        let end = if self.events {
            end_of_events(&self.rest)
        } else {
            self.rest.len().min(CACHE_PIECE_BYTES)
        };
        Some(self.rest.split_to(end))
    }
}

/// Where the last event ends that fits into a piece, or the first one if it is longer.
fn end_of_events(bytes: &[u8]) -> usize {
    let Some(piece) = bytes.get(..CACHE_PIECE_BYTES) else {
        return bytes.len();
    };
    let last = |end: &&[u8]| memmem::rfind(piece, end).map(|at| at + end.len());
    let first = |end: &&[u8]| memmem::find(bytes, end).map(|at| at + end.len());
    let last = ENDS_OF_EVENT.iter().filter_map(last).max();
    let end = last.or_else(|| ENDS_OF_EVENT.iter().filter_map(first).min());
    end.unwrap_or(bytes.len())
}
