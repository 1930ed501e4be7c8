//! Drive the solver: prove a property of policies for every request that could ever be, or find one
//! that breaks it.
//!
//! A test shows what a policy does to the requests that somebody thought of. Here a question is put to
//! [cvc5](https://cvc5.github.io), which weighs all of them at once, with every value an attribute can
//! have and every hierarchy, whatever a registry says today.
//!
//! ```text
//! "never permit when …" ── Property ┐                                    ┌─► Proved
//!                                   ├─ Prover::prove ─► goals ─► search ─┼─► Disproved { counterexample }
//! Schema, [Pack, …], Solver ────────┘                      ▲   │         └─► Inconclusive { why, after }
//!                                                          │   ▼
//!                                    the ordinary authorizer   cvc5, a process with a time limit
//! ```
//!
//! A request counts as permitted only if **every** pack permits it. A [`Property`] claims one of:
//!
//! | claim | text |
//! |---|---|
//! | [`Claim::Never`] | `never permit when CONDITION` |
//! | [`Claim::Always`] | `always permit when CONDITION` |
//! | [`Claim::NoConflict`] | `packs A and B never conflict`, or `… when CONDITION` |
//! | [`Claim::Implies`] | none: everything that the new packs permit, the old ones permitted |
//!
//! A condition is what stands in the `when` of a Cedar rule. *Assumptions* narrow the requests to those
//! that one registry allows: with them a proof holds for it, without them for any.
//!
//! # What holds
//!
//! - Nothing is disproved but by a request that the ordinary authorizer, and then the caller's
//!   [`Replay`], decides as the solver said. Anything else is [`Proof::Inconclusive`].
//! - A rule that fails while it is evaluated denies, as in Carnet's decisions. Where Cedar's own reading,
//!   that it does not apply, could make a difference, the answer is inconclusive.
//! - The solver is killed through its handle when the time is up, and its memory is bounded.
//! - A proof about requests that cannot be, because condition and assumptions exclude each other, is
//!   marked [`vacuous`](Proof::Proved::vacuous).
//!
//! # What it does not do
//!
//! It knows no registry, no file and no country, and prints nothing. It does not read the environment:
//! the caller passes the values of `$CVC5` and `$PATH`. Templates are refused. What cvc5 and the
//! translation into its language get wrong, a proof gets wrong too; only counterexamples are checked.
//!
//! # Example
//!
//! ```
//! use carnet_prove::{Pack, Proof, Property, Prover, Solver, permits};
//! use cedar_policy::Schema;
//!
//! let (schema, _) = Schema::from_cedarschema_str(r#"
//!     entity Workload { sector: String };
//!     entity Target { country: String };
//!     action "use" appliesTo { principal: [Workload], resource: [Target] };
//! "#)?;
//! let rules = r#"
//!     permit (principal, action, resource);
//!     forbid (principal, action, resource) when { principal.sector == "gov" && resource.country == "AA" };
//! "#;
//! let packs = [Pack { name: "mine".to_owned(), rules: rules.parse()? }];
//! let property: Property =
//!     r#"never permit when principal.sector == "government" && resource.country == "AA""#.parse()?;
//!
//! let solver = Solver::find(std::env::var_os("CVC5").as_deref(), std::env::var_os("PATH").as_deref())
//!     .map_err(|problem| format!("{problem}: {}", problem.help()))?;
//! match Prover::new(&schema, &solver).prove(&property, &packs, &permits)? {
//!     // The rule says "gov", the property "government".
//!     Proof::Disproved { counterexample } => {
//!         assert_eq!(counterexample.principal.attributes["sector"], "government");
//!         assert!(counterexample.answers[0].permits);
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod book;
mod condition;
mod counterexample;
mod error;
mod goal;
mod key;
pub mod limits;
mod outcome;
mod problem;
mod process;
mod property;
mod prover;
mod reads;
mod rule;
mod search;
mod solver;
mod thread;

pub use book::permits;
pub use condition::Condition;
pub use counterexample::{Counterexample, PackAnswer, Party};
pub use error::ProveError;
pub use key::cache_key;
pub use outcome::{Proof, Why};
pub use problem::{Part, PropertyProblem};
pub use property::{Claim, Pack, Property};
pub use prover::{Prover, Replay};
pub use solver::{Solver, SolverProblem};
