//! The right edge of an RFC 6962 tree, cut into tiles of 256 hashes: all that is needed to go on.
//!
//! Hashes of leaves and nodes come from `tlog_tiles`; its reader of tiles is not used, since it knows
//! the paths of Go's checksum database only and asserts where we must report.

use sha2::{Digest, Sha256};
use tlog_tiles::{HASH_SIZE, Hash, node_hash};

/// Hashes in a full tile.
pub(crate) const TILE_WIDTH: usize = 256;
/// log2 of it.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    size: u64,
    /// The hashes of the last, not yet full tile of each level.
    levels: Vec<Vec<Hash>>,
}

/// A tile that has just become full.
#[derive(Debug)]
pub(crate) struct FullTile {
    pub(crate) level: u8,
    pub(crate) n: u64,
    pub(crate) hashes: Vec<Hash>,
}

impl Edge {
    /// The edge of a tree of this size, from its partial tiles, level by level.
    pub(crate) fn from_tiles(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    /// Entries in the tree.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The partial tiles, level by level; an empty one is no tile.
    pub(crate) fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Add a leaf's hash; tiles that become full by it are given away, lowest first.
    pub(crate) fn push(&mut self, leaf: Hash, mut full: impl FnMut(FullTile)) {
        self.size += 1;
        let mut carried = leaf;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(tile) = self.levels.get_mut(level) else {
                return;
            };
            tile.push(carried);
            if tile.len() < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::replace(tile, Vec::with_capacity(TILE_WIDTH));
            carried = perfect_root(&hashes);
            let n = (self.size >> (TILE_HEIGHT * (level as u32 + 1))) - 1;
            full(FullTile {
                level: level as u8,
                n,
                hashes,
            });
        }
    }

    /// The root hash of the tree.
    pub(crate) fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        // From the right: the lowest level holds the last entries.
        for tile in &self.levels {
            for subtree in perfect_subtrees(tile).into_iter().rev() {
                root = Some(match root {
                    None => subtree,
                    Some(right) => node_hash(subtree, right),
                });
            }
        }
        root.unwrap_or_else(empty_root)
    }
}

/// Root of the tree without entries.
pub(crate) fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// Roots of the largest perfect subtrees over these hashes, from the left.
fn perfect_subtrees(mut hashes: &[Hash]) -> Vec<Hash> {
    let mut roots = Vec::new();
    while let Some(height) = hashes.len().checked_ilog2() {
        let (left, right) = hashes.split_at(1 << height);
        roots.push(perfect_root(left));
        hashes = right;
    }
    roots
}

/// Root over a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(perfect_root(left), perfect_root(right))
        }
    }
}

/// The bytes of a tile.
pub(crate) fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes of a tile of this width, if the bytes are one.
pub(crate) fn tile_hashes(bytes: &[u8], width: usize) -> Option<Vec<Hash>> {
    if bytes.len() != width * HASH_SIZE {
        return None;
    }
    bytes
        .chunks_exact(HASH_SIZE)
        .map(|hash| hash.try_into().ok().map(Hash))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog_tiles::record_hash;

    /// The leaves and roots that the Certificate Transparency implementations share as test vectors.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_of_the_rfc_6962_vectors() {
        let mut edge = Edge::default();
        assert_eq!(hex::encode(edge.root().0), ROOTS[0]);
        for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
            edge.push(record_hash(&hex::decode(leaf).unwrap()), |_| {
                panic!("no tile is full yet")
            });
            assert_eq!(hex::encode(edge.root().0), *root);
        }
    }

    /// RFC 6962 section 2.1 as it is written, without tiles.
    fn plain_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            more => {
                let left = more.len().next_power_of_two() / 2;
                node_hash(plain_root(&more[..left]), plain_root(&more[left..]))
            }
        }
    }

    #[test]
    fn roots_across_tiles_are_those_of_the_plain_definition() {
        let leaves: Vec<Hash> = (0..70_000u32)
            .map(|n| record_hash(&n.to_be_bytes()))
            .collect();
        let mut edge = Edge::default();
        let mut full = Vec::new();
        for (at, leaf) in leaves.iter().enumerate() {
            edge.push(*leaf, |tile| full.push((tile.level, tile.n)));
            if [1, 255, 256, 257, 511, 65_535, 65_536, 65_537, 70_000].contains(&(at + 1)) {
                assert_eq!(edge.root(), plain_root(&leaves[..=at]), "{}", at + 1);
            }
        }
        // The example of the specification: 273 full tiles of level 0, one of level 1; partial ones of 112, 17 and 1.
        assert_eq!(full.iter().filter(|(level, _)| *level == 0).count(), 273);
        assert_eq!(
            full.iter()
                .filter(|(level, _)| *level == 1)
                .collect::<Vec<_>>(),
            [&(1, 0)]
        );
        assert_eq!(
            edge.levels().iter().map(Vec::len).collect::<Vec<_>>(),
            [112, 17, 1]
        );
    }
}
