//! Whether byte ranges lie one after the other.

use std::ops::Range;

/// The first place where ranges do not tile, by index into what was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This range begins before the one with the second index ends.
    Overlap(usize, usize),
    /// Before this range, from here on, are more bytes that no range has than are allowed.
    Hole(usize, u64),
}

/// How ranges tile: the gaps between them in order, and where the last one ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    pub(crate) gaps: Vec<Range<u64>>,
    pub(crate) end: u64,
}

/// Lays out `ranges` from `start` on, in the order of their beginnings and ends. A gap may have fewer bytes than
/// `gap_below`; one byte is the least that can be said, so no gap is 1.
pub(crate) fn tile(start: u64, ranges: &[Range<u64>], gap_below: u64) -> Result<Tiling, Fault> {
    let mut order: Vec<(&Range<u64>, usize)> = ranges.iter().zip(0..).collect();
    order.sort_unstable_by_key(|(range, index)| (range.start, range.end, *index));
    let mut tiling = Tiling {
        gaps: Vec::new(),
        end: start,
    };
    let mut before = None;
    for (range, index) in order {
        if range.start < tiling.end {
            return Err(Fault::Overlap(index, before.unwrap_or(index)));
        }
        let gap = tiling.end..range.start;
        if range.start.saturating_sub(tiling.end) >= gap_below {
            return Err(Fault::Hole(index, gap.start));
        }
        if !gap.is_empty() {
            tiling.gaps.push(gap);
        }
        tiling.end = range.end;
        before = Some(index);
    }
    Ok(tiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tile_in_any_order_with_empty_ones_at_the_seams() {
        let tiling = tile(4, &[8..12, 4..8, 4..4, 12..12], 1);
        assert_eq!(
            tiling,
            Ok(Tiling {
                gaps: vec![],
                end: 12
            })
        );
        let tiling = tile(0, &[16..20, 0..15, 22..24], 4);
        assert_eq!(
            tiling,
            Ok(Tiling {
                gaps: vec![15..16, 20..22],
                end: 24
            })
        );
    }

    #[test]
    fn overlaps_and_holes_are_named() {
        assert_eq!(tile(0, &[2..6, 0..4], 1), Err(Fault::Overlap(0, 1)));
        assert_eq!(tile(0, &[0..4, 2..2], 1), Err(Fault::Overlap(1, 0)));
        assert_eq!(tile(0, &[4..6, 0..4, 1..1], 1), Err(Fault::Overlap(2, 1)));
        assert_eq!(tile(0, &[0..4, 5..6], 1), Err(Fault::Hole(1, 4)));
        assert_eq!(tile(3, &[4..6, 6..8], 1), Err(Fault::Hole(0, 3)));
    }
}
