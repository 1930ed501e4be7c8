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

    /// The same bytes, of which another number may be held.
    pub(crate) fn up_to(&self, max: usize) -> Self {
        Self {
            used: self.used.clone(),
            max,
        }
    }

    /// How much is held of it.
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

    /// Hold so much more, if it is left; else as much as before.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let max = self.max;
        let room = |used: usize| used.checked_add(bytes).filter(|all| *all <= max);
        let grown = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .is_ok();
        if grown {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        grown
    }

    /// Give so much of it back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.used.fetch_sub(bytes, Ordering::Relaxed);
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
        let mut held = budget.hold(6).unwrap();
        assert!(!held.try_grow(5) && held.try_grow(4));
        assert_eq!(budget.used(), 10);
        held.shrink(7);
        let smaller = budget.up_to(5);
        assert!(smaller.hold(3).is_none() && smaller.hold(2).is_some());
        held.shrink(9);
        drop(held);
        assert_eq!(budget.used(), 0);
    }
}
