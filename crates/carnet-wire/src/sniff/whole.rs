//! Whether an answer that is JSON has come to its end, told while the bytes pass.

/// A push parser for the end of one JSON object or array, with nothing remembered but the nesting. Cutting the answer
/// elsewhere never changes its result.
///
/// An answer of which only the end of its connection says that it ends may have been torn. What is neither an object
/// nor an array counts as whole: nothing can be told of it.
///
/// ```
/// use carnet_wire::sniff::JsonEnd;
///
/// let mut end = JsonEnd::default();
/// end.push(b"{\"text\":\"a}\",\"more\":[1,");
/// assert!(end.is_missing());
/// end.push(b"2]}\n");
/// assert!(!end.is_missing());
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonEnd {
    at: At,
    /// Open objects and arrays.
    depth: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum At {
    #[default]
    Start,
    Between,
    String,
    /// Behind a backslash within a string.
    Escape,
    /// Behind the end, or in what is no JSON object or array.
    Over,
}

impl JsonEnd {
    /// Looks at the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        for byte in chunk {
            self.at = match (self.at, byte) {
                (At::Over, _) => return,
                // A byte order mark is forgiven in an answer.
                (At::Start, b' ' | b'\n' | b'\r' | b'\t' | b'\xEF' | b'\xBB' | b'\xBF') => {
                    At::Start
                }
                (At::Start | At::Between, b'{' | b'[') => {
                    self.depth = self.depth.saturating_add(1);
                    At::Between
                }
                (At::Start, _) => At::Over,
                (At::Between, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        At::Over
                    } else {
                        At::Between
                    }
                }
                (At::Between, b'"') => At::String,
                (At::Between, _) => At::Between,
                (At::String, b'"') => At::Between,
                (At::String, b'\\') => At::Escape,
                (At::String | At::Escape, _) => At::String,
            };
        }
    }

    /// Whether an object or array has begun and not ended.
    pub fn is_missing(&self) -> bool {
        self.depth > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_missing_until_the_outermost_bracket_closes() {
        for whole in [
            r#"{"a":"}\"]\\","b":[{"c":{}}]}"#,
            r#"[{"a":"\\"},{"b":"\u007d"}]"#,
            "\u{feff} {\"é\":\"\u{1F600}\"}",
        ] {
            let body = whole.as_bytes();
            let begins = body.iter().position(|byte| b"{[".contains(byte)).unwrap();
            for cut in 0..=body.len() {
                let mut end = JsonEnd::default();
                let (first, second) = body.split_at(cut);
                end.push(first);
                let torn = cut > begins && cut < body.len();
                assert_eq!(end.is_missing(), torn, "{whole} at {cut}");
                end.push(second);
                end.push(b"\n{ what follows is not looked at");
                assert!(!end.is_missing(), "{whole} at {cut}");
            }
        }
        for other in ["", " \n", "true", "not {json", "\"[\"", "}"] {
            let mut end = JsonEnd::default();
            end.push(other.as_bytes());
            assert!(!end.is_missing(), "{other}");
        }
    }
}
