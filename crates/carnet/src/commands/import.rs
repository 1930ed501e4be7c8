//! `carnet config import`: another gateway's configuration, a `carnet.toml` and what became of each part.

use std::path::Path;

use serde::Serialize;

use crate::cli::ImportArgs;
use crate::commands::{self, config};
use crate::exit::Exit;
use crate::import::{self, Imported, Report};
use crate::trouble::Troubles;
use crate::{out, world};

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    /// None when the configuration stands in `config`.
    out: Option<String>,
    upstreams: usize,
    models: usize,
    workloads: usize,
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a str>,
}

pub(crate) fn run(args: &ImportArgs) -> Exit {
    let imported = match read(args) {
        Ok(imported) => imported,
        Err(troubles) => return commands::failed(&troubles),
    };
    let printed = args.out.as_os_str() == "-";
    if !printed && let Err(troubles) = write(&args.out, &imported.config, args.force) {
        return commands::failed(&troubles);
    }
    let told = if args.json {
        commands::json(&answer(args, &imported, printed))
    } else {
        tell(args, &imported, printed);
        Exit::Good
    };
    if imported.report.is_complete() {
        told
    } else {
        told.worst(Exit::Bad)
    }
}

fn read(args: &ImportArgs) -> Result<Imported, Troubles> {
    let text = world::read_text(&args.file)?;
    import::import(args.from, &text).map_err(|troubles| {
        let of = |trouble: crate::trouble::Trouble| match trouble.file {
            Some(_) => trouble,
            None => trouble.of(&args.file),
        };
        troubles.into_iter().map(of).collect()
    })
}

fn write(file: &Path, text: &str, force: bool) -> Result<(), Troubles> {
    if force {
        return world::write(file, text.as_bytes());
    }
    config::create(
        file,
        text,
        "it is there already and stays as it is; name another file, or give `--force`",
    )
}

fn answer<'a>(args: &ImportArgs, imported: &'a Imported, printed: bool) -> Answer<'a> {
    Answer {
        file: args.file.display().to_string(),
        out: (!printed).then(|| args.out.display().to_string()),
        upstreams: imported.upstreams,
        models: imported.models,
        workloads: imported.workloads,
        report: &imported.report,
        config: printed.then_some(imported.config.as_str()),
    }
}

fn tell(args: &ImportArgs, imported: &Imported, printed: bool) {
    let Imported {
        config,
        report,
        upstreams,
        models,
        workloads,
    } = imported;
    let report = report.text();
    if printed {
        out::raw(config);
        out::note(report);
        return;
    }
    let file = args.out.display();
    out::answer(out::plain(&format!(
        "wrote {file}: {upstreams} upstreams with {models} models, {workloads} workloads\n{report}\n\
         next: `carnet config check {file}`, then `carnet key create --workload NAME` for each workload"
    )));
}
