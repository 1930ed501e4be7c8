//! A histogram of durations with fixed buckets, made of atomics alone: to observe one neither allocates nor waits.

use std::array::from_fn;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds of the buckets, in microseconds: from a decision that is remembered to a model that thinks for minutes. The
/// same for all, so that stages can be laid over each other.
const BOUNDS_US: [u64; 18] = [
    25,
    100,
    500,
    2_500,
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// See the module. Clones count into the same buckets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// How many fell into each bucket alone; the last has no bound.
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            buckets: from_fn(|_| AtomicU64::new(0)),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl Durations {
    /// Count a duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.0.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.0.sum_us.fetch_add(us, Ordering::Relaxed);
        }
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        // What is counted meanwhile shows in the buckets or at the next look; their sum is the count.
        let counts: [u64; BUCKETS] = from_fn(|index| {
            let bucket = self.0.buckets.get(index);
            bucket.map_or(0, |count| count.load(Ordering::Relaxed))
        });
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6);
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let sum = self.0.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_that_bounds_them() {
        let durations = Durations::default();
        for us in [0, 25, 26, 100_000, 700_000_000] {
            durations.observe(Duration::from_micros(us));
        }
        let mut registry = Registry::default();
        registry.register("d_seconds", "D", durations);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE d_seconds histogram",
            "d_seconds_bucket{le=\"0.000025\"} 2",
            "d_seconds_bucket{le=\"0.0001\"} 3",
            "d_seconds_bucket{le=\"0.05\"} 3",
            "d_seconds_bucket{le=\"0.1\"} 4",
            "d_seconds_bucket{le=\"600.0\"} 4",
            "d_seconds_bucket{le=\"+Inf\"} 5",
            "d_seconds_count 5",
            "d_seconds_sum 700.100051",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn to_observe_allocates_nothing() {
        let durations = Durations::default();
        let cost = allocation_counter::measure(|| {
            for us in 0..1_000 {
                durations.observe(Duration::from_micros(us * us));
            }
        });
        assert_eq!(cost.count_total, 0);
    }
}
