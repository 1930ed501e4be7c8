//! `carnet policy`: list, show, validate and test packs.

use std::path::Path;

use carnet_policy::{
    CaseResult, MANIFEST, Mutant, Policies, Rule, format_rules, run_cases, run_mutants,
};

use crate::cli::{Facts, PolicyCommand};
use crate::commands::{diff, explain, prove, report, simulate};
use crate::exit::Exit;
use crate::rules::Settings;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, embedded, out, world};

pub(crate) fn run(command: &PolicyCommand) -> Exit {
    let result = match command {
        PolicyCommand::List { json } => list(*json),
        PolicyCommand::Show { pack } => show(pack),
        PolicyCommand::Validate { packs } => validate(packs),
        PolicyCommand::Explain(args) => return explain::run(args),
        PolicyCommand::Diff(args) => diff::run(args),
        PolicyCommand::Simulate(args) => simulate::run(args),
        PolicyCommand::Report(args) => report::run(args),
        PolicyCommand::Prove(args) => prove::run(args),
        PolicyCommand::New { name, from } => new(name, from),
        PolicyCommand::Fmt { packs, check } => fmt(packs, *check),
        PolicyCommand::Complete { text, facts } => complete(&text.join(" "), facts),
        PolicyCommand::Schema => {
            out::answer(carnet_policy::SCHEMA.trim_end());
            Ok(Exit::Good)
        }
        PolicyCommand::Test {
            packs,
            facts,
            verbose,
            mutants,
        } => test(packs, facts, *verbose, *mutants),
    };
    result.unwrap_or_else(|troubles| commands::failed(&troubles))
}

fn here() -> &'static Path {
    Path::new("")
}

/// The named packs, or all built-in ones.
fn chosen(packs: &[String]) -> Vec<String> {
    if packs.is_empty() {
        embedded::pack_names().map(str::to_owned).collect()
    } else {
        packs.to_vec()
    }
}

fn list(json: bool) -> Result<Exit, Troubles> {
    let policies = world::policies(&chosen(&[]), here(), &Settings::new())?;
    for pack in policies.packs() {
        if json {
            commands::json(
                &serde_json::json!({ "name": pack.name(), "title": pack.title(), "description": pack.description() }),
            );
        } else {
            out::answer(format_args!("{:<28} {}", pack.name(), pack.title()));
        }
    }
    Ok(Exit::Good)
}

fn show(name: &str) -> Result<Exit, Troubles> {
    let pack = world::pack(name, here())?;
    let mut shown = false;
    for ending in [".md", ".toml", ".cedar"] {
        for (path, text) in pack
            .files
            .iter()
            .filter(|(path, _)| path.ends_with(ending) && !path.starts_with("cases/"))
        {
            out::answer(format_args!(
                "──── {}/{path}\n{}",
                pack.name,
                text.trim_end()
            ));
            shown = true;
        }
    }
    if shown {
        Ok(Exit::Good)
    } else {
        Err(vec![Trouble::new(
            format!("the pack `{name}` has no files"),
            "name another one",
        )])
    }
}

/// Lay out the rules of folders; with `check` only say which would change.
fn fmt(packs: &[String], check: bool) -> Result<Exit, Troubles> {
    let mut exit = Exit::Good;
    let mut troubles = Vec::new();
    for name in packs {
        let folder = Path::new(name);
        if !folder.is_dir() {
            troubles.push(Trouble::new(
                format!("there is no folder `{name}`"),
                "name the folder of a pack; built-in packs are not changed",
            ));
            continue;
        }
        for (path, text) in world::pack(&format!("./{name}"), here())?.files {
            if !path.ends_with(".cedar") {
                continue;
            }
            match format_rules(name, &path, &text) {
                Ok(pretty) if pretty == text => {}
                Ok(_) if check => {
                    out::answer(format_args!("{name}/{path} would change"));
                    exit = exit.worst(Exit::Bad);
                }
                Ok(pretty) => {
                    world::write(&folder.join(&path), pretty.as_bytes())?;
                    out::answer(format_args!("{name}/{path} laid out"));
                }
                Err(problem) => troubles.push(Trouble::from(*problem)),
            }
        }
    }
    if troubles.is_empty() {
        Ok(exit)
    } else {
        Err(troubles)
    }
}

/// List the names of a kind that begin like this.
fn complete(text: &str, facts: &Facts) -> Result<Exit, Troubles> {
    let (kind, start) = match text.split_once("::") {
        Some((kind, start)) => (kind, start.trim_start_matches('"')),
        None => text.split_once(' ').unwrap_or((text, "")),
    };
    let view = world::view_of(facts, clock::today())?;
    let registry = view.registry();
    let (entity, mut names): (bool, Vec<String>) = match kind {
        "Country" => {
            let all = registry.jurisdictions();
            (true, all.map(|one| one.code.to_string()).collect())
        }
        "Group" => (true, registry.groups().map(|one| one.id.clone()).collect()),
        "Model" => (true, view.models().map(ToString::to_string).collect()),
        "Producer" => (true, view.producers().map(ToString::to_string).collect()),
        "host" => (false, view.hosts().map(ToString::to_string).collect()),
        "list" => (false, registry.lists().map(|one| one.id.clone()).collect()),
        _ => {
            return Err(vec![Trouble::new(
                format!("`{kind}` is no kind of name"),
                "begin with Country::, Group::, Model::, Producer::, `host ` or `list `",
            )]);
        }
    };
    names.sort();
    for name in names.iter().filter(|name| name.starts_with(start)) {
        if entity {
            out::answer(format_args!("{kind}::\"{name}\""));
        } else {
            out::answer(name);
        }
    }
    Ok(Exit::Good)
}

/// Copy a pack into a new folder here. Nothing that is there is changed.
fn new(name: &str, from: &str) -> Result<Exit, Troubles> {
    let folder = Path::new(name);
    let good = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !good || name.is_empty() {
        return Err(vec![Trouble::new(
            format!("`{name}` cannot be the name of a pack"),
            "use lower-case letters, digits and hyphens",
        )]);
    }
    if folder.exists() {
        return Err(vec![Trouble::new(
            format!("`{name}` is there already"),
            "choose another name, or take the folder away",
        )]);
    }
    let source = world::pack(from, here())?;
    for (path, text) in &source.files {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|error| {
                Trouble::io("make the folder", parent, &error, "check its permissions")
            })?;
        }
        let renamed = if path == MANIFEST {
            let own = format!("name = \"{}\"", source.name);
            text.replacen(&own, &format!("name = \"{name}\""), 1)
        } else {
            text.clone()
        };
        world::write(&file, renamed.as_bytes())?;
    }
    out::answer(format_args!(
        "{name}/ holds a copy of {}: change it, then\n  carnet policy validate {name}\n  carnet policy test {name}\nand put \"{name}\" among `packs` in carnet.toml",
        source.name
    ));
    Ok(Exit::Good)
}

fn validate(packs: &[String]) -> Result<Exit, Troubles> {
    let names = chosen(packs);
    let mut exit = Exit::Good;
    for name in &names {
        match world::policies(std::slice::from_ref(name), here(), &Settings::new()) {
            Ok(policies) => {
                let troubles = variants(name, &policies);
                if troubles.is_empty() {
                    out::answer(format_args!("{name}: good, {}", policies.version()));
                } else {
                    exit = exit.worst(commands::failed(&troubles));
                }
            }
            Err(troubles) => exit = exit.worst(commands::failed(&troubles)),
        }
    }
    Ok(exit)
}

/// What is wrong with a pack while one parameter has another of its values.
fn variants(name: &str, policies: &Policies) -> Troubles {
    let mut found = Vec::new();
    for (pack, source) in policies.packs().iter().zip(policies.sources()) {
        for parameter in pack.parameters() {
            for value in parameter.others() {
                let mut settings = source.settings.clone();
                settings
                    .parameters
                    .insert(parameter.name.clone(), value.clone());
                let Err(problems) = Policies::load(&[source.with(settings)]) else {
                    continue;
                };
                let names = [name.to_owned()];
                found.extend(world::in_packs(problems, &names, here()).into_iter().map(
                    |mut trouble| {
                        trouble.message =
                            format!("with {} = {value}: {}", parameter.name, trouble.message);
                        trouble
                    },
                ));
            }
        }
    }
    found
}

fn test(packs: &[String], facts: &Facts, verbose: bool, mutants: bool) -> Result<Exit, Troubles> {
    let today = facts.as_of.unwrap_or_else(clock::today);
    let registry = world::registry_in(facts.registry.as_deref(), facts.state.as_deref())?;
    let (mut passed, mut failed) = (0_usize, 0_usize);
    let mut exit = Exit::Good;
    for name in chosen(packs) {
        let policies = match world::policies(std::slice::from_ref(&name), here(), &Settings::new())
        {
            Ok(policies) => policies,
            // The others are tested all the same, and the count is the last line all the same.
            Err(troubles) => {
                exit = exit.worst(commands::failed(&troubles));
                continue;
            }
        };
        if mutants {
            let all = run_mutants(&policies, &registry, today);
            let idle: Vec<&Mutant> = all.iter().filter(|mutant| !mutant.noticed).collect();
            for mutant in &idle {
                out::answer(format_args!("IDLE  {mutant}: no case notices"));
            }
            let noticed = all.len().saturating_sub(idle.len());
            out::answer(format_args!(
                "{name}: {noticed} of {} parts taken out were noticed",
                all.len()
            ));
            if !idle.is_empty() {
                exit = exit.worst(Exit::Bad);
            }
        }
        let cases = run_cases(&policies, &registry, today);
        coverage(&name, &policies, &cases);
        if cases.is_empty() {
            out::note(format_args!(
                "note: pack `{name}` has no cases; add cases/*.md"
            ));
        }
        for case in cases {
            if case.passed {
                passed += 1;
                if verbose {
                    out::answer(format_args!(
                        "ok    {name}/{}:{} {}",
                        case.file, case.line, case.title
                    ));
                }
            } else {
                failed += 1;
                exit = exit.worst(Exit::Bad);
                out::answer(format_args!(
                    "FAIL  {name}/{}:{} {}\n{}",
                    case.file,
                    case.line,
                    case.title,
                    indented(&case.message)
                ));
            }
        }
    }
    out::answer(format_args!("{passed} passed, {failed} failed"));
    Ok(exit)
}

/// Say which rules no case met.
fn coverage(name: &str, policies: &Policies, cases: &[CaseResult]) {
    for pack in policies.packs() {
        let rules: Vec<&str> = pack.rules().values().map(Rule::id).collect();
        let met = |rule: &&str| {
            let named = |case: &CaseResult| case.rules.iter().any(|other| other == rule);
            cases.iter().any(named)
        };
        let unmet: Vec<&str> = rules.iter().copied().filter(|rule| !met(rule)).collect();
        let count = rules.len().saturating_sub(unmet.len());
        let mut line = format!(
            "{name}: {} cases meet {count} of {} rules",
            cases.len(),
            rules.len()
        );
        if !unmet.is_empty() {
            line.push_str(&format!("; not {}", unmet.join(", ")));
        }
        out::answer(line);
    }
}

/// The lines of a message below its heading.
fn indented(message: &str) -> String {
    message
        .trim_end()
        .lines()
        .map(|line| format!("      {line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}
