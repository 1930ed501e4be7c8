//! A strict reading of a whole JSON document into a flat index, and a cursor to walk it.
//!
//! Nothing is copied: values are places in the body. What nobody asks for is checked, and kept as it was sent.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Text;
use super::error::{ScanError, ScanErrorKind, SyntaxError};
use super::found::Kind;
use super::lexer::{Lexer, Refusal, refusal};
use super::text::unescape;
use crate::limits::MAX_NODES;

/// Bytes of a body for one node of its index, as bodies of conversations have it; a guess that saves growing.
const BYTES_PER_NODE: usize = 64;

/// A checked document with the place of each of its values.
#[derive(Debug)]
pub struct Document<'b> {
    text: &'b str,
    nodes: Vec<Node>,
}

/// One value or key. The nodes of an object are its keys and values in turn, those of an array its elements.
#[derive(Clone, Copy, Debug)]
struct Node {
    start: usize,
    end: usize,
    /// How many nodes there are from this one to the next that is not in it.
    size: usize,
    kind: Kind,
    /// Of a string: whether it has escapes.
    escaped: bool,
}

impl<'b> Document<'b> {
    /// Reads a document, which may be any JSON value, with at most `max_depth` nested objects and arrays.
    ///
    /// # Errors
    /// On the first breach of RFC 8259, with its offset.
    pub fn read(body: &'b [u8], max_depth: usize) -> Result<Self, ScanError> {
        read(body, max_depth).map_err(|refusal| *refusal)
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value {
            text: self.text,
            nodes: &self.nodes,
        }
    }
}

fn read(body: &[u8], max_depth: usize) -> Result<Document<'_>, Refusal> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(refusal(0, ScanErrorKind::Bom));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| refusal(error.valid_up_to(), ScanErrorKind::BadUtf8))?;
    let mut reading = Reading {
        lexer: Lexer::new(text),
        nodes: Vec::with_capacity(body.len() / BYTES_PER_NODE + 8),
        open: SmallVec::new(),
        max_depth,
    };
    reading.document()?;
    Ok(Document {
        text,
        nodes: reading.nodes,
    })
}

struct Reading<'b> {
    lexer: Lexer<'b>,
    nodes: Vec<Node>,
    /// The nodes of the containers that are open.
    open: SmallVec<[usize; 32]>,
    max_depth: usize,
}

impl Reading<'_> {
    fn document(&mut self) -> Result<(), Refusal> {
        self.lexer.space();
        loop {
            let opened = match self.lexer.peek() {
                Some(b'{') => self.open(Kind::Object, b'}')?,
                Some(b'[') => self.open(Kind::Array, b']')?,
                _ => {
                    self.scalar()?;
                    false
                }
            };
            if !opened && self.close()? {
                break;
            }
        }
        self.lexer.space();
        if self.lexer.peek().is_some() {
            return Err(refusal(self.lexer.pos, ScanErrorKind::TrailingBytes));
        }
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Refusal> {
        let start = self.lexer.pos;
        let (kind, escaped) = if self.lexer.peek() == Some(b'"') {
            (Kind::String, self.lexer.string()?.escaped)
        } else {
            (self.lexer.scalar()?, false)
        };
        self.push(start, kind, escaped)
    }

    fn push(&mut self, start: usize, kind: Kind, escaped: bool) -> Result<(), Refusal> {
        if self.nodes.len() >= MAX_NODES {
            let max = MAX_NODES;
            return Err(refusal(start, ScanErrorKind::TooManyNodes { max }));
        }
        self.nodes.push(Node {
            start,
            end: self.lexer.pos,
            size: 1,
            kind,
            escaped,
        });
        Ok(())
    }

    /// Enters a container and goes to its first value; false when it is empty and passed already.
    fn open(&mut self, kind: Kind, close: u8) -> Result<bool, Refusal> {
        if self.open.len() >= self.max_depth {
            let max = self.max_depth;
            return Err(refusal(self.lexer.pos, ScanErrorKind::TooDeep { max }));
        }
        let start = self.lexer.pos;
        self.lexer.pos += 1;
        self.lexer.space();
        if self.lexer.peek() == Some(close) {
            self.lexer.pos += 1;
            self.push(start, kind, false)?;
            return Ok(false);
        }
        self.open.push(self.nodes.len());
        self.push(start, kind, false)?;
        if kind == Kind::Object {
            self.key()?;
        }
        Ok(true)
    }

    /// Goes from the end of a value to the next one; true at the end of the document.
    fn close(&mut self) -> Result<bool, Refusal> {
        while let Some(at) = self.open.last().copied() {
            let kind = self.nodes.get(at).map(|node| node.kind);
            self.lexer.space();
            match (self.lexer.peek(), kind) {
                (Some(b','), kind) => {
                    self.lexer.pos += 1;
                    self.lexer.space();
                    if kind == Some(Kind::Object) {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), Some(Kind::Object)) | (Some(b']'), Some(Kind::Array)) => {
                    self.lexer.pos += 1;
                    self.open.pop();
                    let size = self.nodes.len() - at;
                    if let Some(node) = self.nodes.get_mut(at) {
                        node.end = self.lexer.pos;
                        node.size = size;
                    }
                }
                _ => {
                    return Err(self
                        .lexer
                        .expected(|found| SyntaxError::ExpectedCommaOrEnd { found }));
                }
            }
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Refusal> {
        if self.lexer.peek() != Some(b'"') {
            return Err(self
                .lexer
                .expected(|found| SyntaxError::ExpectedKey { found }));
        }
        self.scalar()?;
        self.lexer.colon()
    }
}

/// A value in a document. Copying it copies no text.
#[derive(Clone, Copy, Debug)]
pub struct Value<'b> {
    text: &'b str,
    /// This value's node, and all behind it.
    nodes: &'b [Node],
}

impl<'b> Value<'b> {
    /// What the value is.
    pub fn kind(self) -> Kind {
        self.nodes.first().map_or(Kind::Null, |node| node.kind)
    }

    /// Whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The value as it was sent.
    pub fn raw(self) -> &'b str {
        self.nodes
            .first()
            .and_then(|node| self.text.get(node.start..node.end))
            .unwrap_or("null")
    }

    /// A string as it stands between its quotes, escapes and all.
    pub fn text(self) -> Option<Text<'b>> {
        let node = self
            .nodes
            .first()
            .filter(|node| node.kind == Kind::String)?;
        let inside = self.text.get(node.start + 1..node.end - 1)?;
        Some(Text::from_token(inside))
    }

    /// A string with its escapes undone; none if it has half of a surrogate pair.
    pub fn string(self) -> Option<Cow<'b, str>> {
        let node = self
            .nodes
            .first()
            .filter(|node| node.kind == Kind::String)?;
        plain(self.text, node)
    }

    /// A number as it was sent.
    pub fn number(self) -> Option<&'b str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// A number that counts something.
    pub fn count(self) -> Option<u64> {
        self.number()?.parse().ok()
    }

    /// `true` or `false`.
    pub fn bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// The members of an object in their order; none of anything else.
    pub fn members(self) -> Members<'b> {
        Members(self.inside(Kind::Object))
    }

    /// The elements of an array in their order; none of anything else.
    pub fn elements(self) -> Elements<'b> {
        Elements(self.inside(Kind::Array))
    }

    /// The member with this name; of several the last, as most parsers have it.
    pub fn get(self, key: &str) -> Option<Value<'b>> {
        let mut row = self.inside(Kind::Object);
        let mut found = None;
        while let Some(name) = row.take() {
            let value = row.take();
            if name.is_key(key) {
                found = value;
            }
        }
        found
    }

    /// Whether this is the key `key`. Most keys differ in their length already.
    fn is_key(self, key: &str) -> bool {
        let Some(node) = self.nodes.first() else {
            return false;
        };
        if node.escaped {
            return plain(self.text, node).is_some_and(|name| name == key);
        }
        node.end - node.start == key.len() + 2
            && self.text.as_bytes().get(node.start + 1..node.end - 1) == Some(key.as_bytes())
    }

    fn inside(self, kind: Kind) -> Value<'b> {
        let nodes = match self.nodes.first() {
            Some(node) if node.kind == kind => self.nodes.get(1..node.size).unwrap_or_default(),
            _ => &[],
        };
        Value { nodes, ..self }
    }

    /// Takes the first value off a row of values.
    fn take(&mut self) -> Option<Value<'b>> {
        let node = self.nodes.first()?;
        let taken = *self;
        self.nodes = self.nodes.get(node.size..).unwrap_or_default();
        Some(taken)
    }
}

/// The members of an object.
#[derive(Clone, Debug)]
pub struct Members<'b>(Value<'b>);

impl<'b> Iterator for Members<'b> {
    type Item = (Cow<'b, str>, Value<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.take()?;
        let value = self.0.take()?;
        let name = key
            .nodes
            .first()
            .and_then(|node| plain(key.text, node))
            // Half of a surrogate pair: no name that anybody knows.
            .unwrap_or(Cow::Borrowed("\u{FFFD}"));
        Some((name, value))
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'b>(Value<'b>);

impl<'b> Iterator for Elements<'b> {
    type Item = Value<'b>;

    fn next(&mut self) -> Option<Value<'b>> {
        self.0.take()
    }
}

fn plain<'b>(text: &'b str, node: &Node) -> Option<Cow<'b, str>> {
    let inside = text.get(node.start + 1..node.end.checked_sub(1)?)?;
    if node.escaped {
        unescape(inside).ok()
    } else {
        Some(Cow::Borrowed(inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_values_is_bounded() {
        let most = format!("[{}0]", "0,".repeat(MAX_NODES - 2));
        assert!(Document::read(most.as_bytes(), 2).is_ok());
        let more = format!("[{}0]", "0,".repeat(MAX_NODES - 1));
        let error = Document::read(more.as_bytes(), 2).unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::TooManyNodes { max: MAX_NODES });
    }

    fn flat(value: Value<'_>) -> String {
        match value.kind() {
            Kind::Object => {
                let inside: Vec<_> = value
                    .members()
                    .map(|(key, value)| format!("{key}={}", flat(value)))
                    .collect();
                format!("{{{}}}", inside.join(" "))
            }
            Kind::Array => {
                let inside: Vec<_> = value.elements().map(flat).collect();
                format!("[{}]", inside.join(" "))
            }
            _ => value.raw().to_owned(),
        }
    }

    #[test]
    fn values_are_found_where_they_stand() {
        for (body, want) in [
            (
                r#" {"a" : [1, {"b":{}}, []], "c":"x"} "#,
                r#"{a=[1 {b={}} []] c="x"}"#,
            ),
            (r"[[[]],[],null,-1.5e3,true]", "[[[]] [] null -1.5e3 true]"),
            (r#""\u0041""#, r#""\u0041""#),
            (r#"{"\u0061":1,"\ud800":2}"#, "{a=1 \u{FFFD}=2}"),
        ] {
            let document = Document::read(body.as_bytes(), 8).unwrap();
            assert_eq!(flat(document.root()), want);
        }
    }

    #[test]
    fn a_member_is_found_by_its_name_and_the_last_one_counts() {
        let document = Document::read(br#"{"a":1,"b":{"a":2},"\u0061":3}"#, 8).unwrap();
        let root = document.root();
        assert_eq!(root.get("a").and_then(Value::count), Some(3));
        assert_eq!(
            root.get("b").and_then(|b| b.get("a")).map(Value::raw),
            Some("2")
        );
        assert!(root.get("c").is_none() && root.get("a").unwrap().get("a").is_none());
    }

    #[test]
    fn only_documents_of_the_grammar_are_read() {
        for body in [
            &b"{\"a\":1,}"[..],
            b"[1 2]",
            b"{\"a\"}",
            b"",
            b"{} {}",
            b"\xEF\xBB\xBF{}",
            b"\"\xFF\"",
            b"[}",
            b"{1:2}",
            b"[[[[[]]]]]",
            b"nul",
            b"[1",
            b"{\"a\":",
        ] {
            let error = Document::read(body, 4).unwrap_err();
            assert!(error.offset <= body.len(), "{error}");
        }
    }
}
