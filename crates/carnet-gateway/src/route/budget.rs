//! How many further attempts the failures of one upstream may cause: a share of what it was asked in the last seconds, and
//! a few on top. An outage is then met with little more than the requests that there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::RETRY_WINDOW_SECONDS;

/// How much of it there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryShare {
    /// Further attempts, in percent of the requests.
    pub percent: u32,
    /// Further attempts for each second of the window, however few requests there are.
    pub per_second: u32,
}

/// See the module. Outlives generations.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    began: Instant,
    // Held for one count, never over I/O.
    window: Mutex<Window>,
    /// Further attempts that were taken of it, and those for which there was none left.
    taken: AtomicU64,
    refused: AtomicU64,
}

const SECONDS: usize = RETRY_WINDOW_SECONDS as usize;

/// What was counted in each of the last seconds.
#[derive(Debug, Default)]
struct Window {
    /// The newest second that is counted.
    second: u64,
    requests: [u32; SECONDS],
    retries: [u32; SECONDS],
}

impl RetryBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            window: Mutex::default(),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The upstream is asked for the first time by a request.
    pub(crate) fn asked(&self, now: Instant) {
        let (mut window, at) = self.turned(now);
        if let Some(count) = window.requests.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Take one further attempt, if there is one left.
    pub(crate) fn take(&self, share: RetryShare, now: Instant) -> bool {
        let (mut window, at) = self.turned(now);
        let sum = |counts: &[u32]| counts.iter().copied().map(u64::from).sum::<u64>();
        let floor = u64::from(share.per_second) * RETRY_WINDOW_SECONDS;
        let of_requests = sum(&window.requests).saturating_mul(share.percent.into());
        let wanted = sum(&window.retries).saturating_add(1);
        if wanted.saturating_mul(100) > of_requests.saturating_add(floor * 100) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if let Some(count) = window.retries.get_mut(at) {
            *count = count.saturating_add(1);
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Further attempts that were taken of it, and those for which there was none left.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let taken = self.taken.load(Ordering::Relaxed);
        (taken, self.refused.load(Ordering::Relaxed))
    }

    /// The window with nothing in it that is too old, and the place of this second in it.
    fn turned(&self, now: Instant) -> (MutexGuard<'_, Window>, usize) {
        let second = now.saturating_duration_since(self.began).as_secs();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = second.saturating_sub(window.second);
        for later in 1..=passed.min(RETRY_WINDOW_SECONDS) {
            let at = place(window.second + later);
            if let Some(count) = window.requests.get_mut(at) {
                *count = 0;
            }
            if let Some(count) = window.retries.get_mut(at) {
                *count = 0;
            }
        }
        if passed > RETRY_WINDOW_SECONDS {
            *window = Window::default();
        }
        window.second = window.second.max(second);
        let at = place(window.second);
        (window, at)
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % RETRY_WINDOW_SECONDS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_are_free_and_come_back() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let share = RetryShare {
            percent: 20,
            per_second: 3,
        };
        let taken = (0..100).filter(|_| budget.take(share, start)).count();
        assert_eq!(taken, 30);
        let later = start + Duration::from_secs(RETRY_WINDOW_SECONDS - 1);
        assert!(!budget.take(share, later));
        let later = start + Duration::from_secs(RETRY_WINDOW_SECONDS);
        assert!(budget.take(share, later));
        let none = RetryShare {
            percent: 0,
            per_second: 0,
        };
        assert!(!RetryBudget::new(start).take(none, start));
    }

    proptest! {
        /// Whatever comes in which order: in every window the further attempts are at most the share and the floor.
        #[test]
        fn it_never_exceeds_its_share(
            steps in prop::collection::vec((0u64..4_000, 0u8..3), 1..400),
            percent in 0u32..101,
            per_second in 0u32..4,
        ) {
            let start = Instant::now();
            let budget = RetryBudget::new(start);
            let share = RetryShare { percent, per_second };
            let (mut millis, mut asked, mut taken) = (0u64, Vec::new(), Vec::new());
            for (wait, kind) in steps {
                // Most come at once.
                millis += if kind == 0 { wait } else { wait / 100 };
                let now = start + Duration::from_millis(millis);
                let second = millis / 1_000;
                if kind < 2 {
                    budget.asked(now);
                    asked.push(second);
                }
                if budget.take(share, now) {
                    taken.push(second);
                    let inside = |all: &[u64]| {
                        all.iter().filter(|one| **one + RETRY_WINDOW_SECONDS > second).count() as u64
                    };
                    let most = inside(&asked) * u64::from(percent)
                        + u64::from(per_second) * RETRY_WINDOW_SECONDS * 100;
                    prop_assert!(inside(&taken) * 100 <= most);
                }
            }
        }
    }
}
