//! Putting another name in the place of the reported model, while the bytes pass.

use super::Framing;
use super::finder::{Finder, Found, Search};
use super::sse::{Lines, Piece};

/// A push parser that replaces every name of the model in an answer by one. All else passes as it is, and nothing is
/// held back: cutting the answer elsewhere never changes what comes out.
///
/// ```
/// use carnet_wire::sniff::{Framing, ModelRename};
///
/// let mut rename = ModelRename::new(Framing::EventStream, "mine");
/// let mut out = Vec::new();
/// for piece in ["data: {\"id\":1,\"model\":\"th", "eirs\",\"n\":0}\n\n"] {
///     rename.push(piece.as_bytes(), &mut out);
/// }
/// assert_eq!(out, b"data: {\"id\":1,\"model\":\"mine\",\"n\":0}\n\n");
/// ```
#[derive(Clone, Debug)]
pub struct ModelRename {
    framing: Framing,
    lines: Lines,
    finder: Finder,
    /// As a JSON string.
    name: Box<[u8]>,
    /// In a name that goes; whether the next byte of it is escaped.
    skipped: Option<bool>,
    renamed: bool,
}

impl ModelRename {
    /// Starts at the beginning of an answer.
    pub fn new(framing: Framing, name: &str) -> Self {
        Self {
            framing,
            lines: Lines::default(),
            finder: Finder::new(Search::model(framing)),
            name: serde_json::Value::from(name)
                .to_string()
                .into_bytes()
                .into(),
            skipped: None,
            renamed: false,
        }
    }

    /// Whether a name has been replaced.
    pub fn renamed(&self) -> bool {
        self.renamed
    }

    /// Passes the next bytes on.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len());
        // What passes as it is, is copied in one piece.
        let mut unchanged = 0;
        for (at, byte) in chunk.iter().enumerate() {
            let data = match self.framing {
                Framing::Json => Some(*byte),
                Framing::EventStream => match self.lines.push(*byte) {
                    Piece::Data(data) => Some(data),
                    Piece::EventEnd => {
                        self.finder.restart();
                        self.skipped = None;
                        None
                    }
                    Piece::Nothing => None,
                },
            };
            let Some(data) = data else {
                continue;
            };
            if data == b'\n' && self.skipped.take().is_some() {
                // No text of JSON goes on behind the end of a line; the line itself must stay one.
                continue;
            }
            if let Some(escaped) = self.skipped {
                unchanged = at + 1;
                self.skipped = (escaped || data != b'"').then_some(data == b'\\' && !escaped);
                if self.skipped.is_none() {
                    // As far as the finder knows, the name was empty, so it looks on.
                    self.finder.push(b'"');
                }
                continue;
            }
            self.look(data);
            if self.finder.opens_wanted() {
                out.extend_from_slice(chunk.get(unchanged..at).unwrap_or_default());
                out.extend_from_slice(&self.name);
                unchanged = at + 1;
                (self.skipped, self.renamed) = (Some(false), true);
            }
        }
        out.extend_from_slice(chunk.get(unchanged..).unwrap_or_default());
    }

    fn look(&mut self, byte: u8) {
        if self.framing == Framing::Json && self.finder.has_stopped() && byte == b'{' {
            // A further object of an answer that comes as one array.
            self.finder.restart();
        }
        // It finds no name, since it is shown none.
        let _: Found = self.finder.push(byte);
    }
}
