//! Listens in on an answer that may be given again: a copy is made as it passes, and nothing of it is held back.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;

use super::again::Entry;
use super::{Lead, whole};
use crate::budget::Held;
use crate::ingress::Call;
use crate::limits::CACHE_ENTRY_BYTES;

/// See the module. Dropped, it keeps nothing, and whoever waits for it asks for himself.
#[derive(Debug)]
pub(crate) struct Keeping {
    lead: Lead,
    of: Of,
    bytes: Vec<u8>,
    /// How long it says that it is, if it does.
    length: usize,
    held: Held,
}

/// What an answer is.
#[derive(Debug)]
pub(crate) struct Of {
    /// What was asked.
    pub(crate) call: Call,
    /// Whether it comes as events.
    pub(crate) events: bool,
    /// What kind of content it is.
    pub(crate) kind: HeaderValue,
    /// What the upstream could not be told.
    pub(crate) losses: Box<[Box<str>]>,
}

/// Who was given an answer first.
pub(crate) struct Given {
    /// Id of its record.
    pub(crate) record: Arc<str>,
    /// The model that it names, and what that is.
    pub(crate) reported: (Option<Arc<str>>, Option<Arc<str>>),
}

impl Keeping {
    /// Begin. `length`: of the answer, as far as that is known.
    pub(crate) fn new(lead: Lead, of: Of, length: Option<u64>) -> Option<Self> {
        let length = usize::try_from(length.unwrap_or_default()).ok()?;
        if length > lead.cache.config.answer_bytes_max {
            return None;
        }
        let held = lead.cache.room.budget.hold(0)?;
        Some(Self {
            lead,
            of,
            bytes: Vec::new(),
            length,
            held,
        })
    }

    /// Looks at a piece that goes to the caller; whether it can still be kept.
    pub(crate) fn looks(&mut self, piece: &[u8]) -> bool {
        let max = self.lead.cache.config.answer_bytes_max;
        let Some(all) = self.bytes.len().checked_add(piece.len()) else {
            return false;
        };
        if all > max {
            return false;
        }
        let had = self.bytes.capacity();
        if all > had {
            // Both count while one is copied into the other.
            let room = had.saturating_mul(2).max(self.length).clamp(all, max);
            if !self.grow(room) {
                return false;
            }
            let bytes = mem::replace(&mut self.bytes, Vec::with_capacity(room));
            self.bytes.extend_from_slice(&bytes);
            drop(bytes);
            self.held.shrink(had);
        }
        self.bytes.extend_from_slice(piece);
        true
    }

    /// It has ended well; whether it is kept.
    pub(crate) fn keep(mut self, given: Given) -> bool {
        if !whole::is_whole(self.of.call, self.of.events, &self.bytes) {
            return false;
        }
        let texts = [&given.reported.0, &given.reported.1];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let losses = self.of.losses.iter();
        let losses = losses.map(|loss| loss.len() + size_of::<Box<str>>());
        let beside = texts.chain(losses).sum::<usize>() + self.of.kind.len();
        let (had, has) = (self.bytes.capacity(), self.bytes.len());
        if !self.grow(has.saturating_add(CACHE_ENTRY_BYTES).saturating_add(beside)) {
            return false;
        }
        let bytes = self.bytes.as_slice().to_vec();
        self.bytes = Vec::new();
        self.held.shrink(had);
        self.lead.give(Entry {
            bytes,
            events: self.of.events,
            kind: self.of.kind,
            made: Instant::now(),
            record: given.record,
            reported: given.reported,
            losses: self.of.losses,
            _held: self.held,
        })
    }

    fn grow(&mut self, bytes: usize) -> bool {
        self.lead.cache.grow(&mut self.held, bytes)
    }
}
