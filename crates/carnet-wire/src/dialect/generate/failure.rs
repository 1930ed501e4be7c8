//! Errors, as services word them in this dialect.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Text, Value};

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
    Failure {
        kind: FailureKind::of_status(status),
        message: optional(error, "message")
            .unwrap_or_else(|| Text::new("the upstream gives no reason")),
        code: optional(error, "status"),
    }
}
