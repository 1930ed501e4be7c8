//! All bounds of this crate.

/// Digits of a payment card's number, the fewest and the most (ISO/IEC 7812-1 with the 13 of older cards).
pub(crate) const CARD_DIGITS: (usize, usize) = (13, 19);
/// Bytes before a number in which a word is looked for that says what it is.
pub(crate) const CONTEXT_BYTES: usize = 40;
/// Bytes of an e-mail address before and behind the `@` (RFC 5321, 4.5.3.1).
pub(crate) const EMAIL_BYTES: (usize, usize) = (64, 253);
/// Letters of a top-level domain that are looked for.
pub(crate) const TOP_LEVEL_LETTERS: (usize, usize) = (2, 24);
/// Bytes between `BEGIN` and `PRIVATE KEY` of a key in PEM (RFC 7468): the longest label in use is `ENCRYPTED `.
pub(crate) const PEM_LABEL_BYTES: usize = 64;
