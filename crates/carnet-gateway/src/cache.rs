//! Answers that are given again to equal requests: in memory, bounded, for a short time, and only where the operator says so. Of
//! equal requests at once one asks, and the others wait for its answer.
//!
//! A request is looked up here when it has been decided on and screened for its target, and what is found goes through limits and
//! records as any other answer does. A cache belongs to one set of rules and goes with it: nothing that was answered under
//! other rules, facts or settings is given again.

mod again;
mod fit;
mod keeping;
mod key;
mod shelf;
#[cfg(test)]
mod tests;
mod whole;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carnet_audit::Cached;
use carnet_wire::json::Watch;
use http::HeaderValue;
use tokio_util::sync::WaitForCancellationFuture;

pub(crate) use self::again::{Again, Entry};
pub(crate) use self::fit::Wish;
pub(crate) use self::keeping::{Given, Keeping, Of};
pub(crate) use self::key::Asked;
use self::key::{Key, Secret};
use self::shelf::{Flight, Shelf};
use crate::budget::{Budget, Held};
use crate::config::CacheConfig;
use crate::ingress::Call;
use crate::limits::CACHE_SWEPT_MAX;

/// The words of a record.
const HIT: &str = "hit";
const KEPT: &str = "kept";

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache {
    config: CacheConfig,
    secret: Secret,
    /// Finds what requests say of chance.
    watch: Option<Watch>,
    room: Room,
    // Held for one look or change, never over I/O; what is taken out is dropped after it.
    shelf: Mutex<Shelf>,
}

/// The memory that the caches of all generations share.
#[derive(Clone, Debug)]
struct Room {
    budget: Arc<Budget>,
    evicted: Arc<AtomicU64>,
}

/// How a cache stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) entries: usize,
    /// Those on their way among them, and those that are still being given.
    pub(crate) bytes: usize,
    /// Entries that made room for others, since the start.
    pub(crate) evicted: u64,
    /// Requests that wait for equal ones.
    pub(crate) waiting: usize,
}

/// What there is for a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// It has to ask. With a lead, others may wait for what it is answered.
    Ask(Option<Lead>),
    Hit(Hit),
    /// An equal one asks already.
    Wait(Waiting),
}

/// An answer that was given before.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) entry: Arc<Entry>,
    pub(crate) age: Duration,
}

/// The request that asks for others, too. They ask themselves once it is gone.
#[derive(Debug)]
pub(crate) struct Lead {
    cache: Arc<Cache>,
    key: Key,
    flight: Arc<Flight>,
}

/// A request that waits for an equal one.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Flight>);

/// What the cache had to do with a request.
#[derive(Debug, Default)]
pub(crate) enum CacheUse {
    /// It is not one that is kept.
    Bypass,
    /// It was answered before. `shared`: by an equal one that it waited for. `losses`: what that could not be told.
    Hit {
        shared: bool,
        losses: Box<[Box<str>]>,
    },
    /// Nothing was there.
    Miss(Option<Box<Lead>>),
    /// There is no cache for it.
    #[default]
    Off,
}

impl CacheUse {
    /// What the caller is told.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let said = match self {
            Self::Bypass => "bypass",
            Self::Hit { .. } => HIT,
            Self::Miss(_) => "miss",
            Self::Off => return None,
        };
        Some(HeaderValue::from_static(said))
    }

    /// Nobody need wait for the answer.
    pub(crate) fn lets_go(&mut self) {
        if let Self::Miss(lead) = self {
            *lead = None;
        }
    }

    /// Whoever waits for the answer, if it is to be kept.
    pub(crate) fn into_lead(self) -> Option<Lead> {
        match self {
            Self::Miss(lead) => lead.map(|lead| *lead),
            Self::Bypass | Self::Hit { .. } | Self::Off => None,
        }
    }
}

impl Hit {
    /// What the record says.
    pub(crate) fn cached(&self) -> Cached {
        Cached {
            result: HIT.into(),
            record: Some(self.entry.record.clone()),
            age_seconds: Some(self.age.as_secs()),
        }
    }
}

/// What the record says of an answer that may be given again.
pub(crate) fn kept() -> Cached {
    Cached {
        result: KEPT.into(),
        record: None,
        age_seconds: None,
    }
}

impl Cache {
    /// An empty one. Its memory is that of `previous`.
    pub(crate) fn new(config: CacheConfig, previous: Option<&Self>) -> Option<Self> {
        let Some(secret) = Secret::new() else {
            tracing::error!("no answers are kept: the system gave no random bytes");
            return None;
        };
        let room = match previous {
            Some(previous) => Room {
                budget: Arc::new(previous.room.budget.up_to(config.bytes_max)),
                evicted: previous.room.evicted.clone(),
            },
            None => Room {
                budget: Arc::new(Budget::new(config.bytes_max)),
                evicted: Arc::default(),
            },
        };
        Some(Self {
            watch: fit::watch(),
            config,
            secret,
            room,
            shelf: Mutex::default(),
        })
    }

    /// Whether it is there for requests of a workload to an upstream.
    pub(crate) fn is_for(&self, workload: &str, upstream: &str) -> bool {
        let among = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|known| known == name)
        };
        among(&self.config.workloads, workload) && among(&self.config.upstreams, upstream)
    }

    /// Whether the answers to such a request are given again. `query`: whether it says the one thing that it may.
    pub(crate) fn takes(&self, (call, query): (Call, bool), body: &[u8]) -> bool {
        let watch = self.watch.as_ref();
        fit::may_be_kept(call, query) && (self.config.sampled || fit::is_certain(call, body, watch))
    }

    /// How long a request waits for an equal one.
    pub(crate) fn wait(&self) -> Duration {
        self.config.wait
    }

    /// Look for an answer to a request.
    pub(crate) fn look(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        wish: Wish,
        may_wait: bool,
        now: Instant,
    ) -> Found {
        let key = self.secret.key(asked);
        let mut old = None;
        let mut shelf = self.shelf();
        if let Some(entry) = shelf.find(&key) {
            let age = now.saturating_duration_since(entry.made);
            if age >= self.config.keep {
                old = shelf.remove(&key);
            } else if wish.takes(age) {
                return Found::Hit(Hit { entry, age });
            }
        }
        let found = match shelf.flight(&key) {
            _ if shelf.is_closed() => Found::Ask(None),
            Some(flight) if may_wait && wish.waits() && flight.join() => {
                Found::Wait(Waiting(flight.clone()))
            }
            Some(_) => Found::Ask(None),
            None => Found::Ask(Some(Lead {
                flight: shelf.begin(key),
                cache: self.clone(),
                key,
            })),
        };
        drop(shelf);
        drop(old);
        found
    }

    /// Room for so many bytes more; what was used least lately goes for it.
    fn grow(&self, held: &mut Held, bytes: usize) -> bool {
        while !held.try_grow(bytes) {
            let evicted = self.shelf().evict();
            if evicted.is_none() {
                // What went meanwhile may have been enough.
                return held.try_grow(bytes);
            }
            drop(evicted);
            self.room.evicted.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Forget what is too old.
    pub(crate) fn sweep(&self, now: Instant) {
        let Some(until) = now.checked_sub(self.config.keep) else {
            return;
        };
        let old = self.shelf().made_until(until, CACHE_SWEPT_MAX);
        drop(old);
    }

    /// Forget everything, and keep nothing more.
    pub(crate) fn close(&self) {
        let all = self.shelf().close();
        drop(all);
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Standing {
        let shelf = self.shelf();
        let (entries, waiting) = (shelf.len(), shelf.waiting());
        drop(shelf);
        Standing {
            entries,
            waiting,
            bytes: self.room.budget.used(),
            evicted: self.room.evicted.load(Ordering::Relaxed),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// Have an answer found from now on; whether it is.
    fn give(&self, entry: Entry) -> bool {
        let entry = Arc::new(entry);
        let mut shelf = self.cache.shelf();
        if shelf.is_closed() {
            return false;
        }
        let before = shelf.put(self.key, entry);
        drop(shelf);
        drop(before);
        true
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.cache.shelf().end(&self.key, &self.flight);
        self.flight.done.cancel();
    }
}

impl Waiting {
    /// Ends when nobody asks any more.
    pub(crate) fn done(&self) -> WaitForCancellationFuture<'_> {
        self.0.done.cancelled()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.leave();
    }
}
