//! Whether one target is well enough to be asked: a breaker that opens after failures in a row or a share of failures, and
//! lets one request find out later whether they are over.

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
        if let Some(open) = &mut self.opened
            && now >= open.until
        {
            open.probe.get_or_insert(now);
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
        self.window.turned(now).attempts += 1;
        self.in_a_row = 0;
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
        slot.failures = slot.failures.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
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
            return true;
        }
        let (attempts, failures) = self.window.sums();
        let share = failures.saturating_mul(100) >= attempts.saturating_mul(terms.percent.into());
        let many = attempts >= u64::from(terms.attempts_min) && share;
        if self.in_a_row < terms.failures && !many {
            return false;
        }
        self.opened = Some(Opened {
            at: now,
            until: now + terms.open,
            lasts: terms.open,
            probe: None,
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

    proptest! {
        /// However it goes: it is never shut for longer than its terms say.
        #[test]
        fn it_is_never_shut_for_long(steps in prop::collection::vec((0u64..9_000, 0u8..4), 1..200)) {
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
