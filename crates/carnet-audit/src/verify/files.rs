//! Nothing may lie in the folder that does not belong there.

use std::fs;
use std::path::Path;

use super::Check;
use crate::disk::TEMPORARY;
use crate::journal::{JOURNAL, LOCK, segment_number};
use crate::tiles::{CHECKPOINT, TileName};

impl Check<'_> {
    /// Name every file that a log of this size does not have.
    pub(super) fn files(&mut self, size: u64) {
        let mut size = size;
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let listing = match fs::read_dir(&folder) {
                Ok(listing) => listing,
                // A server removes the folder of superseded tiles.
                Err(_) if !folder.exists() => continue,
                Err(error) => {
                    self.report.problem(self.name(&folder), error.to_string());
                    continue;
                }
            };
            for entry in listing {
                let Ok(entry) = entry else { continue };
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else {
                    self.file(&path, &mut size);
                }
            }
        }
    }

    fn file(&mut self, path: &Path, size: &mut u64) {
        let name = self.name(path);
        loop {
            let regular = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
            if regular && belongs(&name, *size) {
                return;
            }
            if fs::symlink_metadata(path).is_err() {
                // Superseded, or renamed to its final name, since the folder was listed.
                return;
            }
            if let Some(newer) = self.newer_head(*size) {
                *size = newer.size;
            } else if !self.try_again("files") {
                self.report.problem(name, "does not belong to the log");
                return;
            }
        }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

fn belongs(name: &str, size: u64) -> bool {
    // Temporary files belong to no log at rest; a server's are gone at the next look.
    debug_assert!(!TEMPORARY.is_empty(), "they have a folder of their own");
    if name == CHECKPOINT || name == LOCK {
        return true;
    }
    if let Some(file) = name.strip_prefix(JOURNAL) {
        return segment_number(file.trim_start_matches('/')).is_some();
    }
    TileName::parse(name).is_some_and(|name| name.belongs(size))
}
