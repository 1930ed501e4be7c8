//! Errors, as services word them in this dialect and as its clients read them.

use crate::bedrock::exception_event;
use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Object, Text, Value};

/// Reads the body of an error.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    let code = optional(root, "__type").or_else(|| optional(root, "code"));
    Failure::told(FailureKind::of_status(status), message(root), code)
}

/// Reads an exception within a stream, which its framing names; none if the name is that of an event.
pub(crate) fn read_exception<'e>(name: &'e str, root: Value<'e>) -> Option<Failure<'e>> {
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

/// Writes the body of an error; its kind stands in a header.
pub(crate) fn write_failure(failure: &Failure<'_>, out: &mut Vec<u8>) {
    Object::open(out).text("message", &failure.message);
}

/// Writes an error as the exception that ends a stream.
pub(super) fn write_exception(failure: &Failure<'_>, out: &mut Vec<u8>) {
    let mut payload = Vec::new();
    write_failure(failure, &mut payload);
    out.extend_from_slice(&exception_event(failure.kind.status(), &payload));
}
