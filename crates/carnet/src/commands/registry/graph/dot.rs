//! The graph for Graphviz.

use std::fmt::Write as _;

use carnet_provenance::Graph;

use crate::commands::registry::graph::{label, lines, remark};

pub(super) fn write(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&graph.start));
    text.push_str("  rankdir = BT;\n  node [shape = box, fontname = \"sans-serif\"];\n  edge [fontname = \"sans-serif\"];\n");
    for node in &graph.nodes {
        let parts: Vec<String> = lines(node).iter().map(|line| escaped(line)).collect();
        let mut style = String::new();
        if node.id == graph.start {
            style.push_str(", penwidth = 2");
        }
        if node.disputed {
            style.push_str(", color = red");
        }
        let _ = writeln!(
            text,
            "  {} [label = \"{}\"{style}];",
            quoted(&node.id),
            parts.join("\\n")
        );
    }
    for edge in &graph.edges {
        let style = if edge.relation.is_none() {
            ", style = dashed"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  {} -> {} [label = {}{style}];",
            quoted(&edge.from),
            quoted(&edge.to),
            quoted(&label(edge))
        );
    }
    if let Some(remark) = remark(graph) {
        let _ = writeln!(text, "  label = {};", quoted(&remark));
    }
    text.push_str("}\n");
    text
}

fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_quotes() {
        assert_eq!(quoted("a\"];b\\\n"), "\"a\\\"];b\\\\\"");
    }
}
