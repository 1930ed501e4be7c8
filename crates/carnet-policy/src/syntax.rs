//! Walks over the syntax tree of a rule: what it reads, whom it names, what must hold for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::pst::{
    BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint,
    ResourceConstraint, Template, UnaryOp, Var,
};

/// Stands in a set of reads for `resource in …`: the lineage as a hierarchy.
pub(crate) const ANCESTRY: &str = "in";

/// A condition of a rule: the expression and the value it must have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) expr: Arc<Expr>,
    pub(crate) holds: bool,
}

/// The direct parts of an expression.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Is { expr, in_expr, .. } => {
            let mut parts: Vec<&Expr> = vec![expr];
            parts.extend(in_expr.as_deref());
            parts
        }
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Expr::Record(fields) => fields.values().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// `producer.country` for `resource.producer.country`; nothing for anything else.
pub(crate) fn resource_path(expr: &Expr) -> Option<String> {
    path_from(expr, &Var::Resource)
}

/// The same for attributes of another variable.
pub(crate) fn path_from(expr: &Expr, root: &Var) -> Option<String> {
    let Expr::GetAttr { expr: inner, attr } = expr else {
        return None;
    };
    match inner.as_ref() {
        Expr::Var(var) => (var == root).then(|| attr.to_string()),
        inner => path_from(inner, root).map(|path| format!("{path}.{attr}")),
    }
}

/// The target's attributes that an expression reads, and [`ANCESTRY`] when it asks for ancestors.
pub(crate) fn reads(expr: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect_reads(expr, &mut found);
    found
}

fn collect_reads(expr: &Expr, found: &mut BTreeSet<String>) {
    if let Some(path) = resource_path(expr) {
        found.insert(path);
        return;
    }
    match expr {
        Expr::HasAttr { expr: inner, attrs } => {
            let base = resource_path(inner)
                .map(|path| format!("{path}."))
                .unwrap_or_default();
            if matches!(inner.as_ref(), Expr::Var(Var::Resource)) || !base.is_empty() {
                let path: Vec<&str> = attrs.iter().map(|attr| attr.as_str()).collect();
                found.insert(format!("{base}{}", path.join(".")));
                return;
            }
        }
        // The attribute of something computed: it may be the target, so it counts as read.
        Expr::GetAttr { expr: inner, attr } if !rooted_elsewhere(inner) => {
            found.insert(attr.to_string());
        }
        Expr::BinaryOp {
            op: BinaryOp::In,
            left,
            ..
        }
        | Expr::Is {
            expr: left,
            in_expr: Some(_),
            ..
        } if may_be_resource(left) => {
            found.insert(ANCESTRY.to_owned());
        }
        _ => {}
    }
    for part in children(expr) {
        collect_reads(part, found);
    }
}

/// A chain of attributes that begins at the caller, the action or the context.
fn rooted_elsewhere(expr: &Expr) -> bool {
    match expr {
        Expr::Var(var) => *var != Var::Resource,
        Expr::GetAttr { expr, .. } => rooted_elsewhere(expr),
        _ => false,
    }
}

fn may_be_resource(expr: &Expr) -> bool {
    !matches!(expr, Expr::Var(Var::Principal | Var::Action))
}

/// Everything that the right side of some `resource in …` names.
pub(crate) fn ancestry_asked(expr: &Expr) -> Vec<EntityUID> {
    let mut found = Vec::new();
    match expr {
        Expr::BinaryOp {
            op: BinaryOp::In,
            left,
            right,
        } if may_be_resource(left) => literals(right, &mut found),
        Expr::Is {
            expr: left,
            in_expr: Some(right),
            ..
        } if may_be_resource(left) => literals(right, &mut found),
        _ => {}
    }
    for part in children(expr) {
        found.extend(ancestry_asked(part));
    }
    found
}

/// All entities that an expression names.
pub(crate) fn literals(expr: &Expr, found: &mut Vec<EntityUID>) {
    if let Expr::Literal(Literal::EntityUID(uid)) = expr {
        found.push(uid.clone());
    }
    for part in children(expr) {
        literals(part, found);
    }
}

/// The attributes that hold ids of public lists.
const LISTS: [&str; 4] = [
    "counted.group_lists",
    "counted.lists",
    "host_lists",
    "producer.lists",
];

/// The public lists that an expression asks for.
pub(crate) fn lists_asked(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    if let Expr::BinaryOp { left, right, .. } = expr {
        let lists = |side: &Expr| resource_path(side).is_some_and(|path| LISTS.contains(&&*path));
        for (side, other) in [(left, right), (right, left)] {
            if lists(side) {
                texts(other, &mut found);
            }
        }
    }
    for part in children(expr) {
        found.extend(lists_asked(part));
    }
    found
}

/// The texts written in an expression.
fn texts(expr: &Expr, found: &mut Vec<String>) {
    if let Expr::Literal(Literal::String(text)) = expr {
        found.push(text.to_string());
    }
    for part in children(expr) {
        texts(part, found);
    }
}

/// What must hold for a rule to apply: its scope and its clauses, split at every `&&`.
pub(crate) fn conditions(rule: &Template) -> Vec<Condition> {
    let mut found = Vec::new();
    for expr in [
        principal_scope(&rule.principal),
        resource_scope(&rule.resource),
    ]
    .into_iter()
    .flatten()
    {
        found.push(Condition {
            expr: Arc::new(expr),
            holds: true,
        });
    }
    for clause in rule.clauses() {
        match clause {
            Clause::When(expr) => split(expr, true, &mut found),
            Clause::Unless(expr) => split(expr, false, &mut found),
        }
    }
    found
}

fn split(expr: &Arc<Expr>, holds: bool, found: &mut Vec<Condition>) {
    match (expr.as_ref(), holds) {
        (
            Expr::BinaryOp {
                op: BinaryOp::And,
                left,
                right,
            },
            true,
        )
        | (
            Expr::BinaryOp {
                op: BinaryOp::Or,
                left,
                right,
            },
            false,
        ) => {
            split(left, holds, found);
            split(right, holds, found);
        }
        (
            Expr::UnaryOp {
                op: UnaryOp::Not,
                expr,
            },
            _,
        ) => split(expr, !holds, found),
        _ => found.push(Condition {
            expr: expr.clone(),
            holds,
        }),
    }
}

fn principal_scope(scope: &PrincipalConstraint) -> Option<Expr> {
    let (op, entity) = match scope {
        PrincipalConstraint::Eq(entity) => (BinaryOp::Eq, entity),
        PrincipalConstraint::In(entity) | PrincipalConstraint::IsIn(_, entity) => {
            (BinaryOp::In, entity)
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => return None,
    };
    compare(Var::Principal, op, entity)
}

fn resource_scope(scope: &ResourceConstraint) -> Option<Expr> {
    let (op, entity) = match scope {
        ResourceConstraint::Eq(entity) => (BinaryOp::Eq, entity),
        ResourceConstraint::In(entity) | ResourceConstraint::IsIn(_, entity) => {
            (BinaryOp::In, entity)
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => return None,
    };
    compare(Var::Resource, op, entity)
}

fn compare(var: Var, op: BinaryOp, entity: &EntityOrSlot) -> Option<Expr> {
    let EntityOrSlot::Entity(uid) = entity else {
        return None;
    };
    let right = Arc::new(Expr::Literal(Literal::EntityUID(uid.clone())));
    Some(Expr::BinaryOp {
        op,
        left: Arc::new(Expr::Var(var)),
        right,
    })
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn rule(text: &str) -> Template {
        Policy::parse(None, text)
            .unwrap()
            .to_pst()
            .unwrap()
            .body()
            .clone()
    }

    fn read_by(text: &str) -> Vec<String> {
        let rule = rule(text);
        let all: BTreeSet<String> = conditions(&rule)
            .iter()
            .flat_map(|c| reads(&c.expr))
            .collect();
        all.into_iter().collect()
    }

    #[test]
    fn reads_are_found_wherever_they_hide() {
        let table = [
            (
                r#"permit(principal, action, resource) when { resource.producer.country == "US" };"#,
                "producer.country",
            ),
            (
                r#"permit(principal, action, resource) when { resource["host"] == "x" };"#,
                "host",
            ),
            (
                r#"permit(principal, action, resource) when { resource has licence };"#,
                "licence",
            ),
            (
                r#"permit(principal, action, resource) when { {a: resource.egress}.a == "x" };"#,
                "a egress",
            ),
            (
                r#"permit(principal, action, resource) when { (if true then resource else resource).egress == "x" };"#,
                "egress",
            ),
            (
                r#"permit(principal, action, resource) when { principal.country == "US" && context.stream };"#,
                "",
            ),
            (
                r#"permit(principal in Country::"US", action, resource);"#,
                "",
            ),
            (
                r#"forbid(principal, action, resource in Country::"US");"#,
                "in",
            ),
            (
                r#"forbid(principal, action, resource) when { resource is Target in Country::"US" };"#,
                "in",
            ),
            (
                r#"forbid(principal, action, resource) unless { principal in Country::"US" || resource in [Country::"US"] };"#,
                "in",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read_by(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn conditions_split_at_and_and_turn_round_at_unless() {
        let rule = rule(
            r#"forbid(principal, action, resource) when { context.stream && !resource.router } unless { resource.overlay || resource.disputed };"#,
        );
        let shown: Vec<String> = conditions(&rule)
            .iter()
            .map(|c| format!("{} {}", c.expr, c.holds))
            .collect();
        assert_eq!(
            shown,
            [
                "context.stream true",
                "resource.router false",
                "resource.overlay false",
                "resource.disputed false"
            ]
        );
    }
}
