//! `carnet registry`: look into the facts.

use std::path::{Path, PathBuf};

use crate::cli::{RegistryCommand, RegistryKind};
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

pub(crate) fn run(command: &RegistryCommand) -> Exit {
    let result = match command {
        RegistryCommand::Validate { folder, overlay } => validate(folder.as_deref(), overlay),
        RegistryCommand::List { kind } => list(*kind),
        RegistryCommand::Show { id } => show(id),
    };
    result.unwrap_or_else(|troubles| commands::failed(&troubles))
}

fn validate(folder: Option<&Path>, overlay: &[PathBuf]) -> Result<Exit, Troubles> {
    let registry = world::registry(folder)?;
    world::view(&registry, overlay, clock::today())?;
    out::answer(format_args!(
        "good: {} producers, {} models, {} hosts, {} overlay files, {}",
        registry.producers().count(),
        registry.models().count(),
        registry.hosts().count(),
        overlay.len(),
        registry.version()
    ));
    Ok(Exit::Good)
}

fn list(kind: RegistryKind) -> Result<Exit, Troubles> {
    let registry = world::registry(None)?;
    let ids: Vec<(String, String)> = match kind {
        RegistryKind::Hosts => registry
            .hosts()
            .map(|host| (host.id.to_string(), host.name.clone()))
            .collect(),
        RegistryKind::Models => registry
            .models()
            .map(|model| (model.id.to_string(), model.name.clone()))
            .collect(),
        RegistryKind::Producers => registry
            .producers()
            .map(|producer| (producer.id.to_string(), producer.name.clone()))
            .collect(),
    };
    for (id, name) in ids {
        out::answer(format_args!("{id:<36} {name}"));
    }
    Ok(Exit::Good)
}

fn show(id: &str) -> Result<Exit, Troubles> {
    let registry = world::registry(None)?;
    if let Some(model) = registry.models().find(|model| model.id.as_str() == id) {
        return Ok(commands::json(model));
    }
    if let Some(producer) = registry
        .producers()
        .find(|producer| producer.id.as_str() == id)
    {
        return Ok(commands::json(producer));
    }
    if let Some(host) = registry.hosts().find(|host| host.id.as_str() == id) {
        return Ok(commands::json(host));
    }
    Err(vec![Trouble::new(
        format!("the registry has nothing with the id `{id}`"),
        "`carnet registry list models` (hosts, producers) lists the ids; `carnet resolve` reads any other name",
    )])
}
