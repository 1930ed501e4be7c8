//! Counts of tokens: the prompt's include those of a cache.

use crate::form::Usage;
use crate::json::{Object, Value};

pub(crate) fn read_usage(value: Value<'_>) -> Usage {
    let count = |value: Value<'_>, key| value.get(key).and_then(Value::count);
    let details = value.get("input_tokens_details");
    let cached = |key| details.and_then(|details| count(details, key));
    Usage {
        output: count(value, "output_tokens"),
        reasoning: value
            .get("output_tokens_details")
            .and_then(|details| count(details, "reasoning_tokens")),
        ..Usage::of_including(
            count(value, "input_tokens"),
            cached("cached_tokens"),
            cached("cache_write_tokens"),
        )
    }
}

pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object.count("input_tokens", usage.prompt_including().0);
    let mut details = object.object("input_tokens_details");
    details.count("cached_tokens", usage.cache_read.unwrap_or_default());
    if let Some(written) = usage.cache_write.filter(|written| *written > 0) {
        details.count("cache_write_tokens", written);
    }
    drop(details);
    object.count("output_tokens", usage.output());
    object
        .object("output_tokens_details")
        .count("reasoning_tokens", usage.reasoning.unwrap_or_default());
    object.count("total_tokens", usage.total());
}
