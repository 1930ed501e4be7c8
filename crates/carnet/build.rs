//! Packs the reviewed facts and the example policies into the binary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use carnet_provenance::{Registry, SourceFile};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let registry = registry(&root.join("registry"))?;
    fs::write(out.join("registry.blob"), registry.to_blob())?;
    // Known when the program is built, so that no start has to look for it.
    let newest = registry.newest().ok_or("the registry has no dated claim")?;
    fs::write(out.join("registry.date"), newest.to_string())?;
    fs::write(out.join("packs.rs"), packs(&root.join("policies"))?)?;
    Ok(())
}

/// The registry; a mistake in a file stops the build with its place.
fn registry(folder: &Path) -> Result<Registry> {
    watch(folder);
    let mut files = Vec::new();
    for path in files_below(folder)? {
        if path.extension().is_some_and(|ending| ending == "toml") {
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            files.push(SourceFile {
                path: name,
                text: fs::read_to_string(&path)?,
            });
        }
    }
    let registry = Registry::parse(&files).map_err(|problems| {
        problems.iter().fold(
            "the registry has mistakes:\n".to_owned(),
            |text, problem| format!("{text}registry/{problem}\n"),
        )
    })?;
    Ok(registry)
}

/// The policy packs as a table of texts.
fn packs(folder: &Path) -> Result<String> {
    watch(folder);
    let mut code = String::from(
        "/// Every built-in pack with its files.\npub(crate) static PACKS: &[(&str, &[(&str, &str)])] = &[\n",
    );
    let mut packs: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    packs.sort();
    for pack in packs.iter().filter(|path| path.is_dir()) {
        let name = pack.file_name().unwrap_or_default().to_string_lossy();
        writeln!(code, "    ({name:?}, &[")?;
        for file in files_below(pack)? {
            let relative = file.strip_prefix(pack)?.to_string_lossy().into_owned();
            writeln!(
                code,
                "        ({relative:?}, include_str!({:?})),",
                file.display().to_string()
            )?;
        }
        code.push_str("    ]),\n");
    }
    code.push_str("];\n");
    Ok(code)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        watch(&next);
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    Ok(found)
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
