//! The search for a request that a goal describes, with as few rules as the answer needs.
//!
//! It begins with what the property asks and the forbids that read nothing else. A rule that is left
//! out can only let more requests through, so when the solver finds none, there is none. When it finds
//! one, the ordinary authorizer is asked: if the packs permit it, it is the counterexample; if one of
//! them denies it, the rules by which it does so come into play, and the solver is asked again. Rules
//! of a pack that is in play come first: often one pack alone suffices.
//!
//! Measured with cvc5 1.0.3 on a made-up pack of 200 rules: 0.04 s for a proof and 0.05 s for a
//! counterexample, where all its rules at once took 1.0 s and 1.6 s.

use std::collections::BTreeSet;

use cedar_policy::pst::Clause;
use cedar_policy::{Authorizer, Decision, Effect, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, always_denies_asserts,
    implies_asserts, never_errors_asserts,
};

use crate::book::{Book, Saying};
use crate::goal::Goal;
use crate::outcome::Why;
use crate::process::Conversation;
use crate::rule::{Rule, any, joined};

/// What came of a goal in one request environment.
pub(crate) enum Found<'p> {
    /// No request is in it.
    Nothing,
    /// This one is, by the ordinary authorizer, with what the packs that permit say.
    Request(Box<Env>, Vec<(&'p Book<'p>, Saying)>),
    /// It could not be told.
    Unsettled(Why),
}

/// The solver and what it is asked about.
pub(crate) struct Search<'s> {
    compiler: CedarSymCompiler<Conversation>,
    schema: &'s Schema,
}

impl<'s> Search<'s> {
    pub(crate) fn new(conversation: Conversation, schema: &'s Schema) -> Result<Self, Why> {
        let compiler = CedarSymCompiler::new(conversation).map_err(why)?;
        Ok(Self { compiler, schema })
    }

    pub(crate) async fn kill(&mut self) {
        self.compiler.solver_mut().kill().await;
    }

    /// Whether some request of this environment is in the goal.
    pub(crate) async fn settle<'p>(&mut self, goal: &Goal<'_, 'p>, env: &RequestEnv) -> Found<'p> {
        match self.try_settle(goal, env).await {
            Ok(found) => found,
            Err(why) => Found::Unsettled(why),
        }
    }

    async fn try_settle<'p>(
        &mut self,
        goal: &Goal<'_, 'p>,
        env: &RequestEnv,
    ) -> Result<Found<'p>, Why> {
        let mut play = Play::begin(goal);
        let unpermitted = self.unpermitted(goal, env)?;
        loop {
            let rules = play.rules(goal)?;
            let compiled = CompiledPolicySet::compile(&rules, env, self.schema).map_err(why)?;
            let Some(found) = self.find(&compiled, unpermitted.as_ref()).await? else {
                return Ok(Found::Nothing);
            };
            if !meets(goal, &found)? {
                return Err(Why::NotReplayed);
            }
            let sayings: Vec<(&Book<'_>, Saying)> = goal
                .permitted
                .iter()
                .map(|book| (*book, book.ask(&found.request, &found.entities)))
                .collect();
            if sayings.iter().all(|(_, saying)| saying.permits) {
                return Ok(Found::Request(Box::new(found), sayings));
            }
            if !play.learn(&sayings) {
                // It is denied by rules that the solver was told of: its model is wrong.
                return Err(Why::NotReplayed);
            }
        }
    }

    fn unpermitted(
        &self,
        goal: &Goal<'_, '_>,
        env: &RequestEnv,
    ) -> Result<Option<CompiledPolicySet>, Why> {
        let Some(permits) = goal.unpermitted() else {
            return Ok(None);
        };
        let set = alone(permits)?;
        CompiledPolicySet::compile(&set, env, self.schema)
            .map(Some)
            .map_err(why)
    }

    /// A request that these rules permit and the others do not.
    async fn find(
        &mut self,
        permitted: &CompiledPolicySet,
        unpermitted: Option<&CompiledPolicySet>,
    ) -> Result<Option<Env>, Why> {
        let asserts = match unpermitted {
            Some(others) => implies_asserts(permitted, others),
            None => always_denies_asserts(permitted),
        };
        self.compiler.check_sat(&asserts).await.map_err(why)
    }

    /// Whether some request meets all of these rules.
    pub(crate) async fn possible(&mut self, given: &[Rule], env: &RequestEnv) -> Result<bool, Why> {
        let clauses = given.iter().flat_map(|rule| &rule.clauses);
        let policy = joined("given", Effect::Permit, clauses).map_err(failed)?;
        let set = PolicySet::from_policies([policy]).map_err(failed)?;
        let compiled = CompiledPolicySet::compile(&set, env, self.schema).map_err(why)?;
        let asserts = always_denies_asserts(&compiled);
        self.compiler
            .check_unsat(&asserts)
            .await
            .map(|none| !none)
            .map_err(why)
    }

    /// Whether the rule can fail on some request of this environment.
    pub(crate) async fn fails(&mut self, rule: &Rule, env: &RequestEnv) -> Result<bool, Why> {
        let compiled = CompiledPolicy::compile(&rule.policy, env, self.schema).map_err(why)?;
        let asserts = never_errors_asserts(&compiled);
        self.compiler
            .check_unsat(&asserts)
            .await
            .map(|never| !never)
            .map_err(why)
    }
}

/// The rules that the solver has been told of.
struct Play<'c, 'p> {
    packs: Vec<InPlay<'c, 'p>>,
}

/// What is in play of one pack.
struct InPlay<'c, 'p> {
    book: &'c Book<'p>,
    permits: bool,
    forbids: BTreeSet<PolicyId>,
}

impl<'c, 'p> Play<'c, 'p> {
    /// The forbids that speak of nothing but what the goal speaks of.
    fn begin(goal: &Goal<'c, 'p>) -> Self {
        let reads = goal.reads();
        let packs = goal.permitted.iter().map(|book| InPlay {
            book,
            permits: false,
            forbids: book
                .forbids
                .iter()
                .filter(|rule| rule.reads.iter().all(|read| reads.contains(read.as_str())))
                .map(|rule| rule.id.clone())
                .collect(),
        });
        Self {
            packs: packs.collect(),
        }
    }

    /// Bring into play why one pack denies. False when all of that is in play already.
    fn learn(&mut self, sayings: &[(&Book<'_>, Saying)]) -> bool {
        let mut denials: Vec<(&mut InPlay<'_, '_>, &Saying)> = self
            .packs
            .iter_mut()
            .zip(sayings)
            .map(|(pack, (_, saying))| (pack, saying))
            .filter(|(_, saying)| !saying.permits)
            .collect();
        denials.sort_by_key(|(pack, _)| !pack.permits && pack.forbids.is_empty());
        for (pack, saying) in denials {
            let mut learnt = false;
            for forbid in &pack.book.forbids {
                if saying.rules.contains(&forbid.id) {
                    learnt |= pack.forbids.insert(forbid.id.clone());
                }
            }
            // No rule speaks against it, so none speaks for it.
            if saying.rules.is_empty() {
                learnt = !pack.permits;
                pack.permits = true;
            }
            if learnt {
                return true;
            }
        }
        false
    }

    /// One set of rules that permits what meets the goal and what is in play: a single permit that asks
    /// for some permit of each pack, and the forbids.
    fn rules(&self, goal: &Goal<'_, '_>) -> Result<PolicySet, Why> {
        let some_permit: Vec<Clause> = self
            .packs
            .iter()
            .filter(|pack| pack.permits)
            .map(|pack| any(&pack.book.permits))
            .collect();
        let clauses = goal.clauses().chain(&some_permit);
        let mut rules = vec![joined("goal", Effect::Permit, clauses).map_err(failed)?];
        for pack in &self.packs {
            let forbids = pack.book.forbids.iter();
            for forbid in forbids.filter(|rule| pack.forbids.contains(&rule.id)) {
                // Two packs may use one id.
                let id = PolicyId::new(format!("forbid-{}", rules.len()));
                rules.push(forbid.policy.new_id(id));
            }
        }
        PolicySet::from_policies(rules).map_err(failed)
    }
}

/// Whether the request is in the goal, packs that permit apart, by the ordinary authorizer.
fn meets(goal: &Goal<'_, '_>, found: &Env) -> Result<bool, Why> {
    let allows = |set: &PolicySet| {
        let response = Authorizer::new().is_authorized(&found.request, set, &found.entities);
        response.decision() == Decision::Allow
    };
    let given = joined("given", Effect::Permit, goal.clauses()).map_err(failed)?;
    let given = PolicySet::from_policies([given]).map_err(failed)?;
    let unpermitted = goal.unpermitted().map(alone).transpose()?;
    Ok(allows(&given) && !unpermitted.is_some_and(|permits| allows(&permits)))
}

fn alone(rules: &[Rule]) -> Result<PolicySet, Why> {
    PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone())).map_err(failed)
}

fn failed(error: impl std::error::Error) -> Why {
    Why::SolverFailed {
        message: error.to_string(),
    }
}

/// What an error of the symbolic compiler means for the question.
fn why(error: Error) -> Why {
    match error {
        Error::SolverUnknown => Why::Unknown,
        Error::ModelInvalid { .. } => Why::NotReplayed,
        other => failed(other),
    }
}
