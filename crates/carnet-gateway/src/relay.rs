//! Stage 6, stream back: an upstream's answer passes to the caller piece by piece, as it comes.
//!
//! The body that hyper polls owns the record's guard: whatever ends the answer (its last byte, an
//! error, a revoked key, a caller who hangs up) also closes the record; the last by the record's own drop.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use carnet_audit::Outcome;
use carnet_wire::sniff::{Framing, Reported, ReportedModel};
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, SET_COOKIE, TRANSFER_ENCODING, UPGRADE};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::codes::Code;
use crate::config::OnRevoke;
use crate::error::{Fault, Stop};
use crate::gateway::Gateway;
use crate::limits::UNREAD_GRACE;
use crate::record::OpenRecord;
use crate::relays::Running;

/// What hyper sends to the caller.
#[derive(Debug)]
pub(crate) struct ResponseBody(Inner);

#[derive(Debug)]
enum Inner {
    Full(Option<Bytes>),
    Relay(Box<Relay>),
}

/// An answer on its way through.
#[derive(Debug)]
pub(crate) struct Relay {
    upstream: Incoming,
    /// Gone once the answer is over.
    record: Option<OpenRecord>,
    sniff: Option<ReportedModel>,
    events: bool,
    /// Whether an event has begun and not yet ended.
    torn: bool,
    /// Gone once it has fired and the answer may run on all the same.
    revoked: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    on_revoke: OnRevoke,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    last_piece: Instant,
    upstream_name: Arc<str>,
    /// What the sweep knows of it, and where it is listed.
    running: Arc<Running>,
    gateway: Arc<Gateway>,
}

/// How a piece ends that leaves no event open. One that is cut within these bytes only costs a
/// further empty line, which readers pass over.
const ENDS_OF_EVENT: [&[u8]; 2] = [b"\n\n", b"\r\n\r\n"];
/// Ends an event of which only the beginning came.
const END_OF_TORN: &[u8] = b"\n\n";

impl ResponseBody {
    /// A body that is complete already.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Inner::Full(Some(bytes)))
    }

    pub(crate) fn relay(relay: Relay) -> Self {
        Self(Inner::Relay(Box::new(relay)))
    }
}

impl Relay {
    pub(crate) fn new(
        upstream: Incoming,
        record: OpenRecord,
        headers: &HeaderMap,
        idle_timeout: Duration,
        on_revoke: OnRevoke,
        upstream_name: Arc<str>,
        connection: CancellationToken,
    ) -> Self {
        let gateway = record.gateway().clone();
        let cuts = (on_revoke == OnRevoke::Cut).then(|| record.revoked().clone());
        let running = gateway
            .relays()
            .open(connection, cuts, idle_timeout + UNREAD_GRACE);
        let revoked = Some(Box::pin(record.revoked().clone().cancelled_owned()));
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let framing = Framing::of_content_type(kind);
        let now = Instant::now();
        let mut relay = Self {
            upstream,
            record: Some(record),
            sniff: Some(ReportedModel::new(framing)),
            events: framing == Framing::EventStream,
            torn: false,
            revoked,
            on_revoke,
            idle: Box::pin(sleep_until(now + idle_timeout)),
            idle_timeout,
            last_piece: now,
            upstream_name,
            running,
            gateway,
        };
        // Nobody asks for the pieces of an answer that has none.
        if relay.upstream.is_end_stream() {
            relay.finish(Outcome::Completed);
        }
        relay
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayCut>>> {
        let Some(record) = &mut self.record else {
            return Poll::Ready(None);
        };
        self.running.asked();
        if let Some(revoked) = &mut self.revoked
            && revoked.as_mut().poll(cx).is_ready()
        {
            match record.interruption(self.on_revoke) {
                Some(fault) => return self.cut(fault),
                None => self.revoked = None,
            }
        }
        match Pin::new(&mut self.upstream).poll_frame(cx) {
            // Trailers are headers that came late, and no dialect has any: they end the answer unread.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {
                self.finish(Outcome::Completed);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.last_piece = Instant::now();
                if let Some(piece) = frame.data_ref() {
                    record.passed_on(piece.len());
                    self.torn = !ENDS_OF_EVENT.iter().any(|end| piece.ends_with(end));
                    match self.sniff.as_mut().map(|sniff| sniff.push(piece)) {
                        None | Some(Reported::Pending) => {}
                        Some(Reported::Absent(_)) => self.sniff = None,
                        Some(Reported::Model(model)) => {
                            record.reported(model);
                            self.sniff = None;
                        }
                    }
                }
                if self.upstream.is_end_stream() {
                    self.finish(Outcome::Completed);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.finish(Outcome::Completed);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                let message = format!("upstream `{}` broke off its answer", self.upstream_name);
                self.cut(Fault::new(Code::UpstreamClosed, message))
            }
            Poll::Pending => self.poll_idle(cx),
        }
    }

    /// The timer is set once for many pieces: when it fires, it looks whether it was too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayCut>>> {
        while self.idle.as_mut().poll(cx).is_ready() {
            let due = self.last_piece + self.idle_timeout;
            if due <= Instant::now() {
                let message = format!(
                    "upstream `{}` sent nothing for {} seconds",
                    self.upstream_name,
                    self.idle_timeout.as_secs()
                );
                return self.cut(Fault::new(Code::UpstreamTimeout, message));
            }
            self.idle.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(record) = self.record.take() {
            record.finish(outcome);
        }
    }

    /// End before the end: in a stream by an error event of the dialect, else by breaking off, so
    /// that no client takes a torn answer for a whole one.
    fn cut(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, RelayCut>>> {
        let Some(record) = self.record.take() else {
            return Poll::Ready(None);
        };
        let outcome = fault.code.outcome();
        // An announced length leaves no room for a further event.
        let room = self.events && self.upstream.size_hint().exact().is_none();
        let event = room.then(|| {
            let event = Stop::Fault(fault).event(record.id());
            if self.torn {
                // Else it would be read as the rest of a line that has begun.
                [END_OF_TORN, event.as_ref()].concat().into()
            } else {
                event
            }
        });
        record.finish(outcome);
        Poll::Ready(Some(match event {
            Some(event) => Ok(Frame::data(event)),
            None => Err(RelayCut),
        }))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.gateway.relays().close(&self.running);
        if let Some(outcome) = self.running.ended() {
            self.finish(outcome);
        }
    }
}

/// The answer broke off; hyper closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct RelayCut;

impl From<Infallible> for RelayCut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = RelayCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayCut>>> {
        match &mut self.0 {
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Relay(relay) => relay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(bytes) => bytes.is_none(),
            Inner::Relay(relay) => relay.record.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Inner::Relay(relay) => relay.upstream.size_hint(),
        }
    }
}

/// Take out of an upstream's headers what concerns only its connection, its cookies, and what a
/// caller might take for the gateway's own word.
pub(crate) fn filter_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, SET_COOKIE] {
        headers.remove(name);
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "alt-svc",
        "strict-transport-security",
        "public-key-pins",
    ] {
        headers.remove(name);
    }
    let foreign = |name: &HeaderName| {
        name.as_str().starts_with("carnet-") || name.as_str().starts_with("access-control-")
    };
    if headers.keys().any(foreign) {
        let names: Vec<HeaderName> = headers
            .keys()
            .filter(|name| foreign(name))
            .cloned()
            .collect();
        for name in names {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn connection_headers_and_foreign_words_are_taken_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("carnet-decision", "permit"),
            ("access-control-allow-origin", "*"),
            ("x-request-id", "r1"),
            ("retry-after", "3"),
        ] {
            headers.insert(
                HeaderName::from_static(Box::leak(name.to_string().into_boxed_str())),
                HeaderValue::from_static(value),
            );
        }
        filter_headers(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-request-id", "retry-after"]);
    }
}
