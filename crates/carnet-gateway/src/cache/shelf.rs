//! Where answers lie: found by their key, forgotten by their age, and the one that was used least lately when room is needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::again::Entry;
use super::key::Key;
use crate::limits::CACHE_WAITING_MAX;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    known: HashMap<Key, Place>,
    by_use: BTreeMap<u64, Key>,
    /// All are kept equally long, so the first is also the first to go.
    by_age: BTreeMap<u64, Key>,
    flights: HashMap<Key, Arc<Flight>>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Place {
    entry: Arc<Entry>,
    put: u64,
    used: u64,
}

/// A request on its way for which equal ones may wait.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Cancelled when it is over.
    pub(super) done: CancellationToken,
    waiting: AtomicUsize,
}

impl Flight {
    /// Wait for it, too; false when too many do.
    pub(super) fn join(&self) -> bool {
        let room = |waiting: usize| (waiting < CACHE_WAITING_MAX).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .is_ok()
    }

    /// Wait no longer.
    pub(super) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// One that is used now.
    pub(super) fn find(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let place = self.known.get_mut(key)?;
        self.by_use.remove(&place.used);
        place.used = self.next;
        self.by_use.insert(place.used, *key);
        self.next += 1;
        Some(place.entry.clone())
    }

    /// Put one down; the one that lay there.
    pub(super) fn put(&mut self, key: Key, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let before = self.remove(&key);
        let (put, used) = (self.next, self.next);
        self.next += 1;
        self.by_age.insert(put, key);
        self.by_use.insert(used, key);
        self.known.insert(key, Place { entry, put, used });
        before
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let place = self.known.remove(key)?;
        self.by_age.remove(&place.put);
        self.by_use.remove(&place.used);
        Some(place.entry)
    }

    /// Take out the one that was used least lately. One that is being given takes its room until it has been.
    pub(super) fn evict(&mut self) -> Option<Arc<Entry>> {
        let free = |key: &&Key| {
            let place = self.known.get(*key);
            place.is_some_and(|place| Arc::strong_count(&place.entry) == 1)
        };
        let key = *self.by_use.values().find(free)?;
        self.remove(&key)
    }

    /// Take out those that were made until then, at most so many.
    pub(super) fn made_until(&mut self, until: Instant, max: usize) -> Vec<Arc<Entry>> {
        let mut old = Vec::new();
        while old.len() < max
            && let Some((_, key)) = self.by_age.first_key_value()
            && let key = *key
            && self
                .known
                .get(&key)
                .is_some_and(|place| place.entry.made <= until)
        {
            old.extend(self.remove(&key));
        }
        old
    }

    /// Take out everything, for good.
    pub(super) fn close(&mut self) -> Vec<Arc<Entry>> {
        self.closed = true;
        self.by_age.clear();
        self.by_use.clear();
        let all = std::mem::take(&mut self.known);
        all.into_values().map(|place| place.entry).collect()
    }

    /// So many requests wait for others.
    pub(super) fn waiting(&self) -> usize {
        let flights = self.flights.values();
        flights
            .map(|flight| flight.waiting.load(Ordering::Relaxed))
            .sum()
    }

    pub(super) fn flight(&self, key: &Key) -> Option<&Arc<Flight>> {
        self.flights.get(key)
    }

    /// A request is on its way.
    pub(super) fn begin(&mut self, key: Key) -> Arc<Flight> {
        let flight = Arc::new(Flight::default());
        self.flights.insert(key, flight.clone());
        flight
    }

    /// It is over.
    pub(super) fn end(&mut self, key: &Key, flight: &Arc<Flight>) {
        let ours = |known: &Arc<Flight>| Arc::ptr_eq(known, flight);
        if self.flights.get(key).is_some_and(ours) {
            self.flights.remove(key);
        }
    }

    #[cfg(test)]
    pub(super) fn is_even(&self) -> bool {
        let counts = [self.by_age.len(), self.by_use.len()];
        counts.iter().all(|count| *count == self.known.len())
    }

    #[cfg(test)]
    pub(super) fn flights(&self) -> usize {
        self.flights.len()
    }
}
