//! Looking around in a text of bytes.

use crate::limits::CONTEXT_BYTES;

/// A text and a place in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) at: usize,
}

impl<'t> Place<'t> {
    /// What comes at the place and behind it.
    pub(crate) fn rest(self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What comes before it.
    pub(crate) fn before(self) -> &'t [u8] {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The place `back` bytes before this one, if a word can begin there.
    pub(crate) fn word_start(self, back: usize) -> Option<Place<'t>> {
        let at = self.at.checked_sub(back)?;
        let place = Self { at, ..self };
        let starts = place.before().last().is_none_or(|byte| !is_word(*byte));
        starts.then_some(place)
    }

    /// Whether one of these words, all in small letters, stands shortly before the place.
    pub(crate) fn is_called(self, words: &[&str]) -> bool {
        let before = self.before();
        let near = before.get(before.len().saturating_sub(CONTEXT_BYTES)..);
        let near = near.unwrap_or_default();
        let is = |word: &&str| {
            let mut windows = near.windows(word.len());
            windows.any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
        };
        words.iter().any(is)
    }
}

/// Whether a byte is part of a word: an ASCII letter, a digit or `_`.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many bytes from the start are of one sort.
pub(crate) fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !of(*byte));
    end.unwrap_or(text.len())
}

/// Whether a word can end after so many bytes.
pub(crate) fn ends_after(text: &[u8], bytes: usize) -> bool {
    text.get(bytes).is_none_or(|byte| !is_word(*byte))
}

/// Whether there is a letter, and whether there is a digit.
pub(crate) fn is_mixed(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
}
