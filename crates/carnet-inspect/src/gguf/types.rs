//! The types that a GGUF tensor can have, each with its block.

/// How a tensor's elements are stored: in blocks of so many elements and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    id: u32,
    name: &'static str,
    block_elements: u64,
    block_bytes: u64,
}

impl TensorType {
    /// The type with this number, if loaders read it.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        TYPES.iter().find(|kind| kind.id == id).copied()
    }

    /// The number that stands for it in a file.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }

    /// The name in the format's own list, without its prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Elements of one block. The first dimension is a multiple of it.
    #[must_use]
    pub fn block_elements(self) -> u64 {
        self.block_elements
    }

    /// Bytes of one block.
    #[must_use]
    pub fn block_bytes(self) -> u64 {
        self.block_bytes
    }
}

const fn row(id: u32, name: &'static str, block_elements: u64, block_bytes: u64) -> TensorType {
    TensorType {
        id,
        name,
        block_elements,
        block_bytes,
    }
}

/// From `enum ggml_type` (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>; numbers from 40 on only in
/// `ggml/include/ggml.h`) and the sizes in `GGML_QUANT_SIZES`
/// (<https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py>). Numbers 4, 5, 31 to 33 and 36 to
/// 38 were withdrawn. Number 9 is left out: it holds intermediate results, no file has it, and the two sources above
/// disagree on its block (36 bytes in C, 40 in Python), so loaders would disagree on every tensor after it.
const TYPES: &[TensorType] = &[
    row(0, "F32", 1, 4),
    row(1, "F16", 1, 2),
    row(2, "Q4_0", 32, 18),
    row(3, "Q4_1", 32, 20),
    row(6, "Q5_0", 32, 22),
    row(7, "Q5_1", 32, 24),
    row(8, "Q8_0", 32, 34),
    row(10, "Q2_K", 256, 84),
    row(11, "Q3_K", 256, 110),
    row(12, "Q4_K", 256, 144),
    row(13, "Q5_K", 256, 176),
    row(14, "Q6_K", 256, 210),
    row(15, "Q8_K", 256, 292),
    row(16, "IQ2_XXS", 256, 66),
    row(17, "IQ2_XS", 256, 74),
    row(18, "IQ3_XXS", 256, 98),
    row(19, "IQ1_S", 256, 50),
    row(20, "IQ4_NL", 32, 18),
    row(21, "IQ3_S", 256, 110),
    row(22, "IQ2_S", 256, 82),
    row(23, "IQ4_XS", 256, 136),
    row(24, "I8", 1, 1),
    row(25, "I16", 1, 2),
    row(26, "I32", 1, 4),
    row(27, "I64", 1, 8),
    row(28, "F64", 1, 8),
    row(29, "IQ1_M", 256, 56),
    row(30, "BF16", 1, 2),
    row(34, "TQ1_0", 256, 54),
    row(35, "TQ2_0", 256, 66),
    row(39, "MXFP4", 32, 17),
    row(40, "NVFP4", 64, 36),
    row(41, "Q1_0", 128, 18),
    row(42, "Q2_0", 64, 18),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_order_and_have_blocks() {
        for pair in TYPES.windows(2) {
            assert!(pair[0].id < pair[1].id, "{pair:?}");
        }
        assert!(
            TYPES
                .iter()
                .all(|kind| kind.block_elements > 0 && kind.block_bytes > 0)
        );
        assert_eq!(TensorType::from_id(12).map(TensorType::name), Some("Q4_K"));
        for withdrawn in [4, 5, 9, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(TensorType::from_id(withdrawn), None);
        }
    }
}
