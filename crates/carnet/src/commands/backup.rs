//! `carnet backup`: the state directory as one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::backup::gather::{Gathered, gather};
use crate::backup::manifest::Manifest;
use crate::backup::{Refused, archive};
use crate::cli::BackupArgs;
use crate::exit::Exit;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out};

pub(crate) fn run(args: &BackupArgs) -> Exit {
    match backup(args) {
        Ok(()) => Exit::Good,
        Err(refused) => commands::refused(refused),
    }
}

fn backup(args: &BackupArgs) -> Result<(), Refused> {
    let state = State::find(args.state.as_deref())?;
    let now = clock::now();
    if !state.folder().is_dir() {
        return Err(Refused::Failed(vec![Trouble::new(
            format!("there is no state directory `{}`", state.folder().display()),
            "`carnet serve` makes it at its first start; --state DIR names another one",
        )]));
    }
    state.create()?;
    let Some(format) = state.format()? else {
        return Err(Refused::Failed(vec![Trouble::new(
            format!("nothing lies in `{}` yet", state.folder().display()),
            "`carnet serve` fills it; --state DIR names another state directory",
        )]));
    };
    let piped = args.to.as_os_str() == "-";
    if piped && args.json {
        return Err(Refused::Failed(vec![Trouble::new(
            "the backup itself goes to standard output, so no JSON can",
            "name a file with --to, or leave --json out",
        )]));
    }
    if piped && io::stdout().is_terminal() {
        return Err(Refused::Failed(vec![Trouble::new(
            "a backup is not for a terminal",
            "pipe it into a program or file, or name a file with --to",
        )]));
    }
    let file = place(&args.to, now);
    if !piped && file.exists() {
        return Err(Refused::Failed(Trouble::io(
            "write it",
            &file,
            &io::ErrorKind::AlreadyExists.into(),
            "it is there already and stays as it is; name a new file",
        )));
    }
    let keys = !args.without_keys;
    let gathered = gather(&state, keys)?;
    let manifest = Manifest::new(format, now, keys, gathered.files.clone());
    for name in &gathered.strange {
        out::note(format_args!(
            "warning: `{name}` in the state directory is not Carnet's, and not in the backup"
        ));
    }
    if piped {
        let to = BufWriter::new(io::stdout().lock());
        archive::write(gathered.folder(), &manifest, to).map_err(|error| {
            let help = "check the program that reads it";
            Trouble::io("write the backup", &args.to, &error, help)
        })?;
        out::note(summary("standard output", &manifest, &gathered));
        return Ok(());
    }
    let bytes = write(&file, gathered.folder(), &manifest)?;
    if args.json {
        out::answer(told(&file, bytes, &manifest, &gathered));
    } else {
        out::answer(summary(&file.display().to_string(), &manifest, &gathered));
    }
    Ok(())
}

/// The file to write: as given, or in the given folder named after the time.
fn place(to: &Path, now: jiff::Timestamp) -> PathBuf {
    if !to.is_dir() {
        return to.to_path_buf();
    }
    let time = now.strftime("%Y%m%dT%H%M%SZ");
    let name = format!("carnet-backup-{time}.tar.zst");
    // In the current folder without a `./` before it.
    if to == Path::new(".") {
        PathBuf::from(name)
    } else {
        to.join(name)
    }
}

/// Write the archive whole or not at all; returns its length.
fn write(file: &Path, folder: &Path, manifest: &Manifest) -> Result<u64, Troubles> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = file.with_file_name(name);
    let done = || -> io::Result<u64> {
        let new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut to = BufWriter::new(&new);
        archive::write(folder, manifest, &mut to)?;
        to.flush()?;
        drop(to);
        new.sync_all()?;
        fs::rename(&temporary, file)?;
        let parent = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(new.metadata()?.len())
    };
    done().map_err(|error| {
        // What is left of it would only have to be removed by hand.
        let _ = fs::remove_file(&temporary);
        let help = "check the path, its permissions and the room on the disk";
        Trouble::io("write the backup", file, &error, help)
    })
}

fn summary(place: &str, manifest: &Manifest, gathered: &Gathered) -> String {
    let log = match &gathered.log {
        Some(report) => format!(
            "{} under the checkpoint and {} behind it, verified",
            out::counted(report.size, "entry"),
            report.pending
        ),
        None => "none yet".to_owned(),
    };
    let keys = if manifest.keys {
        "in it: whoever can read this file can sign the log and open what is kept; keep it as you keep keys"
    } else {
        "left out: a server goes on from it only once audit.key and the others lie beside it again"
    };
    format!(
        "backup of {}, {}, in {place}\n  log   {log}\n  keys  {keys}",
        out::counted(manifest.files.len(), "file"),
        out::counted(manifest.bytes(), "byte"),
    )
}

fn told(file: &Path, bytes: u64, manifest: &Manifest, gathered: &Gathered) -> Value {
    let log = gathered.log.as_ref().map(
        |report| json!({ "size": report.size, "root": report.root, "pending": report.pending }),
    );
    json!({
        "file": file,
        "bytes": bytes,
        "carnet": manifest.carnet,
        "created": manifest.created,
        "files": manifest.files.len(),
        "keys": manifest.keys,
        "log": log,
        "state_format": manifest.state,
        "left_out": gathered.strange,
    })
}
