//! Read the whole journal when a log is opened, and say where it goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::frame::FrameKind;
use crate::journal::{JOURNAL, Start, segment_name, segment_number};
use crate::scan::{Chain, Ending, scan, used_bytes};

/// A stretch of the journal that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The segment.
    pub file: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What the journal holds.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Where appending begins.
    pub(crate) start: Start,
    /// Oldest segment that is there, else the next one.
    pub(crate) oldest_segment: u64,
    /// Intents without a leaf, by slot.
    pub(crate) open: BTreeMap<u64, Vec<u8>>,
    /// End of an unfinished write, which nobody was told had succeeded.
    pub(crate) torn: Option<Loss>,
    /// Damage that was passed over on the operator's order.
    pub(crate) damage: Vec<Loss>,
    /// Beside damage: the readable leaves that the tree lacks. They lost their places in it, and are
    /// to be written again.
    pub(crate) salvage: Vec<Vec<u8>>,
    /// First leaf of all, and the segment it lies in.
    first_leaf: Option<(u64, PathBuf)>,
}

impl Replay {
    /// Entries that the tree lacks and that lie in the journal.
    pub(crate) fn leaves_after(&self, tree_size: u64) -> u64 {
        self.start.leaf.saturating_sub(tree_size) + self.salvage.len() as u64
    }

    /// Settle where leaves go on, beside a tree of this size.
    fn settle(&mut self, tree_size: u64) -> Result<(), OpenError> {
        if !self.damage.is_empty() {
            self.start.leaf = tree_size;
            return Ok(());
        }
        self.salvage.clear();
        if let Some((first, file)) = self
            .first_leaf
            .take()
            .filter(|(first, _)| *first > tree_size)
        {
            return Err(OpenError::Gap {
                file,
                expected: tree_size,
                found: first,
            });
        }
        self.start.leaf = self.start.leaf.max(tree_size);
        Ok(())
    }
}

/// Read all segments beside a tree of this size, remove unused ones, cut a torn end off. With `repair`, damage is
/// passed over.
pub(crate) fn replay(root: &Path, tree_size: u64, repair: bool) -> Result<Replay, OpenError> {
    let numbers = segments(root).map_err(OpenError::io(&root.join(JOURNAL)))?;
    // One buffer for all of them: a segment is read whole, and the allocator keeps what is given back piecemeal.
    let mut bytes = Vec::new();
    let used = used_segments(root, &numbers, &mut bytes)?;
    let mut replay = Replay {
        start: Start {
            segment: 0,
            leaf: 0,
            batch: 1,
            slot: 1,
            before: 0,
        },
        oldest_segment: 0,
        open: BTreeMap::new(),
        torn: None,
        damage: Vec::new(),
        salvage: Vec::new(),
        first_leaf: None,
    };
    let tree = Tree {
        size: tree_size,
        repair,
    };
    let mut chain: Option<Chain> = None;
    let mut expected = used.first().copied();
    for number in &used {
        let file = root.join(segment_name(*number));
        if expected != Some(*number) {
            if !repair {
                return Err(OpenError::JournalDamaged {
                    file,
                    offset: 0,
                    reason: "the segment before it is missing",
                });
            }
            replay.damage.push(Loss {
                file: file.clone(),
                offset: 0,
                bytes: 0,
            });
            chain = None;
        }
        expected = Some(number + 1);
        let last = used.last() == Some(number);
        read(&file, &mut bytes)?;
        chain = replay.segment(&file, &bytes, *number, chain, last, tree)?;
    }
    if let Some(chain) = chain {
        replay.start.before = chain.crc;
        replay.start.batch = replay.start.batch.max(chain.batch + 1);
    }
    replay.oldest_segment = used.first().copied().unwrap_or(replay.start.segment);
    replay.settle(tree_size)?;
    Ok(replay)
}

/// What a segment is read beside.
#[derive(Clone, Copy)]
struct Tree {
    size: u64,
    repair: bool,
}

impl Replay {
    fn segment(
        &mut self,
        file: &Path,
        bytes: &[u8],
        number: u64,
        before: Option<Chain>,
        last: bool,
        tree: Tree,
    ) -> Result<Option<Chain>, OpenError> {
        let start = &mut self.start;
        let (open, first_leaf, salvage) = (&mut self.open, &mut self.first_leaf, &mut self.salvage);
        let found = scan(bytes, number, before, tree.repair, |_, frame| {
            let head = &frame.head;
            start.slot = start.slot.max(head.slot + 1);
            start.batch = start.batch.max(head.batch + 1);
            match head.kind {
                FrameKind::Intent => {
                    open.insert(head.slot, frame.payload.to_vec());
                }
                FrameKind::Leaf => {
                    open.remove(&head.slot);
                    start.leaf = start.leaf.max(head.leaf + 1);
                    first_leaf.get_or_insert_with(|| (head.leaf, file.to_owned()));
                    if tree.repair && head.leaf >= tree.size {
                        salvage.push(frame.payload.to_vec());
                    }
                }
            }
        });
        if let Some(header) = found.header {
            start.slot = start.slot.max(header.next_slot);
            start.leaf = start.leaf.max(header.first_leaf);
        }
        for (offset, bytes) in found.passed_over {
            self.damage.push(Loss {
                file: file.to_owned(),
                offset: offset as u64,
                bytes: bytes as u64,
            });
        }
        let offset = found.end as u64;
        match found.ending {
            Ending::Damaged(reason) => return Err(damaged(file, offset, reason)),
            Ending::Torn if !last => return Err(damaged(file, offset, "a later segment follows")),
            Ending::Torn => {
                let used = used_bytes(bytes);
                let bytes = (used as u64).saturating_sub(offset);
                self.torn = Some(Loss {
                    file: file.to_owned(),
                    offset,
                    bytes,
                });
            }
            Ending::Clean | Ending::Spare => {}
        }
        self.start.segment = number + 1;
        if last && self.damage.is_empty() {
            if offset == 0 {
                // Not even its header was written: the number is free again.
                self.start.segment = number;
            }
            cut(file, offset).map_err(OpenError::io(file))?;
        }
        Ok(found.chain)
    }
}

/// Appending goes on in a new segment, so this one ends where its frames do.
fn cut(file: &Path, end: u64) -> io::Result<()> {
    if end == 0 {
        return fs::remove_file(file);
    }
    let file = OpenOptions::new().write(true).open(file)?;
    file.set_len(end)?;
    file.sync_all()
}

fn damaged(file: &Path, offset: u64, reason: &'static str) -> OpenError {
    OpenError::JournalDamaged {
        file: file.to_owned(),
        offset,
        reason,
    }
}

/// Numbers of all segments, ascending.
pub(crate) fn segments(root: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root.join(JOURNAL))? {
        numbers.extend(entry?.file_name().to_str().and_then(segment_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// All segments but the unused ones at the end, which are removed.
fn used_segments(root: &Path, numbers: &[u64], bytes: &mut Vec<u8>) -> Result<Vec<u64>, OpenError> {
    let mut used = numbers.to_vec();
    while let Some(last) = used.last() {
        let file = root.join(segment_name(*last));
        read(&file, bytes)?;
        if used_bytes(bytes) > 0 {
            break;
        }
        fs::remove_file(&file).map_err(OpenError::io(&file))?;
        used.pop();
    }
    Ok(used)
}

fn read(file: &Path, bytes: &mut Vec<u8>) -> Result<(), OpenError> {
    bytes.clear();
    File::open(file)
        .and_then(|mut open| open.read_to_end(bytes))
        .map(drop)
        .map_err(OpenError::io(file))
}
