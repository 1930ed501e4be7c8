//! Where things are: the repository, its target folder, and the material laid beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that hold nothing written by hand.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules", "book"];

/// The repository.
pub(crate) struct Repo {
    root: PathBuf,
    target: PathBuf,
}

impl Repo {
    /// The repository that this program was built in.
    pub(crate) fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies outside a repository")?
            .to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    /// A path inside the repository.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The folder that tools are installed into.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The product, as the tests build it.
    pub(crate) fn carnet(&self) -> PathBuf {
        self.target.join("debug/carnet")
    }

    /// Material laid beside the repository (recordings, the benchmark), where it is there.
    pub(crate) fn shared(&self, inside: &str) -> Option<PathBuf> {
        let path = self.root.parent()?.join("shared").join(inside);
        path.exists().then_some(path)
    }

    /// Every file written by hand, as paths inside the repository, sorted.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(dir) = open.pop() {
            for entry in
                fs::read_dir(&dir).with_context(|| format!("cannot list `{}`", dir.display()))?
            {
                let entry = entry?;
                let name = entry.file_name();
                let kind = entry.file_type()?;
                if kind.is_dir() && !NOT_OURS.iter().any(|skip| name.to_str() == Some(skip)) {
                    open.push(entry.path());
                } else if kind.is_file()
                    && let Ok(inside) = entry.path().strip_prefix(&self.root)
                {
                    found.push(inside.to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Every Rust file, with its text.
    pub(crate) fn rust_files(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for file in self.files()? {
            if file.ends_with(".rs") {
                let text = self.read(&file)?;
                found.push((file, text));
            }
        }
        Ok(found)
    }

    pub(crate) fn read(&self, inside: &str) -> Result<String> {
        fs::read_to_string(self.path(inside)).with_context(|| format!("cannot read `{inside}`"))
    }
}
