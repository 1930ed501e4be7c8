//! Errors, as services word them in this dialect and as its clients read them.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::google::status_name;
use crate::json::{Object, Value};

/// Reads the body of an error, which may stand in a list.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    let root = root.elements().next().unwrap_or(root);
    let error = root.get("error").unwrap_or(root);
    let told = error
        .get("code")
        .and_then(Value::count)
        .and_then(|code| u16::try_from(code).ok());
    let status = if status >= 400 {
        status
    } else {
        told.filter(|code| *code >= 400).unwrap_or(502)
    };
    let kind = FailureKind::of_status(status);
    Failure::told(kind, optional(error, "message"), optional(error, "status"))
}

/// Writes the body of an error, which is also the data of the event that tells of one.
pub(crate) fn write_failure(failure: &Failure<'_>, out: &mut Vec<u8>) {
    let status = failure.kind.status();
    let mut body = Object::open(out);
    let mut error = body.object("error");
    error.count("code", u64::from(status));
    error.text("message", &failure.message);
    error.str("status", status_name(status));
}
