//! The graph for Markdown pages that draw Mermaid.

use std::fmt::Write as _;

use carnet_provenance::Graph;

use crate::commands::registry::graph::{label, lines, place, remark};

pub(super) fn write(graph: &Graph) -> String {
    let mut text = String::from("flowchart BT\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let parts: Vec<String> = lines(node).iter().map(|line| escaped(line)).collect();
        let _ = writeln!(text, "  n{at}[\"{}\"]", parts.join("<br/>"));
    }
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (place(graph, &edge.from), place(graph, &edge.to)) else {
            continue;
        };
        let label = escaped(&label(edge));
        let arrow = if edge.relation.is_none() {
            "-.->"
        } else {
            "-->"
        };
        let _ = writeln!(text, "  n{from} {arrow}|\"{label}\"| n{to}");
    }
    let disputed = graph.nodes.iter().enumerate();
    let disputed: Vec<String> = disputed
        .filter(|(_, node)| node.disputed)
        .map(|(at, _)| format!("n{at}"))
        .collect();
    text.push_str("  style n0 stroke-width:3px\n");
    if !disputed.is_empty() {
        let _ = writeln!(text, "  classDef disputed stroke:#c00,stroke-dasharray:4");
        let _ = writeln!(text, "  class {} disputed", disputed.join(","));
    }
    if let Some(remark) = remark(graph) {
        let _ = writeln!(text, "  cut[\"{}\"]", escaped(&remark));
    }
    text
}

/// Everything that is no letter, digit or harmless mark, as Mermaid's own entities.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | ',' | ':' | '/' | '(' | ')') {
            out.push(c);
        } else if !c.is_control() {
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_quotes_or_becomes_markup() {
        assert_eq!(escaped("a\"]<b>#\n"), "a#34;#93;#60;b#62;#35;");
    }
}
