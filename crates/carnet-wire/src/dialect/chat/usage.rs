//! Counts of tokens: the prompt's include those of a cache.

use crate::form::Usage;
use crate::json::{Object, Value};

pub(crate) fn read_usage(value: Value<'_>) -> Option<Usage> {
    let prompt = count(value, &["prompt_tokens"]);
    let output = count(value, &["completion_tokens"]);
    if prompt.is_none() && output.is_none() {
        return None;
    }
    let details = value.get("prompt_tokens_details");
    let detail = |keys: &[&str]| details.and_then(|details| count(details, keys));
    let cache_read = detail(&["cached_tokens"]).or_else(|| {
        count(
            value,
            &[
                "prompt_cache_hit_tokens",
                "cached_tokens",
                "cache_read_input_tokens",
            ],
        )
    });
    let cache_write = detail(&["cache_write_tokens", "cache_creation_tokens"]);
    let reasoning = value
        .get("completion_tokens_details")
        .and_then(|details| count(details, &["reasoning_tokens"]));
    Some(Usage {
        output: output
            .map(|output| output.saturating_add(beside(value, prompt, output, reasoning))),
        reasoning,
        ..Usage::of_including(prompt, cache_read, cache_write)
    })
}

/// Reasoning that a service does not count among the answer's tokens, as its total gives away.
fn beside(value: Value<'_>, prompt: Option<u64>, output: u64, reasoning: Option<u64>) -> u64 {
    let total = count(value, &["total_tokens"]);
    let reasoning = reasoning.unwrap_or_default();
    let sum = prompt.and_then(|prompt| prompt.checked_add(output)?.checked_add(reasoning));
    if total.is_some() && sum == total {
        reasoning
    } else {
        0
    }
}

/// The first of these members that is a count.
fn count(value: Value<'_>, keys: &[&str]) -> Option<u64> {
    keys.iter()
        .find_map(|key| value.get(key).and_then(Value::count))
}

pub(super) fn write_usage(usage: &Usage, object: &mut Object<'_>) {
    object.count("prompt_tokens", usage.prompt_including().0);
    object.count("completion_tokens", usage.output());
    object.count("total_tokens", usage.total());
    if usage.cache_read.is_some() || usage.cache_write.is_some() {
        let mut details = object.object("prompt_tokens_details");
        details.count("cached_tokens", usage.cache_read.unwrap_or_default());
        if let Some(written) = usage.cache_write.filter(|written| *written > 0) {
            details.count("cache_write_tokens", written);
        }
    }
    if let Some(reasoning) = usage.reasoning {
        object
            .object("completion_tokens_details")
            .count("reasoning_tokens", reasoning);
    }
}
