//! Errors, as services word them in this dialect.

use crate::dialect::shape::optional;
use crate::form::{Failure, FailureKind};
use crate::json::{Text, Value};

const NO_REASON: &str = "the upstream gives no reason";

/// Reads the body of an error: a message, beside the id of the request.
pub(crate) fn read_failure<'b>(status: u16, root: Value<'b>) -> Failure<'b> {
    Failure {
        kind: FailureKind::of_status(status),
        message: optional(root, "message").unwrap_or_else(|| Text::new(NO_REASON)),
        code: None,
    }
}

/// Reads how an answer has ended, if it is that the service has failed. An error counts whatever reason is beside it.
pub(super) fn read_failed<'b>(
    reason: Option<&Text<'b>>,
    error: Option<Text<'b>>,
) -> Option<Failure<'b>> {
    let error = error.filter(|error| !error.is_empty());
    let kind = match reason.map(Text::token) {
        Some("TIMEOUT") => FailureKind::Timeout,
        Some("ERROR") => FailureKind::Server,
        _ if error.is_some() => FailureKind::Server,
        _ => return None,
    };
    Some(Failure {
        kind,
        message: error.unwrap_or_else(|| Text::new(NO_REASON)),
        code: reason.cloned(),
    })
}
