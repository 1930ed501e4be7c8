//! The AWS event stream (`application/vnd.amazon.eventstream`): a push decoder that lends each message, and a writer.
//!
//! A message is a prelude of its length and that of its headers, a checksum of the prelude, the headers, the payload
//! and a checksum of it all; numbers are big-endian, checksums CRC-32. What is not exactly so is an error that names
//! its place in the stream, because what follows it cannot be found any more.

mod ends;
mod error;
mod header;
#[cfg(test)]
mod tests;

pub use ends::MessageEnds;
pub use error::{AwsError, AwsErrorKind};
pub use header::{Header, HeaderValue};
use smallvec::SmallVec;

use super::TooLong;
use super::joined::Joined;
use crate::limits::{MAX_AWS_HEADERS_LENGTH, MAX_AWS_MESSAGE};

/// Bytes of two lengths and their checksum.
const PRELUDE: usize = 12;
/// Bytes of a checksum.
const CHECKSUM: usize = 4;

/// Headers that a message holds without another allocation; real ones have three or four.
const INLINE: usize = 4;

/// The media type of such a stream.
pub const MEDIA_TYPE: &str = "application/vnd.amazon.eventstream";

/// One message of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// Its headers in their order, no name twice.
    pub headers: SmallVec<[Header<'a>; INLINE]>,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whether it is an `event`, an `exception` that the service's model knows, or an `error` that it does not.
    pub fn message_type(&self) -> Option<&'a str> {
        self.text(":message-type")
    }

    /// Which event it is.
    pub fn event_type(&self) -> Option<&'a str> {
        self.text(":event-type")
    }

    /// Which exception it is.
    pub fn exception_type(&self) -> Option<&'a str> {
        self.text(":exception-type")
    }

    /// The code of an error.
    pub fn error_code(&self) -> Option<&'a str> {
        self.text(":error-code")
    }

    /// The media type of the payload.
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(":content-type")
    }

    /// The value of a header that is a string.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let header = self.headers.iter().find(|header| header.name == name)?;
        match header.value {
            HeaderValue::String(text) => Some(text),
            _ => None,
        }
    }
}

/// A push decoder for an AWS event stream. Cutting the stream elsewhere never changes what it lends.
#[derive(Clone, Debug, Default)]
pub struct AwsDecoder {
    /// Where the message at hand begins in the stream.
    offset: usize,
    /// The lengths of the message at hand, once they have come.
    lengths: Option<Lengths>,
    message: Joined,
    failed: Option<AwsError>,
}

/// What a prelude says.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    message: usize,
    headers: usize,
}

/// What is wrong, and how far behind the beginning of the message.
type Fault = (usize, AwsErrorKind);

impl AwsDecoder {
    /// Starts at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off `rest` up to the end of a message and lends it, or takes all and lends nothing. Behind an error
    /// nothing is read any more, and every call says the error again.
    pub fn next<'a, 'c: 'a>(
        &'a mut self,
        rest: &mut &'c [u8],
    ) -> Result<Option<Message<'a>>, AwsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let start = self.offset;
        let lengths = match self.read_prelude(rest) {
            Ok(Some(lengths)) => lengths,
            Ok(None) => return Ok(None),
            Err(fault) => return Err(fail(&mut self.failed, start, fault)),
        };
        let Some(last) = self.take(rest, lengths.message) else {
            return Ok(None);
        };
        self.offset = start.saturating_add(lengths.message);
        self.lengths = None;
        let message = self.message.lend(last);
        match read_message(message, lengths) {
            Ok(message) => Ok(Some(message)),
            Err(fault) => Err(fail(&mut self.failed, start, fault)),
        }
    }

    /// Says that the stream has ended, which is an error within a message.
    pub fn finish(&self) -> Result<(), AwsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let have = self.message.kept().len();
        if have == 0 {
            return Ok(());
        }
        Err(AwsError {
            offset: self.offset.saturating_add(have),
            kind: AwsErrorKind::Truncated { have },
        })
    }

    /// The lengths of the message at hand; `None` as long as they have not come. They are looked at as soon as they
    /// are there, so that no length but a possible one is waited for.
    fn read_prelude(&mut self, rest: &mut &[u8]) -> Result<Option<Lengths>, Fault> {
        if self.lengths.is_none() {
            let mut all = *rest;
            let Some(last) = self.take(&mut all, PRELUDE) else {
                *rest = all;
                return Ok(None);
            };
            let mut prelude: SmallVec<[u8; PRELUDE]> = SmallVec::from_slice(self.message.kept());
            prelude.extend_from_slice(last);
            self.lengths = Some(check_prelude(&prelude)?);
        }
        Ok(self.lengths)
    }

    /// Takes what is missing of the first `length` bytes of the message, or keeps all of `rest` if it has less.
    fn take<'c>(&mut self, rest: &mut &'c [u8], length: usize) -> Option<&'c [u8]> {
        let missing = length.saturating_sub(self.message.kept().len());
        if let Some((taken, behind)) = rest.split_at_checked(missing) {
            *rest = behind;
            return Some(taken);
        }
        self.message.keep(std::mem::take(rest));
        None
    }
}

fn fail(failed: &mut Option<AwsError>, start: usize, (behind, kind): Fault) -> AwsError {
    let error = AwsError {
        offset: start.saturating_add(behind),
        kind,
    };
    failed.insert(error).clone()
}

/// Reads a prelude. The checksum counts before the lengths, which mean nothing if it is wrong.
fn check_prelude(prelude: &[u8]) -> Result<Lengths, Fault> {
    let checked = PRELUDE - CHECKSUM;
    check_sum(prelude, checked).map_err(|(stated, computed)| {
        (checked, AwsErrorKind::PreludeChecksum { stated, computed })
    })?;
    let lengths = Lengths {
        message: length_at(prelude, 0),
        headers: length_at(prelude, 4),
    };
    if lengths.message > MAX_AWS_MESSAGE {
        return Err((0, MESSAGE_TOO_LONG));
    }
    if lengths.headers > MAX_AWS_HEADERS_LENGTH {
        return Err((4, HEADERS_TOO_LONG));
    }
    if lengths.message < PRELUDE + lengths.headers + CHECKSUM {
        return Err((
            0,
            AwsErrorKind::Lengths {
                message: lengths.message,
                headers: lengths.headers,
            },
        ));
    }
    Ok(lengths)
}

const MESSAGE_TOO_LONG: AwsErrorKind = AwsErrorKind::TooLong(TooLong {
    what: "a message",
    max: MAX_AWS_MESSAGE,
});

const HEADERS_TOO_LONG: AwsErrorKind = AwsErrorKind::TooLong(TooLong {
    what: "headers",
    max: MAX_AWS_HEADERS_LENGTH,
});

fn read_message(message: &[u8], lengths: Lengths) -> Result<Message<'_>, Fault> {
    let checked = lengths.message - CHECKSUM;
    check_sum(message, checked).map_err(|(stated, computed)| {
        (checked, AwsErrorKind::MessageChecksum { stated, computed })
    })?;
    let behind_headers = PRELUDE + lengths.headers;
    let headers = message.get(PRELUDE..behind_headers).unwrap_or_default();
    Ok(Message {
        headers: header::read(headers).map_err(|(behind, kind)| (PRELUDE + behind, kind))?,
        payload: message.get(behind_headers..checked).unwrap_or_default(),
    })
}

/// Compares the checksum of the first bytes with the one that stands behind them.
fn check_sum(bytes: &[u8], checked: usize) -> Result<(), (u32, u32)> {
    let (checked, sum) = bytes.split_at_checked(checked).unwrap_or_default();
    let stated = sum.first_chunk().copied().map_or(0, u32::from_be_bytes);
    let computed = crc32fast::hash(checked);
    if stated == computed {
        Ok(())
    } else {
        Err((stated, computed))
    }
}

/// A length in a prelude. One that this machine cannot count is over every bound anyway.
fn length_at(prelude: &[u8], at: usize) -> usize {
    let bytes = prelude.get(at..).and_then(<[u8]>::first_chunk);
    let length = bytes.copied().map_or(0, u32::from_be_bytes);
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Writes a message that [`AwsDecoder`] reads, or writes nothing and says what does not fit the format.
pub fn write_message(
    out: &mut Vec<u8>,
    headers: &[Header<'_>],
    payload: &[u8],
) -> Result<(), AwsErrorKind> {
    let headers = header::written(headers)?;
    if headers.len() > MAX_AWS_HEADERS_LENGTH {
        return Err(HEADERS_TOO_LONG);
    }
    let length = PRELUDE + headers.len() + payload.len() + CHECKSUM;
    if length > MAX_AWS_MESSAGE {
        return Err(MESSAGE_TOO_LONG);
    }
    let length = u32::try_from(length).map_err(|_| MESSAGE_TOO_LONG)?;
    let headers_length = u32::try_from(headers.len()).map_err(|_| HEADERS_TOO_LONG)?;
    let start = out.len();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&headers_length.to_be_bytes());
    write_checksum(out, start);
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    write_checksum(out, start);
    Ok(())
}

fn write_checksum(out: &mut Vec<u8>, start: usize) {
    let checksum = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&checksum.to_be_bytes());
}
