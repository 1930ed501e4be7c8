//! Nothing may lie in the folder that does not belong there.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Check, server_runs};
use crate::disk::TEMPORARY_FILE;
use crate::journal::{JOURNAL, LOCK, segment_number};
use crate::limits::PROBLEMS_MAX;
use crate::tiles::{CHECKPOINT, TileName};

impl Check<'_> {
    /// Name every file that a log of this size does not have.
    pub(super) fn files(&mut self, size: u64) {
        let mut size = size;
        let mut suspects = self.suspects(size);
        self.tries = 0;
        loop {
            // A server puts tiles before the checkpoint that needs them, and removes superseded ones after it.
            if let Some(newer) = self.newer_head(size) {
                size = newer.size;
                self.tries = 0;
            }
            suspects.retain(|path| fs::symlink_metadata(path).is_ok() && !self.belongs(path, size));
            if suspects.is_empty() {
                return;
            }
            if !self.try_again() {
                break;
            }
        }
        for path in suspects {
            self.report
                .problem(self.name(&path), "does not belong to the log");
        }
    }

    /// Files that do not belong to a log of this size, as far as a report can list them.
    fn suspects(&mut self, size: u64) -> Vec<PathBuf> {
        let mut suspects = Vec::new();
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
            for path in listing.flatten().map(|entry| entry.path()) {
                if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                    folders.push(path);
                } else if suspects.len() < PROBLEMS_MAX && !self.belongs(&path, size) {
                    suspects.push(path);
                }
            }
        }
        suspects
    }

    fn belongs(&self, path: &Path, size: u64) -> bool {
        let name = self.name(path);
        if name == TEMPORARY_FILE {
            return server_runs(&self.root);
        }
        let regular = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
        regular && belongs(&name, size)
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

fn belongs(name: &str, size: u64) -> bool {
    if name == CHECKPOINT || name == LOCK {
        return true;
    }
    if let Some(file) = name.strip_prefix(JOURNAL) {
        return segment_number(file.trim_start_matches('/')).is_some();
    }
    TileName::parse(name).is_some_and(|name| name.belongs(size))
}

/// Whether a path inside an audit folder is that of a file with which a log can be read: checkpoint, tile, bundle or
/// segment. The lock and what is being made are none.
#[must_use]
pub fn is_log_file(name: &str) -> bool {
    let segment = || name.strip_prefix(JOURNAL)?.strip_prefix('/');
    name == CHECKPOINT
        || segment().is_some_and(|file| segment_number(file).is_some())
        || TileName::parse(name).is_some()
}
