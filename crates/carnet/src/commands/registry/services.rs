//! `carnet registry services`: the services that an upstream needs only to name, and how each wants to be asked.

use std::fmt::Write as _;

use carnet_provenance::{EditAction, Host, WireEdit};
use jiff::civil::Date;

use crate::cli::ServicesArgs;
use crate::exit::Exit;
use crate::trouble::Troubles;
use crate::{clock, out, world};

/// The facts that have columns of their own.
const COLUMNS: [&str; 3] = ["wire.base_url", "wire.apis", "wire.auth"];

pub(super) fn run(args: &ServicesArgs) -> Result<Exit, Troubles> {
    let registry = world::registry_in(args.registry.as_deref(), args.state.as_deref())?;
    let today = clock::today();
    let mut text = String::from(
        "| `host` | service | address | kinds in `apis` | key | how it wants to be asked |\n|---|---|---|---|---|---|\n",
    );
    for host in registry.hosts() {
        if let Some(row) = row(host, today) {
            text.push_str(&row);
        }
    }
    out::raw(&text);
    Ok(Exit::Good)
}

/// One service as a row; none for a host of which nobody says how it is asked.
fn row(host: &Host, today: Date) -> Option<String> {
    let facts = host.wire.of("", today);
    let apis = facts.apis?;
    let address = facts.base_url.map_or_else(
        || "each customer's own".to_owned(),
        |url| format!("`{url}`"),
    );
    let key = facts.auth.map(|style| format!("`{style}`"));
    Some(format!(
        "| `{}` | {} | {address} | {} | {} | {} |\n",
        host.id,
        host.name,
        apis.iter()
            .map(|api| format!("`{api}`"))
            .collect::<Vec<_>>()
            .join(", "),
        key.unwrap_or_default(),
        peculiarities(host, today),
    ))
}

fn peculiarities(host: &Host, today: Date) -> String {
    let claims = host.claims();
    let words = claims
        .iter()
        .filter(|claim| claim.holds(today) && !COLUMNS.contains(&claim.claim))
        .filter_map(|claim| {
            let name = claim.claim.strip_prefix("wire.")?;
            Some(format!("`{name}`: {}", claim.value))
        });
    let edits = host.wire.edits.iter().map(changed);
    words.chain(edits).collect::<Vec<_>>().join("; ")
}

fn changed(edit: &WireEdit) -> String {
    let path = &edit.path;
    let to = edit.to.as_deref().unwrap_or_default();
    let mut text = match edit.action {
        EditAction::Remove => format!("`{path}` is taken out"),
        EditAction::Rename => format!("`{path}` becomes `{to}`"),
        EditAction::Replace => {
            let from = edit.from.as_deref().unwrap_or_default();
            format!("`{path}` `{from}` becomes `{to}`")
        }
        EditAction::ToolId => format!("`{path}` gets the form of `tool_ids`"),
    };
    if !edit.models.is_empty() {
        let _ = write!(text, " for {}", edit.models.join(", "));
    }
    text
}
