//! `carnet bom`: a bill of materials for the models of a configuration, or for others.

use std::path::Path;

use jiff::civil::Date;

use crate::bom::{self, Inventory};
use crate::cli::{BomArgs, BomFormat};
use crate::config::{Draft, Given};
use crate::exit::Exit;
use crate::trouble::Troubles;
use crate::{clock, commands, demo, out, world};

/// The configuration that is taken if none is named.
const HERE: &str = "carnet.toml";

pub(crate) fn run(args: &BomArgs) -> Exit {
    match inventory(args) {
        Ok(inventory) => {
            let unknown = inventory
                .entries
                .iter()
                .filter(|entry| !entry.resolution.weights_complete)
                .count();
            out::answer(match args.format {
                BomFormat::Cyclonedx => bom::cyclonedx(&inventory),
                BomFormat::Spdx => bom::spdx(&inventory),
            });
            if unknown > 0 {
                let all = inventory.entries.len();
                out::note(format_args!(
                    "note: of {all} models, {unknown} have weights of which not every origin is known"
                ));
            }
            Exit::Good
        }
        Err(troubles) => commands::failed(&troubles),
    }
}

fn inventory(args: &BomArgs) -> Result<Inventory, Troubles> {
    let day = args.facts.as_of.unwrap_or_else(clock::today);
    if args.model.is_empty() && !args.registry_all {
        return of_config(args, day);
    }
    let registry = world::registry_in(args.facts.registry.as_deref(), args.facts.state.as_deref())?;
    let view = world::view(&registry, &args.facts.overlay, day)?;
    Ok(if args.registry_all {
        bom::of_registry(&view, day)
    } else {
        bom::of_ids(&args.model, args.platform.as_deref(), &view, day)
    })
}

fn of_config(args: &BomArgs, day: Date) -> Result<Inventory, Troubles> {
    let given = Given::default();
    let here = Path::new(HERE);
    let draft = match &args.config {
        Some(file) => Draft::open(file, &given)?,
        None if here.exists() => Draft::open(here, &given)?,
        None => {
            out::note(
                "note: there is no carnet.toml here: these are the models of the demonstration",
            );
            demo::draft(&given)?
        }
    };
    let own = draft.registry_folder();
    let folder = args.facts.registry.as_deref().or(own.as_deref());
    let registry = world::registry_in(folder, args.facts.state.as_deref())?;
    let config = draft.checked(&registry, day)?;
    let mut overlay = config.overlay.clone();
    overlay.extend(args.facts.overlay.iter().cloned());
    let view = world::view(&registry, &overlay, day)?;
    bom::of_config(&config, &view, day)
}
