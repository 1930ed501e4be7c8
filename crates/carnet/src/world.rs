//! Loads what a decision rests on: registry, overlay, policies, secrets. Nothing here is in force
//! before all of it has been read and checked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_gateway::Secret;
use carnet_gateway::config::KeyRef;
use carnet_gateway::section::closest;
use carnet_policy::{PackSource, Policies, PolicyProblem};
use carnet_provenance::{Overlay, Registry, SourceFile, View};
use jiff::civil::Date;

use crate::cli::Facts;
use crate::rules::Settings;
use crate::trouble::{Trouble, Troubles};
use crate::{embedded, installed};

/// Largest file of rules, facts or secrets that is read, in bytes: far beyond any that a person wrote.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The registry: a folder's, or the one in force.
pub(crate) fn registry(folder: Option<&Path>) -> Result<Arc<Registry>, Troubles> {
    registry_in(folder, None)
}

/// The registry: a folder's, or the one in force in this state directory.
pub(crate) fn registry_in(
    folder: Option<&Path>,
    state: Option<&Path>,
) -> Result<Arc<Registry>, Troubles> {
    let Some(folder) = folder else {
        return installed::in_force(state).map(|found| found.registry);
    };
    let files = files_below(folder, folder, "toml")?;
    let sources: Vec<SourceFile> = files
        .into_iter()
        .map(|(path, text)| SourceFile { path, text })
        .collect();
    if sources.is_empty() {
        let message = format!("there is no registry in `{}`", folder.display());
        return Err(vec![Trouble::new(
            message,
            "name a folder with producers/, models/ and hosts/",
        )]);
    }
    let registry = Registry::parse(&sources).map_err(|problems| {
        problems
            .into_iter()
            .map(|problem| within(folder, problem.into()))
            .collect::<Troubles>()
    })?;
    Ok(Arc::new(registry))
}

/// Registry and overlay files together, as they are on `today`.
pub(crate) fn view(
    registry: &Arc<Registry>,
    overlay: &[PathBuf],
    today: Date,
) -> Result<Arc<View>, Troubles> {
    let mut files = Vec::new();
    let mut troubles = Vec::new();
    for file in overlay {
        match read_text(file) {
            Ok(text) => files.push(SourceFile {
                path: file.display().to_string(),
                text,
            }),
            Err(mut trouble) => troubles.append(&mut trouble),
        }
    }
    if !troubles.is_empty() {
        return Err(troubles);
    }
    let overlay = Overlay::parse(&files, registry, today).map_err(|problems| {
        problems
            .into_iter()
            .map(Trouble::from)
            .collect::<Troubles>()
    })?;
    Ok(Arc::new(View::new(registry.clone(), overlay)))
}

/// Registry and overlay as a command names them, as they are on `today`.
pub(crate) fn view_of(facts: &Facts, today: Date) -> Result<Arc<View>, Troubles> {
    let registry = match &facts.registry {
        Some(path) => installed::open(path, facts.state.as_deref(), None)?.registry,
        None => installed::in_force(facts.state.as_deref())?.registry,
    };
    view(&registry, &facts.overlay, today)
}

/// Packs by name or folder with what is set for them, all checked.
pub(crate) fn policies(
    names: &[String],
    base: &Path,
    settings: &Settings,
) -> Result<Arc<Policies>, Troubles> {
    let mut sources = Vec::new();
    let mut troubles = Vec::new();
    for name in names {
        match pack(name, base) {
            Ok(source) => sources.push(set(source, settings)),
            Err(mut trouble) => troubles.append(&mut trouble),
        }
    }
    if !troubles.is_empty() {
        return Err(troubles);
    }
    compile(&sources, names, base)
}

/// A pack with what is set for it.
pub(crate) fn set(source: PackSource, settings: &Settings) -> PackSource {
    match settings.get(&source.name) {
        Some(settings) => source.with(settings.clone()),
        None => source,
    }
}

/// Packs that were read under these names, checked.
pub(crate) fn compile(
    sources: &[PackSource],
    names: &[String],
    base: &Path,
) -> Result<Arc<Policies>, Troubles> {
    Policies::load(sources)
        .map(Arc::new)
        .map_err(|problems| in_packs(problems, names, base))
}

/// Mistakes of rules, each at its place in the folder from which its pack was read.
pub(crate) fn in_packs(problems: Vec<PolicyProblem>, names: &[String], base: &Path) -> Troubles {
    problems
        .into_iter()
        .map(|problem| match folder_of(&problem.pack, names, base) {
            Some(folder) => {
                let file = folder.join(&problem.file).display().to_string();
                let mut trouble = Trouble::from(problem);
                trouble.file = Some(file);
                trouble
            }
            None => problem.into(),
        })
        .collect()
}

/// The folder from which a pack of this name was read; none for a built-in one.
fn folder_of(pack: &str, names: &[String], base: &Path) -> Option<PathBuf> {
    names
        .iter()
        .filter(|name| embedded::pack(name).is_none())
        .map(|name| base.join(name))
        .find(|folder| folder.file_name().is_some_and(|last| last == pack))
}

/// The files of one pack.
pub(crate) fn pack(name: &str, base: &Path) -> Result<PackSource, Troubles> {
    if let Some(source) = embedded::pack(name) {
        return Ok(source);
    }
    let folder = base.join(name);
    if !folder.is_dir() {
        let built_in: Vec<&str> = embedded::pack_names().collect();
        let list = format!("built in are {}", built_in.join(", "));
        return Err(vec![Trouble::new(
            format!("there is no pack `{name}`: it is neither built in nor a folder"),
            match closest(name, built_in) {
                Some(meant) => format!("did you mean `{meant}`?\n{list}"),
                None => list,
            },
        )]);
    }
    let mut files = Vec::new();
    for ending in ["toml", "cedar", "md"] {
        files.append(&mut files_below(&folder, &folder, ending)?);
    }
    files.sort();
    let name = folder.file_name().map_or_else(
        || name.to_owned(),
        |last| last.to_string_lossy().into_owned(),
    );
    Ok(PackSource::new(name, files))
}

/// The secret that a reference names.
pub(crate) fn secret(reference: &KeyRef) -> Result<Secret, Troubles> {
    let (text, place) = match reference {
        KeyRef::Env(name) => (
            std::env::var(name).unwrap_or_default(),
            format!("the environment variable `{name}`"),
        ),
        KeyRef::File(file) => (
            first_line_or_object(read_text(file)?),
            format!("the file `{}`", file.display()),
        ),
        KeyRef::Credential(name) => {
            let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                return Err(vec![Trouble::new(
                    format!("the systemd credential `{name}` is wanted, but systemd gave none"),
                    format!(
                        "start Carnet as a systemd unit with `LoadCredential={name}:…`, or use key = {{ file = \"…\" }}"
                    ),
                )]);
            };
            (
                first_line_or_object(read_text(&PathBuf::from(folder).join(name))?),
                format!("the credential `{name}`"),
            )
        }
    };
    let secret = Secret::new(text);
    if secret.is_empty() {
        return Err(vec![Trouble::new(
            format!("there is no key: {place} is empty or not set"),
            "set it, or take `key` out of this upstream if it needs none",
        )]);
    }
    Ok(secret)
}

/// Some keys are JSON objects of several lines; no other key begins like one.
fn first_line_or_object(text: String) -> String {
    if text.trim_start().starts_with('{') {
        return text;
    }
    text.lines().next().unwrap_or_default().to_owned()
}

/// Read a text of bounded size.
pub(crate) fn read_text(file: &Path) -> Result<String, Troubles> {
    let bytes = read_bytes(file)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let last = before.rsplit(|byte| *byte == b'\n').next();
        let column = String::from_utf8_lossy(last.unwrap_or_default())
            .chars()
            .count();
        vec![
            Trouble::new(
                format!("`{}` is not UTF-8 text", file.display()),
                "save it as UTF-8",
            )
            .of(file)
            .at(line.saturating_add(1), column.saturating_add(1)),
        ]
    })
}

/// Read a file of bounded size.
pub(crate) fn read_bytes(file: &Path) -> Result<Vec<u8>, Troubles> {
    read_bounded(file, FILE_BYTES_MAX)
}

/// Read a file of at most so many bytes.
pub(crate) fn read_bounded(file: &Path, bytes_max: u64) -> Result<Vec<u8>, Troubles> {
    let trouble = |error: std::io::Error| {
        Trouble::io(
            "read it",
            file,
            &error,
            "check the path and its permissions",
        )
    };
    let size = fs::metadata(file).map_err(trouble)?.len();
    let too_large = |size: u64| {
        vec![Trouble::new(
            format!(
                "`{}` has {size} bytes, more than the {bytes_max} that are read",
                file.display()
            ),
            "this is probably not the file you meant",
        )]
    };
    if size > bytes_max {
        return Err(too_large(size));
    }
    // It may grow meanwhile, or be none whose size is known.
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(trouble)?;
    let read = opened
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes);
    let read = read.map_err(trouble)? as u64;
    if read > bytes_max {
        return Err(too_large(read));
    }
    Ok(bytes)
}

/// Write a file whole or not at all.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), Troubles> {
    let trouble = |error: std::io::Error| {
        Trouble::io(
            "write it",
            file,
            &error,
            "check the path and its permissions",
        )
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.unwrap_or(Path::new(".")).join(name);
    let written = std::fs::File::create(&temporary).and_then(|mut new| {
        new.write_all(bytes)?;
        new.sync_all()?;
        std::fs::rename(&temporary, file)
    });
    written.map_err(|error| {
        // What is left of it would only have to be removed by hand.
        let _ = std::fs::remove_file(&temporary);
        trouble(error)
    })
}

/// All files below a folder with this ending, by their path within `root`, in order.
fn files_below(
    root: &Path,
    folder: &Path,
    ending: &str,
) -> Result<Vec<(String, String)>, Troubles> {
    let trouble = |error: std::io::Error| {
        Trouble::io(
            "read the folder",
            folder,
            &error,
            "check the path and its permissions",
        )
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        if path.is_dir() {
            found.append(&mut files_below(root, &path, ending)?);
        } else if path.extension().is_some_and(|have| have == ending) {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            found.push((name, read_text(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

fn within(folder: &Path, mut trouble: Trouble) -> Trouble {
    trouble.file = trouble
        .file
        .map(|file| folder.join(file).display().to_string());
    trouble
}
