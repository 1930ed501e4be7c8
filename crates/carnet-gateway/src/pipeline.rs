//! The life of a request, every stage in order, top to bottom.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use carnet_audit::Outcome;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::caller::{self, Caller};
use crate::codes::Code;
use crate::config::OnRevoke;
use crate::egress::{self, Answer, SendFailed};
use crate::error::{Fault, Stop};
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::{self, Call, Dialect, Extras, ModelPlace, Route};
use crate::limits::{ATTEMPTS_MAX, HEADER_FIELDS_MAX, LOSSES_SHOWN_MAX};
use crate::record::OpenRecord;
use crate::relay::{self, Answered, Relay, ResponseBody, Shape};
use crate::reported::Check;
use crate::resolve::Offer;
use crate::translate::{Translation, Translator};
use crate::{admit, models, resolve, screen};

/// Id of the record of this request.
const CARNET_RECORD: HeaderName = HeaderName::from_static("carnet-record");
/// What of the request could not be said in the dialect of its upstream.
const CARNET_LOSSES: HeaderName = HeaderName::from_static("carnet-losses");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// `permit`, `deny` or `report-deny`.
const CARNET_DECISION: HeaderName = HeaderName::from_static("carnet-decision");

/// Sent by clients of one dialect with every request.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Answer one request.
pub(crate) async fn handle(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    source: IpAddr,
    connection: CancellationToken,
) -> Response<ResponseBody> {
    let dialect = ingress::dialect_of(request.uri().path());
    if let Err(fault) = check_fields(&request) {
        return Stop::Fault(fault).response(dialect, None);
    }
    let generation = gateway.generation();
    if let Err(fault) = check_host(&generation, &request) {
        gateway.metrics().misdirected.inc();
        return Stop::Fault(fault).response(dialect, None);
    }
    match request.uri().path() {
        "/healthz" => return plain("ok"),
        "/readyz" => return ready(&gateway),
        _ => {}
    }
    // 1 identify
    let caller = match caller::identify(&generation, request.headers()) {
        Ok(caller) => caller,
        Err(fault) => return stranger(&gateway, fault, dialect, source),
    };
    // 7 record: opened first, so that nothing of an authenticated caller goes without
    let mut record = match OpenRecord::open(&gateway, &generation, &caller) {
        Ok(record) => record,
        Err(fault) => return Stop::Fault(fault).response(dialect, None),
    };
    let (own, dialect) = match ingress::route(request.method(), request.uri().path()) {
        Ok(Route::Call(call, place)) => {
            let asked = (call, place, request);
            return match answer(&gateway, &generation, &caller, asked, &mut record).await {
                Ok(answer) => relayed(answer, &generation, record, connection).await,
                Err(stop) => refused(stop, call.dialect(), record).await,
            };
        }
        Ok(Route::Models) => {
            let dialect = read_by(&request);
            let asked = (dialect, request.uri().query());
            let list = models::list(&gateway, &generation, &caller, asked, &mut record);
            (list, dialect)
        }
        Ok(Route::Model(name)) => {
            let dialect = read_by(&request);
            let asked = (dialect, &*name);
            let one = models::one(&gateway, &generation, &caller, asked, &mut record);
            (one, dialect)
        }
        Err(fault) => return refused(fault.into(), dialect, record).await,
    };
    match own {
        Ok(bytes) => whole(bytes, dialect, record).await,
        Err(stop) => refused(stop, dialect, record).await,
    }
}

/// Whose shapes a client reads that asks for models: the path is the same for two dialects.
fn read_by(request: &Request<Incoming>) -> Dialect {
    if request.headers().contains_key(ANTHROPIC_VERSION) {
        Dialect::Messages
    } else {
        Dialect::OpenAi
    }
}

/// An upstream's answer, with what it answers.
struct Answering<'a> {
    call: Call,
    answer: Answer,
    offer: &'a Offer,
    translation: Option<Translation>,
}

/// Ask for a model, and give what it answers.
async fn answer<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    caller: &Caller,
    (call, place, request): (Call, ModelPlace, Request<Incoming>),
    record: &mut OpenRecord,
) -> Result<Answering<'a>, Stop> {
    let principal = caller::principal(generation, caller)?;
    let reader = generation.reader(call).ok_or_else(|| no_rules(call))?;
    let extras = Extras::of(call, request.headers(), request.uri().query());
    let body = ingress::read_body(request.into_body(), generation.server().body_bytes_max).await?;
    record.received(body.len());
    let prompt = ingress::read(call, place, extras, body, reader.watch())?;
    // 2 resolve
    let named = resolve::offers(generation, &prompt.model);
    let name = named
        .as_ref()
        .map_or_else(|_| (&*prompt.model).into(), |(name, _)| Arc::clone(name));
    record.asked(gateway.words().api(call.api()), name, prompt.stream);
    let (_, offers) = named?;
    for attempt in 1..=ATTEMPTS_MAX {
        let now = gateway.now();
        // 3 decide: each attempt spends a permit of its own
        let (permit, offer) = admit::decide(
            gateway.service(),
            generation,
            principal,
            offers,
            &prompt,
            now,
        )
        .inspect_err(|stop| record.denied(stop))?;
        record.permitted(permit.verdict(), offer);
        // 4 guard
        let fields = reader.fields(offer.upstream.name());
        let fields = fields.ok_or_else(|| no_rules(call))?;
        let on_loss = generation.server().on_loss;
        let cleared = screen::clear(permit, &prompt, offer, fields, on_loss)?;
        let translation = cleared.translation().cloned();
        record.cleared(&cleared);
        // 7 record: the intent lies in the journal before anything is dialled
        record.intent().await?;
        // 5 send
        let decoded_max = generation.server().decoded_max;
        let (sent, answer) = egress::send(&offer.upstream, cleared, decoded_max, now);
        record.attempt(attempt, &offer.upstream, sent);
        let answered = tokio::select! {
            biased;
            answered = answer => answered,
            fault = interrupted(record, generation.server().on_revoke) => Err(SendFailed {
                fault,
                unsent: false,
            }),
        };
        let stopped = match answered {
            Ok(answer) => {
                record.answered(answer.response.status(), answer.coding);
                return Ok(Answering {
                    call,
                    answer,
                    offer,
                    translation,
                });
            }
            Err(stopped) => stopped,
        };
        record.attempt_failed(stopped.fault.code);
        if !(stopped.unsent && attempt < ATTEMPTS_MAX) {
            return Err(stopped.fault.into());
        }
    }
    Err(Fault::new(
        Code::UpstreamClosed,
        "the upstream kept closing its connections",
    )
    .into())
}

fn no_rules(call: Call) -> Fault {
    let message = format!(
        "the registry in force says nothing of the fields of {}, so nothing is sent there; ask your operator to update it",
        call.served_at()
    );
    Fault::new(Code::ApiNotOffered, message)
}

/// Ends when the request must, before its answer has begun.
async fn interrupted(record: &OpenRecord, on_revoke: OnRevoke) -> Fault {
    record.revoked().cancelled().await;
    match record.interruption(on_revoke) {
        Some(fault) => fault,
        None => pending().await,
    }
}

// 6 stream back; the record goes along and ends with the last byte
async fn relayed(
    Answering {
        call,
        answer,
        offer,
        translation,
    }: Answering<'_>,
    generation: &Arc<Generation>,
    record: OpenRecord,
    connection: CancellationToken,
) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
    let (mut head, body) = answer.response.into_parts();
    let mut answered = Answered::new(body, &head, record.is_stream());
    if let Some(translation) = &translation {
        let created = u64::try_from(record.time().as_second()).unwrap_or(0);
        let shape = answered.shape();
        let from = (head.status, shape);
        answered = answered.translated(Translator::new(translation, from, (record.id(), created)));
        let kind = if shape == Shape::Whole {
            JSON
        } else {
            EVENT_STREAM
        };
        head.headers.insert(CONTENT_TYPE, kind);
    }
    let idle_timeout = offer.upstream.config().idle_timeout;
    let check = Check {
        call,
        expected: offer.expected.clone(),
        generation: generation.clone(),
    };
    let relay = Relay::new(answered, record, check, idle_timeout, connection);
    let relay = match relay.opened().await {
        Ok(relay) => relay,
        Err((fault, record)) => return refused(fault.into(), call.dialect(), record).await,
    };
    if relay.rewrites() {
        egress::forget_bytes(&mut head.headers);
    }
    relay::filter_headers(&mut head.headers);
    head.extensions.clear();
    head.version = http::Version::HTTP_11;
    head.headers.reserve(offer.headers.len() + 2);
    for (name, value) in &offer.headers {
        head.headers.insert(name.clone(), value.clone());
    }
    if let Some(losses) = translation.and_then(|translation| losses_header(&translation.losses)) {
        head.headers.insert(CARNET_LOSSES, losses);
    }
    head.headers.insert(CARNET_DECISION, decision);
    head.headers.insert(CARNET_RECORD, id);
    Response::from_parts(head, ResponseBody::relay(relay))
}

/// What the upstream was not told. Losses are named in ASCII; what callers wrote is escaped in them.
fn losses_header(losses: &[Box<str>]) -> Option<HeaderValue> {
    let shown = losses.iter().take(LOSSES_SHOWN_MAX);
    let text = shown.map(|loss| &**loss).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        return None;
    }
    let ascii: String = text.chars().flat_map(char::escape_default).collect();
    HeaderValue::from_str(&ascii).ok()
}

async fn whole(bytes: Bytes, dialect: Dialect, record: OpenRecord) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
    let written = record
        .finish_written(Outcome::Completed, http::StatusCode::OK)
        .await;
    if let Err(fault) = written {
        return Stop::Fault(fault).response(dialect, None);
    }
    let mut response = Response::new(ResponseBody::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CARNET_DECISION, decision);
    response.headers_mut().insert(CARNET_RECORD, id);
    response
}

/// A refusal is told only when its record is in the journal.
async fn refused(stop: Stop, dialect: Dialect, record: OpenRecord) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
    let mut response = stop.response(dialect, Some(record.id()));
    if let Err(fault) = record
        .finish_written(stop.code().outcome(), stop.code().status())
        .await
    {
        return Stop::Fault(fault).response(dialect, None);
    }
    response.headers_mut().insert(CARNET_DECISION, decision);
    response.headers_mut().insert(CARNET_RECORD, id);
    response
}

fn stranger(
    gateway: &Gateway,
    fault: Fault,
    dialect: Dialect,
    source: IpAddr,
) -> Response<ResponseBody> {
    gateway.metrics().strangers.inc();
    if gateway.strangers().refuse(source, Instant::now()) {
        return Stop::Fault(fault).response(dialect, None);
    }
    let message =
        "too many requests without a valid key came from this address; wait, and check the key";
    let fault = Fault::new(Code::TooManyRefusals, message).retry_after(10);
    Stop::Fault(fault).response(dialect, None)
}

/// HTTP/1.1's parser stops at the bound by itself; HTTP/2's counts bytes only.
fn check_fields(request: &Request<Incoming>) -> Result<(), Fault> {
    if request.headers().len() <= HEADER_FIELDS_MAX {
        return Ok(());
    }
    Err(Fault::new(
        Code::TooManyHeaderFields,
        format!("the request has more than {HEADER_FIELDS_MAX} header fields"),
    ))
}

/// The Host header must name this listener: a page that rebinds its name to our address gets nothing.
fn check_host(generation: &Generation, request: &Request<Incoming>) -> Result<(), Fault> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next().and_then(|value| value.to_str().ok());
    let host = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or(header);
    let name = host.map(without_port).unwrap_or_default();
    let served = &generation.server().names;
    if headers.next().is_none()
        && served
            .iter()
            .any(|served| served.eq_ignore_ascii_case(name))
    {
        return Ok(());
    }
    Err(Fault::new(
        Code::HostNotServed,
        format!(
            "the Host `{}` is not one of this listener; the operator lists its names in `server.names`",
            name.escape_debug()
        ),
    ))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && !name.is_empty()
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn plain(text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(Bytes::from_static(text.as_bytes())));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn ready(gateway: &Gateway) -> Response<ResponseBody> {
    match gateway.not_ready() {
        None => plain("ready"),
        Some(why) => {
            let fault = Fault::new(Code::LogUnavailable, why);
            Stop::Fault(fault).response(Dialect::OpenAi, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off_and_nothing_else() {
        for (host, name) in [
            ("localhost:4390", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:4390", "[::1]"),
            ("[::1]", "[::1]"),
            ("a:b", "a:b"),
            (":80", ":80"),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }
}
