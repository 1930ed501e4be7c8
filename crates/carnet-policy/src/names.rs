//! The check that every entity a rule names is one that facts can speak of.
//!
//! `forbid … when { resource in Producer::"acmee" }` with a slip of the pen would load and never
//! apply, so it is refused.

use carnet_provenance::{Country, View};
use cedar_policy::pst::EntityUID;

use crate::codes::Code;
use crate::load::Policies;
use crate::pack::{Mode, Pack};
use crate::parameters::Parameter;
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
        for parameter in pack.parameters() {
            check_parameter(pack, parameter, view, &mut problems);
        }
    }
    problems.sort();
    let shown = problems.into_iter();
    shown
        .map(|problem| problem.shown_in(policies.sources()))
        .collect()
}

fn check_rule(pack: &Pack, rule: &Rule, view: &View, problems: &mut Vec<PolicyProblem>) {
    let mut named = Vec::new();
    for condition in &rule.conditions {
        syntax::literals(&condition.expr, &mut named);
    }
    let of_entities = named
        .iter()
        .filter_map(|entity| Some((entity.to_string(), unknown(entity, view)?)));
    let lists = rule
        .conditions
        .iter()
        .flat_map(|condition| syntax::lists_asked(&condition.expr));
    // The empty text stands for a parameter without values.
    let of_lists = lists
        .filter(|list| !list.is_empty())
        .filter_map(|list| Some((format!("the list `{list}`"), missing("list", &list, view)?)));
    for (name, help) in of_entities.chain(of_lists) {
        problems.push(PolicyProblem {
            pack: pack.name().to_owned(),
            file: rule.file.clone(),
            line: rule.line,
            column: rule.column,
            code: Code::UnknownEntity,
            message: format!("rule `{}` names {name}, which no fact speaks of", rule.id),
            help: Some(help.to_owned()),
            excerpt: None,
        });
    }
}

/// A value that names nothing would make its rules speak of nobody.
fn check_parameter(
    pack: &Pack,
    parameter: &Parameter,
    view: &View,
    problems: &mut Vec<PolicyProblem>,
) {
    let Some(of) = parameter.of.as_deref() else {
        return;
    };
    for text in parameter.value.texts() {
        let Some(help) = missing(of, text, view) else {
            continue;
        };
        let message = format!(
            "the parameter `{}` names the {of} `{text}`, which no fact speaks of",
            parameter.name
        );
        problems.push(PolicyProblem {
            pack: pack.name().to_owned(),
            ..PolicyProblem::general(Code::UnknownEntity, message).help(help)
        });
    }
}

/// How to find the right name, when this one is nobody's.
fn unknown(entity: &EntityUID, view: &View) -> Option<&'static str> {
    missing(
        &entity.ty.0.id.as_str().to_lowercase(),
        entity.eid.as_str(),
        view,
    )
}

/// The same for a name of a kind: `country`, `group` and so on.
fn missing(kind: &str, id: &str, view: &View) -> Option<&'static str> {
    let registry = view.registry();
    let (known, help) = match kind {
        "country" => (
            id.parse::<Country>().is_ok(),
            "write the ISO 3166-1 alpha-2 code",
        ),
        "group" => (
            registry.groups().any(|group| group.id == id),
            "`carnet registry list groups` lists the groups",
        ),
        "model" => (
            view.models().any(|model| model.as_str() == id),
            "`carnet registry list models` lists the models; the overlay can add one",
        ),
        "producer" => (
            view.producers().any(|producer| producer.as_str() == id),
            "`carnet registry list producers` lists the producers; the overlay can add one",
        ),
        "host" => (
            view.host(id).is_some(),
            "`carnet registry list hosts` lists the hosts; the overlay can add one",
        ),
        "list" => (
            registry.lists().any(|list| list.id == id),
            "`carnet registry list lists` lists the lists",
        ),
        _ => return None,
    };
    (!known).then_some(help)
}
