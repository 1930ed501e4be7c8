//! The bytes of a journal segment: a header, then frames, then zeros.
//!
//! Every checksum covers the segment's number and the frame's place, so bytes that are moved or left
//! over are no frame. Each frame names the checksum of the one before it, so none can go missing.
//!
//! ```text
//! segment  magic 8 · number u64 · first leaf u64 · first batch u64 · next slot u64 · before u32 · zero 16 · crc u32
//! frame    length u32 · kind u8 · last u8 · zero u16 · batch u64 · slot u64 · leaf u64 · before u32 · crc u32 · payload crc u32 · payload
//! ```

use crc32c::{crc32c, crc32c_append};

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 64;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER: usize = 44;

const MAGIC: [u8; 8] = *b"carnetj1";
const SEGMENT_HEADER_SUMMED: usize = SEGMENT_HEADER - 4;
const FRAME_HEADER_SUMMED: usize = FRAME_HEADER - 8;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// A request is about to be sent.
    Intent,
    /// An entry of the tree.
    Leaf,
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    /// Place in the tree of the first leaf that the segment may hold.
    pub(crate) first_leaf: u64,
    pub(crate) first_batch: u64,
    pub(crate) next_slot: u64,
    /// Checksum of the last frame before this segment.
    pub(crate) before: u32,
}

/// The header of a frame, without its checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) kind: FrameKind,
    /// Whether a batch ends here: the next batch is begun only when this one was written whole.
    pub(crate) last: bool,
    pub(crate) batch: u64,
    pub(crate) slot: u64,
    /// Place in the tree; of an intent, that of the next leaf.
    pub(crate) leaf: u64,
    pub(crate) before: u32,
}

/// A frame, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) head: FrameHead,
    pub(crate) payload: &'a [u8],
    /// Checksum that the next frame names.
    pub(crate) crc: u32,
}

impl Frame<'_> {
    /// Bytes that it takes in the segment.
    pub(crate) fn bytes(&self) -> usize {
        FRAME_HEADER + self.payload.len()
    }
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        let fields: [&[u8]; 6] = [
            &MAGIC,
            &self.number.to_le_bytes(),
            &self.first_leaf.to_le_bytes(),
            &self.first_batch.to_le_bytes(),
            &self.next_slot.to_le_bytes(),
            &self.before.to_le_bytes(),
        ];
        fill(&mut bytes, &fields);
        let (summed, crc) = bytes.split_at_mut(SEGMENT_HEADER_SUMMED);
        crc.copy_from_slice(&crc32c(summed).to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if it is whole and belongs to segment `number`.
    pub(crate) fn decode(bytes: &[u8], number: u64) -> Option<Self> {
        let header = Self {
            number: u64_at(bytes, 8)?,
            first_leaf: u64_at(bytes, 16)?,
            first_batch: u64_at(bytes, 24)?,
            next_slot: u64_at(bytes, 32)?,
            before: u32_at(bytes, 40)?,
        };
        // Encoding again covers every byte: magic, zeros and checksum too.
        (header.number == number && bytes.starts_with(&header.encode())).then_some(header)
    }
}

/// Write the header of a frame in front of its payload; returns the checksum that the next one names.
/// `frame` is the whole frame, its first [`FRAME_HEADER`] bytes yet to be filled.
pub(crate) fn seal_frame(frame: &mut [u8], segment: u64, offset: u64, head: &FrameHead) -> u32 {
    let Some((header, payload)) = frame.split_at_mut_checked(FRAME_HEADER) else {
        return 0;
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let kind = match head.kind {
        FrameKind::Intent => 1,
        FrameKind::Leaf => 2,
    };
    let fields: [&[u8]; 6] = [
        &length.to_le_bytes(),
        &[kind, u8::from(head.last), 0, 0],
        &head.batch.to_le_bytes(),
        &head.slot.to_le_bytes(),
        &head.leaf.to_le_bytes(),
        &head.before.to_le_bytes(),
    ];
    fill(header, &fields);
    let (summed, sums) = header.split_at_mut(FRAME_HEADER_SUMMED);
    let head_crc = crc32c_append(place(segment, offset), summed);
    let crc = crc32c_append(head_crc, payload);
    fill(sums, &[&head_crc.to_le_bytes(), &crc.to_le_bytes()]);
    crc
}

/// What stands at a place where a frame may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// A sound header whose payload, of this many bytes, is not what was written.
    HeadOnly { payload_bytes: usize },
    /// Neither.
    Nothing,
}

/// Look `at` a place in bytes that lie at `base` of a segment; what is beyond them counts as zero.
pub(crate) fn look(bytes: &[u8], segment: u64, base: u64, at: usize) -> Look<'_> {
    let Some((head, length, head_crc, crc)) = head_at(bytes, segment, base, at) else {
        return Look::Nothing;
    };
    let start = at + FRAME_HEADER;
    match bytes.get(start..start.saturating_add(length)) {
        Some(payload) if crc32c_append(head_crc, payload) == crc => {
            Look::Frame(Frame { head, payload, crc })
        }
        _ => Look::HeadOnly {
            payload_bytes: length,
        },
    }
}

fn head_at(
    bytes: &[u8],
    segment: u64,
    base: u64,
    at: usize,
) -> Option<(FrameHead, usize, u32, u32)> {
    let header = bytes.get(at..at.checked_add(FRAME_HEADER)?)?;
    let length = usize::try_from(u32_at(header, 0)?).ok()?;
    let kind = match header.get(4)? {
        1 => FrameKind::Intent,
        2 => FrameKind::Leaf,
        _ => return None,
    };
    let head_crc = u32_at(header, 36)?;
    let summed = header.get(..FRAME_HEADER_SUMMED)?;
    if length == 0 || crc32c_append(place(segment, base + at as u64), summed) != head_crc {
        return None;
    }
    let head = FrameHead {
        kind,
        last: *header.get(5)? == 1,
        batch: u64_at(header, 8)?,
        slot: u64_at(header, 16)?,
        leaf: u64_at(header, 24)?,
        before: u32_at(header, 32)?,
    };
    Some((head, length, head_crc, u32_at(header, 40)?))
}

/// Seed of a frame's checksum: where it stands.
fn place(segment: u64, offset: u64) -> u32 {
    crc32c_append(crc32c(&segment.to_le_bytes()), &offset.to_le_bytes())
}

fn fill(into: &mut [u8], fields: &[&[u8]]) {
    let mut bytes = fields.iter().flat_map(|field| field.iter());
    for (to, from) in into.iter_mut().zip(&mut bytes) {
        *to = *from;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at + 8)?
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}
