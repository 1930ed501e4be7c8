//! How many tokens a text is for a model.
//!
//! The vocabularies come with a library, which also knows which models use which. For every other model the newest of
//! them counts and a quarter is added: what other vocabularies make of the same text is seldom more.

use std::fmt;

use tiktoken::CoreBpe;

use crate::limits::COUNTED_SLICE_BYTES;

/// The vocabulary that stands for those that are not known.
const NEAREST: &str = "o200k_base";

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Tokenizer {
    vocabulary: Option<&'static CoreBpe>,
    /// Whether it is the model's own.
    own: bool,
}

impl Tokenizer {
    /// The one of the model that has these names. The first one that is asked for of a vocabulary unpacks it, which takes a
    /// fifth of a second.
    pub(crate) fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let own = names.into_iter().find_map(|name| {
            let name = name.rsplit('/').next().unwrap_or(name);
            tiktoken::encoding_for_model(name)
        });
        Self {
            own: own.is_some(),
            vocabulary: own.or_else(|| tiktoken::get_encoding(NEAREST)),
        }
    }

    /// The tokens of a text in the vocabulary. In the middle of a run of many bytes without a space there may be one too many.
    pub(crate) fn count(self, text: &str) -> u64 {
        let Some(vocabulary) = self.vocabulary else {
            return bytes(text);
        };
        let (mut tokens, mut rest) = (0, text);
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(cut(rest));
            tokens += vocabulary.count(slice);
            rest = behind;
        }
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }

    /// The tokens of the model for so many of the vocabulary. Of all texts together, since a quarter of one is one.
    pub(crate) fn of_model(self, tokens: u64) -> u64 {
        let more = if self.own { 0 } else { tokens.div_ceil(4) };
        tokens.saturating_add(more)
    }
}

/// Where a slice of a text ends: before a space if there is one, since no token goes over it from the left.
fn cut(text: &str) -> usize {
    if text.len() <= COUNTED_SLICE_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(COUNTED_SLICE_BYTES);
    let slice = text.get(..end).unwrap_or_default();
    let space = slice.rfind([' ', '\n']).filter(|at| *at > 0);
    space.unwrap_or(end).max(1)
}

/// The most tokens that a text can be: each stands for a byte at least.
pub(crate) fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_any_of_its_names() {
        let own = Tokenizer::of(["house", "maker/davinci"]);
        let other = Tokenizer::of(["house"]);
        assert!(own.own && !other.own);
        for tokenizer in [own, other] {
            assert_eq!(tokenizer.count("Hello there"), 2);
        }
        // A quarter more, rounded up.
        assert_eq!((own.of_model(5), other.of_model(5)), (5, 7));
        assert_eq!(own.count(""), 0);
    }

    #[test]
    fn long_texts_are_counted_as_short_ones_are() {
        let own = Tokenizer::of(["davinci"]);
        let sentence = "Please summarise the contract of the customer. ";
        let one = own.count(sentence);
        let many = own.count(&sentence.repeat(200));
        assert!(many.abs_diff(one * 200) <= 200, "{one} {many}");
        // Without a space anywhere, and with signs of several bytes.
        let run = "ä".repeat(COUNTED_SLICE_BYTES * 3 + 1);
        assert!((1..=bytes(&run)).contains(&own.count(&run)));
    }
}
