//! The question from its beginning to its end, within its time.

use std::io;
use std::time::Duration;

use cedar_policy::{Entities, Request, RequestEnv, Schema};
use tokio::time::{Instant, timeout_at};

use crate::book::{Book, Saying};
use crate::counterexample::Counterexample;
use crate::error::ProveError;
use crate::goal::{Case, Goal, Shelf};
use crate::limits::{TIME_DEFAULT, TIME_MAX};
use crate::outcome::{Proof, Why};
use crate::process::Conversation;
use crate::property::{Pack, Property};
use crate::search::{Found, Search};
use crate::solver::Solver;
use crate::thread::{self, Broken};

/// Says whether all of these packs permit the request: the nearer to the real decision, the better.
/// [`permits`](crate::permits) is the plainest.
pub type Replay<'r> = dyn Fn(&[&Pack], &Request, &Entities) -> bool + Sync + 'r;

/// Asks the solver about packs that fit one schema.
#[derive(Debug)]
pub struct Prover<'s> {
    schema: &'s Schema,
    solver: &'s Solver,
    limit: Duration,
}

impl<'s> Prover<'s> {
    /// With the usual time limit, [`TIME_DEFAULT`].
    #[must_use]
    pub fn new(schema: &'s Schema, solver: &'s Solver) -> Self {
        Self {
            schema,
            solver,
            limit: TIME_DEFAULT,
        }
    }

    /// How long a whole question may take, a day at most. Then the solver is killed.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit.min(TIME_MAX);
        self
    }

    /// Prove the property, or find a request that breaks it. It blocks, until the time limit at most.
    ///
    /// `packs` are all packs in force; a [`Claim::Implies`](crate::Claim::Implies) brings its own and
    /// looks at no others. No request counts as a counterexample unless `replay` agrees.
    ///
    /// # Errors
    /// When the property or a pack is wrong in itself, or the solver does not start.
    pub fn prove(
        &self,
        property: &Property,
        packs: &[Pack],
        replay: &Replay<'_>,
    ) -> Result<Proof, ProveError> {
        property
            .check(self.schema)
            .map_err(|problems| ProveError::Property { problems })?;
        let shelf = Shelf::of(property, packs, self.schema)?;
        let case = Case::of(property, &shelf)?;
        let begun = Instant::now();
        let asked = match thread::block_on(|| self.ask(&case, begun, replay)) {
            Ok(asked) => asked,
            // The symbolic compiler met what it does not expect. That settles nothing.
            Err(Broken::Panicked(message)) => Ok(Err(Why::SolverFailed { message })),
            Err(Broken::System(error)) => Err(error),
        };
        let settled = asked.map_err(|source| ProveError::Solver { source })?;
        Ok(settled.unwrap_or_else(|why| Proof::Inconclusive {
            why,
            after: begun.elapsed(),
        }))
    }

    async fn ask(
        &self,
        case: &Case<'_>,
        begun: Instant,
        replay: &Replay<'_>,
    ) -> io::Result<Result<Proof, Why>> {
        let conversation = Conversation::start(self.solver, self.limit)?;
        let mut search = match Search::new(conversation, self.schema) {
            Ok(search) => search,
            Err(why) => return Ok(Err(why)),
        };
        let inquiry = Inquiry {
            envs: self.schema.request_envs().collect(),
            replay,
        };
        let answer = timeout_at(begun + self.limit, inquiry.settle(case, &mut search)).await;
        search.kill().await;
        Ok(answer.unwrap_or(Err(Why::TimeLimit { limit: self.limit })))
    }
}

/// A question under way.
struct Inquiry<'q> {
    envs: Vec<RequestEnv>,
    replay: &'q Replay<'q>,
}

impl Inquiry<'_> {
    /// A counterexample in any goal counts more than a goal that stays open, and that more than proofs.
    async fn settle(&self, case: &Case<'_>, search: &mut Search<'_>) -> Result<Proof, Why> {
        let mut open = None;
        for goal in case.goals() {
            for env in &self.envs {
                let why = match search.settle(&goal, env).await {
                    Found::Nothing => continue,
                    Found::Unsettled(why) => why,
                    Found::Request(found, sayings) => {
                        match self.replayed(&goal, &found.request, &found.entities, sayings) {
                            Some(counterexample) => {
                                let counterexample = Box::new(counterexample);
                                return Ok(Proof::Disproved { counterexample });
                            }
                            None => Why::NotReplayed,
                        }
                    }
                };
                if matches!(why, Why::SolverFailed { .. }) {
                    return Err(why);
                }
                open.get_or_insert(why);
            }
        }
        if let Some(why) = open {
            return Err(why);
        }
        self.rule_out_failures(case, search).await?;
        let vacuous = !self.possible(case, search).await;
        Ok(Proof::Proved { vacuous })
    }

    fn replayed<'p>(
        &self,
        goal: &Goal<'_, 'p>,
        request: &Request,
        entities: &Entities,
        mut sayings: Vec<(&'p Book<'p>, Saying)>,
    ) -> Option<Counterexample> {
        let packs: Vec<&Pack> = goal.permitted.iter().map(|book| book.pack).collect();
        if !(self.replay)(&packs, request, entities) {
            return None;
        }
        if let Some(book) = goal.denier() {
            let saying = book.ask(request, entities);
            if saying.permits || (self.replay)(&[book.pack], request, entities) {
                return None;
            }
            sayings.push((book, saying));
        }
        let reads = goal.reads();
        Some(Counterexample::of(request, entities, &sayings, reads))
    }

    /// To the solver a rule that fails is one that does not apply; to us it denies. Where that makes a
    /// difference, none may fail.
    async fn rule_out_failures(&self, case: &Case<'_>, search: &mut Search<'_>) -> Result<(), Why> {
        for (book, rule) in case.fragile() {
            for env in &self.envs {
                if search.fails(rule, env).await? {
                    return Err(Why::MayFail {
                        pack: book.pack.name.clone(),
                        rule: rule.id.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether any request meets the condition and the assumptions. When that cannot be told, it
    /// counts as possible: the proof stands either way.
    async fn possible(&self, case: &Case<'_>, search: &mut Search<'_>) -> bool {
        for env in &self.envs {
            if search.possible(&case.given, env).await.unwrap_or(true) {
                return true;
            }
        }
        false
    }
}
