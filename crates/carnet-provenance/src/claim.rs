//! A claim: a value with who says it, when, how sure that is and for which days it holds.

use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::pool;
use crate::word::words;

words! {
    /// How sure a claim is. Ordered: the lowest of several is the confidence of what rests on them.
    Confidence {
        /// Nobody knows.
        Unknown = "unknown",
        /// Inferred.
        Low = "low",
        /// One secondary source, read.
        Medium = "medium",
        /// Stated by the maker, or by two independent sources, text read.
        High = "high",
    }
}

/// Who says something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it stands. Many claims share one source, which is kept once.
    #[serde(deserialize_with = "pool::shared")]
    pub source: Arc<str>,
    /// When it was said or read.
    pub date: Option<Date>,
    /// How sure it is.
    pub confidence: Confidence,
}

/// The days on which something holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The first day; none = since ever.
    pub from: Option<Date>,
    /// The first day on which it no longer holds; none = for ever.
    pub to: Option<Date>,
}

/// Somebody contradicts a single claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Who.
    pub by: String,
    /// Where it stands.
    pub source: Option<String>,
}

/// A value with who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim<T> {
    /// What is said.
    pub value: T,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it holds.
    pub valid: Validity,
    /// Who contradicts.
    pub disputed: Option<Contradiction>,
}

/// What is said about one thing over time: claims whose validities do not overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dated<T>(pub Vec<Claim<T>>);

/// The day of a question, and the next day on which its answer may be another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    as_of: Date,
    next: Option<Date>,
}

impl Validity {
    /// Whether two validities share a day.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let before = |end: Option<Date>, start: Option<Date>| matches!((end, start), (Some(end), Some(start)) if end <= start);
        !before(self.to, other.from) && !before(other.to, self.from)
    }

    /// Whether it holds on a day.
    #[must_use]
    pub fn holds_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day < to)
    }

    /// Whether it holds for ever.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

impl<T> Default for Dated<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Dated<T> {
    /// The claim that holds on a day.
    pub(crate) fn at(&self, horizon: &mut Horizon) -> Option<&Claim<T>> {
        let mut found = None;
        for claim in &self.0 {
            if horizon.holds(&claim.valid) && found.is_none() {
                found = Some(claim);
            }
        }
        found
    }

    /// Every value that ever held.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|claim| &claim.value)
    }
}

impl Horizon {
    pub(crate) fn new(as_of: Date) -> Self {
        Self { as_of, next: None }
    }

    /// Whether it holds on the day asked; a beginning or end after that day is kept in mind.
    pub(crate) fn holds(&mut self, valid: &Validity) -> bool {
        if let Some(from) = valid.from
            && from > self.as_of
        {
            self.note(from);
            return false;
        }
        match valid.to {
            Some(to) if to <= self.as_of => false,
            Some(to) => {
                self.note(to);
                true
            }
            None => true,
        }
    }

    /// The next day on which something looked at begins or ends.
    pub(crate) fn next(&self) -> Option<Date> {
        self.next
    }

    fn note(&mut self, day: Date) {
        self.next = Some(self.next.map_or(day, |next| next.min(day)));
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn validities_are_half_open() {
        let change = date(2025, 5, 28);
        let old = Validity {
            from: None,
            to: Some(change),
        };
        let new = Validity {
            from: Some(change),
            to: None,
        };
        assert!(!old.overlaps(&new) && !new.overlaps(&old));
        assert!(old.overlaps(&Validity::default()) && Validity::default().overlaps(&new));
        let mut before = Horizon::new(date(2025, 5, 27));
        assert!(before.holds(&old) && !before.holds(&new));
        assert_eq!(before.next(), Some(change));
        let mut after = Horizon::new(change);
        assert!(!after.holds(&old) && after.holds(&new));
        assert_eq!(after.next(), None);
    }

    #[test]
    fn the_lowest_confidence_is_the_smallest() {
        assert_eq!(
            [Confidence::High, Confidence::Unknown, Confidence::Low]
                .iter()
                .min(),
            Some(&Confidence::Unknown)
        );
    }
}
