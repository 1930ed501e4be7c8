//! Stage 7, record: what happened to one request, gathered as it goes and written exactly once.
//!
//! [`OpenRecord`] is made before the first stage and consumed by `finish`; a future that is dropped
//! in the middle (the caller hung up) drops it too, and then it hands its leaf over by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carnet_audit::{Attempt, Detection, Intent, Kind, Outcome, Record, Ruling, Slot, Tokens};
use carnet_guard::Detections;
use carnet_limits::{Exhausted, Measure, Reservation};
use carnet_policy::{Effect, Verdict};
use carnet_wire::dialect::Dialect;
use carnet_wire::form::Usage;
use carnet_wire::sniff::{Absence, Framing};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cache::{self, Given, Hit};
use crate::caller::Caller;
use crate::codes::Code;
use crate::config::OnRevoke;
use crate::conversations::Unkept;
use crate::egress::{Coding, Sent, Upstream};
use crate::ended::Ended;
use crate::error::{Fault, Stop};
use crate::found::Findings;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::metrics::Stage;
use crate::permits::Permits;
use crate::reported::{Check, shortened};
use crate::resolve::Offer;
use crate::route::{Asking, BreakerTerms, Unwell, Went, may_pass};
use crate::screen::{Cleared, Made};
use crate::service::Suspended;
use crate::spend::{Settled, Spending};
use crate::trace::Trace;
use crate::traffic::{Fate, Traffic};

const SET_ANSWER_MODEL: Made = Made::Borrowed("set answer.model");
const REMOVE_ANSWER_USAGE: Made = Made::Borrowed("remove answer.usage");
const MASK_ANSWER_KEY: Made = Made::Borrowed("mask answer.key");

/// What stands as error of an attempt that was dropped because another one that ran beside it was faster.
const OVERTAKEN: &str = "overtaken";

/// The record of a request that still runs.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    gateway: Arc<Gateway>,
    /// Gone once the leaf is handed over.
    slot: Option<Slot>,
    /// It goes from hand to hand, and is large.
    record: Box<Record>,
    revoked: CancellationToken,
    started: Instant,
    /// When the stage began that runs now.
    stage: Instant,
    /// How often each rule permitted.
    permits: Arc<Permits>,
    /// What became of the attempts at the upstream that was asked last.
    traffic: Option<Arc<Traffic>>,
    /// Its part in a trace, where requests are followed in them.
    trace: Option<Box<Trace>>,
    first_piece_us: Option<u64>,
    /// What was found in the request.
    found: Findings,
    /// The attempt that is told about.
    leg: Leg,
    /// One that runs beside it, and what the record says of that.
    aside: Option<Box<(Leg, Decided)>>,
    /// What attempts used that were given up.
    spent: Option<Box<Settled>>,
}

/// What belongs to one attempt alone.
#[derive(Debug, Default)]
struct Leg {
    /// Until it has failed or been answered whole.
    on_its_way: Option<OnItsWay>,
    /// What it has taken of limits. Given up with it.
    held: Option<Reservation>,
    /// What it uses, where a limit counts that.
    spending: Option<Box<Spending>>,
}

#[derive(Debug)]
struct OnItsWay {
    attempt: Attempt,
    traffic: Arc<Traffic>,
    sent: Sent,
    started: Instant,
    answered: bool,
    asking: Asking,
    model: Option<Arc<str>>,
    decision_doc: Option<Arc<str>>,
}

/// What a record says of a target and the decision on it. An attempt that is not made after all takes nothing of it away.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    ruling: Option<Ruling>,
    document: Option<Arc<str>>,
    rules: Vec<Arc<str>>,
    model: Option<Arc<str>>,
    host: Option<Arc<str>>,
    upstream: Option<Arc<str>>,
    edits: Vec<Made>,
    losses: Vec<Arc<str>>,
    translated_to: Option<Arc<str>>,
}

impl OpenRecord {
    /// Reserve room in the log, or refuse the request.
    pub(crate) fn open(
        gateway: &Arc<Gateway>,
        generation: &Generation,
        caller: &Caller,
    ) -> Result<Box<Self>, Fault> {
        let slot = gateway.log().reserve().map_err(|full| {
            tracing::error!(%full, "a request was refused because the log cannot take its record");
            log_unavailable()
        })?;
        gateway.metrics().open.inc();
        let now = gateway.now();
        let mut record = Box::new(Record::new(
            Kind::Request,
            gateway.next_id(now),
            now,
            Outcome::Interrupted,
        ));
        record.workload = Some(caller.key.workload.clone());
        record.key_id = Some(caller.key.id.shared().clone());
        under(&mut record, generation);
        let started = Instant::now();
        Ok(Box::new(Self {
            gateway: gateway.clone(),
            slot: Some(slot),
            record,
            revoked: caller.revoked.clone(),
            started,
            stage: started,
            permits: generation.permit_counts().clone(),
            traffic: None,
            trace: None,
            first_piece_us: None,
            found: Findings::default(),
            leg: Leg::default(),
            aside: None,
            spent: None,
        }))
    }

    /// What its head says of the trace that it is in.
    pub(crate) fn traced(&mut self, place: (&Method, &str), headers: &HeaderMap) {
        if let Some(telemetry) = self.gateway.telemetry() {
            self.trace = Some(Box::new(telemetry.begin(place, headers)));
        }
    }

    /// The id that the caller is told.
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    /// The gateway that it belongs to.
    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Cancelled when the caller's key is revoked, or when the server waits no longer.
    pub(crate) fn revoked(&self) -> &CancellationToken {
        &self.revoked
    }

    /// Why the request must end now that its token is cancelled; `None` when it may run on.
    pub(crate) fn interruption(&self, on_revoke: OnRevoke) -> Option<Fault> {
        if self.gateway.is_stopping() {
            let message = "the server is stopping and waits no longer for this answer";
            return Some(Fault::new(Code::ServerStopping, message));
        }
        let message = "the key of this request was revoked";
        (on_revoke == OnRevoke::Cut).then(|| Fault::new(Code::Revoked, message))
    }

    /// The id as a header.
    pub(crate) fn id_header(&self) -> HeaderValue {
        // Ids are hexadecimal digits and an underscore.
        HeaderValue::from_str(&self.record.id).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// The decision as a header; `permit` also for what no rule has to decide.
    pub(crate) fn decision_header(&self) -> HeaderValue {
        HeaderValue::from_static(match self.record.decision {
            Some(Ruling::Deny) => "deny",
            Some(Ruling::ReportDeny) => "report-deny",
            Some(Ruling::Permit) | None => "permit",
        })
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.record.bytes_in = bytes as u64;
    }

    /// A stage is over, and the next begins.
    fn over(&mut self, stage: Stage) {
        let now = Instant::now();
        let took = now.duration_since(self.stage);
        self.stage = now;
        self.gateway.metrics().took(stage, took);
    }

    /// The texts of the request were looked through, and this was found.
    pub(crate) fn looked_through(&mut self, found: &Detections) {
        self.over(Stage::Detect);
        let metrics = self.gateway.metrics();
        metrics.scans.inc();
        self.found = found.into();
        let found = found.iter().map(|(kind, confidence, count)| {
            metrics.detected(kind, confidence, count);
            Detection {
                kind: kind.as_str().into(),
                confidence: confidence.as_str().into(),
                count,
            }
        });
        self.record.detections = found.collect();
    }

    /// What was found in the request, for rules.
    pub(crate) fn found(&self) -> Findings {
        self.found
    }

    /// The caller asked for a model.
    pub(crate) fn asked(&mut self, api: &Arc<str>, model: Arc<str>, stream: bool) {
        self.over(Stage::Read);
        self.record.api = Some(api.clone());
        self.record.requested_model = Some(model);
        self.record.stream = stream;
    }

    /// What the caller asked for, where it was not an answer of a model.
    pub(crate) fn detail(&mut self, what: &'static str) {
        self.record.detail = Some(what.into());
    }

    /// What else is to be known of it.
    fn note(&mut self, what: &str) {
        self.record.detail = Some(match &self.record.detail {
            None => what.into(),
            Some(before) => format!("{before}; {what}").into(),
        });
    }

    /// The answer is not kept, though it was to be.
    pub(crate) fn unkept(&mut self, why: Unkept) {
        self.gateway.metrics().conversations_unkept.inc();
        let why = why.as_str();
        tracing::warn!(record = %self.record.id, "an answer is {why}");
        self.note(why);
    }

    /// The caller asked for something else than an answer of a model.
    pub(crate) fn listed(&mut self, api: &Arc<str>) {
        self.record.api = Some(api.clone());
    }

    pub(crate) fn permitted(&mut self, verdict: &Arc<Verdict>, offer: &Offer) {
        let ruling = if verdict.report_deny().is_empty() {
            Ruling::Permit
        } else {
            Ruling::ReportDeny
        };
        self.decided(ruling, verdict);
        self.record.resolved_model = offer.model.clone();
        self.record.host = offer.host.clone();
        self.record.upstream = Some(offer.upstream.config().name.clone());
        if let Some(trace) = &mut self.trace {
            trace.to(offer.expected.asked().clone(), offer.host.clone());
        }
        self.permits.count(verdict.reasons());
        let metrics = self.gateway.metrics();
        metrics.permits.inc();
        metrics.decided(offer.origin, true);
        if ruling == Ruling::ReportDeny {
            metrics.report_denials.inc();
        }
    }

    /// Keep what a denial rests on.
    pub(crate) fn denied(&mut self, stop: &Stop) {
        let Stop::Denied(denied) = stop else { return };
        let verdict = denied.denial.verdict();
        self.decided(Ruling::Deny, verdict);
        self.record.resolved_model = denied.model.clone();
        self.record.host = denied.host.clone();
        let metrics = self.gateway.metrics();
        metrics.denials.inc();
        metrics.decided(denied.origin, false);
        for reason in verdict.reasons() {
            metrics.denied_by(&reason.rule);
        }
    }

    fn decided(&mut self, ruling: Ruling, verdict: &Arc<Verdict>) {
        debug_assert!((ruling == Ruling::Deny) == (verdict.effect() == Effect::Deny));
        self.over(Stage::Decide);
        let timings = self.record.timings.get_or_insert_default();
        timings.decided_us = Some(micros(self.started.elapsed()));
        self.record.decision = Some(ruling);
        self.record.decision_doc = Some(verdict.id().clone());
        self.record.rules.clear();
        self.record
            .rules
            .extend(verdict.reasons().iter().map(|reason| reason.rule.clone()));
        if let Some(slot) = &self.slot {
            slot.decision(verdict.id(), verdict.json());
        }
        let (time, id) = (self.record.time, self.record.id.clone());
        let workload = self.record.workload.clone().unwrap_or_default();
        let requested = self.record.requested_model.clone().unwrap_or_default();
        self.gateway
            .recents()
            .push(time, id, workload, requested, verdict.clone());
    }

    /// Its further attempts are decided under this generation.
    pub(crate) fn under(&mut self, generation: &Generation) {
        under(&mut self.record, generation);
    }

    /// What it says now of the target and the decision on it.
    pub(crate) fn decided_so_far(&self) -> Decided {
        let record = &self.record;
        Decided {
            ruling: record.decision,
            document: record.decision_doc.clone(),
            rules: record.rules.clone(),
            model: record.resolved_model.clone(),
            host: record.host.clone(),
            upstream: record.upstream.clone(),
            edits: record.edits.clone(),
            losses: record.losses.clone(),
            translated_to: record.translated_to.clone(),
        }
    }

    /// What it said before of the target counts after all.
    pub(crate) fn restore(&mut self, decided: Decided) {
        let record = &mut self.record;
        record.decision = decided.ruling;
        record.decision_doc = decided.document;
        record.rules = decided.rules;
        record.resolved_model = decided.model;
        record.host = decided.host;
        record.upstream = decided.upstream;
        record.edits = decided.edits;
        record.losses = decided.losses;
        record.translated_to = decided.translated_to;
    }

    /// The attempt runs on beside another one that begins.
    pub(crate) fn set_aside(&mut self) {
        let leg = std::mem::take(&mut self.leg);
        self.aside = Some(Box::new((leg, self.decided_so_far())));
    }

    /// Tell about the attempt that runs beside, in place of this one.
    pub(crate) fn turn(&mut self) {
        if let Some(mut aside) = self.aside.take() {
            let decided = self.decided_so_far();
            std::mem::swap(&mut self.leg, &mut aside.0);
            let other = std::mem::replace(&mut aside.1, decided);
            self.restore(other);
            self.aside = Some(aside);
        }
    }

    /// This attempt is over or was not made: the one that runs beside is the only one.
    pub(crate) fn alone(&mut self) {
        self.turn();
        self.aside = None;
    }

    /// The attempt that runs beside was slower, and is dropped.
    pub(crate) fn overtakes_aside(&mut self) {
        self.close_aside(Outcome::Cut, Some(OVERTAKEN));
    }

    /// The attempt that runs beside is over. Its upstream may have worked on it.
    fn close_aside(&mut self, outcome: Outcome, error: Option<&str>) {
        if self.aside.is_none() {
            return;
        }
        self.turn();
        let settled = self.settle_leg(outcome);
        let tokens = settled.as_ref().map(|settled| settled.tokens);
        if let Some(settled) = settled {
            self.spent = Some(self.sum(settled).into());
        }
        self.leg.held = None;
        if let Some(way) = &mut self.leg.on_its_way {
            way.attempt.tokens = tokens;
            way.attempt.error = error.map(Into::into);
        }
        self.close_attempt(None, outcome);
        self.alone();
    }

    /// The attempt was begun while another one ran.
    pub(crate) fn is_hedge(&mut self) {
        if let Some(way) = &mut self.leg.on_its_way {
            way.attempt.hedge = true;
        }
    }

    /// A target cannot take the request, and another one is asked.
    pub(crate) fn passed_over(&mut self, upstream: &str, code: Code) {
        self.note(&format!("`{upstream}` was passed over: {}", code.as_str()));
    }

    /// The attempt has taken this of limits.
    pub(crate) fn holds(&mut self, held: Option<Reservation>, spending: Option<Spending>) {
        self.forgive();
        self.leg.held = held;
        self.leg.spending = spending.map(Box::new);
    }

    /// Listen in on what the answer uses, if a limit counts that.
    pub(crate) fn counts_said(&mut self, dialect: Dialect, framing: Option<Framing>) {
        if let Some(spending) = &mut self.leg.spending {
            spending.listen(dialect, framing);
        }
    }

    /// A piece of the answer has come. The limit that it uses up and that ends it, if it `may_end`.
    pub(crate) fn heard(&mut self, piece: &[u8], may_end: bool) -> Option<Exhausted> {
        let spending = self.leg.spending.as_mut()?;
        let gateway = &self.gateway;
        let heard = spending.heard(piece, may_end, self.leg.held.as_mut(), || gateway.now());
        heard.err()
    }

    /// What the model costs is not known, and a limit needs it.
    pub(crate) fn unpriced(&mut self) {
        self.note("what the model costs is not known as a limit of money needs it");
    }

    /// The answer's usage was told to us alone.
    pub(crate) fn hid_usage(&mut self) {
        self.record.edits.push(REMOVE_ANSWER_USAGE);
    }

    /// The answer repeated the key with which its upstream was asked.
    pub(crate) fn hid_key(&mut self) {
        self.record.edits.push(MASK_ANSWER_KEY);
    }

    /// The terms of the key do not allow the request: the log says which, since a stolen key may show so.
    pub(crate) fn kept_out(&mut self, fault: &Fault) {
        if matches!(fault.code, Code::KeyAddress | Code::KeyScope) {
            self.note(&fault.message);
        }
    }

    /// A limit is used up.
    pub(crate) fn limited(&mut self, limit: &str) {
        self.gateway.metrics().limited(limit);
        self.note(&format!("the limit `{limit}` is used up"));
    }

    /// Nothing was sent, or nothing of it counts: what was taken of limits is given back.
    pub(crate) fn forgive(&mut self) {
        self.leg.spending = None;
        if let Some(held) = self.leg.held.take() {
            held.forgive();
        }
    }

    /// Put the intent of an attempt into the journal, before its dial.
    pub(crate) async fn intent(&mut self) -> Result<(), Fault> {
        self.write_intent(self.record.intent()).await
    }

    /// The same for an answer that was given before: no upstream will have been asked.
    pub(crate) async fn intent_to_give_again(&mut self) -> Result<(), Fault> {
        let mut intent = self.record.intent();
        intent.upstream = None;
        self.write_intent(intent).await
    }

    async fn write_intent(&mut self, intent: Intent) -> Result<(), Fault> {
        let slot = self.slot.as_mut().ok_or_else(log_unavailable)?;
        slot.intent(&intent).await.map_err(|error| {
            tracing::error!(%error, "an intent could not be written");
            log_unavailable()
        })
    }

    /// How the request is told to the upstream of this attempt; it is told the trace, too, where there is one.
    pub(crate) fn cleared(&mut self, cleared: &mut Cleared) {
        if let (Some(trace), Some(telemetry)) = (&mut self.trace, self.gateway.telemetry()) {
            cleared.carries(telemetry.headers(trace));
        }
        let translation = cleared.translation();
        self.record.edits.clear();
        self.record.edits.extend_from_slice(cleared.edits());
        self.record.translated_to = translation.map(|one| one.to.to_string().into());
        self.record.losses.clear();
        self.lost(translation.map_or(&[], |one| &one.losses));
        self.lost(cleared.vectors().map_or(&[], |one| &one.losses));
    }

    /// What did not come over in translation.
    pub(crate) fn lost(&mut self, losses: &[Box<str>]) {
        self.record
            .losses
            .extend(losses.iter().map(|loss| Arc::from(&**loss)));
    }

    /// The answer names its model as the caller did.
    pub(crate) fn renamed(&mut self) {
        self.record.edits.push(SET_ANSWER_MODEL);
    }

    /// Model that the caller named.
    pub(crate) fn requested_model(&self) -> Option<&str> {
        self.record.requested_model.as_deref()
    }

    /// When the request arrived.
    pub(crate) fn time(&self) -> Timestamp {
        self.record.time
    }

    /// An attempt begins.
    pub(crate) fn attempt(
        &mut self,
        number: u32,
        upstream: &Upstream,
        (sent, asking): (Sent, Asking),
    ) {
        self.over(Stage::Prepare);
        let traffic = upstream.traffic();
        traffic.began();
        self.traffic = Some(traffic.clone());
        if let (Some(trace), Some(telemetry)) = (&mut self.trace, self.gateway.telemetry()) {
            trace.leg(number, telemetry.ids());
        }
        let config = upstream.config();
        let attempt = Attempt {
            n: number,
            upstream: config.name.clone(),
            origin: config.origin.clone(),
            started_us: micros(self.started.elapsed()),
            ..Attempt::default()
        };
        self.leg.on_its_way = Some(OnItsWay {
            attempt,
            traffic: traffic.clone(),
            sent,
            started: self.stage,
            answered: false,
            asking,
            model: self.record.resolved_model.clone(),
            decision_doc: self.record.decision_doc.clone(),
        });
    }

    /// The response head has come; `unwell` is what it says of its upstream.
    pub(crate) fn answered(
        &mut self,
        (status, coding): (StatusCode, Option<Coding>),
        unwell: Option<Unwell>,
        terms: &BreakerTerms,
    ) {
        if let Some(way) = &mut self.leg.on_its_way {
            way.attempt.content_encoding = coding.map(|coding| coding.as_str().into());
            way.attempt.status = Some(status.as_u16());
            let took = way.started.elapsed();
            way.attempt.duration_us = micros(took);
            way.answered = true;
            way.traffic.heads().observe(took);
            let went = unwell.map_or(Went::Answered, Went::Unwell);
            way.asking.went(went, terms, Instant::now());
        }
        self.over(Stage::Upstream);
        if let Some(spending) = &mut self.leg.spending {
            spending.answered(status.is_success());
        }
        self.record.status = Some(status.as_u16());
        self.record.timings.get_or_insert_default().first_byte_us =
            Some(micros(self.started.elapsed()));
    }

    /// The answer has broken off for this reason, after its head had come.
    pub(crate) fn broke_off(&mut self, code: Code, terms: &BreakerTerms) {
        if let Some(way) = &mut self.leg.on_its_way
            && may_pass(code)
        {
            way.asking.broke_off(terms, Instant::now());
        }
    }

    /// It is answered as an equal one was before: nothing of it goes to an upstream.
    pub(crate) fn given_again(&mut self, hit: &Hit) {
        self.over(Stage::Prepare);
        let record = &mut self.record;
        record.edits.clear();
        record.losses.clear();
        record.translated_to = None;
        record.status = Some(StatusCode::OK.as_u16());
        (record.reported_model, record.answering_model) = hit.entry.reported();
        record.cache = Some(Box::new(hit.cached()));
        record.timings.get_or_insert_default().first_byte_us = Some(micros(self.started.elapsed()));
    }

    /// Whose answer it is, if it may be given again: its key still counts.
    pub(crate) fn given(&self) -> Option<Given> {
        if self.revoked.is_cancelled() {
            return None;
        }
        let record = &self.record;
        Some(Given {
            record: record.id.clone(),
            reported: (
                record.reported_model.clone(),
                record.answering_model.clone(),
            ),
        })
    }

    /// Its answer may be given again.
    pub(crate) fn kept(&mut self) {
        self.record.cache = Some(Box::new(cache::kept()));
    }

    /// The caller's stream has begun, whatever comes of it.
    pub(crate) fn begun(&mut self) {
        self.record.status = Some(StatusCode::OK.as_u16());
    }

    /// The attempt came to nothing. Where its upstream may have worked on it, what it may have used stays taken of limits.
    pub(crate) fn attempt_failed(&mut self, code: Code, unsent: bool, terms: &BreakerTerms) {
        let reached = !unsent && !code.reaches_nobody();
        let mut tokens = None;
        if reached {
            let settled = self.settle_leg(code.outcome());
            tokens = settled.as_ref().map(|settled| settled.tokens);
            if let Some(settled) = settled {
                self.spent = Some(self.sum(settled).into());
            }
            self.leg.held = None;
        } else {
            self.forgive();
        }
        if let Some(way) = &mut self.leg.on_its_way {
            way.attempt.unsent = !reached;
            way.attempt.tokens = tokens;
            let went = match code {
                Code::UpstreamClosed if unsent => Went::Ended,
                code if may_pass(code) => Went::Failed,
                _ => Went::Ended,
            };
            way.asking.went(went, terms, Instant::now());
        }
        self.close_attempt(Some(code), code.outcome());
        self.stage = Instant::now();
    }

    /// A further attempt is to be decided on.
    pub(crate) fn anew(&mut self) {
        self.stage = Instant::now();
    }

    /// The upstream answered by an error, and another attempt follows: nothing of this one counts for limits.
    pub(crate) fn attempt_dropped(&mut self) {
        self.forgive();
        self.close_attempt(None, Outcome::UpstreamError);
        self.record.status = None;
        if let Some(timings) = &mut self.record.timings {
            timings.first_byte_us = None;
        }
    }

    fn close_attempt(&mut self, code: Option<Code>, outcome: Outcome) {
        let Some(mut way) = self.leg.on_its_way.take() else {
            return;
        };
        way.traffic.ended(Fate::of(way.attempt.status, outcome));
        if outcome == Outcome::Completed {
            way.asking.whole();
        }
        if let Some(facts) = way.sent.connection() {
            way.attempt.address = facts.address.clone();
            way.attempt.server_name = facts.server_name.clone();
            way.attempt.certificate_sha256 = facts.certificate_sha256.clone();
            way.attempt.proxy = facts.proxy.clone();
        }
        if !way.answered {
            way.attempt.duration_us = micros(way.started.elapsed());
        }
        if let Some(code) = code {
            way.attempt.error = Some(code.as_str().into());
        }
        way.attempt.model = way.model;
        way.attempt.decision_doc = way.decision_doc;
        self.record.attempts.push(way.attempt);
    }

    /// Whether nothing of an answer went to the caller yet.
    pub(crate) fn is_unread(&self) -> bool {
        self.record.bytes_out == 0
    }

    /// So many bytes of the answer went to the caller.
    pub(crate) fn passed_on(&mut self, bytes: usize) {
        if self.is_unread() && bytes > 0 {
            self.over(Stage::FirstPiece);
            self.first_piece_us = Some(micros(self.started.elapsed()));
        }
        self.record.bytes_out = self.record.bytes_out.saturating_add(bytes as u64);
    }

    /// The upstream has counted so many tokens so far.
    pub(crate) fn used(&mut self, usage: &Usage) {
        if let Some(spending) = &mut self.leg.spending {
            spending.told(usage);
        }
        self.record.tokens = Some(Tokens {
            input: usage.prompt_including().0,
            cache_read: usage.cache_read.unwrap_or_default(),
            cache_write: usage.cache_write.unwrap_or_default(),
            output: usage.output(),
            reasoning: usage.reasoning.unwrap_or_default(),
            estimated: false,
        });
    }

    /// The workload that asked.
    pub(crate) fn workload(&self) -> &str {
        self.record.workload.as_deref().unwrap_or_default()
    }

    /// The same, to be kept.
    pub(crate) fn shared_workload(&self) -> Arc<str> {
        self.record.workload.clone().unwrap_or_default()
    }

    /// The answer names this model, which is this node as far as the name tells.
    pub(crate) fn reported(&mut self, name: &str, node: Option<Arc<str>>) {
        self.record.reported_model = Some(name.into());
        self.record.answering_model = node;
    }

    /// Whether the caller asked for a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.record.stream
    }

    /// The answer names no model where one was looked for.
    pub(crate) fn unnamed(&mut self, why: Absence) {
        self.note(&why.to_string());
    }

    /// Another model answers than was decided on.
    pub(crate) fn mismatch(&mut self, check: &Check, reported: &str, suspend: bool) {
        let (upstream, asked) = (check.expected.upstream(), check.expected.asked());
        self.note("the answer names another model than was decided on");
        let gateway = &self.gateway;
        gateway.metrics().mismatches.inc();
        tracing::warn!(
            record = %self.record.id, %upstream, %asked, reported = %shortened(reported).escape_debug(), suspend,
            "another model answered than was decided on"
        );
        if suspend {
            gateway.suspend([Suspended {
                upstream: upstream.clone(),
                model: asked.clone(),
                reported: shortened(reported).into(),
                since: gateway.now(),
                record: self.record.id.clone(),
            }]);
        }
    }

    /// Hand the leaf over; it has its place already, so this never waits.
    pub(crate) fn finish(mut self: Box<Self>, outcome: Outcome) {
        self.hand_over(outcome);
    }

    /// Hand the leaf over and wait until it is in the journal, before an answer of our own is given.
    pub(crate) async fn finish_written(
        mut self: Box<Self>,
        outcome: Outcome,
        status: StatusCode,
    ) -> Result<(), Fault> {
        self.record.status = Some(status.as_u16());
        let Some((slot, record)) = self.close(outcome) else {
            return Ok(());
        };
        slot.leaf_written(record).await.map_err(|error| {
            tracing::error!(%error, "a record could not be written");
            log_unavailable()
        })
    }

    fn hand_over(&mut self, outcome: Outcome) {
        if let Some((slot, record)) = self.close(outcome) {
            slot.leaf(record);
        }
    }

    /// The attempt is over: what it used stays taken of its limits.
    fn settle_leg(&mut self, outcome: Outcome) -> Option<Settled> {
        let spending = self.leg.spending.take()?;
        let (stream, now) = (self.record.stream, self.gateway.now());
        let settled = spending.settle(outcome, stream, self.leg.held.as_mut(), now);
        if let Some(held) = &self.leg.held {
            let metrics = self.gateway.metrics();
            for limit in held.names(Measure::Tokens) {
                metrics.limit_tokens(limit, held.taken(Measure::Tokens));
            }
            let currency = settled.currency();
            for limit in held.names(Measure::Money) {
                metrics.limit_money(limit, &currency, held.taken(Measure::Money));
            }
        }
        Some(settled)
    }

    /// What an attempt used, with what those before it used.
    fn sum(&mut self, settled: Settled) -> Settled {
        let Some(before) = self.spent.take() else {
            return settled;
        };
        let (settled, apart) = settled.with(&before);
        if let Some(apart) = apart {
            self.note(&format!("an attempt before cost {apart}"));
        }
        settled
    }

    /// The request is over: what it used stands in its record, of all attempts together. What its upstream told of it.
    fn settle(&mut self, outcome: Outcome) -> Option<Tokens> {
        let settled = self.settle_leg(outcome);
        if settled.is_none() && self.spent.is_none() {
            return self.record.tokens;
        }
        let told = self.record.tokens.unwrap_or_default();
        let settled = settled.unwrap_or_else(|| Settled::told_only(told));
        let own = settled.tokens;
        let (tokens, spend) = self.sum(settled).told();
        let cost = spend.cost.as_deref().and_then(|cost| cost.parse().ok());
        if let (Some(currency), Some(units)) = (&spend.currency, cost) {
            self.gateway.metrics().spent(currency, units);
        }
        self.record.tokens = Some(tokens);
        self.record.spend = Some(Box::new(spend));
        Some(own)
    }

    /// Of each attempt stands only what the record does not say itself.
    fn tidy_attempts(&mut self) {
        let record = &mut *self.record;
        for attempt in &mut record.attempts {
            if attempt.decision_doc == record.decision_doc {
                attempt.decision_doc = None;
            }
            if attempt.model == record.resolved_model {
                attempt.model = None;
            }
        }
        record.attempts.sort_by_key(|attempt| attempt.n);
    }

    fn close(&mut self, outcome: Outcome) -> Option<(Slot, Box<Record>)> {
        let slot = self.slot.take()?;
        self.close_aside(outcome, None);
        let tokens = self.settle(outcome);
        self.leg.held = None;
        self.close_attempt(None, outcome);
        self.tidy_attempts();
        self.record.outcome = outcome;
        let took = self.started.elapsed();
        self.record.timings.get_or_insert_default().total_us = micros(took);
        let metrics = self.gateway.metrics();
        metrics.took(Stage::Total, took);
        metrics.open.dec();
        metrics.records.inc();
        metrics.ended(outcome);
        if let Some(tokens) = tokens.filter(|tokens| !tokens.estimated) {
            metrics.tokens_in.inc_by(tokens.input);
            metrics.tokens_out.inc_by(tokens.output);
            if let Some(traffic) = &self.traffic {
                traffic.used(&tokens);
            }
        }
        if self.gateway.is_looked_on() {
            self.gateway.ended(&Arc::new(Ended {
                record: Record::clone(&self.record),
                trace: self.trace.take(),
                first_piece_us: self.first_piece_us,
            }));
        }
        let (id, time) = (self.record.id.clone(), self.record.time);
        let closed = Box::new(Record::new(Kind::Request, id, time, outcome));
        Some((slot, std::mem::replace(&mut self.record, closed)))
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        // A request that was neither answered nor refused: its caller went away, or we do.
        let outcome = if self.gateway.is_stopping() {
            Outcome::Cut
        } else {
            Outcome::ClientGone
        };
        self.hand_over(outcome);
    }
}

fn log_unavailable() -> Fault {
    Fault::new(
        Code::LogUnavailable,
        "the log cannot take the record of this request; ask again later",
    )
    .retry_after(5)
}

fn under(record: &mut Record, generation: &Generation) {
    let versions = generation.versions();
    record.config_version = Some(versions.config.clone());
    record.policy_version = Some(versions.policy.clone());
    record.registry_version = Some(versions.registry.clone());
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
