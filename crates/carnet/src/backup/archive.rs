//! The archive: written from a folder, read into one. What is read is trusted in nothing: each entry must be the next one
//! that the manifest names, with its length and its digest.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::Refused;
use super::manifest::{DAMAGED_HELP, Listed, MANIFEST_BYTES_MAX, Manifest};
use crate::trouble::Trouble;

/// The first entry.
const MANIFEST: &str = "manifest.json";
/// What stands before the names of the files.
const FILES: &str = "state/";
/// Compression: higher ones take much longer for a little less.
const LEVEL: i32 = 3;
/// Memory that reading may need: what the format's own default allows.
const WINDOW_LOG_MAX: u32 = 27;
/// How a zstd frame begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes that are moved at once.
const PIECE: usize = 64 * 1024;

/// Write an archive of the files below `folder`.
pub(crate) fn write(folder: &Path, manifest: &Manifest, to: impl Write) -> io::Result<()> {
    let mut packed = zstd::stream::write::Encoder::new(to, LEVEL)?;
    packed.include_checksum(true)?;
    let mut tar = Builder::new(packed);
    let text = serde_json::to_vec_pretty(manifest)?;
    let length = text.len() as u64;
    if length > MANIFEST_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "there are too many files for one archive",
        ));
    }
    let time = u64::try_from(manifest.created.as_second()).unwrap_or(0);
    tar.append(&header(MANIFEST, length, time)?, &text[..])?;
    for file in &manifest.files {
        let mut open = File::open(folder.join(&file.name))?;
        if open.metadata()?.len() != file.bytes {
            return Err(io::Error::other(format!("`{}` has changed", file.name)));
        }
        let name = format!("{FILES}{}", file.name);
        tar.append(&header(&name, file.bytes, time)?, &mut open)?;
    }
    let mut to = tar.into_inner()?.finish()?;
    to.flush()
}

fn header(name: &str, bytes: u64, time: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(time);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Read an archive's files into `folder`, which is there and empty. `room` is asked with the manifest before any of them
/// is written.
pub(crate) fn read(
    mut from: impl Read,
    folder: &Path,
    room: impl FnOnce(&Manifest) -> Result<(), Refused>,
) -> Result<Manifest, Refused> {
    let mut magic = [0; MAGIC.len()];
    let began = from.read_exact(&mut magic);
    if began.is_err() || magic != MAGIC {
        let help = "name a file that `carnet backup` made";
        return Err(Refused::Failed(vec![Trouble::new(
            "this is no backup of Carnet",
            help,
        )]));
    }
    let mut packed =
        zstd::stream::read::Decoder::new(io::Cursor::new(magic).chain(from)).map_err(damaged)?;
    packed.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
    let mut tar = Archive::new(packed);
    // Raw: no entry may rename another or be made of several.
    let mut entries = tar.entries().map_err(damaged)?.raw(true);
    let mut next = || entries.next().transpose().map_err(damaged);
    let Some(first) = next()? else {
        return Err(missing(MANIFEST));
    };
    let manifest = manifest(first)?;
    room(&manifest)?;
    for file in &manifest.files {
        let Some(mut entry) = next()? else {
            return Err(missing(&file.name));
        };
        expect(&entry, &format!("{FILES}{}", file.name))?;
        take(&mut entry, file, folder)?;
    }
    if let Some(entry) = next()? {
        return Err(strange(&entry));
    }
    // To the end, so that the checksum over all is compared too.
    let mut packed = tar.into_inner();
    let rest = io::copy(&mut (&mut packed).take(1 << 20), &mut io::sink()).map_err(damaged)?;
    if rest == 1 << 20 {
        return Err(damaged(io::Error::other("it goes on behind its end")));
    }
    Ok(manifest)
}

fn manifest(mut entry: Entry<'_, impl Read>) -> Result<Manifest, Refused> {
    expect(&entry, MANIFEST)?;
    if entry.size() > MANIFEST_BYTES_MAX {
        return Err(strange(&entry));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(damaged)?;
    Manifest::parse(&text)
}

/// The entry must be a regular file with this name.
fn expect(entry: &Entry<'_, impl Read>, name: &str) -> Result<(), Refused> {
    let regular = entry.header().entry_type() == EntryType::Regular;
    if regular && *entry.path_bytes() == *name.as_bytes() {
        Ok(())
    } else {
        Err(strange(entry))
    }
}

/// Write a file, and hold it against what the manifest says.
fn take(entry: &mut Entry<'_, impl Read>, file: &Listed, folder: &Path) -> Result<(), Refused> {
    if entry.size() != file.bytes {
        return Err(wrong(&file.name));
    }
    let path = folder.join(&file.name);
    let failed = |error: io::Error| {
        let help = "check the state directory and the room on its disk";
        Refused::Failed(Trouble::io("write it", &path, &error, help))
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = entry.read(&mut piece).map_err(damaged)?;
        if read == 0 {
            break;
        }
        let piece = piece.get(..read).unwrap_or_default();
        digest.update(piece);
        new.write_all(piece).map_err(failed)?;
    }
    if hex::encode(digest.finalize()) == file.sha256 {
        Ok(())
    } else {
        Err(wrong(&file.name))
    }
}

fn damaged(error: io::Error) -> Refused {
    Refused::broken(format!("the archive is damaged: {error}"), DAMAGED_HELP)
}

fn missing(name: &str) -> Refused {
    Refused::broken(format!("the archive ends before `{name}`"), DAMAGED_HELP)
}

fn wrong(name: &str) -> Refused {
    Refused::broken(
        format!("`{name}` in the archive is not what its manifest says"),
        DAMAGED_HELP,
    )
}

fn strange(entry: &Entry<'_, impl Read>) -> Refused {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    Refused::broken(
        format!("the archive has `{name}`, which does not belong there"),
        "nothing of it is restored: take another backup",
    )
}

#[cfg(test)]
mod tests;
