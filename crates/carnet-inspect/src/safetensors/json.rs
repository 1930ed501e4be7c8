//! The little of JSON that a safetensors header consists of, read strictly and without recursion of its own.
//!
//! A general parser would keep the last of two equal keys, or take numbers and nesting that the format has no use for.

use crate::{Code, Finding};

pub(super) struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where in the file the text begins.
    base: u64,
}

impl<'a> Json<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, at: 0, base }
    }

    /// Where in the file the next byte lies.
    pub(super) fn pos(&self) -> u64 {
        let at = u64::try_from(self.at).unwrap_or(u64::MAX);
        self.base.saturating_add(at)
    }

    /// What is wrong here.
    pub(super) fn wrong(&self, message: impl Into<String>) -> Finding {
        Finding::new(Code::SafetensorsJson, self.pos(), message)
    }

    /// The next byte that is not white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at = self.at.saturating_add(1);
        }
        self.bytes.get(self.at).copied()
    }

    /// The object that comes next. `member` is told a key and where it stands, and must read the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, String, u64) -> Result<(), Finding>,
    ) -> Result<(), Finding> {
        self.list(b'{', b'}', |json| {
            json.peek();
            let at = json.pos();
            let key = json.string()?;
            json.expect(b':')?;
            member(json, key, at)
        })
    }

    /// The array that comes next. `item` must read one element.
    pub(super) fn array(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), Finding>,
    ) -> Result<(), Finding> {
        self.list(b'[', b']', item)
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Finding>,
    ) -> Result<(), Finding> {
        self.expect(open)?;
        if self.peek() == Some(close) {
            return self.expect(close);
        }
        loop {
            item(self)?;
            if self.peek() == Some(close) {
                return self.expect(close);
            }
            self.expect(b',')?;
        }
    }

    pub(super) fn string(&mut self) -> Result<String, Finding> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a text must stand here"));
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = end_of_string(rest).ok_or_else(|| self.wrong("a text does not end"))?;
        let token = rest.get(..end).unwrap_or_default();
        // Escapes, surrogates and UTF-8 are serde_json's to judge.
        let text =
            serde_json::from_slice(token).map_err(|_| self.wrong("a text is not valid JSON"))?;
        self.at = self.at.saturating_add(end);
        Ok(text)
    }

    /// A whole number that is not negative, in the one way to write it.
    pub(super) fn number(&mut self) -> Result<u64, Finding> {
        self.peek();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = rest.get(..len).unwrap_or_default();
        let next = rest.get(len);
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let odd = matches!(digits, [b'0', _, ..]) || matches!(next, Some(b'.' | b'e' | b'E'));
        let number = text.parse().ok().filter(|_| !odd).ok_or_else(|| {
            self.wrong("a whole number from 0 to 2^64 - 1 in plain digits must stand here")
        })?;
        self.at = self.at.saturating_add(len);
        Ok(number)
    }

    /// The header ends here; only spaces may fill it up.
    pub(super) fn end(&mut self) -> Result<(), Finding> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.iter().position(|byte| *byte != b' ') {
            None => Ok(()),
            Some(index) => {
                self.at = self.at.saturating_add(index);
                Err(self.wrong("something other than spaces follows the JSON"))
            }
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Finding> {
        if self.peek() != Some(wanted) {
            return Err(self.wrong(format!("`{}` must stand here", char::from(wanted))));
        }
        self.at = self.at.saturating_add(1);
        Ok(())
    }
}

/// Bytes of the text that `rest` begins with, quotes included.
fn end_of_string(rest: &[u8]) -> Option<usize> {
    let mut at = 1_usize;
    loop {
        match rest.get(at)? {
            b'"' => return at.checked_add(1),
            b'\\' => at = at.checked_add(2)?,
            _ => at = at.checked_add(1)?,
        }
    }
}
