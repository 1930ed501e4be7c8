//! The clients written in Rust: a package with a lock file of its own, so that what they need is no dependency of the
//! product.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::exec;
use crate::repo::Repo;

const MANIFEST: &str = "tests/clients/rust/Cargo.toml";

fn target(repo: &Repo) -> PathBuf {
    repo.tools().join("rust")
}

pub(super) fn is_there(repo: &Repo) -> bool {
    target(repo).exists()
}

/// Builds the package, which is quickly done where nothing changed, and names the folder with its programs.
pub(super) fn build(repo: &Repo) -> Result<PathBuf> {
    let words = ["build", "--quiet", "--locked", "--manifest-path", MANIFEST];
    let mut cargo = exec::cargo(repo.root(), &words);
    if !exec::succeeds(cargo.env("CARGO_TARGET_DIR", target(repo)))? {
        bail!("the clients for Rust do not build; is a package registry reachable?");
    }
    Ok(target(repo).join("debug"))
}
