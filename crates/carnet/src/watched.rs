//! Which files a reload reads, so that a change of others in their folders means nothing: a log that is written beside
//! the configuration would otherwise have it read again for each of its lines.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Watched(BTreeMap<PathBuf, Matters>);

/// What matters in a folder.
#[derive(Debug)]
enum Matters {
    All,
    Files(BTreeSet<OsString>),
}

impl Watched {
    /// A file, or a folder with all its files.
    pub(crate) fn add(&mut self, path: &Path) {
        if path.is_dir() {
            self.add_folder(path);
            return;
        }
        let path = whole(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let known = self.0.entry(folder.to_path_buf());
        if let Matters::Files(names) = known.or_insert_with(|| Matters::Files(BTreeSet::new())) {
            names.insert(name.to_owned());
        }
    }

    /// A folder with all its files.
    pub(crate) fn add_folder(&mut self, folder: &Path) {
        self.0.insert(whole(folder), Matters::All);
    }

    /// The folders to watch.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// The folders with what tells one from another that was put in its place.
    pub(crate) fn places(&self) -> BTreeMap<PathBuf, Option<(u64, u64)>> {
        let place = |folder: &PathBuf| {
            let facts = folder.metadata().ok();
            let facts = facts.map(|facts| (facts.dev(), facts.ino()));
            (folder.clone(), facts)
        };
        self.0.keys().map(place).collect()
    }

    /// Whether a change of these paths can change what is read. One that names no path can.
    pub(crate) fn concerns(&self, paths: &[PathBuf]) -> bool {
        paths.is_empty() || paths.iter().any(|path| self.has(path))
    }

    fn has(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return true;
        };
        match self.0.get(folder) {
            // A folder of ours may be put there anew.
            _ if self.0.contains_key(path) => true,
            Some(Matters::All) | None => true,
            // Behind such a name a mounted folder of Kubernetes swaps all its files at once.
            Some(Matters::Files(names)) => {
                names.contains(name) || name.as_encoded_bytes().starts_with(b"..")
            }
        }
    }
}

/// The path from the root on, as changes are told by it.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_concerns_nobody() {
        let mut watched = Watched::default();
        watched.add(Path::new("/etc/carnet/carnet.toml"));
        watched.add(Path::new("/etc/carnet/overlay.toml"));
        watched.add_folder(Path::new("/etc/carnet/packs"));
        watched.add(Path::new("key"));
        for (path, concerns) in [
            ("/etc/carnet/carnet.toml", true),
            ("/etc/carnet/overlay.toml", true),
            ("/etc/carnet/..data", true),
            ("/etc/carnet/carnet.log", false),
            ("/etc/carnet/.carnet.toml.swp", false),
            ("/etc/carnet/packs", true),
            ("/etc/carnet/packs/own.cedar", true),
            ("/etc/carnet", true),
        ] {
            assert_eq!(watched.concerns(&[path.into()]), concerns, "{path}");
        }
        // Of a folder that is named from here on, changes are told from the root on.
        let here = std::env::current_dir().unwrap();
        let (key, other) = (here.join("./key"), here.join("./other"));
        assert!(watched.concerns(std::slice::from_ref(&key)));
        assert!(!watched.concerns(std::slice::from_ref(&other)));
        assert!(watched.concerns(&[]));
        assert!(watched.concerns(&[other, key]));
        let folders: Vec<&Path> = watched.folders().collect();
        for folder in ["/etc/carnet".as_ref(), "/etc/carnet/packs".as_ref(), &*here] {
            assert!(folders.contains(&folder), "{folders:?}");
        }
    }

    #[test]
    fn a_folder_that_is_read_whole_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("carnet.toml");
        for folder_first in [true, false] {
            let mut watched = Watched::default();
            if folder_first {
                watched.add(folder.path());
            }
            watched.add(&file);
            watched.add(folder.path());
            assert!(watched.concerns(&[folder.path().join("other")]));
        }
    }
}
