//! Which target a request goes to where there are several, and what follows when one fails.
//!
//! Policy decides on each target by itself; what is here only orders those that it permits. The state of all this outlives
//! generations, and nothing of it is asked while a name has one target that is well.

mod breaker;
mod budget;
mod chance;
mod counted;
mod failure;
mod health;
mod pick;
mod tries;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::breaker::BreakerTerms;
pub(crate) use self::breaker::Standing;
pub(crate) use self::budget::RetryBudget;
pub use self::budget::RetryShare;
pub(crate) use self::chance::Chance;
pub(crate) use self::counted::AllTargets;
pub(crate) use self::failure::{Unwell, may_pass, unwell};
pub(crate) use self::health::{Asking, Health, Went};
pub use self::pick::Strategy;
pub(crate) use self::pick::{Candidate, Candidates, order};
pub(crate) use self::tries::Tries;

/// `[routing]`: how often and how long a request is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingConfig {
    /// Attempts for one request, the first included.
    pub attempts: u32,
    /// How often the same target may be asked again.
    pub repeats: u32,
    /// Time for all of them, up to the head of the answer.
    pub total: Duration,
    /// The most that is waited at random before the same target is asked again, at first.
    pub backoff: Duration,
    /// And in the end.
    pub backoff_max: Duration,
    /// The longest wait that an upstream may ask for.
    pub retry_after_max: Duration,
    /// How many further attempts there may be.
    pub retries: RetryShare,
    /// When targets are left out.
    pub breaker: BreakerTerms,
    /// Which of several offers of a name is asked first.
    pub strategy: Strategy,
    /// The places for the strategy that goes by them, the best first.
    pub nearest: Vec<String>,
    /// After how long a stream begins without the head of its answer; none waits for it.
    pub commit_after: Option<Duration>,
}

/// What is known of all targets of a generation, taken over from the one before.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    healths: HashMap<(Arc<str>, Arc<str>), Arc<Health>>,
    budgets: HashMap<Arc<str>, Arc<RetryBudget>>,
}

impl Targets {
    /// What is known of an upstream's own model; what was known before stays.
    pub(crate) fn of(
        &mut self,
        before: Option<&Self>,
        upstream: &Arc<str>,
        model: &Arc<str>,
    ) -> Arc<Health> {
        let key = (upstream.clone(), model.clone());
        if let Some(known) = self.healths.get(&key) {
            return known.clone();
        }
        let known = before.and_then(|before| before.healths.get(&key));
        let budget = match known {
            Some(known) => known.budget.clone(),
            None => self.budget(before, upstream),
        };
        self.budgets.insert(upstream.clone(), budget.clone());
        let made = || Arc::new(Health::new(upstream.clone(), model.clone(), budget));
        let health = known.cloned().unwrap_or_else(made);
        self.healths.insert(key, health.clone());
        health
    }

    fn budget(&self, before: Option<&Self>, upstream: &Arc<str>) -> Arc<RetryBudget> {
        let here = self.budgets.get(upstream);
        let known = here.or_else(|| before?.budgets.get(upstream));
        let made = || Arc::new(RetryBudget::new(Instant::now()));
        known.cloned().unwrap_or_else(made)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Health>> {
        self.healths.values()
    }
}
