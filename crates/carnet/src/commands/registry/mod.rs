//! `carnet registry`: look into the facts, compare them, take newer ones over.

mod bundle;
mod difference;
mod graph;
mod list;
mod services;
mod show;
mod stats;
mod update;
mod validate;

use std::fmt::Display;
use std::path::Path;

use crate::cli::{ExportArgs, RegistryCommand};
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{commands, out, world};

pub(crate) fn run(command: &RegistryCommand) -> Exit {
    let result = match command {
        RegistryCommand::Validate(args) => validate::run(args),
        RegistryCommand::List(args) => list::run(args),
        RegistryCommand::Show(args) => show::run(args),
        RegistryCommand::Services(args) => services::run(args),
        RegistryCommand::Stats(args) => stats::run(args),
        RegistryCommand::Graph(args) => graph::run(args),
        RegistryCommand::Diff(args) => difference::run(args),
        RegistryCommand::Export(args) => export(args),
        RegistryCommand::Bundle(args) => bundle::run(args),
        RegistryCommand::BundleKey(args) => bundle::key(args),
        RegistryCommand::Update(args) => update::run(args),
    };
    result.unwrap_or_else(|troubles| commands::failed(&troubles))
}

/// The whole registry for others. The order is fixed, so equal registries give equal documents.
fn export(args: &ExportArgs) -> Result<Exit, Troubles> {
    let registry = world::registry_in(args.registry.as_deref(), args.state.as_deref())?;
    let text = serde_json::to_string_pretty(&registry.export()).map_err(|error| {
        vec![Trouble::new(
            format!("cannot write the document: {error}"),
            "check the registry with `carnet registry validate`",
        )]
    })?;
    deliver(&format!("{text}\n"), args.out.as_deref())
}

/// A text to the file that was named, or to standard output.
fn deliver(text: &str, file: Option<&Path>) -> Result<Exit, Troubles> {
    match file {
        None => out::raw(text),
        Some(file) => {
            world::write(file, text.as_bytes())?;
            out::note(format_args!("wrote {}", file.display()));
        }
    }
    Ok(Exit::Good)
}

/// Codes with commas between.
fn joined<T: Display>(parts: impl IntoIterator<Item = T>) -> String {
    let parts: Vec<String> = parts.into_iter().map(|part| part.to_string()).collect();
    parts.join(", ")
}
