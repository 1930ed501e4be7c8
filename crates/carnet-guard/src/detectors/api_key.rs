//! Keys that begin with `sk-`, as those of OpenAI, Anthropic, OpenRouter, DeepSeek and many others do.
//!
//! Names of packages and CSS classes can begin so too, hence the look for a part that nobody would have chosen.

use crate::detection::Confidence;
use crate::text::{Place, is_mixed, is_word, run};

/// Bytes behind the `-`, at the least.
const BYTES_MIN: usize = 20;
/// Bytes without `-` or `_` of which one part of a key consists, at the least.
const PART_MIN: usize = 16;

/// Asked at the `-`; returns the bytes behind it too.
pub(crate) fn find(place: Place<'_>) -> Option<(usize, Confidence)> {
    let start = place.word_start(2)?;
    let key = start.rest().strip_prefix(b"sk-")?;
    let key = key.get(..run(key, |byte| is_word(byte) || byte == b'-'))?;
    if key.len() < BYTES_MIN {
        return None;
    }
    let mut parts = key.split(|byte| matches!(byte, b'-' | b'_'));
    let random = parts.any(|part| part.len() >= PART_MIN && is_mixed(part));
    let confidence = if random {
        Confidence::High
    } else {
        Confidence::Low
    };
    Some((key.len(), confidence))
}
