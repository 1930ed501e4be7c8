//! Errors, as services word them in this dialect and as its clients read them.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Object, Value};

/// The names that the dialect has for errors.
const CLASSES: &[(&str, FailureKind)] = &[
    ("authentication_error", FailureKind::Authentication),
    ("billing_error", FailureKind::Billing),
    ("invalid_request_error", FailureKind::InvalidRequest),
    ("not_found_error", FailureKind::NotFound),
    ("overloaded_error", FailureKind::Overloaded),
    ("permission_error", FailureKind::Permission),
    ("rate_limit_error", FailureKind::RateLimit),
    ("api_error", FailureKind::Server),
    ("timeout_error", FailureKind::Timeout),
    ("request_too_large", FailureKind::TooLarge),
];

/// Reads the body of an error.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    let error = root.get("error").unwrap_or(root);
    let class = optional(error, "type");
    let named = class
        .as_ref()
        .and_then(|class| CLASSES.iter().find(|(name, _)| *name == class.token()));
    let kind = named.map_or_else(|| FailureKind::of_status(status), |(_, kind)| *kind);
    Failure::told(kind, optional(error, "message"), class)
}

/// The name of a kind of error.
pub(crate) fn class(kind: FailureKind) -> &'static str {
    let class = CLASSES.iter().find(|(_, other)| *other == kind);
    class.map_or("api_error", |(name, _)| name)
}

/// Writes the body of an error, which is also the data of the event that tells of one.
pub(crate) fn write_failure(failure: &Failure<'_>, out: &mut Vec<u8>) {
    let mut body = Object::open(out);
    body.str("type", "error");
    let mut error = body.object("error");
    error.str("type", class(failure.kind));
    error.text("message", &failure.message);
    drop(error);
    body.null("request_id");
}
