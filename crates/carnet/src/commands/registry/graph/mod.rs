//! `carnet registry graph`: the line of a model as a picture or as text that others draw.

mod dot;
mod layout;
mod mermaid;
mod svg;

use carnet_provenance::{GRAPH_NODES_MAX, Graph, GraphEdge, GraphNode};

use crate::cli::{GraphArgs, GraphFormat};
use crate::commands::registry::deliver;
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, out, world};

pub(super) fn run(args: &GraphArgs) -> Result<Exit, Troubles> {
    let as_of = args.facts.as_of.unwrap_or_else(clock::today);
    let view = world::view_of(&args.facts, as_of)?;
    let id = args.id.strip_prefix("model:").unwrap_or(&args.id);
    let Some(graph) = view.graph(id, args.descendants, as_of) else {
        return Err(vec![Trouble::new(
            format!("there is no model `{}`", args.id),
            "`carnet registry list models` lists the ids; `carnet resolve` tells the id of any other name",
        )]);
    };
    if graph.cut {
        out::note(format_args!(
            "note: there is more; the graph was cut at {GRAPH_NODES_MAX} nodes"
        ));
    }
    let text = match args.format {
        GraphFormat::Dot => dot::write(&graph),
        GraphFormat::Json => {
            let text = serde_json::to_string(&graph).unwrap_or_default();
            format!("{text}\n")
        }
        GraphFormat::Mermaid => mermaid::write(&graph),
        GraphFormat::Svg => svg::write(&graph),
    };
    deliver(&text, args.out.as_deref())
}

/// What stands in a box: id, maker with country, and what is not plain about it.
fn lines(node: &GraphNode) -> Vec<String> {
    let mut lines = vec![
        node.id
            .strip_prefix("producer:")
            .map_or_else(|| node.id.clone(), |_| node.name.clone()),
    ];
    let country = node
        .country
        .map_or("country unknown".to_owned(), |code| code.to_string());
    lines.push(match &node.producer {
        Some(producer) => format!("{producer} ({country})"),
        None => "maker unknown".to_owned(),
    });
    let mut marks = Vec::new();
    if let Some(status) = node.lineage_status
        && !status.names_whole_line()
    {
        marks.push(format!("line {status}"));
    }
    if node.disputed {
        marks.push("disputed".to_owned());
    }
    if !marks.is_empty() {
        lines.push(marks.join(", "));
    }
    lines
}

/// What stands at a line: how, which part, and how sure if it is not.
fn label(edge: &GraphEdge) -> String {
    let mut label = match (&edge.relation, &edge.component) {
        (Some(relation), Some(component)) if component != "weights" => {
            format!("{relation} ({component})")
        }
        (Some(relation), _) => relation.to_string(),
        (None, _) => "learned from".to_owned(),
    };
    if edge.confidence < carnet_provenance::Confidence::Medium {
        label.push_str(&format!(", confidence {}", edge.confidence));
    }
    label
}

/// What is said under a graph that does not show everything.
fn remark(graph: &Graph) -> Option<String> {
    graph
        .cut
        .then(|| format!("cut at {GRAPH_NODES_MAX} nodes: there is more"))
}

/// The place of a node among the nodes.
fn place(graph: &Graph, id: &str) -> Option<usize> {
    graph.nodes.iter().position(|node| node.id == id)
}
