//! A value of the source with the way to it. What is asked for counts as taken; the rest is reported.

use super::report::Place;
use super::tree::{Node, Value};
use crate::trouble::{Trouble, Troubles};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct At<'t> {
    pub(super) node: &'t Node,
    path: String,
}

impl<'t> At<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    pub(super) fn place(&self) -> Place {
        let path = if self.path.is_empty() {
            "the file".to_owned()
        } else {
            self.path.clone()
        };
        Place {
            path,
            line: self.node.line,
        }
    }

    /// The value at a path of keys with dots between them; the empty path leads nowhere else.
    pub(super) fn get(&self, path: &str) -> Option<Self> {
        if path.is_empty() {
            return Some(self.clone());
        }
        path.split('.').try_fold(self.clone(), |at, key| {
            at.entries()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value)
        })
    }

    /// The entries of a map; of anything else none.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, Self)> + use<'_, 't> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(name, node)| {
            let path = if self.path.is_empty() {
                name.clone()
            } else {
                format!("{}.{name}", self.path)
            };
            (name.as_str(), Self { node, path })
        })
    }

    /// The items of a list; of anything else none.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + use<'_, 't> {
        let items = match &self.node.value {
            Value::List(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().enumerate().map(|(index, node)| Self {
            node,
            path: format!("{}[{index}]", self.path),
        })
    }

    /// It counts as dealt with, with all below it.
    pub(super) fn take(&self) {
        self.node.taken.set(true);
    }

    /// The text, if it is one; nothing is taken.
    pub(super) fn peek(&self) -> Option<&'t str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What is wrong with the source.
#[derive(Debug, Default)]
pub(super) struct Mistakes(pub(super) Troubles);

impl Mistakes {
    fn wrong(&mut self, at: &At<'_>, wanted: &str) {
        let Place { path, .. } = at.place();
        let kind = at.node.value.kind();
        self.0.push(
            Trouble::new(
                format!("`{path}` must be {wanted}, not {kind}"),
                "correct it in the source; what it stands for cannot be guessed",
            )
            .at(at.node.line, at.node.column),
        );
    }

    /// The text at a path, if there is a value.
    pub(super) fn text<'t>(&mut self, at: &At<'t>, path: &str) -> Option<(&'t str, Place)> {
        let at = at.get(path)?;
        at.take();
        match &at.node.value {
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) => Some((text, at.place())),
            Value::Null => None,
            _ => {
                self.wrong(&at, "a text");
                None
            }
        }
    }

    /// Seconds at a path, begun ones counted whole; `scale` of the source's unit make a second.
    pub(super) fn seconds(&mut self, at: &At<'_>, path: &str, scale: f64) -> Option<u64> {
        let (text, _) = self.text(at, path)?;
        let seconds = text.parse::<f64>().ok().map(|value| (value / scale).ceil());
        // Written without a fraction, it reads as a whole number if it is one.
        match seconds.and_then(|seconds| format!("{seconds:.0}").parse().ok()) {
            Some(seconds) => Some(seconds),
            None => {
                let at = at.get(path)?;
                self.wrong(&at, "a number from 0");
                None
            }
        }
    }

    /// The items of a list at a path.
    pub(super) fn list<'t>(&mut self, at: &At<'t>, path: &str) -> Vec<At<'t>> {
        let Some(at) = at.get(path) else {
            return Vec::new();
        };
        match &at.node.value {
            Value::List(_) => at.items().collect(),
            Value::Null => {
                at.take();
                Vec::new()
            }
            _ => {
                self.wrong(&at, "a list");
                Vec::new()
            }
        }
    }

    /// The entries of a map at a path.
    pub(super) fn map<'t>(&mut self, at: &At<'t>, path: &str) -> Vec<(&'t str, At<'t>)> {
        let Some(at) = at.get(path) else {
            return Vec::new();
        };
        match &at.node.value {
            Value::Map(_) => at.entries().collect(),
            Value::Null => {
                at.take();
                Vec::new()
            }
            _ => {
                self.wrong(&at, "a map");
                Vec::new()
            }
        }
    }

    /// The texts of a list at a path.
    pub(super) fn texts<'t>(&mut self, at: &At<'t>, path: &str) -> Vec<&'t str> {
        let mut texts = Vec::new();
        for item in self.list(at, path) {
            item.take();
            match item.peek() {
                Some(text) => texts.push(text),
                None => self.wrong(&item, "a text"),
            }
        }
        texts
    }
}
