//! The engine as a server of OpenAI's dialect on a Unix socket, so that for the gateway it is an
//! upstream like any other.
//!
//! `POST /v1/chat/completions` (plain and streamed), `GET /v1/models`, `GET /health`. One answer is
//! made at a time; a bounded number of requests wait, and further ones get 429. An answer whose caller
//! hangs up ends within one token.

mod answer;
mod ask;
mod error;
mod queue;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use carnet_wire::openai::{DONE_EVENT, Model, model_list};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use self::answer::{Choice, Head};
use self::error::Problem;
use self::queue::{Coming, Event, Queue};
use crate::engine::Engine;
use crate::generation::Usage;

/// Largest body of a request: a prompt of the largest size, with room for JSON's escapes.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Connections at once. Only the gateway connects, and it keeps few.
const CONNECTIONS_MAX: u32 = 256;
/// How long the next request's head may take to come on a kept connection: longer than the gateway
/// keeps one, so that none is closed under a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(300);
/// After a failed `accept`, as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a model is served.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The name by which requests ask for the model.
    pub model: String,
    /// Requests that may wait while another is answered.
    pub waiting_max: usize,
}

struct Server {
    engine: Arc<Engine>,
    queue: Queue,
    model: String,
}

/// Answers requests until `stop` is ready, and then those that it has to their end.
///
/// # Errors
/// When the thread that makes answers cannot be started.
pub async fn serve(
    engine: Arc<Engine>,
    listener: UnixListener,
    serving: Serving,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = Arc::new(Server {
        queue: Queue::start(engine.clone(), serving.waiting_max)?,
        engine,
        model: serving.model,
    });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let (close, closing) = watch::channel(false);
    tokio::pin!(stop);
    loop {
        let next = async {
            let place = room.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let next = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let (Ok(place), Ok((stream, _))) = next else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = server.clone().connection(stream, closing.clone());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    close.send_replace(true);
    // All places are free when no connection is left. The semaphore is never closed.
    let _ = room.acquire_many(CONNECTIONS_MAX).await;
    Ok(())
}

impl Server {
    async fn connection(self: Arc<Self>, stream: UnixStream, mut closing: watch::Receiver<bool>) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.respond(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // What breaks a connection is the caller's to see; there is nobody else to tell.
        tokio::select! {
            _ = &mut connection => {}
            _ = closing.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Answer> {
        let wanted = match request.uri().path() {
            "/v1/chat/completions" => Method::POST,
            "/v1/models" | "/health" => Method::GET,
            path => {
                let message = format!("there is no `{path}` here");
                return refused(&Problem::plain(StatusCode::NOT_FOUND, &message));
            }
        };
        if request.method() != wanted {
            let message = format!("use {wanted} for this path");
            let problem = Problem::plain(StatusCode::METHOD_NOT_ALLOWED, &message);
            let mut response = refused(&problem);
            let allow =
                HeaderValue::from_static(if wanted == Method::GET { "GET" } else { "POST" });
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        match request.uri().path() {
            "/health" => json(StatusCode::OK, Bytes::from_static(br#"{"status":"ok"}"#)),
            "/v1/models" => {
                let model = Model::new(self.model.as_str(), "carnet");
                json(StatusCode::OK, model_list(&[model]))
            }
            _ => self
                .chat(request)
                .await
                .unwrap_or_else(|problem| refused(&problem)),
        }
    }

    async fn chat(&self, request: Request<Incoming>) -> Result<Response<Answer>, Problem> {
        let body = body(request).await?;
        let mut seed = [0; 8];
        // Without chance every answer begins alike, which is still an answer.
        let _ = getrandom::fill(&mut seed);
        let ask = ask::read(&body, &self.engine, &self.model, u64::from_le_bytes(seed))?;
        let head = Head {
            id: format!("chatcmpl-{}", hex(seed)),
            created: now(),
            model: self.model.clone(),
        };
        let (stream, include_usage) = (ask.stream, ask.include_usage);
        let mut events = self.queue.push(ask)?;
        // A refusal comes before anything else, while the status can still say so.
        let first = match events.recv().await {
            Some(Event::Failed(refusal)) => return Err(Problem::from(&refusal)),
            Some(first) => first,
            None => return Err(Problem::stopped()),
        };
        if stream {
            let mut response = Response::new(Answer::Stream(Box::new(Stream {
                head,
                first: Some(first),
                events,
                include_usage,
                state: State::Open,
            })));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return Ok(response);
        }
        let (choices, usage) = collect(first, &mut events).await?;
        Ok(json(StatusCode::OK, head.whole(&choices, usage)))
    }
}

/// All events of an answer as one.
async fn collect(first: Event, events: &mut Coming) -> Result<(Vec<Choice>, Usage), Problem> {
    let mut choices: Vec<Choice> = Vec::new();
    let mut next = Some(first);
    while let Some(event) = next {
        match event {
            Event::Begin(index) => choices.push(Choice::new(index)),
            Event::Piece(_, piece) => {
                if let Some(choice) = choices.last_mut() {
                    choice.push(&piece);
                }
            }
            Event::End(_, finish) => {
                if let Some(choice) = choices.last_mut() {
                    choice.finish(finish);
                }
            }
            Event::Done(usage) => return Ok((choices, usage)),
            Event::Failed(refusal) => return Err(Problem::from(&refusal)),
        }
        next = events.recv().await;
    }
    Err(Problem::stopped())
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    match Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body has more than {BODY_BYTES_MAX} bytes");
            Err(Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, &message))
        }
        Err(_) => Err(Problem::plain(
            StatusCode::BAD_REQUEST,
            "the body broke off",
        )),
    }
}

fn refused(problem: &Problem) -> Response<Answer> {
    let mut response = json(problem.status, problem.body());
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn json(status: StatusCode, body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Some(body)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn hex(seed: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(seed))
}

/// What hyper sends.
enum Answer {
    Whole(Option<Bytes>),
    Stream(Box<Stream>),
}

/// An answer as events; dropped, it ends the generation.
struct Stream {
    head: Head,
    first: Option<Event>,
    events: Coming,
    include_usage: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Only the word that ends a stream is still to come.
    Ending,
    Over,
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.state {
            State::Open => {}
            State::Ending => {
                self.state = State::Over;
                return Poll::Ready(Some(DONE_EVENT));
            }
            State::Over => return Poll::Ready(None),
        }
        let event = match self.first.take() {
            Some(first) => Some(first),
            None => std::task::ready!(self.events.poll_recv(cx)),
        };
        Poll::Ready(Some(match event {
            Some(Event::Begin(index)) => self.head.begin(index),
            Some(Event::Piece(index, piece)) => self.head.piece(index, &piece),
            Some(Event::End(index, finish)) => self.head.end(index, finish),
            Some(Event::Done(usage)) if self.include_usage => {
                self.state = State::Ending;
                self.head.usage(usage)
            }
            Some(Event::Done(_)) => {
                self.state = State::Over;
                DONE_EVENT
            }
            Some(Event::Failed(refusal)) => {
                self.state = State::Over;
                Problem::from(&refusal).event()
            }
            None => {
                self.state = State::Over;
                Problem::stopped().event()
            }
        }))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Answer::Whole(bytes) => Poll::Ready(bytes.take()),
            Answer::Stream(stream) => stream.poll(cx),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Whole(bytes) => bytes.is_none(),
            Answer::Stream(stream) => stream.state == State::Over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Answer::Stream(_) => SizeHint::default(),
        }
    }
}
