//! Stage 6 for a stream that begins before the head of its answer has come: comments keep it alive, its target is fixed, and
//! what goes wrong from then on is said in it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::attempts::{Answering, Leg};
use crate::codes::Code;
use crate::egress::{Answer, SendFailed};
use crate::error::{Fault, Stop, StreamEnd};
use crate::limits::{LATE_ERROR_BYTES_MAX, LATE_ERROR_SHOWN, LET_GO_TIME_MAX};
use crate::record::OpenRecord;
use crate::relay::Relay;
use crate::route::unwell;

/// An answer that is to come.
pub(crate) struct Late {
    coming: Coming,
    /// After how much silence the caller gets a comment.
    keep_alive: Option<Duration>,
    timer: Pin<Box<Sleep>>,
    /// Whether anything has gone out.
    begun: bool,
}

/// What has become of one.
pub(crate) enum Arrived {
    /// Nothing, and the caller should hear so.
    Nothing,
    /// It failed, and this is its end.
    End(Bytes),
    Relay(Box<Relay>),
}

/// An answer on its way, or the event that ends its stream.
type Coming = Pin<Box<dyn Future<Output = Result<Box<Relay>, Bytes>> + Send>>;

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").finish_non_exhaustive()
    }
}

impl Late {
    pub(crate) fn new(
        coming: impl Future<Output = Result<Box<Relay>, Bytes>> + Send + 'static,
        keep_alive: Option<Duration>,
    ) -> Self {
        let first = Instant::now() + keep_alive.unwrap_or_default();
        Self {
            coming: Box::pin(coming),
            keep_alive,
            timer: Box::pin(sleep_until(first)),
            begun: false,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Arrived> {
        if let Poll::Ready(came) = self.coming.as_mut().poll(cx) {
            return Poll::Ready(match came {
                Ok(relay) => Arrived::Relay(relay),
                Err(event) => Arrived::End(event),
            });
        }
        let Some(keep_alive) = self.keep_alive else {
            return Poll::Pending;
        };
        if self.begun {
            ready!(self.timer.as_mut().poll(cx));
        }
        self.begun = true;
        self.timer.as_mut().reset(Instant::now() + keep_alive);
        // It has to be looked at for the next time to wake anybody.
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Arrived::Nothing)
    }
}

/// Wait for the head of an answer, and have it passed on by `relay`; else the end of the stream.
pub(crate) async fn arrives<F>(
    mut leg: Leg,
    mut record: Box<OpenRecord>,
    relay: impl FnOnce(Answering, Box<OpenRecord>) -> F,
) -> Result<Box<Relay>, Bytes>
where
    F: Future<Output = Result<Box<Relay>, (Fault, Box<OpenRecord>)>>,
{
    let (breaker, end) = (leg.breaker(), StreamEnd::from(leg.told.call.dialect()));
    let name = leg.told.offer.upstream.name().to_owned();
    let answer = match leg.head(&record).await {
        Ok(answer) => answer,
        Err(SendFailed { fault, unsent }) => {
            record.attempt_failed(fault.code, unsent, &breaker);
            return Err(ended(fault, &end, record));
        }
    };
    let head = &answer.response;
    let says = unwell(head.status(), head.headers(), record.gateway().now());
    record.answered((head.status(), answer.coding), says, &breaker);
    record.begun();
    if !head.status().is_success() {
        let fault = error_of(&name, answer).await;
        return Err(ended(fault, &end, record));
    }
    let told = leg.told;
    let mut relay = match relay(Answering { answer, told }, record).await {
        Ok(relay) => relay,
        Err((fault, record)) => return Err(ended(fault, &end, record)),
    };
    if relay.follows_comments() {
        return Ok(relay);
    }
    let message = format!("upstream `{name}` was asked for a stream and answered without one");
    let fault = Fault::new(Code::AnswerUnreadable, message);
    let record = relay.given_up();
    Err(record.map_or_else(Bytes::new, |record| ended(fault, &end, record)))
}

/// Close the record; the event that ends the stream.
fn ended(fault: Fault, end: &StreamEnd, mut record: Box<OpenRecord>) -> Bytes {
    record.begun();
    let outcome = fault.code.outcome();
    let event = Stop::Fault(fault).event(end, record.id());
    record.finish(outcome);
    event
}

/// What an upstream's error says, as far as it can be read.
async fn error_of(upstream: &str, answer: Answer) -> Fault {
    let (head, body) = answer.response.into_parts();
    let body = Limited::new(body, LATE_ERROR_BYTES_MAX).collect();
    let body = match timeout(LET_GO_TIME_MAX, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let read: Option<Value> = serde_json::from_slice(&body).ok();
    let said = read.as_ref().and_then(|read| {
        let places = ["/error/message", "/message", "/error"];
        let mut texts = places.iter().map(|place| read.pointer(place)?.as_str());
        texts.find_map(|text| text)
    });
    let mut message = format!(
        "upstream `{upstream}` answered with status {}",
        head.status.as_u16()
    );
    if let Some(said) = said {
        message.push_str(": ");
        message.extend(said.chars().take(LATE_ERROR_SHOWN));
    }
    Fault::new(Code::UpstreamFailed, message)
}
