//! Whether a JSON value that comes in pieces is complete.

/// A look at brackets and quotes only; what is between them is for the reader of the arguments to judge.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Progress {
    /// Looks at the next piece, which may end anywhere.
    pub(crate) fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return,
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.begun = true;
    }

    /// Whether all that was opened is closed.
    pub(crate) fn complete(self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_complete_with_its_last_bracket() {
        let json = r#" {"a\"}":[{}, "\\"]}"#;
        let mut progress = Progress::default();
        for (at, c) in json.char_indices() {
            assert!(!progress.complete(), "{}", &json[..at]);
            progress.push(c.encode_utf8(&mut [0; 4]));
        }
        assert!(progress.complete());
    }
}
