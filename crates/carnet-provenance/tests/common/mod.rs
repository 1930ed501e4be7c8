//! The repository's own registry, as the tests read it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use carnet_provenance::{Registry, SourceFile};

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn toml_files(folder: &Path, root: &Path, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            toml_files(&path, root, found);
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            let name = path.strip_prefix(root).unwrap();
            found.push(SourceFile {
                path: name.to_string_lossy().into_owned(),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

pub(crate) fn registry() -> Registry {
    let root = workspace().join("registry");
    let mut files = Vec::new();
    toml_files(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Registry::parse(&files).unwrap_or_else(|problems| {
        let shown: Vec<String> = problems
            .iter()
            .map(|problem| format!("registry/{problem}"))
            .collect();
        panic!("{} mistakes:\n{}", shown.len(), shown.join("\n"));
    })
}
