//! The archive: tar and gzip with nothing in them of the machine, the user or the hour.

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, GzBuilder};

/// A file of the archive.
pub(super) struct Entry {
    name: &'static str,
    bytes: Vec<u8>,
    mode: u32,
}

impl Entry {
    /// Something that is run.
    pub(super) fn program(name: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            name,
            bytes,
            mode: 0o755,
        }
    }

    /// Something that is read.
    pub(super) fn file(name: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            name,
            bytes,
            mode: 0o644,
        }
    }
}

/// Pack files below a folder of this name, by name, all of this time and of nobody.
pub(super) fn pack(folder: &str, mut entries: Vec<Entry>, time: u64) -> Result<Vec<u8>> {
    entries.sort_by_key(|entry| entry.name);
    // No name and no time in the head, and 255 for the system that packed it.
    let gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for entry in &entries {
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("{folder}/{}", entry.name))?;
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, &entry.bytes[..])?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    Ok(gzip.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_says_nothing_of_its_making() {
        let entries = || {
            vec![
                Entry::file("docs/b", b"text".to_vec()),
                Entry::program("a", b"run".to_vec()),
            ]
        };
        let bytes = pack("carnet-1", entries(), 1_700_000_000).unwrap();
        let mut turned = entries();
        turned.reverse();
        assert_eq!(bytes, pack("carnet-1", turned, 1_700_000_000).unwrap());
        // Flags, time and system of RFC 1952.
        assert_eq!(&bytes[3..8], &[0, 0, 0, 0, 0]);
        assert_eq!(bytes[9], 255);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), 1_700_000_000);
            let mode = header.mode().unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((name, mode, text));
        }
        assert_eq!(
            found,
            [
                ("carnet-1/a".to_owned(), 0o755, "run".to_owned()),
                ("carnet-1/docs/b".to_owned(), 0o644, "text".to_owned()),
            ]
        );
    }
}
