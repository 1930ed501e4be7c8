//! What has been used of each limit, and reservations against it: nobody gets more than there is, and nothing is taken from
//! one limit for a request that another one stops.
//!
//! State alone, with instants from outside. Whoever runs it writes [`Ledger::changes`] down and gives them back at the next
//! start.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use smallvec::SmallVec;
use thiserror::Error;

use crate::window::{Span, Window};

/// Most that one limit counts apart. Who is counted comes from keys and configuration, so that this is out of reach
/// unless both are very large.
const COUNTED_MAX: usize = 1_000_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Billionths of a unit of the operator's currency.
    Money,
    /// Requests that are sent.
    Requests,
    /// Requests that run at the same time. They are given back at their end, and have no window.
    Streams,
    /// Tokens, those of the prompt and those of the answer.
    Tokens,
}

impl Measure {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Money, Self::Requests, Self::Streams, Self::Tokens];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Requests => "requests",
            Self::Streams => "streams",
            Self::Tokens => "tokens",
        }
    }
}

/// A limit as its operator states it, with what has been used of it.
#[derive(Clone, Debug)]
pub struct Limit {
    book: Arc<Book>,
    max: u64,
}

/// What one request wants of a limit.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The limit.
    pub limit: &'a Limit,
    /// Who is counted, among all that the limit counts apart.
    pub who: &'a str,
    /// How much.
    pub amount: u64,
}

/// There is not so much left.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} is used up", .limit)]
pub struct Exhausted {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it counts.
    pub measure: Measure,
    /// How much there is of it.
    pub max: u64,
    /// How much was wanted.
    pub wanted: u64,
    /// How much of it was left.
    pub left: u64,
    /// When as much will be left, if nothing else is used meanwhile; never if more is wanted than there is at all, and
    /// unknown where it depends on what others give back.
    pub wait: Option<Duration>,
}

/// How a counter stands, to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it counts.
    pub measure: Measure,
    /// Over which span.
    pub window: Window,
    /// Who is counted.
    pub who: Arc<str>,
    /// First second of the span, since 1970.
    pub start: i64,
    /// Used in it, with what is reserved.
    pub used: u64,
    /// Used in the span before.
    pub before: u64,
}

/// All that is counted. It outlives every configuration: what a limit with the same name, measure and window had used
/// stays used when the rest of it changes.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<HashMap<BookKey, Arc<Book>>>,
}

type BookKey = (Arc<str>, Measure, Window);

/// The counters of a limit.
struct Book {
    name: Arc<str>,
    measure: Measure,
    window: Window,
    // Written when somebody is counted for the first time, else only read.
    counters: RwLock<HashMap<Arc<str>, Arc<Counter>>>,
    changed: Mutex<Vec<Arc<Counter>>>,
}

#[derive(Debug)]
struct Counter {
    who: Arc<str>,
    // Held for a few sums, never over I/O, and with others in the order of their addresses.
    state: Mutex<State>,
    /// Whether it waits to be written down.
    changed: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct State {
    span: Span,
    used: u64,
    before: u64,
}

impl Ledger {
    /// A limit of `max`. What runs at the same time counts for as long as it runs, whatever `window` says.
    pub fn limit(&self, name: &Arc<str>, measure: Measure, window: Window, max: u64) -> Limit {
        let window = match measure {
            Measure::Streams => Window::Lasting,
            Measure::Money | Measure::Requests | Measure::Tokens => window,
        };
        let key = (name.clone(), measure, window);
        let mut books = lock(&self.books);
        let book = books.entry(key).or_insert_with(|| {
            Arc::new(Book {
                name: name.clone(),
                measure,
                window,
                counters: RwLock::default(),
                changed: Mutex::default(),
            })
        });
        Limit {
            book: book.clone(),
            max,
        }
    }

    /// How what changed since the last call stands now. What runs at the same time is not written down: it ends with the
    /// process.
    #[must_use]
    pub fn changes(&self) -> Vec<Counted> {
        let books: Vec<Arc<Book>> = lock(&self.books).values().cloned().collect();
        let mut all = Vec::new();
        for book in books {
            let changed = std::mem::take(&mut *lock(&book.changed));
            for counter in changed {
                // Before it is read, so that a change from here on is told next time.
                counter.changed.store(false, Ordering::SeqCst);
                all.push(book.counted(&counter));
            }
        }
        all
    }

    /// Take over what was written down.
    pub fn restore(&self, counted: impl IntoIterator<Item = Counted>, now: Timestamp) {
        for one in counted {
            let limit = self.limit(&one.limit, one.measure, one.window, 0);
            let Some(counter) = limit.book.counter(&one.who, now) else {
                continue;
            };
            let Ok(start) = Timestamp::from_second(one.start) else {
                continue;
            };
            let mut state = lock(&counter.state);
            *state = State {
                span: one.window.span(start),
                used: one.used,
                before: one.before,
            };
        }
    }

    /// Forget limits that no configuration names any more, and who has used nothing for long. To be called now and then.
    pub fn sweep(&self, now: Timestamp) {
        let mut books = lock(&self.books);
        for book in books.values() {
            let mut counters = book
                .counters
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            counters.retain(|_, counter| {
                Arc::strong_count(counter) > 1 || !lock(&counter.state).is_idle(book.window, now)
            });
        }
        books.retain(|_, book| {
            let counters = book.counters.read().unwrap_or_else(PoisonError::into_inner);
            Arc::strong_count(book) > 1 || !counters.is_empty()
        });
    }

    /// Take what a request claims, all or nothing.
    ///
    /// # Errors
    /// The claim that has to wait longest.
    pub fn reserve(claims: &[Claim<'_>], now: Timestamp) -> Result<Reservation, Exhausted> {
        let mut parts = Parts::new();
        for claim in claims {
            let counter = claim.limit.book.counter(claim.who, now);
            let counter = counter.ok_or_else(|| claim.limit.exhausted(claim.amount, 0, None))?;
            let known = parts
                .iter_mut()
                .find(|part| Arc::ptr_eq(&part.counter, &counter));
            match known {
                Some(part) => part.amount = part.amount.saturating_add(claim.amount),
                None => parts.push(Part {
                    limit: claim.limit.clone(),
                    counter,
                    start: 0,
                    amount: claim.amount,
                }),
            }
        }
        take(&mut parts, now, |_| false)?;
        Ok(Reservation { parts })
    }
}

/// What a request has taken. Dropped, it leaves everything used but its place among those that run at the same time.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    parts: Parts,
}

type Parts = SmallVec<[Part; 4]>;

#[derive(Debug)]
struct Part {
    limit: Limit,
    counter: Arc<Counter>,
    /// First second of the span in which it was taken.
    start: i64,
    amount: u64,
}

impl Reservation {
    /// Whether anything of this measure is limited.
    #[must_use]
    pub fn limits(&self, measure: Measure) -> bool {
        self.parts.iter().any(|part| part.measure() == measure)
    }

    /// How much of a measure is taken, from the limit from which the most is.
    #[must_use]
    pub fn taken(&self, measure: Measure) -> u64 {
        let of_measure = self.parts.iter().filter(|part| part.measure() == measure);
        let of_counter = |counter: &Arc<Counter>| {
            let parts = self.parts.iter();
            let parts = parts.filter(|part| Arc::ptr_eq(&part.counter, counter));
            parts.fold(0_u64, |sum, part| sum.saturating_add(part.amount))
        };
        let sums = of_measure.map(|part| of_counter(&part.counter));
        sums.max().unwrap_or_default()
    }

    /// The limits from which something of a measure is taken, by their names.
    pub fn names(&self, measure: Measure) -> impl Iterator<Item = &Arc<str>> {
        let parts = self.parts.iter().enumerate();
        let first = move |(at, part): &(usize, &Part)| {
            let mut before = self.parts.iter().take(*at);
            part.measure() == measure && !before.any(|one| Arc::ptr_eq(&one.counter, &part.counter))
        };
        parts.filter(first).map(|(_, part)| part.limit.name())
    }

    /// Take more of a measure, from every limit of it or from none. Of a limit that `may_run_over` by its name it is taken
    /// whether it is left or not; whether that was so.
    ///
    /// # Errors
    /// The limit that has to be waited for longest. What was taken before stays taken.
    pub fn extend(
        &mut self,
        measure: Measure,
        more: u64,
        now: Timestamp,
        may_run_over: impl Fn(&str) -> bool,
    ) -> Result<bool, Exhausted> {
        let mut further = Parts::new();
        for part in self.parts.iter().filter(|part| part.measure() == measure) {
            let known = further
                .iter()
                .any(|one| Arc::ptr_eq(&one.counter, &part.counter));
            if !known {
                further.push(Part {
                    limit: part.limit.clone(),
                    counter: part.counter.clone(),
                    start: 0,
                    amount: more,
                });
            }
        }
        let over = take(&mut further, now, may_run_over)?;
        for part in further {
            let known = self
                .parts
                .iter_mut()
                .find(|one| Arc::ptr_eq(&one.counter, &part.counter) && one.start == part.start);
            match known {
                Some(one) => one.amount = one.amount.saturating_add(part.amount),
                None => self.parts.push(part),
            }
        }
        Ok(over)
    }

    /// So much of a measure was used so far, or in the end: the rest is given back to where it was taken, the newest
    /// first, and what is missing is taken whether it is left or not.
    pub fn settle(&mut self, measure: Measure, used: u64, now: Timestamp) {
        let mut counters: SmallVec<[(Arc<Counter>, Limit); 4]> = SmallVec::new();
        for part in self.parts.iter().filter(|part| part.measure() == measure) {
            if !counters
                .iter()
                .any(|(one, _)| Arc::ptr_eq(one, &part.counter))
            {
                counters.push((part.counter.clone(), part.limit.clone()));
            }
        }
        for (counter, limit) in counters {
            let mut left = used;
            let of_counter = |part: &&mut Part| Arc::ptr_eq(&part.counter, &counter);
            for part in self.parts.iter_mut().filter(of_counter) {
                let spent = part.amount.min(left);
                left -= spent;
                part.give_back(part.amount - spent);
            }
            if left > 0 {
                let mut state = lock(&counter.state);
                state.turn(limit.book.window, now);
                state.used = state.used.saturating_add(left);
                let start = state.span.start;
                drop(state);
                limit.book.note(&counter);
                self.parts.push(Part {
                    limit,
                    counter,
                    start,
                    amount: left,
                });
            }
        }
    }

    /// Nothing was sent: everything is given back.
    pub fn forgive(mut self) {
        for part in &mut self.parts {
            part.give_back(part.amount);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for part in &mut self.parts {
            if part.measure() == Measure::Streams {
                part.give_back(part.amount);
            }
        }
    }
}

/// Take all parts, or none; whether more was taken than was left, which only limits have that may run over.
fn take(
    parts: &mut Parts,
    now: Timestamp,
    may_run_over: impl Fn(&str) -> bool,
) -> Result<bool, Exhausted> {
    // In one order, so that two requests never wait for each other.
    parts.sort_by_key(Part::address);
    let mut over = false;
    let starts: SmallVec<[i64; 4]> = {
        let states = parts.iter().map(|part| lock(&part.counter.state));
        let mut states: SmallVec<[MutexGuard<'_, State>; 4]> = states.collect();
        let mut exhausted: Option<Exhausted> = None;
        for (part, state) in parts.iter().zip(&mut states) {
            state.turn(part.limit.book.window, now);
            if let Err(wait) = state.room(&part.limit, part.amount, now) {
                if may_run_over(part.limit.name()) {
                    over = true;
                    continue;
                }
                let left = part
                    .limit
                    .max
                    .saturating_sub(state.counts(part.limit.book.window, now));
                let later = part.limit.exhausted(part.amount, left, wait);
                exhausted = Some(match exhausted {
                    Some(known) if !later.waits_longer(&known) => known,
                    _ => later,
                });
            }
        }
        if let Some(exhausted) = exhausted {
            return Err(exhausted);
        }
        for (part, state) in parts.iter().zip(&mut states) {
            state.used = state.used.saturating_add(part.amount);
        }
        states.iter().map(|state| state.span.start).collect()
    };
    for (part, start) in parts.iter_mut().zip(starts) {
        part.start = start;
        part.limit.book.note(&part.counter);
    }
    Ok(over)
}

impl Part {
    fn measure(&self) -> Measure {
        self.limit.book.measure
    }

    fn address(&self) -> *const Counter {
        Arc::as_ptr(&self.counter)
    }

    /// Give so much of it back to the span from which it was taken, if that still counts.
    fn give_back(&mut self, amount: u64) {
        self.amount = self.amount.saturating_sub(amount);
        let mut state = lock(&self.counter.state);
        let at = if state.span.start == self.start {
            &mut state.used
        } else if state.before_start() == Some(self.start) {
            &mut state.before
        } else {
            return;
        };
        *at = at.saturating_sub(amount);
        drop(state);
        self.limit.book.note(&self.counter);
    }
}

impl Limit {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.book.name
    }

    /// What it counts.
    #[must_use]
    pub fn measure(&self) -> Measure {
        self.book.measure
    }

    /// How much somebody has used of it, with what is reserved; of the span before, what a sliding window still covers.
    #[must_use]
    pub fn used(&self, who: &str, now: Timestamp) -> u64 {
        let counters = self.book.counters.read();
        let counters = counters.unwrap_or_else(PoisonError::into_inner);
        let counter = counters.get(who);
        counter.map_or(0, |counter| {
            let mut state = *lock(&counter.state);
            state.turn(self.book.window, now);
            state.counts(self.book.window, now)
        })
    }

    fn exhausted(&self, wanted: u64, left: u64, wait: Option<Duration>) -> Exhausted {
        Exhausted {
            limit: self.book.name.clone(),
            measure: self.book.measure,
            max: self.max,
            wanted,
            left,
            wait,
        }
    }
}

impl Exhausted {
    /// What never comes waits longest.
    fn waits_longer(&self, than: &Self) -> bool {
        match (self.wait, than.wait) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(one), Some(other)) => one > other,
        }
    }
}

impl State {
    /// Go on to the span of `now`. A clock that was set back a little changes nothing; one that had been far ahead does
    /// not keep what was used until it is there again.
    fn turn(&mut self, window: Window, now: Timestamp) {
        let (now_second, length) = (
            now.as_second(),
            self.span.end.saturating_sub(self.span.start),
        );
        if now_second < self.span.end {
            if self.span.start.saturating_sub(now_second) > length.saturating_mul(BACK_MAX) {
                self.span = window.span(now);
            }
            return;
        }
        let span = window.span(now);
        self.before = if span.start == self.span.end {
            self.used
        } else {
            0
        };
        self.used = 0;
        self.span = span;
    }

    /// First second of the span before, where that counts.
    fn before_start(&self) -> Option<i64> {
        let length = self.span.end.checked_sub(self.span.start)?;
        self.span.start.checked_sub(length)
    }

    /// What counts at `now`.
    fn counts(&self, window: Window, now: Timestamp) -> u64 {
        self.used.saturating_add(self.of_before(window, now))
    }

    /// What still counts of the span before, rounded up.
    fn of_before(&self, window: Window, now: Timestamp) -> u64 {
        if !window.slides() {
            return 0;
        }
        let left = u128::from(self.before) * u128::from(self.span.left_of_before(now));
        u64::try_from(left.div_ceil(MILLION)).unwrap_or(u64::MAX)
    }

    /// Whether so much is left, or else after how long it will be.
    fn room(&self, limit: &Limit, amount: u64, now: Timestamp) -> Result<(), Option<Duration>> {
        let (window, measure) = (limit.book.window, limit.book.measure);
        let free = limit.max.checked_sub(amount).ok_or(None)?;
        if measure == Measure::Streams {
            return if self.used <= free { Ok(()) } else { Err(None) };
        }
        if self.counts(window, now) <= free {
            return Ok(());
        }
        let length = self.span.end.saturating_sub(self.span.start).max(1);
        let into = now
            .as_second()
            .saturating_sub(self.span.start)
            .clamp(0, length);
        // From when on no more of `past` counts than is free.
        let until = |past: u64, free: u64| {
            let kept = u128::from(free) * u128::from(length.unsigned_abs());
            let kept = kept / u128::from(past.max(1));
            length.saturating_sub(i64::try_from(kept).unwrap_or(length))
        };
        let wait = match free.checked_sub(self.used) {
            Some(free) if window.slides() => until(self.before, free),
            _ if window.slides() => length.saturating_add(until(self.used, free)),
            _ => length,
        };
        let wait = wait.saturating_sub(into).max(1);
        Err(Some(Duration::from_secs(wait.unsigned_abs())))
    }

    /// Whether nothing of it counts any more.
    fn is_idle(&self, window: Window, now: Timestamp) -> bool {
        let mut state = *self;
        state.turn(window, now);
        state.used == 0 && (state.before == 0 || !window.slides())
    }
}

const MILLION: u128 = 1_000_000;
/// Spans by which a clock may be set back until what was used is taken for that of the span in which it then is.
const BACK_MAX: i64 = 2;

impl Book {
    /// The counter of somebody, unless too many are counted.
    fn counter(&self, who: &str, now: Timestamp) -> Option<Arc<Counter>> {
        {
            let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counter) = counters.get(who) {
                return Some(counter.clone());
            }
        }
        let mut counters = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(who) {
            return Some(counter.clone());
        }
        if counters.len() >= COUNTED_MAX {
            return None;
        }
        let who: Arc<str> = who.into();
        let counter = Arc::new(Counter {
            who: who.clone(),
            state: Mutex::new(State {
                span: self.window.span(now),
                used: 0,
                before: 0,
            }),
            changed: AtomicBool::new(false),
        });
        counters.insert(who, counter.clone());
        Some(counter)
    }

    /// A counter is to be written down.
    fn note(&self, counter: &Arc<Counter>) {
        if self.measure != Measure::Streams && !counter.changed.swap(true, Ordering::SeqCst) {
            lock(&self.changed).push(counter.clone());
        }
    }

    fn counted(&self, counter: &Counter) -> Counted {
        let state = *lock(&counter.state);
        Counted {
            limit: self.name.clone(),
            measure: self.measure,
            window: self.window,
            who: counter.who.clone(),
            start: state.span.start,
            used: state.used,
            before: state.before,
        }
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book")
            .field("name", &self.name)
            .field("measure", &self.measure)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Sums stay usable whatever happened to the thread that held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
