//! Bytes of one value that are lent from the chunk while they are one piece of it, and copied together otherwise.
//!
//! The value is what is kept here and behind it the last piece, which its user holds as long as the chunk lives.

use super::TooLong;

/// The pieces of a value before the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Joined {
    bytes: Vec<u8>,
    /// The value has been lent to the caller, so the next piece begins another.
    lent: bool,
}

impl Joined {
    /// What is kept of a value that has not been lent.
    pub(super) fn kept(&self) -> &[u8] {
        if self.lent { b"" } else { &self.bytes }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lent = false;
    }

    /// Makes `piece` the last one, and keeps the one before.
    pub(super) fn add<'c>(
        &mut self,
        last: &mut &'c [u8],
        piece: &'c [u8],
        bound: TooLong,
    ) -> Result<(), TooLong> {
        let length = self.kept().len() + last.len() + piece.len();
        if length > bound.max {
            return Err(bound);
        }
        self.keep(std::mem::replace(last, piece));
        Ok(())
    }

    /// Copies a piece whose chunk ends.
    pub(super) fn keep(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if self.lent {
            self.clear();
        }
        self.bytes.extend_from_slice(piece);
    }

    /// The whole value. What is added later belongs to the next one.
    pub(super) fn lend<'a, 'c: 'a>(&'a mut self, last: &'c [u8]) -> &'a [u8] {
        if self.kept().is_empty() {
            return last;
        }
        self.keep(last);
        self.lent = true;
        &self.bytes
    }
}
