//! What is known of one target from the requests that went there: how much it has to do, how fast it answers, whether it is
//! well. Outlives generations: a reload makes nobody well.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::breaker::{Breaker, BreakerTerms, Standing};
use super::budget::RetryBudget;
use super::failure::Unwell;
use crate::limits::{BUSY_REST, LOAD_DECAY, REST_MAX};

/// One upstream's own model.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) upstream: Arc<str>,
    pub(crate) model: Arc<str>,
    /// What the upstream's failures may cause, whatever its model.
    pub(crate) budget: Arc<RetryBudget>,
    running: AtomicU32,
    /// How many answers have broken off since one came whole.
    broken: AtomicU32,
    /// Whether there is anything in `state` that keeps it from being asked.
    ails: AtomicBool,
    // Held for a few numbers, never over I/O.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wait: PeakEwma,
    breaker: Breaker,
    /// Until when it wants to be left alone.
    rests: Option<Instant>,
}

/// How an attempt went, as far as its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// It was answered.
    Answered,
    /// It was answered by an error about the target.
    Unwell(Unwell),
    /// It was not answered.
    Failed,
    /// It was ended by something that says nothing of the target.
    Ended,
}

/// An attempt on its way to a target, which counts there until it is dropped.
#[derive(Debug)]
pub(crate) struct Asking {
    health: Arc<Health>,
    began: Instant,
    stage: AskingStage,
}

/// How far an attempt has come, as far as its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskingStage {
    /// Nothing is known of it yet.
    Asked,
    /// The head of its answer has come, and the rest is on its way.
    Answered,
    /// Nothing more will be said of it.
    Over,
}

impl Health {
    pub(crate) fn new(upstream: Arc<str>, model: Arc<str>, budget: Arc<RetryBudget>) -> Self {
        Self {
            upstream,
            model,
            budget,
            running: AtomicU32::new(0),
            broken: AtomicU32::new(0),
            ails: AtomicBool::new(false),
            state: Mutex::new(State {
                wait: PeakEwma::default(),
                breaker: Breaker::default(),
                rests: None,
            }),
        }
    }

    /// Whether it is asked last because it failed again and again.
    pub(crate) fn is_left_out(&self) -> bool {
        self.ails.load(Ordering::Acquire) && self.state().breaker.is_open()
    }

    /// Whether it may be asked. Costs one load while all is well.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        if !self.ails.load(Ordering::Acquire) {
            return Standing::Well;
        }
        let state = self.state();
        match (state.breaker.standing(now), state.rests) {
            (Standing::Shut(until), Some(rests)) if rests > now => Standing::Shut(until.max(rests)),
            (_, Some(rests)) if rests > now => Standing::Shut(rests),
            (standing, _) => standing,
        }
    }

    /// Until when it wants to be left alone, if it does.
    pub(crate) fn rests(&self, now: Instant) -> Option<Instant> {
        if !self.ails.load(Ordering::Acquire) {
            return None;
        }
        self.state().rests.filter(|until| *until > now)
    }

    /// How long somebody would wait who asked it now, by what is known: the time of its answers for each that it has to give.
    pub(crate) fn load(&self, now: Instant) -> f64 {
        let running = f64::from(self.running.load(Ordering::Relaxed));
        let wait = self.state().wait.at(now).max(SHORTEST_WAIT);
        wait * (running + 1.0)
    }

    /// Begin to ask it.
    pub(crate) fn ask(self: &Arc<Self>, now: Instant) -> Asking {
        self.running.fetch_add(1, Ordering::Relaxed);
        if self.ails.load(Ordering::Acquire) {
            self.state().breaker.begins(now);
        }
        Asking {
            health: self.clone(),
            began: now,
            stage: AskingStage::Asked,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Note whether anything keeps it from being asked.
    fn note(&self, state: &State) {
        let ails = state.breaker.is_open() || state.rests.is_some();
        self.ails.store(ails, Ordering::Release);
    }
}

impl Asking {
    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// How it went up to the head of its answer; once.
    pub(crate) fn went(&mut self, went: Went, terms: &BreakerTerms, now: Instant) {
        if self.stage != AskingStage::Asked {
            return;
        }
        self.stage = match went {
            Went::Answered => AskingStage::Answered,
            Went::Ended | Went::Failed | Went::Unwell(_) => AskingStage::Over,
        };
        let (health, began) = (&self.health, self.began);
        let mut state = health.state();
        match went {
            Went::Answered => {
                state.wait.saw(now.saturating_duration_since(began), now);
                state.breaker.succeeded(began, now);
                state.rests = state.rests.filter(|until| *until > now);
            }
            Went::Unwell(unwell) => {
                let wait = unwell.wait.or(unwell.busy.then_some(BUSY_REST));
                if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                    state.rests = Some(now + wait.min(REST_MAX));
                }
                // Who is only asked too much is not ill.
                if unwell.busy {
                    state.breaker.nothing(began);
                } else {
                    state.breaker.failed(terms, began, now);
                }
            }
            Went::Failed => {
                state.wait.saw(now.saturating_duration_since(began), now);
                state.breaker.failed(terms, began, now);
            }
            Went::Ended => state.breaker.nothing(began),
        }
        health.note(&state);
    }

    /// Its answer has broken off.
    pub(crate) fn broke_off(&mut self, terms: &BreakerTerms, now: Instant) {
        if self.stage != AskingStage::Answered {
            return;
        }
        self.stage = AskingStage::Over;
        let health = &self.health;
        let in_a_row = health
            .broken
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let mut state = health.state();
        state.breaker.broke_off(terms, in_a_row, self.began, now);
        health.note(&state);
    }

    /// Its answer has come whole. Costs two loads while all is well.
    pub(crate) fn whole(&mut self) {
        if self.stage != AskingStage::Answered {
            return;
        }
        self.stage = AskingStage::Over;
        let health = &self.health;
        if health.broken.load(Ordering::Relaxed) != 0 {
            health.broken.store(0, Ordering::Relaxed);
        }
        if health.ails.load(Ordering::Acquire) {
            let mut state = health.state();
            state.breaker.whole(self.began);
            health.note(&state);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.health.running.fetch_sub(1, Ordering::Relaxed);
        if self.stage == AskingStage::Over {
            return;
        }
        if self.health.ails.load(Ordering::Acquire) {
            self.health.state().breaker.nothing(self.began);
        }
    }
}

/// Nobody has answered yet, or in no time: then those that run decide.
const SHORTEST_WAIT: f64 = 0.001;

/// How long answers take to begin: a longer one counts at once, shorter ones bit by bit.
#[derive(Debug, Default)]
struct PeakEwma {
    seconds: f64,
    at: Option<Instant>,
}

impl PeakEwma {
    fn saw(&mut self, wait: Duration, now: Instant) {
        let wait = wait.as_secs_f64();
        let known = self.at(now);
        self.seconds = if wait > known {
            wait
        } else {
            let kept = self.kept(now);
            self.seconds * kept + wait * (1.0 - kept)
        };
        self.at = Some(now);
    }

    /// What is known is worth less the older it is, so that a slow one is looked at again.
    fn at(&self, now: Instant) -> f64 {
        self.seconds * self.kept(now)
    }

    fn kept(&self, now: Instant) -> f64 {
        let Some(at) = self.at else { return 0.0 };
        let passed = now.saturating_duration_since(at).as_secs_f64();
        (-passed / LOAD_DECAY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: BreakerTerms = BreakerTerms {
        failures: 2,
        percent: 100,
        attempts_min: 100,
        open: Duration::from_secs(5),
        open_max: Duration::from_secs(60),
    };

    fn health(now: Instant) -> Arc<Health> {
        let budget = Arc::new(RetryBudget::new(now));
        Arc::new(Health::new("a".into(), "m".into(), budget))
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_is_forgotten_slowly() {
        let start = Instant::now();
        let mut wait = PeakEwma::default();
        wait.saw(Duration::from_secs(1), start);
        wait.saw(Duration::from_secs(8), start);
        assert!((wait.at(start) - 8.0).abs() < 1e-9);
        wait.saw(Duration::from_secs(1), start + LOAD_DECAY);
        let known = wait.at(start + LOAD_DECAY);
        assert!((3.0..4.0).contains(&known), "{known}");
        assert!(wait.at(start + LOAD_DECAY * 20) < 0.001);
    }

    #[test]
    fn what_runs_counts_until_it_is_dropped() {
        let now = Instant::now();
        let health = health(now);
        let idle = health.load(now);
        let (one, two) = (health.ask(now), health.ask(now));
        assert!((health.load(now) - 3.0 * idle).abs() < 1e-9);
        drop((one, two));
        assert!((health.load(now) - idle).abs() < 1e-9);
    }

    #[test]
    fn who_asks_for_rest_gets_it_and_is_not_ill() {
        let now = Instant::now();
        let health = health(now);
        let busy = |wait| {
            Went::Unwell(Unwell {
                busy: true,
                wait,
                never: false,
            })
        };
        for _ in 0..9 {
            health.ask(now).went(busy(None), &TERMS, now);
        }
        assert_eq!(health.standing(now), Standing::Shut(now + BUSY_REST));
        let seven = Duration::from_secs(7);
        health.ask(now).went(busy(Some(seven)), &TERMS, now);
        assert_eq!(health.rests(now), Some(now + seven));
        assert_eq!(health.standing(now + seven), Standing::Well);
        health.ask(now).went(busy(Some(Duration::MAX)), &TERMS, now);
        assert_eq!(health.rests(now), Some(now + REST_MAX));
    }

    #[test]
    fn a_probe_that_says_nothing_leaves_its_place_to_another() {
        let now = Instant::now();
        let health = health(now);
        for _ in 0..2 {
            health.ask(now).went(Went::Failed, &TERMS, now);
        }
        assert_eq!(health.standing(now), Standing::Shut(now + TERMS.open));
        let later = now + TERMS.open;
        let probe = health.ask(later);
        assert!(matches!(health.standing(later), Standing::Shut(_)));
        drop(probe);
        assert_eq!(health.standing(later), Standing::Probe);
        health.ask(later).went(Went::Answered, &TERMS, later);
        assert_eq!(health.standing(later), Standing::Well);
    }

    #[test]
    fn answers_that_break_off_one_after_the_other_make_it_ill() {
        let now = Instant::now();
        let health = health(now);
        let answered = |at| {
            let mut asking = health.ask(at);
            asking.went(Went::Answered, &TERMS, at);
            asking
        };
        answered(now).broke_off(&TERMS, now);
        answered(now).whole();
        // A caller who went away says nothing.
        drop(answered(now));
        answered(now).broke_off(&TERMS, now);
        assert_eq!(health.standing(now), Standing::Well);
        answered(now).broke_off(&TERMS, now);
        assert_eq!(health.standing(now), Standing::Shut(now + TERMS.open));
        let later = now + TERMS.open;
        // A probe whose caller went away in the middle leaves its place to another.
        drop(answered(later));
        assert_eq!(health.standing(later), Standing::Probe);
        answered(later).whole();
        assert_eq!(health.standing(later), Standing::Well);
    }

    #[test]
    fn an_attempt_breaks_off_once_and_only_after_its_answer_began() {
        let now = Instant::now();
        let health = health(now);
        let mut one = health.ask(now);
        one.broke_off(&TERMS, now);
        one.went(Went::Answered, &TERMS, now);
        one.broke_off(&TERMS, now);
        one.broke_off(&TERMS, now);
        assert_eq!(health.standing(now), Standing::Well);
    }
}
