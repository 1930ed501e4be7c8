//! What became of the attempts at one upstream. Counters lie with the upstream itself, found when the generation is built; those
//! of an upstream that the configuration no longer names are gone with it.

use std::array::from_fn;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use carnet_audit::{Outcome, Tokens};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::histogram::Durations;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A whole answer came.
    Answered,
    /// An answer began and broke off, or fell silent.
    Broken,
    /// An answer with a status from 400 that is not one of the others.
    ClientError,
    /// It was not awaited: its caller hung up, its key was revoked, or the server ended.
    GivenUp,
    /// Nothing came that could be used: no connection, no answer in time, a redirect.
    NoAnswer,
    /// An answer with the status 429.
    RateLimited,
    /// An answer with a status from 500.
    ServerError,
}

impl Fate {
    const ALL: [Self; 7] = [
        Self::Answered,
        Self::Broken,
        Self::ClientError,
        Self::GivenUp,
        Self::NoAnswer,
        Self::RateLimited,
        Self::ServerError,
    ];

    /// Of an attempt that was answered with a status, if with any, and ended so.
    pub(crate) fn of(status: Option<u16>, outcome: Outcome) -> Self {
        let given_up = matches!(
            outcome,
            Outcome::ClientGone | Outcome::Cut | Outcome::Interrupted | Outcome::Revoked
        );
        match status {
            Some(429) => Self::RateLimited,
            Some(500..) => Self::ServerError,
            Some(400..) => Self::ClientError,
            _ if given_up => Self::GivenUp,
            Some(_) if matches!(outcome, Outcome::Timeout | Outcome::UpstreamError) => Self::Broken,
            Some(_) => Self::Answered,
            None => Self::NoAnswer,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Broken => "broken",
            Self::ClientError => "client-error",
            Self::GivenUp => "given-up",
            Self::NoAnswer => "no-answer",
            Self::RateLimited => "rate-limited",
            Self::ServerError => "server-error",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Traffic {
    upstream: Arc<str>,
    running: AtomicI64,
    fates: [AtomicU64; Fate::ALL.len()],
    /// Times until the response head.
    heads: Durations,
    tokens_in: AtomicU64,
    tokens_out: AtomicU64,
}

impl Traffic {
    pub(crate) fn new(upstream: Arc<str>) -> Self {
        Self {
            upstream,
            running: AtomicI64::new(0),
            fates: from_fn(|_| AtomicU64::new(0)),
            heads: Durations::default(),
            tokens_in: AtomicU64::new(0),
            tokens_out: AtomicU64::new(0),
        }
    }

    /// An attempt begins.
    pub(crate) fn began(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// One has ended.
    pub(crate) fn ended(&self, fate: Fate) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        // INVARIANT: there is a counter for each, in the order of their declaration.
        if let Some(count) = self.fates.get(fate as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Times until the response head.
    pub(crate) fn heads(&self) -> &Durations {
        &self.heads
    }

    /// The upstream has counted these tokens.
    pub(crate) fn used(&self, tokens: &Tokens) {
        self.tokens_in.fetch_add(tokens.input, Ordering::Relaxed);
        self.tokens_out.fetch_add(tokens.output, Ordering::Relaxed);
    }
}

/// The counters of all upstreams, as they are told.
#[derive(Debug)]
pub(crate) struct AllTraffic(pub(crate) Vec<Arc<Traffic>>);

impl Collector for AllTraffic {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = encoder.encode_descriptor(
            "upstream_requests",
            "Attempts to send a request to an upstream, by how they ended",
            None,
            MetricType::Counter,
        )?;
        for traffic in &self.0 {
            for (fate, count) in Fate::ALL.iter().zip(&traffic.fates) {
                let labels = [("upstream", &*traffic.upstream), ("result", fate.as_str())];
                counter(&mut requests, &labels, count.load(Ordering::Relaxed))?;
            }
        }
        let mut running = encoder.encode_descriptor(
            "upstream_open_requests",
            "Attempts now running",
            None,
            MetricType::Gauge,
        )?;
        for traffic in &self.0 {
            let labels = [("upstream", &*traffic.upstream)];
            let now = traffic.running.load(Ordering::Relaxed);
            running.encode_family(&labels)?.encode_gauge(&now)?;
        }
        let mut heads = encoder.encode_descriptor(
            "upstream_response_seconds",
            "Time from the start of an attempt to the head of its answer",
            None,
            MetricType::Histogram,
        )?;
        for traffic in &self.0 {
            let labels = [("upstream", &*traffic.upstream)];
            traffic.heads.encode(heads.encode_family(&labels)?)?;
        }
        let mut tokens = encoder.encode_descriptor(
            "upstream_tokens",
            "Tokens that an upstream counted, of prompts (input) and answers (output)",
            None,
            MetricType::Counter,
        )?;
        for traffic in &self.0 {
            for (kind, count) in [
                ("input", &traffic.tokens_in),
                ("output", &traffic.tokens_out),
            ] {
                let labels = [("upstream", &*traffic.upstream), ("kind", kind)];
                counter(&mut tokens, &labels, count.load(Ordering::Relaxed))?;
            }
        }
        Ok(())
    }
}

/// Tell one counter of several with the same name.
pub(crate) fn counter(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str)],
    count: u64,
) -> fmt::Result {
    let mut one = encoder.encode_family(&labels)?;
    one.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_an_attempt_is_told_by_its_status_and_its_end() {
        for (status, outcome, fate) in [
            (Some(200), Outcome::Completed, Fate::Answered),
            (Some(200), Outcome::Mismatch, Fate::Answered),
            (Some(200), Outcome::UpstreamError, Fate::Broken),
            (Some(200), Outcome::Timeout, Fate::Broken),
            (Some(200), Outcome::ClientGone, Fate::GivenUp),
            (Some(429), Outcome::Completed, Fate::RateLimited),
            (Some(404), Outcome::Completed, Fate::ClientError),
            (Some(503), Outcome::ClientGone, Fate::ServerError),
            (None, Outcome::UpstreamError, Fate::NoAnswer),
            (None, Outcome::Timeout, Fate::NoAnswer),
            (None, Outcome::Revoked, Fate::GivenUp),
        ] {
            assert_eq!(Fate::of(status, outcome), fate, "{status:?} {outcome:?}");
        }
        for (index, fate) in Fate::ALL.into_iter().enumerate() {
            assert_eq!(fate as usize, index);
        }
    }
}
