//! Numbers that look random and come again from the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A xorshift generator: good enough to scatter tests, and nothing else.
pub(super) struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        let seed = seed.max(1);
        Self { seed, state: seed }
    }

    /// Another seed each run.
    pub(super) fn thrown() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self::seeded(u64::from(now.subsec_nanos()) | 1)
    }

    /// For the report, so that a run can be had again.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit.max(1)
    }

    /// One of several; they must not be none.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        let limit = u64::try_from(from.len()).unwrap_or(u64::MAX);
        from.get(usize::try_from(self.below(limit)).unwrap_or(0))
            .copied()
    }
}
