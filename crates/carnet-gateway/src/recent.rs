//! The decisions of the last hour, in memory, for the admin listener. Bounded; the log has them all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use carnet_policy::Verdict;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::limits::RECENT_DECISIONS_MAX;

/// How far back the list reaches.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// One decision, as the admin listener shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RecentDecision {
    /// When.
    pub time: Timestamp,
    /// Id of the record.
    pub record: Arc<str>,
    /// The caller's workload.
    pub workload: Arc<str>,
    /// The name asked for.
    pub requested: Arc<str>,
    /// `permit` or `deny`.
    pub decision: &'static str,
    /// Ids of the rules that counted.
    pub rules: Vec<Arc<str>>,
    /// Id of the decision document in the log.
    pub document: Arc<str>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Entry>>);

#[derive(Debug)]
struct Entry {
    time: Timestamp,
    record: Arc<str>,
    workload: Arc<str>,
    requested: Arc<str>,
    verdict: Arc<Verdict>,
}

impl Recent {
    /// Keep a decision. The lock is held for a push only.
    pub(crate) fn push(
        &self,
        time: Timestamp,
        record: Arc<str>,
        workload: Arc<str>,
        requested: Arc<str>,
        verdict: Arc<Verdict>,
    ) {
        let entry = Entry {
            time,
            record,
            workload,
            requested,
            verdict,
        };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= RECENT_DECISIONS_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// The decisions since `now` less an hour, newest first, at most `max`.
    pub(crate) fn list(&self, now: Timestamp, max: usize) -> Vec<RecentDecision> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .rev()
            .take_while(|entry| now.duration_since(entry.time) <= WINDOW)
            .take(max)
            .map(|entry| RecentDecision {
                time: entry.time,
                record: entry.record.clone(),
                workload: entry.workload.clone(),
                requested: entry.requested.clone(),
                decision: entry.verdict.effect().as_str(),
                rules: entry
                    .verdict
                    .reasons()
                    .iter()
                    .map(|reason| reason.rule.clone())
                    .collect(),
                document: entry.verdict.id().clone(),
            })
            .collect()
    }
}
