//! Packs with one thing taken out, to see whether a case notices.
//!
//! A rule, a condition or a date that no case needs is either idle or untested. Each is taken out in
//! turn: a rule; one side of an `&&` or `||`; a whole `when`, `unless` or scope; a day; an `@only_with`; an
//! `@obligation`.

use std::fmt;
use std::sync::Arc;

use carnet_provenance::Registry;
use cedar_policy::pst::{
    self, BinaryOp, Clause, Expr, PrincipalConstraint, ResourceConstraint, Template, UnaryOp,
};
use cedar_policy::{Policy, PolicySet};
use jiff::civil::Date;
use serde::Serialize;

use crate::expand;
use crate::load::Policies;
use crate::pack::{MANIFEST, Manifest, PackSource};
use crate::parameters::Parameters;
use crate::problem::Place;
use crate::run::{Posed, Variants, each};

/// What is taken out of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mutant {
    /// The pack.
    pub pack: String,
    /// The rule.
    pub rule: String,
    /// What of it, for a person.
    pub without: String,
    /// Whether a case noticed.
    pub noticed: bool,
    #[serde(skip)]
    pub(crate) cut: Cut,
}

/// Which part of a rule is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it.
    Rule,
    /// The condition with this number.
    Condition(usize),
    /// Its `@valid_from`.
    From,
    /// Its `@valid_to`.
    To,
    /// Its `@only_with`.
    OnlyWith,
    /// Its `@obligation`.
    Obligation,
}

/// Take out each part of each rule in turn and run the pack's cases.
#[must_use]
pub fn run_mutants(policies: &Policies, registry: &Arc<Registry>, today: Date) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (pack, source) in each(policies) {
        let posed: Vec<Posed<'_>> = pack
            .cases
            .iter()
            .filter_map(|case| Posed::new(registry, today, &case.question).ok())
            .collect();
        let mut whole = Variants::new(source);
        // A case that fails anyway would notice everything.
        let posed: Vec<Posed<'_>> = posed
            .into_iter()
            .filter(|posed| {
                whole
                    .of(posed.question())
                    .and_then(|alone| posed.ask(&alone))
                    .and_then(|verdict| posed.compare(&verdict))
                    .is_ok()
            })
            .collect();
        for mut mutant in mutants(source) {
            let mut variants = Variants::of_mutant(source, &mutant);
            mutant.noticed = posed.iter().any(|posed| {
                variants
                    .of(posed.question())
                    .and_then(|alone| posed.ask(&alone))
                    .and_then(|verdict| posed.compare(&verdict))
                    .is_err()
            });
            all.push(mutant);
        }
    }
    all
}

/// Everything that can be taken out of a pack.
fn mutants(source: &PackSource) -> Vec<Mutant> {
    let mut found = Vec::new();
    let manifest = source.files.iter().find(|(file, _)| file == MANIFEST);
    let manifest = manifest.and_then(|(file, text)| {
        Manifest::parse(&Place {
            pack: &source.name,
            file,
            text,
        })
        .ok()
    });
    let parameters = manifest.map_or_else(Parameters::standard, |manifest| manifest.parameters);
    for (_, text) in source
        .files
        .iter()
        .filter(|(file, _)| file.ends_with(".cedar"))
    {
        let Ok(expanded) = expand::expand(text, &parameters) else {
            continue;
        };
        let Ok(set) = expanded.text.parse::<PolicySet>() else {
            continue;
        };
        for policy in set.policies() {
            found.extend(of_rule(&source.name, policy));
        }
    }
    found.sort_by(|a, b| a.rule.cmp(&b.rule));
    found
}

fn of_rule(pack: &str, policy: &Policy) -> Vec<Mutant> {
    let rule = policy.annotation("id").unwrap_or_default();
    let mutant = |without: String, cut| Mutant {
        pack: pack.to_owned(),
        rule: rule.to_owned(),
        without,
        noticed: false,
        cut,
    };
    let mut found = vec![mutant("the whole rule".to_owned(), Cut::Rule)];
    if let Ok(parsed) = policy.to_pst() {
        for (number, (without, _)) in cuts(parsed.body()).into_iter().enumerate() {
            found.push(mutant(without, Cut::Condition(number)));
        }
    }
    for (key, cut) in [
        ("valid_from", Cut::From),
        ("valid_to", Cut::To),
        ("only_with", Cut::OnlyWith),
        ("obligation", Cut::Obligation),
    ] {
        if let Some(value) = policy.annotation(key) {
            found.push(mutant(format!("@{key}(\"{value}\")"), cut));
        }
    }
    found
}

/// The rule without the condition of this number.
pub(crate) fn without(policy: &Policy, number: usize) -> Option<Policy> {
    let parsed = policy.to_pst().ok()?;
    let (_, body) = cuts(parsed.body()).into_iter().nth(number)?;
    let body = pst::StaticPolicy::try_from(body).ok()?;
    Policy::from_pst(pst::Policy::Static(body)).ok()
}

/// Every way to take one condition out, with what is gone.
fn cuts(body: &Template) -> Vec<(String, Template)> {
    let mut found = Vec::new();
    let any_principal = matches!(body.principal, PrincipalConstraint::Any);
    if !any_principal {
        let mut less = body.clone();
        less.principal = PrincipalConstraint::Any;
        found.push(("the scope of the principal".to_owned(), less));
    }
    if !matches!(body.resource, ResourceConstraint::Any) {
        let mut less = body.clone();
        less.resource = ResourceConstraint::Any;
        found.push(("the scope of the resource".to_owned(), less));
    }
    let clauses = body.clauses();
    for (at, clause) in clauses.iter().enumerate() {
        let others = || {
            clauses
                .iter()
                .enumerate()
                .filter(move |(other, _)| *other != at)
        };
        let (Clause::When(expr) | Clause::Unless(expr)) = clause;
        let whole = others().map(|(_, clause)| clause.clone());
        if let Ok(less) = body.clone().try_with_clauses(whole) {
            found.push((clause.to_string(), less));
        }
        for (gone, smaller) in smaller(expr) {
            let smaller = Arc::new(smaller);
            let replaced = match clause {
                Clause::When(_) => Clause::When(smaller),
                Clause::Unless(_) => Clause::Unless(smaller),
            };
            let all = clauses.iter().enumerate().map(|(other, clause)| {
                if other == at {
                    replaced.clone()
                } else {
                    clause.clone()
                }
            });
            if let Ok(less) = body.clone().try_with_clauses(all) {
                found.push((gone, less));
            }
        }
    }
    found
}

/// Every way to take one side of an `&&` or `||` out of an expression, with what is gone.
fn smaller(expr: &Expr) -> Vec<(String, Expr)> {
    match expr {
        Expr::BinaryOp {
            op: op @ (BinaryOp::And | BinaryOp::Or),
            left,
            right,
        } => {
            let mut found = vec![
                (right.to_string(), left.as_ref().clone()),
                (left.to_string(), right.as_ref().clone()),
            ];
            found.extend(smaller(left).into_iter().map(|(gone, less)| {
                let left = Arc::new(less);
                let (op, right) = (*op, right.clone());
                (gone, Expr::BinaryOp { op, left, right })
            }));
            found.extend(smaller(right).into_iter().map(|(gone, less)| {
                let right = Arc::new(less);
                let (op, left) = (*op, left.clone());
                (gone, Expr::BinaryOp { op, left, right })
            }));
            found
        }
        Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } => smaller(expr)
            .into_iter()
            .map(|(gone, less)| {
                let expr = Arc::new(less);
                let op = UnaryOp::Not;
                (gone, Expr::UnaryOp { op, expr })
            })
            .collect(),
        _ => Vec::new(),
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} without {}", self.pack, self.rule, self.without)
    }
}
