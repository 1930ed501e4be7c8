//! The ids under which upstreams keep responses: whose each is, and where it was made. Known by digest alone.
//!
//! Requests look into a table in memory; whoever runs the gateway writes its changes down, and gives them back at the
//! next start. A change that was not written makes an id unknown then, no more.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_wire::sniff::{Framing, ResponseId};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::ingress::is_id;
use crate::limits::{STATE_CHANGES_MAX, STATE_ID_TIME_MAX, STATE_IDS_MAX};
use crate::resolve::Offer;

/// What stands for an id together with the workload that may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateDigest([u8; 32]);

/// Where a response was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTarget {
    /// The name that the caller asked for.
    pub requested: Arc<str>,
    /// The upstream.
    pub upstream: Arc<str>,
    /// Its address.
    pub origin: Arc<str>,
    /// Its own name for the model.
    pub model: Arc<str>,
}

/// An id that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateId {
    /// The id.
    pub digest: StateDigest,
    /// Whose it is.
    pub workload: Arc<str>,
    /// Where it was made.
    pub target: StateTarget,
    /// Until when it is known.
    pub until: Timestamp,
}

/// What became of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It is no longer known.
    Gone(StateDigest),
    /// An upstream gave it.
    Made(StateId),
}

/// See the module. Outlives generations.
#[derive(Debug, Default)]
pub(crate) struct StateIds {
    // Held for one look or change, never over I/O.
    tables: Mutex<HashMap<Arc<str>, Table>>,
    changes: Mutex<VecDeque<StateChange>>,
    changed: Notify,
}

/// The ids of one workload.
#[derive(Debug, Default)]
struct Table {
    known: HashMap<StateDigest, Known>,
    /// As they were made, those that are gone among them.
    order: VecDeque<StateDigest>,
}

#[derive(Debug)]
struct Known {
    target: StateTarget,
    until: Timestamp,
}

impl StateDigest {
    pub(crate) fn of(workload: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        // The length keeps two pairs apart that read the same one after the other.
        hash.update((workload.len() as u64).to_le_bytes());
        hash.update(workload);
        hash.update(id);
        Self(hash.finalize().into())
    }

    /// A digest that was written down.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As it is written down.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl StateTarget {
    pub(crate) fn of(requested: &Arc<str>, offer: &Offer) -> Self {
        let config = offer.upstream.config();
        Self {
            requested: requested.clone(),
            upstream: config.name.clone(),
            origin: config.origin.clone(),
            model: offer.expected.asked().clone(),
        }
    }

    /// Whether an offer leads to it.
    pub(crate) fn is(&self, offer: &Offer) -> bool {
        let config = offer.upstream.config();
        self.upstream == config.name
            && self.origin == config.origin
            && *self.model == *offer.own_name()
    }
}

impl Table {
    /// The ids that had to go for it.
    fn insert(&mut self, digest: StateDigest, known: Known) -> Vec<StateDigest> {
        if self.known.insert(digest, known).is_none() {
            self.order.push_back(digest);
        }
        let mut gone = Vec::new();
        while self.order.len() > STATE_IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            if self.known.remove(&oldest).is_some() {
                gone.push(oldest);
            }
        }
        gone
    }
}

impl StateIds {
    /// An upstream gave an id to a workload.
    pub(crate) fn made(&self, workload: &Arc<str>, id: &str, target: StateTarget, now: Timestamp) {
        let made = StateId {
            digest: StateDigest::of(workload, id),
            workload: workload.clone(),
            target,
            until: now
                .saturating_add(STATE_ID_TIME_MAX)
                .unwrap_or(Timestamp::MAX),
        };
        let gone = self.insert(made.clone());
        let changes = gone.into_iter().map(StateChange::Gone);
        self.note(changes.chain([StateChange::Made(made)]));
    }

    /// Where an id of a workload was made, if it is one.
    pub(crate) fn find(&self, workload: &str, id: &str, now: Timestamp) -> Option<StateTarget> {
        let tables = self.tables();
        let known = tables.get(workload)?;
        let known = known.known.get(&StateDigest::of(workload, id))?;
        (now < known.until).then(|| known.target.clone())
    }

    /// The upstream keeps it no longer.
    pub(crate) fn gone(&self, workload: &str, id: &str) {
        let digest = StateDigest::of(workload, id);
        let mut tables = self.tables();
        let table = tables.get_mut(workload);
        let known = table.and_then(|table| table.known.remove(&digest));
        drop(tables);
        if known.is_some() {
            self.note([StateChange::Gone(digest)]);
        }
    }

    /// Take over what was written down, oldest first.
    pub(crate) fn restore(&self, ids: impl IntoIterator<Item = StateId>) {
        let gone: Vec<StateDigest> = ids.into_iter().flat_map(|id| self.insert(id)).collect();
        self.note(gone.into_iter().map(StateChange::Gone));
    }

    /// Take what has changed since the last call.
    pub(crate) fn changes(&self) -> Vec<StateChange> {
        mem::take(&mut *self.pending()).into()
    }

    /// Ends when something has changed since it last ended.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn insert(&self, id: StateId) -> Vec<StateDigest> {
        let known = Known {
            target: id.target,
            until: id.until,
        };
        let mut tables = self.tables();
        let table = tables.entry(id.workload).or_default();
        table.insert(id.digest, known)
    }

    fn note(&self, new: impl IntoIterator<Item = StateChange>) {
        let mut pending = self.pending();
        pending.extend(new);
        let over = pending.len().saturating_sub(STATE_CHANGES_MAX);
        pending.drain(..over);
        let any = !pending.is_empty();
        drop(pending);
        if over > 0 {
            tracing::warn!(
                over,
                "ids of kept responses are not written down; they are unknown after a restart"
            );
        }
        if any {
            self.changed.notify_one();
        }
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<Arc<str>, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<StateChange>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens in on the answer to a request whose response its upstream may keep, and takes down the id before the caller
/// has read it.
#[derive(Debug)]
pub(crate) struct Making {
    sniff: ResponseId,
    target: StateTarget,
}

impl Making {
    pub(crate) fn new(framing: Framing, target: StateTarget) -> Self {
        Self {
            sniff: ResponseId::new(framing),
            target,
        }
    }

    /// Looks at a piece; whether the id was in it.
    pub(crate) fn looks(
        &mut self,
        piece: &[u8],
        ids: &StateIds,
        workload: &Arc<str>,
        now: Timestamp,
    ) -> bool {
        let Some(id) = self.sniff.push(piece) else {
            return false;
        };
        // With another one the upstream could not be asked.
        if is_id(id) {
            ids.made(workload, id, self.target.clone(), now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn target(upstream: &str) -> StateTarget {
        StateTarget {
            requested: "m".into(),
            upstream: upstream.into(),
            origin: "https://x.example".into(),
            model: "own".into(),
        }
    }

    #[test]
    fn an_id_is_known_to_its_workload_and_no_other() {
        let ids = StateIds::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        ids.made(&one, "resp_1", target("u"), NOW);
        assert_eq!(ids.find(&one, "resp_1", NOW), Some(target("u")));
        for (workload, id) in [(&two, "resp_1"), (&one, "resp_2"), (&one, "")] {
            assert_eq!(ids.find(workload, id, NOW), None);
        }
        // Neither is one whose name and id read the same in a row.
        assert_eq!(ids.find("oneresp", "_1", NOW), None);
        ids.gone(&two, "resp_1");
        assert!(ids.find(&one, "resp_1", NOW).is_some());
        ids.gone(&one, "resp_1");
        assert_eq!(ids.find(&one, "resp_1", NOW), None);
    }

    #[test]
    fn an_id_is_forgotten_with_time_and_when_there_are_too_many() {
        let ids = StateIds::default();
        let workload: Arc<str> = "one".into();
        ids.made(&workload, "first", target("u"), NOW);
        let later = NOW + STATE_ID_TIME_MAX;
        assert!(
            ids.find(
                &workload,
                "first",
                later - std::time::Duration::from_secs(1)
            )
            .is_some()
        );
        assert_eq!(ids.find(&workload, "first", later), None);
        for number in 0..STATE_IDS_MAX {
            ids.made(&workload, &number.to_string(), target("u"), NOW);
        }
        assert_eq!(ids.find(&workload, "first", NOW), None);
        assert!(ids.find(&workload, "0", NOW).is_some());
        let tables = ids.tables();
        let table = &tables[&workload];
        assert_eq!(
            (table.known.len(), table.order.len()),
            (STATE_IDS_MAX, STATE_IDS_MAX)
        );
        drop(tables);
        let first = StateDigest::of(&workload, "first");
        assert!(ids.changes().contains(&StateChange::Gone(first)));
    }

    #[test]
    fn what_was_written_down_is_known_again() {
        let (before, after) = (StateIds::default(), StateIds::default());
        let workload: Arc<str> = "one".into();
        before.made(&workload, "kept", target("u"), NOW);
        before.made(&workload, "deleted", target("u"), NOW);
        before.gone(&workload, "deleted");
        let mut written = Vec::new();
        for change in before.changes() {
            match change {
                StateChange::Made(id) => written.push(id),
                StateChange::Gone(gone) => written.retain(|id: &StateId| id.digest != gone),
            }
        }
        after.restore(written);
        assert_eq!(after.find(&workload, "kept", NOW), Some(target("u")));
        assert_eq!(after.find(&workload, "deleted", NOW), None);
        assert!(before.changes().is_empty() && after.changes().is_empty());
    }

    #[test]
    fn changes_that_nobody_takes_are_bounded() {
        let ids = StateIds::default();
        let workload: Arc<str> = "one".into();
        for number in 0..=STATE_CHANGES_MAX {
            ids.made(&workload, &number.to_string(), target("u"), NOW);
        }
        assert_eq!(ids.changes().len(), STATE_CHANGES_MAX);
    }

    #[test]
    fn an_id_is_taken_down_as_soon_as_it_was_seen_and_only_one_that_can_be_asked_for() {
        let ids = StateIds::default();
        let workload: Arc<str> = "one".into();
        for (id, known) in [("resp_1", true), ("../models", false), ("", false)] {
            let mut making = Making::new(Framing::Json, target("u"));
            let answer = format!(r#"{{"id":"{id}","model":"m"}}"#);
            let (before, after) = answer.split_at(7 + id.len());
            assert!(!making.looks(before.as_bytes(), &ids, &workload, NOW));
            making.looks(after.as_bytes(), &ids, &workload, NOW);
            assert_eq!(ids.find(&workload, id, NOW).is_some(), known, "{id}");
        }
    }
}
