//! A forward reader over the header that never reads past the file, a limit or what a count has room for.

use std::io::{BufReader, Read};

use crate::limits::Limits;
use crate::{Code, Finding};

pub(super) struct Source<'a, R> {
    reader: BufReader<R>,
    pos: u64,
    file_len: u64,
    limits: &'a Limits,
    /// Array elements that may still be read, over the whole header: a bound for each array alone would let many of
    /// them take any amount of memory.
    array_items_left: u64,
}

impl<'a, R: Read> Source<'a, R> {
    /// Reads from the beginning of the file, where `reader` must stand.
    pub(super) fn new(reader: R, file_len: u64, limits: &'a Limits) -> Self {
        Self {
            reader: BufReader::new(reader),
            pos: 0,
            file_len,
            limits,
            array_items_left: limits.array_items,
        }
    }

    pub(super) fn pos(&self) -> u64 {
        self.pos
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Bytes between here and the end of the file.
    pub(super) fn remaining(&self) -> u64 {
        self.file_len.saturating_sub(self.pos)
    }

    /// Whether `count` things of at least `each` bytes can still follow. What does not fit is refused before anything
    /// is allocated for it.
    pub(super) fn fits(&self, count: u64, each: u64) -> bool {
        count
            .checked_mul(each)
            .is_some_and(|bytes| bytes <= self.remaining())
    }

    /// Counts off elements of an array.
    pub(super) fn take_array_items(&mut self, count: u64) -> bool {
        match self.array_items_left.checked_sub(count) {
            Some(left) => {
                self.array_items_left = left;
                true
            }
            None => false,
        }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Finding> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Finding> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Finding> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A text with its length before it.
    pub(super) fn string(&mut self) -> Result<String, Finding> {
        let at = self.pos;
        let len = self.u64()?;
        if !self.fits(len, 1) {
            let message = format!(
                "a text of {len} bytes does not fit into the {} that follow",
                self.remaining()
            );
            return Err(Finding::new(Code::GgufStringLength, at, message));
        }
        let too_long = || {
            let message = format!(
                "a text of {len} bytes is longer than the limit of {}",
                self.limits.string_bytes
            );
            Finding::new(Code::GgufLimit, at, message)
        };
        let size = usize::try_from(len).map_err(|_| too_long())?;
        if len > self.limits.string_bytes {
            return Err(too_long());
        }
        let text_at = self.pos;
        // Before the allocation, so that no text is held that the header may not have.
        self.check(len)?;
        let mut bytes = vec![0; size];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = u64::try_from(error.utf8_error().valid_up_to()).unwrap_or_default();
            Finding::new(
                Code::GgufUtf8,
                text_at.saturating_add(valid),
                "a text is not UTF-8",
            )
        })
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), Finding> {
        let count = u64::try_from(into.len()).unwrap_or(u64::MAX);
        let end = self.check(count)?;
        self.reader
            .read_exact(into)
            .map_err(|error| Finding::unreadable(self.pos, &error))?;
        self.pos = end;
        Ok(())
    }

    /// Where `count` more bytes end, if the header may have them.
    fn check(&self, count: u64) -> Result<u64, Finding> {
        let end = self.pos.checked_add(count);
        match end.filter(|end| *end <= self.file_len) {
            None => Err(Finding::new(
                Code::GgufTruncated,
                self.pos,
                format!("the file of {} bytes ends within its header", self.file_len),
            )),
            Some(end) if end > self.limits.header_bytes => Err(Finding::new(
                Code::GgufLimit,
                self.pos,
                format!(
                    "the header is longer than the limit of {} bytes",
                    self.limits.header_bytes
                ),
            )),
            Some(end) => Ok(end),
        }
    }
}
