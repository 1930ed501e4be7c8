//! Bounds on everything that a model's files or a request can make large, each with its reason.

use std::time::Duration;

/// `config.json`, `generation_config.json`, `tokenizer_config.json` and the index of shards: the
/// longest seen, an index of 163 shards, has 9 MB; models this engine runs stay under 1 MB.
pub(crate) const JSON_BYTES_MAX: u64 = 4 << 20;

/// `tokenizer.json`: 11 MB for a vocabulary of 151,000 tokens.
pub(crate) const TOKENIZER_BYTES_MAX: u64 = 64 << 20;

/// A chat template: the longest in use have 20 KB.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 64 << 10;

/// Header of a file of weights: a GGUF file keeps its vocabulary there, 6 MB for 151,000 tokens.
pub(crate) const HEADER_BYTES_MAX: u64 = 32 << 20;

/// Shards of one model.
pub(crate) const SHARDS_MAX: usize = 256;

/// Layers of a model. Larger numbers only serve to make the list of expected tensors long.
pub(crate) const LAYERS_MAX: usize = 512;

/// Any single width: hidden size, size between the halves of a feed-forward block, heads.
pub(crate) const WIDTH_MAX: usize = 1 << 17;

/// Tokens in a vocabulary: the largest in use have 256,000.
pub(crate) const VOCABULARY_MAX: usize = 1 << 20;

/// Positions that a file may promise; what is served is bounded by `LoadOptions` as well.
pub(crate) const CONTEXT_MAX: usize = 1 << 22;

/// Work that one rendering of a chat template may do, in the template engine's fuel: an instruction
/// or 64 bytes produced cost one. So no rendering makes more than 64 MB of text on its way.
pub(crate) const TEMPLATE_FUEL: u64 = 1 << 20;

/// How long compiling or rendering a chat template may take. Templates in use need milliseconds; but
/// the template engine's compiler takes time that grows with the square of an expression's length,
/// and fuel does not count it.
pub(crate) const TEMPLATE_TIME: Duration = Duration::from_secs(10);

/// Stack for compiling and rendering a chat template. The template engine recurses over chains of
/// operators and over values within values, which are as deep as length and fuel allow. Only what is
/// used of it takes memory.
pub(crate) const TEMPLATE_STACK_BYTES: usize = 512 << 20;

/// Depth of calls in a chat template; macros in use go three deep.
pub(crate) const TEMPLATE_DEPTH_MAX: usize = 64;

/// A rendered prompt. A token has 4 bytes or so, so this is a context of a million tokens.
pub(crate) const PROMPT_BYTES_MAX: usize = 4 << 20;

/// Values that a template gets beside texts, as JSON: tool calls, tools, variables. In memory a value takes
/// up to a hundred times its text.
pub(crate) const VALUES_BYTES_MAX: usize = 1 << 20;

/// Messages of a conversation.
pub(crate) const MESSAGES_MAX: usize = 4_096;

/// Stop strings of a request, and the length of one; each byte of answer is compared with all.
pub(crate) const STOPS_MAX: usize = 16;
/// See [`STOPS_MAX`].
pub(crate) const STOP_BYTES_MAX: usize = 256;

/// Tokens of a prompt that are computed in one step. Bounds the memory for attention scores, and
/// how long a caller who has hung up is still worked for.
pub(crate) const PROMPT_STEP: usize = 128;

/// Tokens that may wait for the rest of a character. A character has four bytes at most; more
/// waiting tokens are bytes that never become one.
pub(crate) const INCOMPLETE_TOKENS_MAX: usize = 8;
