//! `carnet registry validate`: is this registry good, and what is wrong with it.

use serde::Serialize;

use crate::cli::ValidateArgs;
use crate::exit::Exit;
use crate::installed::{self, From};
use crate::trouble::Troubles;
use crate::{clock, commands, out, world};

#[derive(Serialize)]
struct Good {
    good: bool,
    from: From,
    producers: usize,
    models: usize,
    hosts: usize,
    overlay_files: usize,
    version: String,
}

pub(super) fn run(args: &ValidateArgs) -> Result<Exit, Troubles> {
    let state = args.known.state.as_deref();
    let found = match &args.source {
        Some(path) => installed::open(path, state, args.known.trust.as_deref())?,
        None => installed::in_force(state)?,
    };
    let registry = &found.registry;
    world::view(registry, &args.overlay, clock::today())?;
    let good = Good {
        good: true,
        producers: registry.producers().count(),
        models: registry.models().count(),
        hosts: registry.hosts().count(),
        overlay_files: args.overlay.len(),
        version: registry.version().to_owned(),
        from: found.from,
    };
    if args.json {
        return Ok(commands::json(&good));
    }
    out::answer(format_args!(
        "good: {} producers, {} models, {} hosts, {} overlay files, {}",
        good.producers, good.models, good.hosts, good.overlay_files, good.version
    ));
    if let From::Bundle(_) = good.from {
        out::answer(format_args!("  {}", good.from));
    }
    Ok(Exit::Good)
}
