//! What is reserved, settled and given back, beside a count by hand.

use std::thread;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn ledger(measure: Measure, window: Window, max: u64) -> (Ledger, Limit) {
    let ledger = Ledger::default();
    let limit = ledger.limit(&"limit".into(), measure, window, max);
    (ledger, limit)
}

fn claim(limit: &Limit, amount: u64) -> [Claim<'_>; 1] {
    [Claim {
        limit,
        who: "someone",
        amount,
    }]
}

fn wait(limit: &Limit, amount: u64, now: Timestamp) -> Option<u64> {
    let refused = Ledger::reserve(&claim(limit, amount), now).unwrap_err();
    refused.wait.map(|wait| wait.as_secs())
}

#[test]
fn no_more_is_taken_than_there_is_and_each_is_counted_apart() {
    let (_ledger, limit) = ledger(Measure::Requests, Window::Day, 2);
    let now = at(0);
    for _ in 0..2 {
        drop(Ledger::reserve(&claim(&limit, 1), now).unwrap());
    }
    let refused = Ledger::reserve(&claim(&limit, 1), now).unwrap_err();
    assert_eq!((&*refused.limit, refused.max), ("limit", 2));
    assert_eq!(refused.to_string(), "limit is used up");
    let other = Claim {
        limit: &limit,
        who: "other",
        amount: 2,
    };
    drop(Ledger::reserve(&[other], now).unwrap());
    assert_eq!(
        (limit.used("someone", now), limit.used("other", now)),
        (2, 2)
    );
    assert_eq!(limit.used("stranger", now), 0);
}

#[test]
fn a_claim_that_one_limit_stops_takes_nothing_from_the_others() {
    let ledger = Ledger::default();
    let wide = ledger.limit(&"wide".into(), Measure::Tokens, Window::Day, 100);
    let narrow = ledger.limit(&"narrow".into(), Measure::Tokens, Window::Sliding(60), 10);
    let claims = |amount| {
        [&wide, &narrow].map(|limit| Claim {
            limit,
            who: "w",
            amount,
        })
    };
    let refused = Ledger::reserve(&claims(11), at(0)).unwrap_err();
    assert_eq!(&*refused.limit, "narrow");
    assert_eq!((wide.used("w", at(0)), narrow.used("w", at(0))), (0, 0));
    drop(Ledger::reserve(&claims(10), at(0)).unwrap());
    assert_eq!((wide.used("w", at(0)), narrow.used("w", at(0))), (10, 10));
}

#[test]
fn of_several_that_stop_a_claim_the_one_that_waits_longest_is_told() {
    let ledger = Ledger::default();
    let day = ledger.limit(&"day".into(), Measure::Tokens, Window::Day, 5);
    let minute = ledger.limit(&"minute".into(), Measure::Tokens, Window::Sliding(60), 5);
    let never = ledger.limit(&"never".into(), Measure::Tokens, Window::Sliding(60), 1);
    let told = |limits: &[&Limit], amount| {
        let claims: Vec<Claim<'_>> = limits
            .iter()
            .map(|limit| Claim {
                limit,
                who: "w",
                amount,
            })
            .collect();
        Ledger::reserve(&claims, at(0)).map(drop).unwrap_err().limit
    };
    drop(
        Ledger::reserve(
            &[
                Claim {
                    limit: &day,
                    who: "w",
                    amount: 5,
                },
                Claim {
                    limit: &minute,
                    who: "w",
                    amount: 5,
                },
            ],
            at(0),
        )
        .unwrap(),
    );
    assert_eq!(&*told(&[&minute, &day], 1), "day");
    assert_eq!(&*told(&[&day, &minute], 1), "day");
    assert_eq!(&*told(&[&day, &never], 2), "never");
    assert_eq!(&*told(&[&never, &day], 2), "never");
}

#[test]
fn the_wait_that_is_told_is_long_enough_and_no_longer() {
    let (_ledger, minute) = ledger(Measure::Tokens, Window::Sliding(60), 60);
    drop(Ledger::reserve(&claim(&minute, 60), at(0)).unwrap());
    // After the span that it fills, a sixtieth of it is free with every second.
    assert_eq!(wait(&minute, 1, at(0)), Some(61));
    assert_eq!(wait(&minute, 30, at(20)), Some(70));
    assert_eq!(wait(&minute, 30, at(70)), Some(20));
    assert_eq!(wait(&minute, 61, at(70)), None);
    drop(Ledger::reserve(&claim(&minute, 30), at(90)).unwrap());
    let (_ledger, day) = ledger(Measure::Money, Window::Day, 10);
    let noon: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
    drop(Ledger::reserve(&claim(&day, 10), noon).unwrap());
    assert_eq!(wait(&day, 1, noon), Some(12 * 3600));
    drop(Ledger::reserve(&claim(&day, 1), noon + SignedDuration::from_hours(12)).unwrap());
}

#[test]
fn what_runs_at_the_same_time_is_given_back_at_its_end_however_it_ends() {
    let (ledger, limit) = ledger(Measure::Streams, Window::Day, 2);
    let one = Ledger::reserve(&claim(&limit, 1), at(0)).unwrap();
    let two = Ledger::reserve(&claim(&limit, 1), at(0)).unwrap();
    assert_eq!(wait(&limit, 1, at(0)), None);
    drop(one);
    let three = Ledger::reserve(&claim(&limit, 1), at(0)).unwrap();
    two.forgive();
    drop(three);
    assert_eq!(limit.used("someone", at(0)), 0);
    // None of it is of use to another process.
    assert!(ledger.changes().is_empty());
}

#[test]
fn what_was_not_used_goes_back_to_the_span_it_came_from() {
    let (_ledger, limit) = ledger(Measure::Tokens, Window::Sliding(60), 100);
    let mut held = Ledger::reserve(&claim(&limit, 80), at(0)).unwrap();
    assert!(held.limits(Measure::Tokens) && !held.limits(Measure::Money));
    // In the next span it counts as used before.
    assert_eq!(limit.used("someone", at(60)), 80);
    held.settle(Measure::Tokens, 30, at(60));
    assert_eq!(limit.used("someone", at(60)), 30);
    // More than was taken is taken, whether it is left or not; twice told is counted once.
    held.settle(Measure::Tokens, 500, at(60));
    held.settle(Measure::Tokens, 500, at(60));
    assert_eq!(limit.used("someone", at(60)), 500);
    drop(held);
    let (_ledger, limit) = ledger_of_day();
    let mut held = Ledger::reserve(&claim(&limit, 80), at(0)).unwrap();
    let tomorrow = at(24 * 3600);
    held.settle(Measure::Tokens, 30, tomorrow);
    assert_eq!(limit.used("someone", tomorrow), 0);
}

fn ledger_of_day() -> (Ledger, Limit) {
    ledger(Measure::Tokens, Window::Day, 100)
}

#[test]
fn a_request_can_take_more_while_it_runs_until_there_is_no_more() {
    let (_ledger, limit) = ledger_of_day();
    let mut held = Ledger::reserve(&claim(&limit, 40), at(0)).unwrap();
    held.extend(Measure::Tokens, 40, at(1), |_| false).unwrap();
    let refused = held.extend(Measure::Tokens, 40, at(1), |_| false);
    let refused = refused.unwrap_err();
    assert_eq!(&*refused.limit, "limit");
    assert_eq!((refused.wanted, refused.left), (40, 20));
    assert_eq!(held.taken(Measure::Tokens), 80);
    assert_eq!(limit.used("someone", at(1)), 80);
    held.settle(Measure::Tokens, 50, at(1));
    assert_eq!(limit.used("someone", at(1)), 50);
    held.forgive();
    assert_eq!(limit.used("someone", at(1)), 0);
}

#[test]
fn what_may_run_over_does_unless_another_limit_that_may_not_stands_in_the_way() {
    let ledger = Ledger::default();
    let limit = |name: &str, max| ledger.limit(&name.into(), Measure::Tokens, Window::Day, max);
    let (soft, hard) = (limit("soft", 50), limit("hard", 100));
    let claims = [&soft, &hard].map(|limit| Claim {
        limit,
        who: "someone",
        amount: 40,
    });
    let mut held = Ledger::reserve(&claims, at(0)).unwrap();
    let mut names: Vec<&str> = held.names(Measure::Tokens).map(|name| &**name).collect();
    names.sort_unstable();
    assert_eq!(names, ["hard", "soft"]);
    let mut extend = |more| held.extend(Measure::Tokens, more, at(1), |name| name == "soft");
    assert_eq!(extend(10), Ok(false));
    assert_eq!(extend(40), Ok(true));
    let refused = extend(20).unwrap_err();
    assert_eq!(&*refused.limit, "hard");
    for limit in [&soft, &hard] {
        assert_eq!(limit.used("someone", at(1)), 90);
    }
}

#[test]
fn a_limit_that_changes_keeps_what_was_used_and_one_that_goes_is_forgotten() {
    let (ledger, limit) = ledger_of_day();
    drop(Ledger::reserve(&claim(&limit, 40), at(0)).unwrap());
    let wider = ledger.limit(limit.name(), Measure::Tokens, Window::Day, 1000);
    assert_eq!(wider.used("someone", at(0)), 40);
    drop((limit, wider));
    ledger.sweep(at(0));
    assert_eq!(ledger.changes().len(), 1);
    ledger.sweep(at(24 * 3600));
    assert!(lock(&ledger.books).is_empty());
}

#[test]
fn what_was_written_down_counts_again() {
    let (ledger, limit) = ledger(Measure::Tokens, Window::Sliding(60), 100);
    drop(Ledger::reserve(&claim(&limit, 40), at(0)).unwrap());
    drop(Ledger::reserve(&claim(&limit, 20), at(60)).unwrap());
    let written = ledger.changes();
    assert_eq!(written.len(), 1);
    assert!(ledger.changes().is_empty());
    let next = Ledger::default();
    next.restore(written, at(61));
    let again = next.limit(limit.name(), Measure::Tokens, Window::Sliding(60), 100);
    assert_eq!(again.used("someone", at(60)), 60);
    assert_eq!(again.used("someone", at(90)), 40);
}

#[test]
fn a_clock_that_was_set_back_gives_nothing_away() {
    let (_ledger, limit) = ledger_of_day();
    drop(Ledger::reserve(&claim(&limit, 100), at(0)).unwrap());
    assert!(Ledger::reserve(&claim(&limit, 1), at(-48 * 3600)).is_err());
    assert_eq!(limit.used("someone", at(0)), 100);
}

#[test]
fn threads_together_get_no_more_than_there_is() {
    let ledger = Ledger::default();
    let limits: Vec<Limit> = ["a", "b", "c"]
        .map(|name| ledger.limit(&name.into(), Measure::Requests, Window::Day, 1000))
        .into();
    let got: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let mut claims: Vec<Claim<'_>> = limits
                    .iter()
                    .map(|limit| Claim {
                        limit,
                        who: "w",
                        amount: 1,
                    })
                    .collect();
                claims.rotate_left(number % 3);
                scope.spawn(move || {
                    (0..500)
                        .filter(|_| Ledger::reserve(&claims, at(0)).is_ok())
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(got, 1000);
}

#[test]
fn a_clock_that_had_been_far_ahead_blocks_nobody_for_longer_than_a_span() {
    let (_ledger, limit) = ledger_of_day();
    let (ahead, now) = (at(900 * 24 * 3600), at(0));
    drop(Ledger::reserve(&claim(&limit, 100), ahead).unwrap());
    assert!(Ledger::reserve(&claim(&limit, 1), now).is_err());
    let tomorrow = now + SignedDuration::from_hours(24);
    drop(Ledger::reserve(&claim(&limit, 100), tomorrow).unwrap());
}

#[test]
fn what_runs_over_midnight_goes_on_counting() {
    let (_ledger, limit) = ledger(Measure::Streams, Window::Day, 1);
    let running = Ledger::reserve(&claim(&limit, 1), at(0)).unwrap();
    for days in [1, 2, 40] {
        assert_eq!(wait(&limit, 1, at(days * 24 * 3600)), None);
    }
    drop(running);
    drop(Ledger::reserve(&claim(&limit, 1), at(40 * 24 * 3600)).unwrap());
}

#[derive(Clone, Debug)]
enum Step {
    Extend(usize, u64),
    Forgive(usize),
    Reserve(u64),
    Settle(usize, u64),
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..8usize, 0..50u64).prop_map(|(which, more)| Step::Extend(which, more)),
        (0..8usize).prop_map(Step::Forgive),
        (0..60u64).prop_map(Step::Reserve),
        (0..8usize, 0..90u64).prop_map(|(which, used)| Step::Settle(which, used)),
        (0..50i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// What is granted fits, by a list of all that was ever taken; a refused claim fits after the time that is told, and not
    /// a second before.
    #[test]
    fn grants_fit_and_waits_are_right(steps in steps(), slides in any::<bool>()) {
        let window = if slides { Window::Sliding(60) } else { Window::Day };
        let (_ledger, limit) = ledger(Measure::Tokens, window, 100);
        let mut now = at(0);
        // Of each running request what it took, by the span.
        let mut taken: Vec<(Reservation, Vec<(i64, u64)>)> = Vec::new();
        let mut spent: Vec<(i64, u64)> = Vec::new();
        let span = |now| window.span(now).start;
        let counts = |taken: &[(Reservation, Vec<(i64, u64)>)], spent: &[(i64, u64)], now: Timestamp| {
            let current = window.span(now);
            let all = taken.iter().flat_map(|(_, parts)| parts).chain(spent);
            let mut sums = (0u64, 0u64);
            for (start, amount) in all {
                if *start == current.start { sums.0 += amount }
                if slides && *start == current.start - 60 { sums.1 += amount }
            }
            let left = u128::from(sums.1) * u128::from(current.left_of_before(now));
            sums.0 + u64::try_from(left.div_ceil(1_000_000)).unwrap()
        };
        for step in steps {
            match step {
                Step::Wait(seconds) => now += SignedDuration::from_secs(seconds),
                Step::Reserve(amount) => {
                    let before = counts(&taken, &spent, now);
                    match Ledger::reserve(&claim(&limit, amount), now) {
                        Ok(held) => {
                            prop_assert!(before + amount <= 100);
                            taken.push((held, vec![(span(now), amount)]));
                        }
                        Err(refused) => {
                            prop_assert!(before + amount > 100);
                            let wait = i64::try_from(refused.wait.unwrap().as_secs()).unwrap();
                            let then = |wait| counts(&taken, &spent, now + SignedDuration::from_secs(wait)) + amount;
                            prop_assert!(then(wait) <= 100, "too short: {wait}");
                            prop_assert!(wait == 1 || then(wait - 1) > 100, "too long: {wait}");
                        }
                    }
                }
                Step::Extend(which, more) if !taken.is_empty() => {
                    let before = counts(&taken, &spent, now);
                    let which = which % taken.len();
                    let (held, parts) = &mut taken[which];
                    let granted = held.extend(Measure::Tokens, more, now, |_| false).is_ok();
                    prop_assert_eq!(granted, before + more <= 100);
                    if granted { parts.push((span(now), more)) }
                }
                Step::Forgive(which) if !taken.is_empty() => {
                    let which = which % taken.len();
                    taken.swap_remove(which).0.forgive();
                }
                Step::Settle(which, used) if !taken.is_empty() => {
                    let which = which % taken.len();
                    let (mut held, parts) = taken.swap_remove(which);
                    held.settle(Measure::Tokens, used, now);
                    let mut left = used;
                    for (start, amount) in parts {
                        let kept = amount.min(left);
                        left -= kept;
                        spent.push((start, kept));
                    }
                    spent.push((span(now), left));
                }
                _ => {}
            }
            prop_assert_eq!(limit.used("someone", now), counts(&taken, &spent, now));
        }
    }
}
