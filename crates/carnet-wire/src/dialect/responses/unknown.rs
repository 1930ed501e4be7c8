//! Members that only this dialect knows, and what it means to leave them out.

use crate::dialect::known::Known;
use crate::form::{LossCode, Losses, Unknown};

/// What is read of an item, or says nothing outside its service.
const ITEM: &[&str] = &[
    "arguments",
    "call_id",
    "content",
    "encrypted_content",
    "id",
    "name",
    "output",
    "role",
    "status",
    "summary",
    "type",
];
/// What is read of a part.
const PART: &[&str] = &[
    "annotations",
    "detail",
    "file_data",
    "file_id",
    "file_url",
    "filename",
    "image_url",
    "refusal",
    "text",
    "type",
];

/// What is read of a request below its top.
pub(crate) const ASKED: &[Known] = &[
    Known {
        path: &["input", "[]"],
        members: ITEM,
    },
    Known {
        path: &["input", "[]", "content", "[]"],
        members: PART,
    },
    Known {
        path: &["tools", "[]"],
        members: &["description", "name", "parameters", "strict", "type"],
    },
];

/// What is read of an answer below its top.
pub(crate) const ANSWERED: &[Known] = &[
    Known {
        path: &["output", "[]"],
        members: ITEM,
    },
    Known {
        path: &["output", "[]", "content", "[]"],
        members: PART,
    },
];

/// Names the loss of a member; or says what the answer depends on, if it cannot be left out.
pub(crate) fn lose(unknown: &Unknown<'_>, losses: &mut Losses) -> Option<&'static str> {
    let key = unknown.key.plain();
    match (&*key, unknown.json) {
        ("background" | "store", "false")
        | ("include", "[]" | r#"["reasoning.encrypted_content"]"#)
        | ("top_logprobs", "0")
        | ("truncation", r#""disabled""#) => {}
        ("background", _) => return Some("work in the background"),
        ("conversation" | "previous_response_id", _) => {
            return Some("an earlier answer that the service keeps");
        }
        ("prompt", _) => return Some("a prompt that the service keeps"),
        ("text", _) => return Some("this shape of the answer"),
        ("tool_choice", _) => return Some("this choice among tools"),
        ("top_logprobs", _) => losses.add(LossCode::Logprobs),
        ("metadata", _) => losses.add(LossCode::Metadata),
        _ => losses.add_at(LossCode::UnknownMember, &key),
    }
    None
}
