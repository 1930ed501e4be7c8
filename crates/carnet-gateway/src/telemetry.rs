//! Telemetry for an OpenTelemetry collector: a span for each request and each attempt, and how long they took and what they used.
//!
//! Requests only hand over what is known of them when they have ended. All else happens beside them, with bounded room: what a
//! collector does not take is lost and counted. What is sent is OTLP over HTTP in its protobuf form
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>), written by [`protobuf`] alone: the SDK would bring ten crates for it.

mod measures;
mod protobuf;
mod providers;
mod spans;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::measures::Measures;
use self::protobuf::Message;
use crate::config::TelemetryConfig;
use crate::egress::{Line, Mailbox, Secret, UpstreamProblem};
use crate::ended::Ended;
use crate::gateway::Gateway;
use crate::limits::{
    CONNECT_TIME_MAX, TELEMETRY_ANSWER_BYTES_MAX, TELEMETRY_BATCH_EVERY, TELEMETRY_BATCH_SPANS,
    TELEMETRY_BATCHES_MAX, TELEMETRY_END_TIME_MAX, TELEMETRY_REQUESTS_MAX, TELEMETRY_RETRY_AFTER,
    TELEMETRY_SEND_TIME_MAX,
};
use crate::trace::{Ids, Share, Trace};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// Of the conventions by which attributes are named: <https://github.com/open-telemetry/semantic-conventions-genai>.
const SCHEMA: &str = "https://opentelemetry.io/schemas/gen-ai/1.42.0";

/// A time between messages that are not sent.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// What telemetry needs beside its settings, read by the caller.
#[derive(Debug, Default)]
pub struct TelemetryFiles {
    /// Values of the headers, in the order of the settings.
    pub headers: Vec<Secret>,
    /// PEM of the certificate authorities.
    pub ca: Option<Vec<u8>>,
}

/// The side of requests: gives them their place in traces, and takes over those that have ended.
#[derive(Debug)]
pub struct Telemetry {
    ids: Ids,
    share: Share,
    propagates: bool,
    queue: mpsc::Sender<Arc<Ended>>,
}

/// The side of the collector, to be run beside the requests.
pub struct Exporter {
    queue: mpsc::Receiver<Arc<Ended>>,
    post: Post,
    resource: Message,
    /// How often measures are told, if they are.
    measures_every: Option<Duration>,
    started: Timestamp,
}

/// Where messages go.
struct Post {
    mailbox: Mailbox,
    traces: Uri,
    metrics: Uri,
}

/// Spans that are told together.
struct Batch {
    spans: Message,
    count: usize,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter(…)")
    }
}

impl Telemetry {
    /// Both sides, as they are set. `seed` makes the ids of this process its own, and `instance` names it.
    ///
    /// # Errors
    /// When the collector cannot be asked with these settings.
    pub fn new(
        config: &TelemetryConfig,
        files: TelemetryFiles,
        (seed, instance): (u64, &str),
        now: Timestamp,
    ) -> Result<(Self, Exporter), UpstreamProblem> {
        let (sender, queue) = mpsc::channel(TELEMETRY_REQUESTS_MAX);
        let name: Arc<str> = "telemetry".into();
        let line = Line {
            name: &name,
            authorities: config.ca_file.as_deref().zip(files.ca.as_deref()),
            client_cert: None,
            proxy: None,
            // It is the operator's own and nothing of a request leads there.
            private_addresses: true,
            connect_timeout: CONNECT_TIME_MAX,
        };
        let names = config.headers.iter().map(|(name, _)| name.clone());
        let headers: Vec<(HeaderName, Secret)> = names.zip(files.headers).collect();
        let telemetry = Self {
            ids: Ids::new(seed),
            share: Share::new(config.sample),
            propagates: config.propagate,
            queue: sender,
        };
        let exporter = Exporter {
            queue,
            post: Post {
                mailbox: Mailbox::new(&config.traces, &line, &headers)?,
                traces: config.traces.clone(),
                metrics: config.metrics.clone(),
            },
            resource: spans::resource(&config.service_name, instance),
            measures_every: config.metrics_every,
            started: now,
        };
        Ok((telemetry, exporter))
    }

    /// The place of a request in a trace.
    pub(crate) fn begin(&self, place: (&Method, &str), headers: &HeaderMap) -> Trace {
        Trace::begin(&self.ids, self.share, place, headers)
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// What the upstream of the next attempt is told.
    pub(crate) fn headers(&self, trace: &mut Trace) -> SmallVec<[(HeaderName, HeaderValue); 2]> {
        let span = trace.next(&self.ids);
        if self.propagates {
            trace.headers(span)
        } else {
            SmallVec::new()
        }
    }

    /// A request has ended. False when there is no room for it.
    pub(crate) fn ended(&self, ended: &Arc<Ended>) -> bool {
        self.queue.try_send(ended.clone()).is_ok()
    }
}

impl Exporter {
    /// Tell the collector of requests until `stop`, and then of what is left.
    pub async fn run(mut self, gateway: Arc<Gateway>, stop: CancellationToken) {
        let (batches, waiting) = mpsc::channel(TELEMETRY_BATCHES_MAX);
        let (metrics, measured) = mpsc::channel(1);
        let resource = self.resource.clone();
        let sending = tokio::spawn(send(
            self.post,
            resource,
            waiting,
            measured,
            gateway.clone(),
        ));
        let mut measures = Measures::new(self.started);
        let mut batch = Batch::new();
        let mut soon = interval(TELEMETRY_BATCH_EVERY);
        let mut measures_due = interval(self.measures_every.unwrap_or(NEVER));
        for every in [&mut soon, &mut measures_due] {
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        // The first tick comes at once.
        measures_due.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = soon.tick() => batch.hand_over(&batches, &gateway),
                _ = measures_due.tick(), if self.measures_every.is_some() => {
                    // One that still waits says less than the next.
                    let _ = metrics.try_send(measures.message(gateway.now()));
                }
                ended = self.queue.recv() => match ended {
                    Some(ended) => batch.add(&ended, &mut measures, &batches, &gateway),
                    None => break,
                },
            }
        }
        self.queue.close();
        while let Ok(ended) = self.queue.try_recv() {
            batch.add(&ended, &mut measures, &batches, &gateway);
        }
        batch.hand_over(&batches, &gateway);
        if self.measures_every.is_some() {
            let _ = metrics.try_send(measures.message(gateway.now()));
        }
        drop((batches, metrics));
        let mut sending = sending;
        if timeout(TELEMETRY_END_TIME_MAX, &mut sending).await.is_err() {
            sending.abort();
            tracing::warn!("the collector did not take all telemetry before the end");
        }
    }
}

impl Batch {
    fn new() -> Self {
        Self {
            spans: Message::default(),
            count: 0,
        }
    }

    /// Take a request in, and hand the batch over when it is full.
    fn add(
        &mut self,
        ended: &Ended,
        measures: &mut Measures,
        batches: &mpsc::Sender<Self>,
        gateway: &Gateway,
    ) {
        measures.add(ended);
        self.count += spans::write(ended, &mut self.spans);
        if self.count >= TELEMETRY_BATCH_SPANS {
            self.hand_over(batches, gateway);
        }
    }

    fn hand_over(&mut self, batches: &mpsc::Sender<Self>, gateway: &Gateway) {
        if self.count == 0 {
            return;
        }
        let batch = std::mem::replace(self, Self::new());
        if let Err(error) = batches.try_send(batch) {
            let lost = error.into_inner().count;
            gateway.metrics().spans_lost.inc_by(lost as u64);
        }
    }
}

/// Send what comes until nothing more does.
async fn send(
    post: Post,
    resource: Message,
    mut batches: mpsc::Receiver<Batch>,
    mut measured: mpsc::Receiver<Message>,
    gateway: Arc<Gateway>,
) {
    let mut reachable = true;
    let (mut more_spans, mut more_measures) = (true, true);
    while more_spans || more_measures {
        let (sent, spans) = tokio::select! {
            batch = batches.recv(), if more_spans => match batch {
                Some(batch) => {
                    let message = spans::request(&resource, &batch.spans);
                    (post.send(&post.traces, message).await, batch.count)
                }
                None => {
                    more_spans = false;
                    continue;
                }
            },
            metrics = measured.recv(), if more_measures => match metrics {
                Some(metrics) => {
                    let message = spans::request(&resource, &metrics);
                    (post.send(&post.metrics, message).await, 0)
                }
                None => {
                    more_measures = false;
                    continue;
                }
            },
        };
        let metrics = gateway.metrics();
        match &sent {
            Ok(()) => metrics.spans_sent.inc_by(spans as u64),
            Err(_) => metrics.spans_lost.inc_by(spans as u64),
        };
        // Said once for each time that it goes away.
        if let (Err(why), true) = (&sent, reachable) {
            tracing::warn!(%why, "the collector takes no telemetry");
        }
        reachable = sent.is_ok();
    }
}

impl Post {
    /// Send a message, and once more if that may help.
    async fn send(&self, uri: &Uri, message: Bytes) -> Result<(), String> {
        let first = self.once(uri, message.clone()).await;
        let Err((why, true)) = first else {
            return first.map_err(|(why, _)| why);
        };
        tracing::debug!(%why, "telemetry is sent once more");
        sleep(TELEMETRY_RETRY_AFTER).await;
        self.once(uri, message).await.map_err(|(why, _)| why)
    }

    /// Send a message; when it fails, whether another try may help.
    async fn once(&self, uri: &Uri, message: Bytes) -> Result<(), (String, bool)> {
        let sent = self
            .mailbox
            .leave(uri, PROTOBUF, message, TELEMETRY_ANSWER_BYTES_MAX);
        match timeout(TELEMETRY_SEND_TIME_MAX, sent).await {
            Err(_) => Err(("it did not answer in time".to_owned(), true)),
            Ok(Err(why)) => Err((why, true)),
            Ok(Ok(status)) if status.is_success() => Ok(()),
            // Those that the protocol calls retryable.
            Ok(Ok(status)) => Err((
                format!("it answered with status {}", status.as_u16()),
                matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::BAD_GATEWAY
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT
                ),
            )),
        }
    }
}
