//! Rules in the form that questions are built from: clauses alone, which can be joined.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::pst::{
    self, ActionConstraint, BinaryOp, Clause, EntityOrSlot, EntityType, EntityUID, Expr, Literal,
    PrincipalConstraint, PstConstructionError, ResourceConstraint, StaticPolicy, Template, UnaryOp,
    Var,
};
use cedar_policy::{Effect, Policy, PolicyId};

use crate::reads;

/// A rule whose scope has become clauses. It applies exactly when all of them hold.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: PolicyId,
    pub(crate) policy: Policy,
    pub(crate) clauses: Vec<Clause>,
    /// What its clauses read of the request.
    pub(crate) reads: BTreeSet<String>,
}

impl Rule {
    pub(crate) fn of(policy: &Policy) -> Result<Self, PstConstructionError> {
        let body = policy.to_pst()?.body().clone();
        let mut clauses: Vec<Clause> = scope(&body)
            .into_iter()
            .map(|expr| Clause::When(Arc::new(expr)))
            .collect();
        clauses.extend(body.into_clauses());
        let reads = clauses
            .iter()
            .flat_map(|clause| reads::of(expr(clause)))
            .collect();
        Ok(Self {
            id: policy.id().clone(),
            policy: policy.clone(),
            clauses,
            reads,
        })
    }

    /// Whether it applies to whatever the other applies to, as far as the texts tell.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.clauses
            .iter()
            .all(|clause| other.clauses.contains(clause))
    }

    /// Whether something in it can fail while it is evaluated, as far as the text tells: sums that
    /// overflow and the like. What the validator rules out cannot.
    pub(crate) fn may_fail(&self) -> bool {
        self.clauses.iter().any(|clause| may_fail(expr(clause)))
    }
}

/// A rule that applies exactly when all these clauses hold.
pub(crate) fn joined<'c>(
    id: &str,
    effect: Effect,
    clauses: impl IntoIterator<Item = &'c Clause>,
) -> Result<Policy, PstConstructionError> {
    let effect = match effect {
        Effect::Forbid => pst::Effect::Forbid,
        Effect::Permit => pst::Effect::Permit,
    };
    let template = Template::new(
        id,
        effect,
        PrincipalConstraint::Any,
        ActionConstraint::Any,
        ResourceConstraint::Any,
    )
    .try_with_clauses(clauses.into_iter().cloned())?;
    Policy::from_pst(pst::Policy::Static(StaticPolicy::try_from(template)?))
}

/// A clause that holds exactly when one of these rules applies, if none of them can fail.
pub(crate) fn any(rules: &[Rule]) -> Clause {
    let applies = |rule: &Rule| {
        let clauses = rule.clauses.iter().map(|clause| match clause {
            Clause::When(expr) => expr.clone(),
            Clause::Unless(expr) => Arc::new(Expr::UnaryOp {
                op: UnaryOp::Not,
                expr: expr.clone(),
            }),
        });
        tree(BinaryOp::And, clauses, true)
    };
    Clause::When(tree(BinaryOp::Or, rules.iter().map(applies), false))
}

/// The parts joined by `op`; `none` when there are none.
fn tree(op: BinaryOp, parts: impl Iterator<Item = Arc<Expr>>, none: bool) -> Arc<Expr> {
    parts
        .reduce(|left, right| Arc::new(Expr::BinaryOp { op, left, right }))
        .unwrap_or_else(|| Arc::new(Expr::Literal(Literal::Bool(none))))
}

pub(crate) fn expr(clause: &Clause) -> &Expr {
    match clause {
        Clause::When(expr) | Clause::Unless(expr) => expr,
    }
}

/// What the scope asks, as expressions.
fn scope(body: &Template) -> Vec<Expr> {
    let principal = match &body.principal {
        PrincipalConstraint::Any => None,
        PrincipalConstraint::Eq(entity) => Some(compare(Var::Principal, BinaryOp::Eq, entity)),
        PrincipalConstraint::In(entity) => Some(compare(Var::Principal, BinaryOp::In, entity)),
        PrincipalConstraint::Is(kind) => Some(is(Var::Principal, kind, None)),
        PrincipalConstraint::IsIn(kind, entity) => Some(is(Var::Principal, kind, Some(entity))),
    };
    let action = match &body.action {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(binary(Var::Action, BinaryOp::Eq, literal(uid))),
        ActionConstraint::In(uids) => {
            let all = uids.iter().map(|uid| Arc::new(literal(uid))).collect();
            Some(binary(Var::Action, BinaryOp::In, Expr::Set(all)))
        }
    };
    let resource = match &body.resource {
        ResourceConstraint::Any => None,
        ResourceConstraint::Eq(entity) => Some(compare(Var::Resource, BinaryOp::Eq, entity)),
        ResourceConstraint::In(entity) => Some(compare(Var::Resource, BinaryOp::In, entity)),
        ResourceConstraint::Is(kind) => Some(is(Var::Resource, kind, None)),
        ResourceConstraint::IsIn(kind, entity) => Some(is(Var::Resource, kind, Some(entity))),
    };
    [principal, action, resource]
        .into_iter()
        .flatten()
        .collect()
}

fn compare(var: Var, op: BinaryOp, entity: &EntityOrSlot) -> Expr {
    binary(var, op, named(entity))
}

fn binary(var: Var, op: BinaryOp, right: Expr) -> Expr {
    Expr::BinaryOp {
        op,
        left: Arc::new(Expr::Var(var)),
        right: Arc::new(right),
    }
}

fn is(var: Var, kind: &EntityType, entity: Option<&EntityOrSlot>) -> Expr {
    Expr::Is {
        expr: Arc::new(Expr::Var(var)),
        entity_type: kind.clone(),
        in_expr: entity.map(|entity| Arc::new(named(entity))),
    }
}

/// Slots are only in templates, which are refused before; one would be refused again as a clause.
fn named(entity: &EntityOrSlot) -> Expr {
    match entity {
        EntityOrSlot::Entity(uid) => literal(uid),
        EntityOrSlot::Slot(slot) => Expr::Slot(*slot),
    }
}

fn literal(uid: &EntityUID) -> Expr {
    Expr::Literal(Literal::EntityUID(uid.clone()))
}

fn may_fail(expr: &Expr) -> bool {
    let safe = match expr {
        Expr::UnaryOp { op, .. } => matches!(op, UnaryOp::Not | UnaryOp::IsEmpty),
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::Less
                | BinaryOp::LessEq
                | BinaryOp::Greater
                | BinaryOp::GreaterEq
                | BinaryOp::And
                | BinaryOp::Or
                | BinaryOp::In
                | BinaryOp::Contains
                | BinaryOp::ContainsAll
                | BinaryOp::ContainsAny
                | BinaryOp::HasTag
        ),
        Expr::Literal(_)
        | Expr::Var(_)
        | Expr::GetAttr { .. }
        | Expr::HasAttr { .. }
        | Expr::Like { .. }
        | Expr::Is { .. }
        | Expr::IfThenElse { .. }
        | Expr::Set(_)
        | Expr::Record(_) => true,
        // Whatever Cedar may add.
        _ => false,
    };
    !safe || reads::parts(expr).into_iter().any(may_fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::of(&Policy::parse(None, text).unwrap()).unwrap()
    }

    #[test]
    fn scopes_become_clauses() {
        let rule = rule(
            r#"permit (principal is Workload in Country::"AA", action in [Action::"use", Action::"ask"], resource == Target::"x")
               when { context.stream } unless { resource.router };"#,
        );
        let joined = joined("j", Effect::Forbid, &rule.clauses).unwrap();
        let text = joined
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(text.starts_with("forbid"), "{text}");
        for part in [
            r#"principal is Workload in Country::"AA""#,
            r#"action in [Action::"use",Action::"ask"]"#,
            r#"resource == Target::"x""#,
            "context.stream",
            "unless { resource.router }",
        ] {
            let (text, part) = (text.replace(' ', ""), part.replace(' ', ""));
            assert!(text.contains(&part), "{part} in {text}");
        }
    }

    #[test]
    fn some_permit_is_one_clause() {
        let rules = [
            rule(
                "permit (principal, action, resource) when { context.stream } unless { resource.router };",
            ),
            rule("permit (principal, action, resource);"),
        ];
        let text = |rules: &[Rule]| any(rules).to_string();
        assert_eq!(
            text(&rules[..1]),
            "when { context.stream && (!resource.router) }"
        );
        assert_eq!(
            text(&rules),
            "when { (context.stream && (!resource.router)) || true }"
        );
        assert_eq!(text(&[]), "when { false }");
    }

    #[test]
    fn a_rule_with_fewer_clauses_covers_one_with_more() {
        let wide = rule("permit (principal, action, resource) when { context.stream };");
        let narrow = rule(
            "permit (principal, action == Action::\"use\", resource) when { context.stream };",
        );
        assert!(wide.covers(&narrow));
        assert!(!narrow.covers(&wide));
    }

    #[test]
    fn only_arithmetic_and_extensions_may_fail() {
        let with = |body: &str| {
            rule(&format!(
                "permit (principal, action, resource) when {{ {body} }};"
            ))
            .may_fail()
        };
        assert!(!with(
            r#"if resource.a has b then ["x"].containsAny(resource.s) else resource in Country::"AA""#
        ));
        assert!(!with(r#"!(resource.n < 3) && resource.t like "a*""#));
        for body in [
            "resource.n + 1 > 2",
            "-resource.n > 2",
            "resource.d.offset(duration(\"1h\")) == resource.d",
            "resource.getTag(\"x\") == \"y\"",
        ] {
            assert!(with(body), "{body}");
        }
    }
}
