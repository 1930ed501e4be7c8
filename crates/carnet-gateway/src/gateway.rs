//! The running gateway: the generation in force, the log, the counters, and the handles by which
//! the admin side reads and changes them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use carnet_audit::{Kind, Log, Record};
use carnet_limits::{KeyRing, Ledger};
use carnet_policy::Api;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::budget::Budget;
use crate::caller::Strangers;
use crate::conversations::{ConversationStore, Conversations};
use crate::ended::{Ended, Onlooker};
use crate::generation::{Generation, Versions};
use crate::issuers::{Administrator, NotAdmitted};
use crate::limits::{RECENT_DECISIONS_MAX, SOCKET_MEMORY_BYTES_MAX};
use crate::metrics::{Metrics, Now};
use crate::recent::{Recent, RecentDecision};
use crate::relays::Relays;
use crate::route::Chance;
use crate::service::{Service, Suspended};
use crate::socket::Sockets;
use crate::state_ids::{StateChange, StateId, StateIds};
use crate::telemetry::Telemetry;

/// Where instants come from: the process passes its clock in, tests pass theirs.
pub type Clock = fn() -> Timestamp;

/// See the module.
#[derive(Debug)]
pub struct Gateway {
    generation: ArcSwap<Generation>,
    swapped: Notify,
    chance: Chance,
    log: Log,
    clock: Clock,
    started: Timestamp,
    metrics: Metrics,
    strangers: Strangers,
    recent: Recent,
    relays: Relays,
    service: Service,
    state_ids: StateIds,
    sockets: Sockets,
    memories: Budget,
    conversations: Conversations,
    access_log: OnceLock<Box<dyn Onlooker>>,
    telemetry: OnceLock<Telemetry>,
    // Makes record ids of one process unique without asking for randomness on every request.
    ids: RecordIds,
    words: Words,
    /// Set once, when running requests are no longer waited for.
    stopping: AtomicBool,
}

/// Words for the `api` of a record.
#[derive(Debug)]
pub(crate) struct Words {
    apis: [Arc<str>; Api::ALL.len()],
    pub(crate) models: Arc<str>,
}

impl Words {
    /// The word for a kind of request.
    pub(crate) fn api(&self, api: Api) -> &Arc<str> {
        // INVARIANT: there is a word for each, in the order of their declaration.
        self.apis.get(api as usize).unwrap_or(&self.models)
    }
}

/// What the admin listener tells of the process.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// Since when it runs.
    pub started: Timestamp,
    /// Number of the generation in force.
    pub generation: u64,
    /// Since when that one is in force.
    pub loaded_at: Timestamp,
    /// Versions of configuration, policy and registry.
    pub versions: Versions,
    /// Instant at which a fact changes by its date, if one does.
    pub facts_valid_until: Option<Timestamp>,
    /// Whether requests are taken, or why not.
    pub ready: bool,
    /// Why not.
    pub not_ready: Option<String>,
    /// Entries in the log.
    pub log_entries: u64,
    /// Requests now running.
    pub open_requests: i64,
}

impl Gateway {
    /// A gateway with its first generation. `seed` makes the record ids of this process its own.
    #[must_use]
    pub fn new(generation: Generation, log: Log, clock: Clock, seed: u64) -> Self {
        let metrics = Metrics::default();
        metrics.generation(generation.number());
        Self {
            chance: Chance::new(seed),
            generation: ArcSwap::from_pointee(generation),
            swapped: Notify::new(),
            log,
            started: clock(),
            clock,
            metrics,
            strangers: Strangers::default(),
            recent: Recent::default(),
            relays: Relays::default(),
            service: Service::default(),
            state_ids: StateIds::default(),
            sockets: Sockets::default(),
            memories: Budget::new(SOCKET_MEMORY_BYTES_MAX),
            conversations: Conversations::default(),
            access_log: OnceLock::new(),
            telemetry: OnceLock::new(),
            ids: RecordIds {
                seed,
                next: AtomicU64::new(0),
            },
            words: Words {
                apis: Api::ALL.map(|api| api.as_str().into()),
                models: "models".into(),
            },
            stopping: AtomicBool::new(false),
        }
    }

    /// The generation in force.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Put a generation in force. Answers that run with keys which it no longer accepts are cut.
    pub fn swap(&self, next: Generation) {
        self.metrics.generation(next.number());
        let next = Arc::new(next);
        let previous = self.generation.swap(next.clone());
        previous.retire(&next);
        self.swapped.notify_waiters();
    }

    /// Ends when another generation has come into force since the call.
    pub(crate) fn swapped(&self) -> Notified<'_> {
        self.swapped.notified()
    }

    /// Put other keys in force.
    pub fn set_keys(&self, keys: KeyRing) {
        self.swap(self.generation().with_keys(keys, self.now()));
    }

    /// End what still runs, because the server ends: streams by an error event, the rest at once.
    pub(crate) fn cut_running(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.generation().cancel_all();
    }

    /// The targets that are out of service.
    #[must_use]
    pub fn suspended(&self) -> Vec<Suspended> {
        self.service.all()
    }

    /// Take targets out of service.
    pub fn suspend(&self, suspended: impl IntoIterator<Item = Suspended>) {
        for one in suspended {
            self.service.suspend(one);
        }
        self.metrics.suspended(self.service.len());
    }

    /// Ends when the list of targets out of service has changed.
    pub async fn suspended_changed(&self) {
        self.service.changed().await;
    }

    /// Put a target into service again, by the upstream's name and its own name for the model.
    pub fn restore(&self, upstream: &str, model: &str) -> Option<Suspended> {
        let gone = self.service.restore(upstream, model);
        self.metrics.suspended(self.service.len());
        gone
    }

    /// Take over the ids of kept responses that the last process wrote down, oldest first.
    pub fn restore_state_ids(&self, ids: impl IntoIterator<Item = StateId>) {
        self.state_ids.restore(ids);
    }

    /// What became of ids of kept responses since the last call, to be written down in this order.
    #[must_use]
    pub fn state_changes(&self) -> Vec<StateChange> {
        self.state_ids.changes()
    }

    /// Ends when something has become of one.
    pub async fn state_changed(&self) {
        self.state_ids.changed().await;
    }

    /// What has been used of limits, to be written down and given back to the next process.
    #[must_use]
    pub fn ledger(&self) -> Arc<Ledger> {
        self.generation().quotas().ledger().clone()
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Tell this one of each request that has ended; once.
    pub fn open_access_log(&self, access_log: Box<dyn Onlooker>) {
        // A second one would miss what the first was told.
        let _ = self.access_log.set(access_log);
    }

    /// Follow requests in traces, and tell this one of them; once.
    pub fn open_telemetry(&self, telemetry: Telemetry) {
        let _ = self.telemetry.set(telemetry);
    }

    pub(crate) fn telemetry(&self) -> Option<&Telemetry> {
        self.telemetry.get()
    }

    /// Whether anybody is told of requests that have ended.
    pub(crate) fn is_looked_on(&self) -> bool {
        self.access_log.get().is_some() || self.telemetry.get().is_some()
    }

    /// Tell of a request that has ended. This never waits.
    pub(crate) fn ended(&self, ended: &Arc<Ended>) {
        if let Some(access_log) = self.access_log.get()
            && !access_log.ended(ended)
        {
            self.metrics.access_lines_lost(1);
        }
        if let Some(telemetry) = self.telemetry.get()
            && !telemetry.ended(ended)
        {
            self.metrics.telemetry_lost.inc();
        }
    }

    /// Take over where conversations are kept, and the key that seals them there; once.
    pub fn open_conversations(&self, store: Arc<dyn ConversationStore>, key: [u8; 32]) {
        self.conversations.open(store, key);
    }

    /// Whether there is a place to keep conversations.
    #[must_use]
    pub fn has_conversations(&self) -> bool {
        self.conversations.is_open()
    }

    pub(crate) fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// How much all sockets remember together.
    pub(crate) fn memories(&self) -> &Budget {
        &self.memories
    }

    pub(crate) fn state_ids(&self) -> &StateIds {
        &self.state_ids
    }

    /// Numbers that need not be secret.
    pub(crate) fn chance(&self) -> &Chance {
        &self.chance
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// Whether running requests are no longer waited for.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Which administrator shows a token of one of the issuers.
    ///
    /// # Errors
    /// When it is not one that is accepted, gives no role, or cannot be checked now.
    pub async fn administrator(&self, text: &str) -> Result<Administrator, NotAdmitted> {
        let generation = self.generation();
        let issuers = generation.issuers();
        if !issuers.may_know(text) {
            return Err(NotAdmitted::Invalid(
                "this is not the admin token".to_owned(),
            ));
        }
        Ok(issuers.administrator(text, self.now()).await?)
    }

    /// The counters as Prometheus reads them.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let log = self.log.status();
        let generation = self.generation.load();
        self.metrics.text(Now {
            log: (log.size, log.pending),
            decisions: generation.decision_cache(),
            answers: generation
                .cache()
                .map(|cache| cache.standing())
                .unwrap_or_default(),
            ready: log.full.is_none(),
            traffic: generation.traffic(),
            targets: generation.targets().iter().cloned().collect(),
            permits: generation.permit_counts().clone(),
        })
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> Status {
        let generation = self.generation();
        let not_ready = self.not_ready();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            generation: generation.number(),
            loaded_at: generation.loaded_at(),
            versions: generation.versions().clone(),
            facts_valid_until: generation.valid_until(),
            ready: not_ready.is_none(),
            not_ready,
            log_entries: self.log.status().size,
            open_requests: self.metrics.open.get(),
        }
    }

    /// Decisions of the last hour, newest first, at most `max`.
    #[must_use]
    pub fn recent(&self, max: usize) -> Vec<RecentDecision> {
        self.recent.list(self.now(), max.min(RECENT_DECISIONS_MAX))
    }

    /// Why requests are not taken, if so.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let full = self.log.status().full?;
        Some(format!("the log takes no further record: {full}"))
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Put the start of the process into the log, with what it found of the last one.
    pub fn record_start(&self, interrupted: u64) {
        let number = self.generation.load().number();
        self.record_event(
            Kind::Start,
            &format!(
                "generation {number}; {interrupted} requests of the last run were interrupted"
            ),
        );
    }

    /// Put the end of the process into the log.
    pub fn record_stop(&self) {
        self.record_event(Kind::Stop, "ended in good order");
    }

    /// Put the generation in force into the log, with the reason for the change.
    pub fn record_generation(&self, why: &str) {
        let number = self.generation.load().number();
        self.record_event(
            Kind::Config,
            &format!("generation {number} in force: {why}"),
        );
    }

    /// Put something that an administrator did into the log; `detail` never holds a secret.
    pub fn record_admin(&self, detail: &str) {
        self.record_event(Kind::Admin, detail);
    }

    fn record_event(&self, kind: Kind, detail: &str) {
        let versions = self.generation.load().versions().clone();
        let mut record = Record::event(kind, self.next_id(self.now()), self.now(), detail);
        record.config_version = Some(versions.config);
        record.policy_version = Some(versions.policy);
        record.registry_version = Some(versions.registry);
        match self.log.reserve() {
            Ok(slot) => slot.leaf(record),
            Err(full) => tracing::warn!(%full, detail, "an event could not be recorded"),
        }
    }

    /// Put requests without valid credentials since the last call into the log, as one record.
    pub fn record_strangers(&self) {
        let refused = self.strangers.take();
        if refused == 0 {
            return;
        }
        match self.log.reserve() {
            Ok(slot) => slot.leaf(Record::strangers(
                self.ids.next(self.now()),
                self.now(),
                refused,
            )),
            Err(full) => {
                tracing::warn!(%full, refused, "refused credentials could not be recorded")
            }
        }
    }

    /// Now, by the clock of the process.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    pub(crate) fn relays(&self) -> &Relays {
        &self.relays
    }

    pub(crate) fn recents(&self) -> &Recent {
        &self.recent
    }

    /// Words that stand in every record, shared by all of them.
    pub(crate) fn words(&self) -> &Words {
        &self.words
    }

    pub(crate) fn next_id(&self, now: Timestamp) -> Arc<str> {
        self.ids.next(now)
    }
}

/// Ids that sort by time: milliseconds, then a number that this process gives once, mixed with its seed.
#[derive(Debug)]
struct RecordIds {
    seed: u64,
    next: AtomicU64,
}

impl RecordIds {
    fn next(&self, now: Timestamp) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // An odd multiplier maps numbers one to one, so ids of one process never meet.
        let mixed = self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        format!("rec_{millis:012x}{mixed:016x}").into()
    }
}
