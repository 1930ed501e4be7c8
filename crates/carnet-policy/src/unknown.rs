//! The check that a pack says what happens when a fact it reads is unknown.
//!
//! For each family of facts a rule reads, its condition is evaluated with that family unknown and
//! everything else left open, in the three-valued logic of Kleene: true, false or open. The rule
//! passes when the request is then surely denied, or the permit surely does not apply. It is a
//! check on the text, so it is strict: a rule that is safe for a reason it cannot see is refused
//! with the line to add.
//!
//! One model on one host, both named (`resource.model == "…" && resource.host == "…"`), may be made an
//! exception of a rule: its writer knows what is unknown of it. Such a rule, and one that asks only
//! whether something is known, is checked for all other targets, for which such a condition is false. A
//! rule that judges by facts which can be partial is checked for that target too.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Effect, Expr, Literal, UnaryOp};

use crate::rule::Rule;
use crate::syntax::{ANCESTRY, Condition, children, reads, resource_path};

/// A family of facts that are known or unknown together.
pub(crate) struct Family {
    /// What a reader calls it.
    pub(crate) name: &'static str,
    /// The attributes that cannot be trusted while the family is unknown.
    partial: &'static [&'static str],
    /// Further attributes that change with it; each has a family of its own.
    also: &'static [&'static str],
    /// What attributes say while it is unknown.
    fixed: &'static [(&'static str, Value<'static>)],
    /// The condition that tells it is unknown.
    test: &'static str,
}

/// What is known of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Bool(bool),
    Text(&'a str),
    Open,
}

const UNKNOWN: Value<'static> = Value::Text(crate::facts::UNKNOWN);
const FALSE: Value<'static> = Value::Bool(false);

/// All families. What one implies about another is stated here and made true in `facts`.
const FAMILIES: &[Family] = &[
    Family {
        name: "which model answers",
        partial: &["confidence", "disputed", "model"],
        also: &[
            "licence",
            "lineage_status",
            "producer",
            "counted",
            "counted.countries",
            "counted.group_countries",
            "counted.group_lists",
            "counted.lists",
            "counted.producers",
            "documents",
            "producer.claims",
            "producer.country",
            "producer.id",
            "producer.lists",
            "producer.owner_countries",
            "producer.owners",
            "relations",
            "teacher_countries",
            "teachers_complete",
            "weights",
            "weights_countries",
            "weights_producers",
            ANCESTRY,
        ],
        fixed: &[
            ("model", UNKNOWN),
            ("identified", FALSE),
            ("counted.complete", FALSE),
            ("producer.known", FALSE),
            ("weights_complete", FALSE),
        ],
        test: "!resource.identified",
    },
    Family {
        name: "the producer",
        partial: &[
            "producer",
            "producer.claims",
            "producer.country",
            "producer.id",
            "producer.lists",
            "producer.owner_countries",
            "producer.owners",
        ],
        also: &[
            "counted",
            "counted.countries",
            "counted.group_countries",
            "counted.group_lists",
            "counted.lists",
            "counted.producers",
            "weights_countries",
            "weights_producers",
            ANCESTRY,
        ],
        fixed: &[
            ("producer.known", FALSE),
            ("counted.complete", FALSE),
            ("weights_complete", FALSE),
        ],
        test: "!resource.producer.known",
    },
    Family {
        name: "who counts as a maker",
        partial: &[
            "counted",
            "counted.countries",
            "counted.group_countries",
            "counted.group_lists",
            "counted.lists",
            "counted.producers",
        ],
        also: &[],
        fixed: &[("counted.complete", FALSE)],
        test: "!resource.counted.complete",
    },
    Family {
        name: "the origin of the weights",
        partial: &[
            "relations",
            "weights_countries",
            "weights_producers",
            ANCESTRY,
        ],
        also: &[],
        fixed: &[("weights_complete", FALSE)],
        test: "!resource.weights_complete",
    },
    Family {
        name: "the teachers",
        partial: &["teacher_countries"],
        also: &[],
        fixed: &[("teachers_complete", FALSE)],
        test: "!resource.teachers_complete",
    },
    Family {
        name: "where the prompt goes",
        partial: &[
            "hosting_countries",
            "hosting_parents",
            "jurisdictions",
            "router",
        ],
        also: &[],
        fixed: &[("hosting_complete", FALSE)],
        test: "!resource.hosting_complete",
    },
    Family {
        name: "the host",
        partial: &["host", "host_kind", "host_lists", "host_operator"],
        also: &[
            "egress",
            "hosting_countries",
            "hosting_parents",
            "jurisdictions",
            "retention",
            "router",
            "subprocessor_countries",
            "trains_on_prompts",
        ],
        fixed: &[
            ("host", UNKNOWN),
            ("host_kind", UNKNOWN),
            ("host_operator", UNKNOWN),
            ("hosting_complete", FALSE),
            ("subprocessors_known", FALSE),
        ],
        test: "resource.host == \"unknown\"",
    },
    Family {
        name: "whether the prompt leaves the operator's machines",
        partial: &["egress"],
        also: &[],
        fixed: &[("egress", UNKNOWN)],
        test: "resource.egress == \"unknown\"",
    },
    Family {
        name: "whom the host lets process prompts",
        partial: &["subprocessor_countries"],
        also: &[],
        fixed: &[("subprocessors_known", FALSE)],
        test: "!resource.subprocessors_known",
    },
    Family {
        name: "whether the host trains on prompts",
        partial: &["trains_on_prompts"],
        also: &[],
        fixed: &[("trains_on_prompts", UNKNOWN)],
        test: "resource.trains_on_prompts == \"unknown\"",
    },
    Family {
        name: "which documents are on file",
        partial: &["documents"],
        also: &[],
        fixed: &[("documents_known", FALSE)],
        test: "!resource.documents_known",
    },
    Family {
        name: "what the host keeps",
        partial: &["retention"],
        also: &[],
        fixed: &[("retention", UNKNOWN)],
        test: "resource.retention == \"unknown\"",
    },
    Family {
        name: "whether the weights are open",
        partial: &["weights"],
        also: &[],
        fixed: &[("weights", UNKNOWN)],
        test: "resource.weights == \"unknown\"",
    },
    Family {
        name: "the licence",
        partial: &["licence"],
        also: &[],
        fixed: &[("licence", UNKNOWN)],
        test: "resource.licence == \"unknown\"",
    },
    Family {
        name: "the status of the lineage",
        partial: &["lineage_status"],
        also: &[],
        fixed: &[("lineage_status", UNKNOWN)],
        test: "resource.lineage_status == \"unknown\"",
    },
];

/// A rule that reads a family for which the pack has no answer when it is unknown.
pub(crate) struct Gap<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) family: &'static Family,
    /// The attributes of the family that the rule reads.
    pub(crate) read: Vec<&'static str>,
    /// The rule to add.
    pub(crate) remedy: String,
}

/// All gaps of a pack.
pub(crate) fn gaps<'a>(rules: &[&'a Rule]) -> Vec<Gap<'a>> {
    let mut found = Vec::new();
    for rule in rules {
        for family in FAMILIES {
            let read: Vec<&'static str> = family
                .own()
                .filter(|path| rule.reads.contains(*path))
                .collect();
            if read.is_empty() {
                continue;
            }
            let assumed: Vec<&Condition> = rule
                .conditions
                .iter()
                .filter(|condition| !family.touches(&reads(&condition.expr)))
                .collect();
            if !answered(rule, family, &assumed, rules) {
                found.push(Gap {
                    rule,
                    family,
                    read,
                    remedy: remedy(family, &assumed),
                });
            }
        }
    }
    found
}

/// What is supposed while a rule is checked.
struct World<'w> {
    /// The family that is unknown.
    family: &'w Family,
    /// What else the rule needs, which is given.
    assumed: &'w [&'w Condition],
    /// Whether it is any target but those of which rules make an exception.
    others: bool,
}

/// With this family unknown, and everything else that the rule needs given: is the answer no?
fn answered(rule: &Rule, family: &Family, assumed: &[&Condition], rules: &[&Rule]) -> bool {
    let judges = family.partial.iter().any(|path| rule.reads.contains(*path));
    let world = World {
        family,
        assumed,
        others: !names_one_target(needed(rule)) && (!judges || makes_exception(rule)),
    };
    let applies = |other: &Rule| applies(other, &world);
    if rule.effect == Effect::Permit && applies(rule) == FALSE {
        return true;
    }
    let forbidden = rules
        .iter()
        .any(|other| other.effect == Effect::Forbid && applies(other) == Value::Bool(true));
    forbidden
        || rules
            .iter()
            .all(|other| other.effect == Effect::Forbid || applies(other) == FALSE)
}

/// Whether a rule makes an exception of one model on one host.
fn makes_exception(rule: &Rule) -> bool {
    fn within(expr: &Expr) -> bool {
        names_one_target(conjuncts(expr)) || children(expr).into_iter().any(within)
    }
    rule.conditions
        .iter()
        .any(|condition| within(&condition.expr))
}

/// What must be true for a rule to apply.
fn needed(rule: &Rule) -> impl Iterator<Item = &Expr> {
    let needed = rule.conditions.iter().filter(|condition| condition.holds);
    needed.map(|condition| condition.expr.as_ref())
}

fn applies(rule: &Rule, world: &World<'_>) -> Value<'static> {
    if world.others && names_one_target(needed(rule)) {
        return FALSE;
    }
    let mut open = false;
    for condition in &rule.conditions {
        match eval(&condition.expr, world) {
            Value::Bool(value) if value == condition.holds => {}
            Value::Bool(_) => return FALSE,
            Value::Text(_) | Value::Open => open = true,
        }
    }
    if open { Value::Open } else { Value::Bool(true) }
}

fn eval<'a>(expr: &'a Expr, world: &World<'_>) -> Value<'a> {
    if let Some(condition) = world
        .assumed
        .iter()
        .find(|condition| condition.expr.as_ref() == expr)
    {
        return Value::Bool(condition.holds);
    }
    if let Some(path) = resource_path(expr) {
        return world
            .family
            .fixed
            .iter()
            .find(|(known, _)| *known == path)
            .map_or(Value::Open, |(_, value)| *value);
    }
    if world.others && names_one_target(conjuncts(expr)) {
        return FALSE;
    }
    let part = |expr: &'a Expr| eval(expr, world);
    match expr {
        Expr::Literal(Literal::Bool(value)) => Value::Bool(*value),
        Expr::Literal(Literal::String(text)) => Value::Text(text),
        Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } => not(part(expr)),
        Expr::BinaryOp {
            op: BinaryOp::Contains,
            left,
            right,
        } => contains(left, part(right)),
        Expr::BinaryOp { op, left, right } => binary(*op, part(left), part(right)),
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => match part(cond) {
            Value::Bool(true) => part(then_expr),
            Value::Bool(false) => part(else_expr),
            _ if part(then_expr) == part(else_expr) => part(then_expr),
            _ => Value::Open,
        },
        _ => Value::Open,
    }
}

/// Whether these conditions together name one model and one host.
fn names_one_target<'a>(conditions: impl IntoIterator<Item = &'a Expr>) -> bool {
    let (mut model, mut host) = (false, false);
    for condition in conditions {
        let Expr::BinaryOp {
            op: BinaryOp::Eq,
            left,
            right,
        } = condition
        else {
            continue;
        };
        let (path, text) = match (left.as_ref(), right.as_ref()) {
            (path, Expr::Literal(Literal::String(text)))
            | (Expr::Literal(Literal::String(text)), path) => (resource_path(path), text),
            _ => continue,
        };
        // The word for unknown names nothing.
        let named = text.as_str() != crate::facts::UNKNOWN;
        model |= named && path.as_deref() == Some("model");
        host |= named && path.as_deref() == Some("host");
    }
    model && host
}

/// The parts of a conjunction; of anything else itself.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryOp {
            op: BinaryOp::And,
            left,
            right,
        } => {
            let mut parts = conjuncts(left);
            parts.append(&mut conjuncts(right));
            parts
        }
        other => vec![other],
    }
}

/// Whether a list of texts has this one.
fn contains<'a>(list: &Expr, value: Value<'a>) -> Value<'a> {
    let (Expr::Set(items), Value::Text(text)) = (list, value) else {
        return Value::Open;
    };
    let mut found = false;
    for item in items {
        let Expr::Literal(Literal::String(item)) = item.as_ref() else {
            return Value::Open;
        };
        found |= item.as_str() == text;
    }
    Value::Bool(found)
}

fn not(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Bool(value) => Value::Bool(!value),
        _ => Value::Open,
    }
}

fn binary<'a>(op: BinaryOp, left: Value<'a>, right: Value<'a>) -> Value<'a> {
    match (op, left, right) {
        (BinaryOp::And, FALSE, _) | (BinaryOp::And, _, FALSE) => FALSE,
        (BinaryOp::And, Value::Bool(true), Value::Bool(true)) => Value::Bool(true),
        (BinaryOp::Or, Value::Bool(true), _) | (BinaryOp::Or, _, Value::Bool(true)) => {
            Value::Bool(true)
        }
        (BinaryOp::Or, FALSE, FALSE) => FALSE,
        (BinaryOp::Eq | BinaryOp::NotEq, Value::Open, _)
        | (BinaryOp::Eq | BinaryOp::NotEq, _, Value::Open) => Value::Open,
        (BinaryOp::Eq, left, right) => Value::Bool(left == right),
        (BinaryOp::NotEq, left, right) => Value::Bool(left != right),
        _ => Value::Open,
    }
}

/// The forbid that closes the gap, with the rule's own other conditions.
fn remedy(family: &Family, assumed: &[&Condition]) -> String {
    let mut parts: Vec<String> = assumed
        .iter()
        .map(|condition| {
            if condition.holds {
                format!("({})", condition.expr)
            } else {
                format!("!({})", condition.expr)
            }
        })
        .collect();
    parts.push(family.test.to_owned());
    format!(
        "forbid (principal, action, resource) when {{ {} }};",
        parts.join(" && ")
    )
}

impl Family {
    /// The attributes by which a rule reads the family.
    fn own(&self) -> impl Iterator<Item = &'static str> {
        let fixed = self.fixed.iter().map(|(path, _)| *path);
        self.partial
            .iter()
            .copied()
            .chain(fixed.filter(|path| !self.partial.contains(path)))
    }

    /// Whether a condition that reads these attributes may change when the family becomes unknown.
    fn touches(&self, read: &BTreeSet<String>) -> bool {
        self.own()
            .chain(self.also.iter().copied())
            .any(|path| read.contains(path))
    }
}
