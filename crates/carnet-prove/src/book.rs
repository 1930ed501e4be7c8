//! The packs of a question, checked and taken apart into permits and forbids.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Decision, Effect, Entities, PolicyId, PolicySet, Request, Schema, ValidationMode,
    Validator,
};

use crate::error::ProveError;
use crate::property::Pack;
use crate::rule::Rule;

/// One pack, taken apart.
#[derive(Debug)]
pub(crate) struct Book<'p> {
    pub(crate) pack: &'p Pack,
    pub(crate) permits: Vec<Rule>,
    pub(crate) forbids: Vec<Rule>,
}

/// What a pack says to a request, and by which rules.
#[derive(Clone, Debug)]
pub(crate) struct Saying {
    pub(crate) permits: bool,
    /// The rules that the decision rests on; none when no rule applied.
    pub(crate) rules: BTreeSet<PolicyId>,
}

impl<'p> Book<'p> {
    pub(crate) fn all(packs: &'p [Pack], schema: &Schema) -> Result<Vec<Self>, ProveError> {
        if packs.is_empty() {
            return Err(ProveError::NoPack);
        }
        let mut names = BTreeSet::new();
        for pack in packs {
            if !names.insert(&pack.name) {
                let pack = pack.name.clone();
                return Err(ProveError::TwicePack { pack });
            }
        }
        packs.iter().map(|pack| Self::of(pack, schema)).collect()
    }

    fn of(pack: &'p Pack, schema: &Schema) -> Result<Self, ProveError> {
        let invalid = |message: String| ProveError::InvalidPack {
            pack: pack.name.clone(),
            message,
        };
        if pack.rules.templates().next().is_some() || pack.rules.policies().any(|p| !p.is_static())
        {
            let pack = pack.name.clone();
            return Err(ProveError::Template { pack });
        }
        let result = Validator::new(schema.clone()).validate(&pack.rules, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(invalid(error.to_string()));
        }
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for policy in pack.rules.policies() {
            let rule = Rule::of(policy).map_err(|error| invalid(error.to_string()))?;
            match policy.effect() {
                Effect::Permit => permits.push(rule),
                Effect::Forbid => forbids.push(rule),
            }
        }
        // A policy set has no order; questions shall be the same each time.
        permits.sort_by(|a, b| a.id.cmp(&b.id));
        forbids.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self {
            pack,
            permits,
            forbids,
        })
    }

    /// What the ordinary authorizer says.
    pub(crate) fn ask(&self, request: &Request, entities: &Entities) -> Saying {
        saying(&self.pack.rules, request, entities)
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.permits.iter().chain(&self.forbids)
    }
}

/// Whether every one of these packs permits the request, by Cedar's ordinary authorizer. A rule that
/// fails while it is evaluated denies. It serves as replay where a caller has nothing nearer to the
/// real decision.
#[must_use]
pub fn permits(packs: &[&Pack], request: &Request, entities: &Entities) -> bool {
    packs
        .iter()
        .all(|pack| saying(&pack.rules, request, entities).permits)
}

fn saying(rules: &PolicySet, request: &Request, entities: &Entities) -> Saying {
    let response = Authorizer::new().is_authorized(request, rules, entities);
    let failed = response.diagnostics().errors().next().is_some();
    Saying {
        permits: response.decision() == Decision::Allow && !failed,
        rules: response.diagnostics().reason().cloned().collect(),
    }
}
