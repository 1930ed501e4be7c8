//! The Node.js packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{anew, stamp, stamped};
use crate::console;
use crate::exec;
use crate::repo::Repo;

pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) manifest: String,
    lock: String,
}

impl Folder {
    /// The packages that `<folder>/package.json` names, installed under this name.
    pub(super) fn of(repo: &Repo, folder: &str, name: &str) -> Result<Self> {
        let file = |file: &str| repo.read(&format!("{folder}/{file}"));
        Ok(Self {
            path: repo.tools().join(name),
            manifest: file("package.json")?,
            lock: file("package-lock.json")?,
        })
    }

    pub(super) fn is_there(&self) -> bool {
        stamped(&self.path, &self.lock)
    }

    /// Installs what the lock file names. Scripts of packages are not run.
    pub(super) fn install(&self, node: &Path, npm: &Path) -> Result<()> {
        if self.is_there() {
            return Ok(());
        }
        console::say("  fetching Node.js packages …");
        anew(&self.path)?;
        fs::write(self.path.join("package.json"), &self.manifest)?;
        fs::write(self.path.join("package-lock.json"), &self.lock)?;
        let words = [
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-progress",
        ];
        exec::output(
            Command::new(node)
                .arg(npm)
                .args(words)
                .current_dir(&self.path),
        )
        .context("the Node.js packages cannot be installed; is a package registry reachable?")?;
        stamp(&self.path, &self.lock)
    }
}
