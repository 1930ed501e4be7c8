//! The tokens of RFC 8259, checked exactly and never copied.

use memchr::memchr2;

use super::error::{ScanError, ScanErrorKind, SyntaxError};
use super::found::Kind;

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
    pub(super) fn scalar(&mut self) -> Result<Kind, ScanError> {
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
    pub(super) fn string(&mut self) -> Result<Quoted<'b>, ScanError> {
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
    pub(super) fn colon(&mut self) -> Result<(), ScanError> {
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
    pub(super) fn expected(&self, error: impl FnOnce(Option<char>) -> SyntaxError) -> ScanError {
        let found = self
            .text
            .get(self.pos..)
            .and_then(|rest| rest.chars().next());
        syntax(self.pos, error(found))
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, ScanError> {
        let rest = self.text.as_bytes().get(self.pos..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.expected(|found| SyntaxError::ExpectedValue { found }));
        }
        self.pos += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<(), ScanError> {
        let start = self.pos;
        self.pass(|b| b == b'-');
        let whole = self.digits();
        let leading_zero = self
            .text
            .as_bytes()
            .get(whole.clone())
            .is_some_and(|d| d.len() > 1 && d.starts_with(b"0"));
        let mut valid = !whole.is_empty() && !leading_zero;
        if self.pass(|b| b == b'.') {
            valid &= !self.digits().is_empty();
        }
        if self.pass(|b| b == b'e' || b == b'E') {
            self.pass(|b| b == b'+' || b == b'-');
            valid &= !self.digits().is_empty();
        }
        if valid {
            Ok(())
        } else {
            Err(syntax(start, SyntaxError::Number))
        }
    }

    fn digits(&mut self) -> std::ops::Range<usize> {
        let start = self.pos;
        while self.pass(|b| b.is_ascii_digit()) {}
        start..self.pos
    }

    fn pass(&mut self, wanted: impl FnOnce(u8) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        self.pos += usize::from(found);
        found
    }
}

fn syntax(offset: usize, error: SyntaxError) -> ScanError {
    ScanError {
        offset,
        kind: ScanErrorKind::Syntax(error),
    }
}

/// How many bytes there are before a quote, a backslash or a control character.
fn plain_run(bytes: &[u8]) -> usize {
    let (head, tail) = bytes.split_at(bytes.len().min(SHORT));
    if let Some(end) = head.iter().position(|b| ends_run(*b)) {
        return end;
    }
    let run = tail
        .get(..memchr2(b'"', b'\\', tail).unwrap_or(tail.len()))
        .unwrap_or(tail);
    // Without an early exit the compiler looks at many bytes at once; an offender is rare and found below.
    let control = run.iter().fold(false, |any, b| any | (*b < 0x20));
    let end = if control {
        run.iter().position(|b| *b < 0x20)
    } else {
        None
    };
    head.len() + end.unwrap_or(run.len())
}

fn ends_run(b: u8) -> bool {
    b == b'"' || b == b'\\' || b < 0x20
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
