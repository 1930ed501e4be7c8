//! Members that only this dialect knows, and what it means to leave them out.

use crate::form::{LossCode, Losses, Unknown};

/// Names the loss of a member; or says what the answer depends on, if it cannot be left out.
pub(crate) fn lose(unknown: &Unknown<'_>, losses: &mut Losses) -> Option<&'static str> {
    let key = unknown.key.plain();
    match (&*key, unknown.json) {
        ("n", "1")
        | ("logprobs" | "store", "false")
        | ("top_logprobs", "0")
        | ("modalities", r#"["text"]"#)
        | ("functions" | "logit_bias", "[]" | "{}") => {}
        ("n", _) => return Some("several answers at once"),
        ("modalities" | "audio", _) => return Some("an answer as sound"),
        ("functions" | "function_call", _) => return Some("tools in the form `functions`"),
        ("response_format", _) => return Some("this shape of the answer"),
        ("logprobs" | "top_logprobs", _) => losses.add(LossCode::Logprobs),
        ("metadata", _) => losses.add(LossCode::Metadata),
        ("logit_bias" | "min_p" | "repetition_penalty", _) => {
            losses.add_at(LossCode::Sampling, &key)
        }
        _ => losses.add_at(LossCode::UnknownMember, &key),
    }
    None
}
