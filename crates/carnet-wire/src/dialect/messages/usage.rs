//! Counts of tokens: the prompt's stand beside those of a cache.

use crate::form::{PromptExcludingCached, Usage};
use crate::json::{Object, Value};

pub(crate) fn read_usage(value: Value<'_>) -> Usage {
    let count = |key| value.get(key).and_then(Value::count);
    Usage {
        prompt: count("input_tokens").map(PromptExcludingCached),
        cache_read: count("cache_read_input_tokens"),
        cache_write: count("cache_creation_input_tokens"),
        output: count("output_tokens"),
        reasoning: value
            .get("output_tokens_details")
            .and_then(|details| details.get("thinking_tokens"))
            .and_then(Value::count),
    }
}

pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object.count("input_tokens", usage.prompt_excluding().0);
    object.count(
        "cache_creation_input_tokens",
        usage.cache_write.unwrap_or_default(),
    );
    object.count(
        "cache_read_input_tokens",
        usage.cache_read.unwrap_or_default(),
    );
    object.count("output_tokens", usage.output());
    if let Some(reasoning) = usage.reasoning {
        object
            .object("output_tokens_details")
            .count("thinking_tokens", reasoning);
    }
}
