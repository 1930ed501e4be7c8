//! Every entry, every tile and the root.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tlog_tiles::{Hash, record_hash};

use super::{Check, Head};
use crate::record::{DocumentPart, Leaf};
use crate::tiles::{CHECKPOINT, TileKind, TileName, edge_of, entries, partial_tiles};
use crate::tree::{Edge, FullTile, TILE_WIDTH, tile_bytes, tile_hashes};

/// A decision document whose parts come one after the other.
#[derive(Clone)]
struct OpenDocument {
    id: Arc<str>,
    next: u32,
    parts: u32,
    digest: Sha256,
}

/// What has been read so far.
#[derive(Clone, Default)]
struct State {
    edge: Edge,
    document: Option<OpenDocument>,
    /// Entries that could not be read; then neither tiles above them nor the root can be judged.
    broken: bool,
}

impl Check<'_> {
    /// Read all entries up to the checkpoint's, or a newer one's that appears meanwhile, which is returned.
    pub(super) fn tree(&mut self, mut head: Head) -> Head {
        let mut state = State::default();
        let mut n = 0;
        loop {
            let (full, width) = edge_of(TileKind::Entries, head.size);
            while n < full {
                self.full_bundle(&mut state, n);
                n += 1;
            }
            match self.right_edge(&state, head, width) {
                Some(missing) => match self.newer_head(head.size) {
                    Some(newer) => {
                        head = newer;
                        self.tries = 0;
                    }
                    None if self.try_again() => {}
                    None => {
                        self.report
                            .problem(missing, "missing, though the checkpoint needs it");
                        return head;
                    }
                },
                None => return head,
            }
        }
    }

    fn full_bundle(&mut self, state: &mut State, n: u64) {
        let name = TileName::full(TileKind::Entries, n).to_string();
        let Some(bytes) = self.read(&name) else {
            self.report
                .problem(&name, "missing, though the checkpoint needs it");
            return self.replace_by_tile(state, n);
        };
        let Some(found) = entries(&bytes, TILE_WIDTH) else {
            self.report.problem(&name, "not a bundle of 256 entries");
            return self.replace_by_tile(state, n);
        };
        for (entry, index) in found.into_iter().zip(n * TILE_WIDTH as u64..) {
            self.leaf(state, &name, index, entry);
            self.push(state, record_hash(entry));
        }
    }

    /// Where entries cannot be read, their tile lets the tiles behind it be judged all the same.
    fn replace_by_tile(&mut self, state: &mut State, n: u64) {
        state.document = None;
        let tile = self.read(&TileName::full(TileKind::Hashes(0), n).to_string());
        match tile.and_then(|bytes| tile_hashes(&bytes, TILE_WIDTH)) {
            Some(hashes) => hashes.into_iter().for_each(|hash| self.push(state, hash)),
            None => state.broken = true,
        }
    }

    fn push(&mut self, state: &mut State, hash: Hash) {
        let mut full = Vec::new();
        state.edge.push(hash, |tile| full.push(tile));
        if !state.broken {
            full.iter().for_each(|tile| self.full_tile(tile));
        }
    }

    fn full_tile(&mut self, tile: &FullTile) {
        let name = TileName::full(TileKind::Hashes(tile.level), tile.n);
        match self.read(&name.to_string()) {
            None => self
                .report
                .problem(name.to_string(), "missing, though the checkpoint needs it"),
            Some(bytes) => self.compare(&name, &bytes, &tile.hashes),
        }
    }

    /// A tile against the hashes of what is below it.
    fn compare(&mut self, name: &TileName, bytes: &[u8], expected: &[Hash]) {
        if bytes == tile_bytes(expected) {
            return;
        }
        let below = match name.kind {
            TileKind::Hashes(0) => TileName {
                kind: TileKind::Entries,
                ..*name
            }
            .to_string(),
            TileKind::Hashes(level) => format!("the tiles of level {}", level - 1),
            TileKind::Entries => return,
        };
        let message = match tile_hashes(bytes, expected.len()) {
            None => format!("not {} hashes", expected.len()),
            Some(found) => {
                let at = found
                    .iter()
                    .zip(expected)
                    .position(|(found, expected)| found != expected)
                    .unwrap_or(0);
                format!("hash {at} is not that of {below}")
            }
        };
        self.report.problem(name.to_string(), message);
        if name.kind == TileKind::Hashes(0) {
            self.report
                .problem(below, format!("does not have the hashes in {name}"));
        }
    }

    /// Partial tiles and the root. Returns the name of a file that is missing, which a server may just have superseded;
    /// in that case nothing was reported.
    fn right_edge(&mut self, state: &State, head: Head, width: usize) -> Option<String> {
        let mut files = Vec::new();
        for name in partial_tiles(head.size) {
            let Some(bytes) = self.read(&name.to_string()) else {
                return Some(name.to_string());
            };
            files.push((name, bytes));
        }
        let mut state = state.clone();
        for (name, bytes) in &files {
            match name.kind {
                TileKind::Entries => self.partial_bundle(&mut state, name, bytes, width),
                TileKind::Hashes(level) if !state.broken => {
                    let expected = state
                        .edge
                        .levels()
                        .get(usize::from(level))
                        .cloned()
                        .unwrap_or_default();
                    self.compare(name, bytes, &expected);
                }
                TileKind::Hashes(_) => {}
            }
        }
        if state.broken {
            self.report.problem(
                CHECKPOINT,
                "the root cannot be computed, since entries cannot be read",
            );
        } else if state.edge.root() != head.root {
            self.report.problem(
                CHECKPOINT,
                "the root that it signs is not that of the entries",
            );
        }
        None
    }

    fn partial_bundle(&mut self, state: &mut State, name: &TileName, bytes: &[u8], width: usize) {
        let Some(found) = entries(bytes, width) else {
            self.report
                .problem(name.to_string(), format!("not a bundle of {width} entries"));
            state.broken = true;
            return;
        };
        for (entry, index) in found.into_iter().zip(name.n * TILE_WIDTH as u64..) {
            self.leaf(state, &name.to_string(), index, entry);
            self.push(state, record_hash(entry));
        }
    }

    fn leaf(&mut self, state: &mut State, file: &str, index: u64, entry: &[u8]) {
        match Leaf::parse(entry) {
            Ok(Leaf::Record(_)) => self.report.records += 1,
            Ok(Leaf::Document(part)) => self.document(state, file, index, &part),
            Err(error) => self
                .report
                .problem(file, format!("entry {index} is no leaf: {error}")),
        }
    }

    /// A document's name is the digest of its text.
    fn document(&mut self, state: &mut State, file: &str, index: u64, part: &DocumentPart) {
        let open = match state.document.take() {
            Some(open)
                if part.part == open.next && part.id == open.id && part.parts == open.parts =>
            {
                Some(open)
            }
            _ if part.part == 1 => Some(OpenDocument {
                id: part.id.clone(),
                next: 1,
                parts: part.parts,
                digest: Sha256::new(),
            }),
            _ => None,
        };
        // A part without its first may have lost it to damage that is reported already.
        let Some(mut open) = open else { return };
        open.digest.update(&part.text);
        open.next += 1;
        if part.part < part.parts {
            state.document = Some(open);
            return;
        }
        self.report.documents += 1;
        let digest = format!("sha256:{}", hex::encode(open.digest.finalize()));
        if *part.id != *digest {
            self.report.problem(
                file,
                format!("entry {index} is a decision document with another name than its digest"),
            );
        }
    }
}
