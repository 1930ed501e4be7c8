//! Opening a socket: who may, and how many.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carnet_limits::KeyId;
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::caller::Caller;
use crate::codes::Code;
use crate::error::Fault;
use crate::gateway::Gateway;
use crate::ingress::{self, Call, ModelPlace, Route};
use crate::limits::SOCKETS_OF_KEY_MAX;
use crate::relay::ResponseBody;
use crate::scope::Use;
use crate::server::Via;
use crate::source::Source;

/// The sockets that are open.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    // Held for one count, never over I/O.
    open: Mutex<HashMap<KeyId, usize>>,
    closed: Notify,
    stopping: CancellationToken,
}

/// A socket that counts.
#[derive(Debug)]
pub(super) struct Place {
    gateway: Arc<Gateway>,
    key: KeyId,
}

impl Sockets {
    /// Count one more, if this key may have it.
    fn take(gateway: &Arc<Gateway>, key: &KeyId) -> Option<Place> {
        let mut open = gateway.sockets().lock();
        let count = open.entry(key.clone()).or_default();
        if *count >= SOCKETS_OF_KEY_MAX {
            return None;
        }
        *count += 1;
        Some(Place {
            gateway: gateway.clone(),
            key: key.clone(),
        })
    }

    /// Have those end that answer nothing, and the others after their answer.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Whether they are to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Ends when they are to end.
    pub(super) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Ends when none is open.
    pub(crate) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.lock().is_empty() {
                return;
            }
            closed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let sockets = self.gateway.sockets();
        if let Entry::Occupied(mut count) = sockets.lock().entry(self.key.clone()) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
        sockets.closed.notify_waiters();
    }
}

/// Whether a request asks for a socket to the Responses API.
pub(crate) fn is_asked_for(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(UPGRADE);
    let upgrade = upgrade.and_then(|value| value.to_str().ok());
    let route = ingress::route(&Method::POST, request.uri().path());
    request.method() == Method::GET
        && upgrade.is_some_and(|value| value.trim().eq_ignore_ascii_case("websocket"))
        && matches!(route, Ok(Route::Call(Call::Responses, ModelPlace::Body)))
}

/// Open a socket: the answer that says so. What follows runs by itself.
pub(crate) fn open(
    gateway: &Arc<Gateway>,
    caller: &Caller,
    mut request: Request<Incoming>,
    (via, source): (Via, Source),
) -> Result<Response<ResponseBody>, Fault> {
    caller.may(Use::Ask(Call::Responses.api()))?;
    let accept = accept(&request)?;
    let place = Sockets::take(gateway, &caller.key.id).ok_or_else(|| {
        let message = format!(
            "this key has {SOCKETS_OF_KEY_MAX} WebSockets open; close one, or send the request to `POST /v1/responses`"
        );
        Fault::new(Code::TooManySockets, message)
    })?;
    let bytes_max = gateway.generation().server().body_bytes_max;
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let upgrade = upgrade::on(&mut request);
    let session = Session {
        gateway: gateway.clone(),
        headers: std::mem::take(request.headers_mut()),
        source,
        certificate: via.certificate.clone(),
        connection: via.dropped.clone(),
        _place: place,
    };
    tokio::spawn(async move {
        // Keeps the place among all connections.
        let _via = via;
        match upgrade.await {
            Ok(upgraded) => session.run(upgraded, bytes_max).await,
            Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
        }
    });
    let mut response = Response::new(ResponseBody::full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// What proves that the handshake was read, as RFC 6455 has it in section 4.2.
fn accept(request: &Request<Incoming>) -> Result<HeaderValue, Fault> {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let wrong = |name: HeaderName, what: &str| {
        let message = format!("a WebSocket is opened over HTTP/1.1 with `{name}` {what}");
        Fault::new(Code::InvalidRequest, message)
    };
    let headers = request.headers();
    let version = headers.get(SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version.as_bytes() != b"13") {
        return Err(wrong(SEC_WEBSOCKET_VERSION, "13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let key = key.filter(|_| request.version() == Version::HTTP_11);
    let key = key.ok_or_else(|| wrong(SEC_WEBSOCKET_KEY, "of 16 bytes in base64"))?;
    let both = [key.as_bytes(), GUID.as_bytes()].concat();
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &both));
    HeaderValue::try_from(accept).map_err(|_| wrong(SEC_WEBSOCKET_KEY, "of 16 bytes in base64"))
}
