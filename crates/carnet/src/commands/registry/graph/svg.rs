//! The graph as a picture that needs nothing else: boxes, lines, and colours for light and dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use carnet_provenance::{Graph, GraphEdge};

use crate::commands::registry::graph::layout::{BETWEEN, HEIGHT, Layout, WIDTH};
use crate::commands::registry::graph::{label, lines, place, remark};

/// Longest text in a box; the whole stands in its title.
const CHARS_MAX: usize = 34;

/// Most labels above one box; the others are told by their lines' titles.
const LABELS_MAX: i32 = 3;

const STYLE: &str = "text { font: 13px sans-serif; fill: #1a1a1a } .small, .label { font-size: 11px; fill: #444 } \
.label { paint-order: stroke; stroke: #fff; stroke-width: 4px } .back { fill: #fff } \
rect.box { fill: #f4f6f8; stroke: #5b6670 } rect.start { stroke-width: 2.5 } \
rect.disputed { stroke: #b3261e; stroke-dasharray: 5 3 } path { fill: none; stroke: #5b6670 } \
.taught { stroke-dasharray: 5 4 } #tip path { fill: #5b6670; stroke: none } \
@media (prefers-color-scheme: dark) { text { fill: #e8e8e8 } .small, .label { fill: #b8bec4 } \
.label { stroke: #14171a } .back { fill: #14171a } rect.box { fill: #21262b; stroke: #8b98a5 } \
rect.disputed { stroke: #f2958f } path { stroke: #8b98a5 } #tip path { fill: #8b98a5 } }";

pub(super) fn write(graph: &Graph) -> String {
    let layout = Layout::of(graph);
    let remark = remark(graph);
    let room = if remark.is_some() { 24 } else { 0 };
    let (width, height) = (layout.width, layout.height + room);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>line of {}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n",
        escaped(&graph.start)
    );
    // Labels after all lines, so that no line runs through one.
    let mut labels = String::new();
    let mut stacked = BTreeMap::new();
    for edge in &graph.edges {
        line(&mut text, &mut labels, graph, &layout, edge, &mut stacked);
    }
    boxes(&mut text, graph, &layout);
    text.push_str(&labels);
    if let Some(remark) = remark {
        let _ = writeln!(
            text,
            "<text class=\"small\" x=\"20\" y=\"{}\">{}</text>",
            height - 12,
            escaped(&remark)
        );
    }
    text.push_str("</svg>\n");
    text
}

fn boxes(text: &mut String, graph: &Graph, layout: &Layout) {
    for (node, (left, top)) in graph.nodes.iter().zip(&layout.corners) {
        let mut class = String::from("box");
        if node.id == graph.start {
            class.push_str(" start");
        }
        if node.disputed {
            class.push_str(" disputed");
        }
        let lines = lines(node);
        let whole = escaped(&lines.join("; "));
        let _ = writeln!(
            text,
            "<g><title>{whole}</title><rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>"
        );
        for (line, down) in lines.iter().zip([20, 38, 54]) {
            let class = if down == 20 { "" } else { " class=\"small\"" };
            let _ = writeln!(
                text,
                "<text{class} x=\"{}\" y=\"{}\">{}</text>",
                left + 10,
                top + down,
                escaped(&shortened(line))
            );
        }
        text.push_str("</g>\n");
    }
}

/// From what was made to what it was made from: upright through the rows of its own band, then bent.
/// The label stands above what was made, one above the other if it has several.
fn line(
    text: &mut String,
    labels: &mut String,
    graph: &Graph,
    layout: &Layout,
    edge: &GraphEdge,
    stacked: &mut BTreeMap<String, i32>,
) {
    let corner = |id: &str| layout.corners.get(place(graph, id)?).copied();
    let (Some(from), Some(to)) = (corner(&edge.from), corner(&edge.to)) else {
        return;
    };
    let (x1, x2) = (from.0 + WIDTH / 2, to.0 + WIDTH / 2);
    let upward = to.1 < from.1;
    let (y1, y2) = if upward {
        (from.1, to.1 + HEIGHT)
    } else {
        (from.1 + HEIGHT, to.1)
    };
    let bend = if upward { y1.min(y2 + BETWEEN) } else { y1 };
    let half = (bend + y2) / 2;
    let class = if edge.relation.is_none() {
        " class=\"taught\""
    } else {
        ""
    };
    let whole = format!("{}: {} {}", edge.from, label(edge), edge.to);
    let _ = writeln!(
        text,
        "<path{class} d=\"M{x1} {y1}V{bend}C{x1} {half} {x2} {half} {x2} {y2}\" marker-end=\"url(#tip)\"><title>{}</title></path>",
        escaped(&whole)
    );
    let above = stacked.entry(edge.from.clone()).or_default();
    if *above >= LABELS_MAX {
        return;
    }
    let y = if upward {
        y1 - 9 - 14 * *above
    } else {
        y1 + 14 + 14 * *above
    };
    *above += 1;
    let _ = writeln!(
        labels,
        "<text class=\"label\" x=\"{x1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
        escaped(&shortened(&label(edge)))
    );
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    let kept: String = text.chars().take(CHARS_MAX - 1).collect();
    format!("{kept}…")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(
            escaped("<script>&\"'\u{1b}\u{0}é"),
            "&lt;script&gt;&amp;&quot;&#39;é"
        );
        assert_eq!(shortened(&"x".repeat(50)).chars().count(), CHARS_MAX);
    }
}
