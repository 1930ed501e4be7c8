//! Read one segment from start to end, and tell a torn tail from a damaged middle.
//!
//! A batch is written at once, and the next one is begun only when it was written whole. So a place
//! that is no frame is the *torn* end of an unfinished write only if no later batch follows and bytes
//! are visibly missing: the write stopped short (zeros to the end), or the machine lost a sector of it
//! (a whole sector of zeros, which no frame contains). Anything else was whole once and is *damaged*.

use crate::frame::{FRAME_HEADER, Frame, Look, SEGMENT_HEADER, SegmentHeader, look};

/// The unit that a disk writes whole.
const SECTOR: usize = 512;

/// Where the chain of frames stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Checksum of the last frame.
    pub(crate) crc: u32,
    /// Its batch.
    pub(crate) batch: u64,
    /// Whether that batch is complete.
    pub(crate) complete: bool,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Zeros, or the file's end, after the last frame.
    Clean,
    /// Something that once was a frame, or never was one.
    Damaged(&'static str),
    /// The segment was never used.
    Spare,
    /// A write that did not come to its end.
    Torn,
}

/// What was found in a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) header: Option<SegmentHeader>,
    /// Place behind the last good frame.
    pub(crate) end: usize,
    pub(crate) chain: Option<Chain>,
    pub(crate) ending: Ending,
    /// Unreadable stretches (place, bytes) that were passed over, when that was asked for.
    pub(crate) passed_over: Vec<(usize, usize)>,
}

/// Bytes before the zeros at the end.
pub(crate) fn used_bytes(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    // Whole blocks first: most of a segment is zeros.
    let mut used = bytes;
    while let Some((before, block)) = used.split_last_chunk::<4096>()
        && *block == ZEROS
    {
        used = before;
    }
    used.iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

/// Read segment `number`, giving each good frame to `each` with its place. `before` is the chain at the end of the
/// previous segment, if that is known. With `pass_over`, damage does not end the reading.
pub(crate) fn scan<'a>(
    bytes: &'a [u8],
    number: u64,
    before: Option<Chain>,
    pass_over: bool,
    mut each: impl FnMut(usize, &Frame<'a>),
) -> Scan {
    let used = used_bytes(bytes);
    let header = SegmentHeader::decode(bytes, number);
    let mut scan = Scan {
        header,
        end: 0,
        chain: before,
        ending: Ending::Spare,
        passed_over: Vec::new(),
    };
    if used == 0 {
        return scan;
    }
    let mut at = 0;
    if let Some(header) = header {
        at = SEGMENT_HEADER;
        scan.end = at;
        if before.is_some_and(|before| before.crc != header.before) {
            scan.ending = Ending::Damaged("frames before this segment are missing");
            if !pass_over {
                return scan;
            }
        }
        // A first segment brings the chain's state in its header.
        let known = Chain {
            crc: header.before,
            batch: header.first_batch.saturating_sub(1),
            complete: true,
        };
        scan.chain = Some(before.unwrap_or(known));
    }
    while at < used {
        match look(bytes, number, 0, at) {
            Look::Frame(frame)
                if at > 0
                    && (scan
                        .chain
                        .is_none_or(|chain| chain.crc == frame.head.before)) =>
            {
                each(at, &frame);
                at += frame.bytes();
                scan.end = at;
                scan.chain = Some(Chain {
                    crc: frame.crc,
                    batch: frame.head.batch,
                    complete: frame.head.last,
                });
            }
            found => {
                scan.ending = classify(bytes, number, at, used, scan.chain, found);
                if !pass_over {
                    return scan;
                }
                let next = next_frame(bytes, number, at + 1, used).map_or(used, |(next, _)| next);
                scan.passed_over.push((at, next - at));
                at = next;
                // What was lost leaves the chain open; the next good frame closes it again.
                scan.chain = None;
            }
        }
    }
    scan.ending = Ending::Clean;
    scan
}

fn classify(
    bytes: &[u8],
    number: u64,
    at: usize,
    used: usize,
    chain: Option<Chain>,
    found: Look<'_>,
) -> Ending {
    if matches!(found, Look::Frame(_)) {
        return Ending::Damaged("frames before this place are missing");
    }
    let unfinished = chain.map_or(0, |chain| {
        if chain.complete {
            chain.batch + 1
        } else {
            chain.batch
        }
    });
    let mut from = at + 1;
    while let Some((next, frame)) = next_frame(bytes, number, from, used) {
        if frame.head.batch > unfinished {
            return Ending::Damaged("later frames are whole");
        }
        from = next + frame.bytes();
    }
    let header_bytes = if at == 0 {
        SEGMENT_HEADER
    } else {
        FRAME_HEADER
    };
    let stopped_short = match found {
        Look::HeadOnly { payload_bytes } => used < at + FRAME_HEADER + payload_bytes,
        _ => used < at + header_bytes,
    };
    if stopped_short || zero_sector(bytes, at, used) {
        return Ending::Torn;
    }
    Ending::Damaged("the bytes are not those that were written")
}

fn next_frame(bytes: &[u8], number: u64, from: usize, used: usize) -> Option<(usize, Frame<'_>)> {
    (from.max(SEGMENT_HEADER)..used).find_map(|at| match look(bytes, number, 0, at) {
        Look::Frame(frame) => Some((at, frame)),
        _ => None,
    })
}

/// Whether a whole sector between two places is zero.
fn zero_sector(bytes: &[u8], from: usize, to: usize) -> bool {
    let first = from.next_multiple_of(SECTOR);
    let stretch = bytes.get(first..to).unwrap_or_default();
    stretch
        .chunks_exact(SECTOR)
        .any(|sector| sector.iter().all(|byte| *byte == 0))
}
