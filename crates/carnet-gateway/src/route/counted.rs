//! What is counted of targets, as it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::health::Health;
use crate::traffic::counter;

/// The targets in force.
#[derive(Debug)]
pub(crate) struct AllTargets(pub(crate) Vec<Arc<Health>>);

impl Collector for AllTargets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // All targets of an upstream share its budget.
        let budgets = self.0.iter();
        let budgets: BTreeMap<&str, (u64, u64)> = budgets
            .map(|health| (&*health.upstream, health.budget.counts()))
            .collect();
        let mut retries = encoder.encode_descriptor(
            "retries",
            "Further attempts that failures of an upstream caused",
            None,
            MetricType::Counter,
        )?;
        for (upstream, (taken, _)) in &budgets {
            counter(&mut retries, &[("upstream", upstream)], *taken)?;
        }
        let mut refused = encoder.encode_descriptor(
            "retries_refused",
            "Further attempts that were not made because failures of an upstream had caused too many",
            None,
            MetricType::Counter,
        )?;
        for (upstream, (_, none)) in &budgets {
            counter(&mut refused, &[("upstream", upstream)], *none)?;
        }
        let mut open = encoder.encode_descriptor(
            "target_left_out",
            "Whether a target is asked last because it failed again and again (1) or not (0)",
            None,
            MetricType::Gauge,
        )?;
        for health in &self.0 {
            let labels = [("upstream", &*health.upstream), ("model", &*health.model)];
            let now = i64::from(health.is_left_out());
            open.encode_family(&labels)?.encode_gauge(&now)?;
        }
        Ok(())
    }
}
