//! The section `[policy]`: which packs decide, what is set for them, and exceptions that were granted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_gateway::config::ConfigProblem;
use carnet_gateway::section;
use carnet_gateway::section::{Field, Located, Named, Parameter};
use carnet_policy::{Exception, Mode, PackSettings, Policies, Setting};
use jiff::civil::Date;
use toml_span::Span;

use crate::trouble::{Trouble, Troubles};
use crate::{config, world};

/// What is set for packs, by their names.
pub(crate) type Settings = BTreeMap<String, PackSettings>;

section! {
    /// Which rules decide.
    RawPolicy {
        required {
            /// Packs, each a built-in name or a folder. A request needs the permission of every one.
            packs: Vec<Located<String>>,
        }
        optional {
            /// What is set for a pack.
            settings: Vec<RawPackSettings>,
            /// Exceptions that were granted.
            exception: Vec<RawException>,
        }
    }
}

section! {
    /// What is set for a pack; what is not set keeps the pack's own value.
    RawPackSettings {
        required {
            /// Name of the pack.
            pack: String,
        }
        optional {
            /// `enforce` or `report`: its denials are recorded and do not count.
            mode: String,
            /// Values of its parameters, by name.
            parameters: Named<Parameter>,
        }
    }
}

section! {
    /// An exception from a pack that an authority granted. It covers what all scopes named here share.
    RawException {
        required {
            /// Name of the pack.
            pack: String,
            /// Its number or name, as the issuer gave it.
            id: String,
            /// Which of the kinds that the pack's text knows.
            kind: String,
            /// Who granted it.
            issuer: String,
            /// Why.
            reason: String,
            /// Its last day.
            until: String,
        }
        optional {
            /// Its first day. Default: it holds at once.
            from: String,
            /// Workloads by id.
            workloads: Vec<String>,
            /// Teams.
            teams: Vec<String>,
            /// Contracts, of which the workload performs one.
            contracts: Vec<String>,
            /// Models by registry id.
            models: Vec<String>,
            /// Hosts by registry id.
            hosts: Vec<String>,
        }
    }
}

/// The packs and what is set for them.
pub(crate) fn read(
    raw: Option<RawPolicy>,
    found: &mut Vec<ConfigProblem>,
) -> (Vec<Located<String>>, Settings) {
    let Some(policy) = raw else {
        let value = "default".to_owned();
        let span = Span::default();
        return (vec![Located { value, span }], Settings::new());
    };
    let packs = match policy.packs {
        Field::Given(packs) if packs.value.is_empty() => {
            found.push(ConfigProblem {
                span: packs.span,
                message: "without a pack nothing could be permitted".to_owned(),
                help: Some("write packs = [\"default\"], or leave the section out".to_owned()),
            });
            Vec::new()
        }
        packs => packs.into_value().unwrap_or_default(),
    };
    let names: Vec<String> = packs.iter().map(|pack| name_of(&pack.value)).collect();
    let mut settings = Settings::new();
    for entry in policy.settings.into_value().unwrap_or_default() {
        let Some(pack) = chosen(&entry.pack, &names, found) else {
            continue;
        };
        let own = settings.entry(pack).or_default();
        own.mode = mode(&entry.mode, found);
        if let Some(Named(values)) = entry.parameters.into_value() {
            for (name, value) in values {
                own.parameters.insert(name, value.0);
            }
        }
    }
    for entry in policy.exception.into_value().unwrap_or_default() {
        if let Some(pack) = chosen(&entry.pack, &names, found) {
            let exception = exception(&entry, found);
            settings.entry(pack).or_default().exceptions.push(exception);
        }
    }
    (packs, settings)
}

/// The name of a pack that is given by name or folder.
fn name_of(pack: &str) -> String {
    let last = Path::new(pack).file_name();
    last.map_or_else(
        || pack.to_owned(),
        |last| last.to_string_lossy().into_owned(),
    )
}

/// The pack that an entry is about, if it is among those that decide.
fn chosen(
    field: &Field<String>,
    names: &[String],
    found: &mut Vec<ConfigProblem>,
) -> Option<String> {
    let pack = field.given()?;
    if names.contains(&pack.value) {
        return Some(pack.value.clone());
    }
    found.push(ConfigProblem {
        span: pack.span,
        message: format!("the pack `{}` is not among `packs`", pack.value),
        help: Some(format!("`packs` names {}", names.join(", "))),
    });
    None
}

fn mode(field: &Field<String>, found: &mut Vec<ConfigProblem>) -> Option<Mode> {
    let mode = field.given()?;
    match mode.value.as_str() {
        "enforce" => Some(Mode::Enforce),
        "report" => Some(Mode::Report),
        other => {
            found.push(ConfigProblem {
                span: mode.span,
                message: format!("`{other}` is not a mode"),
                help: Some("write \"enforce\" or \"report\"".to_owned()),
            });
            None
        }
    }
}

fn exception(raw: &RawException, found: &mut Vec<ConfigProblem>) -> Exception {
    let text = |field: &Field<String>| {
        field
            .given()
            .map(|text| text.value.clone())
            .unwrap_or_default()
    };
    let list = |field: &Field<Vec<String>>| {
        field
            .given()
            .map(|list| list.value.clone())
            .unwrap_or_default()
    };
    Exception {
        id: text(&raw.id),
        kind: text(&raw.kind),
        issuer: text(&raw.issuer),
        reason: text(&raw.reason),
        from: date(&raw.from, found),
        until: date(&raw.until, found),
        workloads: list(&raw.workloads),
        teams: list(&raw.teams),
        contracts: list(&raw.contracts),
        models: list(&raw.models),
        hosts: list(&raw.hosts),
    }
}

fn date(field: &Field<String>, found: &mut Vec<ConfigProblem>) -> Option<Date> {
    let text = field.given()?;
    let day = text.value.parse().ok();
    if day.is_none() {
        found.push(ConfigProblem {
            span: text.span,
            message: format!("`{}` is not a day", text.value),
            help: Some("write a date such as \"2026-01-31\"".to_owned()),
        });
    }
    day
}

/// A policy as a command names it: packs with commas between them, or a configuration file.
pub(crate) fn described(policy: &str, params: &[String]) -> Result<Arc<Policies>, Troubles> {
    let (packs, base, settings) = if policy.ends_with(".toml") {
        let config = config::load(Path::new(policy))?;
        (config.packs, config.base, config.settings)
    } else {
        let packs = policy.split(',').map(|name| name.trim().to_owned());
        (packs.collect(), PathBuf::new(), Settings::new())
    };
    let settings = given(params, &packs, &base, settings)?;
    world::policies(&packs, &base, &settings)
}

/// Settings of a command line, each `[PACK.]NAME=VALUE`, on top of others.
pub(crate) fn given(
    params: &[String],
    packs: &[String],
    base: &Path,
    mut settings: Settings,
) -> Result<Settings, Troubles> {
    if params.is_empty() {
        return Ok(settings);
    }
    let plain = world::policies(packs, base, &Settings::new())?;
    let mut troubles = Vec::new();
    for param in params {
        let Some((name, value)) = param.split_once('=') else {
            troubles.push(Trouble::new(
                format!("`{param}` is not [PACK.]NAME=VALUE"),
                "for example --param us-ndaa-1532.lineage=weights",
            ));
            continue;
        };
        let (of, name) = match name.split_once('.') {
            Some((pack, name)) => (Some(pack), name),
            None => (None, name),
        };
        let mut known = false;
        for pack in plain.packs() {
            if of.is_some_and(|of| of != pack.name()) {
                continue;
            }
            let Some(parameter) = pack.parameters().find(|parameter| parameter.name == name) else {
                continue;
            };
            known = true;
            let value = Setting::parse(value.trim(), &parameter.value);
            let own = settings.entry(pack.name().to_owned()).or_default();
            own.parameters.insert(name.to_owned(), value);
        }
        if !known {
            troubles.push(Trouble::new(
                format!("no pack that is asked has the parameter `{name}`"),
                "`carnet policy show PACK` prints the parameters of a pack",
            ));
        }
    }
    if troubles.is_empty() {
        Ok(settings)
    } else {
        Err(troubles)
    }
}
