//! Errors, as services word them in this dialect.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Text, Value};

/// Reads the body of an error.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    let code = optional(root, "__type").or_else(|| optional(root, "code"));
    Failure::told(FailureKind::of_status(status), message(root), code)
}

/// Reads an exception within a stream, which its framing names; none if the name is that of an event.
pub(super) fn read_exception<'e>(name: &'e str, root: Value<'e>) -> Option<Failure<'e>> {
    let kind = match name {
        "throttlingException" => FailureKind::RateLimit,
        "validationException" => FailureKind::InvalidRequest,
        "serviceUnavailableException" => FailureKind::Overloaded,
        "modelTimeoutException" => FailureKind::Timeout,
        _ if name.ends_with("Exception") => FailureKind::Server,
        _ => return None,
    };
    Some(Failure::told(kind, message(root), Some(Text::new(name))))
}

fn message(root: Value<'_>) -> Option<Text<'_>> {
    optional(root, "message").or_else(|| optional(root, "Message"))
}
