//! Where each box of a graph stands: every model one band below what it was made from, boxes of a
//! band near those that they belong to.

use std::collections::BTreeMap;

use carnet_provenance::Graph;

use crate::commands::registry::graph::place;

/// Width of a box.
pub(super) const WIDTH: i32 = 250;
/// Height of a box.
pub(super) const HEIGHT: i32 = 62;
/// Room between bands, in which lines bend and labels stand.
pub(super) const BETWEEN: i32 = 84;
/// Room between boxes beside each other.
const BESIDE: i32 = 28;
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

/// Steps between nodes, by their places: what was made, and from what.
struct Steps {
    lines: Vec<(usize, usize)>,
    lessons: Vec<(usize, usize)>,
}

impl Layout {
    pub(super) fn of(graph: &Graph) -> Self {
        let steps = Steps::of(graph);
        let mut bands: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, rank) in steps.ranks(graph.nodes.len()).into_iter().enumerate() {
            bands.entry(rank).or_default().push(at);
        }
        let neighbours = steps.neighbours();
        let mut centres: BTreeMap<usize, i32> = BTreeMap::new();
        let mut corners = vec![(0, 0); graph.nodes.len()];
        let widest = bands.values().map(|band| band.len().min(ACROSS)).max();
        let across = i32::try_from(widest.unwrap_or(1)).unwrap_or(1);
        // Rows of one band are shifted against each other, so that lines pass between the boxes.
        let wraps = bands.values().any(|band| band.len() > ACROSS);
        let shift = (WIDTH + BESIDE) / 2;
        let room = if wraps { shift } else { 0 };
        let width = across * (WIDTH + BESIDE) - BESIDE + 2 * AROUND + room;
        let mut top = AROUND;
        for band in bands.values_mut() {
            // Stable, so that what has no neighbour yet keeps its order.
            band.sort_by_key(|at| middle(neighbours.get(at), &centres));
            let several = band.len() > ACROSS;
            for (number, row) in band.chunks(ACROSS).enumerate() {
                let boxes = i32::try_from(row.len()).unwrap_or(1);
                let mut left = (width - (boxes * (WIDTH + BESIDE) - BESIDE)) / 2;
                if several {
                    left = AROUND + if number % 2 == 0 { 0 } else { shift };
                }
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

impl Steps {
    fn of(graph: &Graph) -> Self {
        let mut steps = Self {
            lines: Vec::new(),
            lessons: Vec::new(),
        };
        for edge in &graph.edges {
            let (Some(from), Some(to)) = (place(graph, &edge.from), place(graph, &edge.to)) else {
                continue;
            };
            if edge.relation.is_some() {
                steps.lines.push((from, to));
            } else {
                steps.lessons.push((from, to));
            }
        }
        steps
    }

    /// The band of each node, from the top: below all that it was made from, and as near to it as
    /// what was made from it allows.
    fn ranks(&self, nodes: usize) -> Vec<usize> {
        let mut ranks = vec![0_usize; nodes];
        // A line has no circle, so this ends well before; the bound is for graphs from elsewhere.
        for _ in 0..nodes {
            let before = ranks.clone();
            for (from, to) in &self.lines {
                let above = ranks.get(*to).copied().unwrap_or_default();
                if let Some(rank) = ranks.get_mut(*from) {
                    *rank = (*rank).max(above.saturating_add(1)).min(nodes);
                }
            }
            if ranks == before {
                break;
            }
        }
        for at in 0..nodes {
            if self.lines.iter().any(|(from, _)| *from == at) {
                continue;
            }
            let steps = self.lines.iter().chain(&self.lessons);
            let children = steps.filter(|(_, to)| *to == at).map(|(from, _)| from);
            let nearest = children.filter_map(|from| ranks.get(*from).copied()).min();
            if let (Some(nearest), Some(rank)) = (nearest, ranks.get_mut(at)) {
                *rank = nearest.saturating_sub(1);
            }
        }
        ranks
    }

    fn neighbours(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (from, to) in self.lines.iter().chain(&self.lessons) {
            found.entry(*from).or_default().push(*to);
            found.entry(*to).or_default().push(*from);
        }
        found
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_below_what_it_was_made_from() {
        // 2 from 1 from 0, 3 from 0 and 2, taught by 4; 5 by itself taught nobody.
        let steps = Steps {
            lines: vec![(1, 0), (2, 1), (3, 0), (3, 2)],
            lessons: vec![(3, 4)],
        };
        assert_eq!(steps.ranks(6), [0, 1, 2, 3, 2, 0]);
        let circle = Steps {
            lines: vec![(0, 1), (1, 0)],
            lessons: Vec::new(),
        };
        assert!(circle.ranks(2).iter().all(|rank| *rank <= 2));
    }
}
