//! What one request has tried so far, and what is left of its attempts and its time.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::breaker::Standing;
use super::chance::Chance;
use super::failure::Unwell;
use super::health::Health;
use super::{Candidate, Candidates, RoutingConfig};
use crate::limits::UNSENT_MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tries {
    /// When the first could begin.
    began: Instant,
    /// Attempts that may have reached their upstream, or were to.
    made: u32,
    /// Attempts of which nothing was sent, because a kept connection turned out to be closed.
    unsent: u32,
    tried: SmallVec<[Tried; 2]>,
}

#[derive(Debug)]
struct Tried {
    health: Arc<Health>,
    times: u32,
    again: Again,
}

/// When a target may be asked again by a request that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    At(Instant),
    Never,
}

impl Tries {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            made: 0,
            unsent: 0,
            tried: SmallVec::new(),
        }
    }

    /// When the first could begin.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether no attempt was made yet.
    pub(crate) fn is_first(&self) -> bool {
        self.made + self.unsent == 0
    }

    /// Whether no target has failed or refused the request yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.tried.is_empty()
    }

    /// An attempt begins; its number among all.
    pub(crate) fn begins(&mut self) -> u32 {
        self.made += 1;
        self.made.saturating_add(self.unsent)
    }

    /// Nothing of it was sent after all; whether it may be made once more.
    pub(crate) fn was_unsent(&mut self) -> bool {
        self.made = self.made.saturating_sub(1);
        self.unsent += 1;
        self.unsent < UNSENT_MAX
    }

    /// Whether a further attempt may be made.
    pub(crate) fn left(&self, config: &RoutingConfig) -> bool {
        self.made < config.attempts
    }

    /// When the time of all of them is over.
    pub(crate) fn deadline(&self, config: &RoutingConfig) -> Instant {
        self.began + config.total
    }

    /// Whether it is worth to wait so long.
    pub(crate) fn may_wait(
        &self,
        until: Instant,
        config: &RoutingConfig,
        begins: Option<Instant>,
    ) -> bool {
        // From then on no other target may be asked.
        let end = self.deadline(config);
        until < begins.map_or(end, |begins| end.min(begins))
    }

    /// A target failed: when it may be asked again. What it says itself counts, else chance, twice as long each time.
    pub(crate) fn failed(
        &mut self,
        health: &Arc<Health>,
        unwell: Unwell,
        (config, chance): (&RoutingConfig, &Chance),
        now: Instant,
    ) {
        let tried = self.entry(health);
        let doubled = 1_u32 << tried.times.min(16);
        let most = config
            .backoff
            .saturating_mul(doubled)
            .min(config.backoff_max);
        tried.times += 1;
        let wait = unwell.wait.unwrap_or_default();
        let often = tried.times > config.repeats;
        tried.again = if often || unwell.never || wait > config.retry_after_max {
            Again::Never
        } else {
            Again::At(now + wait + chance.up_to(most))
        };
    }

    /// A target is not asked any more: it cannot take this request.
    pub(crate) fn set_aside(&mut self, health: &Arc<Health>) {
        self.entry(health).again = Again::Never;
    }

    fn entry(&mut self, health: &Arc<Health>) -> &mut Tried {
        let at = self.tried.iter().position(|one| one.is(health));
        let at = at.unwrap_or_else(|| {
            self.tried.push(Tried {
                health: health.clone(),
                times: 0,
                again: Again::Never,
            });
            self.tried.len() - 1
        });
        // INVARIANT: it is there.
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just now")]
        &mut self.tried[at]
    }

    /// When a target may be asked; nothing where it may not be.
    pub(crate) fn when(
        &self,
        health: &Arc<Health>,
        standing: Standing,
        now: Instant,
    ) -> Option<Instant> {
        let Some(tried) = self.tried.iter().find(|one| one.is(health)) else {
            // The first attempt is the caller's own, who waits for what he is told.
            let rests = health.rests(now).filter(|_| !self.is_first());
            return Some(rests.unwrap_or(now));
        };
        match (tried.again, standing) {
            (Again::Never, _) => None,
            (Again::At(_), Standing::Shut(_)) if health.rests(now).is_none() => None,
            (Again::At(at), _) => Some(at.max(now)),
        }
    }

    fn knows(&self, health: &Arc<Health>) -> bool {
        self.tried.iter().any(|one| one.is(health))
    }

    /// Leave out what may not be asked, and put what has to be waited for behind what can be asked now.
    pub(crate) fn sort<'a>(
        &self,
        all: &mut Candidates,
        health: impl Fn(&Candidate) -> Option<&'a Arc<Health>>,
        now: Instant,
    ) {
        if self.tried.is_empty() {
            return;
        }
        let when = |one: &Candidate| self.when(health(one)?, one.standing, now);
        all.retain(|one| when(one).is_some());
        // Whoever has not failed it yet comes before whoever has.
        let failed = |one: &Candidate| health(one).is_some_and(|health| self.knows(health));
        all.sort_by_key(|one| {
            let wait = when(one).unwrap_or(now).saturating_duration_since(now);
            (!wait.is_zero(), failed(one), wait)
        });
    }
}

impl Tried {
    fn is(&self, health: &Arc<Health>) -> bool {
        Arc::ptr_eq(&self.health, health)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{BreakerTerms, RetryBudget, RetryShare, Strategy};
    use super::*;

    fn config() -> RoutingConfig {
        let second = Duration::from_secs(1);
        RoutingConfig {
            attempts: 3,
            repeats: 4,
            total: second * 60,
            backoff: second,
            backoff_max: second * 3,
            retry_after_max: second * 10,
            retries: RetryShare {
                percent: 20,
                per_second: 3,
            },
            breaker: BreakerTerms {
                failures: 5,
                percent: 50,
                attempts_min: 20,
                open: second,
                open_max: second,
            },
            strategy: Strategy::First,
            nearest: Vec::new(),
            commit_after: Some(second * 15),
        }
    }

    fn health(now: Instant) -> Arc<Health> {
        let budget = Arc::new(RetryBudget::new(now));
        Arc::new(Health::new("a".into(), "m".into(), budget))
    }

    #[test]
    fn waits_grow_at_random_and_what_an_upstream_says_counts() {
        let (config, chance, now) = (config(), Chance::new(3), Instant::now());
        let (mut tries, one, other) = (Tries::new(now), health(now), health(now));
        let unwell = Unwell::default();
        for most in [1, 2, 3, 3] {
            tries.failed(&one, unwell, (&config, &chance), now);
            let when = tries.when(&one, Standing::Well, now).unwrap();
            assert!(when > now && when <= now + Duration::from_secs(most));
        }
        assert_eq!(tries.when(&other, Standing::Well, now), Some(now));
        let said = |seconds| Unwell {
            wait: Some(Duration::from_secs(seconds)),
            ..unwell
        };
        tries.failed(&other, said(10), (&config, &chance), now);
        let when = tries.when(&other, Standing::Well, now).unwrap();
        assert!(when > now + Duration::from_secs(10));
        assert!(tries.may_wait(when, &config, None));
        let fifteen = now + Duration::from_secs(15);
        assert!(!tries.may_wait(fifteen, &config, Some(fifteen)));
        assert!(tries.may_wait(fifteen, &config, None));
        tries.failed(&other, said(11), (&config, &chance), now);
        assert_eq!(tries.when(&other, Standing::Well, now), None);
    }

    #[test]
    fn the_same_target_is_asked_again_only_as_often_as_allowed() {
        let (mut config, chance, now) = (config(), Chance::new(3), Instant::now());
        for repeats in 0..3 {
            config.repeats = repeats;
            let (mut tries, one) = (Tries::new(now), health(now));
            for _ in 0..repeats {
                tries.failed(&one, Unwell::default(), (&config, &chance), now);
                assert!(tries.when(&one, Standing::Well, now).is_some());
            }
            tries.failed(&one, Unwell::default(), (&config, &chance), now);
            assert_eq!(tries.when(&one, Standing::Well, now), None);
        }
    }

    #[test]
    fn attempts_are_counted_but_not_those_of_which_nothing_was_sent() {
        let (config, now) = (config(), Instant::now());
        let mut tries = Tries::new(now);
        assert_eq!(tries.begins(), 1);
        assert!(tries.was_unsent());
        assert_eq!(tries.begins(), 2);
        assert!(tries.left(&config));
        assert_eq!(tries.begins(), 3);
        assert_eq!(tries.begins(), 4);
        assert!(!tries.left(&config));
        assert!(tries.was_unsent());
        assert!(!tries.was_unsent());
    }
}
