//! `carnet config`: write, check and describe the configuration.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::cli::ConfigCommand;
use crate::config::{self, TEMPLATE};
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

pub(crate) fn run(command: &ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Init { file } => init(file),
        ConfigCommand::Check { file } => check(file),
        ConfigCommand::Schema => {
            out::answer(config::schema());
            Exit::Good
        }
    }
}

fn init(file: &Path) -> Exit {
    if file.as_os_str() == "-" {
        out::raw(TEMPLATE);
        return Exit::Good;
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut new| new.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => {
            out::answer(format_args!(
                "wrote {}; next: uncomment an upstream, then `carnet config check {0}`",
                file.display()
            ));
            Exit::Good
        }
        Err(error) => {
            let help = if error.kind() == ErrorKind::AlreadyExists {
                "it is there already and stays as it is; name another file"
            } else {
                "check the path and its permissions"
            };
            commands::failed(&Trouble::io("write it", file, &error, help))
        }
    }
}

fn check(file: &Path) -> Exit {
    match check_all(file) {
        Ok(summary) => {
            out::answer(summary);
            Exit::Good
        }
        Err(troubles) => commands::failed(&troubles),
    }
}

fn check_all(file: &Path) -> Result<String, Troubles> {
    let config = config::load(file)?;
    let now = clock::now();
    let keys = carnet_limits::KeyRing::default();
    let parts = commands::serve::parts(&config, keys, now)?;
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
    let policies = parts.policies.version().to_owned();
    let generation = commands::serve::build(parts, None)?;
    if let Some(tls) = &config.gateway.server.tls {
        world::read_bytes(&tls.cert)?;
        world::read_bytes(&tls.key)?;
    }
    Ok(format!(
        "{} is good: {upstreams} upstreams with {models} models, {workloads} workloads, packs {}\n  configuration {}\n  policies      {policies}\n  registry      {}",
        file.display(),
        config.packs.join(", "),
        config.version,
        generation.versions().registry,
    ))
}
