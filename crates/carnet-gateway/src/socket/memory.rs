//! What the last answer of a socket went on from and said, so that a request can go on from it though nothing was stored.
//! In memory alone, and only while the socket is open.

use bytes::Bytes;
use carnet_wire::responses::socket;

use crate::budget::{Budget, Held};

/// The conversation up to an answer.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The answer's id.
    id: Box<str>,
    /// The items of the conversation, with commas between them.
    items: Bytes,
    /// Gives its part back at the end.
    _held: Held,
}

impl Memory {
    /// After an answer that ended with this event, to a request with these items. Nothing is remembered that no request
    /// could bring back, or that would be too much with what other sockets remember.
    pub(super) fn of(
        memories: &Budget,
        items: &[u8],
        completed: &[u8],
        bytes_max: usize,
    ) -> Option<Self> {
        let (id, said) = socket::said(completed)?;
        Self::new(memories, id, socket::join(items, &said), bytes_max)
    }

    fn new(memories: &Budget, id: Box<str>, items: Bytes, bytes_max: usize) -> Option<Self> {
        if items.len() > bytes_max {
            return None;
        }
        let _held = memories.hold(items.len())?;
        Some(Self { id, items, _held })
    }

    /// The conversation up to the answer with this id, if that was the last one.
    pub(super) fn up_to(&self, id: &str) -> Option<&Bytes> {
        (*self.id == *id).then_some(&self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] =
        br#"{"type":"response.completed","response":{"id":"resp_1","output":[{"b":2}]}}"#;

    #[test]
    fn a_conversation_is_known_by_its_last_answer() {
        let memories = Budget::new(1000);
        let memory = Memory::of(&memories, b"{\"a\":1}", EVENT, 100).unwrap();
        assert_eq!(memory.up_to("resp_1").unwrap(), "{\"a\":1},{\"b\":2}");
        assert_eq!(memory.up_to("resp_0"), None);
        assert!(Memory::of(&memories, b"{\"a\":1}", EVENT, 10).is_none());
        assert!(Memory::of(&memories, b"", b"{}", 100).is_none());
    }

    #[test]
    fn what_all_remember_together_is_bounded_and_given_back() {
        let memories = Budget::new(1000);
        let all = memories.hold(1000).unwrap();
        assert!(Memory::of(&memories, b"", EVENT, 100).is_none());
        drop(all);
        let memory = Memory::of(&memories, b"", EVENT, 100).unwrap();
        assert_eq!(memories.used(), memory.items.len());
        drop(memory);
        assert_eq!(memories.used(), 0);
    }
}
