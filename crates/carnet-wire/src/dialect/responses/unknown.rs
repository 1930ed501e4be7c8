//! Members that only this dialect knows, and what it means to leave them out.

use crate::form::{LossCode, Losses, Unknown};

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
