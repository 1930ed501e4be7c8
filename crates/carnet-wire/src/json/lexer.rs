//! The tokens of RFC 8259, checked exactly and never copied.

use memchr::memchr2;

use super::error::{ScanError, ScanErrorKind, SyntaxError};
use super::found::Kind;

/// An error behind a pointer: what every step returns must fit into registers.
pub(super) type Refusal = Box<ScanError>;

/// Most keys and many values end within so many bytes; only longer strings repay a vectorised search.
const SHORT: usize = 16;

/// A position in a body that is known to be UTF-8.
pub(super) struct Lexer<'b> {
    text: &'b str,
    pub(super) pos: usize,
}

/// The inside of a string.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'b> {
    pub(super) text: &'b str,
    pub(super) escaped: bool,
}

impl<'b> Lexer<'b> {
    pub(super) fn new(text: &'b str) -> Self {
        Self { text, pos: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    /// Passes white space.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    /// Passes a value that is neither object nor array.
    pub(super) fn scalar(&mut self) -> Result<Kind, Refusal> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b'f') => self.word("false", Kind::Bool),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b't') => self.word("true", Kind::Bool),
            _ => Err(self.expected(|found| SyntaxError::ExpectedValue { found })),
        }
    }

    /// Passes a string; the caller has seen its opening quote.
    pub(super) fn string(&mut self) -> Result<Quoted<'b>, Refusal> {
        let bytes = self.text.as_bytes();
        let open = self.pos;
        let mut at = open + 1;
        let mut escaped = false;
        loop {
            at += plain_run(bytes.get(at..).unwrap_or_default());
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += escape_len(bytes.get(at..).unwrap_or_default())
                        .ok_or_else(|| syntax(at, SyntaxError::Escape))?;
                }
                Some(_) => return Err(syntax(at, SyntaxError::ControlCharacter)),
                None => return Err(syntax(open, SyntaxError::UnendedString)),
            }
        }
        self.pos = at + 1;
        Ok(Quoted {
            text: self.text.get(open + 1..at).unwrap_or_default(),
            escaped,
        })
    }

    /// Passes the colon behind a key, with the white space around it.
    pub(super) fn colon(&mut self) -> Result<(), Refusal> {
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected(|found| SyntaxError::ExpectedColon { found }));
        }
        self.pos += 1;
        self.space();
        Ok(())
    }

    /// The error that something else was expected here.
    #[cold]
    pub(super) fn expected(&self, error: impl FnOnce(Option<char>) -> SyntaxError) -> Refusal {
        let found = self
            .text
            .get(self.pos..)
            .and_then(|rest| rest.chars().next());
        syntax(self.pos, error(found))
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Refusal> {
        let rest = self.text.as_bytes().get(self.pos..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.expected(|found| SyntaxError::ExpectedValue { found }));
        }
        self.pos += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<(), Refusal> {
        let bytes = self.text.as_bytes().get(self.pos..).unwrap_or_default();
        let len = number_len(bytes).ok_or_else(|| syntax(self.pos, SyntaxError::Number))?;
        self.pos += len;
        Ok(())
    }
}

#[cold]
pub(super) fn refusal(offset: usize, kind: ScanErrorKind) -> Refusal {
    Box::new(ScanError { offset, kind })
}

fn syntax(offset: usize, error: SyntaxError) -> Refusal {
    refusal(offset, ScanErrorKind::Syntax(error))
}

/// The length of the number at the start of `bytes`, if it has the form of one.
fn number_len(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut len = digits_end(bytes, sign)?;
    if bytes.get(sign) == Some(&b'0') && len > sign + 1 {
        return None;
    }
    if bytes.get(len) == Some(&b'.') {
        len = digits_end(bytes, len + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(len) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        len = digits_end(bytes, len + 1 + sign)?;
    }
    Some(len)
}

/// Where the digits that start at `start` end; there must be one.
fn digits_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut end = start;
    while bytes.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    (end > start).then_some(end)
}

/// How many bytes there are before a quote, a backslash or a control character.
fn plain_run(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let passed = bytes.len() - rest.len();
        let ends = run_ends(u64::from_le_bytes(*word));
        if ends != 0 {
            return passed + ends.trailing_zeros() as usize / 8;
        }
        if passed >= SHORT {
            return passed + long_run(rest);
        }
        rest = tail;
    }
    bytes.len() - rest.len() + last_run(rest)
}

/// The same for the last bytes of a body.
#[cold]
fn last_run(bytes: &[u8]) -> usize {
    let end = bytes
        .iter()
        .position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
    end.unwrap_or(bytes.len())
}

/// The highest bit of every byte that ends a run, up to the first such byte; what is above it means nothing.
fn run_ends(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;
    // A byte borrows from its high bit exactly when it is smaller than what is subtracted.
    let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word & HIGHS;
    let is = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
    below(word, 0x20) | is(b'"') | is(b'\\')
}

/// The same with a vectorised search. Kept apart, because its set-up would slow down every short string.
#[inline(never)]
fn long_run(bytes: &[u8]) -> usize {
    let end = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    let run = bytes.get(..end).unwrap_or(bytes);
    // Without an early exit the compiler looks at many bytes at once; an offender is rare and found below.
    if run.iter().fold(false, |any, b| any | (*b < 0x20)) {
        return run.iter().position(|b| *b < 0x20).unwrap_or(end);
    }
    end
}

/// The length of the escape at the start of `bytes`, if JSON has it.
fn escape_len(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes
            .get(2..6)?
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then_some(6),
        _ => None,
    }
}
