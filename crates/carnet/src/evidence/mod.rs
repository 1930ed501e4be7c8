//! What lies at a path, read as evidence: cards, configurations and headers of weights are statements
//! of whoever wrote them. Nothing is run or unpickled, and every file is read within bounds.

mod notes;
mod ollama;
mod place;
mod texts;
mod weights;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use carnet_inspect::limits::MAX_JSON;
use carnet_inspect::{Tree, json};
use carnet_provenance::FileStatements;

use crate::trouble::{Trouble, Troubles};
use notes::Notes;
use place::{Opened, Place};

/// Most files of one folder whose headers are read. The largest published models have 163 parts, which
/// all say the same; what more there is, is told.
const WEIGHT_FILES_MAX: usize = 64;

/// What an argument is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// A model id.
    Id,
    /// A file or folder that is there.
    Path(PathBuf),
    /// Written as a path, and nothing is there.
    Missing,
}

/// An argument is a path if something is there and it has the form of one; a word that happens to name
/// a folder stays an id. A platform that is asked for makes every argument an id of it.
pub(crate) fn argument(text: &OsStr, platform: Option<&str>) -> Argument {
    let bytes = text.as_bytes();
    let here = matches!(bytes, b"." | b"..");
    let lower = bytes.to_ascii_lowercase();
    let ending = [&b".gguf"[..], b".safetensors", b".json"]
        .iter()
        .any(|ending| lower.ends_with(ending));
    let of_files = platform.is_none_or(|name| ["file", "gguf", "safetensors"].contains(&name));
    if !of_files || !(here || ending || bytes.contains(&b'/')) {
        return Argument::Id;
    }
    let path = Path::new(text);
    if path.symlink_metadata().is_ok() {
        return Argument::Path(path.to_owned());
    }
    let as_path = [&b"./"[..], b"../", b"/"]
        .iter()
        .any(|begin| bytes.starts_with(begin));
    if as_path && platform.is_none() {
        Argument::Missing
    } else {
        Argument::Id
    }
}

/// That nothing is there.
pub(crate) fn missing(text: &OsStr) -> Trouble {
    Trouble::new(
        format!("there is no file or folder `{}`", text.to_string_lossy()),
        "check the path; `--platform file` reads it as the name of a model file that is elsewhere",
    )
}

/// Read what lies at a path.
pub(crate) fn read(path: &Path) -> Result<FileStatements, Troubles> {
    let place = Place::of(path)?;
    let mut notes = Notes::default();
    if place.is_folder() {
        folder(&place, &mut notes)?;
    } else {
        single(&place, &mut notes);
    }
    Ok(notes.finish())
}

/// The kinds of files that say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Adapter,
    Card,
    Config,
    Gguf,
    Safetensors,
    /// Weights that are not read: reading some of them would run what they hold.
    Closed,
}

fn kind(name: &str) -> Option<Kind> {
    let lower = name.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
    Some(match lower.as_str() {
        "adapter_config.json" => Kind::Adapter,
        "config.json" => Kind::Config,
        "readme.md" => Kind::Card,
        _ if ends(&[".gguf"]) => Kind::Gguf,
        _ if ends(&[".safetensors"]) => Kind::Safetensors,
        _ if ends(CLOSED) => Kind::Closed,
        _ => return None,
    })
}

/// Endings of weights that are not read.
const CLOSED: &[&str] = &[
    ".bin", ".ckpt", ".h5", ".keras", ".mar", ".msgpack", ".nemo", ".npz", ".onnx", ".pb",
    ".pickle", ".pkl", ".pt", ".pth", ".tflite",
];

fn folder(place: &Place, notes: &mut Notes) -> Result<(), Troubles> {
    place.names(notes);
    let entries = place.entries(notes)?;
    let mut found = false;
    let mut headers = 0_usize;
    // Texts first: an adapter's configuration tells how the rest is to be read.
    let mut files: Vec<(Kind, PathBuf)> = entries
        .into_iter()
        .filter_map(|path| Some((kind(&path.file_name()?.to_string_lossy())?, path)))
        .collect();
    files.sort();
    let mut closed = Vec::new();
    for (kind, path) in files {
        found = true;
        let name = place::shown(&path);
        if kind == Kind::Closed {
            closed.push(name);
            continue;
        }
        if matches!(kind, Kind::Gguf | Kind::Safetensors) {
            headers = headers.saturating_add(1);
            if headers > WEIGHT_FILES_MAX {
                continue;
            }
            notes.own_name(&name, &format!("the name of {name}"), "file", false);
        }
        match place.open(&path) {
            Ok(opened) => one(kind, opened, &name, notes),
            Err(why) => notes.step(format!("{name} is not read: {why}")),
        }
    }
    if headers > WEIGHT_FILES_MAX {
        let more = headers.saturating_sub(WEIGHT_FILES_MAX);
        notes.step(format!("{more} more files of weights are not read"));
    }
    if !closed.is_empty() {
        let names = closed
            .iter()
            .take(4)
            .map(String::as_str)
            .collect::<Vec<_>>();
        let more = if closed.len() > names.len() {
            " and others"
        } else {
            ""
        };
        notes.step(format!(
            "{}{more} is not read: nothing is unpickled or run to learn what it says",
            names.join(", ")
        ));
    }
    if !found {
        notes.forget_names();
        notes.step(
            "there is no model file in this folder: no card, configuration or weights; folders within are not looked into",
        );
    } else if headers == 0 && closed.is_empty() {
        notes.step("no weights lie in this folder: what its texts say is about others' files");
    }
    Ok(())
}

fn single(place: &Place, notes: &mut Notes) {
    // The name that was given: in a cache the file behind a link is called by its digest.
    let name = place::shown(Path::new(place.name()));
    let mut opened = match place.open(place.path()) {
        Ok(opened) => opened,
        Err(why) => {
            place.names(notes);
            notes.step(format!("{name} is not read: {why}"));
            return;
        }
    };
    let kind = match kind(place.name()) {
        Some(Kind::Closed) | None if opened.begins_with(b"GGUF") => Some(Kind::Gguf),
        None if place.name().to_ascii_lowercase().ends_with(".md") => Some(Kind::Card),
        known => known,
    };
    match kind {
        Some(Kind::Closed) => {
            place.names(notes);
            notes.step(format!(
                "{name} is not read: nothing is unpickled or run to learn what it says"
            ));
        }
        Some(kind) => {
            place.names(notes);
            one(kind, opened, &name, notes);
        }
        None => other(place, opened, &name, notes),
    }
}

/// A file whose name does not tell what it is: a manifest of Ollama's, another configuration, or nothing.
fn other(place: &Place, mut opened: Opened, name: &str, notes: &mut Notes) {
    if opened.begins_with(b"{")
        && let Some((tree, bytes)) = tree_and_bytes(&mut opened, name, notes)
    {
        if ollama::is_manifest(&tree) {
            ollama::manifest(place, &tree, &bytes, name, notes);
        } else {
            place.names(notes);
            texts::config(&tree, name, notes);
        }
        return;
    }
    place.names(notes);
    notes.step(format!("{name} is not a file that tells what it is"));
}

/// One file of a known kind.
fn one(kind: Kind, mut opened: Opened, name: &str, notes: &mut Notes) {
    match kind {
        Kind::Adapter => {
            if let Some(tree) = tree(&mut opened, name, notes) {
                texts::adapter(&tree, name, notes);
            }
        }
        Kind::Card => texts::card(&mut opened, name, notes),
        Kind::Config => {
            if let Some(tree) = tree(&mut opened, name, notes) {
                texts::config(&tree, name, notes);
            }
        }
        Kind::Gguf => weights::gguf(&mut opened, name, notes),
        Kind::Safetensors => weights::safetensors(&mut opened, name, notes),
        Kind::Closed => {}
    }
}

/// A JSON file's values.
fn tree(opened: &mut Opened, name: &str, notes: &mut Notes) -> Option<Tree> {
    tree_and_bytes(opened, name, notes).map(|(tree, _)| tree)
}

fn tree_and_bytes(opened: &mut Opened, name: &str, notes: &mut Notes) -> Option<(Tree, Vec<u8>)> {
    let limit = MAX_JSON.saturating_add(1);
    let read = opened.head(limit).map_err(|error| error.to_string());
    let result = read.and_then(|bytes| {
        let tree = json::read(&bytes).map_err(|finding| notes::told(&finding))?;
        Ok((tree, bytes))
    });
    match result {
        Ok(read) => Some(read),
        Err(why) => {
            notes.step(format!("{name} is not read: {why}"));
            None
        }
    }
}

impl Opened {
    /// Its first bytes, at most so many.
    fn head(&mut self, limit: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        (&mut self.file).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn begins_with(&mut self, magic: &[u8]) -> bool {
        self.head(magic.len()).is_ok_and(|head| head == magic)
    }
}

/// The names of a folder's entries that are looked at.
fn sorted(folder: &Path, limit: usize) -> std::io::Result<(Vec<PathBuf>, bool)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        if found.len() >= limit {
            return Ok((found, true));
        }
        found.push(entry?.path());
    }
    found.sort();
    Ok((found, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_and_written_as_a_path_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.gguf");
        fs::write(&file, "").unwrap();
        let of = |text: &Path, platform| argument(text.as_os_str(), platform);
        assert_eq!(of(&file, None), Argument::Path(file.clone()));
        assert_eq!(of(&file, Some("file")), Argument::Path(file.clone()));
        assert_eq!(of(&file, Some("ollama")), Argument::Id);
        for (text, expected) in [
            ("no-such-word", Argument::Id),
            ("no/such", Argument::Id),
            ("no-such.gguf", Argument::Id),
            ("./no-such", Argument::Missing),
            ("../no-such", Argument::Missing),
            ("/no-such/thing", Argument::Missing),
            (".", Argument::Path(".".into())),
            // This crate's own folder of sources: a word that happens to name a folder.
            ("src", Argument::Id),
            ("./src", Argument::Path("./src".into())),
        ] {
            assert_eq!(of(Path::new(text), None), expected, "{text}");
        }
        assert_eq!(of(Path::new("./no-such"), Some("file")), Argument::Id);
    }
}
