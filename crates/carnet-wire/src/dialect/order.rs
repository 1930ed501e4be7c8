//! Brings the pieces of a stream into an order in which no part begins before the one before it has ended.

use std::collections::VecDeque;

use crate::form::{Event, LossCode, Piece, Progress};
use crate::json::Text;
use crate::limits::MAX_HELD_BACK;

use super::Emit;

/// What a piece of a stream belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Slot {
    /// A call by its number.
    Call(u64),
    Reasoning,
    Refusal,
    Text,
}

/// The open part, and those that wait for it to end.
#[derive(Debug, Default)]
pub(crate) struct Order {
    open: Option<Open>,
    waiting: VecDeque<Waiting>,
    held_back: usize,
}

#[derive(Debug)]
struct Open {
    slot: Slot,
    /// How far the arguments of a call are.
    progress: Progress,
}

/// A part that is held back.
#[derive(Debug)]
enum Waiting {
    Growing {
        slot: Slot,
        piece: Piece<'static>,
        text: Text<'static>,
    },
    Whole(Piece<'static>),
}

impl Order {
    pub(crate) fn is_open(&self, slot: &Slot) -> bool {
        self.open.as_ref().is_some_and(|open| open.slot == *slot)
    }

    /// A call begins.
    pub(crate) fn open_call(
        &mut self,
        number: u64,
        id: Text<'_>,
        name: Text<'_>,
        emit: &mut Emit<'_>,
    ) {
        self.begin(Slot::Call(number), Piece::ToolUse { id, name }, emit);
    }

    /// A part grows, and begins if it is a new one. A call has begun before.
    pub(crate) fn grow(&mut self, slot: &Slot, text: Text<'_>, emit: &mut Emit<'_>) {
        if text.is_empty() {
            return;
        }
        if self.is_open(slot) {
            self.grow_open(text, emit);
            return;
        }
        if self.grow_waiting(slot, &text) {
            self.flush(false, emit);
            return;
        }
        let piece = match slot {
            Slot::Reasoning => Piece::Reasoning,
            Slot::Refusal => Piece::Refusal,
            Slot::Text => Piece::Text,
            Slot::Call(_) => {
                // More arguments for a call that was complete.
                if !text.is_blank() {
                    emit(Event::Lost {
                        code: LossCode::InvalidArguments,
                        place: "",
                    });
                }
                return;
            }
        };
        self.begin(slot.clone(), piece, emit);
        self.grow(slot, text, emit);
    }

    /// The proof of the reasoning that has just come.
    pub(crate) fn sign(&mut self, signature: Text<'_>, emit: &mut Emit<'_>) {
        if !self.is_open(&Slot::Reasoning) {
            self.begin(Slot::Reasoning, Piece::Reasoning, emit);
        }
        if self.is_open(&Slot::Reasoning) {
            emit(Event::Signature(signature));
        } else {
            emit(Event::Lost {
                code: LossCode::ReasoningSignature,
                place: "",
            });
        }
    }

    /// A part that is there at once.
    pub(crate) fn whole(&mut self, piece: Piece<'_>, emit: &mut Emit<'_>) {
        if self.must_wait() {
            self.held_back += size(&piece);
            self.waiting.push_back(Waiting::Whole(owned(piece)));
            self.flush(false, emit);
            return;
        }
        self.close(emit);
        emit(Event::PartStart(piece));
        emit(Event::PartEnd);
    }

    /// A part has ended, so that what comes next is another one, even of the same sort.
    pub(crate) fn finish(&mut self, slot: &Slot, emit: &mut Emit<'_>) {
        if self.is_open(slot) && self.waiting.is_empty() {
            self.close(emit);
        }
    }

    /// Nothing comes any more.
    pub(crate) fn end(&mut self, emit: &mut Emit<'_>) {
        self.flush(true, emit);
        self.close(emit);
    }

    fn begin(&mut self, slot: Slot, piece: Piece<'_>, emit: &mut Emit<'_>) {
        if self.must_wait() {
            self.held_back += size(&piece);
            self.waiting.push_back(Waiting::Growing {
                slot,
                piece: owned(piece),
                text: Text::default(),
            });
            return;
        }
        self.close(emit);
        emit(Event::PartStart(piece));
        self.open = Some(Open {
            slot,
            progress: Progress::default(),
        });
    }

    /// Whether a new part has to wait: for a call whose arguments are not complete, or behind others that wait.
    fn must_wait(&self) -> bool {
        let incomplete =
            |open: &Open| matches!(open.slot, Slot::Call(_)) && !open.progress.complete();
        !self.waiting.is_empty() || self.open.as_ref().is_some_and(incomplete)
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        if self.open.take().is_some() {
            emit(Event::PartEnd);
        }
    }

    fn grow_open(&mut self, text: Text<'_>, emit: &mut Emit<'_>) {
        if let Some(open) = self
            .open
            .as_mut()
            .filter(|open| matches!(open.slot, Slot::Call(_)))
        {
            open.progress.push(&text.plain());
        }
        emit(Event::Delta(text));
        self.flush(false, emit);
    }

    /// False if no such part waits.
    fn grow_waiting(&mut self, slot: &Slot, text: &Text<'_>) -> bool {
        let found = self
            .waiting
            .iter_mut()
            .rev()
            .find_map(|waiting| match waiting {
                Waiting::Growing {
                    slot: other, text, ..
                } if other == slot => Some(text),
                _ => None,
            });
        let Some(held) = found else { return false };
        held.push(text);
        self.held_back += text.token().len();
        true
    }

    /// Lets go those that wait, up to the first whose predecessor is not complete; or all of them, when nothing more
    /// comes or too much is held back.
    fn flush(&mut self, all: bool, emit: &mut Emit<'_>) {
        let all = all || self.held_back > MAX_HELD_BACK;
        while !self.waiting.is_empty() {
            let incomplete =
                |open: &Open| matches!(open.slot, Slot::Call(_)) && !open.progress.complete();
            if !all && self.open.as_ref().is_some_and(incomplete) {
                return;
            }
            let Some(next) = self.waiting.pop_front() else {
                return;
            };
            self.close(emit);
            match next {
                Waiting::Whole(piece) => {
                    self.held_back = self.held_back.saturating_sub(size(&piece));
                    emit(Event::PartStart(piece));
                    emit(Event::PartEnd);
                }
                Waiting::Growing { slot, piece, text } => {
                    self.held_back = self.held_back.saturating_sub(size(&piece));
                    emit(Event::PartStart(piece));
                    let mut progress = Progress::default();
                    self.held_back = self.held_back.saturating_sub(text.token().len());
                    if !text.is_empty() {
                        progress.push(&text.plain());
                        emit(Event::Delta(text));
                    }
                    self.open = Some(Open { slot, progress });
                }
            }
        }
    }
}

/// The bytes that a part takes while it waits, beside what it grows by.
fn size(piece: &Piece<'_>) -> usize {
    let texts = match piece {
        Piece::Encrypted { data, .. } => data.token().len(),
        Piece::ToolUse { id, name } => id.token().len() + name.token().len(),
        Piece::Reasoning | Piece::Refusal | Piece::Text => 0,
    };
    texts + size_of::<Waiting>()
}

fn owned(piece: Piece<'_>) -> Piece<'static> {
    match piece {
        Piece::Encrypted { data, id, format } => Piece::Encrypted {
            data: data.into_owned(),
            id: id.map(Text::into_owned),
            format: format.map(Text::into_owned),
        },
        Piece::Reasoning => Piece::Reasoning,
        Piece::Refusal => Piece::Refusal,
        Piece::Text => Piece::Text,
        Piece::ToolUse { id, name } => Piece::ToolUse {
            id: id.into_owned(),
            name: name.into_owned(),
        },
    }
}
