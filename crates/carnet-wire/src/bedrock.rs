//! Errors that Carnet itself answers with in the dialect of Bedrock's runtime: the kind stands in a header, the
//! message in the body. Shape: <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::openai::ErrorBody;

/// The header that names the kind of an error.
pub const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";

/// The kind for an HTTP status, of those that the service's model declares.
#[must_use]
pub fn error_type(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 | 504 => "ModelTimeoutException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// The body of an error response: `{"message",…}` with code, field and further members beside it.
#[must_use]
pub fn error_body(error: &ErrorBody) -> Bytes {
    let mut members: Map<String, Value> = error.extra_members().clone();
    members.insert("message".to_owned(), error.message().into());
    for (key, text) in [("code", error.code_text()), ("param", error.param_text())] {
        if let Some(text) = text {
            members.insert(key.to_owned(), text.into());
        }
    }
    Bytes::from(Value::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_have_the_members_that_clients_read() {
        let error = ErrorBody::new("denied", "permission_error")
            .code("policy_denied")
            .extra("record", "rec_1")
            .extra("message", "another");
        let body: Value = serde_json::from_slice(&error_body(&error)).unwrap();
        assert_eq!(
            body,
            json!({"message": "denied", "code": "policy_denied", "record": "rec_1"})
        );
    }

    #[test]
    fn every_status_has_a_kind_that_clients_know() {
        for (status, kind) in [
            (400, "ValidationException"),
            (403, "AccessDeniedException"),
            (413, "ValidationException"),
            (429, "ThrottlingException"),
            (502, "InternalServerException"),
            (503, "ServiceUnavailableException"),
        ] {
            assert_eq!(error_type(status), kind, "{status}");
        }
    }
}
