//! Counts outcomes: for a client, over the exchanges that a question picks.

use std::collections::BTreeMap;
use std::fmt;

use crate::clients::{Outcomes, Verdict};
use crate::mock::Exchange;

/// How many exchanges went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) differs: usize,
    pub(super) refused: usize,
    pub(super) same: usize,
    pub(super) same_failure: usize,
    pub(super) unasked: usize,
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Differs => &mut self.differs,
            Verdict::Refused => &mut self.refused,
            Verdict::Same => &mut self.same,
            Verdict::SameFailure => &mut self.same_failure,
            Verdict::Unasked => &mut self.unasked,
        } += 1;
    }

    /// With and without the gateway the same.
    fn good(self) -> usize {
        self.same + self.same_failure
    }
}

/// A table's cell: how many were the same, of how many if not all were; nothing where nothing was asked.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.good(), self.differs) {
            (0, 0) => Ok(()),
            (good, 0) => write!(f, "{good}"),
            (good, differs) => write!(f, "{good} of {}", good + differs),
        }
    }
}

/// The worst verdict for each client and exchange.
pub(super) struct Book<'a> {
    exchanges: BTreeMap<&'a str, &'a Exchange>,
    worst: BTreeMap<(&'a str, &'a str), Verdict>,
}

impl<'a> Book<'a> {
    pub(super) fn new(outcomes: &'a Outcomes) -> Self {
        let mut worst = BTreeMap::new();
        for outcome in &outcomes.all {
            let key = (outcome.client.as_str(), outcome.exchange.as_str());
            let verdict: &mut Verdict = worst.entry(key).or_insert(outcome.verdict);
            *verdict = outcome.verdict.min(*verdict);
        }
        let by_id = |exchange: &'a Exchange| (exchange.id.as_str(), exchange);
        Self {
            exchanges: outcomes.exchanges.iter().map(by_id).collect(),
            worst,
        }
    }

    /// The clients that took part, bytes first.
    pub(super) fn clients(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.worst.keys().map(|(client, _)| *client).collect();
        names.dedup();
        names.sort_by_key(|name| (*name != crate::clients::BYTES, *name));
        names
    }

    /// How a client fared with the exchanges that `picks` picks.
    pub(super) fn tally(&self, client: &str, picks: impl Fn(&Exchange) -> bool) -> Tally {
        let mut tally = Tally::default();
        for ((_, id), verdict) in self.worst.iter().filter(|((of, _), _)| *of == client) {
            if self
                .exchanges
                .get(id)
                .is_some_and(|exchange| picks(exchange))
            {
                tally.count(*verdict);
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_all_or_some() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "");
        tally.count(Verdict::Refused);
        tally.count(Verdict::Unasked);
        assert_eq!(tally.to_string(), "");
        tally.count(Verdict::Same);
        tally.count(Verdict::SameFailure);
        assert_eq!(tally.to_string(), "2");
        tally.count(Verdict::Differs);
        assert_eq!(tally.to_string(), "2 of 3");
    }

    #[test]
    fn the_worst_outcome_counts() {
        let mut outcomes = Outcomes::default();
        for (manner, verdict) in [
            ("1", Verdict::Same),
            ("7", Verdict::Differs),
            ("0", Verdict::Same),
        ] {
            outcomes.push("c", "a#0", manner, verdict, "");
        }
        let book = Book::new(&outcomes);
        assert_eq!(book.worst.get(&("c", "a#0")), Some(&Verdict::Differs));
        assert_eq!(book.clients(), ["c"]);
    }
}
