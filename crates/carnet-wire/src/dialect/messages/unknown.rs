//! Members that only this dialect knows, and what it means to leave them out.

use crate::dialect::known::Known;
use crate::form::{LossCode, Losses, Unknown};

/// What is read of a block.
const BLOCK: &[&str] = &[
    "cache_control",
    "citations",
    "content",
    "context",
    "data",
    "id",
    "input",
    "is_error",
    "name",
    "signature",
    "source",
    "text",
    "thinking",
    "title",
    "tool_use_id",
    "type",
];

/// What is read of a request below its top.
pub(crate) const ASKED: &[Known] = &[
    Known {
        path: &["messages", "[]"],
        members: &["content", "role"],
    },
    Known {
        path: &["messages", "[]", "content", "[]"],
        members: BLOCK,
    },
    Known {
        path: &["messages", "[]", "content", "[]", "content", "[]"],
        members: BLOCK,
    },
    Known {
        path: &["system", "[]"],
        members: BLOCK,
    },
    Known {
        path: &["tools", "[]"],
        members: &[
            "cache_control",
            "description",
            "input_schema",
            "name",
            "strict",
            "type",
        ],
    },
];

/// What is read of an answer below its top.
pub(crate) const ANSWERED: &[Known] = &[Known {
    path: &["content", "[]"],
    members: BLOCK,
}];

/// Names the loss of a member; or says what the answer depends on, if it cannot be left out.
pub(crate) fn lose(unknown: &Unknown<'_>, losses: &mut Losses) -> Option<&'static str> {
    let key = unknown.key.plain();
    match (&*key, unknown.json) {
        ("mcp_servers", "[]") => {}
        ("mcp_servers", _) => return Some("tools of a remote server"),
        ("container", _) => return Some("a container that the service keeps"),
        ("metadata", _) => losses.add(LossCode::Metadata),
        _ => losses.add_at(LossCode::UnknownMember, &key),
    }
    None
}
