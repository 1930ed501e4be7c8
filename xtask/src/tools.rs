//! Installs what the tests need into `target/tools`, without root and only once.

mod debian;
mod node;
mod peers;
mod python;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::console;
use crate::repo::Repo;

pub(crate) use debian::{BenchPeers, Valgrind};
pub(crate) use peers::Peer;

/// The tools of the client suites.
pub(crate) struct Tools {
    /// The virtual environment's Python, with the stock client in it.
    pub(crate) python: PathBuf,
    /// Node.js, from a Python wheel.
    pub(crate) node: PathBuf,
    /// The npm beside it, as a script for it.
    npm: PathBuf,
    /// The folder whose `node_modules` holds the stock client.
    pub(crate) node_folder: PathBuf,
    /// The folder with the programs of `tests/clients/rust`.
    pub(crate) rust: PathBuf,
}

/// Says what is missing and how much it is, then installs it.
pub(crate) fn install(repo: &Repo) -> Result<Tools> {
    let python = python::Environment::of(repo, "tests/clients/python", "python")?;
    let node = node::Folder::of(repo, "tests/clients/node", "node")?;
    let missing: Vec<&str> = [
        (!python.is_there())
            .then_some("about 800 MB: a Python environment with the clients, readers of bills of materials and Node.js"),
        (!node.is_there()).then_some("about 220 MB: the clients for Node.js"),
        (!rust::is_there(repo)).then_some("about 330 MB: the clients for Rust"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if missing.is_empty() {
        console::say(format_args!(
            "tools: all there in {}",
            repo.tools().display()
        ));
    } else {
        console::say(format_args!(
            "installs into {}, without root and once:",
            repo.tools().display()
        ));
        for what in missing {
            console::say(format_args!("  {what}"));
        }
        python.install(repo)?;
    }
    let (node_program, npm) = (python.node()?, python.npm()?);
    node.install(&node_program, &npm)?;
    Ok(Tools {
        python: python.program(),
        node: node_program,
        npm,
        node_folder: node.path,
        rust: rust::build(repo)?,
    })
}

/// The folder whose `node_modules` holds the agents on the command line, installed if need be.
pub(crate) fn for_agents(repo: &Repo, tools: &Tools) -> Result<PathBuf> {
    let folder = node::Folder::of(repo, "tests/clients/agents", "agents")?;
    if !folder.is_there() {
        console::say("  about 660 MB: agents on the command line");
    }
    folder.install(&tools.node, &tools.npm)?;
    Ok(folder.path)
}

/// nginx and wrk, for the benchmark: their paths, installed if need be. None where Debian's package
/// tools are not there.
pub(crate) fn for_benchmark(repo: &Repo) -> Result<Option<BenchPeers>> {
    debian::peers(repo)
}

/// The gateways of others that package registries have and that are wanted, installed if need be, and why some are not.
pub(crate) fn peers_for_benchmark(
    repo: &Repo,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Peer>, Vec<String>)> {
    peers::install(repo, wanted)
}

/// What counts instructions: its paths, installed if need be. None where Debian's package tools are not there.
pub(crate) fn for_instructions(repo: &Repo) -> Result<Option<Valgrind>> {
    debian::valgrind(repo)
}

/// What traces system calls, installed if need be. None where Debian's package tools are not there.
pub(crate) fn for_traces(repo: &Repo) -> Result<Option<PathBuf>> {
    debian::strace(repo)
}

/// The solver, for the tests that prove: its path, installed if need be. None where Debian's package
/// tools are not there.
pub(crate) fn for_proofs(repo: &Repo) -> Result<Option<PathBuf>> {
    debian::cvc5(repo)
}

/// Prometheus, for what looks at the product: its paths, installed if need be. None where Debian's package tools are not there.
pub(crate) fn for_observation(repo: &Repo) -> Result<Option<debian::Prometheus>> {
    debian::prometheus(repo)
}

/// Whether a folder was installed from these versions.
fn stamped(folder: &Path, versions: &str) -> bool {
    fs::read_to_string(folder.join(".installed")).is_ok_and(|stamp| stamp == versions)
}

/// Marks a folder as installed, as the last step.
fn stamp(folder: &Path, versions: &str) -> Result<()> {
    fs::write(folder.join(".installed"), versions)
        .with_context(|| format!("cannot write into `{}`", folder.display()))
}

/// An empty folder in the place of whatever was there.
fn anew(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))
}
