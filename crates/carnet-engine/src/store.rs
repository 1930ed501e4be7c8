//! Where tensors are read from: what a checked header says of each, and its bytes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use carnet_inspect::{Code as Found, Finding, Limits};

use crate::codes::Code;
use crate::limits::HEADER_BYTES_MAX;
use crate::refusal::{Refusal, name_of};
use crate::weights::Kind;

/// What a file says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    /// Outermost dimension first.
    pub(crate) dims: Vec<usize>,
}

impl Stored {
    /// Bytes in memory: packed weights stay as they are, others become F32.
    pub(crate) fn memory_bytes(&self) -> Option<usize> {
        let kind = match self.kind {
            Kind::Bf16 | Kind::F16 | Kind::F32 => Kind::F32,
            packed @ (Kind::Q4 | Kind::Q8) => packed,
        };
        kind.bytes(&self.dims)
    }
}

/// A place that tensors are read from.
pub(crate) trait Store {
    /// All names, in a fixed order.
    fn names(&self) -> Vec<String>;
    /// What is said of a tensor; an error if it is stored as a type this engine does not have.
    fn find(&self, name: &str) -> Option<Result<Stored, Refusal>>;
    /// Its bytes, exactly as many as its kind and dimensions need.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, Refusal>;
    /// The file and tensor, for messages.
    fn place(&self, name: &str) -> String;
}

/// A tensor of a file whose header was checked, so its bytes lie within the file.
pub(crate) struct Entry {
    /// The type's own name where this engine does not have it.
    kind: Result<Kind, String>,
    /// Outermost first; empty if one does not fit the machine.
    dims: Vec<usize>,
    bytes: Range<u64>,
}

impl Entry {
    pub(crate) fn new<'a>(
        kind: Result<Kind, String>,
        dims: impl Iterator<Item = &'a u64>,
        bytes: Range<u64>,
    ) -> Entry {
        let dims: Option<Vec<usize>> = dims.map(|dim| usize::try_from(*dim).ok()).collect();
        Entry {
            kind,
            dims: dims.unwrap_or_default(),
            bytes,
        }
    }

    /// The outermost dimension.
    pub(crate) fn rows(&self) -> Option<usize> {
        self.dims.first().copied()
    }

    pub(crate) fn stored(
        &self,
        place: impl FnOnce() -> String,
        known: &str,
    ) -> Result<Stored, Refusal> {
        match &self.kind {
            Ok(kind) => Ok(Stored {
                kind: *kind,
                dims: self.dims.clone(),
            }),
            Err(other) => Err(Refusal::new(
                Code::TensorType,
                place(),
                format!("is stored as `{other}`"),
                format!("use a file with {known} tensors"),
            )),
        }
    }

    pub(crate) fn read(&self, file: &mut File, place: &str) -> Result<Vec<u8>, Refusal> {
        let len = self.bytes.end.saturating_sub(self.bytes.start);
        let len = usize::try_from(len).map_err(|_| truncated(place))?;
        // The header was checked against the file's length, so this much memory is filled.
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(self.bytes.start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|_| truncated(place))?;
        Ok(bytes)
    }
}

/// What the check of headers takes at most.
pub(crate) fn header_limits() -> Limits {
    Limits {
        header_bytes: HEADER_BYTES_MAX,
        ..Limits::default()
    }
}

/// A file whose header did not pass.
pub(crate) fn header_refused(path: &Path, finding: &Finding) -> Refusal {
    let code = match finding.code {
        Found::FileUnreadable => Code::FileUnreadable,
        Found::GgufTruncated
        | Found::GgufTensorOutOfFile
        | Found::SafetensorsTruncated
        | Found::SafetensorsTensorOutOfFile => Code::FileTruncated,
        _ => Code::FileMalformed,
    };
    Refusal::new(
        code,
        name_of(path),
        format!("{finding}, {}", finding.code),
        "copy the file anew and compare its digest with the published one",
    )
}

/// A file that became shorter after its header was checked.
pub(crate) fn truncated(place: &str) -> Refusal {
    Refusal::new(
        Code::FileTruncated,
        place,
        "the file ends early",
        "copy the file anew; the copy was cut off",
    )
}
