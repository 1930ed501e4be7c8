//! The lines around one model as nodes and edges, to be drawn by whoever asks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::civil::Date;
use serde::Serialize;

use crate::claim::{Confidence, Horizon};
use crate::country::Country;
use crate::ids::ModelId;
use crate::registry::entry::{LineageStatus, Relation, TaughtBy};
use crate::view::{ModelNode, View};

/// Most nodes of one graph: more cannot be read in any picture.
pub const GRAPH_NODES_MAX: usize = 500;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Graph {
    /// The model asked for.
    pub start: String,
    /// All nodes, the start first.
    pub nodes: Vec<GraphNode>,
    /// All edges, from what was made to what it was made from.
    pub edges: Vec<GraphEdge>,
    /// Whether there was more than fits.
    pub cut: bool,
}

/// A model, or a maker whose models are not told apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphNode {
    /// Id of the model; of a maker `producer:` and its id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Who made it; none when unknown.
    pub producer: Option<String>,
    /// The maker's country; none when unknown.
    pub country: Option<Country>,
    /// What is known of the line; none for a maker.
    pub lineage_status: Option<LineageStatus>,
    /// Whether somebody disputes something about it in public.
    pub disputed: bool,
    /// Steps from the start: up the line negative, down positive, teachers beside who learned.
    pub layer: i32,
}

/// One came from the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphEdge {
    /// What was made.
    pub from: String,
    /// What it was made from, or learned from.
    pub to: String,
    /// How; none for a teacher.
    pub relation: Option<Relation>,
    /// Which part came from there; none for a teacher.
    pub component: Option<String>,
    /// How sure the step is.
    pub confidence: Confidence,
}

struct Build<'v> {
    view: &'v View,
    as_of: Date,
    graph: Graph,
    layers: BTreeMap<String, i32>,
}

impl View {
    /// The lines above a model, and with `descendants` those below; none when there is no such model.
    #[must_use]
    pub fn graph(&self, id: &str, descendants: bool, as_of: Date) -> Option<Graph> {
        let mut horizon = Horizon::new(as_of);
        let start = self.model_node(id, &mut horizon)?;
        let mut build = Build {
            view: self,
            as_of,
            graph: Graph {
                start: start.id.to_string(),
                nodes: Vec::new(),
                edges: Vec::new(),
                cut: false,
            },
            layers: BTreeMap::new(),
        };
        build.model(start, 0);
        build.climb(start.id);
        if descendants {
            build.descend(start.id);
        }
        build.lines();
        Some(build.graph)
    }

    /// Models made from this one, one step down, in order of their ids.
    #[must_use]
    pub fn descendants(&self, id: &str, as_of: Date) -> Vec<(ModelId, Relation)> {
        let mut horizon = Horizon::new(as_of);
        let mut found = Vec::new();
        for child in self.models() {
            let Some(node) = self.model_node(child.as_str(), &mut horizon) else {
                continue;
            };
            for base in node.bases(&mut horizon) {
                if base.value.model.as_str() == id {
                    found.push((child.clone(), base.value.relation));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

impl<'v> Build<'v> {
    /// Whether the node is in the graph, after adding it if there is room.
    fn room(&mut self, id: &str, layer: i32) -> bool {
        if self.layers.contains_key(id) {
            return true;
        }
        if self.graph.nodes.len() >= GRAPH_NODES_MAX {
            self.graph.cut = true;
            return false;
        }
        self.layers.insert(id.to_owned(), layer);
        true
    }

    fn model(&mut self, node: ModelNode<'v>, layer: i32) -> bool {
        let known = self.layers.contains_key(node.id.as_str());
        if known || !self.room(node.id.as_str(), layer) {
            return known;
        }
        let mut horizon = Horizon::new(self.as_of);
        let producer = node.producer(&mut horizon);
        let producer =
            producer.and_then(|said| self.view.producer_node(said.value.as_str(), &mut horizon));
        let status = node.status(&mut horizon);
        let own_disputes = node.model.is_some_and(|model| {
            let contradicted = model.claims();
            !model.disputes.is_empty()
                || contradicted.iter().any(|claim| claim.disputed_by.is_some())
        });
        self.graph.nodes.push(GraphNode {
            id: node.id.to_string(),
            name: node
                .model
                .map_or(node.id.as_str(), |model| &model.name)
                .to_owned(),
            producer: producer.map(|producer| producer.name().to_owned()),
            country: producer
                .and_then(|producer| producer.country(&mut horizon))
                .map(|said| said.value),
            lineage_status: Some(status.map_or(LineageStatus::Unknown, |said| said.value)),
            disputed: own_disputes,
            layer,
        });
        true
    }

    fn climb(&mut self, start: &'v ModelId) {
        let mut horizon = Horizon::new(self.as_of);
        let mut open = VecDeque::from([(start, 0_i32)]);
        let mut seen = BTreeSet::from([start]);
        while let Some((id, layer)) = open.pop_front() {
            let Some(node) = self.view.model_node(id.as_str(), &mut horizon) else {
                continue;
            };
            let above = layer.saturating_sub(1);
            for base in node.bases(&mut horizon) {
                let Some(parent) = self
                    .view
                    .model_node(base.value.model.as_str(), &mut horizon)
                else {
                    continue;
                };
                if self.model(parent, above) && seen.insert(parent.id) {
                    open.push_back((parent.id, above));
                }
            }
            self.teachers(node, layer);
        }
    }

    /// Teachers stand one layer above who learned; their own lines are not followed.
    fn teachers(&mut self, node: ModelNode<'v>, layer: i32) {
        let mut horizon = Horizon::new(self.as_of);
        let above = layer.saturating_sub(1);
        for teacher in node.teachers(&mut horizon) {
            match teacher.value {
                TaughtBy::Model(id) => {
                    if let Some(node) = self.view.model_node(id.as_str(), &mut horizon) {
                        self.model(node, above);
                    }
                }
                TaughtBy::Producer(id) => {
                    let Some(producer) = self.view.producer_node(id.as_str(), &mut horizon) else {
                        continue;
                    };
                    let key = format!("producer:{id}");
                    if self.layers.contains_key(&key) || !self.room(&key, above) {
                        continue;
                    }
                    self.graph.nodes.push(GraphNode {
                        id: key,
                        name: format!("some model of {}", producer.name()),
                        producer: Some(producer.name().to_owned()),
                        country: producer.country(&mut horizon).map(|said| said.value),
                        lineage_status: None,
                        disputed: false,
                        layer: above,
                    });
                }
            }
        }
    }

    fn descend(&mut self, start: &'v ModelId) {
        let mut horizon = Horizon::new(self.as_of);
        let mut children: BTreeMap<&'v str, Vec<&'v ModelId>> = BTreeMap::new();
        for id in self.view.models() {
            let Some(node) = self.view.model_node(id.as_str(), &mut horizon) else {
                continue;
            };
            for base in node.bases(&mut horizon) {
                children
                    .entry(base.value.model.as_str())
                    .or_default()
                    .push(node.id);
            }
        }
        let mut open = VecDeque::from([(start, 0_i32)]);
        let mut seen = BTreeSet::from([start]);
        while let Some((id, layer)) = open.pop_front() {
            let below = layer.saturating_add(1);
            for child in children.get(id.as_str()).into_iter().flatten() {
                let Some(node) = self.view.model_node(child.as_str(), &mut horizon) else {
                    continue;
                };
                if seen.insert(child) && self.model(node, below) {
                    open.push_back((child, below));
                }
            }
        }
    }

    /// Every step between two nodes of the graph.
    fn lines(&mut self) {
        let mut horizon = Horizon::new(self.as_of);
        let ids: Vec<String> = self
            .graph
            .nodes
            .iter()
            .map(|node| node.id.clone())
            .collect();
        for id in &ids {
            let Some(node) = self.view.model_node(id, &mut horizon) else {
                continue;
            };
            for base in node.bases(&mut horizon) {
                self.edge(GraphEdge {
                    from: id.clone(),
                    to: base.value.model.to_string(),
                    relation: Some(base.value.relation),
                    component: Some(base.value.component.to_owned()),
                    confidence: base.evidence.confidence,
                });
            }
            for teacher in node.teachers(&mut horizon) {
                let to = match teacher.value {
                    TaughtBy::Model(model) => model.to_string(),
                    TaughtBy::Producer(producer) => format!("producer:{producer}"),
                };
                self.edge(GraphEdge {
                    from: id.clone(),
                    to,
                    relation: None,
                    component: None,
                    confidence: teacher.evidence.confidence,
                });
            }
        }
    }

    fn edge(&mut self, edge: GraphEdge) {
        if self.layers.contains_key(&edge.to) && !self.graph.edges.contains(&edge) {
            self.graph.edges.push(edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{today, view, view_with};

    fn ids(graph: &Graph) -> Vec<(&str, i32)> {
        graph
            .nodes
            .iter()
            .map(|node| (node.id.as_str(), node.layer))
            .collect()
    }

    #[test]
    fn the_line_above_is_drawn_whole_and_below_when_asked() {
        let view = view();
        let graph = view.graph("birch-1776", false, today()).unwrap();
        assert_eq!(
            ids(&graph),
            [("birch-1776", 0), ("alder-r1", -1), ("alder-base", -2)]
        );
        let graph = view.graph("birch-70b", true, today()).unwrap();
        assert!(ids(&graph).contains(&("nomad-grandchild", 2)), "{graph:#?}");
        assert!(view.graph("nothing", true, today()).is_none());
    }

    #[test]
    fn a_teacher_stands_beside_the_line() {
        let graph = view()
            .graph("alder-r1-distill-birch-70b", false, today())
            .unwrap();
        let taught: Vec<&GraphEdge> = graph
            .edges
            .iter()
            .filter(|edge| edge.relation.is_none())
            .collect();
        assert_eq!(taught.len(), 1);
        assert_eq!(taught[0].to, "alder-r1");
        // The teacher's own line is another question.
        assert!(!ids(&graph).iter().any(|(id, _)| *id == "alder-base"));
    }

    #[test]
    fn the_operator_s_steps_are_steps_too() {
        let own = "[[model]]\nid = \"ours\"\nproducer = \"birch\"\nbase_models = [{ model = \"alder-r1\", relation = \"finetune\" }]";
        let graph = view_with(own).graph("alder-r1", true, today()).unwrap();
        assert!(ids(&graph).contains(&("ours", 1)), "{graph:#?}");
    }
}
