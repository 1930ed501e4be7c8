//! What an expression reads of a request.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Expr, Var};

/// The attributes that it reads, such as `principal.sector`, and `resource in` where it asks for ancestors.
pub(crate) fn of(expr: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(expr, &mut found);
    found
}

fn collect(expr: &Expr, found: &mut BTreeSet<String>) {
    match expr {
        Expr::Var(_) | Expr::GetAttr { .. } => {
            if let Some(path) = path(expr) {
                found.insert(path);
                return;
            }
        }
        Expr::HasAttr { expr: inner, attrs } => {
            if let Some(path) = path(inner) {
                let attributes: Vec<&str> = attrs.iter().map(|attr| attr.as_str()).collect();
                found.insert(format!("{path}.{}", attributes.join(".")));
                return;
            }
        }
        Expr::BinaryOp {
            op: BinaryOp::In,
            left,
            right,
        } => {
            if let Some(path) = path(left) {
                found.insert(format!("{path} in"));
                collect(right, found);
                return;
            }
        }
        Expr::Is {
            expr: inner,
            in_expr: Some(_),
            ..
        } => {
            if let Some(path) = path(inner) {
                found.insert(format!("{path} in"));
                return;
            }
        }
        _ => {}
    }
    for part in parts(expr) {
        collect(part, found);
    }
}

/// `resource.producer.country`, or nothing for what does not begin at a variable.
fn path(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Var(Var::Principal) => Some("principal".to_owned()),
        Expr::Var(Var::Action) => Some("action".to_owned()),
        Expr::Var(Var::Resource) => Some("resource".to_owned()),
        Expr::Var(Var::Context) => Some("context".to_owned()),
        Expr::GetAttr { expr, attr } => path(expr).map(|path| format!("{path}.{attr}")),
        _ => None,
    }
}

/// The direct parts of an expression.
pub(crate) fn parts(expr: &Expr) -> Vec<&Expr> {
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

#[cfg(test)]
mod tests {
    use crate::condition::Condition;
    use crate::rule::Rule;

    #[test]
    fn reads_are_paths_from_a_variable() {
        let table = [
            (
                r#"resource.producer.country == "AA""#,
                "resource.producer.country",
            ),
            (
                r#"resource in Country::"AA" && principal in Country::"BB""#,
                "principal in, resource in",
            ),
            ("resource.producer has country", "resource.producer.country"),
            (r#"resource is Target in Country::"AA""#, "resource in"),
            (
                r#"[principal.sector, "x"].contains(context.api)"#,
                "context.api, principal.sector",
            ),
            (
                r#"(if context.stream then principal.team else "").contains("a")"#,
                "context.stream, principal.team",
            ),
        ];
        for (text, expected) in table {
            let rule = Rule::of(Condition::parse(text).unwrap().rule()).unwrap();
            let reads: Vec<&str> = rule.reads.iter().map(String::as_str).collect();
            assert_eq!(reads.join(", "), expected, "{text}");
        }
    }
}
