//! Escapes in JSON strings: what a string says once they are undone.

use std::borrow::Cow;

/// Half of a surrogate pair. The grammar allows the escape, but no Unicode text can hold it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("lone surrogate")]
pub struct LoneSurrogate;

/// The characters of a string. Its escapes are meant to be those of JSON; any other reads as a lone surrogate, so
/// that it is refused too.
pub(crate) struct Chars<'a> {
    rest: std::str::Chars<'a>,
}

impl<'a> Chars<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.chars() }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, LoneSurrogate> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self
                .rest
                .next()
                .and_then(|c| c.to_digit(16))
                .ok_or(LoneSurrogate)?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    fn unicode(&mut self) -> Result<char, LoneSurrogate> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first).ok_or(LoneSurrogate);
        }
        // What follows half of a pair is a character of its own.
        let behind = self.rest.clone();
        let escape = self.rest.next() == Some('\\') && self.rest.next() == Some('u');
        let second = if escape {
            self.unit()
        } else {
            Err(LoneSurrogate)
        };
        let Some(second) = second.ok().filter(|unit| (0xDC00..0xE000).contains(unit)) else {
            self.rest = behind;
            return Err(LoneSurrogate);
        };
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(LoneSurrogate)
    }
}

impl Iterator for Chars<'_> {
    type Item = Result<char, LoneSurrogate>;

    fn next(&mut self) -> Option<Self::Item> {
        let c = self.rest.next()?;
        if c != '\\' {
            return Some(Ok(c));
        }
        Some(match self.rest.next()? {
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{C}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'u' => self.unicode(),
            same @ ('"' | '\\' | '/') => Ok(same),
            _ => Err(LoneSurrogate),
        })
    }
}

/// Undoes the escapes of a string that stands between quotes.
pub(crate) fn unescape(text: &str) -> Result<Cow<'_, str>, LoneSurrogate> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    Chars::new(text)
        .collect::<Result<String, _>>()
        .map(Cow::Owned)
}

/// The bytes of a whole document with the escapes of its strings undone, for those who look for something in its texts:
/// what an escape stood for begins and ends words as it does for a reader. A text that is itself JSON or code keeps a second
/// layer of escapes; of these the ones for white space become that.
///
/// The document is meant to be sound. What is no escape stays as it is, and half of a surrogate pair becomes U+FFFD.
#[must_use]
pub fn plain_bytes(document: &[u8]) -> Cow<'_, [u8]> {
    let mut escapes = memchr::memchr_iter(b'\\', document);
    let Some(mut escape) = escapes.next() else {
        return Cow::Borrowed(document);
    };
    let mut plain = Vec::with_capacity(document.len());
    let mut from = 0;
    loop {
        plain.extend_from_slice(document.get(from..escape).unwrap_or_default());
        let rest = document.get(escape..).unwrap_or_default();
        from = escape + undo(rest, &mut plain);
        // Those within an escape are not the start of another one.
        match escapes.find(|at| *at >= from) {
            Some(next) => escape = next,
            None => break,
        }
    }
    plain.extend_from_slice(document.get(from..).unwrap_or_default());
    Cow::Owned(plain)
}

/// Undoes the escape at the start of a text; returns the bytes that it takes up.
fn undo(text: &[u8], into: &mut Vec<u8>) -> usize {
    let plain = match text {
        [_, b'\\', b'n' | b'r' | b't', ..] => {
            into.push(b' ');
            return 3;
        }
        [_, b'n' | b'r' | b't' | b'b' | b'f', ..] => b' ',
        [_, same @ (b'"' | b'\\' | b'/'), ..] => *same,
        [_, b'u', ..] => {
            let pair = text.get(..12).filter(|pair| pair.get(6..8) == Some(b"\\u"));
            let one = pair
                .or(text.get(..6))
                .and_then(|one| std::str::from_utf8(one).ok());
            let mut chars = Chars::new(one.unwrap_or_default());
            let c = chars.next().and_then(Result::ok);
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            into.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            let surrogates = u32::from(c) > 0xFFFF;
            return text.len().min(if surrogates { 12 } else { 6 });
        }
        _ => b'\\',
    };
    into.push(plain);
    text.len().min(2)
}

/// Unicode's simple case folding, as far as it leads to ASCII: watched keys are ASCII.
///
/// The dotted and dotless i have no simple folding, but libraries that compare by changing case take them for an i.
pub(crate) fn fold(c: char) -> char {
    match c {
        '\u{130}' | '\u{131}' => 'i',
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        for (text, want) in [
            ("plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{C}\n\r\t"),
            (r"mod\u0065l", "model"),
            (r"\u00e9\u20AC", "é€"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\u0000", "\0"),
        ] {
            assert_eq!(unescape(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn documents_are_read_with_their_escapes_undone() {
        for (document, want) in [
            (r#"{"a": "b"}"#, r#"{"a": "b"}"#),
            (r#"{"a": "1\n2\t\"3\""}"#, r#"{"a": "1 2 "3""}"#),
            (r#"["\u0041KIA \ud83d\ude00\u20ac"]"#, r#"["AKIA 😀€"]"#),
            (r#"["\ud83dx \ud83d\u0041"]"#, r#"["\u{FFFD}x \u{FFFD}A"]"#),
            (r#"["{\"b\": \"1\\n2\"}"]"#, r#"["{"b": "1 2"}"]"#),
            (r#"["C:\\dir\\\\x"]"#, r#"["C:\dir\\x"]"#),
        ] {
            let want = want.replace(r"\u{FFFD}", "\u{FFFD}");
            let plain = plain_bytes(document.as_bytes());
            assert_eq!(String::from_utf8_lossy(&plain), want, "{document}");
        }
        for broken in [r"\", r"\u", r"\u12", r"\ud83d\", r"\x", r"\\"] {
            let _ = plain_bytes(broken.as_bytes());
        }
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for text in [
            r"\x",
            r"\u00g0",
            r"\u00",
            r"\ud800",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\ud800",
            r"\ud800A",
            r"\ude00\ud83d",
        ] {
            assert_eq!(unescape(text), Err(LoneSurrogate), "{text}");
        }
    }

    #[test]
    fn every_character_with_an_ascii_case_folds_to_it() {
        for c in char::from_u32(0x80).unwrap()..=char::MAX {
            let mut changed: Vec<char> = Vec::new();
            for text in [c.to_lowercase().to_string(), c.to_uppercase().to_string()] {
                changed.extend(
                    text.chars()
                        .next()
                        .filter(|first| text.len() == first.len_utf8()),
                );
            }
            for ascii in changed.into_iter().filter(char::is_ascii) {
                assert_eq!(fold(c), ascii.to_ascii_lowercase(), "{c:?}");
            }
        }
        assert_eq!([fold('K'), fold('k'), fold('\u{212A}')], ['k'; 3]);
        assert_eq!([fold('S'), fold('s'), fold('\u{17F}')], ['s'; 3]);
    }
}
