//! The answers that are on their way, for what their bodies cannot see: a caller who reads nothing.
//!
//! hyper asks a body for more only while the caller takes what there is. Then neither a revoked key
//! nor a timer reaches the body, so a sweep looks from outside and drops the connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use carnet_audit::Outcome;
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug)]
pub(crate) struct Relays {
    began: Instant,
    /// When the last sweep was, in milliseconds since `began`: the clock by which answers tell when they were asked.
    swept_ms: Arc<AtomicU64>,
    next: AtomicU64,
    // Held for an insertion, a removal, or one look over all; never over I/O.
    running: Mutex<HashMap<u64, Arc<Running>>>,
}

/// One answer on its way.
#[derive(Debug)]
pub(crate) struct Running {
    number: u64,
    swept_ms: Arc<AtomicU64>,
    /// Cancelled to drop the caller's connection.
    connection: CancellationToken,
    /// The key's token, if its revocation ends the answer.
    revoked: Option<CancellationToken>,
    /// How long the body may go unasked.
    unread_max: Duration,
    /// By which sweep the body was last asked, as the time of that.
    asked_ms: AtomicU64,
    /// Found once by a sweep: the body has until the next one to end by itself.
    doomed: AtomicBool,
    ended: OnceLock<Outcome>,
}

impl Default for Relays {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            swept_ms: Arc::default(),
            next: AtomicU64::new(0),
            running: Mutex::default(),
        }
    }
}

impl Relays {
    /// An answer begins to pass through.
    pub(crate) fn open(
        &self,
        connection: CancellationToken,
        revoked: Option<CancellationToken>,
        unread_max: Duration,
    ) -> Arc<Running> {
        let running = Arc::new(Running {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            swept_ms: self.swept_ms.clone(),
            connection,
            revoked,
            unread_max,
            asked_ms: AtomicU64::new(self.swept_ms.load(Ordering::Relaxed)),
            doomed: AtomicBool::new(false),
            ended: OnceLock::new(),
        });
        self.lock().insert(running.number, running.clone());
        running
    }

    /// It is over.
    pub(crate) fn close(&self, running: &Running) {
        self.lock().remove(&running.number);
    }

    /// Drop the connections of those that two sweeps found revoked or unread.
    pub(crate) fn sweep(&self, now: Instant) {
        let now_ms = millis(now.duration_since(self.began));
        self.swept_ms.store(now_ms, Ordering::Relaxed);
        for running in self.lock().values() {
            if let Some(outcome) = running.overdue(now_ms)
                && running.doomed.swap(true, Ordering::Relaxed)
            {
                // The first reason stays.
                let _ = running.ended.set(outcome);
                running.connection.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The caller takes more.
    pub(crate) fn asked(&self) {
        let now = self.swept_ms.load(Ordering::Relaxed);
        self.asked_ms.store(now, Ordering::Relaxed);
    }

    /// How a sweep ended it, if one did.
    pub(crate) fn ended(&self) -> Option<Outcome> {
        self.ended.get().copied()
    }

    fn overdue(&self, now_ms: u64) -> Option<Outcome> {
        if self
            .revoked
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled)
        {
            return Some(Outcome::Revoked);
        }
        let unread = now_ms.saturating_sub(self.asked_ms.load(Ordering::Relaxed));
        (unread > millis(self.unread_max)).then_some(Outcome::Cut)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_or_unread_answer_loses_its_connection_at_the_second_sweep() {
        let relays = Relays::default();
        let (key, read, unread) = (
            CancellationToken::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let revoked = relays.open(read.clone(), Some(key.clone()), Duration::from_secs(60));
        let silent = relays.open(unread.clone(), None, Duration::from_secs(1));
        let now = Instant::now();
        relays.sweep(now);
        assert!(!read.is_cancelled() && !unread.is_cancelled());
        key.cancel();
        let later = now + Duration::from_secs(3);
        relays.sweep(later);
        assert!(!read.is_cancelled() && !unread.is_cancelled());
        relays.sweep(later);
        assert!(read.is_cancelled() && unread.is_cancelled());
        assert_eq!(
            (revoked.ended(), silent.ended()),
            (Some(Outcome::Revoked), Some(Outcome::Cut))
        );
        relays.close(&revoked);
        relays.close(&silent);
        assert!(relays.lock().is_empty());
    }
}
