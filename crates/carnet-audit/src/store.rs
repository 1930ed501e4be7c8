//! The tree's files: load the right edge at start, put new tiles and checkpoints, take superseded
//! partial tiles away.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog_tiles::record_hash;

use crate::disk::{Disk, TEMPORARY};
use crate::error::OpenError;
use crate::key::{PublicKey, Signer};
use crate::limits::{CHECKPOINT_BYTES_MAX, PUBLISH_LEAVES_MAX};
use crate::replay::segments;
use crate::tiles::{
    CHECKPOINT, TILES, TileKind, TileName, edge_of, entries, partial_tiles, push_entry,
};
use crate::tree::{Edge, TILE_WIDTH, tile_bytes, tile_hashes};

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    edge: Edge,
    /// The entries of the last, not yet full bundle.
    bundle: Vec<u8>,
    /// Full tiles and bundles that are not on the disk yet.
    unwritten: Vec<(String, Vec<u8>)>,
    /// Partial tiles that the checkpoint needs.
    partial: BTreeSet<String>,
    /// Partial tiles that no checkpoint needs any more.
    superseded: BTreeSet<String>,
    /// Folders in which names are not on the medium yet.
    unsynced: BTreeSet<PathBuf>,
    /// Folders whose own names are on the medium.
    named: BTreeSet<PathBuf>,
    signed: u64,
}

impl Store {
    /// Read the checkpoint and the edge that it signs; begin a log where there is none.
    pub(crate) fn load(
        root: &Path,
        disk: Arc<dyn Disk>,
        signer: &Signer,
        key: &PublicKey,
    ) -> Result<Self, OpenError> {
        clear_temporary(root).map_err(OpenError::io(&root.join(TEMPORARY)))?;
        let file = root.join(CHECKPOINT);
        let bytes = match read_bounded(&file, CHECKPOINT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::begin(root, disk, signer);
            }
            Err(error) => return Err(OpenError::io(&file)(error)),
        };
        let refused = |reason: String| OpenError::Checkpoint {
            file: file.clone(),
            reason,
        };
        let checkpoint = key
            .open(&bytes)
            .map_err(|error| refused(error.to_string()))?;
        let size = checkpoint.size();
        let mut store = Self::empty(root, disk);
        store.load_edge(size)?;
        if store.edge.root() != *checkpoint.hash() {
            return Err(refused(
                "the root is not that of the tiles at the edge".to_owned(),
            ));
        }
        store.signed = size;
        store.partial = partial_tiles(size)
            .iter()
            .map(ToString::to_string)
            .collect();
        store
            .clear_leftovers()
            .map_err(OpenError::io(&root.join(TILES)))?;
        Ok(store)
    }

    fn empty(root: &Path, disk: Arc<dyn Disk>) -> Self {
        Self {
            root: root.to_owned(),
            disk,
            edge: Edge::default(),
            bundle: Vec::new(),
            unwritten: Vec::new(),
            partial: BTreeSet::new(),
            superseded: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            named: BTreeSet::from([root.to_owned()]),
            signed: 0,
        }
    }

    fn begin(root: &Path, disk: Arc<dyn Disk>, signer: &Signer) -> Result<Self, OpenError> {
        let segments = segments(root).map_err(OpenError::io(root))?;
        if root.join(TILES).exists() || !segments.is_empty() {
            let reason = "missing, though the log has entries".to_owned();
            return Err(OpenError::Checkpoint {
                file: root.join(CHECKPOINT),
                reason,
            });
        }
        let mut store = Self::empty(root, disk);
        store
            .sign(signer)
            .map_err(OpenError::io(&root.join(CHECKPOINT)))?;
        Ok(store)
    }

    fn load_edge(&mut self, size: u64) -> Result<(), OpenError> {
        let mut levels = Vec::new();
        for level in 0..8 {
            let kind = TileKind::Hashes(level);
            let (n, width) = edge_of(kind, size);
            let mut hashes = Vec::with_capacity(TILE_WIDTH);
            if width > 0 {
                let name = TileName { kind, n, width };
                let (file, bytes) = self.read(&name)?;
                let found = tile_hashes(&bytes, width)
                    .ok_or_else(|| wrong(&file, "not a tile of this width"))?;
                hashes.extend(found);
            }
            levels.push(hashes);
        }
        let (n, width) = edge_of(TileKind::Entries, size);
        if width > 0 {
            let (file, bytes) = self.read(&TileName {
                kind: TileKind::Entries,
                n,
                width,
            })?;
            let found = entries(&bytes, width)
                .ok_or_else(|| wrong(&file, "not a bundle of this many entries"))?;
            let hashes = levels.first().map(Vec::as_slice).unwrap_or_default();
            if found
                .iter()
                .map(|entry| record_hash(entry))
                .ne(hashes.iter().copied())
            {
                return Err(wrong(
                    &file,
                    "the entries do not have the hashes in the tile beside it",
                ));
            }
            self.bundle = bytes;
        }
        self.edge = Edge::from_tiles(size, levels);
        Ok(())
    }

    fn read(&self, name: &TileName) -> Result<(PathBuf, Vec<u8>), OpenError> {
        let file = self.root.join(name.to_string());
        match fs::read(&file) {
            Ok(bytes) => Ok((file, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(wrong(&file, "missing, though the checkpoint needs it"))
            }
            Err(error) => Err(OpenError::io(&file)(error)),
        }
    }

    /// Entries in the tree, signed or not.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Entries under the newest checkpoint.
    pub(crate) fn signed(&self) -> u64 {
        self.signed
    }

    /// Add an entry. Tiles that become full are kept until [`write`](Self::write) has put them.
    pub(crate) fn append(&mut self, leaf: &[u8]) {
        push_entry(&mut self.bundle, leaf);
        let (unwritten, bundle) = (&mut self.unwritten, &mut self.bundle);
        self.edge.push(record_hash(leaf), |tile| {
            if tile.level == 0 {
                let name = TileName::full(TileKind::Entries, tile.n);
                unwritten.push((name.to_string(), std::mem::take(bundle)));
            }
            let name = TileName::full(TileKind::Hashes(tile.level), tile.n);
            unwritten.push((name.to_string(), tile_bytes(&tile.hashes)));
        });
    }

    /// Put the full tiles that are not on the disk yet.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while let Some((name, bytes)) = self.unwritten.first() {
            let path = self.disk.put(&self.root, name, bytes)?;
            self.note_folders(&path);
            self.unwritten.remove(0);
        }
        Ok(())
    }

    /// Put the partial tiles, sign the whole, and take away what is superseded.
    pub(crate) fn seal(&mut self, signer: &Signer) -> io::Result<()> {
        self.write()?;
        let names = partial_tiles(self.edge.size());
        for name in &names {
            let text = name.to_string();
            if self.partial.contains(&text) {
                continue;
            }
            let bytes = match name.kind {
                TileKind::Entries => self.bundle.clone(),
                TileKind::Hashes(level) => tile_bytes(
                    self.edge
                        .levels()
                        .get(usize::from(level))
                        .map(Vec::as_slice)
                        .unwrap_or_default(),
                ),
            };
            let path = self.disk.put(&self.root, &text, &bytes)?;
            self.note_folders(&path);
            // Until a checkpoint needs it, it is one to take away.
            self.superseded.insert(text);
        }
        // INVARIANT: a checkpoint names only what is on the medium under its final name.
        self.sync_folders()?;
        self.sign(signer)?;
        let needed: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        self.superseded.append(&mut self.partial);
        self.superseded.retain(|name| !needed.contains(name));
        self.partial = needed;
        self.remove_superseded()
    }

    /// The folders that must be synced before the new file is found after a crash: its own, and those
    /// of the folders above it that nobody has synced since this log was opened.
    fn note_folders(&mut self, path: &Path) {
        let mut new = path;
        while let Some(folder) = new.parent() {
            self.unsynced.insert(folder.to_owned());
            if self.named.contains(folder) {
                return;
            }
            new = folder;
        }
    }

    fn sync_folders(&mut self) -> io::Result<()> {
        // A folder comes after the one above it, which has its name.
        while let Some(folder) = self.unsynced.first().cloned() {
            self.disk.sync_directory(&folder)?;
            self.unsynced.remove(&folder);
            self.named.insert(folder);
        }
        Ok(())
    }

    fn sign(&mut self, signer: &Signer) -> io::Result<()> {
        let size = self.edge.size();
        self.disk.put(
            &self.root,
            CHECKPOINT,
            &signer.checkpoint(size, self.edge.root()),
        )?;
        self.disk.sync_directory(&self.root)?;
        self.signed = size;
        Ok(())
    }

    fn remove_superseded(&mut self) -> io::Result<()> {
        while let Some(name) = self.superseded.first().cloned() {
            let path = self.root.join(&name);
            ignore_missing(fs::remove_file(&path))?;
            // Another partial tile of the same number may still be in it.
            if let Some(folder) = path
                .parent()
                .filter(|folder| fs::remove_dir(folder).is_ok())
            {
                self.named.remove(folder);
            }
            self.superseded.remove(&name);
        }
        Ok(())
    }

    /// After a crash: tiles that were put but never signed, and partial ones that were superseded but
    /// not yet taken away. Both lie within one checkpoint's work of the edge.
    fn clear_leftovers(&self) -> io::Result<()> {
        let reach = PUBLISH_LEAVES_MAX / TILE_WIDTH as u64 + 1;
        for kind in std::iter::once(TileKind::Entries).chain((0..8).map(TileKind::Hashes)) {
            let (edge, width) = edge_of(kind, self.edge.size());
            for n in edge.saturating_sub(reach)..edge {
                self.clear_partial(kind, n, None)?;
            }
            let needed = (width > 0).then(|| width.to_string());
            self.clear_partial(kind, edge, needed.as_deref())?;
            // What was put ahead of the edge lies without a gap, since it was put in order.
            let mut n = edge;
            while self.clear_full(kind, n)? || n == edge {
                n += 1;
                self.clear_partial(kind, n, None)?;
            }
        }
        Ok(())
    }

    fn clear_full(&self, kind: TileKind, n: u64) -> io::Result<bool> {
        match fs::remove_file(self.root.join(TileName::full(kind, n).to_string())) {
            Ok(()) => Ok(true),
            Err(error) => ignore_missing(Err(error)).map(|()| false),
        }
    }

    fn clear_partial(&self, kind: TileKind, n: u64, needed: Option<&str>) -> io::Result<()> {
        let folder = self.root.join(format!("{}.p", TileName::full(kind, n)));
        let files = match fs::read_dir(&folder) {
            Ok(files) => files,
            Err(error) => return ignore_missing(Err(error)),
        };
        remove_all_but(files, needed)?;
        // Not empty where a partial tile is needed.
        let _ = fs::remove_dir(&folder);
        Ok(())
    }
}

fn remove_all_but(files: fs::ReadDir, needed: Option<&str>) -> io::Result<()> {
    for file in files {
        let file = file?;
        if file.file_name().to_str() != needed {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

fn clear_temporary(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join(TEMPORARY))?;
    for file in fs::read_dir(root.join(TEMPORARY))? {
        fs::remove_file(file?.path())?;
    }
    Ok(())
}

/// Read a small file; a longer one is an error.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {bytes_max} bytes"),
        ));
    }
    fs::read(path)
}

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn wrong(file: &Path, reason: &str) -> OpenError {
    OpenError::TreeDamaged {
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}
