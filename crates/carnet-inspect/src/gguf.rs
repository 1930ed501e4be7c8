//! GGUF headers, versions 2 and 3, little-endian: read strictly, before any loader.
//!
//! The format is that of <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>; where the reference loader
//! (<https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/gguf.cpp>) is stricter, so is this. The checks that
//! answer known attacks: counts and sizes that overflow (CVE-2025-53630, CVE-2026-27940), tensors that end after the
//! file, from where loaders gave away memory of others (CVE-2026-7482), and bytes hidden in padding that only make
//! sense to another parser.

mod metadata;
mod source;
mod tensors;
mod types;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

pub use metadata::{Array, Value};
pub use tensors::Tensor;
pub use types::TensorType;

use crate::finding::Shown;
use crate::limits::Limits;
use crate::tiling::{Fault, Tiling, tile};
use crate::{Code, Finding};
use source::Source;
use tensors::Stated;

const MAGIC: [u8; 4] = *b"GGUF";

/// What the header of a GGUF file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    version: u32,
    alignment: u32,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<Tensor>,
    data_start: u64,
}

impl Gguf {
    /// The version of the format: 2 or 3, which differ only in that 3 may be big-endian.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The multiple at which tensors begin.
    #[must_use]
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// All metadata by key.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The value of one key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The tensors in the order of the header.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Where the data begin, counted from the beginning of the file.
    #[must_use]
    pub fn data_start(&self) -> u64 {
        self.data_start
    }
}

/// Reads and checks the header of a file of `file_len` bytes, and that all padding is zero.
///
/// # Errors
///
/// The first thing that is wrong with the file, or that it could not be read.
pub fn read<R: Read + Seek>(
    reader: &mut R,
    file_len: u64,
    limits: &Limits,
) -> Result<Gguf, Finding> {
    reader
        .seek(SeekFrom::Start(0))
        .map_err(|error| Finding::unreadable(0, &error))?;
    let mut source = Source::new(&mut *reader, file_len, limits);
    let version = version(&mut source)?;
    let tensor_count = count(
        &mut source,
        "tensors",
        tensors::ENTRY_BYTES_MIN,
        limits.tensors,
    )?;
    let entry_count = count(
        &mut source,
        "metadata entries",
        metadata::ENTRY_BYTES_MIN,
        limits.metadata_entries,
    )?;
    let (metadata, alignment) = metadata::read(&mut source, entry_count)?;
    let stated = tensors::read(&mut source, tensor_count, alignment.into())?;
    let header_end = source.pos();
    let data_start = if stated.is_empty() {
        header_end
    } else {
        aligned(header_end, alignment)
    };
    let tensors = place(&stated, data_start, file_len)?;
    let ranges: Vec<Range<u64>> = tensors.iter().map(|tensor| tensor.bytes.clone()).collect();
    let tiling = tile(data_start, &ranges, alignment.into())
        .map_err(|fault| untiled(&fault, &stated, data_start))?;
    check_padding(
        reader,
        header_end..data_start,
        &tiling,
        alignment,
        file_len,
        limits,
    )?;
    Ok(Gguf {
        version,
        alignment,
        metadata,
        tensors,
        data_start,
    })
}

fn version<R: Read>(source: &mut Source<'_, R>) -> Result<u32, Finding> {
    if source.bytes()? != MAGIC {
        return Err(Finding::new(
            Code::GgufMagic,
            0,
            "the file does not begin with `GGUF`",
        ));
    }
    let at = source.pos();
    let version = source.u32()?;
    match version {
        2 | 3 => Ok(version),
        // Nothing else tells the byte order; the reference loader looks at the same half.
        _ if version != 0 && version.trailing_zeros() >= 16 => Err(Finding::new(
            Code::GgufBigEndian,
            at,
            format!(
                "the file is big-endian (version {}), and only little-endian ones are read",
                version.swap_bytes()
            ),
        )),
        _ => Err(Finding::new(
            Code::GgufVersion,
            at,
            format!("version {version} is not read, only 2 and 3 are"),
        )),
    }
}

/// A count from the header's beginning, refused before anything is done with it.
fn count<R: Read>(
    source: &mut Source<'_, R>,
    what: &str,
    each: u64,
    limit: u64,
) -> Result<u64, Finding> {
    let at = source.pos();
    let count = source.u64()?;
    if !source.fits(count, each) {
        let message = format!(
            "{count} {what} do not fit into the {} bytes that follow",
            source.remaining()
        );
        return Err(Finding::new(Code::GgufCount, at, message));
    }
    if count > limit {
        let message = format!("{count} {what} are more than the limit of {limit}");
        return Err(Finding::new(Code::GgufLimit, at, message));
    }
    Ok(count)
}

/// The next multiple of `alignment`, a power of two. `pos` lies within a file, far below where this could overflow.
fn aligned(pos: u64, alignment: u32) -> u64 {
    pos.checked_next_multiple_of(alignment.into())
        .unwrap_or(u64::MAX)
}

fn place(stated: &[Stated], data_start: u64, file_len: u64) -> Result<Vec<Tensor>, Finding> {
    let place = |tensor: &Stated| {
        let bytes = data_start.checked_add(tensor.offset).and_then(|start| {
            let end = start.checked_add(tensor.size)?;
            (end <= file_len).then_some(start..end)
        });
        let bytes = bytes.ok_or_else(|| {
            let message = format!(
                "tensor {} of {} bytes at {} of the data ends after the file of {file_len} bytes",
                Shown(&tensor.name),
                tensor.size,
                tensor.offset
            );
            Finding::new(Code::GgufTensorOutOfFile, tensor.at, message)
        })?;
        Ok(Tensor {
            name: tensor.name.clone(),
            dims: tensor.dims.clone(),
            kind: tensor.kind,
            bytes,
        })
    };
    stated.iter().map(place).collect()
}

fn untiled(fault: &Fault, stated: &[Stated], data_start: u64) -> Finding {
    let name = |index: usize| stated.get(index).map_or("", |tensor| &tensor.name);
    let (code, index, message) = match *fault {
        Fault::Overlap(index, other) => (
            Code::GgufTensorOverlap,
            index,
            format!(
                "tensors {} and {} share bytes",
                Shown(name(other)),
                Shown(name(index))
            ),
        ),
        Fault::Hole(index, from) => (
            Code::GgufTensorHole,
            index,
            format!(
                "no tensor has the bytes before {}, from {} of the data on",
                Shown(name(index)),
                from.saturating_sub(data_start)
            ),
        ),
    };
    let at = stated.get(index).map_or(data_start, |tensor| tensor.at);
    Finding::new(code, at, message)
}

/// After the last tensor come at most `alignment` zeros: writers pad it, some of them twice.
fn check_padding<R: Read + Seek>(
    reader: &mut R,
    before_data: Range<u64>,
    tiling: &Tiling,
    alignment: u32,
    file_len: u64,
    limits: &Limits,
) -> Result<(), Finding> {
    let rest = tiling.end..file_len;
    if file_len.saturating_sub(tiling.end) > alignment.into() {
        let message = format!(
            "{} bytes follow the last tensor",
            file_len.saturating_sub(tiling.end)
        );
        return Err(Finding::new(Code::GgufTrailingData, tiling.end, message));
    }
    let mut left = limits.padding_bytes;
    for gap in std::iter::once(&before_data).chain(&tiling.gaps) {
        let len = gap.end.saturating_sub(gap.start);
        left = left.checked_sub(len).ok_or_else(|| {
            let message = format!(
                "there are more than {} bytes of padding, the limit",
                limits.padding_bytes
            );
            Finding::new(Code::GgufLimit, gap.start, message)
        })?;
        check_zeros(reader, gap, Code::GgufPadding, "padding")?;
    }
    check_zeros(
        reader,
        &rest,
        Code::GgufTrailingData,
        "what follows the last tensor",
    )
}

fn check_zeros<R: Read + Seek>(
    reader: &mut R,
    range: &Range<u64>,
    code: Code,
    what: &str,
) -> Result<(), Finding> {
    if range.is_empty() {
        return Ok(());
    }
    let unreadable = |error| Finding::unreadable(range.start, &error);
    reader
        .seek(SeekFrom::Start(range.start))
        .map_err(unreadable)?;
    let mut at = range.start;
    let mut buffer = [0; 4096];
    while at < range.end {
        let want = usize::try_from(range.end.saturating_sub(at)).unwrap_or(usize::MAX);
        let size = want.min(buffer.len());
        let Some(part) = buffer.get_mut(..size) else {
            break;
        };
        reader.read_exact(part).map_err(unreadable)?;
        if let Some(index) = part.iter().position(|byte| *byte != 0) {
            let at = at.saturating_add(u64::try_from(index).unwrap_or_default());
            return Err(Finding::new(code, at, format!("{what} is not zero")));
        }
        at = at.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
    }
    Ok(())
}
