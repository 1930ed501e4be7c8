//! How far a stream of events has come at the caller: whether something of our own may stand there.

use bytes::Bytes;

/// How a piece of whole events ends.
pub(crate) const ENDS_OF_EVENT: [&[u8]; 2] = [b"\n\n", b"\r\n\r\n"];
/// Ends an event of which only the beginning came.
pub(crate) const END_OF_TORN: &[u8] = b"\n\n";

/// A byte order mark, which means something at the very start only.
const MARK: &[u8] = b"\xEF\xBB\xBF";
/// The longest end of an event.
const END_BYTES_MAX: usize = 4;

/// The place behind what has been passed on.
#[derive(Debug)]
pub(crate) struct Place {
    behind: Behind,
    /// So many bytes of a byte order mark have been kept back, because a comment of ours stands at the start.
    mark: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// A blank line, or nothing.
    Blank,
    /// A blank line to whose end a line feed may still belong.
    BlankCr,
    /// A line.
    Line,
    /// A line to whose end a line feed may still belong.
    LineCr,
    /// Something of a line.
    Within,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            behind: Behind::Blank,
            mark: None,
        }
    }
}

impl Place {
    /// Whether no event is open, as far as the last bytes tell.
    pub(crate) fn is_between_events(&self) -> bool {
        self.behind == Behind::Blank
    }

    /// A comment of ours is written before anything of the upstream's.
    pub(crate) fn begin(&mut self) {
        self.mark.get_or_insert(0);
    }

    /// A piece passes; what of it the caller is to get.
    pub(crate) fn passes(&mut self, piece: Bytes) -> Bytes {
        let piece = self.without_mark(piece);
        let (before, end) = piece.split_at(piece.len().saturating_sub(END_BYTES_MAX));
        if !before.is_empty() {
            self.behind = Behind::Within;
        }
        for byte in end {
            self.behind = match (self.behind, byte) {
                (Behind::Within | Behind::LineCr, b'\n') => Behind::Line,
                (Behind::Blank | Behind::BlankCr | Behind::Line, b'\n') => Behind::Blank,
                (Behind::Within, b'\r') => Behind::LineCr,
                (_, b'\r') => Behind::BlankCr,
                _ => Behind::Within,
            };
        }
        piece
    }

    fn without_mark(&mut self, piece: Bytes) -> Bytes {
        let Some(seen) = self.mark else {
            return piece;
        };
        let (kept, rest) = MARK.split_at(seen.min(MARK.len()));
        if let Some(behind) = piece.strip_prefix(rest) {
            self.mark = None;
            return piece.slice_ref(behind);
        }
        if rest.starts_with(&piece) {
            self.mark = Some(kept.len() + piece.len());
            return Bytes::new();
        }
        self.mark = None;
        if kept.is_empty() {
            piece
        } else {
            [kept, &piece].concat().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(place: &mut Place, stream: &[u8], size: usize) -> Vec<u8> {
        stream
            .chunks(size)
            .flat_map(|piece| place.passes(Bytes::copy_from_slice(piece)))
            .collect()
    }

    #[test]
    fn a_comment_stands_between_events_only_wherever_the_stream_is_cut() {
        for (stream, between) in [
            (&b""[..], true),
            (b"data: {}\n\n", true),
            (b"data: {}\r\n\r\n", true),
            (b"data: {}\n\r\n", true),
            (b"data: {}\r\n\n", true),
            (b"data: {}\n\n\n", true),
            (b": still here\n\n", true),
            (b"\n", true),
            (b"data: {}\n", false),
            (b"data: {}\r\n", false),
            (b"data: {}", false),
            (b"data: {}\n\nd", false),
            (b"data: {}\n\ndata: {}\n", false),
            // A line feed that belongs to the carriage return may come next.
            (b"data: {}\r\n\r", false),
            (b"data: {}\r\r", false),
            (b"data: {}\n\r", false),
            (b"data: {}\r", false),
        ] {
            for size in [1, 2, 3, 4, 5, 64] {
                let mut place = Place::default();
                assert_eq!(pass(&mut place, stream, size), stream);
                assert_eq!(
                    place.is_between_events(),
                    between,
                    "{:?} by {size}",
                    String::from_utf8_lossy(stream)
                );
            }
        }
    }

    #[test]
    fn a_byte_order_mark_behind_a_comment_of_ours_is_taken_out() {
        for (stream, passed) in [
            (&b"\xEF\xBB\xBFdata: {}\n\n"[..], &b"data: {}\n\n"[..]),
            (b"data: \xEF\xBB\xBF\n\n", b"data: \xEF\xBB\xBF\n\n"),
            (b"\xEF\xBBdata: {}\n\n", b"\xEF\xBBdata: {}\n\n"),
            (b"\xEF\xBB\xBF\xEF\xBB\xBF\n", b"\xEF\xBB\xBF\n"),
        ] {
            for size in [1, 2, 3, 64] {
                let mut place = Place::default();
                assert_eq!(pass(&mut place, stream, size), stream);
                let mut place = Place::default();
                place.begin();
                assert_eq!(pass(&mut place, stream, size), passed, "by {size}");
            }
        }
    }
}
