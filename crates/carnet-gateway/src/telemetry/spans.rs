//! Spans of a request that has ended: one of ours, and one for each attempt, with the attributes of OpenTelemetry's conventions.
//!
//! Those of generative AI are 1.42.0, of the page
//! <https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md>, those of HTTP servers of
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>. Messages and their numbers are those of
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto>.

use bytes::Bytes;
use carnet_audit::{Attempt, Outcome, Record, Ruling};
use http::Uri;

use super::SCHEMA;
use super::protobuf::Message;
use super::providers;
use crate::ended::Ended;
use crate::limits::TELEMETRY_TEXT_BYTES_MAX;
use crate::trace::{Leg, Trace};

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// Of a span's status.
const ERROR: u64 = 2;
/// That it is known whether the parent is of another process, and that it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 1;

/// Attributes of one thing.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    message: Message,
    field: u8,
}

impl Attributes {
    /// In this field of the message around them.
    pub(super) fn of(field: u8) -> Self {
        Self {
            message: Message::default(),
            field,
        }
    }

    fn put(&mut self, key: &str, value: &Message) {
        let mut pair = Message::default();
        pair.text(1, key);
        pair.message(2, value);
        self.message.message(self.field, &pair);
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        let mut value = Message::default();
        value.text(1, short(text));
        self.put(key, &value);
    }

    pub(super) fn maybe(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        let mut value = Message::default();
        value.number(2, flag.into());
        self.put(key, &value);
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        let mut value = Message::default();
        value.number(3, number);
        self.put(key, &value);
    }

    fn seconds(&mut self, key: &str, us: u64) {
        let mut value = Message::default();
        value.double(4, us as f64 / 1e6);
        self.put(key, &value);
    }

    fn texts<'a>(&mut self, key: &str, texts: impl Iterator<Item = &'a str>) {
        let mut list = Message::default();
        for text in texts {
            let mut value = Message::default();
            value.text(1, short(text));
            list.message(1, &value);
        }
        let mut value = Message::default();
        value.message(5, &list);
        self.put(key, &value);
    }

    pub(super) fn message(&self) -> &Message {
        &self.message
    }
}

/// As much of a text as is told.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TELEMETRY_TEXT_BYTES_MAX))
        .unwrap_or_default()
}

/// Who tells all this.
pub(super) fn resource(service: &str, instance: &str) -> Message {
    let mut attributes = Attributes::of(1);
    attributes.text("service.name", service);
    attributes.text("service.version", env!("CARGO_PKG_VERSION"));
    attributes.text("service.instance.id", instance);
    attributes.message.clone()
}

/// A whole request to a collector, of spans or of metrics: the messages around them are alike.
pub(super) fn request(resource: &Message, items: &Message) -> Bytes {
    let mut scope = Message::default();
    scope.text(1, "carnet");
    scope.text(2, env!("CARGO_PKG_VERSION"));
    let mut of_scope = Message::default();
    of_scope.message(1, &scope);
    of_scope.append(items);
    of_scope.text(3, SCHEMA);
    let mut of_resource = Message::default();
    of_resource.message(1, resource);
    of_resource.message(2, &of_scope);
    let mut request = Message::default();
    request.message(1, &of_resource);
    request.into_bytes()
}

/// Write the spans of a request, if its trace is told; how many.
pub(super) fn write(ended: &Ended, to: &mut Message) -> usize {
    let Some(trace) = ended.trace.as_ref().filter(|trace| trace.sampled) else {
        return 0;
    };
    to.message(2, &server_span(ended, trace));
    let mut count = 1;
    for attempt in &ended.record.attempts {
        let leg = trace.legs.iter().find(|leg| leg.number == attempt.n);
        if let Some(leg) = leg {
            to.message(2, &client_span(ended, trace, attempt, leg));
            count += 1;
        }
    }
    count
}

fn server_span(ended: &Ended, trace: &Trace) -> Message {
    let record = &ended.record;
    let timings = record.timings.unwrap_or_default();
    let mut attributes = Attributes::of(9);
    attributes.text("http.request.method", trace.method.as_str());
    attributes.text("url.path", &trace.path);
    let route = route(record, &trace.path);
    attributes.maybe("http.route", route);
    if let Some(status) = record.status {
        attributes.number("http.response.status_code", status.into());
    }
    if let Some(operation) = record.api.as_deref().and_then(operation) {
        attributes.text("gen_ai.operation.name", operation);
        let host = trace.legs.last().and_then(|leg| leg.host.as_deref());
        let provider = host.map(providers::name);
        attributes.maybe(
            "gen_ai.provider.name",
            provider.or(record.upstream.as_deref()),
        );
    }
    of_model(&mut attributes, ended, record.requested_model.as_deref());
    attributes.text("carnet.record.id", &record.id);
    attributes.maybe("carnet.workload", record.workload.as_deref());
    attributes.maybe("carnet.decision", record.decision.map(Ruling::as_str));
    attributes.texts("carnet.rule", record.rules.iter().map(|rule| &**rule));
    attributes.text("carnet.outcome", record.outcome.as_str());
    attributes.maybe("carnet.target.model", record.resolved_model.as_deref());
    attributes.maybe("carnet.target.upstream", record.upstream.as_deref());
    attributes.maybe("carnet.target.host", record.host.as_deref());
    attributes.maybe("carnet.policy.version", record.policy_version.as_deref());
    attributes.maybe(
        "carnet.registry.version",
        record.registry_version.as_deref(),
    );
    let error = server_error(record);
    attributes.maybe("error.type", error.as_deref());
    let name = match route {
        Some(route) => format!("{} {route}", trace.method),
        None => trace.method.to_string(),
    };
    let parent = trace.parent.map(|parent| parent.0);
    let flags = if parent.is_some() {
        HAS_IS_REMOTE | IS_REMOTE
    } else {
        HAS_IS_REMOTE
    };
    let mut span = begun(trace, &trace.span.0, parent.as_ref(), &name, SERVER);
    times(&mut span, record, 0, timings.total_us);
    span.append(attributes.message());
    ended_so(&mut span, error.is_some(), flags);
    span
}

fn client_span(ended: &Ended, trace: &Trace, attempt: &Attempt, leg: &Leg) -> Message {
    let record = &ended.record;
    let mut attributes = Attributes::of(9);
    let operation = record.api.as_deref().and_then(operation);
    attributes.maybe("gen_ai.operation.name", operation);
    attributes.text("gen_ai.provider.name", provider(attempt, leg));
    if is_answered(record, attempt) {
        of_model(&mut attributes, ended, Some(&leg.model));
        let first = ended.first_piece_us.filter(|_| record.stream);
        if let Some(first) = first {
            let waited = first.saturating_sub(attempt.started_us);
            attributes.seconds("gen_ai.response.time_to_first_chunk", waited);
        }
    } else {
        attributes.text("gen_ai.request.model", &leg.model);
        attributes.flag("gen_ai.request.stream", record.stream);
    }
    if let Some((address, port)) = server(&attempt.origin) {
        attributes.text("server.address", &address);
        if let Some(port) = port {
            attributes.number("server.port", port.into());
        }
    }
    if let Some(status) = attempt.status {
        attributes.number("http.response.status_code", status.into());
    }
    attributes.number("carnet.attempt", attempt.n.into());
    attributes.text("carnet.target.upstream", &attempt.upstream);
    attributes.maybe("carnet.target.host", leg.host.as_deref());
    attributes.text("carnet.record.id", &record.id);
    let error = attempt_error(record, attempt);
    attributes.maybe("error.type", error.as_deref());
    let name = match operation {
        Some(operation) => format!("{operation} {}", short(&leg.model)),
        None => "GET".to_owned(),
    };
    let mut span = begun(trace, &leg.span.0, Some(&trace.span.0), &name, CLIENT);
    times(
        &mut span,
        record,
        attempt.started_us,
        end_of(record, attempt),
    );
    span.append(attributes.message());
    ended_so(&mut span, error.is_some(), HAS_IS_REMOTE);
    span
}

/// What was asked of a model, and what it says of its answer.
fn of_model(attributes: &mut Attributes, ended: &Ended, requested: Option<&str>) {
    let record = &ended.record;
    if requested.is_none() {
        return;
    }
    attributes.maybe("gen_ai.request.model", requested);
    attributes.flag("gen_ai.request.stream", record.stream);
    attributes.maybe("gen_ai.response.model", record.reported_model.as_deref());
    let Some(tokens) = record.tokens.filter(|tokens| !tokens.estimated) else {
        return;
    };
    attributes.number("gen_ai.usage.input_tokens", tokens.input);
    attributes.number("gen_ai.usage.output_tokens", tokens.output);
    for (key, tokens) in [
        ("gen_ai.usage.cache_read.input_tokens", tokens.cache_read),
        (
            "gen_ai.usage.cache_creation.input_tokens",
            tokens.cache_write,
        ),
        ("gen_ai.usage.reasoning.output_tokens", tokens.reasoning),
    ] {
        if tokens > 0 {
            attributes.number(key, tokens);
        }
    }
}

/// `gen_ai.provider.name` of an attempt.
pub(super) fn provider<'a>(attempt: &'a Attempt, leg: &'a Leg) -> &'a str {
    let host = leg.host.as_deref().map(providers::name);
    host.unwrap_or(&attempt.upstream)
}

/// `gen_ai.operation.name` of a kind of request; none where no model is asked.
pub(super) fn operation(api: &str) -> Option<&'static str> {
    Some(match api {
        "chat-completions" | "converse" | "messages" | "responses" => "chat",
        "completions" => "text_completion",
        "embeddings" => "embeddings",
        "generate-content" => "generate_content",
        _ => return None,
    })
}

/// The path of a request that was understood, where no name stands in it: there are few of these.
fn route<'a>(record: &Record, path: &'a str) -> Option<&'a str> {
    record.api.as_ref()?;
    let named = [
        "/v1beta/models/",
        "/v1/models/",
        "/model/",
        "/v1/responses/",
    ];
    let known = path.starts_with("/v1/") || path.starts_with("/v1beta/");
    (known && !named.iter().any(|named| path.starts_with(named))).then_some(path)
}

/// Name and port of an origin, or the path of a socket.
pub(super) fn server(origin: &str) -> Option<(String, Option<u16>)> {
    if let Some(socket) = origin.strip_prefix("unix:") {
        return Some((socket.to_owned(), None));
    }
    let uri: Uri = origin.parse().ok()?;
    let https = uri.scheme_str() == Some("https");
    let usual = if https { 443 } else { 80 };
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    Some((host, Some(uri.port_u16().unwrap_or(usual))))
}

/// Whether the answer to the caller is that of this attempt.
pub(super) fn is_answered(record: &Record, attempt: &Attempt) -> bool {
    let last = record.attempts.last();
    attempt.error.is_none() && last.is_some_and(|last| last.n == attempt.n)
}

/// When an attempt ended, in microseconds after the request's start.
pub(super) fn end_of(record: &Record, attempt: &Attempt) -> u64 {
    let total = record.timings.unwrap_or_default().total_us;
    if is_answered(record, attempt) {
        total
    } else {
        attempt.started_us.saturating_add(attempt.duration_us)
    }
}

/// `error.type` of an attempt.
pub(super) fn attempt_error(record: &Record, attempt: &Attempt) -> Option<String> {
    if let Some(code) = &attempt.error {
        return Some(code.to_string());
    }
    match attempt.status {
        Some(status @ 400..) => Some(status.to_string()),
        _ if is_failure(record.outcome) => Some(record.outcome.as_str().to_owned()),
        _ => None,
    }
}

/// `error.type` of a request: a caller's mistake is none of the server's.
fn server_error(record: &Record) -> Option<String> {
    if is_failure(record.outcome) {
        return Some(record.outcome.as_str().to_owned());
    }
    let status = record.status.filter(|status| *status >= 500);
    status.map(|status| status.to_string())
}

fn is_failure(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Cut
            | Outcome::Interrupted
            | Outcome::Mismatch
            | Outcome::Timeout
            | Outcome::UpstreamError
    )
}

fn begun(trace: &Trace, id: &[u8; 8], parent: Option<&[u8; 8]>, name: &str, kind: u64) -> Message {
    let mut span = Message::default();
    span.bytes(1, &trace.id.0);
    span.bytes(2, id);
    let state = trace.state.as_ref().and_then(|state| state.to_str().ok());
    if let Some(state) = state {
        span.text(3, state);
    }
    if let Some(parent) = parent {
        span.bytes(4, parent);
    }
    span.text(5, name);
    span.number(6, kind);
    span
}

fn times(span: &mut Message, record: &Record, from_us: u64, to_us: u64) {
    let start = u64::try_from(record.time.as_nanosecond()).unwrap_or(0);
    let after = |us: u64| start.saturating_add(us.saturating_mul(1_000));
    span.fixed64(7, after(from_us));
    span.fixed64(8, after(to_us.max(from_us)));
}

fn ended_so(span: &mut Message, failed: bool, flags: u32) {
    if failed {
        let mut status = Message::default();
        status.number(3, ERROR);
        span.message(15, &status);
    }
    span.fixed32(16, SAMPLED | flags);
}
