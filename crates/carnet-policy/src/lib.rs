//! Turn facts and the operator's rules into a decision with reasons and obligations.
//!
//! Rules are [Cedar](https://www.cedarpolicy.com): typed, validated, explainable. They come in packs,
//! folders with a manifest, rules, a page and cases that run as tests. A request is permitted only if
//! **every** enforced pack permits **every** candidate of what may answer.
//!
//! ```text
//! PackSource ── Policies::load ──► Policies ┐
//!                                           ├─ Decider::new ─► Decider ─ decide ─► Permit | Denial
//! Registry + Overlay ──────────────► View ──┘                  │  │                      │
//!                                     Workload ─ principal ────┘  │                   Verdict
//!                      Resolution (facts of a target) ─ target ───┘     (reasons, facts, ways out)
//! ```
//!
//! # What holds
//!
//! - Only [`Decider::decide`] makes a [`Permit`]. It cannot be copied or read from data, names its one
//!   upstream and serves one attempt.
//! - A rule that fails while it is evaluated denies. Cedar itself would skip it, and a failing `forbid`
//!   would vanish.
//! - What is unknown is a value, and a pack that reads something which can be unknown does not load
//!   unless it says what happens then.
//! - A permit cannot rest on `resource in Country::"…"`, which asks for *some* ancestor, not for all.
//! - A pack that does not pass every check changes nothing, and all its mistakes are told at once.
//!
//! # What it does not do
//!
//! It reads no file, no clock and no network, and knows no country, producer or model: those are in the
//! registry and in the packs.
//!
//! ```
//! use carnet_policy::{PackSource, Policies};
//!
//! let rules = r#"
//!     @id("known") @title("where it comes from is known")
//!     permit (principal, action, resource) when { resource.weights_complete };
//! "#;
//! let manifest = "name = \"mine\"\ntitle = \"Known origin\"";
//! let files = vec![("pack.toml".to_owned(), manifest.to_owned()), ("rules.cedar".to_owned(), rules.to_owned())];
//! let pack = PackSource::new("mine", files);
//! let policies = Policies::load(&[pack]).expect("the rules are sound");
//! assert_eq!(policies.packs()[0].title(), "Known origin");
//! ```

mod cache;
mod cases;
mod codes;
mod compare;
mod counted;
mod court;
mod decide;
mod entities;
mod exception;
mod expand;
mod explain;
mod facts;
#[cfg(test)]
mod fixture;
mod format;
mod help;
pub mod limits;
mod load;
mod mutate;
mod names;
mod outcome;
mod pack;
mod parameters;
mod plan;
mod problem;
mod proof;
mod reading;
mod rule;
mod run;
mod shape;
mod syntax;
mod target;
mod unknown;
mod verdict;
mod whatif;
mod words;
mod workload;

pub use cache::CacheCounters;
pub use codes::{Code, Stage};
pub use compare::{ClassChange, Comparison, Turned, compare_policies};
pub use decide::{Decider, DeciderOptions};
pub use exception::Exception;
pub use facts::UNKNOWN;
pub use format::format_rules;
pub use load::{Policies, SCHEMA};
pub use mutate::{Mutant, run_mutants};
pub use outcome::{Decision, Denial, Obligation, Permit};
pub use pack::{MANIFEST, Mode, Pack, PackSource, Trust};
pub use parameters::{PackSettings, Parameter, Setting};
pub use problem::{Excerpt, PolicyProblem};
pub use proof::{always_true, known_here};
pub use rule::{Rule, Rules};
pub use run::{CaseResult, run_cases};
pub use target::{Principal, Target, TargetSpec};
pub use verdict::{Counterfactual, Effect, FactLine, Reason, Verdict};
pub use whatif::Situation;
pub use workload::{Api, Ask, CallerOwner, Finding, Percent, Workload};
