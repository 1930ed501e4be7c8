//! Gateways of others that install from package registries, for the benchmark: each in an environment of its own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{node, python};
use crate::console;
use crate::repo::Repo;

/// A folder for each, with its versions.
const PEERS: &str = "tests/clients/peers";

/// A gateway of others, installed.
pub(crate) struct Peer {
    /// As the benchmark calls it.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The Node.js that it runs on, if it does.
    pub(crate) node: Option<PathBuf>,
    pub(crate) version: String,
}

/// Those that are wanted and can be installed, and why others cannot.
pub(super) fn install(
    repo: &Repo,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Peer>, Vec<String>)> {
    let mut names: Vec<String> = fs::read_dir(repo.path(PEERS))
        .with_context(|| format!("cannot list `{PEERS}`"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.retain(|name| wanted(name));
    names.sort();
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match one(repo, &name) {
            Ok(peer) => peers.push(peer),
            Err(error) => missing.push(format!("bench: {name}: {error:#}")),
        }
    }
    Ok((peers, missing))
}

fn one(repo: &Repo, name: &str) -> Result<Peer> {
    let folder = format!("{PEERS}/{name}");
    let place = format!("peers/{name}");
    if !repo.path(&format!("{folder}/package.json")).exists() {
        let environment = python::Environment::of(repo, &folder, &place)?;
        let version = first_pin(&environment.versions)
            .with_context(|| format!("`{folder}/requirements.txt` names no version"))?;
        announce(environment.is_there(), name);
        environment.install(repo)?;
        return Ok(Peer {
            name: name.to_owned(),
            version,
            folder: environment.path,
            node: None,
        });
    }
    // Node.js itself is a Python package.
    let environment = python::Environment::of(repo, &folder, &format!("peers/{name}.node"))?;
    let packages = node::Folder::of(repo, &folder, &place)?;
    let version = first_dependency(&packages.manifest)
        .with_context(|| format!("`{folder}/package.json` names no version"))?;
    announce(environment.is_there() && packages.is_there(), name);
    environment.install(repo)?;
    let program = environment.node()?;
    packages.install(&program, &environment.npm()?)?;
    Ok(Peer {
        name: name.to_owned(),
        version,
        folder: packages.path,
        node: Some(program),
    })
}

fn announce(there: bool, name: &str) {
    if !there {
        console::say(format_args!(
            "installs {name} for the benchmark, without root and once"
        ));
    }
}

/// The version of what stands first: the gateway itself. What it needs stands below.
fn first_pin(requirements: &str) -> Option<String> {
    let mut lines = requirements.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    first
        .split_once("==")
        .map(|(_, version)| version.to_owned())
}

fn first_dependency(manifest: &str) -> Option<String> {
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    let dependencies = manifest.get("dependencies")?.as_object()?;
    let (_, version) = dependencies.iter().next()?;
    version.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_gateway_stands_first() {
        assert_eq!(
            first_pin("# why\n\nrouter[all]==1.2.3\nother==4.5\n").as_deref(),
            Some("1.2.3")
        );
        assert_eq!(first_pin("# nothing\n"), None);
        let manifest = r#"{"name": "x", "dependencies": {"@a/gateway": "1.15.2"}}"#;
        assert_eq!(first_dependency(manifest).as_deref(), Some("1.15.2"));
        assert_eq!(first_dependency("{}"), None);
    }
}
