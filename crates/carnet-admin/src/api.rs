//! The routes, what each does, and the OpenAPI document that describes them.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use carnet_limits::KeyId;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::time::timeout;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::Admin;
use crate::actor::Actor;
use crate::answers::{
    DecisionsAnswer, ErrorAnswer, GenerationAnswer, KeyAnswer, KeysAnswer, NewKey, NewKeyAnswer,
    NewProof, ProbeAnswer, ProbeTarget, RecordAnswer, ReloadAnswer, RestoreTarget, RotateKey,
    StatusAnswer, SuspendedAnswer, TargetsAnswer,
};
use crate::auth;
use crate::codes::Code;
use crate::fault::{Fault, json};
use crate::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, DECISIONS_DEFAULT};

/// One table for the router, the OpenAPI document and the help of a 404.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:ident;)+) => {
        /// All routes, with their methods.
        pub(crate) const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)+];

        fn routes() -> Router<Arc<Admin>> {
            Router::new()$(.route($path, axum::routing::$method($handler)))+
        }

        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "Carnet admin API",
                description = "Status, keys and metrics of a running Carnet. Served on the admin listener with a token, \
                    and on the socket `admin.sock` of the state directory to its owner. Every refusal is an `ErrorAnswer`.",
                license(name = "MIT OR Apache-2.0"),
            ),
            paths($($handler,)+),
            components(schemas(ErrorAnswer)),
            modifiers(&Tokens),
        )]
        struct Document;
    };
}

routes! {
    get "/api/decisions" => decisions;
    get "/api/generation" => generation;
    get "/api/keys" => list_keys;
    post "/api/keys" => create_key;
    delete "/api/keys/{id}" => revoke_key;
    post "/api/keys/{id}/rotate" => rotate_key;
    get "/api/openapi.json" => openapi;
    post "/api/proofs" => record_proof;
    post "/api/reload" => reload;
    get "/api/status" => status;
    get "/api/targets" => targets;
    post "/api/targets/probe" => probe_target;
    post "/api/targets/restore" => restore_target;
    get "/healthz" => healthz;
    get "/metrics" => metrics;
}

/// The routes for the TCP listener, where every request must show who sends it.
pub(crate) fn guarded(admin: &Arc<Admin>) -> Router {
    finish(
        plain().layer(from_fn_with_state(admin.clone(), auth::guard)),
        admin,
    )
}

/// The routes for the Unix socket, whose file mode has let in its owner only.
pub(crate) fn trusted(admin: &Arc<Admin>) -> Router {
    finish(plain(), admin)
}

fn plain() -> Router<Arc<Admin>> {
    routes()
        .fallback(path_not_served)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(bodies_are_json))
}

fn finish(router: Router<Arc<Admin>>, admin: &Arc<Admin>) -> Router {
    router
        .layer(from_fn(careful_headers))
        .with_state(admin.clone())
}

/// How things stand.
#[utoipa::path(get, path = "/api/status", security(("admin_token" = [])),
    responses((status = 200, description = "Version, generation and readiness", body = StatusAnswer)))]
async fn status(State(admin): State<Arc<Admin>>) -> Response {
    json(&StatusAnswer::from(admin.gateway.status()))
}

/// What is in force, and how the last attempt to replace it went.
#[utoipa::path(get, path = "/api/generation", security(("admin_token" = [])),
    responses((status = 200, description = "Numbers, versions and the last reload's problems", body = GenerationAnswer)))]
async fn generation(State(admin): State<Arc<Admin>>) -> Response {
    let generation = admin.gateway.generation();
    let now = admin.gateway.now();
    let mut workloads: Vec<String> = generation.workloads().map(str::to_owned).collect();
    workloads.sort_unstable();
    json(&GenerationAnswer {
        number: generation.number(),
        loaded_at: generation.loaded_at(),
        versions: generation.versions().clone().into(),
        facts_valid_until: generation.valid_until(),
        workloads,
        keys: generation
            .keys()
            .iter()
            .filter(|key| key.revoked.is_none() && key.terms.expires.is_none_or(|end| now < end))
            .count(),
        last_reload: admin.last_reload(),
    })
}

/// Decisions of the last hour, newest first. The log has all of them.
#[utoipa::path(get, path = "/api/decisions", security(("admin_token" = [])),
    params(("max" = Option<usize>, Query, description = "How many at most; 100 unless given")),
    responses(
        (status = 200, description = "The decisions", body = DecisionsAnswer),
        (status = 400, description = "`max` is no number, or the query has something else", body = ErrorAnswer),
    ))]
async fn decisions(State(admin): State<Arc<Admin>>, uri: Uri) -> Result<Response, Fault> {
    let max = match uri.query() {
        None | Some("") => DECISIONS_DEFAULT,
        Some(query) => query
            .strip_prefix("max=")
            .and_then(|max| max.parse().ok())
            .ok_or_else(|| {
                let message = format!("the query `{}` is not understood", query.escape_debug());
                Fault::new(
                    Code::InvalidRequest,
                    message,
                    "ask for `/api/decisions?max=100`",
                )
            })?,
    };
    let decisions = admin
        .gateway
        .recent(max)
        .into_iter()
        .map(Into::into)
        .collect();
    Ok(json(&DecisionsAnswer { decisions }))
}

/// All keys, revoked ones included. Secrets are not stored and cannot be shown.
#[utoipa::path(get, path = "/api/keys", security(("admin_token" = [])),
    responses(
        (status = 200, description = "The keys, in the order in which they were made", body = KeysAnswer),
        (status = 503, description = "The key database cannot be read", body = ErrorAnswer),
    ))]
async fn list_keys(State(admin): State<Arc<Admin>>) -> Result<Response, Fault> {
    let keys = admin.keys().await?.iter().map(KeyAnswer::from).collect();
    Ok(json(&KeysAnswer { keys }))
}

/// Make a key for a workload and put it in force. Its secret is told in this answer and never again.
#[utoipa::path(post, path = "/api/keys", security(("admin_token" = [])), request_body = NewKey,
    responses(
        (status = 201, description = "The key works", body = NewKeyAnswer),
        (status = 400, description = "The body is not of the wanted form", body = ErrorAnswer),
        (status = 422, description = "The configuration names no such workload or model", body = ErrorAnswer),
        (status = 503, description = "Key database or log cannot be written; no key was made", body = ErrorAnswer),
    ))]
async fn create_key(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let new = read_json(&headers, body).await?;
    let (secret, record) = admin.create_key(new, actor).await?;
    let mut response = json(&NewKeyAnswer::new(&secret, &record));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Revoke a key for good. Running answers end as the configuration's `on_revoke` says.
#[utoipa::path(delete, path = "/api/keys/{id}", security(("admin_token" = [])),
    params(("id" = String, Path, description = "Id of the key (`key_…`)")),
    responses(
        (status = 200, description = "The key does not work, since the time told", body = KeyAnswer),
        (status = 404, description = "There is no such key", body = ErrorAnswer),
        (status = 503, description = "The key database cannot be written; the key still works", body = ErrorAnswer),
    ))]
async fn revoke_key(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let record = admin.revoke_key(KeyId::from_text(&id), actor).await?;
    Ok(json(&KeyAnswer::from(&record)))
}

/// Give a key a new secret, told in this answer and never again. The one before works on for the grace time.
#[utoipa::path(post, path = "/api/keys/{id}/rotate", security(("admin_token" = [])), request_body = RotateKey,
    params(("id" = String, Path, description = "Id of the key (`key_…`)")),
    responses(
        (status = 200, description = "The key with its new secret", body = NewKeyAnswer),
        (status = 400, description = "The body is not of the wanted form", body = ErrorAnswer),
        (status = 404, description = "There is no such key", body = ErrorAnswer),
        (status = 409, description = "It is revoked, has ended, or has too many secrets that work", body = ErrorAnswer),
        (status = 503, description = "Key database or log cannot be written; the key is as it was", body = ErrorAnswer),
    ))]
async fn rotate_key(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let rotate: RotateKey = read_json(&headers, body).await?;
    let (secret, record) = admin
        .rotate_key(KeyId::from_text(&id), &rotate, actor)
        .await?;
    Ok(json(&NewKeyAnswer::new(&secret, &record)))
}

/// Put on record what a proof about policies came to. Nothing is proved here: `carnet policy prove` does.
#[utoipa::path(post, path = "/api/proofs", security(("admin_token" = [])), request_body = NewProof,
    responses(
        (status = 201, description = "It is in the log", body = RecordAnswer),
        (status = 400, description = "The body is not of the wanted form", body = ErrorAnswer),
        (status = 503, description = "The log cannot be written", body = ErrorAnswer),
    ))]
async fn record_proof(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let proof: NewProof = read_json(&headers, body).await?;
    let record = admin.record_proof(proof, actor).await?;
    let mut response = json(&RecordAnswer { record });
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Read configuration, policies, registry, overlay and keys again. With any mistake all stays as it is.
#[utoipa::path(post, path = "/api/reload", security(("admin_token" = [])),
    responses(
        (status = 200, description = "The new generation is in force", body = ReloadAnswer),
        (status = 422, description = "Refused; `error.problems` has every mistake", body = ErrorAnswer),
    ))]
async fn reload(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Fault> {
    let answer = admin.reloads.ask(actor).await.ok_or_else(|| {
        let message = "nothing was loaded: the server does not take reloads any more";
        Fault::new(
            Code::InternalError,
            message,
            "it is probably stopping; look into its log",
        )
    })?;
    if answer.done {
        return Ok(json(&answer));
    }
    let message = format!(
        "nothing was changed: {} in the files; generation {} stays in force",
        if answer.problems.len() == 1 {
            "1 problem".to_owned()
        } else {
            format!("{} problems", answer.problems.len())
        },
        answer.generation
    );
    let fault = Fault::new(
        Code::ReloadRefused,
        message,
        "mend what `problems` lists, then reload again",
    );
    Err(Fault {
        problems: answer.problems,
        ..fault
    })
}

/// The targets that are out of service, because another model answered there than was decided on.
#[utoipa::path(get, path = "/api/targets", security(("admin_token" = [])),
    responses((status = 200, description = "The targets, with what answered", body = TargetsAnswer)))]
async fn targets(State(admin): State<Arc<Admin>>) -> Response {
    let suspended = admin.gateway.suspended();
    json(&TargetsAnswer {
        suspended: suspended.into_iter().map(Into::into).collect(),
    })
}

/// Put a target into service again. The next answer is held against the decision like every other.
#[utoipa::path(post, path = "/api/targets/restore", security(("admin_token" = [])), request_body = RestoreTarget,
    responses(
        (status = 200, description = "The target is in service; this is why it was not", body = SuspendedAnswer),
        (status = 400, description = "The body is not of the wanted form", body = ErrorAnswer),
        (status = 404, description = "No such target is out of service", body = ErrorAnswer),
    ))]
async fn restore_target(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let target: RestoreTarget = read_json(&headers, body).await?;
    let restored = admin.restore_target(target, actor).await?;
    Ok(json(&SuspendedAnswer::from(restored)))
}

/// Ask a target that is out of service one short question. If the right model answers, it is in service again.
#[utoipa::path(post, path = "/api/targets/probe", security(("admin_token" = [])), request_body = ProbeTarget,
    responses(
        (status = 200, description = "What answered, and whether the target is in service again", body = ProbeAnswer),
        (status = 400, description = "The body is not of the wanted form", body = ErrorAnswer),
        (status = 404, description = "No such target is out of service", body = ErrorAnswer),
        (status = 502, description = "It could not be asked, or gave no answer", body = ErrorAnswer),
    ))]
async fn probe_target(
    State(admin): State<Arc<Admin>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let target: ProbeTarget = read_json(&headers, body).await?;
    let probed = admin.probe_target(target, actor).await?;
    Ok(json(&ProbeAnswer::from(probed)))
}

/// Counters in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", security(("admin_token" = []), ("metrics_token" = [])),
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text")))]
async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    const OPEN_METRICS: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(CONTENT_TYPE, OPEN_METRICS)], admin.gateway.metrics_text()).into_response()
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", security(("admin_token" = [])),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn openapi() -> Response {
    json(&document())
}

/// Whether the process answers. Needs no token and tells nothing else.
#[utoipa::path(get, path = "/healthz", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok"
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, description) in [
            (
                "admin_token",
                "The line in the file `admin.token` of the state directory, or a token of an issuer whose claims give its \
                 bearer the role that the call needs.",
            ),
            (
                "metrics_token",
                "The line in the file `metrics.token` of the state directory.",
            ),
        ] {
            let mut scheme = Http::new(HttpAuthScheme::Bearer);
            scheme.description = Some(description.to_owned());
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

async fn path_not_served(uri: Uri) -> Fault {
    let served: Vec<String> = ROUTES
        .iter()
        .map(|(method, path)| format!("{} {path}", method.to_uppercase()))
        .collect();
    let message = format!("`{}` is not served", uri.path());
    Fault::new(
        Code::PathNotServed,
        message,
        format!("served are {}", served.join(", ")),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Fault {
    let message = format!("`{}` is not served with {method}", uri.path());
    Fault::new(
        Code::MethodNotAllowed,
        message,
        "`/api/openapi.json` lists every path with its methods",
    )
}

/// A form of another site can send a body, but not one of this type.
async fn bodies_are_json(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || is_json(request.headers()) {
        return next.run(request).await;
    }
    let message = "the request has a body that is not declared as JSON";
    Fault::new(
        Code::ContentTypeRefused,
        message,
        "set the header `content-type: application/json`",
    )
    .into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = |value: &HeaderValue| {
        value
            .to_str()
            .ok()?
            .split(';')
            .next()
            .map(|name| name.trim().to_ascii_lowercase())
    };
    headers
        .get(CONTENT_TYPE)
        .and_then(essence)
        .is_some_and(|name| name == "application/json")
}

/// Answers are for the asker only, and never anything but what they say they are.
async fn careful_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn read_json<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Fault> {
    let too_large = || {
        let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        Fault::new(Code::BodyTooLarge, message, "send only what the call needs")
    };
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let bytes = timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX))
        .await
        .map_err(|_| {
            Fault::new(
                Code::BodyTimeout,
                "the body did not arrive in time",
                "send it at once",
            )
        })?
        .map_err(|_| too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let help = "`/api/openapi.json` describes the body of every call";
        Fault::new(
            Code::InvalidJson,
            format!("the body cannot be read: {error}"),
            help,
        )
    })
}
