//! Replacing and removing parts of a body without copying the rest.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::found::Hit;

/// One change to a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edit {
    /// The bytes that go.
    pub range: Range<usize>,
    /// What comes in their place; empty to remove a member or element. Whoever inserts at an empty range brings
    /// the comma along.
    pub with: Bytes,
}

impl Edit {
    /// Puts another JSON value in the place of a found one.
    pub fn replace(hit: &Hit, with: Bytes) -> Self {
        Self {
            range: hit.value.clone(),
            with,
        }
    }

    /// Removes the member or element that a found value belongs to.
    pub fn remove(hit: &Hit) -> Self {
        Self {
            range: hit.member.clone(),
            with: Bytes::new(),
        }
    }
}

/// Applies edits made from one scan of this body, in any order, and gives the new body as segments.
///
/// Commas stay right whichever members are removed together. An edit inside a removed or replaced part goes with it.
pub fn splice(body: &Bytes, edits: &[Edit]) -> SmallVec<[Bytes; 4]> {
    let mut segments = SmallVec::new();
    let mut at = 0;
    for edit in in_order(body, edits) {
        push(&mut segments, body.slice(at..edit.range.start.max(at)));
        push(&mut segments, edit.with);
        at = edit.range.end.max(at);
    }
    push(&mut segments, body.slice(at..));
    segments
}

fn push(segments: &mut SmallVec<[Bytes; 4]>, segment: Bytes) {
    if !segment.is_empty() {
        segments.push(segment);
    }
}

/// The edits by place, without those inside another, with neighbouring removals joined and their commas settled.
fn in_order(body: &[u8], edits: &[Edit]) -> Vec<Edit> {
    let mut sorted: Vec<Edit> = edits.iter().map(|edit| clamp(body, edit)).collect();
    // Of two edits with one start the wider comes first and takes the other in; an insertion stands before both.
    sorted.sort_by_key(|edit| {
        (
            edit.range.start,
            !edit.range.is_empty(),
            std::cmp::Reverse(edit.range.end),
        )
    });
    let mut joined: Vec<Edit> = Vec::with_capacity(sorted.len());
    for edit in sorted {
        match joined.last_mut() {
            Some(last) if inside(&edit.range, &last.range) => {}
            Some(last) if removes(last) && removes(&edit) && touch(body, last, &edit) => {
                last.range.end = edit.range.end;
            }
            _ => joined.push(edit),
        }
    }
    for edit in joined.iter_mut().filter(|edit| removes(edit)) {
        settle_comma(body, &mut edit.range);
    }
    joined
}

fn clamp(body: &[u8], edit: &Edit) -> Edit {
    let end = edit.range.end.min(body.len());
    Edit {
        range: edit.range.start.min(end)..end,
        with: edit.with.clone(),
    }
}

fn inside(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    inner.start < outer.end && inner.end <= outer.end
}

fn removes(edit: &Edit) -> bool {
    edit.with.is_empty() && !edit.range.is_empty()
}

/// Whether there is at most white space between two edits.
fn touch(body: &[u8], first: &Edit, second: &Edit) -> bool {
    let between = body
        .get(first.range.end..second.range.start)
        .unwrap_or_default();
    between.iter().all(|b| is_space(*b))
}

/// Widens a removal by the comma that would be left without a member.
///
/// Members that are removed together can share a comma, so that one is missing from their sum.
fn settle_comma(body: &[u8], range: &mut Range<usize>) {
    let before = body
        .get(..range.start)
        .unwrap_or_default()
        .iter()
        .rposition(|b| !is_space(*b));
    let after = body
        .get(range.end..)
        .unwrap_or_default()
        .iter()
        .position(|b| !is_space(*b));
    let (Some(before), Some(after)) = (before, after.map(|offset| range.end + offset)) else {
        return;
    };
    match (body.get(before), body.get(after)) {
        (Some(b','), Some(b'}' | b']')) => range.start = before,
        (Some(b',' | b'{' | b'['), Some(b',')) => range.end = after + 1,
        _ => {}
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\n' | b'\r' | b'\t')
}
