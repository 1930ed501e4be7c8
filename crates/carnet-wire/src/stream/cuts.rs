//! For tests: the ways in which a network can cut a stream.

use proptest::prelude::*;

/// The stream as a whole, cut once at each byte, and in chunks of some sizes.
pub(super) fn cuts(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    let once = (0..=stream.len()).map(|at| {
        let (before, behind) = stream.split_at(at);
        vec![before, behind]
    });
    let sizes = [1, 2, 3, 7, 37]
        .into_iter()
        .map(|size| stream.chunks(size).collect());
    std::iter::once(vec![stream])
        .chain(once)
        .chain(sizes)
        .collect()
}

/// Sizes of chunks, to be repeated as long as there is something left.
pub(super) fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..9, 1..9).prop_map(|mut sizes| {
        sizes.push(1);
        sizes
    })
}

pub(super) fn cut<'a>(mut stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (chunk, behind) = stream.split_at((*size).min(stream.len()));
        chunks.push(chunk);
        stream = behind;
    }
    chunks
}
