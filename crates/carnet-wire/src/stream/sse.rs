//! Server-sent events: a push parser that lends each event, and a writer.
//!
//! Lines end in CR, LF or CR LF, and an event at a blank line, as the HTML standard has it. The fields `id` and
//! `retry` serve clients that reconnect, which no API here has: they are passed over like unknown ones, and a relay
//! hands them on with the bytes.

#[cfg(test)]
mod tests;

use memchr::memchr2;

use super::TooLong;
use super::joined::Joined;
use crate::limits::MAX_EVENT;

/// A comment that keeps a quiet connection open. It may be written only where [`SseParser::at_boundary`] says so,
/// and has no blank line behind it: some clients take that for the end of an event, and parse its missing data.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n";

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What the parser lends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block<'a> {
    /// The text of a comment, without the colon and a space behind it. It belongs to no event, and tells that the
    /// upstream is alive.
    Comment(&'a [u8]),
    /// An event with data; others mean nothing to the standard and are passed over.
    Event(Event<'a>),
}

/// An event of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// Its type, empty where the stream states none.
    pub name: &'a [u8],
    /// Its data lines, with a line feed between them.
    pub data: &'a [u8],
    /// Whether the blank line came that ends an event. Without it there may be more of it that was never sent.
    pub complete: bool,
}

/// A push parser for server-sent events. Cutting the stream elsewhere never changes what it lends.
#[derive(Clone, Debug)]
pub struct SseParser {
    max: usize,
    line: Line,
    /// The last byte was a carriage return, so a line feed belongs to it.
    after_cr: bool,
    /// A line of an event has begun since the last blank line.
    open: bool,
    has_name: bool,
    has_data: bool,
    comment: Joined,
    data: Joined,
    name: Joined,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    /// Behind the colon, where one space is dropped.
    AfterColon(Field),
    /// So many bytes of a byte order mark at the very start.
    Bom(usize),
    /// In so many bytes of a field's name, which agree so far.
    Name(Field, usize),
    /// At the beginning.
    Start,
    /// In an event over the bound, behind which nothing is read.
    TooLong,
    /// In the value.
    Value(Field),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Comment,
    Data,
    Event,
    Other,
}

/// What a line was that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    Blank,
    Comment,
    Field,
}

/// The last pieces of the values that lie in the chunk at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Pieces<'c> {
    comment: &'c [u8],
    data: &'c [u8],
    name: &'c [u8],
}

impl Field {
    /// The name in the stream. A comment is a field with an empty one.
    fn name(self) -> &'static [u8] {
        match self {
            Self::Comment | Self::Other => b"",
            Self::Data => b"data",
            Self::Event => b"event",
        }
    }
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SseParser {
    /// Starts at the beginning of a stream, with events of up to [`MAX_EVENT`] bytes.
    pub fn new() -> Self {
        Self::with_limit(MAX_EVENT)
    }

    /// Starts at the beginning of a stream, with at most so many bytes in the data of an event, in its name and in a
    /// comment.
    pub fn with_limit(max: usize) -> Self {
        Self {
            max,
            line: Line::Bom(0),
            after_cr: false,
            open: false,
            has_name: false,
            has_data: false,
            comment: Joined::default(),
            data: Joined::default(),
            name: Joined::default(),
        }
    }

    /// Takes bytes off `rest` up to the end of an event or comment and lends it, or takes all and lends nothing.
    ///
    /// An event that ends in a carriage return is lent at once; a line feed that comes with the next chunk is taken
    /// there.
    pub fn next<'a, 'c: 'a>(
        &'a mut self,
        rest: &mut &'c [u8],
    ) -> Result<Option<Block<'a>>, TooLong> {
        let mut pieces = Pieces::default();
        while let Some(ended) = self.read_line(rest, &mut pieces)? {
            match ended {
                Ended::Comment => {
                    self.keep_event(pieces);
                    return Ok(Some(Block::Comment(self.comment.lend(pieces.comment))));
                }
                Ended::Blank if self.has_data => {
                    return Ok(Some(Block::Event(self.lend_event(pieces, true))));
                }
                Ended::Blank => {
                    self.open = false;
                    self.has_name = false;
                }
                Ended::Field => {}
            }
        }
        self.keep_event(pieces);
        self.comment.keep(pieces.comment);
        Ok(None)
    }

    /// Says that the stream has ended, and lends the event that was not ended by a blank line, if one has begun. Its
    /// data may be cut anywhere.
    pub fn finish(&mut self) -> Option<Event<'_>> {
        self.open.then(|| self.lend_event(Pieces::default(), false))
    }

    /// Whether a comment or an event can be written behind what has been read so far: no line and no event is open,
    /// and no line feed can follow that belongs to a carriage return.
    ///
    /// This is so before the first byte too. Who writes there drops a byte order mark that comes later.
    pub fn at_boundary(&self) -> bool {
        matches!(self.line, Line::Bom(0) | Line::Start) && !self.open && !self.after_cr
    }

    /// Reads to the end of a line and says what it was; `None` where the chunk ends before.
    fn read_line<'c>(
        &mut self,
        rest: &mut &'c [u8],
        pieces: &mut Pieces<'c>,
    ) -> Result<Option<Ended>, TooLong> {
        while let Some((byte, behind)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && *byte == b'\n' {
                *rest = behind;
                continue;
            }
            let taken = match (self.line, *byte) {
                (Line::TooLong, _) => return Err(self.too_long()),
                (_, b'\n' | b'\r') => {
                    let is_cr = *byte == b'\r';
                    self.after_cr = is_cr && behind.is_empty();
                    *rest = match behind.strip_prefix(b"\n") {
                        Some(behind_both) if is_cr => behind_both,
                        _ => behind,
                    };
                    return self.end_line(pieces).map(Some);
                }
                (Line::Value(field), _) => {
                    let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                    let (piece, behind) = rest.split_at(length);
                    self.add(field, piece, pieces)?;
                    behind
                }
                (Line::AfterColon(field), byte) => {
                    self.line = Line::Value(field);
                    if byte == b' ' { behind } else { *rest }
                }
                (line, byte) => {
                    self.read_name(line, byte, pieces)?;
                    behind
                }
            };
            *rest = taken;
        }
        Ok(None)
    }

    /// Reads a byte of a line before its value.
    fn read_name<'c>(
        &mut self,
        line: Line,
        byte: u8,
        pieces: &mut Pieces<'c>,
    ) -> Result<(), TooLong> {
        let (field, seen) = match (line, byte) {
            (Line::Bom(seen), _) if BOM.get(seen) == Some(&byte) => {
                self.line = if seen + 1 == BOM.len() {
                    Line::Start
                } else {
                    Line::Bom(seen + 1)
                };
                return Ok(());
            }
            (Line::Name(field, seen), _) => (field, seen),
            (Line::Bom(0) | Line::Start, b':') => (Field::Comment, 0),
            (Line::Bom(0) | Line::Start, b'd') => (Field::Data, 0),
            (Line::Bom(0) | Line::Start, b'e') => (Field::Event, 0),
            _ => (Field::Other, 0),
        };
        self.open |= field != Field::Comment;
        self.line = match field.name().get(seen) {
            _ if field == Field::Other => Line::Value(Field::Other),
            Some(want) if *want == byte => Line::Name(field, seen + 1),
            None if byte == b':' => {
                self.begin_value(field, pieces)?;
                Line::AfterColon(field)
            }
            _ => Line::Value(Field::Other),
        };
        Ok(())
    }

    fn end_line(&mut self, pieces: &mut Pieces<'_>) -> Result<Ended, TooLong> {
        match std::mem::replace(&mut self.line, Line::Start) {
            Line::Bom(0) | Line::Start => return Ok(Ended::Blank),
            Line::AfterColon(Field::Comment) | Line::Value(Field::Comment) => {
                return Ok(Ended::Comment);
            }
            // A line without a colon is a field without a value.
            Line::Name(field, seen) if seen == field.name().len() => {
                self.begin_value(field, pieces)?;
            }
            _ => {}
        }
        Ok(Ended::Field)
    }

    fn begin_value(&mut self, field: Field, pieces: &mut Pieces<'_>) -> Result<(), TooLong> {
        match field {
            Field::Comment => {
                self.comment.clear();
                pieces.comment = b"";
            }
            Field::Data if self.has_data => self.add(Field::Data, b"\n", pieces)?,
            Field::Data => self.has_data = true,
            Field::Event => {
                self.has_name = true;
                self.name.clear();
                pieces.name = b"";
            }
            Field::Other => {}
        }
        Ok(())
    }

    fn add<'c>(
        &mut self,
        field: Field,
        piece: &'c [u8],
        pieces: &mut Pieces<'c>,
    ) -> Result<(), TooLong> {
        let bound = self.too_long();
        let added = match field {
            Field::Comment => self.comment.add(&mut pieces.comment, piece, bound),
            Field::Data => self.data.add(&mut pieces.data, piece, bound),
            Field::Event => self.name.add(&mut pieces.name, piece, bound),
            Field::Other => Ok(()),
        };
        if added.is_err() {
            self.line = Line::TooLong;
        }
        added
    }

    fn too_long(&self) -> TooLong {
        TooLong {
            what: "an event",
            max: self.max,
        }
    }

    fn keep_event(&mut self, pieces: Pieces<'_>) {
        self.data.keep(pieces.data);
        self.name.keep(pieces.name);
    }

    fn lend_event<'a, 'c: 'a>(&'a mut self, pieces: Pieces<'c>, complete: bool) -> Event<'a> {
        self.open = false;
        let name = if std::mem::take(&mut self.has_name) {
            self.name.lend(pieces.name)
        } else {
            b""
        };
        let data = if std::mem::take(&mut self.has_data) {
            self.data.lend(pieces.data)
        } else {
            b""
        };
        Event {
            name,
            data,
            complete,
        }
    }
}

/// Writes an event. Each line of the data becomes a data line, however it ends; of the name only the first line is
/// written, so that no text can end the event or add a field to it.
pub fn write_event(out: &mut Vec<u8>, name: Option<&str>, data: &[u8]) {
    if let Some(name) = name {
        let (first, _) = split_line(name.as_bytes());
        write_field(out, b"event: ", first);
    }
    let mut rest = Some(data);
    while let Some(data) = rest {
        let (line, behind) = split_line(data);
        write_field(out, b"data: ", line);
        rest = behind;
    }
    out.push(b'\n');
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The first line, and what stands behind its end if it has one.
fn split_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some((line, end)) =
        memchr2(b'\n', b'\r', text).and_then(|length| text.split_at_checked(length))
    else {
        return (text, None);
    };
    let behind = end.strip_prefix(b"\r\n").or_else(|| end.get(1..));
    (line, behind)
}
