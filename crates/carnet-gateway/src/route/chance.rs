//! Numbers that need not be secret: who is asked of several, and how long is waited before asking again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// SplitMix64: each number is a mix of a counter, so that several threads share it without waiting for each other.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0 and at most 1.
    pub(crate) fn share(&self) -> f64 {
        // As many bits as a number has room for.
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// One of so many, from 0.
    pub(crate) fn below(&self, count: usize) -> usize {
        let wide = u128::from(self.next()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or_default()
    }

    /// Any time up to this.
    pub(crate) fn up_to(&self, most: Duration) -> Duration {
        most.mul_f64(self.share())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_stay_within() {
        let chance = Chance::new(7);
        let mut seen = [0; 5];
        for _ in 0..10_000 {
            seen[chance.below(5)] += 1;
            let share = chance.share();
            assert!(share > 0.0 && share <= 1.0);
            assert!(chance.up_to(Duration::from_secs(3)) <= Duration::from_secs(3));
        }
        assert!(
            seen.iter().all(|count| (1_800..2_200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(chance.below(1), 0);
    }
}
