//! Errors as clients of OpenAI's dialect read them.

use bytes::Bytes;
use carnet_wire::openai::ErrorBody;
use http::StatusCode;

use crate::codes::Code;
use crate::refusal::Refusal;

/// Why a request is not answered.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// Seconds after which asking again makes sense.
    pub(super) retry_after: Option<u64>,
    error: Box<ErrorBody>,
}

impl Problem {
    /// The request is wrong at this place.
    pub(super) fn invalid(place: impl Into<String>, message: impl Into<String>) -> Self {
        let error = ErrorBody::new(message, "invalid_request_error")
            .param(place)
            .code("invalid_value");
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// The request asks for what this server does not do.
    pub(super) fn unsupported(place: impl Into<String>, message: impl Into<String>) -> Self {
        let error = ErrorBody::new(message, "invalid_request_error")
            .param(place)
            .code("unsupported_parameter");
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn no_such_model(asked: &str, served: &str) -> Self {
        let message = format!("there is no model `{asked}` here; this server runs `{served}`");
        let error = ErrorBody::new(message, "invalid_request_error")
            .param("model")
            .code("model_not_found");
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// As many requests wait as may.
    pub(super) fn busy(waiting: usize) -> Self {
        let message =
            format!("{waiting} requests wait for this model already; try again in a moment");
        let error = ErrorBody::new(message, "rate_limit_error").code(Code::Busy.as_str());
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, error)
        }
    }

    pub(super) fn stopped() -> Self {
        let error =
            ErrorBody::new("the engine is stopping", "server_error").code(Code::Stopping.as_str());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    pub(super) fn plain(status: StatusCode, message: &str) -> Self {
        Self::new(status, ErrorBody::new(message, "invalid_request_error"))
    }

    fn new(status: StatusCode, error: ErrorBody) -> Self {
        Self {
            status,
            retry_after: None,
            error: Box::new(error),
        }
    }

    pub(super) fn body(&self) -> Bytes {
        self.error.to_body()
    }

    pub(super) fn event(&self) -> Bytes {
        self.error.to_event()
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let message = format!("{}: {}; {}", refusal.place, refusal.reason, refusal.fix);
        let (status, class, code) = match refusal.code {
            // The word that clients of the dialect look for.
            Code::PromptTooLong => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "context_length_exceeded",
            ),
            // The template was good when the model was loaded, so these messages are the reason.
            Code::SettingInvalid
            | Code::TemplateInvalid
            | Code::TemplateMissing
            | Code::TemplateOverLimit
            | Code::TemplateRefused => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                refusal.code.as_str(),
            ),
            code => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                code.as_str(),
            ),
        };
        let error = ErrorBody::new(message, class)
            .param(refusal.place.clone())
            .code(code);
        Self::new(status, error)
    }
}
