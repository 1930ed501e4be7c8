//! Where the messages of a stream end, without a look into them.

use super::{CHECKSUM, PRELUDE};

/// Bytes of the length with which a message begins.
const LENGTH: usize = 4;

/// Follows a stream that passes as it comes: whether something can be put behind what has passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageEnds {
    length: [u8; LENGTH],
    /// How much of the length has come.
    have: usize,
    /// Bytes of the message at hand that are still to come, once its length is known.
    left: usize,
    /// A length that cannot be: nothing behind it can be found.
    lost: bool,
}

impl MessageEnds {
    /// Takes the next bytes.
    pub fn push(&mut self, mut piece: &[u8]) {
        while !self.lost && !piece.is_empty() {
            let passed = self.left.min(piece.len());
            self.left -= passed;
            piece = piece.get(passed..).unwrap_or_default();
            while self.left == 0
                && let Some((byte, rest)) = piece.split_first()
            {
                piece = rest;
                self.length_byte(*byte);
                if self.lost {
                    return;
                }
            }
        }
    }

    /// Whether everything so far is whole messages.
    pub fn at_end(&self) -> bool {
        !self.lost && self.left == 0 && self.have == 0
    }

    fn length_byte(&mut self, byte: u8) {
        if let Some(place) = self.length.get_mut(self.have) {
            *place = byte;
        }
        self.have += 1;
        if self.have < LENGTH {
            return;
        }
        self.have = 0;
        let length = usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX);
        self.lost = length < PRELUDE + CHECKSUM;
        self.left = length.saturating_sub(LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_message;
    use super::*;

    #[test]
    fn a_stream_can_go_on_behind_each_of_its_messages() {
        let mut stream = Vec::new();
        let mut ends = vec![0];
        for payload in [&b""[..], b"a", &[0; 300]] {
            write_message(&mut stream, &[], payload).unwrap();
            ends.push(stream.len());
        }
        for size in [1, 2, 3, 5, 17, stream.len()] {
            let mut follow = MessageEnds::default();
            let mut at = 0;
            assert!(follow.at_end());
            for piece in stream.chunks(size) {
                follow.push(piece);
                at += piece.len();
                assert_eq!(follow.at_end(), ends.contains(&at), "{at} by {size}");
            }
        }
        let mut follow = MessageEnds::default();
        follow.push(&[0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!follow.at_end());
    }
}
