//! Bytes that several holders may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    max: usize,
}

/// A part of a budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: usize,
    used: Arc<AtomicUsize>,
    max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            used: Arc::default(),
            max,
        }
    }

    /// A part of it, if so much is left.
    pub(crate) fn hold(&self, bytes: usize) -> Option<Held> {
        let mut held = Held {
            bytes: 0,
            used: self.used.clone(),
            max: self.max,
        };
        held.grow(bytes).then_some(held)
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Hold so much more, if it is left. What was refused is given back with the rest.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(bytes);
        before.saturating_add(bytes) <= self.max
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_hold_together_is_bounded_and_given_back() {
        let budget = Budget::new(10);
        let mut held = budget.hold(6).unwrap();
        assert!(budget.hold(5).is_none());
        assert_eq!(budget.used(), 6);
        assert!(held.grow(4));
        assert!(!held.grow(1));
        drop(held);
        assert_eq!(budget.used(), 0);
    }
}
