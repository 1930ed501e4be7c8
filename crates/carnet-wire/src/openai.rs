//! Bodies that Carnet itself answers with in the OpenAI dialect: errors, errors within a stream, the list of models.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

/// The event that ends a stream.
pub const DONE_EVENT: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Sent should a body ever fail to serialise, so that the caller never gets an empty one.
const FALLBACK: &str =
    r#"{"error":{"message":"internal error","type":"server_error","param":null,"code":null}}"#;

/// An error in the shape that OpenAI clients read: `{"error":{"message","type","param","code",…}}`.
///
/// ```
/// use carnet_wire::openai::ErrorBody;
///
/// let error = ErrorBody::new("no such model", "invalid_request_error").code("model_not_found").param("model");
/// assert_eq!(
///     error.to_body(),
///     r#"{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorBody {
    message: String,
    #[serde(rename = "type")]
    class: String,
    param: Option<String>,
    code: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl ErrorBody {
    /// An error with a message for people and a type such as `invalid_request_error`.
    pub fn new(message: impl Into<String>, class: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            class: class.into(),
            param: None,
            code: None,
            extra: Map::new(),
        }
    }

    /// Names the field that is wrong; `null` otherwise.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Gives the stable code that programs test; `null` otherwise.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds a member of our own. The four members of the dialect cannot be changed this way.
    #[must_use]
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        let key = key.into();
        if !matches!(key.as_str(), "message" | "type" | "param" | "code") {
            self.extra.insert(key, value.into());
        }
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn code_text(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(crate) fn param_text(&self) -> Option<&str> {
        self.param.as_deref()
    }

    pub(crate) fn extra_members(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// The body of an error response.
    pub fn to_body(&self) -> Bytes {
        Bytes::from(self.to_json())
    }

    /// The same error as an event within a stream: `data: {…}` and a blank line.
    pub fn to_event(&self) -> Bytes {
        Bytes::from(format!("data: {}\n\n", self.to_json()))
    }

    fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a ErrorBody,
        }
        to_json(&Body { error: self })
    }
}

/// One entry of the list of models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: String,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Model {
    /// A model under the name that callers use.
    pub fn new(id: impl Into<String>, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: "model",
            created: 0,
            owned_by: owned_by.into(),
            extra: Map::new(),
        }
    }

    /// Sets the time of creation in seconds since 1970; 0 otherwise.
    #[must_use]
    pub fn created(mut self, seconds: i64) -> Self {
        self.created = seconds;
        self
    }

    /// Adds a member of our own. The four members of the dialect cannot be changed this way.
    #[must_use]
    pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        let key = key.into();
        if !matches!(key.as_str(), "id" | "object" | "created" | "owned_by") {
            self.extra.insert(key, value.into());
        }
        self
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn created_at(&self) -> i64 {
        self.created
    }

    pub(crate) fn extra_members(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// The body that answers for one model.
    pub fn to_body(&self) -> Bytes {
        Bytes::from(to_json(self))
    }
}

/// The body of `/v1/models`.
pub fn model_list(models: &[Model]) -> Bytes {
    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        data: &'a [Model],
    }
    Bytes::from(to_json(&List {
        object: "list",
        data: models,
    }))
}

fn to_json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_else(|_| FALLBACK.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn errors_always_have_the_four_members() {
        let plain = ErrorBody::new("no", "server_error");
        assert_eq!(
            plain.to_body(),
            r#"{"error":{"message":"no","type":"server_error","param":null,"code":null}}"#
        );
        assert_eq!(
            FALLBACK,
            ErrorBody::new("internal error", "server_error").to_json()
        );
    }

    #[test]
    fn extra_members_stand_beside_them_and_never_twice() {
        let error = ErrorBody::new("denied", "permission_error")
            .code("policy_denied")
            .extra("record", "r-1")
            .extra("record", "r-2")
            .extra("facts", json!([{"claim": "producer"}]))
            .extra("code", "other")
            .extra("type", 7);
        let want = json!({"error": {
            "message": "denied", "type": "permission_error", "param": null, "code": "policy_denied",
            "record": "r-2", "facts": [{"claim": "producer"}],
        }});
        assert_eq!(parsed(&error.to_body()), want);
        let text = String::from_utf8(error.to_body().to_vec()).unwrap();
        assert_eq!(text.matches("\"code\"").count(), 1, "{text}");
    }

    #[test]
    fn an_event_is_one_line_whatever_the_message() {
        let error = ErrorBody::new("two\nlines\r\n\u{2028}\"quoted\"", "server_error");
        let event = String::from_utf8(error.to_event().to_vec()).unwrap();
        let data = event
            .strip_prefix("data: ")
            .and_then(|rest| rest.strip_suffix("\n\n"))
            .unwrap();
        assert!(!data.contains(['\n', '\r']), "{event}");
        assert_eq!(
            parsed(data.as_bytes())["error"]["message"],
            "two\nlines\r\n\u{2028}\"quoted\""
        );
    }

    #[test]
    fn the_list_of_models_has_the_shape_that_clients_read() {
        let models = [
            Model::new("fast", "acme"),
            Model::new("slow", "acme").created(7).extra("denied", true),
        ];
        assert_eq!(
            model_list(&models),
            concat!(
                r#"{"object":"list","data":[{"id":"fast","object":"model","created":0,"owned_by":"acme"},"#,
                r#"{"id":"slow","object":"model","created":7,"owned_by":"acme","denied":true}]}"#
            )
        );
        assert_eq!(model_list(&[]), r#"{"object":"list","data":[]}"#);
        assert_eq!(
            models[0].to_body(),
            r#"{"id":"fast","object":"model","created":0,"owned_by":"acme"}"#
        );
    }
}
