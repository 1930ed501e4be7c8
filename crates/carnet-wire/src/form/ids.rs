//! Ids of tool calls: unique within a conversation, and of the form that a service demands.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::json::Text;

use super::ask::Turn;
use super::part::Content;

/// The form in which a service takes ids of tool calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IdRule {
    /// Any text.
    #[default]
    Any,
    /// Letters, digits, `_` and `-`, at most so many of them.
    Plain {
        /// The most characters.
        max: usize,
    },
    /// Exactly nine letters and digits.
    Nine,
}

impl IdRule {
    /// The id itself if the service takes it, else another one that depends on nothing but the id.
    pub fn apply<'i>(self, id: &'i str) -> Cow<'i, str> {
        match self {
            Self::Any => Cow::Borrowed(id),
            Self::Nine if id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Cow::Borrowed(id)
            }
            Self::Nine => Cow::Owned(digest(id, 9)),
            Self::Plain { max }
                if id.len() <= max && !id.is_empty() && id.bytes().all(is_plain) =>
            {
                Cow::Borrowed(id)
            }
            Self::Plain { max } => Cow::Owned(digest(id, max.min(22))),
        }
    }
}

impl IdRule {
    /// The same for the inside of a JSON string.
    pub(crate) fn apply_text<'i>(self, id: &'i Text<'_>) -> Text<'i> {
        if self == Self::Any {
            return id.borrowed();
        }
        match self.apply(&id.plain()) {
            Cow::Borrowed(_) => id.borrowed(),
            Cow::Owned(other) => Text::new(&other).into_owned(),
        }
    }
}

fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

/// So many letters and digits that stand for a text. Not secret and not secure: ids are chosen by models.
fn digest(id: &str, len: usize) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in id.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    // The low digits alone would repeat for ids that differ in their last bytes only.
    hash ^= hash >> 64;
    let mut text = String::with_capacity(len);
    for _ in 0..len {
        let digit = usize::try_from(hash % 62).unwrap_or_default();
        text.push(DIGITS.get(digit).map_or('0', |b| char::from(*b)));
        hash /= 62;
    }
    text
}

/// Ids that are in use.
#[derive(Debug, Default)]
pub(crate) struct TakenIds {
    taken: HashSet<String>,
    count: usize,
}

impl TakenIds {
    /// The id of the next call: its own, unless it has none or another call has it.
    ///
    /// A new id depends on the place of the call alone, so the same conversation gets the same ids, one turn later
    /// too.
    pub(crate) fn unique<'i>(&mut self, id: Text<'i>) -> Text<'i> {
        self.count += 1;
        if !id.is_empty() && self.taken.insert(id.token().to_owned()) {
            return id;
        }
        let mut free = format!("call_{}", self.count);
        while !self.taken.insert(free.clone()) {
            free.push('x');
        }
        Text::new(&free).into_owned()
    }
}

/// Gives every call in a conversation an id of its own, and the results those of their calls.
///
/// Some services give no ids, or begin anew with every turn.
pub(crate) fn unique_ids(turns: &mut [Turn<'_>]) {
    let mut taken = TakenIds::default();
    // Ids of calls without a result yet, by the ids they came with.
    let mut open: HashMap<Text<'_>, VecDeque<Text<'_>>> = HashMap::new();
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match &mut part.content {
            Content::ToolUse(call) => {
                let was = std::mem::take(&mut call.id);
                call.id = taken.unique(was.clone());
                open.entry(was).or_default().push_back(call.id.clone());
            }
            Content::ToolResult(result) => {
                if let Some(is) = open.get_mut(&result.id).and_then(VecDeque::pop_front) {
                    result.id = is;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Arguments, Part, Role, ToolResult, ToolUse};

    fn turns(ids: &[(&'static str, bool)]) -> Vec<Turn<'static>> {
        let part = |(id, call): &(&'static str, bool)| {
            let id = Text::new(id);
            Part::new(if *call {
                let (name, arguments) = (Text::new("f"), Arguments::Json("{}"));
                Content::ToolUse(ToolUse {
                    id,
                    name,
                    arguments,
                })
            } else {
                Content::ToolResult(ToolResult {
                    id,
                    parts: Vec::new(),
                    is_error: None,
                })
            })
        };
        let parts = ids.iter().map(part).collect();
        vec![Turn {
            role: Role::User,
            parts,
            name: None,
        }]
    }

    fn ids(turns: &[Turn<'_>]) -> Vec<String> {
        let id = |part: &Part<'_>| match &part.content {
            Content::ToolUse(call) => call.id.token().to_owned(),
            Content::ToolResult(result) => result.id.token().to_owned(),
            _ => unreachable!(),
        };
        turns.iter().flat_map(|turn| &turn.parts).map(id).collect()
    }

    #[test]
    fn calls_get_ids_of_their_own_and_results_follow() {
        for (given, want) in [
            (
                &[("a", true), ("b", true), ("b", false), ("a", false)][..],
                &["a", "b", "b", "a"][..],
            ),
            (
                &[("", true), ("", true), ("", false), ("", false)],
                &["call_1", "call_2", "call_1", "call_2"],
            ),
            (
                &[("a", true), ("a", false), ("a", true), ("a", false)],
                &["a", "a", "call_2", "call_2"],
            ),
            (
                &[("call_2", true), ("", true), ("", false)],
                &["call_2", "call_2x", "call_2x"],
            ),
            (&[("z", false)], &["z"]),
        ] {
            let mut turns = turns(given);
            unique_ids(&mut turns);
            assert_eq!(ids(&turns), want);
        }
    }

    #[test]
    fn ids_take_the_form_that_a_service_demands() {
        let rules = [IdRule::Any, IdRule::Nine, IdRule::Plain { max: 40 }];
        assert!(
            rules
                .iter()
                .all(|rule| rule.apply("abcDEF123") == "abcDEF123")
        );
        for id in ["", "functions.get:0", "é", &"a".repeat(64)] {
            let nine = IdRule::Nine.apply(id).into_owned();
            assert!(
                nine.len() == 9 && nine.bytes().all(|b| b.is_ascii_alphanumeric()),
                "{nine}"
            );
            let plain = IdRule::Plain { max: 40 }.apply(id).into_owned();
            assert!(
                !plain.is_empty() && plain.len() <= 40 && plain.bytes().all(is_plain),
                "{plain}"
            );
        }
        let many: HashSet<_> = (0..10_000)
            .map(|n| IdRule::Nine.apply(&format!("call_{n}")).into_owned())
            .collect();
        assert_eq!(many.len(), 10_000);
    }
}
