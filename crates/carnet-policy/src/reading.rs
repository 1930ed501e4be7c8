//! How a pack reads the facts: which of them count, and from when on.

use std::collections::{BTreeMap, BTreeSet};

use carnet_provenance::Confidence;
use jiff::civil::Date;

use crate::workload::{CallerOwner, Percent};

/// The standard parameters that change which facts a rule sees. Packs that read alike share what is
/// prepared for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    /// Which parties count as makers.
    pub(crate) lineage: Lineage,
    /// Steps up the line that count; 0 = all.
    pub(crate) hops: u32,
    /// Components whose ancestors count; empty = all.
    pub(crate) components: BTreeSet<String>,
    /// From which share on an owner counts.
    pub(crate) share: Share,
    /// What is less sure than this is not known.
    pub(crate) confidence: Sure,
    /// What is older than so many days is not known; 0 = no limit.
    pub(crate) max_age_days: u32,
    /// The day whose lists and owners count; none = the day of the question.
    pub(crate) as_of: Option<Date>,
    /// Some rule reads what is claimed about a maker.
    pub(crate) claims: bool,
}

/// Which parties count as makers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Lineage {
    /// Whoever released the model.
    Producer,
    /// And whoever made what its weights come from.
    #[default]
    Weights,
    /// And whoever's models it learned from.
    WeightsAndTeachers,
}

/// The least confidence that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Sure {
    #[default]
    Low,
    Medium,
    High,
}

/// A share of ownership, in hundredths of a percent, so that it can be compared exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    hundredths: u32,
    /// More than it, instead of at least.
    more: bool,
}

/// All of it.
const WHOLE: u32 = 10_000;

impl Default for Share {
    fn default() -> Self {
        Self {
            hundredths: WHOLE / 2,
            more: false,
        }
    }
}

impl Share {
    /// `>=20` or `>50`, with up to two decimals.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, more) = match text.strip_prefix(">=") {
            Some(number) => (number, false),
            None => (text.strip_prefix('>')?, true),
        };
        let percent: f64 = number.trim().parse().ok()?;
        let hundredths = hundredths(percent)?;
        Some(Self { hundredths, more })
    }

    /// Whether a share in hundredths of a percent reaches it.
    pub(crate) fn reached_by(self, hundredths: u32) -> bool {
        if self.more {
            hundredths > self.hundredths
        } else {
            hundredths >= self.hundredths
        }
    }
}

/// A percentage as hundredths of a percent; none when it is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
pub(crate) fn hundredths(percent: f64) -> Option<u32> {
    (0.0..=100.0)
        .contains(&percent)
        .then(|| (percent * 100.0).round() as u32)
}

impl std::str::FromStr for Sure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "low" => Ok(Self::Low),
            "medium" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            _ => Err(()),
        }
    }
}

impl Reading {
    /// Whether a fact of this confidence and date is known on a day. What has no date does not age.
    pub(crate) fn accepts(&self, confidence: Confidence, date: Option<Date>, day: Date) -> bool {
        let least = match self.confidence {
            Sure::Low => Confidence::Low,
            Sure::Medium => Confidence::Medium,
            Sure::High => Confidence::High,
        };
        confidence >= least && self.end_of(date).is_none_or(|end| day < end)
    }

    /// The first day on which a fact of this date is too old.
    pub(crate) fn end_of(&self, date: Option<Date>) -> Option<Date> {
        if self.max_age_days == 0 {
            return None;
        }
        let days = i64::from(self.max_age_days).saturating_add(1);
        let age = jiff::Span::new().try_days(days).ok()?;
        date?.checked_add(age).ok()
    }

    /// Whether every fact counts as it stands.
    pub(crate) fn takes_all(&self) -> bool {
        self.confidence == Sure::Low && self.max_age_days == 0
    }
}

/// Countries from which by their shares the owners of somebody reach `share`, and whether no other
/// country can.
pub(crate) fn owned_from(owners: &[CallerOwner], share: Share) -> (BTreeSet<String>, bool) {
    let mut sums: BTreeMap<&str, u32> = BTreeMap::new();
    let mut countries = BTreeSet::new();
    // What is not accounted for may all belong to one more owner of any country.
    let mut open = WHOLE;
    let mut known = true;
    for owner in owners {
        let country = owner.country.as_deref();
        let part = owner.share.map(Percent::hundredths);
        open = open.saturating_sub(part.unwrap_or_default());
        match country {
            Some(country) if owner.control => drop(countries.insert(country.to_owned())),
            None if owner.control => known = false,
            _ => {}
        }
        match (country, part) {
            (Some(country), Some(part)) => {
                let sum = sums.entry(country).or_default();
                *sum = sum.saturating_add(part);
            }
            // A share without a country may be added to that of any country.
            (None, Some(part)) => open = open.saturating_add(part),
            (Some(country), None) => {
                sums.entry(country).or_default();
            }
            (None, None) => {}
        }
    }
    for (country, sum) in &sums {
        if share.reached_by(*sum) {
            countries.insert((*country).to_owned());
        } else if share.reached_by(sum.saturating_add(open)) && open > 0 {
            known = false;
        }
    }
    if share.reached_by(open) && open > 0 {
        known = false;
    }
    (countries, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_compared() {
        let at_least = Share::parse(">=20").unwrap();
        let more = Share::parse("> 50").unwrap();
        assert!(at_least.reached_by(2_000) && !at_least.reached_by(1_999));
        assert!(!more.reached_by(5_000) && more.reached_by(5_001));
        for wrong in ["", "20", ">", ">=x", ">=101", "<50", ">=-1"] {
            assert_eq!(Share::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn owners_are_summed_by_country_and_what_is_open_counts() {
        let more = Share::parse(">50").unwrap();
        type Owner = (Option<&'static str>, Option<f64>, bool);
        let table: &[(&[Owner], &[&str], bool)] = &[
            (&[(Some("AA"), Some(60.0), false)], &["AA"], true),
            (
                &[
                    (Some("AA"), Some(30.0), false),
                    (Some("AA"), Some(21.0), false),
                ],
                &["AA"],
                true,
            ),
            (
                &[
                    (Some("AA"), Some(50.0), false),
                    (Some("BB"), Some(50.0), false),
                ],
                &[],
                true,
            ),
            (&[(Some("AA"), Some(40.0), false)], &[], false),
            (
                &[
                    (Some("AA"), Some(40.0), true),
                    (Some("BB"), Some(60.0), false),
                ],
                &["AA", "BB"],
                true,
            ),
            (
                &[(None, Some(60.0), false), (Some("BB"), Some(40.0), false)],
                &[],
                false,
            ),
            (
                &[(None, None, true), (Some("BB"), Some(100.0), false)],
                &["BB"],
                false,
            ),
            (&[], &[], false),
        ];
        for (owners, countries, known) in table {
            let owners: Vec<CallerOwner> = owners
                .iter()
                .map(|(country, share, control)| CallerOwner {
                    country: country.map(str::to_owned),
                    share: share.map(|share| share.try_into().unwrap()),
                    control: *control,
                    ..CallerOwner::default()
                })
                .collect();
            let expected: BTreeSet<String> =
                countries.iter().map(|&code| code.to_owned()).collect();
            assert_eq!(owned_from(&owners, more), (expected, *known), "{owners:?}");
        }
    }

    #[test]
    fn old_and_unsure_facts_do_not_count() {
        let day: Date = "2026-01-31".parse().unwrap();
        let date: Option<Date> = "2026-01-01".parse().ok();
        let reading = |confidence, max_age_days| Reading {
            confidence,
            max_age_days,
            ..Reading::default()
        };
        assert!(reading(Sure::Low, 30).accepts(Confidence::Low, date, day));
        assert!(!reading(Sure::Low, 29).accepts(Confidence::Low, date, day));
        assert!(reading(Sure::Low, 29).accepts(Confidence::Low, None, day));
        assert!(!reading(Sure::Medium, 0).accepts(Confidence::Low, date, day));
        assert!(!reading(Sure::Low, 0).accepts(Confidence::Unknown, date, day));
        assert_eq!(reading(Sure::Low, 29).end_of(date), Some(day));
    }
}
