//! The file or folder that was named, and what may be opened there: regular files within it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::notes::Notes;
use super::sorted;
use crate::trouble::{Trouble, Troubles};

/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 65_536;
/// Longest name that a remark repeats, in characters.
const SHOWN: usize = 120;
/// The folder of a repository in the cache of the hub's own tools: `models--ORGANISATION--NAME`.
const CACHED: &str = "models--";

/// See the module.
pub(super) struct Place {
    /// Where it really lies.
    path: PathBuf,
    /// The name under which it was given, without links followed.
    name: Option<String>,
    folder: bool,
    /// Nothing outside is opened.
    root: PathBuf,
}

/// A file, open for reading.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) len: u64,
}

impl Place {
    /// The path may itself be a link: whoever named it meant what it leads to.
    pub(super) fn of(given: &Path) -> Result<Self, Troubles> {
        let trouble = |error: std::io::Error| {
            Trouble::io(
                "read it",
                given,
                &error,
                "check the path and its permissions",
            )
        };
        let path = fs::canonicalize(given).map_err(trouble)?;
        let kind = fs::metadata(&path).map_err(trouble)?;
        if !kind.is_dir() && !kind.is_file() {
            return Err(vec![Trouble::new(
                format!("`{}` is neither a file nor a folder", given.display()),
                "name a folder with a model, or one of its files",
            )]);
        }
        let own = given.file_name().or_else(|| path.file_name());
        let name = own.map(|name| name.to_string_lossy().into_owned());
        let absolute = std::path::absolute(given).map_err(trouble)?;
        let folder = kind.is_dir();
        let around = if folder {
            path.clone()
        } else {
            path.parent().unwrap_or(&path).to_owned()
        };
        let root = cached(&absolute)
            .and_then(|cache| fs::canonicalize(cache).ok())
            .unwrap_or(around);
        Ok(Self {
            path,
            name,
            folder,
            root,
        })
    }

    pub(super) fn is_folder(&self) -> bool {
        self.folder
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name under which it was given.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The names by which it goes: its own, and that of the repository in whose cache it lies.
    pub(super) fn names(&self, notes: &mut Notes) {
        let repository = self.root.file_name().and_then(|name| {
            let name = name.to_str()?.strip_prefix(CACHED)?;
            let (organisation, name) = name.split_once("--")?;
            Some(format!("{organisation}/{name}"))
        });
        if let Some(repository) = &repository {
            notes.own_name(repository, "the cache folder's name", "huggingface", true);
            if self.folder {
                return;
            }
        }
        if let Some(name) = &self.name {
            let place = if self.folder {
                "the folder's name"
            } else {
                "the file's name"
            };
            notes.own_name(name, place, "file", true);
        }
    }

    /// What lies in the folder, in order.
    pub(super) fn entries(&self, notes: &mut Notes) -> Result<Vec<PathBuf>, Troubles> {
        let (entries, more) = sorted(&self.path, ENTRIES_MAX).map_err(|error| {
            Trouble::io(
                "read the folder",
                &self.path,
                &error,
                "check its permissions",
            )
        })?;
        if more {
            notes.step(format!(
                "the folder has more than {ENTRIES_MAX} entries: only so many are looked at"
            ));
        }
        Ok(entries)
    }

    /// Open a regular file within; the reason why not otherwise.
    pub(super) fn open(&self, path: &Path) -> Result<Opened, String> {
        open_within(path, &self.root)
    }
}

/// Open a regular file that really lies below `root`.
pub(super) fn open_within(path: &Path, root: &Path) -> Result<Opened, String> {
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    if !real.starts_with(root) {
        return Err("it leads out of the folder".to_owned());
    }
    // A pipe in the place of a file would otherwise be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&real)
        .map_err(|error| error.to_string())?;
    let kind = file.metadata().map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is no regular file".to_owned());
    }
    Ok(Opened {
        file,
        len: kind.len(),
    })
}

/// A file's name as a remark repeats it.
pub(super) fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut short: String = name.chars().take(SHOWN).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// The repository's folder in a cache, if the path is a snapshot in it or lies in one. Snapshots hold
/// links to the repository's blobs beside.
fn cached(path: &Path) -> Option<&Path> {
    let named = |path: &Path, is: fn(&str) -> bool| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is)
    };
    let mut above = path.ancestors().take(3);
    above.find_map(|folder| {
        let snapshots = folder.parent()?;
        let repository = snapshots.parent()?;
        let fits = named(snapshots, |name| name == "snapshots")
            && named(repository, |name| name.starts_with(CACHED));
        fits.then_some(repository)
    })
}
