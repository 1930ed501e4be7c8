//! Counters for operators, in Prometheus' text form.
//!
//! Every counter that a request touches is resolved to its atomics when the process starts, or when a generation is built for
//! those by upstream and by permitting rule. Only denials, detections and limits look theirs up.
//!
//! Labels have few values: words of the program, and names that the configuration, its rules and its limits give.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carnet_audit::Outcome;
use carnet_guard::{Confidence, Kind};
use carnet_policy::CacheCounters;
use carnet_provenance::{Confidence as FactConfidence, Resolution};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::cache::{CacheUse, Standing};
use crate::histogram::Durations;
use crate::permits::{AllPermits, Permits};
use crate::route::{AllTargets, Health};
use crate::traffic::{AllTraffic, Traffic};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: OutcomeLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OutcomeLabel(Outcome);

impl EncodeLabelValue for OutcomeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLimit {
    limit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLimitAndCurrency {
    limit: String,
    currency: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRule {
    rule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDetection {
    kind: &'static str,
    confidence: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDecision {
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOrigin {
    decision: &'static str,
    confidence: &'static str,
    weights: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCurrency {
    currency: String,
}

/// A part of a request's life whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From its head to its body, read.
    Read,
    /// Looking for personal data and secrets, and finding what the request goes on from.
    Detect,
    /// From there to the decision.
    Decide,
    /// From the decision to the start of the attempt: obligations, translation, limits, the intent in the journal.
    Prepare,
    /// From there to the head of the upstream's answer.
    Upstream,
    /// From there to the first piece that goes to the caller.
    FirstPiece,
    /// The whole request, to the last byte of its answer.
    Total,
}

impl Stage {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Read, "read"),
        (Self::Detect, "detect"),
        (Self::Decide, "decide"),
        (Self::Prepare, "prepare"),
        (Self::Upstream, "upstream"),
        (Self::FirstPiece, "first-piece"),
        (Self::Total, "total"),
    ];
}

/// How much is known of where a target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    confidence: FactConfidence,
    complete: bool,
}

impl Origin {
    pub(crate) fn of(resolution: &Resolution) -> Self {
        Self {
            confidence: resolution.confidence,
            complete: resolution.weights_complete,
        }
    }

    /// All there are, in the order of their places.
    fn all() -> impl Iterator<Item = Self> {
        let words = FactConfidence::ALL.iter();
        words.flat_map(|(_, confidence)| {
            [false, true].map(|complete| Self {
                confidence: *confidence,
                complete,
            })
        })
    }

    fn place(self) -> usize {
        self.confidence as usize * 2 + usize::from(self.complete)
    }

    fn labels(self, decision: &'static str) -> ByOrigin {
        ByOrigin {
            decision,
            confidence: self.confidence.as_str(),
            weights: if self.complete {
                "complete"
            } else {
                "incomplete"
            },
        }
    }
}

/// Counters by the origin of the target that was decided on.
struct Origins {
    permitted: Vec<Counter>,
    denied: Vec<Counter>,
}

impl Origins {
    fn new(family: &Family<ByOrigin, Counter>) -> Self {
        let all = |decision| {
            Origin::all()
                .map(|origin| family.get_or_create_owned(&origin.labels(decision)))
                .collect()
        };
        Self {
            permitted: all("permit"),
            denied: all("deny"),
        }
    }
}

/// Counters of the answers that are given again.
struct Cached {
    bypassed: Counter,
    hits: Counter,
    misses: Counter,
    shared: Counter,
    bytes: Gauge<u64, AtomicU64>,
    entries: Gauge<u64, AtomicU64>,
    evicted: Counter,
    waiting: Gauge<u64, AtomicU64>,
}

impl Cached {
    fn new(registry: &mut Registry) -> Self {
        let requests: Family<ByResult, Counter> = Family::default();
        let of = |result| requests.get_or_create_owned(&ByResult { result });
        let cached = Self {
            bypassed: of("bypass"),
            hits: of("hit"),
            misses: of("miss"),
            shared: of("shared"),
            bytes: Gauge::default(),
            entries: Gauge::default(),
            evicted: Counter::default(),
            waiting: Gauge::default(),
        };
        registry.register(
            "cache_requests",
            "Answered requests for which there is a cache of answers, by what it had for them",
            requests,
        );
        registry.register(
            "cache_bytes",
            "Memory of the cache of answers, those on their way among them",
            cached.bytes.clone(),
        );
        registry.register(
            "cache_entries",
            "Answers in the cache",
            cached.entries.clone(),
        );
        registry.register(
            "cache_evictions",
            "Answers that went out of the cache before their time, to make room",
            cached.evicted.clone(),
        );
        registry.register(
            "cache_waiting",
            "Requests that wait for the answer to an equal one",
            cached.waiting.clone(),
        );
        cached
    }

    fn set(&self, standing: Standing) {
        self.bytes.set(standing.bytes as u64);
        self.entries.set(standing.entries as u64);
        self.waiting.set(standing.waiting as u64);
        // It only grows, too.
        self.evicted
            .inner()
            .store(standing.evicted, Ordering::Relaxed);
    }
}

/// What is known only when the counters are asked for.
pub(crate) struct Now {
    /// Entries of the log, and those of them that no checkpoint covers.
    pub(crate) log: (u64, u64),
    /// Of the decision cache.
    pub(crate) decisions: CacheCounters,
    /// Of the answers that are given again.
    pub(crate) answers: Standing,
    /// Whether requests are taken.
    pub(crate) ready: bool,
    /// Of the upstreams in force.
    pub(crate) traffic: Vec<Arc<Traffic>>,
    /// Of the targets in force.
    pub(crate) targets: Vec<Arc<Health>>,
    /// Of the rules in force.
    pub(crate) permits: Arc<Permits>,
}

/// All counters of one process.
pub struct Metrics {
    registry: Registry,
    requests: Vec<(Outcome, Counter)>,
    /// In the order of their declaration.
    stages: [Durations; Stage::ALL.len()],
    origins: Origins,
    spend: Family<ByCurrency, Counter<f64, AtomicU64>>,
    ready: Gauge,
    /// Permits that a pack in report mode would have denied.
    pub(crate) report_denials: Counter,
    access_lines_lost: Counter,
    /// Ended requests of which telemetry knows nothing.
    pub(crate) telemetry_lost: Counter,
    /// Spans that the collector took.
    pub(crate) spans_sent: Counter,
    /// Spans that it did not take, or that there was no room for.
    pub(crate) spans_lost: Counter,
    rules: Family<ByRule, Counter>,
    limited: Family<ByLimit, Counter>,
    /// Requests that were looked through for personal data and secrets.
    pub(crate) scans: Counter,
    detections: Family<ByDetection, Counter>,
    limit_tokens: Family<ByLimit, Counter>,
    limit_money: Family<ByLimitAndCurrency, Counter<f64, AtomicU64>>,
    /// Tokens of prompts, as upstreams counted them.
    pub(crate) tokens_in: Counter,
    /// Tokens of answers.
    pub(crate) tokens_out: Counter,
    /// Decisions that permit.
    pub(crate) permits: Counter,
    /// Decisions that deny.
    pub(crate) denials: Counter,
    /// Requests without valid credentials.
    pub(crate) strangers: Counter,
    /// Requests for a Host that is not served.
    pub(crate) misdirected: Counter,
    /// Answers that named another model than was decided on.
    pub(crate) mismatches: Counter,
    /// Conversations written down.
    pub(crate) conversations_kept: Counter,
    /// Conversations that were to be kept and are not.
    pub(crate) conversations_unkept: Counter,
    suspended: Gauge,
    /// Leaves handed to the log.
    pub(crate) records: Counter,
    /// Requests now running.
    pub(crate) open: Gauge,
    generation: Gauge,
    log_size: Gauge<u64, AtomicU64>,
    log_pending: Gauge<u64, AtomicU64>,
    answers_cached: Cached,
    cache_hits: Gauge<u64, AtomicU64>,
    cache_misses: Gauge<u64, AtomicU64>,
    shadow_checks: Gauge<u64, AtomicU64>,
    shadow_mismatches: Gauge<u64, AtomicU64>,
    reload_failures: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("carnet");
        let requests: Family<ByOutcome, Counter> = Family::default();
        let decisions: Family<ByDecision, Counter> = Family::default();
        let rules: Family<ByRule, Counter> = Family::default();
        registry.register(
            "requests",
            "Requests of authenticated callers, by outcome",
            requests.clone(),
        );
        registry.register(
            "decisions",
            "Decisions made, by decision",
            decisions.clone(),
        );
        registry.register(
            "denials_by_rule",
            "Denials, by the rule that counted",
            rules.clone(),
        );
        let limited: Family<ByLimit, Counter> = Family::default();
        registry.register(
            "limited",
            "Requests refused because a limit was used up, by the limit",
            limited.clone(),
        );
        let limit_tokens: Family<ByLimit, Counter> = Family::default();
        registry.register(
            "limit_tokens",
            "Tokens counted by limits of tokens, estimated ones among them, by the limit",
            limit_tokens.clone(),
        );
        let limit_money: Family<ByLimitAndCurrency, Counter<f64, AtomicU64>> = Family::default();
        registry.register(
            "limit_money",
            "Money counted by limits of money, in units of their currency",
            limit_money.clone(),
        );
        let tokens: Family<ByKind, Counter> = Family::default();
        registry.register(
            "tokens",
            "Tokens that upstreams counted, of prompts (input) and answers (output)",
            tokens.clone(),
        );
        let detections: Family<ByDetection, Counter> = Family::default();
        registry.register(
            "detections",
            "What looks like personal data or a secret in requests, by kind and by how sure that is",
            detections.clone(),
        );
        let stages: Family<ByStage, Durations> = Family::default();
        registry.register(
            "stage_duration_seconds",
            "Time that a stage of a request took",
            stages.clone(),
        );
        let origins: Family<ByOrigin, Counter> = Family::default();
        registry.register(
            "targets_decided",
            "Decisions, by how surely it is known where their target comes from, and whether its line is known as a whole",
            origins.clone(),
        );
        let spend: Family<ByCurrency, Counter<f64, AtomicU64>> = Family::default();
        registry.register(
            "spend",
            "What requests cost that came under a limit of tokens or money and whose price is known, in units of the currency",
            spend.clone(),
        );
        let spans: Family<ByResult, Counter> = Family::default();
        registry.register(
            "telemetry_spans",
            "Spans of sampled traces, by whether the collector took them",
            spans.clone(),
        );
        registry.register(
            "build",
            "The program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let answers_cached = Cached::new(&mut registry);
        let mut metrics = Self {
            answers_cached,
            stages: Stage::ALL.map(|(_, stage)| stages.get_or_create_owned(&ByStage { stage })),
            origins: Origins::new(&origins),
            spend,
            ready: Gauge::default(),
            report_denials: Counter::default(),
            access_lines_lost: Counter::default(),
            telemetry_lost: Counter::default(),
            spans_sent: spans.get_or_create_owned(&ByResult { result: "sent" }),
            spans_lost: spans.get_or_create_owned(&ByResult { result: "lost" }),
            scans: Counter::default(),
            detections,
            tokens_in: tokens.get_or_create_owned(&ByKind { kind: "input" }),
            tokens_out: tokens.get_or_create_owned(&ByKind { kind: "output" }),
            requests: Outcome::ALL
                .iter()
                .map(|outcome| {
                    (
                        *outcome,
                        requests.get_or_create_owned(&ByOutcome {
                            outcome: OutcomeLabel(*outcome),
                        }),
                    )
                })
                .collect(),
            permits: decisions
                .get_or_create_owned(&ByDecision { decision: "permit" })
                .clone(),
            denials: decisions
                .get_or_create_owned(&ByDecision { decision: "deny" })
                .clone(),
            rules,
            limited,
            limit_tokens,
            limit_money,
            strangers: Counter::default(),
            misdirected: Counter::default(),
            mismatches: Counter::default(),
            conversations_kept: Counter::default(),
            conversations_unkept: Counter::default(),
            suspended: Gauge::default(),
            records: Counter::default(),
            open: Gauge::default(),
            generation: Gauge::default(),
            log_size: Gauge::default(),
            log_pending: Gauge::default(),
            cache_hits: Gauge::default(),
            cache_misses: Gauge::default(),
            shadow_checks: Gauge::default(),
            shadow_mismatches: Gauge::default(),
            reload_failures: Counter::default(),
            registry,
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "strangers_refused",
            "Requests without valid credentials",
            self.strangers.clone(),
        );
        registry.register(
            "hosts_refused",
            "Requests for a Host that the data listener does not serve",
            self.misdirected.clone(),
        );
        registry.register(
            "scans",
            "Requests that were looked through for personal data and secrets",
            self.scans.clone(),
        );
        registry.register(
            "model_mismatches",
            "Answers that named another model than was decided on",
            self.mismatches.clone(),
        );
        registry.register(
            "targets_suspended",
            "Targets out of service since another model answered there",
            self.suspended.clone(),
        );
        registry.register(
            "conversations_kept",
            "Conversations written down for later requests",
            self.conversations_kept.clone(),
        );
        registry.register(
            "conversations_not_kept",
            "Conversations that were to be kept and are not, for lack of room or an error",
            self.conversations_unkept.clone(),
        );
        registry.register(
            "ready",
            "Whether requests are taken (1) or not (0)",
            self.ready.clone(),
        );
        registry.register(
            "report_denials",
            "Permits that a pack in report mode would have denied",
            self.report_denials.clone(),
        );
        registry.register(
            "access_log_lines_lost",
            "Lines of the access log that could not be written, or that there was no room for",
            self.access_lines_lost.clone(),
        );
        registry.register(
            "telemetry_requests_lost",
            "Requests of which telemetry was not told, for lack of room",
            self.telemetry_lost.clone(),
        );
        registry.register("records", "Records handed to the log", self.records.clone());
        registry.register("open_requests", "Requests now running", self.open.clone());
        registry.register(
            "generation",
            "Number of the configuration in force",
            self.generation.clone(),
        );
        registry.register(
            "reload_failures",
            "Configurations that were refused",
            self.reload_failures.clone(),
        );
        registry.register("log_entries", "Entries in the log", self.log_size.clone());
        registry.register(
            "log_entries_unsigned",
            "Entries not yet under a signed checkpoint",
            self.log_pending.clone(),
        );
        registry.register(
            "decision_cache_hits",
            "Decisions taken from the cache, this generation",
            self.cache_hits.clone(),
        );
        registry.register(
            "decision_cache_misses",
            "Decisions evaluated in full, this generation",
            self.cache_misses.clone(),
        );
        registry.register(
            "decision_shadow_checks",
            "Cached decisions evaluated again to compare",
            self.shadow_checks.clone(),
        );
        registry.register(
            "decision_shadow_mismatches",
            "Cached decisions that a full evaluation did not confirm; must stay 0",
            self.shadow_mismatches.clone(),
        );
    }

    /// Count a request that has ended.
    pub(crate) fn ended(&self, outcome: Outcome) {
        if let Some((_, counter)) = self.requests.iter().find(|(known, _)| *known == outcome) {
            counter.inc();
        }
    }

    /// A stage took so long.
    pub(crate) fn took(&self, stage: Stage, duration: Duration) {
        // INVARIANT: there is a histogram for each, in the order of their declaration.
        if let Some(durations) = self.stages.get(stage as usize) {
            durations.observe(duration);
        }
    }

    /// Count a decision by what is known of its target.
    pub(crate) fn decided(&self, origin: Origin, permitted: bool) {
        let counters = if permitted {
            &self.origins.permitted
        } else {
            &self.origins.denied
        };
        if let Some(counter) = counters.get(origin.place()) {
            counter.inc();
        }
    }

    /// Count what a request cost, in units of its currency.
    pub(crate) fn spent(&self, currency: &str, units: f64) {
        let currency = currency.to_owned();
        self.spend
            .get_or_create(&ByCurrency { currency })
            .inc_by(units);
    }

    /// Count a rule that denied.
    pub(crate) fn denied_by(&self, rule: &str) {
        self.rules
            .get_or_create(&ByRule {
                rule: rule.to_owned(),
            })
            .inc();
    }

    /// Count what was found in a request.
    pub(crate) fn detected(&self, kind: Kind, confidence: Confidence, count: u32) {
        let (kind, confidence) = (kind.as_str(), confidence.as_str());
        let by = ByDetection { kind, confidence };
        self.detections.get_or_create(&by).inc_by(count.into());
    }

    /// Count a request that a limit stopped.
    pub(crate) fn limited(&self, limit: &str) {
        let limit = limit.to_owned();
        self.limited.get_or_create(&ByLimit { limit }).inc();
    }

    /// Count what a limit of tokens counted for a request.
    pub(crate) fn limit_tokens(&self, limit: &str, tokens: u64) {
        let limit = limit.to_owned();
        self.limit_tokens
            .get_or_create(&ByLimit { limit })
            .inc_by(tokens);
    }

    /// Count what a limit of money counted for a request, in billionths of a unit of its currency.
    pub(crate) fn limit_money(&self, limit: &str, currency: &str, billionths: u64) {
        let labels = ByLimitAndCurrency {
            limit: limit.to_owned(),
            currency: currency.to_owned(),
        };
        // Only to be looked at: what counts is exact, in the ledger and in the records.
        let units = billionths as f64 / 1e9;
        self.limit_money.get_or_create(&labels).inc_by(units);
    }

    /// An answer goes out with which the cache of answers had this to do.
    pub(crate) fn cached(&self, part: &CacheUse) {
        let cached = &self.answers_cached;
        let counter = match part {
            CacheUse::Bypass => &cached.bypassed,
            CacheUse::Hit { shared: false, .. } => &cached.hits,
            CacheUse::Hit { shared: true, .. } => &cached.shared,
            CacheUse::Miss(_) => &cached.misses,
            CacheUse::Off => return,
        };
        counter.inc();
    }

    pub(crate) fn suspended(&self, count: usize) {
        self.suspended.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Lines of the access log are lost.
    pub fn access_lines_lost(&self, lines: u64) {
        self.access_lines_lost.inc_by(lines);
    }

    /// A configuration was refused and the old one stays.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }

    pub(crate) fn generation(&self, number: u64) {
        self.generation
            .set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// All counters as text, with the figures of what changes beside them.
    pub(crate) fn text(&self, now: Now) -> String {
        self.log_size.set(now.log.0);
        self.log_pending.set(now.log.1);
        self.answers_cached.set(now.answers);
        self.cache_hits.set(now.decisions.hits);
        self.cache_misses.set(now.decisions.misses);
        self.shadow_checks.set(now.decisions.shadow_checks);
        self.shadow_mismatches.set(now.decisions.shadow_mismatches);
        self.ready.set(now.ready.into());
        let mut of_generation = Registry::with_prefix("carnet");
        of_generation.register_collector(Box::new(AllTraffic(now.traffic)));
        of_generation.register_collector(Box::new(AllTargets(now.targets)));
        of_generation.register_collector(Box::new(AllPermits(now.permits)));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_registry(&mut text, &of_generation);
        let _ = encode_eof(&mut text);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_the_place_that_its_word_says() {
        for (index, (stage, _)) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index);
        }
        for (index, origin) in Origin::all().enumerate() {
            assert_eq!(origin.place(), index);
        }
        let metrics = Metrics::default();
        for origin in Origin::all() {
            metrics.decided(origin, true);
            metrics.decided(origin, false);
        }
        let counters = metrics.origins.permitted.iter();
        let mut counters = counters.chain(&metrics.origins.denied);
        assert!(counters.all(|counter| counter.get() == 1));
    }
}
