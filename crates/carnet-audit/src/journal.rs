//! The write-ahead journal's appending side: segments with room set aside, frames, group commit.
//!
//! Used by one thread at a time. It does not decide who may write: `log.rs` reserves the room.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::frame::{FRAME_HEADER, FrameHead, FrameKind, SEGMENT_HEADER, SegmentHeader, seal_frame};
use crate::limits::{CARRY_AFTER_SEGMENTS, FRAME_BYTES_MAX};

/// Folder of the segments, beside the tree.
pub(crate) const JOURNAL: &str = "journal";
/// The file whose lock says that a server runs; always empty.
pub(crate) const LOCK: &str = "journal/lock";

/// Name of a segment inside the audit folder.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{JOURNAL}/{number:010}.wal")
}

/// Number of the segment with this file name.
pub(crate) fn segment_number(file_name: &str) -> Option<u64> {
    let number = file_name.strip_suffix(".wal")?.parse().ok()?;
    (segment_name(number).strip_prefix("journal/") == Some(file_name)).then_some(number)
}

/// Where the journal's next frame goes, and the chain that it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Place in the tree of the next leaf.
    pub(crate) leaf: u64,
}

/// How an appending journal begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) segment: u64,
    pub(crate) leaf: u64,
    pub(crate) batch: u64,
    pub(crate) slot: u64,
    pub(crate) before: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    sync: bool,
    active: Option<Active>,
    spares: VecDeque<(u64, File)>,
    next_segment: u64,
    next_leaf: u64,
    next_slot: u64,
    batch: u64,
    before: u32,
    /// The batch being made; its first byte goes to `active.offset`.
    buffer: Vec<u8>,
    /// Start of its last frame, whose header waits to know whether it is the last.
    unsealed: Option<(usize, FrameHead)>,
    open: HashMap<u64, OpenIntent>,
    open_by_segment: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Active {
    number: u64,
    file: File,
    offset: u64,
}

#[derive(Debug)]
struct OpenIntent {
    segment: u64,
    bytes: Box<[u8]>,
}

impl Journal {
    pub(crate) fn new(
        root: &Path,
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        sync: bool,
        start: Start,
    ) -> Self {
        Self {
            root: root.to_owned(),
            disk,
            segment_bytes,
            sync,
            active: None,
            spares: VecDeque::new(),
            next_segment: start.segment,
            next_leaf: start.leaf,
            next_slot: start.slot,
            batch: start.batch,
            before: start.before,
            buffer: Vec::new(),
            unsealed: None,
            open: HashMap::new(),
            open_by_segment: BTreeMap::new(),
        }
    }

    /// Bytes that can be written without asking the disk for more.
    pub(crate) fn room(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| {
            self.segment_bytes.saturating_sub(self.at(active))
        });
        let in_active = active.saturating_sub(FRAME_BYTES_MAX as u64);
        in_active
            + self.spares.len() as u64
                * (self.segment_bytes - (SEGMENT_HEADER + FRAME_BYTES_MAX) as u64)
    }

    /// Add segments until there is room for `bytes`, but none with a number of `limit` or more.
    /// `Ok(false)` says that the limit came first.
    pub(crate) fn grow(&mut self, bytes: u64, limit: u64) -> io::Result<bool> {
        let mut grown = false;
        while self.room() < bytes {
            if self.next_segment >= limit {
                return Ok(false);
            }
            let path = self.root.join(segment_name(self.next_segment));
            let file = self.disk.allocate(&path, self.segment_bytes)?;
            self.spares.push_back((self.next_segment, file));
            self.next_segment += 1;
            grown = true;
        }
        if grown {
            self.disk.sync_directory(&self.root.join(JOURNAL))?;
        }
        Ok(true)
    }

    /// Whether a frame with a payload of at most this many bytes goes into the active segment.
    pub(crate) fn fits(&self, payload_bytes_max: usize) -> bool {
        self.active.as_ref().is_some_and(|active| {
            self.at(active) + (FRAME_HEADER + payload_bytes_max) as u64 <= self.segment_bytes
        })
    }

    /// Bytes that wait for [`commit`](Self::commit).
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Go on in the next spare segment; `false` if there is none. Nothing may be waiting.
    pub(crate) fn rotate(&mut self) -> bool {
        debug_assert!(self.buffer.is_empty(), "a batch lies in one segment");
        let Some((number, file)) = self.spares.pop_front() else {
            return false;
        };
        let header = SegmentHeader {
            number,
            first_leaf: self.next_leaf,
            first_batch: self.batch,
            next_slot: self.next_slot,
            before: self.before,
        };
        self.active = Some(Active {
            number,
            file,
            offset: 0,
        });
        self.buffer.extend_from_slice(&header.encode());
        true
    }

    /// Open intents that lie so far back that they should be written again.
    pub(crate) fn stale(&self) -> Vec<(u64, Box<[u8]>)> {
        let newest = self.active.as_ref().map_or(0, |active| active.number);
        if self
            .oldest_open()
            .is_none_or(|oldest| oldest + CARRY_AFTER_SEGMENTS > newest)
        {
            return Vec::new();
        }
        let stale = self
            .open
            .iter()
            .filter(|(_, intent)| intent.segment + CARRY_AFTER_SEGMENTS <= newest);
        stale
            .map(|(slot, intent)| (*slot, intent.bytes.clone()))
            .collect()
    }

    /// Add an intent to the batch. It must fit.
    pub(crate) fn intent(&mut self, slot: u64, payload: Box<[u8]>) {
        self.frame(FrameKind::Intent, slot, |into| {
            into.extend_from_slice(&payload)
        });
        self.close_intent(slot);
        let segment = self.active.as_ref().map_or(0, |active| active.number);
        self.open.insert(
            slot,
            OpenIntent {
                segment,
                bytes: payload,
            },
        );
        *self.open_by_segment.entry(segment).or_default() += 1;
    }

    /// Add a leaf to the batch. It must fit. The slot's intent, if any, is answered by it.
    pub(crate) fn leaf(&mut self, slot: u64, payload: impl FnOnce(&mut Vec<u8>)) {
        self.frame(FrameKind::Leaf, slot, payload);
        self.next_leaf += 1;
        self.close_intent(slot);
    }

    /// Bytes of the slot's open intent.
    pub(crate) fn open_intent(&self, slot: u64) -> Option<&[u8]> {
        self.open.get(&slot).map(|intent| &*intent.bytes)
    }

    /// The oldest segment that still holds an open intent.
    pub(crate) fn oldest_open(&self) -> Option<u64> {
        self.open_by_segment.keys().next().copied()
    }

    /// Write the batch. After an error it is still waiting, and the next call writes it again.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        self.seal(true);
        let Some(active) = self.active.as_mut().filter(|_| !self.buffer.is_empty()) else {
            return Ok(());
        };
        self.disk.write(&active.file, &self.buffer, active.offset)?;
        if self.sync {
            self.disk.sync(&active.file)?;
        }
        active.offset += self.buffer.len() as u64;
        self.batch += 1;
        self.buffer.clear();
        Ok(())
    }

    /// Give back what was set aside and not used. A log that is not being written needs no room.
    pub(crate) fn give_back(&mut self) -> io::Result<()> {
        while let Some((number, _)) = self.spares.pop_back() {
            std::fs::remove_file(self.root.join(segment_name(number)))?;
        }
        match &self.active {
            Some(active) => active.file.set_len(active.offset),
            None => Ok(()),
        }
    }

    /// Where the committed part ends.
    pub(crate) fn place(&self) -> Option<Place> {
        let active = self.active.as_ref()?;
        Some(Place {
            segment: active.number,
            offset: active.offset,
            leaf: self.next_leaf,
        })
    }

    fn at(&self, active: &Active) -> u64 {
        active.offset + self.buffer.len() as u64
    }

    fn frame(&mut self, kind: FrameKind, slot: u64, payload: impl FnOnce(&mut Vec<u8>)) {
        self.seal(false);
        let start = self.buffer.len();
        self.buffer.resize(start + FRAME_HEADER, 0);
        payload(&mut self.buffer);
        debug_assert!(
            self.buffer.len() > start + FRAME_HEADER,
            "a payload is never empty"
        );
        let head = FrameHead {
            kind,
            last: false,
            batch: self.batch,
            slot,
            leaf: self.next_leaf,
            before: self.before,
        };
        self.unsealed = Some((start, head));
        self.next_slot = self.next_slot.max(slot + 1);
    }

    /// Give the last frame its header.
    fn seal(&mut self, last: bool) {
        let Some((start, mut head)) = self.unsealed.take() else {
            return;
        };
        let Some(active) = &self.active else { return };
        head.last = last;
        if let Some(frame) = self.buffer.get_mut(start..) {
            self.before = seal_frame(frame, active.number, active.offset + start as u64, &head);
        }
    }

    fn close_intent(&mut self, slot: u64) {
        let Some(intent) = self.open.remove(&slot) else {
            return;
        };
        if let Some(count) = self.open_by_segment.get_mut(&intent.segment) {
            *count -= 1;
            if *count == 0 {
                self.open_by_segment.remove(&intent.segment);
            }
        }
    }
}
