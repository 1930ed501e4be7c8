//! The only place where something that went wrong becomes a status and a JSON body.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};

use crate::answers::{ErrorAnswer, ErrorBody, Problem};
use crate::codes::Code;
use crate::store::StoreError;

/// An error with its code, the text for the caller and the fix.
#[derive(Debug)]
pub struct Fault {
    /// Code and status.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// How to mend it.
    pub help: String,
    /// Every single mistake, where there can be several.
    pub problems: Vec<Problem>,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: help.into(),
            problems: Vec::new(),
        }
    }

    fn body(self) -> ErrorAnswer {
        ErrorAnswer {
            error: ErrorBody {
                code: self.code.as_str().to_owned(),
                message: self.message,
                help: self.help,
                problems: self.problems,
            },
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::KeyExpired { .. } => Code::KeyExpired,
            StoreError::KeyRevoked { .. } => Code::KeyRevoked,
            StoreError::KeyUnknown { .. } => Code::KeyUnknown,
            StoreError::TooManySecrets { .. } => Code::TooManySecrets,
            _ => Code::StoreUnavailable,
        };
        Self::new(code, error.to_string(), error.help())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let code = self.code;
        let mut response = json(&self.body());
        *response.status_mut() = code.status();
        if code == Code::InvalidAdminToken {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json<T: serde::Serialize>(body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            bytes,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Code::InternalError.status().into_response()
        }
    }
}
