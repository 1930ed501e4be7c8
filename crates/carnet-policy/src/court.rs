//! What the packs say on each candidate is gathered here and becomes one judgement.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::AuthorizationError;

use crate::codes::Code;
use crate::outcome::Obligation;
use crate::pack::{Mode, Pack};
use crate::plan::Heard;
use crate::rule::{Asked, Rule};
use crate::target::{PreparedCandidate, PreparedFact};
use crate::verdict::{Effect, FactLine, Reason};

/// What all packs together say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) effect: Effect,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) facts: Vec<Arc<FactLine>>,
    pub(crate) obligations: Vec<Obligation>,
    pub(crate) report_deny: Vec<Reason>,
}

/// Gathers permits and denials; one denial of an enforced pack is enough.
#[derive(Default)]
pub(crate) struct Court {
    permits: Vec<Reason>,
    permit_facts: Vec<Arc<FactLine>>,
    obligations: BTreeSet<Obligation>,
    denials: Vec<Reason>,
    denial_facts: Vec<Arc<FactLine>>,
    report: Vec<Reason>,
    /// Only the answer is wanted, not what it rests on.
    brief: bool,
}

impl Court {
    /// One that only finds the answer.
    pub(crate) fn brief() -> Self {
        Self {
            brief: true,
            ..Self::default()
        }
    }

    /// Whether it tells what its answer rests on.
    pub(crate) fn tells(&self) -> bool {
        !self.brief
    }

    /// Take in what Cedar answered for one pack and candidate.
    pub(crate) fn weigh(&mut self, pack: &Pack, candidate: &PreparedCandidate, heard: &Heard) {
        let mode = pack.mode();
        if !heard.errors.is_empty() {
            // INVARIANT: Cedar skips a rule that fails, so a failing forbid would vanish. We deny.
            self.deny_for_errors(pack, candidate, &heard.errors);
            return;
        }
        let ids = heard.rules.iter();
        let rules: Vec<&Rule> = ids.filter_map(|id| pack.rules.get(id)).collect();
        if heard.allow {
            for rule in rules {
                self.permit(mode, pack, candidate, rule);
            }
        } else if rules.is_empty() {
            let title = format!("no rule permits it: {}", pack.title());
            self.deny_by_code(mode, pack.name(), Code::NoRulePermits, &title);
            for rule in pack.rules.values().filter(|rule| rule.is_permit()) {
                self.rest_denial_on(mode, read_by(rule, candidate));
            }
        } else {
            for rule in rules {
                self.deny(mode, reason_of(pack, rule));
                self.rest_denial_on(mode, read_by(rule, candidate));
            }
        }
    }

    /// Take in what the forbids that only report say.
    pub(crate) fn note(&mut self, pack: &Pack, candidate: &PreparedCandidate, heard: &Heard) {
        if !heard.errors.is_empty() {
            self.deny_for_errors(pack, candidate, &heard.errors);
        }
        for id in &heard.rules {
            if let Some(rule) = pack.rules.get(id) {
                self.deny(Mode::Report, reason_of(pack, rule));
            }
        }
    }

    /// What a permit looks like, for a test that puts it where it does not belong.
    #[cfg(test)]
    pub(crate) fn permitting() -> Judgement {
        Judgement {
            effect: Effect::Permit,
            reasons: Vec::new(),
            facts: Vec::new(),
            obligations: Vec::new(),
            report_deny: Vec::new(),
        }
    }

    /// A denial that no rule gave.
    pub(crate) fn deny_by_code(&mut self, mode: Mode, pack: &str, code: Code, title: &str) {
        let reason = Reason {
            rule: code.as_str().into(),
            pack: pack.into(),
            effect: "forbid",
            title: title.into(),
            legal_source: None,
        };
        self.deny(mode, reason);
    }

    /// The facts that kept the forbids away from what was permitted.
    pub(crate) fn rest_permit_on(
        &mut self,
        mode: Mode,
        candidate: &PreparedCandidate,
        asked: &[&Asked],
    ) {
        if mode == Mode::Enforce {
            let known = candidate.facts.iter();
            let known = known.filter(|fact| asked.iter().any(|asked| asked.has(fact)));
            add_facts(&mut self.permit_facts, known);
        }
    }

    /// The facts behind the latest denial.
    pub(crate) fn rest_denial_on<'a>(
        &mut self,
        mode: Mode,
        facts: impl IntoIterator<Item = &'a PreparedFact>,
    ) {
        if mode == Mode::Enforce && self.tells() {
            add_facts(&mut self.denial_facts, facts);
        }
    }

    /// The answer of all that was heard.
    pub(crate) fn close(mut self) -> Judgement {
        // INVARIANT: nothing said is a denial; only an enforced pack can permit.
        if self.denials.is_empty() && self.permits.is_empty() {
            self.deny_by_code(
                Mode::Enforce,
                "",
                Code::NoRulePermits,
                "no enforced policy permits it",
            );
        }
        if self.denials.is_empty() {
            Judgement {
                effect: Effect::Permit,
                reasons: self.permits,
                facts: self.permit_facts,
                obligations: self.obligations.into_iter().collect(),
                report_deny: self.report,
            }
        } else {
            Judgement {
                effect: Effect::Deny,
                reasons: self.denials,
                facts: self.denial_facts,
                obligations: Vec::new(),
                report_deny: self.report,
            }
        }
    }

    fn permit(&mut self, mode: Mode, pack: &Pack, candidate: &PreparedCandidate, rule: &Rule) {
        if mode == Mode::Enforce {
            push_once(&mut self.permits, reason_of(pack, rule));
            if self.tells() {
                add_facts(&mut self.permit_facts, read_by(rule, candidate));
            }
            self.obligations.extend(rule.obligation);
        }
    }

    fn deny(&mut self, mode: Mode, reason: Reason) {
        match mode {
            Mode::Enforce => push_once(&mut self.denials, reason),
            Mode::Report => push_once(&mut self.report, reason),
        }
    }

    fn deny_for_errors(
        &mut self,
        pack: &Pack,
        candidate: &PreparedCandidate,
        errors: &[AuthorizationError],
    ) {
        let mode = pack.mode();
        for error in errors {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            let rule = pack.rules.get(error.policy_id());
            let title = format!(
                "rule `{}` failed while it was evaluated: {}",
                error.policy_id(),
                error.inner()
            );
            self.deny_by_code(mode, pack.name(), Code::EvaluationError, &title);
            if let Some(rule) = rule {
                self.rest_denial_on(mode, read_by(rule, candidate));
            }
        }
    }
}

/// The candidate's facts that this rule read.
fn read_by<'a>(
    rule: &'a Rule,
    candidate: &'a PreparedCandidate,
) -> impl Iterator<Item = &'a PreparedFact> {
    candidate.facts.iter().filter(|fact| rule.asked.has(fact))
}

fn reason_of(pack: &Pack, rule: &Rule) -> Reason {
    Reason {
        rule: rule.id.clone(),
        pack: pack.name().into(),
        effect: if rule.is_permit() { "permit" } else { "forbid" },
        title: rule.title.clone(),
        legal_source: rule.legal_source.clone(),
    }
}

fn add_facts<'a>(
    lines: &mut Vec<Arc<FactLine>>,
    facts: impl IntoIterator<Item = &'a PreparedFact>,
) {
    for fact in facts {
        push_once(lines, fact.line.clone());
    }
}

fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
