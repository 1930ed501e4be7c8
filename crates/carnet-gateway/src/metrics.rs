//! Counters for operators, in Prometheus' text form.
//!
//! Every counter that a request touches is resolved to its atomic when the process starts, except
//! the one by rule, which only denials touch.

use std::fmt;
use std::sync::atomic::AtomicU64;

use carnet_audit::Outcome;
use carnet_guard::{Confidence, Kind};
use carnet_policy::CacheCounters;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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

/// All counters of one process.
pub struct Metrics {
    registry: Registry,
    requests: Vec<(Outcome, Counter)>,
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
        let mut metrics = Self {
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

    pub(crate) fn suspended(&self, count: usize) {
        self.suspended.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A configuration was refused and the old one stays.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }

    pub(crate) fn generation(&self, number: u64) {
        self.generation
            .set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// All counters as text, with the figures of log and cache as they are now.
    pub(crate) fn text(&self, log: (u64, u64), cache: CacheCounters) -> String {
        self.log_size.set(log.0);
        self.log_pending.set(log.1);
        self.cache_hits.set(cache.hits);
        self.cache_misses.set(cache.misses);
        self.shadow_checks.set(cache.shadow_checks);
        self.shadow_mismatches.set(cache.shadow_mismatches);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}
