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
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let known = self.0.entry(folder.to_path_buf());
        if let Matters::Files(names) = known.or_insert_with(|| Matters::Files(BTreeSet::new())) {
            names.insert(name.to_owned());
        }
    }

    /// A folder with all its files.
    pub(crate) fn add_folder(&mut self, folder: &Path) {
        self.0.insert(folder.to_path_buf(), Matters::All);
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
            ("./key", true),
            ("./other", false),
        ] {
            assert_eq!(watched.concerns(&[path.into()]), concerns, "{path}");
        }
        assert!(watched.concerns(&[]));
        assert!(watched.concerns(&["./other".into(), "./key".into()]));
        let folders: Vec<&Path> = watched.folders().collect();
        assert_eq!(
            folders,
            ["/etc/carnet", "/etc/carnet/packs", "."].map(Path::new)
        );
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
