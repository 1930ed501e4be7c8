//! Rules decided on the truth of their parts, each part evaluated once for a caller or a target.
//!
//! Cedar evaluates every rule for every request. Most conditions, though, are about the target alone or
//! about the caller alone, and their truth is the same for all its requests: it is evaluated by Cedar
//! once, and a request only combines truth values. A rule that asks both at once, or that could fail
//! while it is evaluated, is left to Cedar whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{self, BinaryOp, Clause, Effect, Expr, UnaryOp, Var};
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Entities, EntityUid, Policy, PolicyId, PolicySet,
    Request, Response,
};

use crate::rule::{Asked, Rule};
use crate::syntax::{Condition, children, conditions};

/// What a set of rules answers to a request.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) allow: bool,
    /// The rules that counted.
    pub(crate) rules: Vec<PolicyId>,
    pub(crate) errors: Vec<AuthorizationError>,
}

/// A set of rules, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    quick: Vec<Quick>,
    of_target: Parts,
    of_caller: Parts,
    of_ask: Parts,
    /// The rules that Cedar evaluates for every request.
    rest: PolicySet,
    /// What the forbids ask of the target, each once.
    asked: Vec<Asked>,
    /// Of those the ones that a forbid among `rest` asks for.
    rest_asked: Vec<usize>,
}

/// A rule that is decided on truth values.
#[derive(Debug)]
struct Quick {
    id: PolicyId,
    effect: Effect,
    of_target: Vec<(usize, bool)>,
    of_caller: Vec<(usize, bool)>,
    of_ask: Vec<(usize, bool)>,
    /// Of a forbid: the place of what it asks of the target.
    asked: Option<usize>,
}

/// Conditions about one thing, each as a rule of its own.
#[derive(Debug, Default)]
struct Parts {
    set: PolicySet,
    known: BTreeMap<String, usize>,
}

/// The truth values of parts; `None` when one failed.
pub(crate) type Truth = Option<Box<[bool]>>;

/// The truth values that a request combines.
#[derive(Clone, Copy)]
pub(crate) struct Known<'t> {
    pub(crate) of_target: &'t [bool],
    pub(crate) of_caller: &'t [bool],
    pub(crate) of_ask: &'t [bool],
}

/// What a condition is about.
#[derive(Clone, Copy, PartialEq)]
enum About {
    Nothing,
    Target,
    Caller,
    Ask,
    Several,
}

impl Plan {
    /// Take rules apart; `rules` has what each of them reads.
    pub(crate) fn new(set: &PolicySet, rules: &[&Rule]) -> Self {
        let asked: BTreeMap<&str, &Asked> = rules
            .iter()
            .filter(|rule| !rule.is_permit())
            .map(|rule| (rule.id(), &rule.asked))
            .collect();
        let mut plan = Self::default();
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by(|a, b| a.id().cmp(b.id()));
        for policy in policies {
            let asked = asked.get(AsRef::<str>::as_ref(policy.id()));
            let asked = asked.map(|asked| plan.asked(asked));
            if let Some(quick) = plan.quick(policy, asked) {
                plan.quick.push(quick);
            } else {
                // The ids are those of one set, so none is there twice.
                drop(plan.rest.add(policy.clone()));
                plan.rest_asked.extend(asked);
            }
        }
        plan
    }

    /// The place of what a rule asks of the target.
    fn asked(&mut self, asked: &Asked) -> usize {
        let known = self.asked.iter().position(|known| known == asked);
        known.unwrap_or_else(|| {
            self.asked.push(asked.clone());
            self.asked.len() - 1
        })
    }

    fn quick(&mut self, policy: &Policy, asked: Option<usize>) -> Option<Quick> {
        let parsed = policy.to_pst().ok()?;
        let all = conditions(parsed.body());
        if all.iter().any(|condition| can_fail(&condition.expr)) {
            return None;
        }
        let about: Vec<About> = all.iter().map(|condition| about(&condition.expr)).collect();
        if about.contains(&About::Several) {
            return None;
        }
        let mut quick = Quick {
            id: policy.id().clone(),
            effect: parsed.body().effect,
            of_target: Vec::new(),
            of_caller: Vec::new(),
            of_ask: Vec::new(),
            asked,
        };
        for (condition, about) in all.iter().zip(about) {
            let (parts, list) = match about {
                About::Caller => (&mut self.of_caller, &mut quick.of_caller),
                About::Ask => (&mut self.of_ask, &mut quick.of_ask),
                // What is about nothing is true or false for every target.
                _ => (&mut self.of_target, &mut quick.of_target),
            };
            list.push((parts.number(condition)?, condition.holds));
        }
        Some(quick)
    }

    /// The truth values of what is about the target.
    pub(crate) fn target(&self, ask: &Asking<'_>, uid: &EntityUid, store: &Entities) -> Truth {
        self.of_target
            .truth(ask, uid, uid, store, &Context::empty())
    }

    /// The truth values of what is about the caller.
    pub(crate) fn caller(&self, ask: &Asking<'_>, uid: &EntityUid, store: &Entities) -> Truth {
        self.of_caller
            .truth(ask, uid, uid, store, &Context::empty())
    }

    /// The truth values of what is about the kind of request.
    pub(crate) fn ask(&self, ask: &Asking<'_>, context: &Context) -> Truth {
        self.of_ask
            .truth(ask, ask.action, ask.action, &Entities::empty(), context)
    }

    /// The answer. `cedar` is what the rules that are left to Cedar say, where there are any.
    pub(crate) fn answer(&self, known: Known<'_>, cedar: Option<Response>) -> Heard {
        let mut permits = Vec::new();
        let mut forbids = Vec::new();
        for rule in &self.quick {
            if met(&rule.of_target, known.of_target)
                && met(&rule.of_caller, known.of_caller)
                && met(&rule.of_ask, known.of_ask)
            {
                match rule.effect {
                    Effect::Permit => permits.push(rule.id.clone()),
                    Effect::Forbid => forbids.push(rule.id.clone()),
                }
            }
        }
        let mut errors = Vec::new();
        if let Some(response) = cedar {
            errors.extend(response.diagnostics().errors().cloned());
            for id in response.diagnostics().reason() {
                match self.rest.policy(id).map(Policy::effect) {
                    Some(cedar_policy::Effect::Permit) => permits.push(id.clone()),
                    Some(cedar_policy::Effect::Forbid) => forbids.push(id.clone()),
                    None => {}
                }
            }
        }
        let allow = forbids.is_empty() && !permits.is_empty();
        let mut rules = if forbids.is_empty() { permits } else { forbids };
        rules.sort_unstable();
        Heard {
            allow,
            rules,
            errors,
        }
    }

    /// What forbids that do not apply ask of the target, where it is the target that keeps them away
    /// and not the caller or the kind of request.
    pub(crate) fn kept_away(&self, known: Option<Known<'_>>) -> Vec<&Asked> {
        let mut found = vec![false; self.asked.len()];
        let near = self.quick.iter().filter(|rule| {
            known.is_none_or(|known| {
                met(&rule.of_caller, known.of_caller) && met(&rule.of_ask, known.of_ask)
            })
        });
        let asked = near.filter_map(|rule| rule.asked);
        for place in asked.chain(self.rest_asked.iter().copied()) {
            if let Some(found) = found.get_mut(place) {
                *found = true;
            }
        }
        let each = self.asked.iter().zip(found);
        each.filter_map(|(asked, found)| found.then_some(asked))
            .collect()
    }

    /// The rules that are left to Cedar.
    pub(crate) fn rest(&self) -> &PolicySet {
        &self.rest
    }
}

/// Whether all of a rule's parts have the value that it needs.
fn met(parts: &[(usize, bool)], truth: &[bool]) -> bool {
    parts
        .iter()
        .all(|(number, holds)| truth.get(*number) == Some(holds))
}

/// How parts are evaluated.
pub(crate) struct Asking<'a> {
    pub(crate) authorizer: &'a Authorizer,
    pub(crate) action: &'a EntityUid,
}

impl Parts {
    /// The number of a condition, which is taken in if it is new.
    fn number(&mut self, condition: &Condition) -> Option<usize> {
        let text = condition.expr.to_string();
        if let Some(number) = self.known.get(&text) {
            return Some(*number);
        }
        let number = self.known.len();
        let body = pst::Template::new(
            pst::PolicyID(number.to_string().into()),
            Effect::Permit,
            pst::PrincipalConstraint::Any,
            pst::ActionConstraint::Any,
            pst::ResourceConstraint::Any,
        );
        let body = body
            .try_with_clauses([Clause::When(Arc::clone(&condition.expr))])
            .ok()?;
        let body = pst::StaticPolicy::try_from(body).ok()?;
        let policy = Policy::from_pst(pst::Policy::Static(body)).ok()?;
        self.set
            .add(policy.new_id(PolicyId::new(number.to_string())))
            .ok()?;
        self.known.insert(text, number);
        Some(number)
    }

    fn truth(
        &self,
        ask: &Asking<'_>,
        principal: &EntityUid,
        resource: &EntityUid,
        store: &Entities,
        context: &Context,
    ) -> Truth {
        let mut truth = vec![false; self.known.len()];
        if truth.is_empty() {
            return Some(truth.into());
        }
        let request = Request::new(
            principal.clone(),
            ask.action.clone(),
            resource.clone(),
            context.clone(),
            None,
        )
        .ok()?;
        let response = ask.authorizer.is_authorized(&request, &self.set, store);
        if response.diagnostics().errors().next().is_some() {
            return None;
        }
        for id in response.diagnostics().reason() {
            let id: &str = id.as_ref();
            let number: usize = id.parse().ok()?;
            *truth.get_mut(number)? = true;
        }
        Some(truth.into())
    }
}

impl Heard {
    /// What Cedar answered.
    pub(crate) fn of(response: Response) -> Self {
        let diagnostics = response.diagnostics();
        let mut rules: Vec<PolicyId> = diagnostics.reason().cloned().collect();
        rules.sort_unstable();
        Self {
            allow: response.decision() == cedar_policy::Decision::Allow,
            rules,
            errors: diagnostics.errors().cloned().collect(),
        }
    }
}

/// What a condition is about.
fn about(expr: &Expr) -> About {
    let own = match expr {
        Expr::Var(Var::Principal) => About::Caller,
        Expr::Var(Var::Resource) => About::Target,
        Expr::Var(Var::Context | Var::Action) => About::Ask,
        _ => About::Nothing,
    };
    children(expr)
        .into_iter()
        .map(about)
        .fold(own, |whole, part| match (whole, part) {
            (About::Nothing, part) => part,
            (whole, About::Nothing) => whole,
            (whole, part) if whole == part => whole,
            _ => About::Several,
        })
}

/// Whether a condition could fail while it is evaluated, although its types are right.
fn can_fail(expr: &Expr) -> bool {
    let safe = match expr {
        Expr::Literal(_)
        | Expr::Var(_)
        | Expr::GetAttr { .. }
        | Expr::HasAttr { .. }
        | Expr::Like { .. }
        | Expr::Is { .. }
        | Expr::IfThenElse { .. }
        | Expr::Set(_)
        | Expr::Record(_) => true,
        Expr::UnaryOp { op, .. } => matches!(op, UnaryOp::Not | UnaryOp::IsEmpty),
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOp::And
                | BinaryOp::Or
                | BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::In
                | BinaryOp::Contains
                | BinaryOp::ContainsAll
                | BinaryOp::ContainsAny
        ),
        _ => false,
    };
    !safe || children(expr).into_iter().any(can_fail)
}
