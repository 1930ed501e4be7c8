//! Names and contents of the C2SP tlog-tiles layout: hash tiles and entry bundles.

use std::fmt;

use crate::tree::TILE_WIDTH;

/// Name of the signed head inside the audit folder.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Folder of tiles and bundles.
pub(crate) const TILES: &str = "tile";
/// Highest level that the layout has.
const LEVEL_MAX: u8 = 63;

/// What a file below `tile/` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TileKind {
    /// The entries themselves.
    Entries,
    /// Hashes of this level.
    Hashes(u8),
}

/// The name of a file below `tile/`; displayed as its path inside the audit folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TileName {
    pub(crate) kind: TileKind,
    pub(crate) n: u64,
    /// How many hashes or entries; [`TILE_WIDTH`] in a full one.
    pub(crate) width: usize,
}

impl TileName {
    pub(crate) fn full(kind: TileKind, n: u64) -> Self {
        Self {
            kind,
            n,
            width: TILE_WIDTH,
        }
    }

    /// Read a path inside the audit folder; only the one right spelling is a name.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut rest = path.strip_prefix("tile/")?;
        let mut width = TILE_WIDTH;
        if let Some((tile, partial)) = rest.split_once(".p/") {
            width = partial
                .parse()
                .ok()
                .filter(|width| (1..TILE_WIDTH).contains(width))?;
            rest = tile;
        }
        let (kind, number) = rest.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok().filter(|level| *level <= LEVEL_MAX)?),
        };
        let mut n: u64 = 0;
        for group in number.split('/') {
            let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
            n = n.checked_mul(1000)?.checked_add(digits)?;
        }
        let name = Self { kind, n, width };
        (name.to_string() == path).then_some(name)
    }

    /// Whether a tree of this size has it: full tiles before the edge, and the one partial at the edge.
    pub(crate) fn belongs(&self, size: u64) -> bool {
        let (n, width) = edge_of(self.kind, size);
        if self.width == TILE_WIDTH {
            self.n < n
        } else {
            self.n == n && self.width == width
        }
    }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => write!(f, "{TILES}/entries/")?,
            TileKind::Hashes(level) => write!(f, "{TILES}/{level}/")?,
        }
        let mut divisor = 1;
        while self.n / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(f, "x{:03}/", self.n / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", self.n % 1000)?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)
        } else {
            Ok(())
        }
    }
}

/// Number and width of the partial tile at the edge of a tree of this size; width 0 means that there is none.
pub(crate) fn edge_of(kind: TileKind, size: u64) -> (u64, usize) {
    let level = match kind {
        TileKind::Entries => 0,
        TileKind::Hashes(level) => u32::from(level),
    };
    let hashes = size
        .checked_shr(level * crate::tree::TILE_HEIGHT)
        .unwrap_or(0);
    (
        hashes / TILE_WIDTH as u64,
        (hashes % TILE_WIDTH as u64) as usize,
    )
}

/// The partial tiles of a tree of this size, the entries' first.
pub(crate) fn partial_tiles(size: u64) -> Vec<TileName> {
    let levels = (0..8).map(TileKind::Hashes);
    std::iter::once(TileKind::Entries)
        .chain(levels)
        .filter_map(|kind| {
            let (n, width) = edge_of(kind, size);
            (width > 0).then_some(TileName { kind, n, width })
        })
        .collect()
}

/// Add an entry to a bundle.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    // Leaves are bounded far below 64 KiB when they are encoded.
    debug_assert!(
        u16::try_from(entry.len()).is_ok(),
        "an entry has a 16-bit length"
    );
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The entries of a bundle of this width, if the bytes are one, whole and with nothing behind.
pub(crate) fn entries(mut bundle: &[u8], width: usize) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(width);
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    (bundle.is_empty() && entries.len() == width).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_the_specification_says() {
        let hashes = |level, n, width| TileName {
            kind: TileKind::Hashes(level),
            n,
            width,
        };
        let entries = |n, width| TileName {
            kind: TileKind::Entries,
            n,
            width,
        };
        for (name, path) in [
            (hashes(0, 0, 256), "tile/0/000"),
            (hashes(0, 273, 112), "tile/0/273.p/112"),
            (hashes(4, 1_234_067, 256), "tile/4/x001/x234/067"),
            (hashes(63, 1_234_067, 8), "tile/63/x001/x234/067.p/8"),
            (entries(1_234_067, 256), "tile/entries/x001/x234/067"),
            (entries(1_000, 255), "tile/entries/x001/000.p/255"),
            (entries(999, 1), "tile/entries/999.p/1"),
        ] {
            assert_eq!(name.to_string(), path);
            assert_eq!(TileName::parse(path), Some(name), "{path}");
        }
    }

    #[test]
    fn other_spellings_are_no_names() {
        for path in [
            "tile/0/1",
            "tile/0/0001",
            "tile/00/001",
            "tile/64/001",
            "tile/0/x000/001",
            "tile/0/001/067",
            "tile/0/x001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/007",
            "tile/8/0/001",
            "tile/entries/+01",
            "tile/data/001",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(TileName::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_of_the_specification_and_no_other() {
        let names: Vec<_> = partial_tiles(70_000)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            names,
            [
                "tile/entries/273.p/112",
                "tile/0/273.p/112",
                "tile/1/001.p/17",
                "tile/2/000.p/1"
            ]
        );
        for (path, belongs) in [
            ("tile/0/272", true),
            ("tile/0/273", false),
            ("tile/0/273.p/112", true),
            ("tile/0/273.p/111", false),
            ("tile/1/000", true),
            ("tile/1/001.p/17", true),
            ("tile/2/000.p/1", true),
            ("tile/3/000.p/1", false),
            ("tile/0/272.p/3", false),
        ] {
            assert_eq!(
                TileName::parse(path).unwrap().belongs(70_000),
                belongs,
                "{path}"
            );
        }
        let full: Vec<_> = partial_tiles(256).iter().map(ToString::to_string).collect();
        assert_eq!(full, ["tile/1/000.p/1"]);
    }

    #[test]
    fn bundles_are_read_whole_or_not() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"one");
        push_entry(&mut bundle, b"");
        assert_eq!(bundle, b"\0\x03one\0\0");
        assert_eq!(entries(&bundle, 2), Some(vec![&b"one"[..], b""]));
        assert_eq!(entries(&bundle, 1), None);
        assert_eq!(entries(&bundle[..6], 2), None);
    }
}
