//! Reference pages that the product writes about itself.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::exec;
use crate::repo::Repo;

/// Where a page lies, and the command of the product that writes it.
const PAGES: &[(&str, &[&str])] = &[
    (
        "docs/src/reference/config.schema.json",
        &["config", "schema"],
    ),
    (
        "docs/src/reference/services-table.md",
        &["registry", "services", "--registry", "registry"],
    ),
];

/// A page as the product writes it now.
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) text: String,
}

/// Builds the product and asks it for every page.
pub(crate) fn pages(repo: &Repo) -> Result<Vec<Page>> {
    build(repo)?;
    let mut pages = Vec::new();
    for (path, words) in PAGES {
        let mut command = Command::new(repo.carnet());
        let text = exec::output(command.args(*words).current_dir(repo.root()))?;
        pages.push(Page { path, text });
    }
    Ok(pages)
}

/// Builds the product as the tests use it.
pub(crate) fn build(repo: &Repo) -> Result<()> {
    if !exec::succeeds(
        exec::cargo(
            repo.root(),
            &["build", "--quiet", "--locked", "-p", "carnet"],
        )
        .stdin(std::process::Stdio::null()),
    )? {
        bail!("the product does not build");
    }
    Ok(())
}

/// Writes every page that is missing or stale.
pub(crate) fn write(repo: &Repo) -> Result<()> {
    for page in pages(repo)? {
        let path = repo.path(page.path);
        if fs::read_to_string(&path).is_ok_and(|old| old == page.text) {
            continue;
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&path, &page.text).with_context(|| format!("cannot write `{}`", page.path))?;
        crate::console::say(format_args!("wrote {}", page.path));
    }
    Ok(())
}
