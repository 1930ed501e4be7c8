//! The wire form of protocol buffers, as far as OTLP needs it: <https://protobuf.dev/programming-guides/encoding/>.

use bytes::Bytes;

/// A message, or a part of one: fields in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// How a field's value is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

impl Message {
    pub(super) fn into_bytes(self) -> Bytes {
        self.0.into()
    }

    #[cfg(test)]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u8, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// A whole number, an enum or a bool.
    pub(super) fn number(&mut self, field: u8, value: u64) {
        self.tag(field, Wire::Varint);
        self.varint(value);
    }

    pub(super) fn fixed64(&mut self, field: u8, value: u64) {
        self.tag(field, Wire::Fixed64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, field: u8, value: u32) {
        self.tag(field, Wire::Fixed32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn double(&mut self, field: u8, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    pub(super) fn bytes(&mut self, field: u8, value: &[u8]) {
        self.tag(field, Wire::Length);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, field: u8, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(super) fn message(&mut self, field: u8, value: &Self) {
        self.bytes(field, &value.0);
    }

    /// A list of `fixed64` or `double`, packed.
    pub(super) fn packed(&mut self, field: u8, values: impl ExactSizeIterator<Item = u64>) {
        self.tag(field, Wire::Length);
        self.varint(values.len() as u64 * 8);
        for value in values {
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Fields that are written already.
    pub(super) fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_encoding_says() {
        let mut inner = Message::default();
        inner.number(1, 150);
        let mut message = Message::default();
        message.text(2, "testing");
        message.message(3, &inner);
        message.fixed64(7, 1);
        message.fixed32(16, 257);
        message.packed(6, [1, 2].into_iter());
        assert_eq!(
            message.as_slice(),
            [
                &[0x12, 7][..],
                b"testing",
                &[0x1a, 3, 0x08, 0x96, 0x01],
                &[0x39, 1, 0, 0, 0, 0, 0, 0, 0],
                &[0x85, 0x01, 1, 1, 0, 0],
                &[0x32, 16, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat()
        );
    }
}
