//! Members that only this dialect knows, and what it means to leave them out.

use crate::dialect::known::Known;
use crate::form::{LossCode, Losses, Unknown};

/// What is read of a request below its top.
pub(crate) const ASKED: &[Known] = &[
    Known {
        path: &["messages", "[]"],
        members: &[
            "annotations",
            "audio",
            "cache_control",
            "content",
            "function_call",
            "name",
            "reasoning",
            "reasoning_content",
            "reasoning_details",
            "refusal",
            "role",
            "tool_call_id",
            "tool_calls",
        ],
    },
    Known {
        path: &["messages", "[]", "content", "[]"],
        members: &[
            "cache_control",
            "file",
            "image_url",
            "input_audio",
            "refusal",
            "text",
            "thinking",
            "type",
        ],
    },
    Known {
        path: &["messages", "[]", "tool_calls", "[]"],
        members: &["cache_control", "custom", "function", "id", "index", "type"],
    },
    Known {
        path: &["tools", "[]"],
        members: &["cache_control", "function", "type"],
    },
    Known {
        path: &["tools", "[]", "function"],
        members: &["description", "name", "parameters", "strict"],
    },
];

/// What is read of an answer below its top, where its reader does not say so.
pub(crate) const ANSWERED: &[Known] = &[
    Known {
        path: &["choices", "[]"],
        members: &["delta", "finish_reason", "index", "logprobs", "message"],
    },
    Known {
        path: &["choices", "[]", "message", "tool_calls", "[]"],
        members: &["custom", "function", "id", "index", "type"],
    },
];

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
