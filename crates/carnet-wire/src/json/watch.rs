//! The paths to look for, prepared once for all requests.

use smallvec::SmallVec;

use super::found::Kind;
use super::text::{Chars, fold};
use crate::limits::{MAX_PATH_SEGMENTS, MAX_WATCHED_KEYS};

/// A set of watched paths such as `model`, `provider.order` or `tools[].type`.
///
/// A path names keys joined by dots; `[]` behind a key means each element of the list. Keys are ASCII.
#[derive(Clone, Debug)]
pub struct Watch {
    paths: Vec<Box<str>>,
    known: Option<Vec<Box<str>>>,
    lone_objects: bool,
    pub(super) root: Node,
}

/// One place on the watched paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// The path to here, for messages.
    pub(super) name: Box<str>,
    /// The watched paths that end here.
    pub(super) paths: SmallVec<[usize; 1]>,
    pub(super) members: Vec<(Box<str>, Node)>,
    pub(super) elements: Option<Box<Node>>,
    /// A bit for the length and first letter of each member's key: most other keys need no comparison.
    shapes: u64,
}

/// How a key of the body stands to the members of a node.
#[derive(Debug, PartialEq)]
pub(super) enum Match {
    /// No member's key.
    Other,
    /// The key of the member with this index.
    Same(usize),
    /// Not the member's key, but a lenient parser would take it for that.
    Variant(usize),
}

/// A path that cannot be watched.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("path `{path}` {kind}")]
pub struct WatchError {
    /// The path.
    pub path: String,
    /// What is wrong with it.
    pub kind: WatchErrorKind,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WatchErrorKind {
    /// It differs from another path only in letter case.
    #[error("differs from another one only in letter case")]
    CaseVariant,
    /// It starts with `[]`, but a request is an object.
    #[error("starts with a list, but a request is an object")]
    ListAtRoot,
    /// A key is missing, is not printable ASCII, or has a bracket inside.
    #[error("needs keys of printable ASCII joined by `.`, with `[]` only behind a key")]
    Malformed,
    /// It has too many segments.
    #[error("has more than {MAX_PATH_SEGMENTS} segments")]
    TooLong,
    /// Too many keys of one object are watched already.
    #[error("is one too many: at most {MAX_WATCHED_KEYS} keys of one object can be watched")]
    TooManyKeys,
}

/// A step from one node to the next.
enum Step<'a> {
    Elements,
    Member(&'a str),
}

impl Watch {
    /// Prepares paths. Their order gives the indices in [`Hit::path`](super::Hit::path); a path given twice is
    /// reported under both.
    ///
    /// # Errors
    /// On the first path that cannot be watched.
    pub fn new<I>(paths: I) -> Result<Self, WatchError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut watch = Self {
            paths: Vec::new(),
            known: None,
            lone_objects: false,
            root: Node::default(),
        };
        for path in paths {
            watch.add(path.as_ref()).map_err(|kind| WatchError {
                path: path.as_ref().to_owned(),
                kind,
            })?;
        }
        Ok(watch)
    }

    /// Adds the top-level keys that a service knows: every other one is reported by the scan.
    #[must_use]
    pub fn with_known<I>(mut self, keys: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut known: Vec<Box<str>> = keys.into_iter().map(|key| key.as_ref().into()).collect();
        known.sort_unstable();
        self.known = Some(known);
        self
    }

    /// Reads an object that stands for a list as a list of that object, because the service does. What is in it is seen
    /// as in an element; without this such a body is refused.
    #[must_use]
    pub fn with_lone_objects(mut self) -> Self {
        self.lone_objects = true;
        self
    }

    /// The paths in the order of their indices.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &str> {
        self.paths.iter().map(AsRef::as_ref)
    }

    /// The path with an index.
    pub fn path(&self, index: usize) -> Option<&str> {
        self.paths.get(index).map(AsRef::as_ref)
    }

    /// The first index of a path.
    pub fn index(&self, path: &str) -> Option<usize> {
        self.paths.iter().position(|known| **known == *path)
    }

    /// Whether a top-level key is to be reported as unknown.
    pub(super) fn is_unknown(&self, key: &str) -> bool {
        let Some(known) = &self.known else {
            return false;
        };
        known.binary_search_by(|other| (**other).cmp(key)).is_err()
    }

    /// The place of the elements, where an object of this place stands for a list of it.
    pub(super) fn lone_element<'n>(&self, node: &'n Node, found: Kind) -> Option<&'n Node> {
        let lone = self.lone_objects && node.expected_instead_of(found) == Some(Kind::Array);
        node.elements.as_deref().filter(|_| lone)
    }

    pub(super) fn reports_unknown(&self) -> bool {
        self.known.is_some()
    }

    fn add(&mut self, path: &str) -> Result<(), WatchErrorKind> {
        let mut node = &mut self.root;
        for step in steps(path)? {
            node = match step {
                Step::Elements => node.element(),
                Step::Member(key) => node.member(key)?,
            };
        }
        node.paths.push(self.paths.len());
        self.paths.push(path.into());
        Ok(())
    }
}

impl Node {
    /// How a key stands to this node's members; `text` is what stands between its quotes.
    pub(super) fn find(&self, text: &str, escaped: bool) -> Match {
        if !escaped && text.is_ascii() {
            return self.find_ascii(text);
        }
        for (index, (want, _)) in self.members.iter().enumerate() {
            match compare(text, want) {
                Some(true) => return Match::Same(index),
                Some(false) => return Match::Variant(index),
                None => {}
            }
        }
        Match::Other
    }

    fn find_ascii(&self, text: &str) -> Match {
        if self.shapes & shape(text) == 0 {
            return Match::Other;
        }
        // No member is a case variant of another, so an exact one settles it.
        if let Some(index) = self.members.iter().position(|(want, _)| **want == *text) {
            return Match::Same(index);
        }
        let variant = |(want, _): &(Box<str>, Self)| want.eq_ignore_ascii_case(text);
        self.members
            .iter()
            .position(variant)
            .map_or(Match::Other, Match::Variant)
    }

    /// What the watched paths expect here instead of a container of this kind, if they expect another one.
    ///
    /// A lenient service could take `{…}` for `[{…}]`, and then what is in it would have gone unseen.
    pub(super) fn expected_instead_of(&self, found: Kind) -> Option<Kind> {
        match found {
            Kind::Array if self.elements.is_none() && !self.members.is_empty() => {
                Some(Kind::Object)
            }
            Kind::Object if self.members.is_empty() && self.elements.is_some() => Some(Kind::Array),
            _ => None,
        }
    }

    fn element(&mut self) -> &mut Self {
        let name = format!("{}[]", self.name);
        self.elements.get_or_insert_with(|| {
            Box::new(Self {
                name: name.into(),
                ..Self::default()
            })
        })
    }

    fn member(&mut self, key: &str) -> Result<&mut Self, WatchErrorKind> {
        if self
            .members
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(key) && **other != *key)
        {
            return Err(WatchErrorKind::CaseVariant);
        }
        if !self.members.iter().any(|(other, _)| **other == *key) {
            if self.members.len() == MAX_WATCHED_KEYS {
                return Err(WatchErrorKind::TooManyKeys);
            }
            let name = if self.name.is_empty() {
                key.into()
            } else {
                format!("{}.{key}", self.name).into()
            };
            self.members.push((
                key.into(),
                Self {
                    name,
                    ..Self::default()
                },
            ));
            self.shapes |= shape(key);
        }
        let found = self.members.iter_mut().find(|(other, _)| **other == *key);
        found.map(|(_, node)| node).ok_or(WatchErrorKind::Malformed)
    }
}

/// Whether a key is a watched one (`true`) or one that a lenient parser could take for it (`false`).
fn compare(text: &str, want: &str) -> Option<bool> {
    let mut exact = true;
    let mut want = want.chars();
    for c in Chars::new(text) {
        let c = c.ok()?;
        if c == '\0' {
            // A parser with C strings sees only what stands before it.
            exact = false;
            break;
        }
        let w = want.next()?;
        if w != c {
            exact = false;
            if fold(w) != fold(c) {
                return None;
            }
        }
    }
    want.next().is_none().then_some(exact)
}

/// The same bit for all spellings of an ASCII key in other letter case.
fn shape(key: &str) -> u64 {
    let first = key.bytes().next().map_or(0, |b| usize::from(b | 0x20));
    1 << (first.wrapping_add(key.len() * 5) % 64)
}

fn steps(path: &str) -> Result<Vec<Step<'_>>, WatchErrorKind> {
    if path.starts_with("[]") {
        return Err(WatchErrorKind::ListAtRoot);
    }
    let mut steps = Vec::new();
    for segment in path.split('.') {
        let key = segment.trim_end_matches("[]");
        let plain = key
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'[' && b != b']');
        if key.is_empty() || !plain {
            return Err(WatchErrorKind::Malformed);
        }
        steps.push(Step::Member(key));
        let lists = (segment.len() - key.len()) / 2;
        steps.extend(std::iter::repeat_with(|| Step::Elements).take(lists));
    }
    if steps.len() > MAX_PATH_SEGMENTS {
        Err(WatchErrorKind::TooLong)
    } else {
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_order_and_names() {
        let watch = Watch::new(["tools[].type", "model", "a[][].b"]).unwrap();
        assert_eq!(
            watch.paths().collect::<Vec<_>>(),
            ["tools[].type", "model", "a[][].b"]
        );
        assert_eq!(watch.index("model"), Some(1));
        assert_eq!(watch.path(2), Some("a[][].b"));
        assert_eq!(watch.path(3), None);
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = vec!["a"; 17].join(".");
        for (path, kind) in [
            ("", WatchErrorKind::Malformed),
            ("a..b", WatchErrorKind::Malformed),
            (".a", WatchErrorKind::Malformed),
            ("a.", WatchErrorKind::Malformed),
            ("a[", WatchErrorKind::Malformed),
            ("a[0]", WatchErrorKind::Malformed),
            ("a[]b", WatchErrorKind::Malformed),
            ("a b", WatchErrorKind::Malformed),
            ("modèle", WatchErrorKind::Malformed),
            ("[]", WatchErrorKind::ListAtRoot),
            ("[].a", WatchErrorKind::ListAtRoot),
            (long.as_str(), WatchErrorKind::TooLong),
        ] {
            assert_eq!(Watch::new([path]).unwrap_err().kind, kind, "{path}");
        }
        let many: Vec<String> = (0..=MAX_WATCHED_KEYS).map(|n| format!("a.k{n}")).collect();
        assert_eq!(
            Watch::new(&many).unwrap_err().kind,
            WatchErrorKind::TooManyKeys
        );
        let error = Watch::new(["model", "Model"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "path `Model` differs from another one only in letter case"
        );
    }

    #[test]
    fn a_wrong_container_is_told_from_a_right_one() {
        let watch = Watch::new(["l[].x", "o.x", "both[].x", "both.x", "leaf"]).unwrap();
        let expected: Vec<_> = watch.root.members.iter().map(|(_, node)| node).collect();
        let of = |kind| {
            expected
                .iter()
                .map(|node| node.expected_instead_of(kind))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Kind::Object), [Some(Kind::Array), None, None, None]);
        assert_eq!(of(Kind::Array), [None, Some(Kind::Object), None, None]);
        assert_eq!(of(Kind::String), [None; 4]);
    }
}
