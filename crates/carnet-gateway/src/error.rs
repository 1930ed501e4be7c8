//! The only place where an outcome becomes an HTTP status and body.

use std::sync::Arc;

use bytes::Bytes;
use carnet_policy::{Denial, Effect, Verdict};
use carnet_wire::openai::ErrorBody;
use carnet_wire::responses::StreamSoFar;
use carnet_wire::{anthropic, bedrock, google};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Response};
use serde_json::json;

use crate::codes::Code;
use crate::ingress::Dialect;
use crate::metrics::Origin;
use crate::relay::ResponseBody;

/// Tells stock clients not to ask again by themselves.
pub(crate) const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Policy does not permit it.
    Denied(Box<Denied>),
    /// Something else is in the way.
    Fault(Fault),
}

/// A denial with what the caller is told about it.
#[derive(Debug)]
pub(crate) struct Denied {
    /// The decision.
    pub(crate) denial: Denial,
    /// The name that the caller asked for.
    pub(crate) requested: String,
    /// Its node in the registry or overlay.
    pub(crate) model: Option<Arc<str>>,
    /// The host behind the upstream.
    pub(crate) host: Option<Arc<str>>,
    /// How much is known of where it comes from.
    pub(crate) origin: Origin,
    /// Lines that would complete what is unknown, when that is what is missing.
    pub(crate) overlay: Option<String>,
}

/// An error with its code and the text for the caller.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Code, status and type.
    pub(crate) code: Code,
    /// What happened, with the fix where there is one.
    pub(crate) message: String,
    /// The request field concerned.
    pub(crate) param: Option<String>,
    /// Seconds to wait.
    pub(crate) retry_after: Option<u32>,
    /// The method that would have been served.
    pub(crate) allow: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            allow: None,
        }
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn allow(mut self, method: &'static str) -> Self {
        self.allow = Some(method);
        self
    }

    fn body(&self, record: Option<&str>) -> ErrorBody {
        let mut body =
            ErrorBody::new(self.message.as_str(), self.code.kind()).code(self.code.as_str());
        if let Some(param) = &self.param {
            body = body.param(param.as_str());
        }
        with_record(body, record)
    }
}

/// How a stream ends when it must, by its dialect.
#[derive(Debug)]
pub(crate) enum StreamEnd {
    /// By an error as data.
    OpenAi,
    /// By the response as it began, failed.
    Responses(StreamSoFar),
    /// By an error event.
    Messages,
    /// By an error as data, too.
    GenerateContent,
    /// By an exception.
    Converse,
}

impl From<Dialect> for StreamEnd {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAi => Self::OpenAi,
            Dialect::Responses => Self::Responses(StreamSoFar::default()),
            Dialect::Messages => Self::Messages,
            Dialect::GenerateContent => Self::GenerateContent,
            Dialect::Converse => Self::Converse,
        }
    }
}

impl StreamEnd {
    /// Looks at a piece of the stream.
    pub(crate) fn passes(&mut self, piece: &Bytes) {
        if let Self::Responses(so_far) = self {
            so_far.push(piece);
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Stop {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Denied(_) => Code::PolicyDenied,
            Self::Fault(fault) => fault.code,
        }
    }

    /// `record` is the id under which the log has this request.
    fn error(&self, record: Option<&str>) -> ErrorBody {
        match self {
            Self::Denied(denied) => denied_body(denied, record),
            Self::Fault(fault) => fault.body(record),
        }
    }

    /// The body in OpenAI's shape, where no record is told.
    pub(crate) fn body(&self) -> Bytes {
        self.error(None).to_body()
    }

    /// The whole response. `record` is the id under which the log has this request.
    pub(crate) fn response(
        &self,
        dialect: Dialect,
        record: Option<&str>,
    ) -> Response<ResponseBody> {
        let code = self.code();
        let (error, status) = (self.error(record), code.status().as_u16());
        let mut response = Response::new(ResponseBody::full(match dialect {
            Dialect::Converse => bedrock::error_body(&error),
            Dialect::GenerateContent => google::error_body(&error, status),
            Dialect::Messages => anthropic::error_body(&error, status, record),
            Dialect::OpenAi | Dialect::Responses => error.to_body(),
        }));
        *response.status_mut() = code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if dialect == Dialect::Converse {
            let kind = HeaderValue::from_static(bedrock::error_type(status));
            headers.insert(HeaderName::from_static(bedrock::ERROR_TYPE_HEADER), kind);
        }
        let retry = if code.retry() { "true" } else { "false" };
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(retry));
        if let Self::Fault(fault) = self {
            if let Some(seconds) = fault.retry_after {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            if let Some(method) = fault.allow {
                headers.insert(ALLOW, HeaderValue::from_static(method));
            }
        }
        response
    }

    /// The same as the event that ends a stream.
    pub(crate) fn event(&self, ends: &StreamEnd, record: &str) -> Bytes {
        let error = self.error(Some(record));
        let status = self.code().status().as_u16();
        match ends {
            StreamEnd::Converse => bedrock::error_event(&error, status),
            StreamEnd::GenerateContent => google::error_event(&error, status),
            StreamEnd::Messages => anthropic::error_event(&error, status, Some(record)),
            StreamEnd::OpenAi => error.to_event(),
            StreamEnd::Responses(so_far) => so_far.failed_event(&error),
        }
    }
}

fn denied_body(denied: &Denied, record: Option<&str>) -> ErrorBody {
    let verdict = denied.denial.verdict();
    let message = denial_message(&denied.requested, verdict);
    let permitted: Vec<&str> = permitted_instead(verdict).collect();
    let mut body = ErrorBody::new(message, Code::PolicyDenied.kind())
        .param("model")
        .code(Code::PolicyDenied.as_str())
        .extra("reasons", json!(verdict.reasons()))
        .extra("facts", json!(verdict.facts()))
        .extra("permitted", json!(permitted));
    if let Some(overlay) = &denied.overlay {
        body = body.extra("help", overlay.as_str());
    }
    with_record(body, record)
}

fn with_record(body: ErrorBody, record: Option<&str>) -> ErrorBody {
    match record {
        Some(record) => body.extra("record", record),
        None => body,
    }
}

/// What a developer reads who never heard of Carnet: what was refused, why, on which facts, and
/// what would be let through.
fn denial_message(requested: &str, verdict: &Verdict) -> String {
    let mut message = format!("`{requested}` is not permitted here");
    for (at, reason) in verdict.reasons().iter().enumerate() {
        message.push_str(if at == 0 { ": " } else { "; " });
        message.push_str(&reason.title);
    }
    let mut facts = verdict.facts().iter().take(FACTS_TOLD).peekable();
    if facts.peek().is_some() {
        message.push_str(". It rests on: ");
    }
    for (at, fact) in facts.enumerate() {
        if at > 0 {
            message.push_str("; ");
        }
        message.push_str(&format!(
            "{} = {} ({}, confidence {})",
            fact.claim, fact.value, fact.source, fact.confidence
        ));
    }
    let mut permitted = permitted_instead(verdict).peekable();
    if permitted.peek().is_some() {
        message.push_str(". Permitted instead: ");
        message.push_str(&permitted.collect::<Vec<_>>().join(", "));
    }
    message
}

/// Facts in the sentence; the body's `facts` has all of them.
const FACTS_TOLD: usize = 4;

fn permitted_instead(verdict: &Verdict) -> impl Iterator<Item = &str> {
    verdict
        .counterfactuals()
        .iter()
        .filter(|other| other.decision == Effect::Permit)
        .map(|other| &*other.change)
}
