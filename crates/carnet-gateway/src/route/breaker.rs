//! Whether one target is well enough to be asked: a breaker that opens after failures in a row or a share of failures, and
//! lets one request find out later whether they are over. An answer that breaks off is a failure of an attempt that seemed to
//! have succeeded when its head came.

use std::time::{Duration, Instant};

use crate::limits::{BREAKER_SLOT, BREAKER_SLOTS};

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTerms {
    /// Failures in a row; 0 never opens it.
    pub failures: u32,
    /// Failures in percent of the attempts of the window.
    pub percent: u32,
    /// Attempts of the window below which their share says nothing.
    pub attempts_min: u32,
    /// How long it is open at first.
    pub open: Duration,
    /// How long it is open at most, when it has opened again and again.
    pub open_max: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// None while it is closed.
    opened: Option<Opened>,
    /// Failures since the last success.
    in_a_row: u32,
    window: Window,
}

#[derive(Debug)]
struct Opened {
    at: Instant,
    until: Instant,
    lasts: Duration,
    /// The attempt that finds out whether it can close.
    probe: Option<Instant>,
    /// Whether it takes a whole answer to close it: heads came all the time.
    breaks_off: bool,
}

/// Whether a target may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is well.
    Well,
    /// One request may find out whether it is.
    Probe,
    /// It is not, and will not be looked at before.
    Shut(Instant),
}

impl Breaker {
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match &self.opened {
            None => Standing::Well,
            Some(open) if now < open.until => Standing::Shut(open.until),
            // A probe of which nobody says how it ended is not waited for for ever.
            Some(open) => match open.probe {
                Some(began) if now < began + open.lasts => Standing::Shut(began + open.lasts),
                _ => Standing::Probe,
            },
        }
    }

    /// An attempt begins.
    pub(crate) fn begins(&mut self, now: Instant) {
        if self.standing(now) == Standing::Probe
            && let Some(open) = &mut self.opened
        {
            open.probe = Some(now);
        }
    }

    /// An attempt came to nothing that says anything of the target: another one may find out.
    pub(crate) fn nothing(&mut self, began: Instant) {
        if let Some(open) = &mut self.opened
            && open.probe == Some(began)
        {
            open.probe = None;
        }
    }

    /// An attempt that began then was answered; whether it closes by that.
    pub(crate) fn succeeded(&mut self, began: Instant, now: Instant) -> bool {
        let slot = self.window.turned(now);
        slot.attempts = slot.attempts.saturating_add(1);
        self.in_a_row = 0;
        let open = self.opened.as_ref();
        open.is_some_and(|open| !open.breaks_off) && self.closes(began)
    }

    /// The answer of an attempt that began then has come whole; whether it closes by that.
    pub(crate) fn whole(&mut self, began: Instant) -> bool {
        self.closes(began)
    }

    fn closes(&mut self, began: Instant) -> bool {
        // What began before says nothing of what came since.
        let closes = self.opened.as_ref().is_some_and(|open| began >= open.at);
        if closes {
            self.opened = None;
            self.window = Window::default();
        }
        closes
    }

    /// An attempt that began then failed; whether it opens by that, once more or for the first time.
    pub(crate) fn failed(&mut self, terms: &BreakerTerms, began: Instant, now: Instant) -> bool {
        let slot = self.window.turned(now);
        slot.attempts = slot.attempts.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.fails(terms, (self.in_a_row, false), began, now)
    }

    /// The answer of an attempt that began then, and that counts as a success by now, has broken off, as the last so many
    /// did; whether it opens by that.
    pub(crate) fn broke_off(
        &mut self,
        terms: &BreakerTerms,
        in_a_row: u32,
        began: Instant,
        now: Instant,
    ) -> bool {
        self.fails(terms, (in_a_row, true), began, now)
    }

    fn fails(
        &mut self,
        terms: &BreakerTerms,
        (in_a_row, breaks_off): (u32, bool),
        began: Instant,
        now: Instant,
    ) -> bool {
        let slot = self.window.turned(now);
        slot.failures = slot.failures.saturating_add(1);
        if terms.failures == 0 {
            self.opened = None;
            return false;
        }
        if let Some(open) = &mut self.opened {
            // Only what found out afterwards tells that it lasts.
            if now < open.until || began < open.until {
                return false;
            }
            open.lasts = open.lasts.saturating_mul(2).min(terms.open_max);
            (open.at, open.until, open.probe) = (now, now + open.lasts, None);
            open.breaks_off |= breaks_off;
            return true;
        }
        let (attempts, failures) = self.window.sums();
        let share = failures.saturating_mul(100) >= attempts.saturating_mul(terms.percent.into());
        let many = attempts >= u64::from(terms.attempts_min) && share;
        if in_a_row < terms.failures && !many {
            return false;
        }
        self.opened = Some(Opened {
            at: now,
            until: now + terms.open,
            lasts: terms.open,
            probe: None,
            breaks_off,
        });
        true
    }

    pub(crate) fn is_open(&self) -> bool {
        self.opened.is_some()
    }
}

/// Attempts of the last seconds, the newest first.
#[derive(Debug, Default)]
struct Window {
    newest: Option<Instant>,
    slots: [Slot; BREAKER_SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    attempts: u32,
    failures: u32,
}

impl Window {
    /// The slot of this instant, with nothing in the window that is too old.
    fn turned(&mut self, now: Instant) -> &mut Slot {
        let newest = *self.newest.get_or_insert(now);
        let passed = now.saturating_duration_since(newest).as_millis() / BREAKER_SLOT.as_millis();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed > 0 {
            self.newest = newest.checked_add(BREAKER_SLOT.saturating_mul(passed));
            let gone = usize::try_from(passed)
                .unwrap_or(BREAKER_SLOTS)
                .min(BREAKER_SLOTS);
            self.slots.rotate_right(gone);
            for slot in self.slots.iter_mut().take(gone) {
                *slot = Slot::default();
            }
        }
        let [newest, ..] = &mut self.slots;
        newest
    }

    fn sums(&self) -> (u64, u64) {
        let slots = self.slots.iter();
        slots.fold((0, 0), |(attempts, failures), slot| {
            (
                attempts + u64::from(slot.attempts),
                failures + u64::from(slot.failures),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: BreakerTerms = BreakerTerms {
        failures: 3,
        percent: 50,
        attempts_min: 10,
        open: Duration::from_secs(5),
        open_max: Duration::from_secs(18),
    };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_request_finds_out() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert!(!breaker.failed(&TERMS, start, start));
        assert!(!breaker.failed(&TERMS, start, start));
        breaker.succeeded(start, start);
        assert!(!breaker.failed(&TERMS, start, start));
        assert!(!breaker.failed(&TERMS, start, start));
        assert!(breaker.failed(&TERMS, start, start));
        assert_eq!(breaker.standing(at(start, 4)), Standing::Shut(at(start, 5)));
        // What began before it opened fails on without a say.
        assert!(!breaker.failed(&TERMS, start, at(start, 6)));
        assert_eq!(breaker.standing(at(start, 6)), Standing::Probe);
        breaker.begins(at(start, 6));
        assert_eq!(
            breaker.standing(at(start, 7)),
            Standing::Shut(at(start, 11))
        );
        // The probe was never sent.
        breaker.nothing(at(start, 6));
        assert_eq!(breaker.standing(at(start, 7)), Standing::Probe);
        breaker.begins(at(start, 7));
        assert!(breaker.succeeded(at(start, 7), at(start, 8)));
        assert_eq!(breaker.standing(at(start, 8)), Standing::Well);
    }

    #[test]
    fn it_stays_open_for_longer_each_time_but_not_for_ever() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let mut now = start;
        for _ in 0..3 {
            breaker.failed(&TERMS, now, now);
        }
        for lasts in [5, 10, 18, 18] {
            assert_eq!(breaker.standing(now), Standing::Shut(at(now, lasts)));
            now = at(now, lasts);
            breaker.begins(now);
            assert!(breaker.failed(&TERMS, now, now));
        }
    }

    #[test]
    fn a_share_of_failures_opens_it_and_a_lost_probe_is_not_waited_for() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failed(&TERMS, start, start));
            breaker.succeeded(start, start);
        }
        assert!(!breaker.failed(&TERMS, start, start));
        breaker.succeeded(start, start);
        // Half of ten, and of eleven more.
        assert!(breaker.failed(&TERMS, start, start));
        let now = at(start, 5);
        breaker.begins(now);
        assert_eq!(breaker.standing(at(now, 4)), Standing::Shut(at(now, 5)));
        assert_eq!(breaker.standing(at(now, 5)), Standing::Probe);
    }

    #[test]
    fn old_failures_are_forgotten_and_zero_never_opens() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let terms = BreakerTerms {
            failures: 1_000,
            ..TERMS
        };
        for _ in 0..9 {
            assert!(!breaker.failed(&terms, start, start));
        }
        let later = start + BREAKER_SLOT * (BREAKER_SLOTS as u32);
        assert!(!breaker.failed(&terms, later, later));
        let never = BreakerTerms {
            failures: 0,
            ..TERMS
        };
        for _ in 0..100 {
            assert!(!breaker.failed(&never, later, later));
        }
    }

    #[test]
    fn answers_that_break_off_open_it_and_only_a_whole_one_closes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for broken in 1..3 {
            breaker.succeeded(start, start);
            assert!(!breaker.broke_off(&TERMS, broken, start, start));
        }
        breaker.succeeded(start, start);
        assert!(breaker.broke_off(&TERMS, 3, start, start));
        // The head of a probe says nothing: heads came all the time.
        let probe = at(start, 5);
        breaker.begins(probe);
        assert!(!breaker.succeeded(probe, probe));
        assert!(breaker.is_open());
        assert!(breaker.broke_off(&TERMS, 4, probe, at(start, 6)));
        assert_eq!(
            breaker.standing(at(start, 6)),
            Standing::Shut(at(start, 16))
        );
        // Nor does the end of an answer that began before.
        assert!(!breaker.whole(probe));
        let probe = at(start, 16);
        breaker.begins(probe);
        breaker.succeeded(probe, probe);
        assert!(breaker.whole(probe));
        assert_eq!(breaker.standing(probe), Standing::Well);
    }

    #[test]
    fn a_share_of_answers_that_break_off_opens_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.succeeded(start, start);
            breaker.succeeded(start, start);
            assert!(!breaker.broke_off(&TERMS, 1, start, start));
        }
        breaker.succeeded(start, start);
        breaker.succeeded(start, start);
        // Five of ten: each counts as one attempt, and not as two.
        assert!(breaker.broke_off(&TERMS, 1, start, start));
    }

    proptest! {
        /// However it goes: it is never shut for longer than its terms say.
        #[test]
        fn it_is_never_shut_for_long(steps in prop::collection::vec((0u64..9_000, 0u8..6), 1..200)) {
            let (mut breaker, mut now) = (Breaker::default(), Instant::now());
            for (wait, kind) in steps {
                now += Duration::from_millis(wait);
                let may = breaker.standing(now);
                if may == Standing::Probe {
                    breaker.begins(now);
                    prop_assert!(matches!(breaker.standing(now), Standing::Shut(_)));
                }
                match kind {
                    0 => drop(breaker.succeeded(now, now)),
                    1 => breaker.nothing(now),
                    2 => drop(breaker.whole(now)),
                    3 => drop(breaker.broke_off(&TERMS, 3, now, now)),
                    _ => drop(breaker.failed(&TERMS, now, now)),
                }
                if let Standing::Shut(until) = breaker.standing(now) {
                    prop_assert!(until <= now + TERMS.open_max);
                }
                prop_assert_eq!(breaker.is_open(), breaker.standing(now) != Standing::Well);
            }
        }
    }
}
