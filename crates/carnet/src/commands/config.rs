//! `carnet config`: write, check and describe the configuration.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use carnet_limits::KeyRing;

use crate::cli::ConfigCommand;
use crate::config::{self, Draft, Given, TEMPLATE};
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, loaded, out};

pub(crate) fn run(command: &ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Init { file } => init(file),
        ConfigCommand::Check { file, state } => check(file, state.as_deref()),
        ConfigCommand::Schema => {
            out::answer(config::schema());
            Exit::Good
        }
        ConfigCommand::Import(args) => commands::import::run(args),
    }
}

fn init(file: &Path) -> Exit {
    if file.as_os_str() == "-" {
        out::raw(TEMPLATE);
        return Exit::Good;
    }
    match create(
        file,
        TEMPLATE,
        "it is there already and stays as it is; name another file",
    ) {
        Ok(()) => {
            out::answer(format_args!(
                "wrote {}; next: uncomment an upstream, then `carnet config check {0}`",
                file.display()
            ));
            Exit::Good
        }
        Err(troubles) => commands::failed(&troubles),
    }
}

/// Write a file that is not there yet; `is_there` is the advice when it is.
pub(crate) fn create(file: &Path, text: &str, is_there: &str) -> Result<(), Troubles> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut new| new.write_all(text.as_bytes()));
    written.map_err(|error| {
        let help = if error.kind() == ErrorKind::AlreadyExists {
            is_there
        } else {
            "check the path and its permissions"
        };
        Trouble::io("write it", file, &error, help)
    })
}

fn check(file: &Path, state: Option<&Path>) -> Exit {
    match check_all(file, state) {
        Ok(summary) => {
            out::answer(summary);
            Exit::Good
        }
        Err(troubles) => commands::failed(&troubles),
    }
}

fn check_all(file: &Path, state: Option<&Path>) -> Result<String, Troubles> {
    let mut draft = Draft::open(file, &Given::default())?;
    draft.state = state.map(Path::to_path_buf);
    let loaded = loaded::load_to_start(draft, clock::now())?;
    for warning in &loaded.warnings {
        out::note(warning);
    }
    let (generation, config) = loaded.build(KeyRing::default(), None)?;
    let (upstreams, workloads) = (
        config.gateway.upstreams.len(),
        config.gateway.workloads.len(),
    );
    let models: usize = config
        .gateway
        .upstreams
        .iter()
        .map(|upstream| upstream.models.len())
        .sum();
    let versions = generation.versions();
    Ok(format!(
        "{} is good: {upstreams} upstreams with {models} models, {workloads} workloads, packs {}\n  configuration {}\n  policies      {}\n  registry      {}",
        file.display(),
        config.packs.join(", "),
        versions.config,
        versions.policy,
        versions.registry,
    ))
}
