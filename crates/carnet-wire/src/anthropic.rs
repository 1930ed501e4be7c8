//! Bodies that Carnet itself answers with in Anthropic's dialect: errors, errors within a stream, the list of
//! models. Shapes: <https://docs.anthropic.com/en/api/errors>, <https://docs.anthropic.com/en/api/models-list>.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::dialect::messages_error;
use crate::form::FailureKind;
use crate::openai::{ErrorBody, Model};

/// The dialect's `error.type` for an HTTP status.
#[must_use]
pub fn error_type(status: u16) -> &'static str {
    messages_error(FailureKind::of_status(status))
}

/// The body of an error response: `{"type":"error","error":{"type","message",…},"request_id"}`. Code, field and
/// further members stand in `error`, where clients of the dialect pass over what they do not know.
///
/// ```
/// use carnet_wire::anthropic::error_body;
/// use carnet_wire::openai::ErrorBody;
///
/// let error = ErrorBody::new("no such model", "invalid_request_error").code("model_not_found");
/// assert_eq!(
///     error_body(&error, 404, None),
///     r#"{"type":"error","error":{"type":"not_found_error","message":"no such model","code":"model_not_found"}}"#
/// );
/// ```
#[must_use]
pub fn error_body(error: &ErrorBody, status: u16, request_id: Option<&str>) -> Bytes {
    Bytes::from(error_json(error, status, request_id))
}

/// The same error as an event within a stream, which ends it.
#[must_use]
pub fn error_event(error: &ErrorBody, status: u16, request_id: Option<&str>) -> Bytes {
    let data = error_json(error, status, request_id);
    Bytes::from(format!("event: error\ndata: {data}\n\n"))
}

fn error_json(error: &ErrorBody, status: u16, request_id: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        error: Inner<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Inner<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        param: Option<&'a str>,
        #[serde(flatten)]
        extra: &'a Map<String, Value>,
    }
    let body = Body {
        kind: "error",
        error: Inner {
            kind: error_type(status),
            message: error.message(),
            code: error.code_text(),
            param: error.param_text(),
            extra: error.extra_members(),
        },
        request_id,
    };
    serde_json::to_string(&body).unwrap_or_else(|_| {
        r#"{"type":"error","error":{"type":"api_error","message":"internal error"}}"#.to_owned()
    })
}

/// One model in the shape of the dialect.
#[must_use]
pub fn model(model: &Model) -> Bytes {
    Bytes::from(model_value(model).to_string())
}

/// The body of the list of models; all of them on one page.
#[must_use]
pub fn model_list(models: &[Model]) -> Bytes {
    let id = |model: Option<&Model>| model.map(|model| model.id().to_owned());
    let list = json!({
        "data": models.iter().map(model_value).collect::<Vec<_>>(),
        "first_id": id(models.first()),
        "has_more": false,
        "last_id": id(models.last()),
    });
    Bytes::from(list.to_string())
}

fn model_value(model: &Model) -> Value {
    let mut value = json!({
        "type": "model",
        "id": model.id(),
        "display_name": model.id(),
        "created_at": jiff::Timestamp::from_second(model.created_at()).unwrap_or_default().to_string(),
    });
    if let Some(members) = value.as_object_mut() {
        let extra = model.extra_members().iter();
        members.extend(extra.map(|(key, value)| (key.clone(), value.clone())));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn errors_keep_their_details_inside() {
        let error = ErrorBody::new("denied", "permission_error")
            .code("policy_denied")
            .param("model")
            .extra("facts", json!([1]));
        let want = json!({
            "type": "error",
            "error": {
                "type": "permission_error", "message": "denied", "code": "policy_denied", "param": "model", "facts": [1],
            },
            "request_id": "rec_1",
        });
        assert_eq!(parsed(&error_body(&error, 403, Some("rec_1"))), want);
        let event = error_event(&error, 403, Some("rec_1"));
        let data = event.strip_prefix(b"event: error\ndata: ").unwrap();
        assert_eq!(parsed(data.strip_suffix(b"\n\n").unwrap()), want);
    }

    #[test]
    fn every_status_has_a_type_that_clients_know() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (405, "invalid_request_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
        ] {
            assert_eq!(error_type(status), kind, "{status}");
        }
    }

    #[test]
    fn the_list_of_models_has_the_shape_that_clients_read() {
        let models = [
            Model::new("a", "x").created(86_400),
            Model::new("b", "x").extra("denied", "no"),
        ];
        let list = parsed(&model_list(&models));
        assert_eq!(
            list,
            json!({
                "data": [
                    {"type": "model", "id": "a", "display_name": "a", "created_at": "1970-01-02T00:00:00Z"},
                    {"type": "model", "id": "b", "display_name": "b", "created_at": "1970-01-01T00:00:00Z", "denied": "no"},
                ],
                "first_id": "a", "has_more": false, "last_id": "b",
            })
        );
        assert_eq!(parsed(&model(&models[0])), list["data"][0]);
        assert_eq!(
            parsed(&model_list(&[])),
            json!({"data": [], "first_id": null, "has_more": false, "last_id": null})
        );
    }
}
