//! A text as a JSON string has it between its quotes, so that it can go from one document into another unread.

use std::borrow::Cow;

use super::text::Chars;

/// The inside of a JSON string with its escapes, which stay as they were sent.
///
/// Two texts are equal when their tokens are; the same characters may be escaped in several ways.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Text<'b>(Cow<'b, str>);

impl<'b> Text<'b> {
    /// The inside of a string that a document was read with; the caller vouches that its escapes are JSON's.
    pub(crate) fn from_token(token: &'b str) -> Self {
        Self(Cow::Borrowed(token))
    }

    /// Characters that nobody has escaped yet.
    pub fn new(plain: &'b str) -> Self {
        if plain.bytes().any(needs_escape) {
            let mut token = Vec::with_capacity(plain.len() + 16);
            escape_into(plain, &mut token);
            return Self(Cow::Owned(String::from_utf8_lossy(&token).into_owned()));
        }
        Self(Cow::Borrowed(plain))
    }

    /// What stands between the quotes.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// The characters, escapes undone. Half of a surrogate pair, which no Unicode text can hold, becomes U+FFFD.
    pub fn plain(&self) -> Cow<'_, str> {
        if memchr::memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(&self.0);
        }
        let chars = Chars::new(&self.0).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        Cow::Owned(chars.collect())
    }

    /// The parts before and behind the first occurrence of a separator, if the text begins with `prefix`.
    pub(crate) fn split_behind(
        &self,
        prefix: &str,
        separator: &str,
    ) -> Option<(Text<'b>, Text<'b>)> {
        match &self.0 {
            Cow::Borrowed(token) if memchr::memchr(b'\\', token.as_bytes()).is_none() => {
                let (before, behind) = token.strip_prefix(prefix)?.split_once(separator)?;
                Some((Self::from_token(before), Self::from_token(behind)))
            }
            _ => {
                let plain = self.plain();
                let (before, behind) = plain.strip_prefix(prefix)?.split_once(separator)?;
                Some((
                    Text::new(before).into_owned(),
                    Text::new(behind).into_owned(),
                ))
            }
        }
    }

    /// How many characters there are.
    pub(crate) fn characters(&self) -> u64 {
        u64::try_from(self.plain().chars().count()).unwrap_or(u64::MAX)
    }

    /// Whether there are no characters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing to read in it.
    pub fn is_blank(&self) -> bool {
        // Most texts begin with something to read, so that this is all that is looked at.
        match self.0.as_bytes().first() {
            None => true,
            Some(b' ' | b'\\') => self.plain().trim().is_empty(),
            Some(_) => self.0.trim().is_empty(),
        }
    }

    /// The same text on its own, when the body it stands in goes.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// The same text without a copy, for as long as this one lives.
    pub fn borrowed(&self) -> Text<'_> {
        Text(Cow::Borrowed(&self.0))
    }

    /// Puts another text behind this one.
    pub fn push(&mut self, other: &Text<'_>) {
        self.0.to_mut().push_str(&other.0);
    }
}

fn needs_escape(b: u8) -> bool {
    matches!(b, b'"' | b'\\' | 0..0x20)
}

/// Writes characters as the inside of a JSON string.
pub(crate) fn escape_into(plain: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = plain.as_bytes();
    while let Some(at) = rest.iter().position(|b| needs_escape(*b)) {
        let (run, tail) = rest.split_at(at);
        out.extend_from_slice(run);
        let Some((byte, tail)) = tail.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            low => {
                out.extend_from_slice(b"\\u00");
                for digit in [low >> 4, low & 15] {
                    out.extend(HEX.get(usize::from(digit)));
                }
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_was_put_in() {
        for plain in ["", "plain", "\"\\\n\r\t\u{1}\u{1f}", "é😀\u{2028}", "a\"b"] {
            let text = Text::new(plain);
            assert_eq!(text.plain(), plain);
            let json = format!("\"{}\"", text.token());
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), plain);
        }
    }

    #[test]
    fn a_lone_surrogate_is_readable_but_kept() {
        for (token, want) in [
            (r"a\ud800b", "a\u{FFFD}b"),
            (r"\ud800\n", "\u{FFFD}\n"),
            (r"\ud800\ud83d\ude00", "\u{FFFD}😀"),
            (r"\udc00", "\u{FFFD}"),
        ] {
            let text = Text::from_token(token);
            assert_eq!((text.token(), &*text.plain()), (token, want));
        }
    }

    #[test]
    fn white_space_is_blank_however_it_is_written() {
        for (token, want) in [
            ("", true),
            ("  ", true),
            (r" \n\t\u0020", true),
            (r" \nx", false),
            ("x", false),
            (r"\u0041", false),
        ] {
            assert_eq!(Text::from_token(token).is_blank(), want, "{token}");
        }
    }
}
