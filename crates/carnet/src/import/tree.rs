//! The source as a tree in which every value knows its line and whether anybody read it.
//!
//! One reader serves YAML and JSON, which is a part of YAML; a file that must be JSON is asked for that first. Parts
//! that are repeated by reference are copied, and count as often as they stand there.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle};

use crate::trouble::Trouble;

/// Values of one source, repeated ones included. A configuration of a thousand models has about 20,000.
const VALUES_MAX: usize = 200_000;
/// Levels of lists and maps within each other. Real configurations stay below ten.
const DEPTH_MAX: usize = 32;
/// How YAML writes that there is nothing.
const NULL: &[&str] = &["", "null", "Null", "NULL", "~"];
/// The key by which a map takes over another one.
const MERGE: &str = "<<";

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) value: Value,
    /// Whether something was made of it, so that it need not be reported as left behind.
    pub(super) taken: Cell<bool>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Null,
    Text(String),
}

impl Value {
    /// What it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Null => "nothing",
            Self::Text(_) => "a single value",
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
        }
    }

    fn depth(&self) -> usize {
        let below = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(|node| node.value.depth()).max().unwrap_or(0)
        };
        match self {
            Self::List(items) => below(&mut items.iter()).saturating_add(1),
            Self::Map(entries) => {
                below(&mut entries.iter().map(|(_, node)| node)).saturating_add(1)
            }
            Self::Null | Self::Text(_) => 0,
        }
    }
}

/// Read a text that must be JSON.
pub(super) fn read_json(text: &str) -> Result<Node, Trouble> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let reason = "this is not JSON that can be read";
        return Err(Trouble::new(
            reason,
            "correct it; JSON has no comments and no comma at an end",
        )
        .at(error.line(), error.column()));
    }
    read_yaml(text)
}

/// Read a text that must be YAML.
pub(super) fn read_yaml(text: &str) -> Result<Node, Trouble> {
    let mut options = Options::default();
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    options.disallow_directives = true;
    let mut build = Build::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let marker = error.marker();
            let trouble = match error.kind() {
                ErrorKind::RecursionLimitExceeded => too_deep(),
                _ => Trouble::new("this is not YAML that can be read", "correct the line"),
            };
            trouble.at(marker.line(), marker.col().saturating_add(1))
        })?;
        let place = (span.start.line(), span.start.col().saturating_add(1));
        build
            .take(event, place)
            .map_err(|trouble| match trouble.line {
                Some(_) => trouble,
                None => trouble.at(place.0, place.1),
            })?;
    }
    build
        .root
        .ok_or_else(|| Trouble::new("there is nothing in it", "name the file that is to be read"))
}

fn too_deep() -> Trouble {
    Trouble::new(
        format!("values are nested deeper than {DEPTH_MAX}"),
        "no such configuration does that; is it the right file?",
    )
}

/// A list or map that has not ended yet.
struct Open {
    line: usize,
    column: usize,
    anchor: usize,
    /// Values read before it.
    before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// The key whose value comes next.
    Map(Vec<(String, Node)>, Option<String>),
}

/// A part that can be repeated.
struct Anchored {
    node: Node,
    values: usize,
    depth: usize,
}

/// Puts events together, without recursion.
#[derive(Default)]
struct Build {
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
    anchors: HashMap<usize, Anchored>,
}

impl Build {
    fn take(&mut self, event: Event<'_>, at: (usize, usize)) -> Result<(), Trouble> {
        match event {
            Event::Alias(anchor) => self.repeat(anchor, at),
            Event::UnresolvedAlias(_) => Err(Trouble::new(
                "this repeats a part that is not there",
                "correct the name behind `*`",
            )),
            Event::DocumentStart(..) if self.root.is_some() => Err(Trouble::new(
                "a second document begins here",
                "keep one document in the file",
            )),
            Event::Scalar(text, style, anchor, _) => {
                self.count(1)?;
                let none = style == ScalarStyle::Plain && NULL.contains(&text.as_ref());
                let value = if none {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                self.place(node(value, at), anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Content::List(Vec::new()), anchor, at),
            Event::MappingStart(_, anchor, _) => {
                self.begin(Content::Map(Vec::new(), None), anchor, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        at: (usize, usize),
    ) -> Result<(), Trouble> {
        let before = self.values;
        self.count(1)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep());
        }
        let (line, column) = at;
        self.open.push(Open {
            line,
            column,
            anchor,
            before,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Trouble> {
        let Some(ended) = self.open.pop() else {
            return Ok(());
        };
        let value = match ended.content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(merged(entries)?),
        };
        let values = self.values.saturating_sub(ended.before);
        self.place(
            node(value, (ended.line, ended.column)),
            ended.anchor,
            values,
        )
    }

    fn repeat(&mut self, anchor: usize, at: (usize, usize)) -> Result<(), Trouble> {
        let Some(part) = self.anchors.get(&anchor) else {
            return Err(Trouble::new(
                "this repeats a part from within itself",
                "write it out",
            ));
        };
        if self.open.len().saturating_add(part.depth) > DEPTH_MAX {
            return Err(too_deep());
        }
        let (copy, values) = (part.node.clone(), part.values);
        self.count(values)?;
        // Where it is repeated is where an operator looks.
        let copy = node(copy.value, at);
        self.place(copy, 0, values)
    }

    fn count(&mut self, more: usize) -> Result<(), Trouble> {
        self.values = self.values.saturating_add(more);
        if self.values <= VALUES_MAX {
            return Ok(());
        }
        Err(Trouble::new(
            format!(
                "there are more than {VALUES_MAX} values, those repeated by reference included"
            ),
            "no such configuration has so many; is it the right file?",
        ))
    }

    fn place(&mut self, node: Node, anchor: usize, values: usize) -> Result<(), Trouble> {
        if anchor != 0 {
            // The copy kept for later takes memory too.
            self.count(values)?;
            let depth = node.value.depth();
            let node = node.clone();
            self.anchors.insert(
                anchor,
                Anchored {
                    node,
                    values,
                    depth,
                },
            );
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match (key.take(), node) {
                (Some(key), node) => entries.push((key, node)),
                (
                    None,
                    Node {
                        value: Value::Text(name),
                        ..
                    },
                ) => *key = Some(name),
                (None, node) => {
                    return Err(Trouble::new(
                        format!("{} cannot be a key here", node.value.kind()),
                        "write a text",
                    )
                    .at(node.line, node.column));
                }
            },
        }
        Ok(())
    }
}

fn node(value: Value, (line, column): (usize, usize)) -> Node {
    Node {
        line,
        column,
        value,
        taken: Cell::new(false),
    }
}

/// The entries with those that `<<` takes over; what a map says itself wins.
fn merged(entries: Vec<(String, Node)>) -> Result<Vec<(String, Node)>, Trouble> {
    let (taken_over, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key == MERGE);
    let mut names = HashSet::new();
    for (key, value) in &own {
        if !names.insert(key.clone()) {
            return Err(Trouble::new(
                format!("the key `{key}` stands twice in this map"),
                "keep one of the two",
            )
            .at(value.line, value.column));
        }
    }
    for (_, source) in taken_over {
        let maps = match source.value {
            Value::List(maps) => maps,
            _ => vec![source],
        };
        for map in maps {
            let Value::Map(entries) = map.value else {
                return Err(Trouble::new(
                    "`<<` takes over maps only",
                    "name a map, or a list of maps",
                )
                .at(map.line, map.column));
            };
            own.extend(
                entries
                    .into_iter()
                    .filter(|(key, _)| names.insert(key.clone())),
            );
        }
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::List(items) => format!(
                "[{}]",
                items.iter().map(shown).collect::<Vec<_>>().join(" ")
            ),
            Value::Map(entries) => {
                let entry = |(key, value): &(String, Node)| format!("{key}={}", shown(value));
                format!(
                    "{{{}}}",
                    entries.iter().map(entry).collect::<Vec<_>>().join(" ")
                )
            }
            Value::Null => "~".to_owned(),
            Value::Text(text) => format!("{text}@{}", node.line),
        }
    }

    fn refused(text: &str) -> String {
        let trouble = read_yaml(text).expect_err(text);
        format!(
            "{}:{} {}",
            trouble.line.unwrap_or(0),
            trouble.column.unwrap_or(0),
            trouble.message
        )
    }

    #[test]
    fn json_and_yaml_give_the_same_tree_with_lines() {
        let json = "{\n\t\"a\": [1, null, \"\\ud83d\\ude00\"],\n\t\"b\": {\"c\": true}\n}\n";
        assert_eq!(
            shown(&read_json(json).unwrap()),
            "{a=[1@2 ~ 😀@2] b={c=true@3}}"
        );
        let yaml = "a: [1, null, 😀]\nb:\n  c: true\n";
        assert_eq!(
            shown(&read_yaml(yaml).unwrap()),
            "{a=[1@1 ~ 😀@1] b={c=true@3}}"
        );
    }

    #[test]
    fn json_is_strict() {
        for text in [
            "{\"a\": 1,}",
            "{a: 1}",
            "{\"a\": 1} x",
            "a: 1",
            "",
            "{\"k\":1 \"z\":2}",
        ] {
            assert!(read_json(text).is_err(), "{text}");
        }
        let trouble = read_json("{\n\"a\": x}").unwrap_err();
        assert_eq!((trouble.line, trouble.column), (Some(2), Some(6)));
    }

    #[test]
    fn repeated_parts_are_copied_and_merged_with_their_lines() {
        let text = "a: &a\n  x: 1\n  y: 2\nb:\n  <<: *a\n  y: 3\nc:\n  <<: [*a, {z: 4}]\nd: *a\n";
        assert_eq!(
            shown(&read_yaml(text).unwrap()),
            "{a={x=1@2 y=2@3} b={y=3@6 x=1@2} c={x=1@2 y=2@3 z=4@8} d={x=1@2 y=2@3}}"
        );
    }

    #[test]
    fn what_is_not_plain_is_refused_at_its_place() {
        for (text, reason) in [
            ("a: 1\na: 2\n", "2:4 the key `a` stands twice in this map"),
            ("a: 1\n---\nb: 2\n", "2:1 a second document begins here"),
            ("a: &x [*x]\n", "1:8 this repeats a part from within itself"),
            ("a:\n  <<: 3\n", "2:7 `<<` takes over maps only"),
            ("[a]: 1\n", "1:1 a list cannot be a key here"),
            ("a: *x\n", "1:4 this is not YAML that can be read"),
            ("a: \"open\n", "1:4 this is not YAML that can be read"),
            (
                "%TAG ! tag:x,2000:\n---\na: 1\n",
                "1:1 this is not YAML that can be read",
            ),
            ("", "0:0 there is nothing in it"),
        ] {
            assert_eq!(refused(text), reason, "{text}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded_with_and_without_references() {
        let too_deep = format!("values are nested deeper than {DEPTH_MAX}");
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..40 {
            chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        let blocks: String = (0..1000)
            .map(|level| format!("{}a:\n", " ".repeat(level)))
            .collect();
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(10_000),
            blocks,
            chain,
        ] {
            assert!(refused(&text).ends_with(&too_deep), "{}", &text[..20]);
        }
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let before = format!("*a{}, ", level - 1).repeat(9);
            bomb += &format!("a{level}: &a{level} [{before}]\n");
        }
        for text in [bomb, "- x\n".repeat(VALUES_MAX + 1)] {
            assert!(
                refused(&text).contains(&format!("more than {VALUES_MAX} values")),
                "{}",
                &text[..20]
            );
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let parts = [
            "a: ", "- ", "[", "]", "{", "}", "&x ", "*x", "<<: ", "!t ", "|\n", "'", "\"", "\n",
            "  ", ", ", "\u{0}", "? ", ": ", "%", "#", "é",
        ];
        let mut seed = 1_u64;
        for _ in 0..5_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text += parts[usize::try_from(seed >> 33).unwrap() % parts.len()];
            }
            let _ = read_yaml(&text);
        }
    }
}
