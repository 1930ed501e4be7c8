//! Errors that Carnet itself answers with in the dialect of Bedrock's runtime: the kind stands in a header, the
//! message in the body. Shape: <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::openai::ErrorBody;
use crate::stream::aws::{Header, HeaderValue, write_message};

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

/// The exception within a stream for an HTTP status, of those that the service's model declares for streams.
#[must_use]
pub fn exception_type(status: u16) -> &'static str {
    match status {
        408 | 504 => "modelTimeoutException",
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        400..=499 => "validationException",
        _ => "internalServerException",
    }
}

/// The same error as the exception that ends a stream: a message of the event stream.
#[must_use]
pub fn error_event(error: &ErrorBody, status: u16) -> Bytes {
    Bytes::from(exception_event(status, &error_body(error)))
}

/// An exception with this body. One that is too long for a message says no more than its kind.
pub(crate) fn exception_event(status: u16, payload: &[u8]) -> Vec<u8> {
    let kind = exception_type(status);
    let header = |name, value| Header {
        name,
        value: HeaderValue::String(value),
    };
    let headers = [
        header(":exception-type", kind),
        header(":content-type", "application/json"),
        header(":message-type", "exception"),
    ];
    let mut out = Vec::new();
    if write_message(&mut out, &headers, payload).is_err() {
        // INVARIANT: without a long body nothing is too long.
        let _fits = write_message(&mut out, &headers, b"{}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::aws::AwsDecoder;
    use serde_json::json;

    #[test]
    fn an_error_ends_a_stream_as_an_exception() {
        let error = ErrorBody::new("too late", "server_error").code("upstream_timeout");
        for (status, kind) in [
            (504, "modelTimeoutException"),
            (429, "throttlingException"),
            (503, "serviceUnavailableException"),
            (403, "validationException"),
            (502, "internalServerException"),
        ] {
            let event = error_event(&error, status);
            let mut decoder = AwsDecoder::new();
            let message = decoder.next(&mut &event[..]).unwrap().unwrap();
            assert_eq!(message.message_type(), Some("exception"));
            assert_eq!(message.exception_type(), Some(kind));
            assert_eq!(message.payload, &error_body(&error)[..]);
        }
        let long = exception_event(502, &vec![b' '; crate::limits::MAX_AWS_MESSAGE]);
        let mut decoder = AwsDecoder::new();
        let message = decoder.next(&mut &long[..]).unwrap().unwrap();
        assert_eq!(message.payload, b"{}");
    }

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
