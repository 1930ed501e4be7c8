//! The `carnet` command: what was typed leads to one command, which ends in one exit code.

mod access_log;
mod backup;
mod bom;
mod cli;
mod clock;
mod commands;
mod config;
mod conversations;
mod counted;
mod demo;
mod doctor;
mod embedded;
mod engine;
mod evidence;
mod exit;
mod import;
mod installed;
mod loaded;
mod log_key;
mod out;
mod reload;
mod rules;
mod state;
mod state_ids;
mod suspended;
mod trouble;
mod watched;
mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_tracing();
    match &cli.command {
        Command::Engine(args) => commands::engine::run(args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Resolve(args) => commands::resolve::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Bom(args) => commands::bom::run(args),
        Command::Policy(command) => commands::policy::run(command),
        Command::Registry(command) => commands::registry::run(command),
        Command::Audit(command) => commands::audit::run(command),
        Command::Key(command) => commands::key::run(command),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Backup(args) => commands::backup::run(args),
        Command::Restore(args) => commands::restore::run(args),
        Command::Config(command) => commands::config::run(command),
    }
    .into()
}

/// Events of the running program on stderr; `CARNET_LOG` sets the level (`info`, `carnet_gateway=debug` …), and
/// `CARNET_LOG_FORMAT=json` makes each a line of JSON.
fn init_tracing() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("CARNET_LOG").unwrap_or_else(|_| "warn".into());
    let events = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::env::var_os("CARNET_LOG_FORMAT").is_some_and(|format| format == "json") {
        events.json().init();
    } else {
        events.init();
    }
}
