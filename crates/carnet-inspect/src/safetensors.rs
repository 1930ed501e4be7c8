//! Safetensors headers: read strictly, before any loader.
//!
//! The format is that of <https://github.com/huggingface/safetensors#format>. This asks for more than the reference
//! reader where parsers differ: no name twice, no unknown field, no `null`, nothing after the JSON but spaces. Beyond
//! that, as there, the tensors must tile the data from its first byte to the file's last, so no byte is read twice and
//! none is left for another format to hide in.

mod dtype;
mod json;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

pub use dtype::Dtype;

use crate::finding::Shown;
use crate::limits::{Limits, MAX_SAFETENSORS_HEADER};
use crate::tiling::{Fault, tile};
use crate::{Code, Finding};
use json::Json;

/// Bytes of the length before the header.
const LENGTH_BYTES: u64 = 8;
const METADATA_KEY: &str = "__metadata__";

/// What the header of a safetensors file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safetensors {
    metadata: BTreeMap<String, String>,
    tensors: Vec<Tensor>,
    data_start: u64,
}

impl Safetensors {
    /// The free texts under `__metadata__`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
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

/// One tensor as the header states it, checked against the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, unique in the file.
    pub name: String,
    /// What its elements are.
    pub dtype: Dtype,
    /// How many elements it has in each dimension, the slowest first. None for a single number; with a 0, it has no
    /// bytes.
    pub shape: Vec<u64>,
    /// Its bytes, counted from the beginning of the file.
    pub bytes: Range<u64>,
}

/// Reads and checks the header of a file of `file_len` bytes.
///
/// # Errors
///
/// The first thing that is wrong with the file, or that it could not be read.
pub fn read<R: Read + Seek>(
    reader: &mut R,
    file_len: u64,
    limits: &Limits,
) -> Result<Safetensors, Finding> {
    let header = header(reader, file_len, limits)?;
    let header_len = u64::try_from(header.len()).unwrap_or(u64::MAX);
    let data_start = LENGTH_BYTES.saturating_add(header_len);
    let mut json = Json::new(&header, LENGTH_BYTES);
    if header.first() != Some(&b'{') {
        return Err(json.wrong("the header does not begin with `{`"));
    }
    let (metadata, stated) = members(&mut json, limits)?;
    json.end()?;
    let tensors = stated
        .iter()
        .map(|tensor| tensor.check(data_start, file_len))
        .collect::<Result<Vec<_>, _>>()?;
    check_tiling(&stated, &tensors, data_start, file_len)?;
    Ok(Safetensors {
        metadata,
        tensors,
        data_start,
    })
}

fn header<R: Read + Seek>(
    reader: &mut R,
    file_len: u64,
    limits: &Limits,
) -> Result<Vec<u8>, Finding> {
    let unreadable = |error| Finding::unreadable(0, &error);
    let Some(room) = file_len.checked_sub(LENGTH_BYTES) else {
        let message = format!("the file of {file_len} bytes ends within the length of its header");
        return Err(Finding::new(Code::SafetensorsTruncated, 0, message));
    };
    reader.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(unreadable)?;
    let length = u64::from_le_bytes(length);
    let wrong = if length > MAX_SAFETENSORS_HEADER {
        format!("a header of {length} bytes is longer than the format's {MAX_SAFETENSORS_HEADER}")
    } else if length > room {
        format!("a header of {length} bytes does not fit into the {room} that follow")
    } else if length < 2 {
        format!("a header of {length} bytes cannot be an object")
    } else if length > limits.header_bytes {
        let limit = limits.header_bytes;
        let message = format!("a header of {length} bytes is longer than the limit of {limit}");
        return Err(Finding::new(Code::SafetensorsLimit, 0, message));
    } else {
        return whole(reader, length);
    };
    Err(Finding::new(Code::SafetensorsHeaderLength, 0, wrong))
}

fn whole<R: Read>(reader: &mut R, length: u64) -> Result<Vec<u8>, Finding> {
    let mut header = Vec::new();
    // Grows with what really comes, whatever the caller believes the file's length to be.
    let read = reader.by_ref().take(length).read_to_end(&mut header);
    match read {
        Ok(count) if u64::try_from(count).is_ok_and(|count| count == length) => Ok(header),
        Ok(_) => Err(Finding::unreadable(
            LENGTH_BYTES,
            &std::io::ErrorKind::UnexpectedEof.into(),
        )),
        Err(error) => Err(Finding::unreadable(LENGTH_BYTES, &error)),
    }
}

/// A tensor as the header states it.
struct Stated {
    /// Where its name stands.
    at: u64,
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    begin: u64,
    end: u64,
}

fn members(
    json: &mut Json<'_>,
    limits: &Limits,
) -> Result<(BTreeMap<String, String>, Vec<Stated>), Finding> {
    let mut names = HashSet::new();
    let mut metadata = BTreeMap::new();
    let mut tensors = Vec::new();
    json.object(|json, name, at| {
        if !names.insert(name.clone()) {
            return Err(twice(&name, at));
        }
        if name == METADATA_KEY {
            metadata = texts(json, limits)?;
            return Ok(());
        }
        if u64::try_from(tensors.len()).is_ok_and(|count| count >= limits.tensors) {
            let message = format!("there are more than {} tensors, the limit", limits.tensors);
            return Err(Finding::new(Code::SafetensorsLimit, at, message));
        }
        tensors.push(tensor(json, name, at, limits)?);
        Ok(())
    })?;
    Ok((metadata, tensors))
}

fn twice(name: &str, at: u64) -> Finding {
    let message = format!("{} occurs twice", Shown(name));
    Finding::new(Code::SafetensorsDuplicateKey, at, message)
}

fn texts(json: &mut Json<'_>, limits: &Limits) -> Result<BTreeMap<String, String>, Finding> {
    let wrong = |at, what: &str| {
        let message = format!("`{METADATA_KEY}` {what}");
        Finding::new(Code::SafetensorsMetadata, at, message)
    };
    if json.peek() != Some(b'{') {
        return Err(wrong(json.pos(), "is not an object"));
    }
    let mut texts = BTreeMap::new();
    json.object(|json, key, at| {
        if json.peek() != Some(b'"') {
            return Err(wrong(json.pos(), "has a value that is not a text"));
        }
        let text = json.string()?;
        if u64::try_from(texts.len()).is_ok_and(|count| count >= limits.metadata_entries) {
            let limit = limits.metadata_entries;
            let message = format!("there are more than {limit} metadata entries, the limit");
            return Err(Finding::new(Code::SafetensorsLimit, at, message));
        }
        match texts.entry(key) {
            Entry::Vacant(free) => drop(free.insert(text)),
            Entry::Occupied(taken) => return Err(twice(taken.key(), at)),
        }
        Ok(())
    })?;
    Ok(texts)
}

fn tensor(json: &mut Json<'_>, name: String, at: u64, limits: &Limits) -> Result<Stated, Finding> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    json.object(|json, field, at| {
        let again = match field.as_str() {
            "dtype" => dtype.replace(read_dtype(json, &name)?).is_some(),
            "shape" => shape.replace(read_shape(json, &name, limits)?).is_some(),
            "data_offsets" => offsets.replace(read_offsets(json, &name)?).is_some(),
            _ => {
                let message = format!(
                    "tensor {} has the unknown field {}",
                    Shown(&name),
                    Shown(&field)
                );
                return Err(Finding::new(Code::SafetensorsJson, at, message));
            }
        };
        if again {
            Err(twice(&field, at))
        } else {
            Ok(())
        }
    })?;
    let lacks = |field: &str| {
        let message = format!("tensor {} lacks `{field}`", Shown(&name));
        Finding::new(Code::SafetensorsJson, at, message)
    };
    let dtype = dtype.ok_or_else(|| lacks("dtype"))?;
    let shape = shape.ok_or_else(|| lacks("shape"))?;
    let (begin, end) = offsets.ok_or_else(|| lacks("data_offsets"))?;
    Ok(Stated {
        at,
        name,
        dtype,
        shape,
        begin,
        end,
    })
}

fn read_dtype(json: &mut Json<'_>, name: &str) -> Result<Dtype, Finding> {
    json.peek();
    let at = json.pos();
    let dtype = json.string()?;
    Dtype::from_name(&dtype).ok_or_else(|| {
        let message = format!(
            "tensor {} has the unknown type {}",
            Shown(name),
            Shown(&dtype)
        );
        Finding::new(Code::SafetensorsDtype, at, message)
    })
}

fn read_shape(json: &mut Json<'_>, name: &str, limits: &Limits) -> Result<Vec<u64>, Finding> {
    let mut shape = Vec::new();
    json.array(|json| {
        if shape.len() >= limits.dims {
            let message = format!(
                "tensor {} has more than {} dimensions",
                Shown(name),
                limits.dims
            );
            return Err(Finding::new(Code::SafetensorsShape, json.pos(), message));
        }
        shape.push(json.number()?);
        Ok(())
    })?;
    Ok(shape)
}

fn read_offsets(json: &mut Json<'_>, name: &str) -> Result<(u64, u64), Finding> {
    json.peek();
    let at = json.pos();
    let mut offsets = Vec::new();
    json.array(|json| {
        if offsets.len() >= 2 {
            return Err(json.wrong("there are two data offsets, no more"));
        }
        offsets.push(json.number()?);
        Ok(())
    })?;
    match *offsets {
        [begin, end] => Ok((begin, end)),
        _ => {
            let message = format!("tensor {} does not have two data offsets", Shown(name));
            Err(Finding::new(Code::SafetensorsJson, at, message))
        }
    }
}

impl Stated {
    /// The tensor with its place in the file, if that is as large as it must be and within the file.
    fn check(&self, data_start: u64, file_len: u64) -> Result<Tensor, Finding> {
        let finding = |code, what: String| {
            Finding::new(
                code,
                self.at,
                format!("tensor {} {what}", Shown(&self.name)),
            )
        };
        let Some(size) = self.end.checked_sub(self.begin) else {
            let what = format!("begins at {} and ends at {}", self.begin, self.end);
            return Err(finding(Code::SafetensorsOffsets, what));
        };
        let bytes = data_start.checked_add(self.begin).and_then(|begin| {
            let end = data_start.checked_add(self.end)?;
            (end <= file_len).then_some(begin..end)
        });
        let Some(bytes) = bytes else {
            let what = format!(
                "ends at {} of the data, after the file of {file_len} bytes",
                self.end
            );
            return Err(finding(Code::SafetensorsTensorOutOfFile, what));
        };
        let needed = needed(self.dtype, &self.shape)
            .map_err(|what| finding(Code::SafetensorsShape, what))?;
        if needed != size {
            let dtype = self.dtype.name();
            let what = format!(
                "of {dtype} {:?} needs {needed} bytes and has {size}",
                self.shape
            );
            return Err(finding(Code::SafetensorsTensorSize, what));
        }
        Ok(Tensor {
            name: self.name.clone(),
            dtype: self.dtype,
            shape: self.shape.clone(),
            bytes,
        })
    }
}

/// Bytes of a tensor. Multiplied in the order of the shape, as the reference reader does: a 0 before dimensions that
/// would overflow makes an empty tensor, after them it comes too late.
fn needed(dtype: Dtype, shape: &[u64]) -> Result<u64, String> {
    let bits = shape
        .iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(*dim))
        .and_then(|elements| elements.checked_mul(dtype.bits()))
        .ok_or_else(|| format!("has more elements than can be counted: {shape:?}"))?;
    if bits.trailing_zeros() < 3 {
        return Err(format!("has {bits} bits, no whole number of bytes"));
    }
    Ok(bits >> 3)
}

fn check_tiling(
    stated: &[Stated],
    tensors: &[Tensor],
    data_start: u64,
    file_len: u64,
) -> Result<(), Finding> {
    let ranges: Vec<Range<u64>> = tensors.iter().map(|tensor| tensor.bytes.clone()).collect();
    let name = |index: usize| stated.get(index).map_or("", |tensor| &tensor.name);
    let at = |index: usize| stated.get(index).map_or(data_start, |tensor| tensor.at);
    match tile(data_start, &ranges, 1) {
        Err(Fault::Overlap(index, other)) => Err(Finding::new(
            Code::SafetensorsTensorOverlap,
            at(index),
            format!(
                "tensors {} and {} share bytes",
                Shown(name(other)),
                Shown(name(index))
            ),
        )),
        Err(Fault::Hole(index, from)) => Err(Finding::new(
            Code::SafetensorsTensorHole,
            at(index),
            format!(
                "no tensor has the bytes before {}, from {} of the data on",
                Shown(name(index)),
                from.saturating_sub(data_start)
            ),
        )),
        Ok(tiling) if tiling.end != file_len => Err(Finding::new(
            Code::SafetensorsTrailingData,
            tiling.end,
            format!(
                "{} bytes follow the last tensor",
                file_len.saturating_sub(tiling.end)
            ),
        )),
        Ok(_) => Ok(()),
    }
}
