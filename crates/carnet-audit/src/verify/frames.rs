//! The journal: every frame, the chain across segments, zeros behind the last one.

use super::Check;
use crate::frame::{FrameKind, SegmentHeader};
use crate::journal::{JOURNAL, LOCK, segment_name};
use crate::record::{Intent, Leaf};
use crate::replay::segments;
use crate::scan::{Chain, Ending, scan};

/// What one reading of a segment gave.
struct Reading {
    header: Option<SegmentHeader>,
    chain: Option<Chain>,
    next_leaf: u64,
    problems: Vec<String>,
    /// Problems that a server's next write may heal.
    unfinished: bool,
}

/// A used segment, for the one before it to be held against.
struct Later {
    name: String,
    number: u64,
    header: Option<SegmentHeader>,
}

impl Check<'_> {
    /// Check the journal beside a tree of this size.
    ///
    /// From the newest segment to the oldest: when one is in use, those before it do not change any
    /// more, and a server removes them from the oldest on.
    pub(super) fn frames(&mut self, size: u64) {
        if !self.root.join(JOURNAL).exists() {
            return;
        }
        if self.read(LOCK).is_some_and(|bytes| !bytes.is_empty()) {
            self.report.problem(LOCK, "must be empty");
        }
        let numbers = match segments(&self.root) {
            Ok(numbers) => numbers,
            Err(error) => return self.report.problem(JOURNAL, error.to_string()),
        };
        let mut later: Option<Later> = None;
        let mut next_leaf = None;
        for number in numbers.into_iter().rev() {
            let name = segment_name(number);
            let Some(reading) = self.segment(&name, number) else {
                continue;
            };
            if reading.chain.is_none() && reading.problems.is_empty() {
                // Never used. Among used ones it is a hole, which the link shows.
                continue;
            }
            if let Some(later) = &later {
                self.link(&reading, number, later, size);
            }
            for problem in reading.problems {
                self.report.problem(&name, problem);
            }
            next_leaf.get_or_insert(reading.next_leaf);
            later = Some(Later {
                name,
                number,
                header: reading.header,
            });
        }
        // What a server has signed meanwhile is still beyond the head that this report is about.
        self.report.pending = next_leaf.map_or(0, |next: u64| next.saturating_sub(size));
        let size = self.newer_head(size).map_or(size, |newer| newer.size);
        if let Some(Later {
            name,
            header: Some(header),
            ..
        }) = later
            && header.first_leaf > size
        {
            let first = header.first_leaf;
            let message = format!("begins at entry {first}, but the tree ends before entry {size}");
            self.report.problem(name, message);
        }
    }

    /// Hold a segment against the one after it.
    fn link(&mut self, reading: &Reading, number: u64, later: &Later, size: u64) {
        if later.number != number + 1 {
            self.report
                .problem(&later.name, "the segment before it is missing");
            return;
        }
        let Some(header) = later.header else { return };
        if reading.problems.is_empty()
            && reading
                .chain
                .is_some_and(|chain| chain.crc != header.before)
        {
            self.report
                .problem(&later.name, "frames before this segment are missing");
        }
        // After a power cut the tree may have more than the journal; what it has is not missing.
        let (next, first) = (reading.next_leaf, header.first_leaf);
        if reading.problems.is_empty() && (first < next || first > next.max(size)) {
            let message = format!("begins at entry {first} instead of {next}");
            self.report.problem(&later.name, message);
        }
    }

    /// One segment, read again while a server may still be writing what does not fit; `None` if it is gone.
    fn segment(&mut self, name: &str, number: u64) -> Option<Reading> {
        self.tries = 0;
        loop {
            let bytes = self.read(name)?;
            let reading = read(&bytes, number);
            if !reading.unfinished || !self.try_again() {
                return Some(reading);
            }
        }
    }
}

fn read(bytes: &[u8], number: u64) -> Reading {
    let mut problems = Vec::new();
    let mut leaf = None;
    let found = scan(bytes, number, None, false, |at, frame| {
        let readable = match frame.head.kind {
            FrameKind::Intent => serde_json::from_slice::<Intent>(frame.payload).map(drop),
            FrameKind::Leaf => Leaf::parse(frame.payload).map(drop),
        };
        if let Err(error) = readable {
            problems.push(format!("the frame at byte {at} cannot be read: {error}"));
        }
        if frame.head.kind == FrameKind::Leaf {
            if leaf.is_some_and(|leaf| leaf + 1 != frame.head.leaf) {
                problems.push(format!("the frame at byte {at} is out of order"));
            }
            leaf = Some(frame.head.leaf);
        }
    });
    let at = found.end;
    match found.ending {
        Ending::Clean | Ending::Spare => {}
        Ending::Damaged(reason) => problems.push(format!("damaged at byte {at}: {reason}")),
        Ending::Torn => problems.push(format!(
            "an unfinished write at byte {at}; if the server was killed, start it once, and it will be cut off"
        )),
    }
    Reading {
        header: found.header,
        chain: found.chain,
        next_leaf: leaf.map_or_else(
            || found.header.map_or(0, |header| header.first_leaf),
            |leaf| leaf + 1,
        ),
        problems,
        unfinished: matches!(found.ending, Ending::Damaged(_) | Ending::Torn),
    }
}
