//! Errors, which are worded as in chat completions, or within an answer that failed.

use crate::dialect::chat;
use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Object, Text, Value};

/// Reads the body of an error.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    chat::read_failure(status, root)
}

/// Writes the body of an error.
pub(crate) fn write_failure(failure: &Failure<'_>, out: &mut Vec<u8>) {
    chat::write_failure(failure, out);
}

/// Reads the error within an answer that failed, or within a stream.
pub(super) fn read_inner(error: Value<'_>) -> Failure<'_> {
    let code = optional(error, "code");
    let kind = match code.as_ref().map(Text::token) {
        Some("rate_limit_exceeded" | "rate_limit_error") => FailureKind::RateLimit,
        Some("insufficient_quota") => FailureKind::Billing,
        Some("invalid_prompt" | "invalid_request_error") => FailureKind::InvalidRequest,
        Some("server_is_overloaded" | "overloaded_error") => FailureKind::Overloaded,
        _ => FailureKind::Server,
    };
    Failure::told(kind, optional(error, "message"), code)
}

/// Writes the error within an answer that failed. Clients wait, or give up, by codes of this dialect, whatever the
/// service calls that.
pub(super) fn write_inner(failure: &Failure<'_>, error: &mut Object<'_>) {
    let acted_on = matches!(
        failure.kind,
        FailureKind::Billing | FailureKind::Overloaded | FailureKind::RateLimit
    );
    match &failure.code {
        Some(code) if !acted_on => error.text("code", code),
        _ => error.str("code", code(failure.kind)),
    }
    error.text("message", &failure.message);
}

fn code(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Billing => "insufficient_quota",
        FailureKind::InvalidRequest | FailureKind::NotFound | FailureKind::TooLarge => {
            "invalid_prompt"
        }
        FailureKind::Overloaded => "server_is_overloaded",
        FailureKind::RateLimit => "rate_limit_exceeded",
        FailureKind::Authentication
        | FailureKind::Permission
        | FailureKind::Server
        | FailureKind::Timeout => "server_error",
    }
}
