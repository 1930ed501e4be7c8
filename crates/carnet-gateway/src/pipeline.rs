//! The life of a request, every stage in order, top to bottom.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use carnet_audit::Outcome;
use carnet_wire::bedrock;
use carnet_wire::responses::socket::prepared_events;
use carnet_wire::stream::aws;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::attempts::{Answering, Asking, Attempts, Came, Leg, Told};
use crate::cache::{CacheUse, Wish};
use crate::caller::{self, Caller};
use crate::codes::Code;
use crate::conversations::Listening;
use crate::egress;
use crate::error::{Fault, Stop};
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::{self, Action, Call, Dialect, Extras, ModelPlace, Prompt, Route, Stored};
use crate::late::{self, Late};
use crate::limits::{HEADER_FIELDS_MAX, LOSSES_SHOWN_MAX};
use crate::record::OpenRecord;
use crate::relay::{self, Answered, Relay, ResponseBody, Shape, Told as Usage};
use crate::reported::Check;
use crate::resolve::{Offer, Offered};
use crate::scope::Use;
use crate::server::Via;
use crate::socket::{self, Asked, Memory, Session};
use crate::source::Source;
use crate::translate::Translator;
use crate::{found, models, resolve, screen, stored};

/// Id of the record of this request.
const CARNET_RECORD: HeaderName = HeaderName::from_static("carnet-record");
/// What of the request could not be said in the dialect of its upstream.
const CARNET_LOSSES: HeaderName = HeaderName::from_static("carnet-losses");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const AWS_STREAM: HeaderValue = HeaderValue::from_static(aws::MEDIA_TYPE);
/// How many tokens a request had, where the body of its answer does not say it.
const BEDROCK_TOKENS: HeaderName = HeaderName::from_static("x-amzn-bedrock-input-token-count");
/// `hit`, `miss` or `bypass`, where there is a cache of answers for the request.
const CARNET_CACHE: HeaderName = HeaderName::from_static("carnet-cache");
/// `permit`, `deny` or `report-deny`.
const CARNET_DECISION: HeaderName = HeaderName::from_static("carnet-decision");

/// Where a WebSocket is opened.
const SOCKET_PATH: &str = "/v1/responses";

/// Sent by clients of one dialect with every request.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Answer one request.
pub(crate) async fn handle(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    via: Via,
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
    let proxies = &generation.server().proxies;
    let source = proxies.source(via.source, request.headers());
    let caller = match caller::identify(
        &gateway,
        &generation,
        request.headers(),
        via.certificate.as_deref(),
    )
    .await
    {
        Ok(caller) => caller,
        Err(fault) => return stranger(&gateway, fault, dialect, source),
    };
    // 7 record: opened first, so that nothing of an authenticated caller goes without
    let mut record = match OpenRecord::open(&gateway, &generation, &caller) {
        Ok(record) => record,
        Err(fault) => return Stop::Fault(fault).response(dialect, None),
    };
    let place = (request.method(), request.uri().path());
    record.traced(place, request.headers());
    if let Err(fault) = caller.comes_from(source) {
        return refused(fault.into(), dialect, record).await;
    }
    if socket::is_asked_for(&request) {
        record.detail("opens a WebSocket");
        return match socket::open(&gateway, &caller, request, (via, source)) {
            Ok(response) => written(response, Dialect::Responses, record).await,
            Err(fault) => refused(fault.into(), Dialect::Responses, record).await,
        };
    }
    let (own, dialect) = match ingress::route(request.method(), request.uri().path()) {
        Ok(Route::Call(call, place)) => {
            let extras = Extras::of(call, request.headers(), request.uri().query());
            let wish = generation.cache().map(|_| Wish::of(request.headers()));
            let asked = (call, place, extras, Body::Arriving(request.into_body()));
            let attempts = asked_for(&gateway, &generation, &caller, asked, &mut record).await;
            let came = match attempts {
                Ok(mut attempts) => {
                    attempts.wishes(wish);
                    attempts.run_or_begin(&mut record).await
                }
                Err(stop) => Err(stop),
            };
            return match came {
                Ok(Came::Answer(answer)) => relayed(answer, record, via.dropped).await,
                Ok(Came::Late(leg)) => begun(leg, record, via.dropped),
                Err(stop) => refused(stop, call.dialect(), record).await,
            };
        }
        Ok(Route::Stored(asked)) => {
            if let Err(fault) = caller.may(Use::StoredResponses) {
                return refused(fault.into(), Dialect::Responses, record).await;
            }
            let asked = (&asked, request.uri().query());
            match kept_here(&gateway, &generation, &caller, asked, &mut record).await {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    return whole(answer, JSON, Dialect::Responses, record).await;
                }
                Err(stop) => return refused(stop, Dialect::Responses, record).await,
            }
            return match kept(&gateway, &generation, &caller, asked, &mut record).await {
                Ok(answer) => relayed(answer, record, via.dropped).await,
                Err(stop) => refused(stop, Dialect::Responses, record).await,
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
        Ok(bytes) => whole(bytes, JSON, dialect, record).await,
        Err(stop) => refused(stop, dialect, record).await,
    }
}

/// Answer one message of a socket. `asked` tells what it asks for as soon as that is known.
pub(crate) async fn turn(
    session: &Session,
    sent: socket::Sent,
    memory: Option<&Memory>,
    asked: &mut Option<Asked>,
) -> Response<ResponseBody> {
    let (gateway, dialect) = (&session.gateway, Dialect::Responses);
    let generation = gateway.generation();
    // 1 identify: the key may have been revoked since the socket was opened
    let caller = match caller::identify(
        gateway,
        &generation,
        &session.headers,
        session.certificate.as_deref(),
    )
    .await
    {
        Ok(caller) => caller,
        Err(fault) => return stranger(gateway, fault, dialect, session.source),
    };
    let mut record = match OpenRecord::open(gateway, &generation, &caller) {
        Ok(record) => record,
        Err(fault) => return Stop::Fault(fault).response(dialect, None),
    };
    record.detail("a message of a WebSocket");
    record.traced((&Method::GET, SOCKET_PATH), &session.headers);
    if let Err(fault) = caller.comes_from(session.source) {
        return refused(fault.into(), dialect, record).await;
    }
    let workload = &caller.key.workload;
    let is_kept = |id: &str| {
        let ids = gateway.state_ids();
        ids.find(workload, id, gateway.now()).is_some()
    };
    let before = async |id: &str| stored::before(gateway, &generation, workload, id).await;
    let read = match sent {
        Ok(message) => {
            record.received(message.len());
            socket::read(&message, memory, is_kept, before).await
        }
        Err(fault) => Err(fault),
    };
    let read = match read {
        Ok(read) => asked.insert(read),
        Err(fault) => return refused(fault.into(), dialect, record).await,
    };
    let body = Body::Here(read.body.clone(), read.joined);
    let asking = (Call::Responses, ModelPlace::Body, Extras::default(), body);
    if !read.generates {
        return match prepared(gateway, &generation, &caller, asking, &mut record).await {
            Ok(events) => whole(events, EVENT_STREAM, dialect, record).await,
            Err(stop) => refused(stop, dialect, record).await,
        };
    }
    let attempts = asked_for(gateway, &generation, &caller, asking, &mut record).await;
    let answered = match attempts {
        Ok(mut attempts) => attempts.run(&mut record).await,
        Err(stop) => Err(stop),
    };
    match answered {
        Ok(answer) => relayed(answer, record, session.connection.clone()).await,
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

/// The body of a request.
enum Body {
    Arriving(Incoming),
    /// And whether what it went on from was put in front of it.
    Here(Bytes, bool),
}

/// A request that has been read, and where it may go.
struct Resolved {
    offered: Arc<Offered>,
    /// The one that it has to go to, where it has no choice.
    only: Option<Arc<Offer>>,
    prompt: Box<Prompt>,
}

/// A request for a model, with where it may be sent.
async fn asked_for<'a>(
    gateway: &'a Arc<Gateway>,
    generation: &Arc<Generation>,
    caller: &'a Caller,
    asked: (Call, ModelPlace, Extras, Body),
    record: &mut OpenRecord,
) -> Result<Attempts<'a>, Stop> {
    let read = resolved(gateway, generation, caller, asked, record).await?;
    let targets = (read.offered, read.only);
    let asking = Asking::Prompt(read.prompt);
    // 3 decide, 4 guard, 5 send
    Ok(Attempts::new(
        (gateway, generation),
        caller,
        targets,
        asking,
    ))
}

/// Decide on a request that wants no answer yet: the events that say so.
async fn prepared(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    caller: &Caller,
    asked: (Call, ModelPlace, Extras, Body),
    record: &mut OpenRecord,
) -> Result<Bytes, Stop> {
    record.detail("prepares an answer");
    let read = resolved(gateway, generation, caller, asked, record).await?;
    let name = read.offered.name.clone();
    let targets = (read.offered, read.only);
    let asking = Asking::Prompt(read.prompt);
    Attempts::new((gateway, generation), caller, targets, asking).prepare(record)?;
    let id = format!("resp_{}", record.id());
    let created = u64::try_from(record.time().as_second()).unwrap_or(0);
    let events = prepared_events(&id, created, &name);
    let events = events
        .iter()
        .flat_map(|event| [b"data: ", &event[..], b"\n\n"]);
    Ok(events.collect::<Vec<_>>().concat().into())
}

/// Read a request, and find where it may go.
async fn resolved(
    gateway: &Gateway,
    generation: &Generation,
    caller: &Caller,
    (call, place, extras, body): (Call, ModelPlace, Extras, Body),
    record: &mut OpenRecord,
) -> Result<Resolved, Stop> {
    caller.may(Use::Ask(call.api()))?;
    caller::principal(generation, caller)?;
    let reader = generation
        .reader(call)
        .ok_or_else(|| screen::no_rules(call))?;
    let bytes_max = generation.server().body_bytes_max;
    let (body, joined) = match body {
        Body::Arriving(body) => {
            let body = ingress::read_body(body, bytes_max).await?;
            record.received(body.len());
            (body, false)
        }
        Body::Here(body, true) if body.len() as u64 > bytes_max => {
            return Err(ingress::too_large_joined(bytes_max).into());
        }
        Body::Here(body, joined) => (body, joined),
    };
    let mut prompt = Box::new(ingress::read(call, place, extras, body, reader.watch())?);
    prompt.joined = joined;
    // 2 resolve
    let named = resolve::offers(generation, &prompt.model);
    let name = named.as_ref();
    let name = name.map_or_else(|_| (&*prompt.model).into(), |named| named.name.clone());
    record.asked(gateway.words().api(call.api()), name, prompt.stream);
    let offered = named?.clone();
    caller.may_use(&offered.name)?;
    let workload = &caller.key.workload;
    let prompt = stored::joined(gateway, generation, workload, prompt, reader).await?;
    let only = stored::continued(gateway, workload, &prompt, &offered.offers)?;
    if generation.server().detect {
        record.looked_through(&found::look(&prompt.body));
    }
    Ok(Resolved {
        offered,
        only,
        prompt,
    })
}

/// Do what is asked of a response that Carnet keeps itself. Nothing is sent for it, so no rule has to decide.
async fn kept_here(
    gateway: &Gateway,
    generation: &Generation,
    caller: &Caller,
    (asked, query): (&Stored, Option<&str>),
    record: &mut OpenRecord,
) -> Result<Option<Bytes>, Stop> {
    if generation.conversations().is_none() {
        return Ok(None);
    }
    caller::principal(generation, caller)?;
    record.detail(asked.told());
    let query = asked.query(query)?;
    let asking = (asked, &query);
    let Some((name, answer)) = stored::own(gateway, generation, caller, asking).await? else {
        return Ok(None);
    };
    record.detail(asked.told_here());
    let api = gateway.words().api(Call::Responses.api());
    record.asked(api, name, false);
    Ok(Some(answer?))
}

/// Ask for something of a response that an upstream keeps.
async fn kept(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    caller: &Caller,
    (asked, query): (&Stored, Option<&str>),
    record: &mut OpenRecord,
) -> Result<Answering, Stop> {
    caller::principal(generation, caller)?;
    let api = gateway.words().api(Call::Responses.api());
    record.listed(api);
    record.detail(asked.told());
    let query = asked.query(query)?;
    // 2 resolve
    let workload = &caller.key.workload;
    let (offered, offer) = stored::offer(gateway, generation, workload, asked)?;
    record.asked(api, offered.name.clone(), query.stream);
    caller.may_use(&offered.name)?;
    let targets = (offered.clone(), Some(offer.clone()));
    let asking = Asking::Stored(asked.clone(), query);
    // 3 decide, 4 guard, 5 send
    let mut attempts = Attempts::new((gateway, generation), caller, targets, asking);
    let answering = attempts.run(record).await?;
    if asked.action == Action::Delete && answering.answer.response.status().is_success() {
        gateway.state_ids().gone(workload, &asked.id);
    }
    Ok(answering)
}

// 6 stream back; the record goes along and ends with the last byte
async fn relayed(
    answering: Answering,
    record: Box<OpenRecord>,
    connection: CancellationToken,
) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
    let (offer, dialect) = (answering.told.offer.clone(), answering.told.call.dialect());
    let losses = answering.told.losses().and_then(losses_header);
    let cache = cached(&answering.told.cache, &record);
    let (mut head, relay) = match relaying(answering, record, connection).await {
        Ok(relaying) => relaying,
        Err((fault, record)) => return refused(fault.into(), dialect, record).await,
    };
    tell(&mut head.headers, &offer, [losses, cache]);
    head.headers.insert(CARNET_DECISION, decision);
    head.headers.insert(CARNET_RECORD, id);
    Response::from_parts(head, ResponseBody::relay(relay))
}

// 6 stream back, before there is anything: its target is fixed from then on
fn begun(
    leg: Leg,
    mut record: Box<OpenRecord>,
    connection: CancellationToken,
) -> Response<ResponseBody> {
    record.begun();
    let (id, decision) = (record.id_header(), record.decision_header());
    let (offer, losses) = (leg.told.offer.clone(), leg.told.losses());
    let losses = losses.and_then(losses_header);
    let cache = cached(&leg.told.cache, &record);
    let keep_alive = leg.told.generation.server().keep_alive;
    let arrives = late::arrives(leg, record, async move |answering, record| {
        let relaying = relaying(answering, record, connection).await;
        relaying.map(|(_, relay)| relay)
    });
    let body = ResponseBody::late(Late::new(arrives, keep_alive));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    tell(headers, &offer, [losses, cache]);
    headers.insert(CARNET_DECISION, decision);
    headers.insert(CARNET_RECORD, id);
    response
}

/// Count what the cache of answers had to do with a request; what the caller is told of that.
fn cached(part: &CacheUse, record: &OpenRecord) -> Option<HeaderValue> {
    record.gateway().metrics().cached(part);
    part.header()
}

/// Tell the caller the facts that were decided on, what the upstream could not be told, and whether one was asked.
fn tell(headers: &mut HeaderMap, offer: &Offer, [losses, cache]: [Option<HeaderValue>; 2]) {
    headers.reserve(offer.headers.len() + 3);
    for (name, value) in &offer.headers {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in [(CARNET_LOSSES, losses), (CARNET_CACHE, cache)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

/// The head of an answer, and what passes on the rest. The record goes along.
async fn relaying(
    Answering { answer, told }: Answering,
    mut record: Box<OpenRecord>,
    connection: CancellationToken,
) -> Result<(response::Parts, Box<Relay>), (Fault, Box<OpenRecord>)> {
    let Told {
        call,
        offer,
        generation,
        translation,
        carrier,
        vectors,
        kept_at,
        mut remembered,
        of_model,
        of_kept,
        hides_usage,
        cache,
    } = told;
    let lead = cache.into_lead();
    let (mut head, body) = answer.response.into_parts();
    let mut answered = Answered::new(body, &head, record.is_stream()).kept_at(kept_at);
    if !of_model {
        answered = answered.unnamed();
    }
    if let Some(by) = carrier {
        let (without, was_framed) = answered.carried(by);
        answered = without;
        if was_framed {
            egress::forget_bytes(&mut head.headers);
            head.headers.insert(CONTENT_TYPE, EVENT_STREAM);
        }
    }
    if let Some(vectors) = &vectors {
        let tokens = head.headers.get(BEDROCK_TOKENS);
        let tokens = tokens.and_then(|tokens| tokens.to_str().ok()?.parse().ok());
        let translator = Translator::of_vectors(vectors, head.status, tokens);
        answered = answered.translated(translator);
        head.headers.insert(CONTENT_TYPE, JSON);
    }
    let tells = match (&translation, &vectors) {
        (_, Some(_)) => call.tells_usage_in().map(Usage::ToCaller),
        (Some(translation), _) => Some(Usage::ByUpstream(translation.to)),
        (None, None) => call.tells_usage_in().map(Usage::ByUpstream),
    };
    // What is only given again was counted when it was made.
    answered = answered
        .telling_usage(tells.filter(|_| !of_kept))
        .hiding_usage(hides_usage);
    let own_words = carrier.filter(|_| translation.is_none() && !head.status.is_success());
    if let Some((by, client)) = own_words.zip(call.client()) {
        answered = answered.translated(Translator::of_error(by, client, head.status));
        head.headers.insert(CONTENT_TYPE, JSON);
    }
    if let Some(translation) = &translation {
        let created = u64::try_from(record.time().as_second()).unwrap_or(0);
        let from = (head.status, answered.shape());
        // Under the id of its record it could be looked up by whoever reads the log.
        let own = remembered.is_some().then(own_id).flatten();
        let (id, kept) = (own.as_deref().unwrap_or(record.id()), own.is_some());
        let unsaid = (id, created, offer.own_name());
        let translator = Translator::new(translation, from, unsaid, kept).carried(carrier);
        if !kept {
            remembered = None;
        }
        let kind = match translator.shape() {
            Shape::Array | Shape::Whole => JSON,
            Shape::AwsStream => AWS_STREAM,
            Shape::Events => EVENT_STREAM,
        };
        answered = answered.translated(translator);
        head.headers.insert(CONTENT_TYPE, kind);
    }
    if let Some(asked) = remembered.filter(|_| head.status.is_success()) {
        let conversations = record.gateway().conversations();
        match Listening::new(
            conversations,
            asked,
            answered.callers_shape() == Shape::Events,
        ) {
            Ok(listening) => answered = answered.heard_by(listening),
            Err(why) => record.unkept(why),
        }
    }
    let idle_timeout = offer.upstream.config().idle_timeout;
    let check = Check {
        call,
        expected: offer.expected.clone(),
        generation,
        suspends: !of_kept,
    };
    let relay = Relay::new(answered, record, check, idle_timeout, connection);
    let mut relay = relay.opened().await?;
    if let Some(status) = relay.failed_status() {
        head.status = status;
    }
    if relay.rewrites() {
        egress::forget_bytes(&mut head.headers);
    }
    let lead = lead.filter(|_| head.status == StatusCode::OK);
    if let Some((lead, kind)) = lead.zip(head.headers.get(CONTENT_TYPE)) {
        let losses = translation.as_ref().map(|one| &one.losses);
        let losses = losses.or(vectors.as_ref().map(|one| &one.losses));
        let losses = losses.map(|losses| losses.clone().into_boxed_slice());
        relay.keep_for_others(lead, kind, losses.unwrap_or_default());
    }
    let told_in_header = translation.is_some() && call.dialect() == Dialect::Converse;
    if told_in_header && !head.status.is_success() {
        let kind = HeaderValue::from_static(bedrock::error_type(head.status.as_u16()));
        head.headers
            .insert(HeaderName::from_static(bedrock::ERROR_TYPE_HEADER), kind);
    }
    relay::filter_headers(&mut head.headers);
    head.extensions.clear();
    head.version = http::Version::HTTP_11;
    Ok((head, relay))
}

/// An id for an answer that is kept, which nobody can guess.
fn own_id() -> Option<String> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).ok()?;
    Some(format!("resp_{}", hex::encode(random)))
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

async fn whole(
    bytes: Bytes,
    kind: HeaderValue,
    dialect: Dialect,
    record: Box<OpenRecord>,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    written(response, dialect, record).await
}

/// An answer of our own is given only when its record is in the journal.
async fn written(
    mut response: Response<ResponseBody>,
    dialect: Dialect,
    record: Box<OpenRecord>,
) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
    let status = response.status();
    if let Err(fault) = record.finish_written(Outcome::Completed, status).await {
        return Stop::Fault(fault).response(dialect, None);
    }
    response.headers_mut().insert(CARNET_DECISION, decision);
    response.headers_mut().insert(CARNET_RECORD, id);
    response
}

/// A refusal is told only when its record is in the journal.
async fn refused(
    stop: Stop,
    dialect: Dialect,
    mut record: Box<OpenRecord>,
) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
    let mut response = stop.response(dialect, Some(record.id()));
    if let Stop::Fault(fault) = &stop {
        record.kept_out(fault);
    }
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
    source: Source,
) -> Response<ResponseBody> {
    gateway.metrics().strangers.inc();
    if gateway.strangers().refuse(source.nearest, Instant::now()) {
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

/// The Host header must name this listener: a page that rebinds its name to our address gets nothing. So must the target, where
/// it names somebody itself: whoever looked at the request before us may have looked at either.
fn check_host(generation: &Generation, request: &Request<Incoming>) -> Result<(), Fault> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers
        .next()
        .map(|value| value.to_str().unwrap_or_default());
    let target = request.uri().authority();
    let target = target.map(http::uri::Authority::as_str);
    let served = &generation.server().names;
    let is_served = |name: &str| served.iter().any(|one| one.eq_ignore_ascii_case(name));
    let named = [target, header].into_iter().flatten().map(without_port);
    let name = match named.clone().find(|name| !is_served(name)) {
        None if named.count() > 0 && headers.next().is_none() => return Ok(()),
        None => header.unwrap_or_default(),
        Some(foreign) => foreign,
    };
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
