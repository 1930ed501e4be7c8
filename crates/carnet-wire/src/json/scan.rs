//! The walk through a body: recursive along watched paths, a plain loop everywhere else.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::error::{ScanError, ScanErrorKind, SyntaxError};
use super::found::{Hit, Kind, Scan};
use super::lexer::{Lexer, Quoted, Refusal, refusal};
use super::text::{Chars, unescape};
use super::watch::{Match, Node, Watch};
use crate::limits::{MAX_HITS, MAX_KEY_SHOWN, MAX_UNKNOWN_KEYS};

/// Reads a whole request body once and reports the values at the watched paths.
///
/// The body must be one JSON object as RFC 8259 has it, in UTF-8 without a byte order mark, with at most
/// `max_depth` nested objects and arrays. In every object that lies on a watched path a watched key may stand once,
/// and no key may stand that a lenient parser takes for a watched one: another letter case (with Unicode's simple
/// case folding, after escapes are undone) or the watched key followed by a NUL. Where watched paths expect a list
/// there may be no object, unless the watch says so, and the reverse; a plain value may stand there.
///
/// # Errors
/// On the first breach, with its offset.
pub fn scan(body: &[u8], watch: &Watch, max_depth: usize) -> Result<Scan, ScanError> {
    read(body, watch, max_depth).map_err(|refusal| *refusal)
}

fn read(body: &[u8], watch: &Watch, max_depth: usize) -> Result<Scan, Refusal> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        return Err(refusal(0, ScanErrorKind::Bom));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| refusal(error.valid_up_to(), ScanErrorKind::BadUtf8))?;
    let mut walk = Walk {
        lexer: Lexer::new(text),
        watch,
        found: Scan::default(),
        depth: 0,
        max_depth,
        open: SmallVec::new(),
    };
    walk.lexer.space();
    let start = walk.lexer.pos;
    if walk.lexer.peek() != Some(b'{') {
        // What is no JSON at all gets its own message.
        walk.skip()?;
        return Err(refusal(start, ScanErrorKind::NotAnObject));
    }
    walk.container(&watch.root, Kind::Object)?;
    walk.lexer.space();
    if walk.lexer.peek().is_some() {
        return Err(refusal(walk.lexer.pos, ScanErrorKind::TrailingBytes));
    }
    Ok(walk.found)
}

struct Walk<'b, 'w> {
    lexer: Lexer<'b>,
    watch: &'w Watch,
    found: Scan,
    depth: usize,
    max_depth: usize,
    /// Containers that `skip` is in; true for an object. Kept here so that it is set up once.
    open: SmallVec<[bool; 128]>,
}

/// A bit for each member of a node that the object at hand has had.
type Seen = u128;

impl<'b> Walk<'b, '_> {
    /// Reads an object or array on a watched path, from its opening bracket.
    ///
    /// The recursion is bounded by the length of watched paths, not by the body.
    fn container(&mut self, node: &Node, kind: Kind) -> Result<(), Refusal> {
        self.enter()?;
        let object = kind == Kind::Object;
        let close = if object { b'}' } else { b']' };
        let mut seen: Seen = 0;
        let mut comma = None;
        self.lexer.space();
        if self.lexer.peek() == Some(close) {
            self.leave();
            return Ok(());
        }
        loop {
            let start = self.lexer.pos;
            let child = if object {
                self.key(node, &mut seen)?
            } else {
                node.elements.as_deref()
            };
            let first_hit = self.found.hits.len();
            let hits = match child {
                Some(child) => self.watched(child)?,
                None => {
                    self.skip()?;
                    0
                }
            };
            let end = self.lexer.pos;
            self.lexer.space();
            let next = self.lexer.peek();
            if hits > 0 {
                let member = match (next, comma) {
                    (Some(b','), _) => start..self.lexer.pos + 1,
                    (_, Some(comma)) => comma..end,
                    (_, None) => start..end,
                };
                self.set_member(first_hit, hits, &member);
            }
            match next {
                Some(b',') => {
                    comma = Some(self.lexer.pos);
                    self.lexer.pos += 1;
                    self.lexer.space();
                }
                Some(b) if b == close => {
                    self.leave();
                    return Ok(());
                }
                _ => {
                    return Err(self
                        .lexer
                        .expected(|found| SyntaxError::ExpectedCommaOrEnd { found }));
                }
            }
        }
    }

    /// Reads a value on a watched path and reports it if a path ends here; how many hits are this very value.
    fn watched(&mut self, node: &Node) -> Result<usize, Refusal> {
        let start = self.lexer.pos;
        let first_hit = self.found.hits.len();
        self.push_hits(node, start)?;
        let kind = match self.lexer.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => self.lexer.scalar()?,
        };
        let mut own_hits = node.paths.len();
        let lone = self.watch.lone_element(node, kind);
        if lone.is_none()
            && let Some(expected) = node.expected_instead_of(kind)
        {
            let kind = ScanErrorKind::Shape {
                path: node.name.to_string(),
                expected,
                found: kind,
            };
            return Err(refusal(start, kind));
        }
        let leads_on = match kind {
            Kind::Array => node.elements.is_some(),
            Kind::Object => !node.members.is_empty(),
            _ => false,
        };
        if let Some(element) = lone {
            own_hits += self.watched(element)?;
        } else if leads_on {
            self.container(node, kind)?;
        } else if self.lexer.pos == start {
            self.skip()?;
        }
        let end = self.lexer.pos;
        for hit in self.hits_of(first_hit, node.paths.len()) {
            hit.kind = kind;
            hit.value = start..end;
        }
        Ok(own_hits)
    }

    /// Reads a key with its colon in an object on a watched path, and says where it leads.
    fn key<'n>(&mut self, node: &'n Node, seen: &mut Seen) -> Result<Option<&'n Node>, Refusal> {
        let start = self.lexer.pos;
        let key = self.any_key()?;
        if self.depth == 1 && self.watch.reports_unknown() {
            self.report_unknown(key, start..self.lexer.pos);
        }
        let child = match node.find(key.text, key.escaped) {
            Match::Other => None,
            Match::Same(index) => {
                let Some((name, child)) = node.members.get(index) else {
                    return Ok(None);
                };
                if already(seen, index) {
                    let kind = ScanErrorKind::Duplicate {
                        key: name.to_string(),
                    };
                    return Err(refusal(start, kind));
                }
                Some(child)
            }
            Match::Variant(index) => {
                let expected = node
                    .members
                    .get(index)
                    .map(|(name, _)| name.to_string())
                    .unwrap_or_default();
                let key = Chars::new(key.text).flatten().take(MAX_KEY_SHOWN).collect();
                return Err(refusal(start, ScanErrorKind::CaseVariant { key, expected }));
            }
        };
        self.lexer.colon()?;
        Ok(child)
    }

    /// Reads any key, without its colon.
    fn any_key(&mut self) -> Result<Quoted<'b>, Refusal> {
        let start = self.lexer.pos;
        if self.lexer.peek() != Some(b'"') {
            return Err(self
                .lexer
                .expected(|found| SyntaxError::ExpectedKey { found }));
        }
        let key = self.lexer.string()?;
        if key.escaped && Chars::new(key.text).any(|c| c.is_err()) {
            return Err(refusal(start, ScanErrorKind::LoneSurrogateInKey));
        }
        Ok(key)
    }

    fn report_unknown(&mut self, key: Quoted<'_>, span: Range<usize>) {
        let name = if key.escaped {
            unescape(key.text)
        } else {
            Ok(Cow::Borrowed(key.text))
        };
        let unknown = name.is_ok_and(|name| self.watch.is_unknown(&name));
        if unknown && self.found.unknown_keys.len() < MAX_UNKNOWN_KEYS {
            self.found.unknown_keys.push(span);
        }
    }

    /// Checks a value that nobody watches. No recursion, no allocation up to 128 levels.
    fn skip(&mut self) -> Result<(), Refusal> {
        let base = self.open.len();
        loop {
            let opened = match self.lexer.peek() {
                Some(b'{') => self.open_unwatched(true, b'}')?,
                Some(b'[') => self.open_unwatched(false, b']')?,
                _ => {
                    self.lexer.scalar()?;
                    false
                }
            };
            if !opened && self.close_unwatched(base)? {
                return Ok(());
            }
        }
    }

    /// Enters a container and goes to its first value; false when it is empty and passed already.
    fn open_unwatched(&mut self, object: bool, close: u8) -> Result<bool, Refusal> {
        self.enter()?;
        self.lexer.space();
        if self.lexer.peek() == Some(close) {
            self.leave();
            return Ok(false);
        }
        self.open.push(object);
        if object {
            self.any_key()?;
            self.lexer.colon()?;
        }
        Ok(true)
    }

    /// Goes from the end of a value to the next one; true when the value that `skip` was asked for has ended.
    fn close_unwatched(&mut self, base: usize) -> Result<bool, Refusal> {
        while self.open.len() > base {
            self.lexer.space();
            match (self.lexer.peek(), self.open.last()) {
                (Some(b','), object) => {
                    let object = object == Some(&true);
                    self.lexer.pos += 1;
                    self.lexer.space();
                    if object {
                        self.any_key()?;
                        self.lexer.colon()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), Some(true)) | (Some(b']'), Some(false)) => {
                    self.open.pop();
                    self.leave();
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

    /// Passes an opening bracket.
    fn enter(&mut self) -> Result<(), Refusal> {
        if self.depth >= self.max_depth {
            let kind = ScanErrorKind::TooDeep {
                max: self.max_depth,
            };
            return Err(refusal(self.lexer.pos, kind));
        }
        self.depth += 1;
        self.lexer.pos += 1;
        Ok(())
    }

    /// Passes a closing bracket.
    fn leave(&mut self) {
        self.depth -= 1;
        self.lexer.pos += 1;
    }

    /// Makes room for a value's hits, so that they stand before those of what is in it.
    fn push_hits(&mut self, node: &Node, offset: usize) -> Result<(), Refusal> {
        if self.found.hits.len() + node.paths.len() > MAX_HITS {
            return Err(refusal(
                offset,
                ScanErrorKind::TooManyHits { max: MAX_HITS },
            ));
        }
        for path in &node.paths {
            self.found.hits.push(Hit {
                path: *path,
                value: 0..0,
                kind: Kind::Null,
                member: 0..0,
            });
        }
        Ok(())
    }

    fn set_member(&mut self, first_hit: usize, count: usize, member: &Range<usize>) {
        for hit in self.hits_of(first_hit, count) {
            hit.member = member.clone();
        }
    }

    fn hits_of(&mut self, first_hit: usize, count: usize) -> impl Iterator<Item = &mut Hit> {
        self.found.hits.iter_mut().skip(first_hit).take(count)
    }
}

/// Marks a member as seen and says whether it was already.
fn already(seen: &mut Seen, index: usize) -> bool {
    let bit = u32::try_from(index)
        .ok()
        .and_then(|index| 1_u128.checked_shl(index));
    // INVARIANT: a node has no more members than there are bits; if it had, none would pass twice.
    let Some(bit) = bit else { return true };
    let before = *seen & bit != 0;
    *seen |= bit;
    before
}
