//! The one place that answers a request: every enforced pack must permit every candidate.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_provenance::{Country, Resolution, View};
use cedar_policy::{Authorizer, Context, Entities, EntityUid, Request};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::cache::{Cache, CacheCounters, Entry, Key};
use crate::codes::Code;
use crate::court::{Court, Judgement};
use crate::entities::{self, Kind};
use crate::facts;
use crate::limits::{COUNTERFACTUALS_MAX, COUNTERFACTUALS_TRIED_MAX};
use crate::load::Policies;
use crate::names;
use crate::outcome::{Decision, Denial, Permit};
use crate::pack::{Mode, Pack, Trust};
use crate::problem::PolicyProblem;
use crate::reading::Reading;
use crate::target::{
    PreparedCandidate, PreparedPrincipal, PreparedTarget, Principal, Target, TargetSpec, start_of,
};
use crate::verdict::{Counterfactual, Effect, Parts, Verdict};
use crate::words::Words;
use crate::workload::{Ask, Workload};

/// Tells handles of one decider from those of another.
static DECIDERS: AtomicU64 = AtomicU64::new(0);

/// How the decider remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeciderOptions {
    /// Every so many hits one is evaluated in full as well; 0 never.
    pub shadow_every: u32,
    /// Pairs of caller and target that are remembered; 0 none.
    pub cache_max: usize,
}

impl Default for DeciderOptions {
    fn default() -> Self {
        Self {
            shadow_every: 1_000,
            cache_max: 4_096,
        }
    }
}

/// Policy and facts of one generation, ready to answer.
pub struct Decider {
    number: u64,
    policies: Arc<Policies>,
    view: Arc<View>,
    policy_version: Arc<str>,
    registry_version: Arc<str>,
    action: EntityUid,
    contexts: Vec<Context>,
    authorizer: Authorizer,
    cache: Cache,
    shadow_every: u64,
    next: AtomicU64,
}

impl Decider {
    /// Join a policy with the facts it is to be applied to.
    ///
    /// # Errors
    /// When no pack is enforced, or a rule names an entity that the facts do not know, so that it
    /// could never apply.
    pub fn new(
        policies: Arc<Policies>,
        view: Arc<View>,
        options: DeciderOptions,
    ) -> Result<Self, Vec<PolicyProblem>> {
        let problems = names::check(&policies, &view);
        if !problems.is_empty() {
            return Err(problems);
        }
        let broken = |error: entities::Misfit| {
            vec![PolicyProblem::general(
                Code::FactsInvalid,
                error.to_string(),
            )]
        };
        let contexts: Result<Vec<Context>, _> = Ask::all().map(entities::context).collect();
        Ok(Self {
            number: DECIDERS.fetch_add(1, Ordering::Relaxed),
            policy_version: policies.version().into(),
            registry_version: view.version().into(),
            action: Kind::Action.uid("use").map_err(broken)?,
            contexts: contexts.map_err(broken)?,
            authorizer: Authorizer::new(),
            cache: Cache::new(options.cache_max),
            shadow_every: u64::from(options.shadow_every),
            next: AtomicU64::new(0),
            policies,
            view,
        })
    }

    /// Prepare a caller.
    pub fn principal(&self, workload: &Workload) -> Principal {
        let country: Option<Country> = workload
            .country
            .as_deref()
            .and_then(|code| code.parse().ok());
        let groups = country
            .map(|code| facts::groups_of(code, &self.view))
            .unwrap_or_default();
        let code = country.map(|code| code.to_string());
        let country = code.as_deref().map(|code| (code, groups.as_slice()));
        let prepare = |reading: &Reading| {
            let node = entities::workload(workload, country, reading.share).ok()?;
            node.store(&self.policies.schema).ok()?;
            Some(node)
        };
        Principal(Arc::new(PreparedPrincipal {
            decider: self.number,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            id: workload.id.as_str().into(),
            nodes: self.policies.readings.iter().map(prepare).collect(),
        }))
    }

    /// Prepare a target from what the facts say about it on the day `as_of`.
    pub fn target(&self, spec: TargetSpec, resolution: Resolution, as_of: Date) -> Target {
        self.target_with(spec, resolution, as_of, &|_| {})
    }

    /// The same with other words for what is known of it.
    pub(crate) fn target_with(
        &self,
        spec: TargetSpec,
        resolution: Resolution,
        as_of: Date,
        change: &dyn Fn(&mut Words),
    ) -> Target {
        let mut until = [resolution.valid_until(), self.policies.next_change(as_of)]
            .into_iter()
            .flatten()
            .min();
        let mut prepare = |reading: &Reading| {
            let mut prepared = Vec::with_capacity(resolution.candidates.len());
            for candidate in &resolution.candidates {
                let (candidate, ends) = facts::prepare(
                    &spec,
                    candidate,
                    &self.view,
                    reading,
                    as_of,
                    &self.policies.schema,
                    change,
                )
                .ok()?;
                until = [until, ends.filter(|day| *day > as_of)]
                    .into_iter()
                    .flatten()
                    .min();
                prepared.push(candidate);
            }
            // No candidate at all is a broken answer, never an empty permission.
            Some(prepared).filter(|prepared| !prepared.is_empty())
        };
        let candidates = self.policies.readings.iter().map(&mut prepare).collect();
        Target(Arc::new(PreparedTarget {
            decider: self.number,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            candidates,
            spec,
            resolution: Arc::new(resolution),
            as_of,
            valid_until: until.map(start_of),
        }))
    }

    /// Answer a request of this caller for this target.
    ///
    /// `others` are the targets that a denial may name as a way out. `now` is an instant of the day
    /// for which the target was prepared, or later.
    pub fn decide(
        &self,
        principal: &Principal,
        target: &Target,
        ask: &Ask,
        others: &[Target],
        now: Timestamp,
    ) -> Decision {
        if principal.0.decider != self.number || target.0.decider != self.number {
            let title = "the caller or target belongs to another generation of the policy";
            return self.refuse(target, Code::ForeignHandle, title);
        }
        if !target.is_current(now) {
            let title = "a fact about the target has changed since it was prepared";
            return self.refuse(target, Code::FactsExpired, title);
        }
        let key = key(principal, target);
        if let Some(verdict) = self.cache.verdict(key, *ask, others.len(), now) {
            let before = self.cache.counters.hit();
            if self.shadow_every > 0 && before.is_multiple_of(self.shadow_every) {
                return self.shadow(principal, target, *ask, verdict);
            }
            return answer(target, verdict);
        }
        self.cache.counters.miss();
        self.decide_anew(key, principal, target, *ask, others, now)
    }

    /// Whether the request would be permitted, without a permit to spend: for lists of models.
    #[must_use]
    pub fn permits(
        &self,
        principal: &Principal,
        target: &Target,
        ask: &Ask,
        now: Timestamp,
    ) -> bool {
        if principal.0.decider != self.number
            || target.0.decider != self.number
            || !target.is_current(now)
        {
            return false;
        }
        let key = key(principal, target);
        let known = self.cache.effect(key, *ask, now);
        let effect = known.unwrap_or_else(|| {
            let effect = self.judge(principal, target, *ask).effect;
            let entry = Entry {
                effect,
                verdict: None,
                expires: target.valid_until(),
                others: 0,
            };
            self.cache.keep(key, *ask, entry);
            effect
        });
        effect == Effect::Permit
    }

    /// How the cache and its checks have worked.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        self.cache.counters.read()
    }

    /// The policy in force.
    #[must_use]
    pub fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// The facts it is applied to.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    fn decide_anew(
        &self,
        key: Key,
        principal: &Principal,
        target: &Target,
        ask: Ask,
        others: &[Target],
        now: Timestamp,
    ) -> Decision {
        let judgement = self.judge(principal, target, ask);
        let mut expires = target.valid_until();
        let mut counterfactuals = Vec::new();
        if judgement.effect == Effect::Deny {
            counterfactuals = self.ways_out(principal, target, ask, others, now, &mut expires);
        }
        let effect = judgement.effect;
        let verdict = Arc::new(self.verdict(target, judgement, counterfactuals));
        self.cache.keep(
            key,
            ask,
            Entry {
                effect,
                verdict: Some(verdict.clone()),
                expires,
                others: others.len(),
            },
        );
        answer(target, verdict)
    }

    /// Evaluate a remembered decision in full: a difference denies, and nothing remembered is kept.
    fn shadow(
        &self,
        principal: &Principal,
        target: &Target,
        ask: Ask,
        verdict: Arc<Verdict>,
    ) -> Decision {
        let judgement = self.judge(principal, target, ask);
        let agreed = judgement.effect == verdict.effect()
            && judgement.reasons == verdict.reasons()
            && judgement.obligations == verdict.obligations()
            && judgement.report_deny == verdict.report_deny();
        self.cache.counters.shadow(agreed);
        if agreed {
            return answer(target, verdict);
        }
        self.cache.flush();
        self.refuse(
            target,
            Code::ShadowMismatch,
            "a remembered decision differed from a full evaluation",
        )
    }

    /// Targets that would be permitted instead.
    fn ways_out(
        &self,
        principal: &Principal,
        target: &Target,
        ask: Ask,
        others: &[Target],
        now: Timestamp,
        expires: &mut Option<Timestamp>,
    ) -> Vec<Counterfactual> {
        let mut found = Vec::new();
        for other in others
            .iter()
            .filter(|other| other.0.number != target.0.number)
            .take(COUNTERFACTUALS_TRIED_MAX)
        {
            if found.len() >= COUNTERFACTUALS_MAX {
                break;
            }
            *expires = [*expires, other.valid_until()].into_iter().flatten().min();
            if self.permits(principal, other, &ask, now) {
                found.push(Counterfactual {
                    change: format!("via {}", other.spec().name),
                    decision: Effect::Permit,
                });
            }
        }
        found
    }

    /// Evaluate every pack for every candidate.
    fn judge(&self, principal: &Principal, target: &Target, ask: Ask) -> Judgement {
        let mut court = Court::default();
        let mut stores: Vec<Option<Vec<Joined<'_>>>> = Vec::new();
        stores.resize_with(self.policies.readings.len(), || None);
        for pack in &self.policies.packs {
            let Some(joined) = stores.get_mut(pack.reading) else {
                continue;
            };
            if joined.is_none() {
                *joined = join(principal, target, pack.reading);
            }
            let Some(joined) = joined else {
                let title = "the facts do not fit the policy schema";
                court.deny_by_code(Mode::Enforce, "", Code::FactsInvalid, title);
                return court.close();
            };
            for joined in joined {
                self.hear(pack, joined, target.0.as_of, ask, &mut court);
            }
        }
        court.close()
    }

    /// Let one pack speak on one candidate.
    fn hear(&self, pack: &Pack, joined: &Joined<'_>, day: Date, ask: Ask, court: &mut Court) {
        let mode = pack.mode();
        let candidate = joined.candidate;
        if pack.trust() == Trust::Registry && candidate.facts.iter().any(|fact| fact.lenient) {
            let title = "the answer would rest on the operator's own claim, which this policy does not accept";
            court.deny_by_code(mode, pack.name(), Code::OverlayNotTrusted, title);
            court.rest_denial_on(mode, candidate.facts.iter().filter(|fact| fact.lenient));
        }
        let term = pack.on(day);
        let Some((term, request)) = term.zip(self.request(joined, ask)) else {
            let title = "the request does not fit the policy schema";
            court.deny_by_code(mode, pack.name(), Code::FactsInvalid, title);
            return;
        };
        let response = self
            .authorizer
            .is_authorized(&request, &term.set, &joined.store);
        court.weigh(pack, candidate, &response);
        if !term.watched.is_empty() {
            let response = self
                .authorizer
                .is_authorized(&request, &term.watched, &joined.store);
            court.note(pack, candidate, &response);
        }
    }

    fn request(&self, joined: &Joined<'_>, ask: Ask) -> Option<Request> {
        let context = self.contexts.get(ask.index())?.clone();
        Request::new(
            joined.caller.clone(),
            self.action.clone(),
            joined.candidate.uid.clone(),
            context,
            None,
        )
        .ok()
    }

    fn refuse(&self, target: &Target, code: Code, title: &str) -> Decision {
        let mut court = Court::default();
        court.deny_by_code(Mode::Enforce, "", code, title);
        answer(
            target,
            Arc::new(self.verdict(target, court.close(), Vec::new())),
        )
    }

    fn verdict(
        &self,
        target: &Target,
        judgement: Judgement,
        counterfactuals: Vec<Counterfactual>,
    ) -> Verdict {
        let parts = Parts {
            effect: judgement.effect,
            reasons: judgement.reasons,
            facts: judgement.facts,
            obligations: judgement.obligations,
            counterfactuals,
            policy_version: self.policy_version.clone(),
            registry_version: self.registry_version.clone(),
            as_of: target.0.as_of,
            report_deny: judgement.report_deny,
        };
        Verdict::new(parts, target.0.resolution.clone())
    }
}

/// A candidate with the caller in one store.
struct Joined<'t> {
    caller: EntityUid,
    candidate: &'t PreparedCandidate,
    store: Entities,
}

/// All candidates of a target as packs of this reading see them; none when the facts do not fit.
fn join<'t>(principal: &Principal, target: &'t Target, reading: usize) -> Option<Vec<Joined<'t>>> {
    let caller = principal.0.nodes.get(reading)?.as_ref()?;
    let candidates = target.0.candidates.get(reading)?.as_ref()?;
    candidates
        .iter()
        .map(|candidate| {
            Some(Joined {
                caller: caller.uid.clone(),
                candidate,
                store: caller.join(&candidate.store).ok()?,
            })
        })
        .collect()
}

fn key(principal: &Principal, target: &Target) -> Key {
    Key {
        principal: principal.0.number,
        target: target.0.number,
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decider")
            .field("policy_version", &self.policy_version)
            .field("registry_version", &self.registry_version)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// A verdict becomes a permit or a denial: the only place that makes a permit.
fn answer(target: &Target, verdict: Arc<Verdict>) -> Decision {
    match verdict.effect() {
        Effect::Permit => Decision::Permit(Permit::new(target.clone(), verdict)),
        Effect::Deny => Decision::Deny(Denial::new(verdict)),
    }
}

#[cfg(test)]
mod tests;
