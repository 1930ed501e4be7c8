//! Where each box of a graph stands: one band for each step of the line, ancestors on top, boxes of
//! a band near those that they belong to.

use std::collections::BTreeMap;

use carnet_provenance::Graph;

use crate::commands::registry::graph::place;

/// Width of a box.
pub(super) const WIDTH: i32 = 250;
/// Height of a box.
pub(super) const HEIGHT: i32 = 62;
/// Room between boxes beside each other.
const BESIDE: i32 = 28;
/// Room between bands, in which the lines run.
const BETWEEN: i32 = 74;
/// Room around everything.
const AROUND: i32 = 20;
/// Most boxes beside each other; a longer band goes on in another row.
const ACROSS: usize = 6;

/// See the module.
pub(super) struct Layout {
    /// Upper left corner of each node's box, in the order of the nodes.
    pub(super) corners: Vec<(i32, i32)>,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Layout {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut bands: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            bands.entry(node.layer).or_default().push(at);
        }
        let neighbours = neighbours(graph);
        let mut centres: BTreeMap<usize, i32> = BTreeMap::new();
        let mut corners = vec![(0, 0); graph.nodes.len()];
        let widest = bands.values().map(|band| band.len().min(ACROSS)).max();
        let across = i32::try_from(widest.unwrap_or(1)).unwrap_or(1);
        let width = across * (WIDTH + BESIDE) - BESIDE + 2 * AROUND;
        let mut top = AROUND;
        for band in bands.values_mut() {
            // Stable, so that what has no neighbour yet keeps its order.
            band.sort_by_key(|at| middle(neighbours.get(at), &centres));
            for row in band.chunks(ACROSS) {
                let boxes = i32::try_from(row.len()).unwrap_or(1);
                let mut left = (width - (boxes * (WIDTH + BESIDE) - BESIDE)) / 2;
                for at in row {
                    if let Some(corner) = corners.get_mut(*at) {
                        *corner = (left, top);
                    }
                    centres.insert(*at, left + WIDTH / 2);
                    left += WIDTH + BESIDE;
                }
                top += HEIGHT + BETWEEN;
            }
        }
        Self {
            corners,
            width,
            height: top - BETWEEN + AROUND,
        }
    }
}

fn neighbours(graph: &Graph) -> BTreeMap<usize, Vec<usize>> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (place(graph, &edge.from), place(graph, &edge.to)) {
            found.entry(from).or_default().push(to);
            found.entry(to).or_default().push(from);
        }
    }
    found
}

/// The middle of those that are placed already.
fn middle(neighbours: Option<&Vec<usize>>, centres: &BTreeMap<usize, i32>) -> i32 {
    let placed = neighbours.into_iter().flatten();
    let placed: Vec<i32> = placed.filter_map(|at| centres.get(at).copied()).collect();
    let count = i32::try_from(placed.len()).unwrap_or(i32::MAX);
    if count == 0 {
        return 0;
    }
    placed.iter().sum::<i32>() / count
}
