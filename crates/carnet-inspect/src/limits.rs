//! Every bound on outside data in this crate, each with its reason.

/// What a reader takes at most. The defaults admit every published model that we know of; a smaller set serves where
/// memory is short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the header, tensor list included. Vocabularies of 260,000 tokens with their merges take about 20 MiB,
    /// and some files carry a second, JSON form of them. Safetensors files have a bound of their format as well:
    /// [`MAX_SAFETENSORS_HEADER`].
    pub header_bytes: u64,
    /// Bytes of one text of a GGUF header. The longest in use are whole tokenizer files in JSON, up to 40 MiB.
    pub string_bytes: u64,
    /// Metadata entries. Models have dozens, rarely hundreds.
    pub metadata_entries: u64,
    /// Elements of all GGUF arrays together. A vocabulary of 260,000 tokens with scores, types and 510,000 merges has
    /// 1.3 million.
    pub array_items: u64,
    /// Levels of GGUF arrays within arrays. Writers use one; the format allows more.
    pub array_depth: u32,
    /// Tensors of one file. A model of 671 billion parameters has 91,000 over all its safetensors shards, and about
    /// 1,000 as GGUF, which stacks experts.
    pub tensors: u64,
    /// Dimensions of one safetensors tensor. Convolutions over video have five. For GGUF see [`MAX_GGUF_DIMS`].
    pub dims: usize,
    /// Bytes of GGUF padding that are read to see that they are zero. Even a model of 1,000 tensors at the largest
    /// alignment stays below it.
    pub padding_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 128 << 20,
            string_bytes: 64 << 20,
            metadata_entries: 16_384,
            array_items: 4 << 20,
            array_depth: 4,
            tensors: 262_144,
            dims: 8,
            padding_bytes: 64 << 20,
        }
    }
}

/// Bytes of a safetensors header, without its length field: the reference reader takes no more
/// (`MAX_HEADER_SIZE`, <https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs>).
pub const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// Bytes of a key in GGUF metadata, as its specification says.
pub const MAX_GGUF_KEY: u64 = 65_535;

/// Bytes of a GGUF tensor name. The specification says 64; the reference loader keeps 63 and a terminator
/// (`GGML_MAX_NAME`), and has cut longer ones so that two names could become one.
pub const MAX_GGUF_TENSOR_NAME: u64 = 63;

/// Dimensions of a GGUF tensor, as its specification says (`GGML_MAX_DIMS`). Loaders keep them in arrays of four.
pub const MAX_GGUF_DIMS: u32 = 4;

/// The largest `general.alignment`: the biggest page that files are laid out for. More only makes room to hide
/// something between header and data.
pub const MAX_GGUF_ALIGNMENT: u32 = 65_536;

/// Characters of a name from a file that a message repeats.
pub const MAX_SHOWN: usize = 64;

/// Bytes of a model card's front matter. The longest published ones list thousands of benchmark results in 300 KiB.
pub const MAX_FRONT_MATTER: usize = 1 << 20;

/// Bytes of a JSON text beside weights. Configurations have a few KiB; one with names for 21,000 classes about 1 MiB.
pub const MAX_JSON: usize = 4 << 20;

/// Values of a text beside weights, keys included: the cards and configurations named above stay below a quarter of it.
pub const MAX_TREE_VALUES: usize = 200_000;

/// Levels of lists and maps within each other. Configurations of several encoders have eight.
pub const MAX_TREE_DEPTH: usize = 32;
