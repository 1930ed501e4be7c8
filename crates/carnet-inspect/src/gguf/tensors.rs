//! The list of tensors in a GGUF header, and where their bytes lie.

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;

use super::source::Source;
use super::types::TensorType;
use crate::finding::Shown;
use crate::limits::{MAX_GGUF_DIMS, MAX_GGUF_TENSOR_NAME};
use crate::{Code, Finding};

/// One tensor as the header states it, checked against the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, unique in the file.
    pub name: String,
    /// How many elements it has in each dimension, the fastest first; none of them is 0. A single number may have none.
    pub dims: Vec<u64>,
    /// How its elements are stored.
    pub kind: TensorType,
    /// Its bytes, counted from the beginning of the file.
    pub bytes: Range<u64>,
}

/// A tensor before it is known where the data begin.
pub(super) struct Stated {
    /// Where its entry in the header begins.
    pub(super) at: u64,
    pub(super) name: String,
    pub(super) dims: Vec<u64>,
    pub(super) kind: TensorType,
    /// Where it begins, counted from the beginning of the data.
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// Bytes of the shortest entry: a name's length and one byte of it, the number of dimensions, the type and the offset.
pub(super) const ENTRY_BYTES_MIN: u64 = 8 + 1 + 4 + 4 + 8;

pub(super) fn read<R: Read>(
    source: &mut Source<'_, R>,
    count: u64,
    alignment: u64,
) -> Result<Vec<Stated>, Finding> {
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for _ in 0..count {
        let tensor = tensor(source, alignment)?;
        if !names.insert(tensor.name.clone()) {
            let message = format!("tensor {} occurs twice", Shown(&tensor.name));
            return Err(Finding::new(Code::GgufDuplicateTensor, tensor.at, message));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn tensor<R: Read>(source: &mut Source<'_, R>, alignment: u64) -> Result<Stated, Finding> {
    let at = source.pos();
    let name = name(source)?;
    let shown = Shown(&name);
    let dims_at = source.pos();
    let dims = dims(source, &shown)?;
    let kind_at = source.pos();
    let id = source.u32()?;
    let kind = TensorType::from_id(id).ok_or_else(|| {
        let message = format!("tensor {shown} has type {id}, which no loader must read");
        Finding::new(Code::GgufTensorType, kind_at, message)
    })?;
    let size = size(&dims, kind)
        .map_err(|(code, why)| Finding::new(code, dims_at, format!("tensor {shown} {why}")))?;
    let offset_at = source.pos();
    let offset = source.u64()?;
    // `alignment` is a power of two, so this never divides by zero.
    if offset.checked_rem(alignment) != Some(0) {
        let message = format!("tensor {shown} begins at {offset}, no multiple of {alignment}");
        return Err(Finding::new(Code::GgufTensorOffset, offset_at, message));
    }
    Ok(Stated {
        at,
        name,
        dims,
        kind,
        offset,
        size,
    })
}

/// Loaders written in C end a name at its first zero byte, so control characters could make two names one.
fn name<R: Read>(source: &mut Source<'_, R>) -> Result<String, Finding> {
    let at = source.pos();
    let name = source.string()?;
    let wrong = if name.is_empty() {
        "a tensor has no name".to_owned()
    } else if u64::try_from(name.len()).is_ok_and(|len| len > MAX_GGUF_TENSOR_NAME) {
        let len = name.len();
        format!(
            "the name {} has {len} bytes, more than {MAX_GGUF_TENSOR_NAME}",
            Shown(&name)
        )
    } else if name.chars().any(char::is_control) {
        format!("the name {} has a control character", Shown(&name))
    } else {
        return Ok(name);
    };
    Err(Finding::new(Code::GgufTensorName, at, wrong))
}

fn dims<R: Read>(source: &mut Source<'_, R>, shown: &Shown<'_>) -> Result<Vec<u64>, Finding> {
    let at = source.pos();
    let count = source.u32()?;
    if count > MAX_GGUF_DIMS {
        let message = format!("tensor {shown} has {count} dimensions, more than {MAX_GGUF_DIMS}");
        return Err(Finding::new(Code::GgufTensorDims, at, message));
    }
    (0..count).map(|_| source.u64()).collect()
}

/// Bytes of a tensor. The number of elements must fit a signed 64-bit number, because loaders count in those.
fn size(dims: &[u64], kind: TensorType) -> Result<u64, (Code, String)> {
    let row = dims.first().copied().unwrap_or(1);
    // An empty tensor holds nothing, and loaders have divided by its dimension.
    if dims.contains(&0) {
        return Err((Code::GgufTensorDims, "has a dimension of 0".to_owned()));
    }
    let elements = dims
        .iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(*dim))
        .filter(|elements| i64::try_from(*elements).is_ok())
        .ok_or_else(|| {
            let why = format!("has more elements than can be counted: {dims:?}");
            (Code::GgufTensorDims, why)
        })?;
    if row.checked_rem(kind.block_elements()) != Some(0) {
        let why = format!(
            "has rows of {row} elements, not whole blocks of {} as {} wants",
            kind.block_elements(),
            kind.name()
        );
        return Err((Code::GgufTensorSize, why));
    }
    elements
        .checked_div(kind.block_elements())
        .and_then(|blocks| blocks.checked_mul(kind.block_bytes()))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| {
            let why = format!("has more bytes than can be counted: {dims:?}");
            (Code::GgufTensorSize, why)
        })
}
