//! Which of several targets is asked first, and which after it: by the operator's strategy among those that are well; those
//! that are not come last.

use std::time::Instant;

use smallvec::SmallVec;

use super::breaker::Standing;
use super::chance::Chance;

/// What the choice goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The least that it is expected to cost.
    Cheapest,
    /// The order of the configuration.
    #[default]
    First,
    /// Of two that chance names, the one with less to do.
    LeastLoaded,
    /// The order of places that the operator gives.
    Nearest,
    /// Chance, by weights.
    Weighted,
}

impl Strategy {
    /// All of them, by the words of the configuration.
    pub const ALL: [(&'static str, Self); 5] = [
        ("cheapest", Self::Cheapest),
        ("first", Self::First),
        ("least-loaded", Self::LeastLoaded),
        ("nearest", Self::Nearest),
        ("weighted", Self::Weighted),
    ];
}

/// A target that may be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Its place in the configuration.
    pub(crate) index: usize,
    /// Of all that chance names.
    pub(crate) weight: u32,
    /// What it has to do, in seconds of waiting.
    pub(crate) load: f64,
    /// What the strategy goes by, if it is not chance: the lowest comes first.
    pub(crate) rank: u64,
    pub(crate) standing: Standing,
}

/// More have to be put on the heap.
pub(crate) type Candidates = SmallVec<[Candidate; 4]>;

/// Put them into the order in which they are asked.
pub(crate) fn order(strategy: Strategy, all: &mut [Candidate], chance: &Chance) {
    let ejected = eject(all);
    let (asked, _) = all.split_at_mut(all.len().saturating_sub(ejected));
    match strategy {
        // The order of the configuration stays among equals.
        Strategy::Cheapest | Strategy::First | Strategy::Nearest => {
            asked.sort_by_key(|one| (one.rank, one.index));
        }
        Strategy::LeastLoaded => less_loaded_of_two(asked, chance),
        Strategy::Weighted => by_weight(asked, chance),
    }
}

/// Put those last that are not well, but never more than half of all: whoever has been shut for the longest time is then
/// still asked. How many they are.
fn eject(all: &mut [Candidate]) -> usize {
    let until = |one: &Candidate| match one.standing {
        Standing::Shut(until) => Some(until),
        Standing::Probe | Standing::Well => None,
    };
    let shut = all.iter().filter(|one| until(one).is_some()).count();
    if shut == 0 {
        return 0;
    }
    let by = |one: &Candidate| -> (Option<Instant>, usize) { (until(one), one.index) };
    // None, which is well, comes before any instant.
    all.sort_by_key(by);
    shut.min(all.len() / 2)
}

/// Efraimidis and Spirakis: a key for each by its weight, and then the order of the keys. What is left out afterwards
/// changes nothing in the shares of the others.
fn by_weight(all: &mut [Candidate], chance: &Chance) {
    for one in &mut *all {
        one.load = if one.weight == 0 {
            f64::INFINITY
        } else {
            -chance.share().ln() / f64::from(one.weight)
        };
    }
    all.sort_by(|one, other| one.load.total_cmp(&other.load));
}

fn less_loaded_of_two(all: &mut [Candidate], chance: &Chance) {
    for at in (1..all.len()).rev() {
        all.swap(at, chance.below(at + 1));
    }
    if let [one, other, ..] = all
        && other.load < one.load
    {
        std::mem::swap(one, other);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop, prop_assert, prop_assert_eq, prop_assume, proptest};
    use proptest::strategy::Strategy as _;

    use super::*;

    fn candidate(index: usize) -> Candidate {
        Candidate {
            index,
            weight: 1,
            load: 0.0,
            rank: 0,
            standing: Standing::Well,
        }
    }

    fn indices(all: &[Candidate]) -> Vec<usize> {
        all.iter().map(|one| one.index).collect()
    }

    #[test]
    fn ranks_decide_and_the_configuration_among_equals() {
        let chance = Chance::new(1);
        let ranks = [3, 1, 2, 1];
        let with_rank = |(index, rank)| Candidate {
            rank,
            ..candidate(index)
        };
        let mut all: Vec<Candidate> = ranks.into_iter().enumerate().map(with_rank).collect();
        order(Strategy::Cheapest, &mut all, &chance);
        assert_eq!(indices(&all), [1, 3, 2, 0]);
        all.iter_mut().for_each(|one| one.rank = 0);
        order(Strategy::First, &mut all, &chance);
        assert_eq!(indices(&all), [0, 1, 2, 3]);
    }

    #[test]
    fn at_most_half_are_ejected_and_the_least_bad_is_still_asked() {
        let chance = Chance::new(1);
        let now = Instant::now();
        let shut = |index, seconds| Candidate {
            standing: Standing::Shut(now + Duration::from_secs(seconds)),
            ..candidate(index)
        };
        let mut one = [shut(0, 9)];
        order(Strategy::First, &mut one, &chance);
        assert_eq!(indices(&one), [0]);
        let mut both = [shut(0, 9), shut(1, 3)];
        order(Strategy::First, &mut both, &chance);
        assert_eq!(indices(&both), [1, 0]);
        let mut three = [shut(0, 9), candidate(1), candidate(2)];
        order(Strategy::First, &mut three, &chance);
        assert_eq!(indices(&three), [1, 2, 0]);
        let mut most = [shut(0, 9), shut(1, 5), shut(2, 7), candidate(3)];
        order(Strategy::First, &mut most, &chance);
        assert_eq!(indices(&most), [1, 3, 2, 0]);
    }

    fn candidates() -> impl proptest::strategy::Strategy<Value = Vec<Candidate>> {
        let one = (0u32..5, 0u32..50, option_of_seconds());
        prop::collection::vec(one, 1..7).prop_map(|all| {
            let now = Instant::now();
            let made = all.into_iter().enumerate();
            made.map(|(index, (weight, load, shut))| Candidate {
                weight,
                load: f64::from(load),
                standing: match shut {
                    Some(seconds) => Standing::Shut(now + Duration::from_secs(seconds)),
                    None => Standing::Well,
                },
                ..candidate(index)
            })
            .collect()
        })
    }

    fn option_of_seconds() -> impl proptest::strategy::Strategy<Value = Option<u64>> {
        prop::option::of(1u64..100)
    }

    proptest! {
        /// Everybody is there once, and with at most half of them ill, nobody ill is asked before anybody well.
        #[test]
        fn nobody_ill_comes_before_anybody_well(mut all in candidates(), seed: u64) {
            let chance = Chance::new(seed);
            let ill = |one: &Candidate| matches!(one.standing, Standing::Shut(_));
            let (count, sick) = (all.len(), all.iter().filter(|one| ill(one)).count());
            for (_, strategy) in Strategy::ALL {
                order(strategy, &mut all, &chance);
                let mut there = indices(&all);
                there.sort_unstable();
                prop_assert_eq!(there, (0..count).collect::<Vec<_>>());
                let ejected = sick.min(count / 2);
                prop_assert!(all[count - ejected..].iter().all(ill));
                if sick <= count / 2 {
                    prop_assert!(!all[..count - sick].iter().any(ill));
                }
            }
        }

        /// Of the well ones, the one with the most to do is first only where there is no other, or two have as much.
        #[test]
        fn the_busiest_is_not_chosen_before_another(mut all in candidates(), seed: u64) {
            let chance = Chance::new(seed);
            order(Strategy::LeastLoaded, &mut all, &chance);
            let well: Vec<f64> = all
                .iter()
                .filter(|one| one.standing == Standing::Well)
                .map(|one| one.load)
                .collect();
            if well.len() == all.len() && well.len() > 1 {
                let most = well.iter().copied().fold(0.0, f64::max);
                let as_much = well.iter().filter(|load| **load == most).count();
                prop_assert!(well[0] < most || as_much > 1);
            }
        }

        /// Shares of many choices are those of the weights.
        #[test]
        fn choices_follow_the_weights(weights in prop::collection::vec(0u32..10, 2..6), seed: u64) {
            prop_assume!(weights.iter().sum::<u32>() > 0);
            let chance = Chance::new(seed);
            let mut first = vec![0u32; weights.len()];
            const CHOICES: u32 = 4_000;
            for _ in 0..CHOICES {
                let mut all: Vec<Candidate> = weights
                    .iter()
                    .enumerate()
                    .map(|(index, weight)| Candidate { weight: *weight, ..candidate(index) })
                    .collect();
                order(Strategy::Weighted, &mut all, &chance);
                first[all[0].index] += 1;
            }
            let sum = f64::from(weights.iter().sum::<u32>());
            for (count, weight) in first.iter().zip(&weights) {
                let (got, wanted) = (f64::from(*count) / f64::from(CHOICES), f64::from(*weight) / sum);
                // Six times the standard deviation of a fair half.
                prop_assert!((got - wanted).abs() < 0.05, "{got} instead of {wanted}");
            }
        }
    }
}
