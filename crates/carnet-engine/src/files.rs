//! Reads a model's small files whole, each up to a bound.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::codes::Code;
use crate::refusal::{Refusal, name_of};

/// Opens a regular file and tells its length in bytes.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Refusal> {
    let unreadable = |error: std::io::Error| {
        Refusal::new(
            Code::FileUnreadable,
            name_of(path),
            format!("cannot read it: {error}"),
            "give the folder or file of a complete model that the server may read",
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let error = std::io::Error::other("not a regular file");
        return Err(unreadable(error));
    }
    Ok((file, metadata.len()))
}

/// The bytes of a file that has at most `bytes_max` of them.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, also one that still grows.
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Refusal::new(
                Code::FileUnreadable,
                name_of(path),
                format!("cannot read it: {error}"),
                "check the disk",
            )
        })?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(path, bytes_max));
    }
    Ok(bytes)
}

/// A JSON file of a model.
pub(crate) fn json<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Result<T, Refusal> {
    serde_json::from_slice(&read(path, bytes_max)?).map_err(|error| {
        Refusal::new(
            Code::ConfigInvalid,
            format!("{}:{}", name_of(path), error.line()),
            format!("cannot be understood: {error}"),
            "copy the file anew from where the model was published",
        )
    })
}

pub(crate) fn too_large(path: &Path, bytes_max: u64) -> Refusal {
    Refusal::new(
        Code::FileTooLarge,
        name_of(path),
        format!("has more than {bytes_max} bytes"),
        "use a smaller model, or raise the limit on the model's bytes",
    )
}
