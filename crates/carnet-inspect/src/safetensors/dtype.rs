//! The types that a safetensors tensor can have.

/// What a tensor's elements are, and how many bits each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dtype {
    name: &'static str,
    bits: u64,
}

impl Dtype {
    /// The type that a header calls this.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TYPES.iter().find(|dtype| dtype.name == name).copied()
    }

    /// Its name in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Bits of one element. Some have less than a byte.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.bits
    }
}

const fn row(name: &'static str, bits: u64) -> Dtype {
    Dtype { name, bits }
}

/// `enum Dtype` of the reference reader, version 0.8
/// (<https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs>).
const TYPES: &[Dtype] = &[
    row("BOOL", 8),
    row("F4", 4),
    row("F6_E2M3", 6),
    row("F6_E3M2", 6),
    row("U8", 8),
    row("I8", 8),
    row("F8_E5M2", 8),
    row("F8_E4M3", 8),
    row("F8_E8M0", 8),
    row("F8_E4M3FNUZ", 8),
    row("F8_E5M2FNUZ", 8),
    row("I16", 16),
    row("U16", 16),
    row("F16", 16),
    row("BF16", 16),
    row("I32", 32),
    row("U32", 32),
    row("F32", 32),
    row("C64", 64),
    row("F64", 64),
    row("I64", 64),
    row("U64", 64),
];
