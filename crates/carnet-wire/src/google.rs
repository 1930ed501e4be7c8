//! Errors that Carnet itself answers with in the dialect of Google's APIs, in a response and within a stream.
//! Shape: <https://cloud.google.com/apis/design/errors>.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::openai::ErrorBody;

/// The dialect's `error.status` for an HTTP status (`google.rpc.Code`).
#[must_use]
pub fn status_name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        502 | 503 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

/// The body of an error response: `{"error":{"code","message","status","details",…}}`. The stable code is the
/// `reason` of an `ErrorInfo`, in upper case as that type demands.
///
/// ```
/// use carnet_wire::google::error_body;
/// use carnet_wire::openai::ErrorBody;
///
/// let error = ErrorBody::new("no such model", "invalid_request_error").code("model_not_found");
/// let body: serde_json::Value = serde_json::from_slice(&error_body(&error, 404))?;
/// assert_eq!(body["error"]["status"], "NOT_FOUND");
/// assert_eq!(body["error"]["details"][0]["reason"], "MODEL_NOT_FOUND");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn error_body(error: &ErrorBody, status: u16) -> Bytes {
    Bytes::from(error_value(error, status).to_string())
}

/// The same error as an event within a stream, which ends it.
#[must_use]
pub fn error_event(error: &ErrorBody, status: u16) -> Bytes {
    Bytes::from(format!("data: {}\r\n\r\n", error_value(error, status)))
}

fn error_value(error: &ErrorBody, status: u16) -> Value {
    let mut metadata = Map::new();
    if let Some(param) = error.param_text() {
        metadata.insert("param".to_owned(), param.into());
    }
    if let Some(record) = error.extra_members().get("record") {
        metadata.insert("record".to_owned(), record.clone());
    }
    let mut inner = error.extra_members().clone();
    inner.insert("code".to_owned(), status.into());
    inner.insert("message".to_owned(), error.message().into());
    inner.insert("status".to_owned(), status_name(status).into());
    inner.insert(
        "details".to_owned(),
        json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code_text().unwrap_or("internal").to_ascii_uppercase(),
            "domain": "carnet",
            "metadata": metadata,
        }]),
    );
    json!({ "error": inner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_members_that_clients_read() {
        let error = ErrorBody::new("denied", "permission_error")
            .code("policy_denied")
            .param("model")
            .extra("record", "rec_1")
            .extra("status", 7);
        let want = json!({"error": {
            "code": 403, "message": "denied", "status": "PERMISSION_DENIED", "record": "rec_1",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "POLICY_DENIED", "domain": "carnet",
                "metadata": {"param": "model", "record": "rec_1"},
            }],
        }});
        let body: Value = serde_json::from_slice(&error_body(&error, 403)).unwrap();
        assert_eq!(body, want);
        let event = error_event(&error, 403);
        let data = event.strip_prefix(b"data: ").unwrap();
        let body: Value = serde_json::from_slice(data).unwrap();
        assert_eq!(body, want);
    }

    #[test]
    fn every_status_has_a_name_that_clients_know() {
        for (status, name) in [
            (400, "INVALID_ARGUMENT"),
            (401, "UNAUTHENTICATED"),
            (404, "NOT_FOUND"),
            (429, "RESOURCE_EXHAUSTED"),
            (500, "INTERNAL"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
        ] {
            assert_eq!(status_name(status), name, "{status}");
        }
    }
}
