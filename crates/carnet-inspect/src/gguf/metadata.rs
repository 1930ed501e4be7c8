//! GGUF metadata: typed values, and arrays of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;

use super::source::Source;
use crate::finding::Shown;
use crate::limits::{MAX_GGUF_ALIGNMENT, MAX_GGUF_KEY};
use crate::{Code, Finding};

/// A metadata value, of the type that the file states.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the type it is named after")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one that is not negative. Writers use several widths for the same key.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::U8(number) => Some((*number).into()),
            Self::U16(number) => Some((*number).into()),
            Self::U32(number) => Some((*number).into()),
            Self::U64(number) => Some(*number),
            Self::I8(number) => (*number).try_into().ok(),
            Self::I16(number) => (*number).try_into().ok(),
            Self::I32(number) => (*number).try_into().ok(),
            Self::I64(number) => (*number).try_into().ok(),
            _ => None,
        }
    }

    /// The array, if it is one.
    #[must_use]
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }
}

/// Values of one type. An array of arrays may mix their types.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the type it is named after")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Array {
    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(items) => items.len(),
            Self::I8(items) => items.len(),
            Self::U16(items) => items.len(),
            Self::I16(items) => items.len(),
            Self::U32(items) => items.len(),
            Self::I32(items) => items.len(),
            Self::F32(items) => items.len(),
            Self::Bool(items) => items.len(),
            Self::String(items) => items.len(),
            Self::Array(items) => items.len(),
            Self::U64(items) => items.len(),
            Self::I64(items) => items.len(),
            Self::F64(items) => items.len(),
        }
    }

    /// Whether it has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts, if they are texts.
    #[must_use]
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Self::String(items) => Some(items),
            _ => None,
        }
    }
}

/// `enum gguf_metadata_value_type`.
#[derive(Clone, Copy)]
enum Type {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl Type {
    fn from_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::String,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of the shortest value.
    fn bytes_min(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            // A text has its length before it.
            Self::U64 | Self::I64 | Self::F64 | Self::String => 8,
            // An array has its type and length before it.
            Self::Array => 12,
        }
    }
}

/// Bytes of the shortest entry: an empty key's length, a type and a value of one byte.
pub(super) const ENTRY_BYTES_MIN: u64 = 8 + 4 + 1;

const ALIGNMENT_KEY: &str = "general.alignment";
/// What holds if a file states none, as the specification says.
const ALIGNMENT_DEFAULT: u32 = 32;

/// All entries, and the alignment that they state.
pub(super) fn read<R: Read>(
    source: &mut Source<'_, R>,
    count: u64,
) -> Result<(BTreeMap<String, Value>, u32), Finding> {
    let mut entries = BTreeMap::new();
    let mut alignment = ALIGNMENT_DEFAULT;
    for _ in 0..count {
        let at = source.pos();
        let key = key(source)?;
        let value = value(source)?;
        if key == ALIGNMENT_KEY {
            alignment = stated_alignment(&value)
                .map_err(|wrong| Finding::new(Code::GgufAlignment, at, wrong))?;
        }
        match entries.entry(key) {
            Entry::Vacant(free) => drop(free.insert(value)),
            Entry::Occupied(taken) => {
                let message = format!("key {} occurs twice", Shown(taken.key()));
                return Err(Finding::new(Code::GgufDuplicateKey, at, message));
            }
        }
    }
    Ok((entries, alignment))
}

/// The specification wants a multiple of 8, the reference loader a power of two.
fn stated_alignment(value: &Value) -> Result<u32, String> {
    match value {
        Value::U32(stated)
            if stated.is_power_of_two() && (8..=MAX_GGUF_ALIGNMENT).contains(stated) =>
        {
            Ok(*stated)
        }
        Value::U32(stated) => Err(format!(
            "`{ALIGNMENT_KEY}` is {stated}, no power of two from 8 to {MAX_GGUF_ALIGNMENT}"
        )),
        _ => Err(format!(
            "`{ALIGNMENT_KEY}` is not an unsigned 32-bit number"
        )),
    }
}

/// The specification wants dotted `lower_snake_case`; published files have capitals, dashes and more in the part that
/// names an architecture. What all readers take is printable ASCII, so that a key looks like what it is.
fn key<R: Read>(source: &mut Source<'_, R>) -> Result<String, Finding> {
    let at = source.pos();
    let key = source.string()?;
    let wrong = if key.is_empty() {
        "a metadata key is empty".to_owned()
    } else if u64::try_from(key.len()).is_ok_and(|len| len > MAX_GGUF_KEY) {
        format!(
            "a metadata key has {} bytes, more than {MAX_GGUF_KEY}",
            key.len()
        )
    } else if key.bytes().any(|byte| !matches!(byte, b' '..=b'~')) {
        format!("key {} is not plain ASCII", Shown(&key))
    } else {
        return Ok(key);
    };
    Err(Finding::new(Code::GgufKey, at, wrong))
}

fn value<R: Read>(source: &mut Source<'_, R>) -> Result<Value, Finding> {
    Ok(match value_type(source)? {
        Type::U8 => Value::U8(u8::from_le_bytes(source.bytes()?)),
        Type::I8 => Value::I8(i8::from_le_bytes(source.bytes()?)),
        Type::U16 => Value::U16(u16::from_le_bytes(source.bytes()?)),
        Type::I16 => Value::I16(i16::from_le_bytes(source.bytes()?)),
        Type::U32 => Value::U32(source.u32()?),
        Type::I32 => Value::I32(i32::from_le_bytes(source.bytes()?)),
        Type::F32 => Value::F32(f32::from_le_bytes(source.bytes()?)),
        Type::Bool => Value::Bool(truth(source)?),
        Type::String => Value::String(source.string()?),
        Type::Array => Value::Array(array(source, 1)?),
        Type::U64 => Value::U64(source.u64()?),
        Type::I64 => Value::I64(i64::from_le_bytes(source.bytes()?)),
        Type::F64 => Value::F64(f64::from_le_bytes(source.bytes()?)),
    })
}

fn value_type<R: Read>(source: &mut Source<'_, R>) -> Result<Type, Finding> {
    let at = source.pos();
    let id = source.u32()?;
    Type::from_id(id).ok_or_else(|| {
        Finding::new(
            Code::GgufValueType,
            at,
            format!("there is no value type {id}"),
        )
    })
}

fn truth<R: Read>(source: &mut Source<'_, R>) -> Result<bool, Finding> {
    let at = source.pos();
    match source.bytes()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [byte] => Err(Finding::new(
            Code::GgufBool,
            at,
            format!("a truth value is {byte}, neither 0 nor 1"),
        )),
    }
}

/// An array at this depth, from 1. Recurses at most [`Limits::array_depth`](crate::Limits::array_depth) times.
fn array<R: Read>(source: &mut Source<'_, R>, depth: u32) -> Result<Array, Finding> {
    let at = source.pos();
    if depth > source.limits().array_depth {
        let message = format!(
            "arrays are nested deeper than {}",
            source.limits().array_depth
        );
        return Err(Finding::new(Code::GgufArrayNesting, at, message));
    }
    let kind = value_type(source)?;
    let count = source.u64()?;
    if !source.fits(count, kind.bytes_min()) {
        let message = format!(
            "an array of {count} elements does not fit into the {} bytes that follow",
            source.remaining()
        );
        return Err(Finding::new(Code::GgufArrayLength, at, message));
    }
    if !source.take_array_items(count) {
        let message = format!(
            "the arrays have more than {} elements, the limit",
            source.limits().array_items
        );
        return Err(Finding::new(Code::GgufLimit, at, message));
    }
    let from = source;
    Ok(match kind {
        Type::U8 => Array::U8(items(from, count, |s| s.bytes().map(u8::from_le_bytes))?),
        Type::I8 => Array::I8(items(from, count, |s| s.bytes().map(i8::from_le_bytes))?),
        Type::U16 => Array::U16(items(from, count, |s| s.bytes().map(u16::from_le_bytes))?),
        Type::I16 => Array::I16(items(from, count, |s| s.bytes().map(i16::from_le_bytes))?),
        Type::U32 => Array::U32(items(from, count, Source::u32)?),
        Type::I32 => Array::I32(items(from, count, |s| s.bytes().map(i32::from_le_bytes))?),
        Type::F32 => Array::F32(items(from, count, |s| s.bytes().map(f32::from_le_bytes))?),
        Type::Bool => Array::Bool(items(from, count, truth)?),
        Type::String => Array::String(items(from, count, Source::string)?),
        Type::Array => Array::Array(items(from, count, |s| array(s, depth.saturating_add(1)))?),
        Type::U64 => Array::U64(items(from, count, Source::u64)?),
        Type::I64 => Array::I64(items(from, count, |s| s.bytes().map(i64::from_le_bytes))?),
        Type::F64 => Array::F64(items(from, count, |s| s.bytes().map(f64::from_le_bytes))?),
    })
}

/// `count` is within the limits, and the file has room for it.
fn items<'a, R: Read, T>(
    source: &mut Source<'a, R>,
    count: u64,
    read: impl Fn(&mut Source<'a, R>) -> Result<T, Finding>,
) -> Result<Vec<T>, Finding> {
    (0..count).map(|_| read(source)).collect()
}
