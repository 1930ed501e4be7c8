//! Bring together what goes into a backup, beside a server that may be running: a folder of the state as it was at one
//! time.
//!
//! The log comes first and the databases last, so that the store has every change of keys of which the log tells: a key
//! that is revoked by the log is not valid in the store.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use carnet_admin::Database;
use carnet_audit::{Report, verify};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::Refused;
use super::contents::{self, Kind, kind};
use super::manifest::Listed;
use crate::log_key;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};

/// The folder in the state directory in which a backup is brought together.
const FOLDER: &str = "backup.tmp";
/// Problems of a log that are told.
const PROBLEMS_SHOWN: usize = 20;

/// A state that was brought together. What is on the disk of it goes with this.
#[derive(Debug)]
pub(crate) struct Gathered {
    folder: PathBuf,
    /// Its files, by name.
    pub(crate) files: Vec<Listed>,
    /// What its log says of itself, where it has one.
    pub(crate) log: Option<Report>,
    /// Names in the state directory that no backup knows.
    pub(crate) strange: Vec<String>,
    /// Held while the folder is ours.
    _lock: File,
}

impl Gathered {
    /// Where the files lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        // What stays is removed by the next backup.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Bring a state together, with its secrets or without.
pub(crate) fn gather(state: &State, keys: bool) -> Result<Gathered, Refused> {
    let mut gathered = begin(state)?;
    let target = State::find(Some(gathered.folder()))?;
    gathered.log = log(state, &target)?;
    let names = names(state, &mut gathered.strange)?;
    for name in &names {
        match kind(name) {
            Some(Kind::Plain) => {}
            Some(Kind::Secret) if keys => {}
            _ => continue,
        }
        let to = gathered.folder.join(name);
        copy(&state.folder().join(name), &to)?;
    }
    for (database, from, to) in [
        (Database::Keys, state.database(), target.database()),
        (
            Database::Conversations,
            state.conversations(),
            target.conversations(),
        ),
    ] {
        if from.exists() {
            database
                .copy(&from, &to)
                .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
        }
    }
    gathered.files = listed(&gathered.folder)?;
    Ok(gathered)
}

/// Make the folder anew, for this process alone.
fn begin(state: &State) -> Result<Gathered, Troubles> {
    let folder = state.folder().join(FOLDER);
    let trouble = |error: io::Error| {
        let help = "check the state directory, its disk, and that it belongs to you";
        Trouble::io("make the folder", &folder, &error, help)
    };
    let make = || match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(&folder),
    };
    let lock = make().map_err(trouble)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(vec![
            Trouble::new(
                "another backup of this state is being made",
                "wait until it is done",
            )
            .of(&folder),
        ]);
    }
    for left in fs::read_dir(&folder).map_err(trouble)? {
        let left = left.map_err(trouble)?.path();
        let removed = if left.is_dir() {
            fs::remove_dir_all(&left)
        } else {
            fs::remove_file(&left)
        };
        removed.map_err(trouble)?;
    }
    Ok(Gathered {
        folder,
        files: Vec::new(),
        log: None,
        strange: Vec::new(),
        _lock: lock,
    })
}

/// Copy the log, and hold the copy against its own checkpoint.
fn log(state: &State, target: &State) -> Result<Option<Report>, Refused> {
    if !state.audit().join("checkpoint").exists() {
        return Ok(None);
    }
    let key = log_key::public(state)?;
    carnet_audit::copy(&state.audit(), &key, &target.audit()).map_err(|error| {
        Refused::broken(
            format!("the log cannot be copied: {error}"),
            "`carnet audit verify` names every file that is wrong",
        )
    })?;
    let report = verify(&target.audit(), &key);
    refuse_unverified(&report)?;
    Ok(Some(report))
}

/// Every problem of a log that does not verify.
pub(crate) fn refuse_unverified(report: &Report) -> Result<(), Refused> {
    if report.verified() {
        return Ok(());
    }
    let shown = report.problems.iter().take(PROBLEMS_SHOWN);
    let troubles = shown.map(|problem| {
        Trouble::new(
            format!("the log does not verify: {problem}"),
            "`carnet audit verify` names every file that is wrong",
        )
    });
    Err(Refused::Broken(troubles.collect()))
}

/// Names of files in the state directory, but for those of the log.
fn names(state: &State, strange: &mut Vec<String>) -> Result<Vec<String>, Troubles> {
    let mut names = Vec::new();
    let mut note = |name: String| match kind(&name) {
        Some(_) => names.push(name),
        None if contents::is_transient(&name) => {}
        None => strange.push(name),
    };
    for (name, path) in entries(state.folder())? {
        if !contents::is_folder(&name) || !path.is_dir() {
            note(name);
        } else if name != contents::LOG {
            for (file, _) in entries(&path)? {
                note(format!("{name}/{file}"));
            }
        }
    }
    names.sort();
    strange.sort();
    Ok(names)
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Troubles> {
    let trouble = |error: io::Error| {
        Trouble::io(
            "read the folder",
            folder,
            &error,
            "check the path and its permissions",
        )
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        found.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    Ok(found)
}

/// Copy a file that its writers replace as a whole.
fn copy(from: &Path, to: &Path) -> Result<(), Troubles> {
    let done = || -> io::Result<()> {
        if let Some(folder) = to.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        io::copy(&mut File::open(from)?, &mut new).map(drop)
    };
    done().map_err(|error| {
        Trouble::io(
            "copy it",
            from,
            &error,
            "check its permissions and the room on the disk",
        )
    })
}

/// All files below a folder with length and digest, by name.
fn listed(root: &Path) -> Result<Vec<Listed>, Troubles> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for (_, path) in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let (bytes, sha256) = digest(&path)
                .map_err(|error| Trouble::io("read it", &path, &error, "check the disk"))?;
            let name = path.strip_prefix(root).unwrap_or(&path);
            files.push(Listed {
                name: name.to_string_lossy().into_owned(),
                bytes,
                sha256,
            });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let bytes = io::copy(&mut File::open(path)?, &mut digest)?;
    Ok((bytes, hex::encode(digest.finalize())))
}
