//! Errors, as services word them in this dialect.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::Value;

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
