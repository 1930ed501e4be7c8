//! Members that only this dialect knows, and what it means to leave them out.

use crate::form::{LossCode, Losses, Unknown};

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
