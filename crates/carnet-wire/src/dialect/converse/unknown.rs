//! Members that only this dialect knows, and what it means to leave them out.

use crate::dialect::known::Known;
use crate::form::{LossCode, Losses, Unknown};
use crate::json::Document;
use crate::limits::MAX_DEPTH;

use super::ask_read::read_thinking;

/// What is read of a request below its top, where no reader refuses what it does not know.
pub(crate) const ASKED: &[Known] = &[
    Known {
        path: &["inferenceConfig"],
        members: &["maxTokens", "stopSequences", "temperature", "topP"],
    },
    Known {
        path: &["messages", "[]"],
        members: &["content", "role"],
    },
    Known {
        path: &["messages", "[]", "content", "[]", "image"],
        members: &["format", "source"],
    },
    Known {
        path: &["messages", "[]", "content", "[]", "document"],
        members: &["citations", "context", "format", "name", "source"],
    },
    Known {
        path: &["messages", "[]", "content", "[]", "toolUse"],
        members: &["input", "name", "toolUseId"],
    },
    Known {
        path: &["messages", "[]", "content", "[]", "toolResult"],
        members: &["content", "status", "toolUseId"],
    },
    Known {
        path: &["toolConfig"],
        members: &["toolChoice", "tools"],
    },
    Known {
        path: &["toolConfig", "tools", "[]", "toolSpec"],
        members: &["description", "inputSchema", "name", "strict"],
    },
];

/// Names the loss of a member; or says what the answer depends on, if it cannot be left out.
pub(crate) fn lose(unknown: &Unknown<'_>, losses: &mut Losses) -> Option<&'static str> {
    let key = unknown.key.plain();
    match (&*key, unknown.json) {
        (_, "[]" | "{}") => {}
        ("additionalModelRequestFields", fields) => return lose_fields(fields, losses),
        ("promptVariables", _) => return Some("a prompt that the service keeps"),
        ("outputConfig", _) => return Some("this shape of the answer"),
        ("requestMetadata", _) => losses.add_at(LossCode::Metadata, &key),
        _ => losses.add_at(LossCode::UnknownMember, &key),
    }
    None
}

/// Names what is meant for one model, in its own dialect.
fn lose_fields(fields: &str, losses: &mut Losses) -> Option<&'static str> {
    let document = Document::read(fields.as_bytes(), MAX_DEPTH).ok()?;
    let root = document.root();
    for (key, _) in root.members() {
        match &*key {
            "tools" => return Some("tools in a model's own dialect"),
            "thinking" if read_thinking(root).is_some() => {}
            "reasoning_config" | "reasoning_effort" | "thinking" => {
                losses.add_at(LossCode::ReasoningEffort, &key);
            }
            "top_k" => losses.add_at(LossCode::Sampling, &key),
            _ => losses.add_at(
                LossCode::UnknownMember,
                &format!("additionalModelRequestFields.{key}"),
            ),
        }
    }
    None
}
