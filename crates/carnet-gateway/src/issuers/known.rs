//! Tokens that have been checked, by digest, so that a signature is checked once and not with every request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_limits::{KeyDigest, KeyEntry};
use jiff::Timestamp;

use crate::limits::{TOKENS_KNOWN_MAX, TOKENS_KNOWN_PARTS};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Known([Mutex<HashMap<KeyDigest, Checked>>; TOKENS_KNOWN_PARTS]);

/// A token that has been checked.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// Number of the key set with which it was: a key that is withdrawn takes its tokens with it.
    pub(super) keys: u64,
    /// From when it is not accepted any more.
    pub(super) until: Timestamp,
    /// What it stands for.
    pub(super) key: KeyEntry,
}

impl Known {
    /// What a token stands for, if it was checked with these keys and its time is not over.
    pub(super) fn find(&self, digest: &KeyDigest, keys: u64, now: Timestamp) -> Option<KeyEntry> {
        let part = self.part(digest);
        let checked = part.get(digest)?;
        (checked.keys == keys && now < checked.until).then(|| checked.key.clone())
    }

    pub(super) fn insert(&self, digest: KeyDigest, checked: Checked, now: Timestamp) {
        const PART_MAX: usize = TOKENS_KNOWN_MAX / TOKENS_KNOWN_PARTS;
        let mut part = self.part(&digest);
        if part.len() >= PART_MAX {
            part.retain(|_, other| other.keys == checked.keys && now < other.until);
        }
        if part.len() >= PART_MAX {
            // Whose turn it is again is checked again.
            part.clear();
        }
        part.insert(digest, checked);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let parts = self.0.iter();
        parts
            .map(|part| part.lock().map_or(0, |part| part.len()))
            .sum()
    }

    fn part(&self, digest: &KeyDigest) -> MutexGuard<'_, HashMap<KeyDigest, Checked>> {
        let [first, ..] = digest.as_bytes();
        let place = usize::from(*first) % TOKENS_KNOWN_PARTS;
        #[expect(
            clippy::indexing_slicing,
            reason = "the remainder is less than the number of parts"
        )]
        let part = &self.0[place];
        // A map stays whole whatever became of the thread that held it.
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
