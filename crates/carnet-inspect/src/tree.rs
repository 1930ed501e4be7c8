//! A small text format's values, whichever format: texts, lists and maps.

/// A value of a card or configuration. Numbers and truth values are the texts that stand for them: no more is asked
/// of them here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Several values.
    List(Vec<Tree>),
    /// Values by key, in the order of the text. A key that stands twice is kept twice: readers differ on which counts.
    Map(Vec<(String, Tree)>),
    /// Nothing.
    Null,
    /// A text, number or truth value.
    Text(String),
}

impl Tree {
    /// Every value of a key, if this is a map.
    pub fn all<'t>(&'t self, key: &str) -> impl Iterator<Item = &'t Tree> {
        let entries = match self {
            Self::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The text, or the texts of the list; nothing that lies deeper.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let items = match self {
            Self::List(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        items.iter().filter_map(Self::text)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
