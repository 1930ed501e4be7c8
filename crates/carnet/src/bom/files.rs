//! Digests of the files from which a model runs here. They are read, never loaded.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::FileDigest;
use crate::embedded;
use crate::trouble::{Trouble, Troubles};

/// Most files of a folder. The largest published models have under 200.
const FILES_MAX: usize = 1_024;
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// The digests of a file or of every file in a folder, and whether it is a folder.
pub(super) fn of(path: &Path) -> Result<(Vec<FileDigest>, bool), Troubles> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        return Ok((vec![one(path)?], false));
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        if file.is_file() {
            paths.push(file);
        }
    }
    if paths.len() > FILES_MAX {
        return Err(vec![Trouble::new(
            format!("`{}` has more than {FILES_MAX} files", path.display()),
            "name the folder of one model",
        )]);
    }
    paths.sort();
    let digests = paths.iter().map(|path| one(path));
    Ok((digests.collect::<Result<_, _>>()?, true))
}

/// The files of the model that comes with the program.
pub(super) fn own() -> Vec<FileDigest> {
    let files = embedded::MODEL_FILES.iter();
    files
        .map(|(name, bytes)| FileDigest {
            name: (*name).to_owned(),
            sha256: hex::encode(Sha256::digest(bytes)),
        })
        .collect()
}

fn one(path: &Path) -> Result<FileDigest, Troubles> {
    let trouble = |error: std::io::Error| unreadable(path, &error);
    let mut file = File::open(path).map_err(trouble)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk).map_err(trouble)?;
        if count == 0 {
            break;
        }
        hash.update(chunk.get(..count).unwrap_or_default());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(FileDigest {
        name: name.into_owned(),
        sha256: hex::encode(hash.finalize()),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Troubles {
    let help = "correct `file` of the engine, or the file's permissions";
    Trouble::io("read it for its digest", path, error, help)
}
