//! The few things the log does to a file system, behind a trait so that tests can fill or break it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Where a file is made before it gets its name.
pub(crate) const TEMPORARY: &str = "tmp";
/// The one such file.
pub(crate) const TEMPORARY_FILE: &str = "tmp/next";

/// See the module.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Make a new file of `bytes` zeros for which the disk has really set room aside.
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<File>;
    /// Write into room that was allocated.
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Bring a file's bytes to the medium.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Bring a directory's names to the medium.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Put a file under its final name, whole and on the medium, or not at all. The name itself is
    /// on the medium after `sync_directory`.
    fn put(&self, root: &Path, relative: &str, bytes: &[u8]) -> io::Result<PathBuf>;
}

/// The machine's own file system.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<File> {
        // A file of this name can only be a spare that a crash left half made.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let allocated = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can; zeros that were written take their room as well.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                write_zeros(&file, bytes)
            }
            other => other.map_err(io::Error::from),
        };
        if let Err(error) = allocated.and_then(|()| file.sync_all()) {
            // The file is ours and empty; what is left of it must not take up the last room.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(file)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn put(&self, root: &Path, relative: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        put_with(root, relative, bytes, File::sync_all)
    }
}

/// The steps of [`Disk::put`].
pub(crate) fn put_with(
    root: &Path,
    relative: &str,
    bytes: &[u8],
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let temporary = root.join(TEMPORARY_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)?;
    file.write_all_at(bytes, 0)?;
    sync(&file)?;
    let path = root.join(relative);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(&temporary, &path)?;
    Ok(path)
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    const STEP: u64 = 64 * 1024;
    let zeros = vec![0; STEP as usize];
    let mut at = 0;
    while at < bytes {
        let step = zeros
            .get(..(bytes - at).min(STEP) as usize)
            .unwrap_or_default();
        file.write_all_at(step, at)?;
        at += step.len() as u64;
    }
    Ok(())
}
