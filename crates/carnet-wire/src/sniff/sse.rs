//! The framing of server-sent events, one byte at a time.

/// A position in a stream of lines.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    line: Line,
    /// The last byte was a carriage return, so a line feed belongs to it.
    after_cr: bool,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// Behind `data:`, where one space is dropped.
    AfterColon,
    /// So many bytes of a byte order mark at the very start.
    Bom(usize),
    /// In the data.
    Data,
    /// In a field name that agrees with `data` so far.
    Field(usize),
    /// In a comment or another field.
    Ignored,
}

/// What a byte of the stream means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// A byte of the event's data; the end of a data line is a line feed.
    Data(u8),
    /// The blank line behind an event.
    EventEnd,
    /// Nothing to look at.
    Nothing,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";
const FIELD: &[u8] = b"data";

impl Default for Lines {
    fn default() -> Self {
        Self {
            line: Line::Bom(0),
            after_cr: false,
        }
    }
}

impl Lines {
    /// Whether the next byte is one of an event's data unless it ends the line.
    pub(super) fn in_data(&self) -> bool {
        matches!(self.line, Line::Data)
    }

    pub(super) fn push(&mut self, byte: u8) -> Piece {
        if byte == b'\n' && self.after_cr {
            self.after_cr = false;
            return Piece::Nothing;
        }
        self.after_cr = byte == b'\r';
        if byte == b'\n' || byte == b'\r' {
            return self.line_end();
        }
        let (next, piece) = match self.line {
            Line::AfterColon if byte == b' ' => (Line::Data, Piece::Nothing),
            Line::AfterColon | Line::Data => (Line::Data, Piece::Data(byte)),
            Line::Bom(seen) if BOM.get(seen) == Some(&byte) => (
                if seen + 1 == BOM.len() {
                    Line::Field(0)
                } else {
                    Line::Bom(seen + 1)
                },
                Piece::Nothing,
            ),
            Line::Bom(0) => (after_field_byte(0, byte), Piece::Nothing),
            Line::Field(seen) => (after_field_byte(seen, byte), Piece::Nothing),
            Line::Bom(_) | Line::Ignored => (Line::Ignored, Piece::Nothing),
        };
        self.line = next;
        piece
    }

    fn line_end(&mut self) -> Piece {
        let line = std::mem::replace(&mut self.line, Line::Field(0));
        match line {
            Line::Bom(0) | Line::Field(0) => Piece::EventEnd,
            Line::AfterColon | Line::Data => Piece::Data(b'\n'),
            Line::Bom(_) | Line::Field(_) | Line::Ignored => Piece::Nothing,
        }
    }
}

fn after_field_byte(seen: usize, byte: u8) -> Line {
    match FIELD.get(seen) {
        Some(want) if *want == byte => Line::Field(seen + 1),
        None if byte == b':' => Line::AfterColon,
        _ => Line::Ignored,
    }
}
