//! What requests took and used, as histograms for the collector: the client metrics of
//! <https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md>, with its buckets.
//!
//! Labels are names of the configuration; what is beyond the bound of series is told as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::protobuf::Message;
use super::spans::{self, Attributes};
use crate::ended::Ended;
use crate::limits::TELEMETRY_SERIES_MAX;

const CUMULATIVE: u64 = 2;
const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What a series is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    /// All that there was no room for.
    overflow: bool,
    operation: &'static str,
    provider: String,
    model: Arc<str>,
    origin: Arc<str>,
    error: Option<String>,
    token: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct Histogram {
    counts: [u64; SECONDS.len() + 1],
    sum: f64,
}

/// All series of one measure.
#[derive(Debug)]
struct Measure {
    name: &'static str,
    description: &'static str,
    unit: &'static str,
    bounds: &'static [f64],
    series: BTreeMap<Series, Histogram>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Measures {
    since: Timestamp,
    durations: Measure,
    first_chunks: Measure,
    tokens: Measure,
}

impl Measure {
    fn add(&mut self, series: Series, value: f64) {
        let full = self.series.len() >= TELEMETRY_SERIES_MAX;
        let series = if full && !self.series.contains_key(&series) {
            Series {
                overflow: true,
                ..Series::default()
            }
        } else {
            series
        };
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let histogram = self.series.entry(series).or_default();
        histogram.sum += value;
        if let Some(count) = histogram.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    fn message(&self, since: u64, now: u64) -> Message {
        let mut histogram = Message::default();
        for (series, values) in &self.series {
            let mut point = Message::default();
            point.fixed64(2, since);
            point.fixed64(3, now);
            point.fixed64(4, values.counts.iter().sum());
            point.double(5, values.sum);
            point.packed(6, values.counts.iter().copied());
            point.packed(7, self.bounds.iter().map(|bound| bound.to_bits()));
            point.append(series.attributes().message());
            histogram.message(1, &point);
        }
        histogram.number(2, CUMULATIVE);
        let mut metric = Message::default();
        metric.text(1, self.name);
        metric.text(2, self.description);
        metric.text(3, self.unit);
        metric.message(9, &histogram);
        metric
    }
}

impl Series {
    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::of(9);
        if self.overflow {
            attributes.flag("otel.metric.overflow", true);
            return attributes;
        }
        attributes.text("gen_ai.operation.name", self.operation);
        attributes.text("gen_ai.provider.name", &self.provider);
        attributes.text("gen_ai.request.model", &self.model);
        attributes.maybe("gen_ai.token.type", self.token);
        attributes.maybe("error.type", self.error.as_deref());
        if let Some((address, port)) = spans::server(&self.origin) {
            attributes.text("server.address", &address);
            if let Some(port) = port {
                attributes.number("server.port", port.into());
            }
        }
        attributes
    }
}

impl Measures {
    /// Nothing yet, since this instant.
    pub(super) fn new(since: Timestamp) -> Self {
        let measure = |name, description, unit, bounds| Measure {
            name,
            description,
            unit,
            bounds,
            series: BTreeMap::new(),
        };
        Self {
            since,
            durations: measure(
                "gen_ai.client.operation.duration",
                "GenAI operation duration.",
                "s",
                &SECONDS,
            ),
            first_chunks: measure(
                "gen_ai.client.operation.time_to_first_chunk",
                "Time to receive the first chunk, measured from when the request is issued.",
                "s",
                &SECONDS,
            ),
            tokens: measure(
                "gen_ai.client.token.usage",
                "Number of input and output tokens used.",
                "{token}",
                &TOKENS,
            ),
        }
    }

    /// Take in what a request took and used, whether or not its trace is told.
    pub(super) fn add(&mut self, ended: &Ended) {
        let record = &ended.record;
        let operation = record.api.as_deref().and_then(spans::operation);
        let (Some(operation), Some(trace)) = (operation, &ended.trace) else {
            return;
        };
        for attempt in &record.attempts {
            let leg = trace.legs.iter().find(|leg| leg.number == attempt.n);
            let Some(leg) = leg else { continue };
            let series = Series {
                operation,
                provider: spans::provider(attempt, leg).to_owned(),
                model: leg.model.clone(),
                origin: attempt.origin.clone(),
                ..Series::default()
            };
            let took = spans::end_of(record, attempt).saturating_sub(attempt.started_us);
            let error = spans::attempt_error(record, attempt);
            self.durations.add(
                Series {
                    error,
                    ..series.clone()
                },
                took as f64 / 1e6,
            );
            if !spans::is_answered(record, attempt) {
                continue;
            }
            let first = ended.first_piece_us.filter(|_| record.stream);
            if let Some(first) = first {
                let waited = first.saturating_sub(attempt.started_us);
                self.first_chunks.add(series.clone(), waited as f64 / 1e6);
            }
            let Some(tokens) = record.tokens.filter(|tokens| !tokens.estimated) else {
                continue;
            };
            for (token, count) in [("input", tokens.input), ("output", tokens.output)] {
                let series = Series {
                    token: Some(token),
                    ..series.clone()
                };
                self.tokens.add(series, count as f64);
            }
        }
    }

    /// All of them until now, as fields of the message around them.
    pub(super) fn message(&self, now: Timestamp) -> Message {
        let nanos = |time: Timestamp| u64::try_from(time.as_nanosecond()).unwrap_or(0);
        let mut metrics = Message::default();
        for measure in [&self.durations, &self.first_chunks, &self.tokens] {
            if !measure.series.is_empty() {
                metrics.message(2, &measure.message(nanos(self.since), nanos(now)));
            }
        }
        metrics
    }
}
