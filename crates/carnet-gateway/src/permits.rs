//! How often each rule permitted: counted for the rules of the policies in force, found when the generation is built.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_policy::{Policies, Reason};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::traffic::counter;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Permits(HashMap<Box<str>, Arc<AtomicU64>>);

impl Permits {
    /// Of the rules of these policies; one that was there before counts on.
    pub(crate) fn new(policies: &Policies, previous: Option<&Self>) -> Self {
        let rules = policies
            .packs()
            .iter()
            .flat_map(|pack| pack.rules().values());
        let permitting = rules.filter(|rule| rule.is_permit());
        let counted = permitting.map(|rule| {
            let before = previous.and_then(|previous| previous.0.get(rule.id()));
            (rule.id().into(), before.cloned().unwrap_or_default())
        });
        Self(counted.collect())
    }

    /// Count the rules that permitted.
    pub(crate) fn count(&self, reasons: &[Reason]) {
        for reason in reasons {
            if let Some(count) = self.0.get(&*reason.rule) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The counters of all rules, as they are told.
#[derive(Debug)]
pub(crate) struct AllPermits(pub(crate) Arc<Permits>);

impl Collector for AllPermits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut permits = encoder.encode_descriptor(
            "permits_by_rule",
            "Permits, by the rule that permitted",
            None,
            MetricType::Counter,
        )?;
        let mut counts: Vec<_> = self.0.0.iter().collect();
        counts.sort_unstable_by_key(|(rule, _)| *rule);
        for (rule, count) in counts {
            counter(
                &mut permits,
                &[("rule", rule)],
                count.load(Ordering::Relaxed),
            )?;
        }
        Ok(())
    }
}
