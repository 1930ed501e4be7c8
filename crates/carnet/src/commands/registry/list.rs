//! `carnet registry list`: ids with their names, one a line.

use carnet_provenance::{HostKind, View};
use jiff::civil::Date;
use serde::Serialize;

use crate::cli::{ListArgs, RegistryKind};
use crate::commands::registry::joined;
use crate::exit::Exit;
use crate::trouble::Troubles;
use crate::{clock, commands, out, world};

/// One line. What a kind does not have is left out.
#[derive(Serialize)]
struct Line {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<HostKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<String>>,
    /// Whether only the operator's overlay describes it.
    operator: bool,
}

impl Line {
    fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            kind: None,
            country: None,
            producer: None,
            means: None,
            issuer: None,
            members: None,
            operator: false,
        }
    }
}

pub(super) fn run(args: &ListArgs) -> Result<Exit, Troubles> {
    let as_of = args.facts.as_of.unwrap_or_else(clock::today);
    let view = world::view_of(&args.facts, as_of)?;
    let lines = match args.kind {
        RegistryKind::Aliases => aliases(&view, as_of),
        RegistryKind::Groups => groups(&view),
        RegistryKind::Hosts => hosts(&view, as_of),
        RegistryKind::Lists => lists(&view),
        RegistryKind::Models => models(&view, as_of),
        RegistryKind::Producers => producers(&view, as_of),
    };
    for line in &lines {
        if args.json {
            commands::json(line);
        } else {
            out::answer(out::plain(&described(line)));
        }
    }
    Ok(Exit::Good)
}

fn described(line: &Line) -> String {
    let mut more = Vec::new();
    more.extend(line.kind.map(|kind| kind.to_string()));
    more.extend(line.producer.clone());
    more.extend(line.country.clone());
    more.extend(line.issuer.clone());
    more.extend(
        line.means
            .as_ref()
            .map(|means| format!("now {}", means.join(" or "))),
    );
    more.extend(line.members.as_ref().map(|members| members.join(" ")));
    if line.operator {
        more.push("operator".to_owned());
    }
    let more = if more.is_empty() {
        String::new()
    } else {
        format!("  ({})", joined(more))
    };
    format!("{:<36} {}{more}", line.id, line.name)
}

fn models(view: &View, as_of: Date) -> Vec<Line> {
    let registry = view.registry();
    view.models()
        .map(|id| {
            let model = registry.model(id.as_str());
            let mut line = Line::new(id.as_str(), model.map_or(id.as_str(), |model| &model.name));
            line.operator = model.is_none();
            let answer = view.model_record(id.as_str(), as_of);
            line.producer = answer.and_then(|answer| Some(answer.producer?.name));
            line
        })
        .collect()
}

fn producers(view: &View, as_of: Date) -> Vec<Line> {
    view.producers()
        .map(|id| {
            let party = view.producer_record(id.as_str(), as_of);
            let name = party.as_ref().map_or(id.as_str(), |party| &party.name);
            let mut line = Line::new(id.as_str(), name);
            line.operator = view.registry().producer(id.as_str()).is_none();
            line.country = party
                .and_then(|party| party.country)
                .map(|country| country.to_string());
            line
        })
        .collect()
}

fn hosts(view: &View, as_of: Date) -> Vec<Line> {
    view.hosts()
        .map(|id| {
            let host = view.registry().host(id.as_str());
            let mut line = Line::new(id.as_str(), host.map_or(id.as_str(), |host| &host.name));
            line.operator = host.is_none();
            if let Some(place) = view.host_record(id.as_str(), as_of) {
                line.kind = place.kind;
                line.country = place.country.map(|country| country.to_string());
            }
            line
        })
        .collect()
}

fn aliases(view: &View, as_of: Date) -> Vec<Line> {
    let registry = view.registry();
    registry
        .moving_aliases()
        .map(|moving| {
            let mut line = Line::new(&moving.id, &moving.name);
            let targets = moving.targets.iter();
            let on_day = targets.filter(|target| target.valid.holds_on(as_of));
            line.means = Some(on_day.map(|target| target.model.to_string()).collect());
            line
        })
        .collect()
}

fn lists(view: &View) -> Vec<Line> {
    view.registry()
        .lists()
        .map(|list| {
            let mut line = Line::new(&list.id, &list.name);
            line.issuer = Some(list.issuer.clone());
            line
        })
        .collect()
}

fn groups(view: &View) -> Vec<Line> {
    view.registry()
        .groups()
        .map(|group| {
            let mut line = Line::new(&group.id, &group.name);
            line.members = Some(group.members.iter().map(ToString::to_string).collect());
            line
        })
        .collect()
}
