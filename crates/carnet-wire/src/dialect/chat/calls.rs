//! Which call a piece in a stream belongs to.
//!
//! The dialect numbers calls by `index`. Services leave it out, give every call the number 0, or name a call by
//! nothing but its id.

use crate::dialect::shape::{Read, at_most};
use crate::form::{Progress, TakenIds};
use crate::json::Text;
use crate::limits::MAX_TOOL_CALLS;

/// The calls of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    known: Vec<Known>,
    ids: TakenIds,
}

#[derive(Debug)]
struct Known {
    index: Option<u64>,
    /// The id that the service has given.
    id: Text<'static>,
    progress: Progress,
}

/// The call that a piece belongs to.
pub(super) struct Call<'e> {
    pub(super) number: u64,
    /// Of a call that begins with this piece: its id, unique in the answer, and its name.
    pub(super) opened: Option<(Text<'e>, Text<'e>)>,
}

impl Calls {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.known.is_empty()
    }

    /// Finds the call that a piece belongs to, or begins one.
    pub(super) fn find<'e>(
        &mut self,
        index: Option<u64>,
        id: Text<'e>,
        name: Text<'e>,
        arguments: &Text<'_>,
    ) -> Read<Call<'e>> {
        let plain = arguments.plain();
        if let Some(number) = self.known_as(index, &id, &name, arguments) {
            if let Some(known) = self.known.get_mut(number) {
                known.progress.push(&plain);
                if known.id.is_empty() && !id.is_empty() {
                    known.id = id.into_owned();
                }
            }
            return Ok(Call {
                number: as_number(number),
                opened: None,
            });
        }
        let number = self.known.len();
        let mut known = Known {
            index,
            id: id.clone().into_owned(),
            progress: Progress::default(),
        };
        known.progress.push(&plain);
        self.known.push(known);
        at_most(self.known.len(), MAX_TOOL_CALLS, "tool calls")?;
        let id = self.ids.unique(id);
        Ok(Call {
            number: as_number(number),
            opened: Some((id, name)),
        })
    }

    fn known_as(
        &self,
        index: Option<u64>,
        id: &Text<'_>,
        name: &Text<'_>,
        arguments: &Text<'_>,
    ) -> Option<usize> {
        let number = match index {
            Some(_) => self.known.iter().rposition(|known| known.index == index)?,
            None if !id.is_empty() => return self.known.iter().rposition(|known| known.id == *id),
            None => self.known.len().checked_sub(1)?,
        };
        let known = self.known.get(number)?;
        let another_id = !id.is_empty() && !known.id.is_empty() && known.id != *id;
        // Without an id a call is a new one if it has a name and the one before it has all its arguments.
        let after_end =
            id.is_empty() && !name.is_empty() && known.progress.complete() && !arguments.is_empty();
        (!another_id && !after_end).then_some(number)
    }
}

/// A place among at most [`MAX_TOOL_CALLS`].
pub(crate) fn as_number(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the calls that pieces `(index, id, name, arguments)` belong to.
    fn numbers(pieces: &[(Option<u64>, &str, &str, &str)]) -> Vec<u64> {
        let mut calls = Calls::default();
        let mut number = |(index, id, name, arguments): &(Option<u64>, &str, &str, &str)| {
            let text = |plain: &str| Text::new(plain).into_owned();
            calls
                .find(*index, text(id), text(name), &text(arguments))
                .unwrap()
                .number
        };
        pieces.iter().map(&mut number).collect()
    }

    #[test]
    fn pieces_find_their_call_however_a_service_numbers_them() {
        for (name, pieces, want) in [
            (
                "as documented",
                &[
                    (Some(0), "a", "f", ""),
                    (Some(0), "", "", "{}"),
                    (Some(1), "b", "f", ""),
                    (Some(1), "", "", "{}"),
                ][..],
                &[0, 0, 1, 1][..],
            ),
            (
                "interleaved",
                &[
                    (Some(0), "a", "f", ""),
                    (Some(1), "b", "f", ""),
                    (Some(0), "", "", "{}"),
                    (Some(1), "", "", "{}"),
                ],
                &[0, 1, 0, 1],
            ),
            (
                "all at index 0",
                &[
                    (Some(0), "a", "f", "{}"),
                    (Some(0), "b", "f", "{"),
                    (Some(0), "", "", "}"),
                ],
                &[0, 1, 1],
            ),
            (
                "no index",
                &[
                    (None, "a", "f", "{"),
                    (None, "", "", "}"),
                    (None, "b", "g", "{}"),
                ],
                &[0, 0, 1],
            ),
            (
                "no index, ids repeated",
                &[(None, "a", "f", "{"), (None, "a", "f", "}")],
                &[0, 0],
            ),
            (
                "nothing but names",
                &[(None, "", "f", "{}"), (None, "", "g", "{}")],
                &[0, 1],
            ),
            (
                "a name with every piece",
                &[
                    (Some(0), "", "f", "{"),
                    (Some(0), "", "f", "}"),
                    (Some(0), "", "f", ""),
                ],
                &[0, 0, 0],
            ),
            (
                "no ids, all at index 0",
                &[(Some(0), "", "f", "{}"), (Some(0), "", "f", "{}")],
                &[0, 1],
            ),
        ] {
            assert_eq!(numbers(pieces), want, "{name}");
        }
    }

    #[test]
    fn calls_beyond_the_limit_are_refused() {
        let mut calls = Calls::default();
        let mut find = |index| {
            calls.find(
                Some(index),
                Text::default(),
                Text::new("f"),
                &Text::default(),
            )
        };
        let most = u64::try_from(MAX_TOOL_CALLS).unwrap();
        assert!((0..most).all(|index| find(index).is_ok()));
        assert!(find(most).is_err());
    }
}
