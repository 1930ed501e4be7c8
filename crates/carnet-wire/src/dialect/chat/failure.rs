//! Errors, as services word them in this dialect and as its clients read them.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Kind, Object, Text, Value, write_str, write_text};

/// Reads the body of an error. Services have many shapes for it; the message is looked for in all of them.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    let error = root.get("error").filter(|error| !error.is_null());
    let inside = error
        .filter(|error| error.kind() == Kind::Object)
        .unwrap_or(root);
    let message = optional(inside, "message")
        .or_else(|| error.and_then(Value::text))
        .or_else(|| optional(root, "detail"))
        .or_else(|| optional(root, "message"));
    let class = optional(inside, "type");
    let mut kind = FailureKind::of_status(inner_status(status, inside));
    if matches!(kind, FailureKind::Server | FailureKind::InvalidRequest) {
        kind = class
            .as_ref()
            .and_then(|class| kind_of(class.token()))
            .unwrap_or(kind);
    }
    Failure::told(kind, message, inside.get("code").and_then(code).or(class))
}

/// An error within a successful answer tells its status in its code, if at all.
fn inner_status(status: u16, error: Value<'_>) -> u16 {
    if status >= 400 {
        return status;
    }
    let told = |key| {
        let value = error.get(key)?;
        let number = value
            .count()
            .or_else(|| value.text()?.token().parse().ok())?;
        u16::try_from(number)
            .ok()
            .filter(|status| (400..600).contains(status))
    };
    told("status").or_else(|| told("code")).unwrap_or(502)
}

fn code(value: Value<'_>) -> Option<Text<'_>> {
    value.text().or_else(|| value.number().map(Text::new))
}

fn kind_of(class: &str) -> Option<FailureKind> {
    Some(match class {
        "authentication_error" | "invalid_api_key" => FailureKind::Authentication,
        "insufficient_quota" | "billing_error" => FailureKind::Billing,
        "invalid_request_error" => FailureKind::InvalidRequest,
        "not_found_error" => FailureKind::NotFound,
        "overloaded_error" => FailureKind::Overloaded,
        "permission_error" => FailureKind::Permission,
        "rate_limit_error" | "rate_limit_exceeded" => FailureKind::RateLimit,
        "timeout_error" => FailureKind::Timeout,
        _ => return None,
    })
}

/// Writes the body of an error.
pub(crate) fn write_failure(failure: &Failure<'_>, out: &mut Vec<u8>) {
    let mut body = Object::open(out);
    let mut error = body.object("error");
    write_text(error.key("message"), &failure.message);
    write_str(error.key("type"), class(failure.kind));
    error.null("param");
    match &failure.code {
        Some(code) => error.text("code", code),
        None => error.null("code"),
    }
}

fn class(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Authentication => "authentication_error",
        FailureKind::Billing => "insufficient_quota",
        FailureKind::InvalidRequest | FailureKind::NotFound | FailureKind::TooLarge => {
            "invalid_request_error"
        }
        FailureKind::Permission => "permission_error",
        FailureKind::RateLimit => "rate_limit_error",
        FailureKind::Overloaded | FailureKind::Server | FailureKind::Timeout => "server_error",
    }
}
