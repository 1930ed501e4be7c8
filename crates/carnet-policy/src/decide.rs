//! The one place that answers a request: every enforced pack must permit every candidate.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use carnet_provenance::{Country, Resolution, View};
use cedar_policy::{Authorizer, Context, EntityUid, PolicySet, Request, Response};
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
use crate::pack::{Mode, Pack, Term, Trust};
use crate::plan::{Asking, Heard, Known, Truth};
use crate::problem::PolicyProblem;
use crate::reading::Reading;
use crate::target::{
    PreparedCaller, PreparedCandidate, PreparedPrincipal, PreparedTarget, Principal, Target,
    TargetSpec, start_of,
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
    /// Let Cedar evaluate every rule for every decision, instead of combining what is known already.
    pub plain: bool,
}

impl Default for DeciderOptions {
    fn default() -> Self {
        Self {
            shadow_every: 1_000,
            cache_max: 4_096,
            plain: false,
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
    /// For each pack, term and kind of request the truth of what is about the request.
    asks: Vec<Vec<Vec<Truth>>>,
    plain: bool,
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
        let contexts = contexts.map_err(broken)?;
        let action = Kind::Action.uid("use").map_err(broken)?;
        let authorizer = Authorizer::new();
        let asking = Asking {
            authorizer: &authorizer,
            action: &action,
        };
        let of_term = |term: &Term| {
            let all = contexts.iter();
            all.map(|context| term.plan.ask(&asking, context)).collect()
        };
        let of_pack = |pack: &Pack| pack.terms.iter().map(of_term).collect();
        let asks = policies.packs.iter().map(of_pack).collect();
        Ok(Self {
            number: DECIDERS.fetch_add(1, Ordering::Relaxed),
            policy_version: policies.version().into(),
            registry_version: view.version().into(),
            action,
            contexts,
            asks,
            plain: options.plain,
            authorizer,
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
            let store = node.store(&self.policies.schema).ok()?;
            Some(PreparedCaller { node, store })
        };
        Principal(Arc::new(PreparedPrincipal {
            decider: self.number,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            id: workload.id.as_str().into(),
            nodes: self.policies.readings.iter().map(prepare).collect(),
            truth: self
                .policies
                .packs
                .iter()
                .map(|pack| pack.terms.iter().map(|_| OnceLock::new()).collect())
                .collect(),
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
                    &self.policies,
                    change,
                )
                .ok()?;
                until = [until, ends].into_iter().flatten().min();
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
            let judgement = self.judge(principal, target, *ask, self.plain, Court::brief());
            let effect = judgement.effect;
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

    /// The permits that apply to some candidate, whatever forbids say.
    pub(crate) fn permits_that_apply(
        &self,
        principal: &Principal,
        target: &Target,
        ask: Ask,
    ) -> BTreeSet<String> {
        let hearings = self.hearings(principal, target, ask).flatten();
        let heard = hearings.filter_map(|hearing| {
            let (_, term) = hearing.pack.on(hearing.day)?;
            let permits = term.set.policies();
            let permits = permits.filter(|rule| rule.effect() == cedar_policy::Effect::Permit);
            let permits = PolicySet::from_policies(permits.cloned()).ok()?;
            self.by_cedar(&hearing, &permits)
        });
        let rules = heard.flat_map(|heard| heard.rules);
        rules.map(|id| id.to_string()).collect()
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
        let judgement = self.judge(principal, target, ask, self.plain, Court::default());
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
        let judgement = self.judge(principal, target, ask, true, Court::default());
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

    /// Evaluate every pack for every candidate: `plain` by Cedar alone, else on what is already known.
    fn judge(
        &self,
        principal: &Principal,
        target: &Target,
        ask: Ask,
        plain: bool,
        mut court: Court,
    ) -> Judgement {
        for hearing in self.hearings(principal, target, ask) {
            let Some(hearing) = hearing else {
                let title = "the facts do not fit the policy schema";
                court.deny_by_code(Mode::Enforce, "", Code::FactsInvalid, title);
                return court.close();
            };
            self.hear(&hearing, plain, &mut court);
        }
        court.close()
    }

    /// Each pack with each candidate; `None` for a pack whose schema the facts do not fit.
    fn hearings<'h>(
        &'h self,
        principal: &'h Principal,
        target: &'h Target,
        ask: Ask,
    ) -> impl Iterator<Item = Option<Hearing<'h>>> {
        let packs = self.policies.packs.iter().enumerate();
        packs.flat_map(move |(number, pack)| {
            let caller = principal.0.nodes.get(pack.reading).and_then(Option::as_ref);
            let candidates = target.0.candidates.get(pack.reading);
            let fit = caller.zip(candidates.and_then(Option::as_ref));
            let unfit = fit.is_none().then_some(None);
            let all = fit.into_iter().flat_map(move |(caller, candidates)| {
                candidates.iter().map(move |candidate| {
                    Some(Hearing {
                        number,
                        pack,
                        principal,
                        caller,
                        candidate,
                        day: target.0.as_of,
                        ask,
                    })
                })
            });
            unfit.into_iter().chain(all)
        })
    }

    /// Let one pack speak on one candidate.
    fn hear(&self, hearing: &Hearing<'_>, plain: bool, court: &mut Court) {
        let Hearing {
            pack, candidate, ..
        } = hearing;
        let mode = pack.mode();
        if pack.trust() == Trust::Registry && candidate.facts.iter().any(|fact| fact.lenient) {
            let title = "the answer would rest on the operator's own claim, which this policy does not accept";
            court.deny_by_code(mode, pack.name(), Code::OverlayNotTrusted, title);
            court.rest_denial_on(mode, candidate.facts.iter().filter(|fact| fact.lenient));
        }
        let heard = pack.on(hearing.day).and_then(|(at, term)| {
            let known = self.known(hearing, at, term);
            let heard = match known.filter(|_| !plain) {
                Some(known) => self.on_truth(hearing, term, known),
                None => self.by_cedar(hearing, &term.set),
            };
            let watched = if term.watched.is_empty() {
                None
            } else {
                Some(self.by_cedar(hearing, &term.watched)?)
            };
            Some((heard?, watched, term, known))
        });
        let Some((heard, watched, term, known)) = heard else {
            let title = "the request does not fit the policy schema";
            court.deny_by_code(mode, pack.name(), Code::FactsInvalid, title);
            return;
        };
        court.weigh(pack, candidate, &heard);
        if heard.allow && court.tells() {
            court.rest_permit_on(mode, candidate, &term.plan.kept_away(known));
        }
        if let Some(watched) = watched {
            court.note(pack, candidate, &watched);
        }
    }

    /// What is known of caller, target and kind of request; `None` when a part of it failed.
    fn known<'h>(&'h self, hearing: &Hearing<'h>, at: usize, term: &Term) -> Option<Known<'h>> {
        let asking = Asking {
            authorizer: &self.authorizer,
            action: &self.action,
        };
        let plan = &term.plan;
        let Hearing {
            number,
            principal,
            caller,
            candidate,
            ..
        } = *hearing;
        let of_target = candidate.truth.get(number)?;
        let of_target =
            of_target.get_or_init(|| plan.target(&asking, &candidate.uid, &candidate.store));
        let of_caller = principal.0.truth.get(number)?.get(at)?;
        let of_caller =
            of_caller.get_or_init(|| plan.caller(&asking, &caller.node.uid, &caller.store));
        let of_ask = self.asks.get(number)?.get(at)?.get(hearing.ask.index())?;
        Some(Known {
            of_target: of_target.as_deref()?,
            of_caller: of_caller.as_deref()?,
            of_ask: of_ask.as_deref()?,
        })
    }

    /// The answer of a pack on what is known.
    fn on_truth(&self, hearing: &Hearing<'_>, term: &Term, known: Known<'_>) -> Option<Heard> {
        let rest = term.plan.rest();
        let rest = if rest.is_empty() {
            None
        } else {
            Some(self.response(hearing, rest)?)
        };
        Some(term.plan.answer(known, rest))
    }

    /// The answer of rules that Cedar evaluates.
    fn by_cedar(&self, hearing: &Hearing<'_>, rules: &PolicySet) -> Option<Heard> {
        self.response(hearing, rules).map(Heard::of)
    }

    fn response(&self, hearing: &Hearing<'_>, rules: &PolicySet) -> Option<Response> {
        let Hearing {
            caller, candidate, ..
        } = hearing;
        let store = caller.node.join(&candidate.store).ok()?;
        let request = Request::new(
            caller.node.uid.clone(),
            self.action.clone(),
            candidate.uid.clone(),
            self.contexts.get(hearing.ask.index())?.clone(),
            None,
        )
        .ok()?;
        Some(self.authorizer.is_authorized(&request, rules, &store))
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

/// One pack, asked about one candidate.
struct Hearing<'h> {
    /// The pack's place among all.
    number: usize,
    pack: &'h Pack,
    principal: &'h Principal,
    caller: &'h PreparedCaller,
    candidate: &'h PreparedCandidate,
    day: Date,
    ask: Ask,
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
