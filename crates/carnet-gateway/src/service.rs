//! Targets that are out of service: another model answered there than was decided on, and nobody
//! has said since that all is well. Whoever runs the gateway keeps the list over a restart.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::limits::SUSPENDED_MAX;

/// A target that is out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// The upstream.
    pub upstream: Arc<str>,
    /// The upstream's own name for the model that was asked for.
    pub model: Arc<str>,
    /// The model that the answer named.
    pub reported: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// The record of the answer that showed it.
    pub record: Arc<str>,
}

/// See the module. Outlives generations: a reload proves nothing about an upstream.
#[derive(Debug, Default)]
pub(crate) struct Service {
    count: AtomicUsize,
    suspended: Mutex<Vec<Suspended>>,
    changed: Notify,
}

impl Service {
    /// Whether a target is out of service. Costs one load while none is.
    pub(crate) fn is_suspended(&self, upstream: &str, model: &str) -> bool {
        self.len() > 0
            && self.with(|all| {
                // With more than can be kept in mind, none is trusted.
                all.len() >= SUSPENDED_MAX || all.iter().any(|one| one.is(upstream, model))
            })
    }

    /// Take a target out of service, if it is not so already.
    pub(crate) fn suspend(&self, new: Suspended) {
        self.with(|all| {
            let known = all.iter().any(|one| one.is(&new.upstream, &new.model));
            if known || all.len() >= SUSPENDED_MAX {
                return;
            }
            all.push(new);
            self.count.store(all.len(), Ordering::Release);
            self.changed.notify_one();
        });
    }

    /// Put a target into service again.
    pub(crate) fn restore(&self, upstream: &str, model: &str) -> Option<Suspended> {
        self.with(|all| {
            let at = all.iter().position(|one| one.is(upstream, model))?;
            let gone = all.remove(at);
            self.count.store(all.len(), Ordering::Release);
            self.changed.notify_one();
            Some(gone)
        })
    }

    /// Why a target is out of service, if it is.
    pub(crate) fn of(&self, upstream: &str, model: &str) -> Option<Suspended> {
        self.with(|all| all.iter().find(|one| one.is(upstream, model)).cloned())
    }

    /// Ends when the list has changed since it last ended.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn all(&self) -> Vec<Suspended> {
        self.with(|all| all.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Suspended>) -> T) -> T {
        work(
            &mut self
                .suspended
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Suspended {
    fn is(&self, upstream: &str, model: &str) -> bool {
        *self.upstream == *upstream && *self.model == *model
    }
}
