//! The check that every entity a rule names is one that facts can speak of.
//!
//! `forbid … when { resource in Producer::"acmee" }` with a slip of the pen would load and never
//! apply, so it is refused.

use carnet_provenance::{Country, View};
use cedar_policy::pst::EntityUID;

use crate::codes::Code;
use crate::load::Policies;
use crate::pack::{Mode, Pack};
use crate::problem::PolicyProblem;
use crate::rule::Rule;
use crate::syntax;

/// Everything wrong with these policies for these facts.
pub(crate) fn check(policies: &Policies, view: &View) -> Vec<PolicyProblem> {
    let mut problems = Vec::new();
    if policies
        .packs
        .iter()
        .all(|pack| pack.mode() == Mode::Report)
    {
        let help = "set `mode = \"enforce\"` in one, or add the pack `default`";
        problems.push(
            PolicyProblem::general(
                Code::NoPack,
                "every policy pack only reports, so none permits",
            )
            .help(help),
        );
    }
    for pack in &policies.packs {
        for rule in pack.rules.values() {
            check_rule(pack, rule, view, &mut problems);
        }
    }
    problems.sort();
    problems
}

fn check_rule(pack: &Pack, rule: &Rule, view: &View, problems: &mut Vec<PolicyProblem>) {
    let mut named = Vec::new();
    for condition in &rule.conditions {
        syntax::literals(&condition.expr, &mut named);
    }
    for entity in named {
        let Some(known) = unknown(&entity, view) else {
            continue;
        };
        problems.push(PolicyProblem {
            pack: pack.name().to_owned(),
            file: rule.file.clone(),
            line: rule.line,
            column: rule.column,
            code: Code::UnknownEntity,
            message: format!("rule `{}` names {entity}, which no fact speaks of", rule.id),
            help: Some(known.to_owned()),
        });
    }
}

/// How to find the right name, when this one is nobody's.
fn unknown(entity: &EntityUID, view: &View) -> Option<&'static str> {
    let id = entity.eid.as_str();
    let (known, help) = match entity.ty.0.id.as_str() {
        "Country" => (
            id.parse::<Country>().is_ok(),
            "write the ISO 3166-1 alpha-2 code",
        ),
        "Group" => {
            let found = view.registry().groups().any(|group| group.id == id);
            (found, "`carnet registry list groups` lists the groups")
        }
        "Model" => {
            let found = view.models().any(|model| model.as_str() == id);
            (
                found,
                "`carnet registry list models` lists the models; the overlay can add one",
            )
        }
        "Producer" => {
            let found = view.producers().any(|producer| producer.as_str() == id);
            (
                found,
                "`carnet registry list producers` lists the producers; the overlay can add one",
            )
        }
        _ => return None,
    };
    (!known).then_some(help)
}
