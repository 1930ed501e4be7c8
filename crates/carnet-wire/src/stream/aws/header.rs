//! The headers of a message: their ten types of value, read and written.

use smallvec::SmallVec;

use super::{AwsErrorKind, Fault, INLINE};
use crate::limits::MAX_AWS_HEADERS;
use crate::stream::TooLong;

/// A header of a message. Names that begin with a colon are those of the format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: HeaderValue<'a>,
}

/// The value of a header. The format has a type for each of the two booleans.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderValue<'a> {
    /// A truth value.
    Bool(bool),
    /// A number of 8 bits.
    Byte(i8),
    /// Bytes, at most 65,535.
    Bytes(&'a [u8]),
    /// A number of 32 bits.
    Int(i32),
    /// A number of 64 bits.
    Long(i64),
    /// A number of 16 bits.
    Short(i16),
    /// A text, at most 65,535 bytes.
    String(&'a str),
    /// An instant in milliseconds since 1970.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
}

/// Reads the headers that a message has. A fault lies where the header begins.
pub(super) fn read(all: &[u8]) -> Result<SmallVec<[Header<'_>; INLINE]>, Fault> {
    let mut headers: SmallVec<[Header<'_>; INLINE]> = SmallVec::new();
    let mut reader = Reader { rest: all };
    while !reader.rest.is_empty() {
        let start = all.len() - reader.rest.len();
        let header = reader.header().map_err(|kind| (start, kind))?;
        check_next(&headers, header.name).map_err(|kind| (start, kind))?;
        headers.push(header);
    }
    Ok(headers)
}

/// The bytes of headers, unless they break a rule that [`read`] asks for.
pub(super) fn written(headers: &[Header<'_>]) -> Result<Vec<u8>, AwsErrorKind> {
    let mut out = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        check_next(headers.get(..index).unwrap_or_default(), header.name)?;
        write(&mut out, header)?;
    }
    Ok(out)
}

/// Whether a header of that name can follow those.
fn check_next(headers: &[Header<'_>], name: &str) -> Result<(), AwsErrorKind> {
    if headers.len() == MAX_AWS_HEADERS {
        return Err(AwsErrorKind::TooManyHeaders);
    }
    if headers.iter().any(|header| header.name == name) {
        return Err(AwsErrorKind::DuplicateHeader {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// What is left of the headers.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Result<Header<'a>, AwsErrorKind> {
        let length = u8::from_be_bytes(self.array()?);
        let name = text(self.bytes(length.into())?)?;
        let value = self.value()?;
        Ok(Header { name, value })
    }

    fn value(&mut self) -> Result<HeaderValue<'a>, AwsErrorKind> {
        Ok(match u8::from_be_bytes(self.array()?) {
            0 => HeaderValue::Bool(true),
            1 => HeaderValue::Bool(false),
            2 => HeaderValue::Byte(i8::from_be_bytes(self.array()?)),
            3 => HeaderValue::Short(i16::from_be_bytes(self.array()?)),
            4 => HeaderValue::Int(i32::from_be_bytes(self.array()?)),
            5 => HeaderValue::Long(i64::from_be_bytes(self.array()?)),
            6 => HeaderValue::Bytes(self.counted()?),
            7 => HeaderValue::String(text(self.counted()?)?),
            8 => HeaderValue::Timestamp(i64::from_be_bytes(self.array()?)),
            9 => HeaderValue::Uuid(self.array()?),
            found => return Err(AwsErrorKind::HeaderType { found }),
        })
    }

    /// Bytes behind their length.
    fn counted(&mut self) -> Result<&'a [u8], AwsErrorKind> {
        let length = u16::from_be_bytes(self.array()?);
        self.bytes(length.into())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AwsErrorKind> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(AwsErrorKind::HeaderCut)?;
        self.rest = rest;
        Ok(*array)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], AwsErrorKind> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(AwsErrorKind::HeaderCut)?;
        self.rest = rest;
        Ok(bytes)
    }
}

fn text(bytes: &[u8]) -> Result<&str, AwsErrorKind> {
    std::str::from_utf8(bytes).map_err(|_| AwsErrorKind::HeaderText)
}

fn write(out: &mut Vec<u8>, header: &Header<'_>) -> Result<(), AwsErrorKind> {
    let length = u8::try_from(header.name.len()).map_err(|_| TooLong {
        what: "a header name",
        max: u8::MAX.into(),
    })?;
    out.push(length);
    out.extend_from_slice(header.name.as_bytes());
    match header.value {
        HeaderValue::Bool(true) => out.push(0),
        HeaderValue::Bool(false) => out.push(1),
        HeaderValue::Byte(number) => write_fixed(out, 2, &number.to_be_bytes()),
        HeaderValue::Short(number) => write_fixed(out, 3, &number.to_be_bytes()),
        HeaderValue::Int(number) => write_fixed(out, 4, &number.to_be_bytes()),
        HeaderValue::Long(number) => write_fixed(out, 5, &number.to_be_bytes()),
        HeaderValue::Bytes(bytes) => return write_counted(out, 6, bytes),
        HeaderValue::String(text) => return write_counted(out, 7, text.as_bytes()),
        HeaderValue::Timestamp(instant) => write_fixed(out, 8, &instant.to_be_bytes()),
        HeaderValue::Uuid(uuid) => write_fixed(out, 9, &uuid),
    }
    Ok(())
}

fn write_fixed(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    out.extend_from_slice(value);
}

fn write_counted(out: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), AwsErrorKind> {
    let length = u16::try_from(value.len()).map_err(|_| TooLong {
        what: "a header value",
        max: u16::MAX.into(),
    })?;
    write_fixed(out, kind, &length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}
