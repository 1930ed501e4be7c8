//! The journal: every frame, the chain across segments, zeros behind the last one.

use super::{Check, PAUSE, TRIES};
use crate::frame::FrameKind;
use crate::journal::{JOURNAL, LOCK, segment_name};
use crate::record::{Intent, Leaf};
use crate::replay::segments;
use crate::scan::{Chain, Ending, scan};

/// What one reading of a segment gave.
struct Reading {
    chain: Option<Chain>,
    first_leaf: Option<u64>,
    next_leaf: Option<u64>,
    problems: Vec<String>,
    /// Problems that a server's next write may heal.
    unfinished: bool,
}

impl Check<'_> {
    /// Check the journal beside a tree of this size.
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
        let mut chain = None;
        let mut expected_number = None;
        let (mut first_leaf, mut next_leaf) = (None, None);
        for number in numbers {
            let name = segment_name(number);
            let Some(reading) = self.segment(&name, number, chain) else {
                continue;
            };
            if expected_number.is_some_and(|expected| expected != number) {
                self.report
                    .problem(&name, "the segment before it is missing");
            }
            expected_number = Some(number + 1);
            for problem in reading.problems {
                self.report.problem(&name, problem);
            }
            if let (Some(first), Some(next)) = (reading.first_leaf, next_leaf)
                && first != next
            {
                self.report
                    .problem(&name, format!("begins at entry {first} instead of {next}"));
            }
            chain = reading.chain.or(chain);
            first_leaf = first_leaf.or(reading.first_leaf.map(|first| (first, name)));
            next_leaf = reading.next_leaf.or(next_leaf);
        }
        let size = self.newer_head(size).map_or(size, |newer| newer.size);
        if let Some((first, name)) = first_leaf
            && first > size
        {
            self.report.problem(
                name,
                format!("begins at entry {first}, but the tree ends before entry {size}"),
            );
        }
        self.report.pending = next_leaf.map_or(0, |next: u64| next.saturating_sub(size));
    }

    /// One segment, read again while a server may still be writing what does not fit; `None` if it is gone.
    fn segment(&mut self, name: &str, number: u64, before: Option<Chain>) -> Option<Reading> {
        let mut tries = 0;
        loop {
            let bytes = self.read(name)?;
            let reading = read(&bytes, number, before);
            tries += 1;
            if !reading.unfinished || tries > TRIES {
                return Some(reading);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn read(bytes: &[u8], number: u64, before: Option<Chain>) -> Reading {
    let mut reading = Reading {
        chain: None,
        first_leaf: None,
        next_leaf: None,
        problems: Vec::new(),
        unfinished: false,
    };
    let found = scan(bytes, number, before, false, |at, frame| {
        let readable = match frame.head.kind {
            FrameKind::Intent => serde_json::from_slice::<Intent>(frame.payload).map(drop),
            FrameKind::Leaf => Leaf::parse(frame.payload).map(drop),
        };
        if let Err(error) = readable {
            reading
                .problems
                .push(format!("the frame at byte {at} cannot be read: {error}"));
        }
        if frame.head.kind == FrameKind::Leaf {
            if reading
                .next_leaf
                .is_some_and(|next| next != frame.head.leaf)
            {
                reading
                    .problems
                    .push(format!("the frame at byte {at} is out of order"));
            }
            reading.first_leaf.get_or_insert(frame.head.leaf);
            reading.next_leaf = Some(frame.head.leaf + 1);
        }
    });
    reading.chain = found.chain;
    let at = found.end;
    match found.ending {
        Ending::Clean | Ending::Spare => {}
        Ending::Damaged(reason) => reading.problems.push(format!("damaged at byte {at}: {reason}")),
        Ending::Torn => reading.problems.push(format!(
            "an unfinished write at byte {at}; if the server was killed, start it once, and it will be cut off"
        )),
    }
    reading.unfinished = matches!(found.ending, Ending::Damaged(_) | Ending::Torn);
    reading
}
