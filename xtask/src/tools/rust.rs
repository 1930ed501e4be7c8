//! The clients written in Rust: a package with a lock file of its own, so that what they need is no dependency of the
//! product.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::console;
use crate::exec;
use crate::repo::Repo;

const MANIFEST: &str = "tests/clients/rust/Cargo.toml";

/// Builds the package, which is quickly done where nothing changed, and names one of its programs.
pub(super) fn program(repo: &Repo, name: &str) -> Result<PathBuf> {
    let target = repo.tools().join("rust");
    if !target.exists() {
        console::say("  about 330 MB: the clients for Rust");
    }
    let words = ["build", "--quiet", "--locked", "--manifest-path", MANIFEST];
    let mut build = exec::cargo(repo.root(), &words);
    if !exec::succeeds(build.env("CARGO_TARGET_DIR", &target))? {
        bail!("the clients for Rust do not build; is a package registry reachable?");
    }
    Ok(target.join("debug").join(name))
}
