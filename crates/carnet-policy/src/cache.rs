//! Decisions remembered for one generation of policy and facts.
//!
//! The key is made of small numbers that the decider gave to a prepared caller and target, so no
//! name or raw value can collide. It never outlives the decider.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use crate::verdict::{Effect, Verdict};
use crate::workload::Ask;

/// Enough that threads rarely meet at one lock.
const SHARDS: usize = 16;

/// What is decided on: the caller's number and the target's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) principal: u64,
    pub(crate) target: u64,
}

/// A remembered decision.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) effect: Effect,
    /// The whole answer, when it was asked for and not only whether it is a permit.
    pub(crate) verdict: Option<Arc<Verdict>>,
    /// When the first fact it rests on changes.
    pub(crate) expires: Option<Timestamp>,
    /// How many other targets were offered as a way out.
    pub(crate) others: usize,
}

/// How the cache and its checks have worked since the decider was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Decisions answered from memory.
    pub hits: u64,
    /// Decisions evaluated in full.
    pub misses: u64,
    /// Hits that were evaluated in full as well.
    pub shadow_checks: u64,
    /// Those that differed. It must stay 0.
    pub shadow_mismatches: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    shadow_checks: AtomicU64,
    shadow_mismatches: AtomicU64,
}

type Slots = [Option<Entry>; Ask::COUNT];
type Shard = RwLock<HashMap<Key, Slots, BuildHasherDefault<Mix>>>;

pub(crate) struct Cache {
    shards: [Shard; SHARDS],
    shard_max: usize,
    pub(crate) counters: Counters,
}

impl Cache {
    /// Remember up to about `max` pairs of caller and target; 0 remembers nothing.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shards: Default::default(),
            shard_max: max.div_ceil(SHARDS),
            counters: Counters::default(),
        }
    }

    /// The answer, unless a fact it rests on has changed or another set of ways out is asked for.
    pub(crate) fn verdict(
        &self,
        key: Key,
        ask: Ask,
        others: usize,
        now: Timestamp,
    ) -> Option<Arc<Verdict>> {
        self.current(key, ask, now, |entry| {
            entry.verdict.clone().filter(|_| entry.others == others)
        })
    }

    /// Whether it is a permit, under the same condition.
    pub(crate) fn effect(&self, key: Key, ask: Ask, now: Timestamp) -> Option<Effect> {
        self.current(key, ask, now, |entry| Some(entry.effect))
    }

    /// Remember a decision; a full shard forgets one pair for it.
    pub(crate) fn keep(&self, key: Key, ask: Ask, entry: Entry) {
        let Some(shard) = self.shard(key).filter(|_| self.shard_max > 0) else {
            return;
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.shard_max
            && !shard.contains_key(&key)
            && let Some(old) = shard.keys().next().copied()
        {
            shard.remove(&old);
        }
        if let Some(slot) = shard.entry(key).or_default().get_mut(ask.index()) {
            *slot = Some(entry);
        }
    }

    fn current<T>(
        &self,
        key: Key,
        ask: Ask,
        now: Timestamp,
        read: impl FnOnce(&Entry) -> Option<T>,
    ) -> Option<T> {
        let shard = self
            .shard(key)?
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(&key)?.get(ask.index())?.as_ref()?;
        if entry.expires.is_some_and(|expires| expires <= now) {
            None
        } else {
            read(entry)
        }
    }

    /// Forget everything.
    pub(crate) fn flush(&self) {
        for shard in &self.shards {
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is smaller than the number of shards"
    )]
    fn shard(&self, key: Key) -> Option<&Shard> {
        self.shards
            .get(((key.principal ^ key.target) % SHARDS as u64) as usize)
    }
}

impl Counters {
    /// Count a hit and say how many there were before it.
    pub(crate) fn hit(&self) -> u64 {
        self.hits.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn shadow(&self, agreed: bool) {
        self.shadow_checks.fetch_add(1, Ordering::Relaxed);
        if !agreed {
            self.shadow_mismatches.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> CacheCounters {
        CacheCounters {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            shadow_checks: self.shadow_checks.load(Ordering::Relaxed),
            shadow_mismatches: self.shadow_mismatches.load(Ordering::Relaxed),
        }
    }
}

/// Mixes two numbers that we chose ourselves: nobody outside can steer them into collisions.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
