//! Lines of JSON, as some services stream their answers: a push parser that lends each line.
//!
//! It does not look into the JSON.

#[cfg(test)]
mod tests;

use memchr::memchr;

use super::TooLong;
use super::joined::Joined;
use crate::limits::MAX_EVENT;

/// A push parser for lines that end in LF or CR LF. Lines of white space are passed over: they keep a connection alive.
#[derive(Clone, Debug)]
pub struct NdjsonParser {
    max: usize,
    too_long: bool,
    line: Joined,
}

impl Default for NdjsonParser {
    fn default() -> Self {
        Self::new()
    }
}

impl NdjsonParser {
    /// Starts at the beginning of a stream, with lines of up to [`MAX_EVENT`] bytes.
    pub fn new() -> Self {
        Self::with_limit(MAX_EVENT)
    }

    /// Starts at the beginning of a stream, with lines of up to so many bytes.
    pub fn with_limit(max: usize) -> Self {
        Self {
            max,
            too_long: false,
            line: Joined::default(),
        }
    }

    /// Takes bytes off `rest` up to the end of a line and lends the line without its end, or takes all and lends
    /// nothing.
    pub fn next<'a, 'c: 'a>(
        &'a mut self,
        rest: &mut &'c [u8],
    ) -> Result<Option<&'a [u8]>, TooLong> {
        while let Some(length) = memchr(b'\n', rest) {
            let (piece, behind) = rest.split_at(length);
            self.check(piece)?;
            *rest = behind.get(1..).unwrap_or_default();
            // Looked at before it is lent, because a line that is lent cannot be passed over any more.
            if is_blank(self.line.kept()) && is_blank(piece) {
                self.line.clear();
                continue;
            }
            return Ok(Some(without_cr(self.line.lend(piece))));
        }
        let piece = std::mem::take(rest);
        self.check(piece)?;
        self.line.keep(piece);
        Ok(None)
    }

    /// Says that the stream has ended, and lends the line that has no end, if there is one. It may be cut anywhere.
    pub fn finish(&mut self) -> Option<&[u8]> {
        if is_blank(self.line.kept()) {
            return None;
        }
        Some(without_cr(self.line.lend(b"")))
    }

    fn check(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        self.too_long |= self.line.kept().len() + piece.len() > self.max;
        if self.too_long {
            return Err(TooLong {
                what: "a line",
                max: self.max,
            });
        }
        Ok(())
    }
}

fn is_blank(piece: &[u8]) -> bool {
    piece.iter().all(u8::is_ascii_whitespace)
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
