//! The life of a request, every stage in order, top to bottom.

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use carnet_audit::Outcome;
use carnet_policy::Principal;
use carnet_wire::bedrock;
use carnet_wire::carrier::Carrier;
use carnet_wire::responses::socket::prepared_events;
use carnet_wire::stream::aws;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::caller::{self, Caller};
use crate::codes::Code;
use crate::config::OnRevoke;
use crate::conversations::{Asked as Remembered, Listening};
use crate::egress::{self, Answer, SendFailed};
use crate::error::{Fault, Stop};
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::{
    self, Action, Call, Dialect, Extras, ModelPlace, Prompt, Query, Route, Stored,
};
use crate::limits::{ATTEMPTS_MAX, HEADER_FIELDS_MAX, LOSSES_SHOWN_MAX};
use crate::quotas::Asked as Reserving;
use crate::record::OpenRecord;
use crate::relay::{self, Answered, Relay, ResponseBody, Shape, Told};
use crate::reported::Check;
use crate::resolve::Offer;
use crate::scope::Use;
use crate::screen::{Cleared, Clearing};
use crate::server::Via;
use crate::socket::{self, Asked, Memory, Session};
use crate::source::Source;
use crate::spend::{Estimate, Spending, Tokenizer};
use crate::state_ids::StateTarget;
use crate::translate::{Translation, Translator, Vectors};
use crate::{admit, found, models, resolve, screen, stored};

/// Id of the record of this request.
const CARNET_RECORD: HeaderName = HeaderName::from_static("carnet-record");
/// What of the request could not be said in the dialect of its upstream.
const CARNET_LOSSES: HeaderName = HeaderName::from_static("carnet-losses");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const AWS_STREAM: HeaderValue = HeaderValue::from_static(aws::MEDIA_TYPE);
/// How many tokens a request had, where the body of its answer does not say it.
const BEDROCK_TOKENS: HeaderName = HeaderName::from_static("x-amzn-bedrock-input-token-count");
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
            let asked = (call, place, extras, Body::Arriving(request.into_body()));
            return match answer(&gateway, &generation, &caller, asked, &mut record).await {
                Ok(answer) => relayed(answer, &generation, record, via.dropped).await,
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
                Ok(answer) => relayed(answer, &generation, record, via.dropped).await,
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
    match answer(gateway, &generation, &caller, asking, &mut record).await {
        Ok(answer) => relayed(answer, &generation, record, session.connection.clone()).await,
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
    /// The platform whose API carried it.
    carrier: Option<Carrier>,
    /// What has to become of vectors.
    vectors: Option<Vectors>,
    /// Where a later request finds it, if its upstream may keep it.
    kept_at: Option<StateTarget>,
    /// What it is kept with, if Carnet keeps it.
    remembered: Option<Remembered>,
    /// Whether it is that of a model.
    of_model: bool,
    /// Whether it was made before, and is only given again.
    of_kept: bool,
    /// Whether it tells what it used to us alone.
    hides_usage: bool,
}

/// What goes to an upstream.
enum Asking<'a> {
    Prompt(&'a Prompt),
    Stored(&'a Stored, &'a Query),
}

impl Asking<'_> {
    fn call(&self) -> Call {
        match self {
            Self::Prompt(prompt) => prompt.call,
            Self::Stored(..) => Call::Responses,
        }
    }

    fn stream(&self) -> bool {
        match self {
            Self::Prompt(prompt) => prompt.stream,
            Self::Stored(_, query) => query.stream,
        }
    }
}

/// The body of a request.
enum Body {
    Arriving(Incoming),
    /// And whether what it went on from was put in front of it.
    Here(Bytes, bool),
}

/// A request that has been read, and where it may go.
struct Resolved<'a> {
    principal: &'a Principal,
    name: &'a Arc<str>,
    offers: &'a [Offer],
    prompt: Prompt,
}

/// Ask for a model, and give what it answers.
async fn answer<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    caller: &Caller,
    asked: (Call, ModelPlace, Extras, Body),
    record: &mut OpenRecord,
) -> Result<Answering<'a>, Stop> {
    let read = resolved(gateway, generation, caller, asked, record).await?;
    let asked = (read.name, read.offers, Asking::Prompt(&read.prompt));
    attempts(gateway, generation, (caller, read.principal), asked, record).await
}

/// Decide on a request that wants no answer yet: the events that say so.
async fn prepared(
    gateway: &Gateway,
    generation: &Generation,
    caller: &Caller,
    asked: (Call, ModelPlace, Extras, Body),
    record: &mut OpenRecord,
) -> Result<Bytes, Stop> {
    record.detail("prepares an answer");
    let read = resolved(gateway, generation, caller, asked, record).await?;
    let asked = (read.name, read.offers, &Asking::Prompt(&read.prompt));
    // The permit is spent by nothing being sent.
    cleared(gateway, generation, read.principal, asked, record)?;
    let id = format!("resp_{}", record.id());
    let created = u64::try_from(record.time().as_second()).unwrap_or(0);
    let events = prepared_events(&id, created, read.name);
    let events = events
        .iter()
        .flat_map(|event| [b"data: ", &event[..], b"\n\n"]);
    Ok(events.collect::<Vec<_>>().concat().into())
}

/// Read a request, and find where it may go.
async fn resolved<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    caller: &Caller,
    (call, place, extras, body): (Call, ModelPlace, Extras, Body),
    record: &mut OpenRecord,
) -> Result<Resolved<'a>, Stop> {
    caller.may(Use::Ask(call.api()))?;
    caller::principal(generation, caller)?;
    let reader = generation.reader(call).ok_or_else(|| no_rules(call))?;
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
    let mut prompt = ingress::read(call, place, extras, body, reader.watch())?;
    prompt.joined = joined;
    // 2 resolve
    let named = resolve::offers(generation, &prompt.model);
    let name = named
        .as_ref()
        .map_or_else(|_| (&*prompt.model).into(), |(name, _)| Arc::clone(name));
    record.asked(gateway.words().api(call.api()), name, prompt.stream);
    let (name, offers) = named?;
    caller.may_use(name)?;
    let workload = &caller.key.workload;
    let prompt = stored::joined(gateway, generation, workload, prompt, reader).await?;
    let offers = stored::continued(gateway, &caller.key.workload, &prompt, offers)?;
    if generation.server().detect {
        record.looked_through(&found::look(&prompt.body));
    }
    let principal = caller::principal_with(generation, caller, record.found())?;
    Ok(Resolved {
        principal,
        name,
        offers,
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
async fn kept<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    caller: &Caller,
    (asked, query): (&Stored, Option<&str>),
    record: &mut OpenRecord,
) -> Result<Answering<'a>, Stop> {
    let principal = caller::principal(generation, caller)?;
    let api = gateway.words().api(Call::Responses.api());
    record.listed(api);
    record.detail(asked.told());
    let query = asked.query(query)?;
    // 2 resolve
    let workload = &caller.key.workload;
    let (name, offer) = stored::offer(gateway, generation, workload, asked)?;
    record.asked(api, Arc::clone(name), query.stream);
    caller.may_use(name)?;
    let offers = std::slice::from_ref(offer);
    let asking = (name, offers, Asking::Stored(asked, &query));
    let answering = attempts(gateway, generation, (caller, principal), asking, record).await?;
    if asked.action == Action::Delete && answering.answer.response.status().is_success() {
        gateway.state_ids().gone(workload, &asked.id);
    }
    Ok(answering)
}

/// Decide, and bring the request in line with the permit.
fn cleared<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    principal: &Principal,
    (name, offers, asking): (&Arc<str>, &'a [Offer], &Asking<'_>),
    record: &mut OpenRecord,
) -> Result<(Cleared, &'a Offer), Stop> {
    let (call, now) = (asking.call(), gateway.now());
    let wanted = admit::Wanted {
        call,
        model: name,
        stream: asking.stream(),
    };
    // 3 decide
    let service = gateway.service();
    let decided = admit::decide(service, generation, principal, offers, wanted, now);
    let (permit, offer) = decided.inspect_err(|stop| record.denied(stop))?;
    record.permitted(permit.verdict(), offer);
    // 4 guard
    let cleared = match asking {
        Asking::Prompt(prompt) => {
            let reader = generation.reader(call);
            let fields = reader.and_then(|reader| reader.fields(offer.upstream.name()));
            let fields = fields.ok_or_else(|| no_rules(call))?;
            let clearing = Clearing {
                on_loss: generation.server().on_loss,
                keeps: generation.conversations().is_some(),
            };
            screen::clear(permit, prompt, offer, fields, clearing)?
        }
        Asking::Stored(stored, query) => screen::clear_stored(permit, stored, query),
    };
    Ok((cleared, offer))
}

/// Decide, and send to what the decision permits.
async fn attempts<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    (caller, principal): (&Caller, &Principal),
    (name, offers, asking): (&Arc<str>, &'a [Offer], Asking<'_>),
    record: &mut OpenRecord,
) -> Result<Answering<'a>, Stop> {
    let call = asking.call();
    for attempt in 1..=ATTEMPTS_MAX {
        // 3 decide: each attempt spends a permit of its own
        let asked = (name, offers, &asking);
        let (cleared, offer) = cleared(gateway, generation, principal, asked, record)?;
        let translation = cleared.translation().cloned();
        let kept_at = cleared.keeps().then(|| StateTarget::of(name, offer));
        let keeps_here = cleared.keeps_here();
        let carrier = cleared.carrier();
        let vectors = cleared.vectors().cloned();
        let reserving = Reserving {
            caller,
            model: name,
            offer,
        };
        // What is only given again was counted when it was made.
        let (mut cleared, spending) = match &asking {
            Asking::Prompt(_) => metered(generation, reserving, cleared, record).await?,
            Asking::Stored(..) => (cleared, None),
        };
        let hides_usage = cleared.hides_usage();
        record.cleared(&mut cleared);
        let reserved = generation
            .quotas()
            .reserve(reserving, spending.as_ref(), gateway.now());
        match reserved {
            Ok(held) => record.holds(held, spending),
            Err(used_up) => {
                record.limited(&used_up.limit);
                return Err(used_up.fault.into());
            }
        }
        // 7 record: the intent lies in the journal before anything is dialled
        if let Err(fault) = record.intent().await {
            record.forgive();
            return Err(fault.into());
        }
        // 5 send
        let decoded_max = generation.server().decoded_max;
        let (sent, answer) = egress::send(&offer.upstream, cleared, decoded_max, gateway.now());
        record.attempt(attempt, &offer.upstream, sent);
        let answered = tokio::select! {
            biased;
            // First, since a first look at the other already sends.
            fault = interrupted(record, generation.server().on_revoke) => Err(SendFailed {
                fault,
                unsent: false,
            }),
            answered = answer => answered,
        };
        let stopped = match answered {
            Ok(answer) => {
                record.answered(answer.response.status(), answer.coding);
                let remembered = match &asking {
                    Asking::Prompt(prompt) if keeps_here => remembered(generation, name, prompt),
                    Asking::Prompt(_) | Asking::Stored(..) => None,
                };
                return Ok(Answering {
                    call,
                    answer,
                    remembered,
                    offer,
                    translation,
                    carrier,
                    vectors,
                    kept_at,
                    of_kept: matches!(asking, Asking::Stored(..)),
                    hides_usage,
                    of_model: match asking {
                        Asking::Prompt(_) => true,
                        Asking::Stored(stored, _) => stored.gives_response(),
                    },
                });
            }
            Err(stopped) => stopped,
        };
        record.attempt_failed(stopped.fault.code);
        if stopped.unsent || stopped.fault.code.reaches_nobody() {
            record.forgive();
        }
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

/// What a request may use, where a limit counts that; its stream then tells it.
async fn metered(
    generation: &Generation,
    reserving: Reserving<'_>,
    cleared: Cleared,
    record: &mut OpenRecord,
) -> Result<(Cleared, Option<Spending>), Fault> {
    let metering = generation.quotas().metering(reserving);
    let Some(metering) = metering.inspect_err(|_| record.unpriced())? else {
        return Ok((cleared, None));
    };
    if cleared.runs_in_background() {
        let message = format!(
            "the field `background` is refused, because `{}` counts what a request uses, and one that runs in the \
             background does not tell it; remove it",
            metering.limit
        );
        return Err(Fault::new(Code::FieldRefused, message).param("background"));
    }
    let offer = reserving.offer;
    let tokenizer = offer.tokenizer.unwrap_or_else(|| Tokenizer::of([]));
    let output = generation.server().reserved_output_tokens;
    let estimate = Estimate::of(cleared.call(), cleared.body(), tokenizer, output).await;
    let cleared = if offer.options.target.stream_usage {
        cleared.telling_usage()
    } else {
        cleared
    };
    Ok((cleared, Some(Spending::new(metering, tokenizer, estimate))))
}

/// What the answer to a request is kept with, where Carnet keeps conversations.
fn remembered(generation: &Generation, name: &Arc<str>, prompt: &Prompt) -> Option<Remembered> {
    let config = generation.conversations()?;
    let watch = generation.reader(prompt.call)?.watch();
    Some(Remembered {
        requested: Arc::clone(name),
        input: prompt.items(watch),
        bytes_max: config.conversation_bytes_max,
    })
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
        carrier,
        vectors,
        kept_at,
        mut remembered,
        of_model,
        of_kept,
        hides_usage,
    }: Answering<'_>,
    generation: &Arc<Generation>,
    mut record: OpenRecord,
    connection: CancellationToken,
) -> Response<ResponseBody> {
    let (id, decision) = (record.id_header(), record.decision_header());
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
        (_, Some(_)) => call.tells_usage_in().map(Told::ToCaller),
        (Some(translation), _) => Some(Told::ByUpstream(translation.to)),
        (None, None) => call.tells_usage_in().map(Told::ByUpstream),
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
        generation: generation.clone(),
        suspends: !of_kept,
    };
    let relay = Relay::new(answered, record, check, idle_timeout, connection);
    let relay = match relay.opened().await {
        Ok(relay) => relay,
        Err((fault, record)) => return refused(fault.into(), call.dialect(), record).await,
    };
    if let Some(status) = relay.failed_status() {
        head.status = status;
    }
    if relay.rewrites() {
        egress::forget_bytes(&mut head.headers);
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
    head.headers.reserve(offer.headers.len() + 2);
    for (name, value) in &offer.headers {
        head.headers.insert(name.clone(), value.clone());
    }
    let lost = translation.map(|one| one.losses);
    let lost = lost.or_else(|| vectors.map(|one| one.losses));
    if let Some(losses) = lost.and_then(|losses| losses_header(&losses)) {
        head.headers.insert(CARNET_LOSSES, losses);
    }
    head.headers.insert(CARNET_DECISION, decision);
    head.headers.insert(CARNET_RECORD, id);
    Response::from_parts(head, ResponseBody::relay(relay))
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
    record: OpenRecord,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    written(response, dialect, record).await
}

/// An answer of our own is given only when its record is in the journal.
async fn written(
    mut response: Response<ResponseBody>,
    dialect: Dialect,
    record: OpenRecord,
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
async fn refused(stop: Stop, dialect: Dialect, mut record: OpenRecord) -> Response<ResponseBody> {
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
