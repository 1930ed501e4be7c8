//! `carnet restore`: a state directory out of a backup, whole or not at all.
//!
//! All of it is read and checked in a folder beside its final places, which themselves are taken last. As long as that
//! folder is there, no server starts on the state.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use carnet_admin::{Database, StateLock};
use carnet_audit::{Report, verify};
use serde_json::json;

use crate::backup::contents::LOST_AND_FOUND;
use crate::backup::gather::refuse_unverified;
use crate::backup::manifest::Manifest;
use crate::backup::{Refused, archive};
use crate::cli::RestoreArgs;
use crate::exit::Exit;
use crate::state::{State, format};
use crate::trouble::{Trouble, Troubles};
use crate::{commands, log_key, out};

/// Room that is to be left on the disk.
const ROOM_LEFT: u64 = 16 * 1024 * 1024;

pub(crate) fn run(args: &RestoreArgs) -> Exit {
    match restore(args) {
        Ok(exit) => exit,
        Err(refused) => commands::refused(refused),
    }
}

fn restore(args: &RestoreArgs) -> Result<Exit, Refused> {
    let state = State::find(args.state.as_deref())?;
    let source = source(&args.file)?;
    state.create()?;
    refuse_used(&state)?;
    // From here on no server starts on it.
    let _lock = StateLock::take(&state.socket())
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    refuse_used(&state)?;
    let work = Work::begin(&state)?;
    let inner = State::find(Some(&work.0))?;
    let manifest = archive::read(source, &work.0, |manifest| room(manifest, &work.0))?;
    let log = check(&inner, &manifest)?;
    work.settle(&state)?;
    tell(args, &state, &manifest, log.as_ref());
    Ok(Exit::Good)
}

fn source(file: &Path) -> Result<Box<dyn Read>, Troubles> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(file) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Trouble::io(
            "read the backup",
            file,
            &error,
            "check the path and its permissions",
        )),
    }
}

/// Only an empty state is taken: nothing is overwritten.
fn refuse_used(state: &State) -> Result<(), Troubles> {
    let folder = state.folder();
    let trouble = |error: io::Error| {
        let help = "check the path and its permissions";
        Trouble::io("read the folder", folder, &error, help)
    };
    let lock = state.socket().with_extension("lock");
    for entry in fs::read_dir(folder).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        if entry.path() == lock || entry.file_name() == LOST_AND_FOUND {
            continue;
        }
        return Err(vec![Trouble::new(
            format!(
                "`{}` is not empty: `{}` is there",
                folder.display(),
                entry.file_name().to_string_lossy()
            ),
            "name a new folder with --state DIR, or move what is there away; nothing is overwritten",
        )]);
    }
    Ok(())
}

/// Whether there is room for what the manifest announces.
fn room(manifest: &Manifest, folder: &Path) -> Result<(), Refused> {
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let wanted = manifest.bytes().saturating_add(ROOM_LEFT);
    if wanted <= free {
        return Ok(());
    }
    Err(Refused::Failed(vec![
        Trouble::new(
            format!("the backup needs {wanted} bytes, and the disk has {free} free"),
            "make room, or name a folder on another disk with --state DIR",
        )
        .of(folder),
    ]))
}

/// Whether what was read can be gone on from; what its log says of itself.
fn check(inner: &State, manifest: &Manifest) -> Result<Option<Report>, Refused> {
    let help = "nothing of it was restored: take another backup, or another copy of this one";
    let marked = format::read(&inner.format_file())?.unwrap_or(manifest.state);
    if marked != manifest.state {
        return Err(Refused::broken(
            format!(
                "the state in it has version {marked}, and its manifest says {}",
                manifest.state
            ),
            help,
        ));
    }
    for (database, path) in [
        (Database::Keys, inner.database()),
        (Database::Conversations, inner.conversations()),
    ] {
        if path.exists() {
            database
                .check(&path)
                .map_err(|error| Refused::broken(error.to_string(), help))?;
        }
    }
    if !inner.audit().exists() {
        return Ok(None);
    }
    let key = log_key::public(inner)?;
    if inner.audit_key().exists() {
        let own = log_key::public_half(&log_key::read(inner)?)?;
        if own.to_string() != key.to_string() {
            return Err(Refused::broken(
                "the signing key in it is not that of its log",
                help,
            ));
        }
    }
    // A log without a segment has its folder nevertheless.
    let journal = inner.audit().join("journal");
    fs::create_dir_all(&journal)
        .map_err(|error| Trouble::io("make the folder", &journal, &error, "check the disk"))?;
    let report = verify(&inner.audit(), &key);
    refuse_unverified(&report)?;
    Ok(Some(report))
}

/// The folder in which the state is made. Until it was put in place it goes again with this.
struct Work(PathBuf);

impl Work {
    fn begin(state: &State) -> Result<Self, Troubles> {
        let folder = state.unfinished_restore();
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| {
            let help = "check the state directory and its disk";
            Trouble::io("make the folder", &folder, &error, help)
        })?;
        Ok(Self(folder))
    }

    /// Put everything in its place. If that stops half way, the folder stays, and with it nobody uses the state.
    fn settle(self, state: &State) -> Result<(), Troubles> {
        let folder = self.0.clone();
        let trouble = |error: io::Error| {
            let help = "remove what is in the state directory, and restore again";
            Trouble::io("put the state in place", &folder, &error, help)
        };
        let opened = File::open(&folder).map_err(trouble)?;
        // Everything to the medium at once: a log has many files.
        rustix::fs::syncfs(&opened).map_err(|error| trouble(error.into()))?;
        let entries = fs::read_dir(&folder).map_err(trouble)?;
        // From here on this must not remove it.
        std::mem::forget(self);
        for entry in entries {
            let entry = entry.map_err(trouble)?;
            fs::rename(entry.path(), state.folder().join(entry.file_name())).map_err(trouble)?;
        }
        let own = File::open(state.folder()).map_err(trouble)?;
        own.sync_all().map_err(trouble)?;
        fs::remove_dir(&folder).map_err(trouble)?;
        own.sync_all().map_err(trouble)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays is named when somebody wants to use the state.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tell(args: &RestoreArgs, state: &State, manifest: &Manifest, log: Option<&Report>) {
    if args.json {
        let log = log.map(|report| {
            json!({ "verified": true, "size": report.size, "root": report.root, "pending": report.pending })
        });
        out::answer(json!({
            "state": state.folder(),
            "carnet": manifest.carnet,
            "created": manifest.created,
            "files": manifest.files.len(),
            "keys": manifest.keys,
            "log": log,
            "state_format": manifest.state,
        }));
    } else {
        let log = match log {
            Some(report) => format!(
                "verified: {} under the checkpoint and {} behind it",
                out::counted(report.size, "entry"),
                report.pending
            ),
            None => "none".to_owned(),
        };
        out::answer(format_args!(
            "restored {} to {}\n  made  {} by carnet {}\n  log   {log}",
            out::counted(manifest.files.len(), "file"),
            state.folder().display(),
            manifest.created,
            manifest.carnet,
        ));
    }
    out::note(format_args!(
        "what came after {} is not there: keys that were revoked since then work again, and limits count from what was used then",
        manifest.created
    ));
    if !manifest.keys {
        out::note(
            "the backup was made without keys: put audit.key (and conversations.key, if there are conversations) there before `carnet serve`",
        );
    }
}
