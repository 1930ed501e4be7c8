//! The Responses API over a WebSocket: each `response.create` is a request of its own, with its own decision, permit and
//! record, and its upstream is asked by ordinary HTTP. Events come back as text, one at a time.
//!
//! One request is answered at a time; a few more may wait. What the last one said and was answered is remembered until the
//! connection ends, so that `previous_response_id` can go on from it though nothing was stored.

mod memory;
mod message;
mod open;

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use carnet_wire::responses::socket::{self, Ending};
use carnet_wire::stream::sse::{Block, SseParser};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

pub(crate) use self::memory::Memory;
pub(crate) use self::message::{Asked, read};
use self::open::Place;
pub(crate) use self::open::{Sockets, is_asked_for, open};
use crate::certificates::Shown;
use crate::codes::Code;
use crate::error::{Fault, Stop};
use crate::gateway::Gateway;
use crate::ingress::Dialect;
use crate::limits::{
    ANSWER_BYTES_MAX, SOCKET_BUFFER_BYTES, SOCKET_CLOSE_TIME_MAX, SOCKET_SEND_TIME_MAX,
    SOCKET_TIME_MAX, SOCKET_WAITING_MAX,
};
use crate::pipeline;
use crate::relay::ResponseBody;
use crate::source::Source;

/// What a caller sent.
pub(crate) type Sent = Result<Bytes, Fault>;

/// The caller has gone, or must.
struct Gone;

/// How a socket ends that we end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The caller sent what no further frame can be read behind.
    Broken(CloseCode),
    /// Nothing came for long.
    Idle,
    /// The key is not valid any more.
    Refused,
    /// The server stops.
    Stopping,
    /// It was open for as long as one may be.
    TooOld,
}

/// A socket that is open.
struct Socket {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    waiting: VecDeque<Sent>,
    waiting_bytes: usize,
    bytes_max: usize,
    /// Whether nothing more can be read.
    over: Option<End>,
}

/// What belongs to every request of a socket.
pub(crate) struct Session {
    pub(crate) gateway: Arc<Gateway>,
    /// The headers of the opening, which say who asks.
    pub(crate) headers: HeaderMap,
    /// Where it was opened from.
    pub(crate) source: Source,
    /// The certificate that its connection was opened with.
    pub(crate) certificate: Option<Arc<Shown>>,
    /// Cancelled when an answer that nobody reads must end.
    pub(crate) connection: CancellationToken,
    _place: Place,
}

impl Session {
    /// Serve a socket to its end.
    async fn run(self, upgraded: Upgraded, bytes_max: usize) {
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max));
        let io = TokioIo::new(upgraded);
        let mut socket = Socket {
            stream: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            bytes_max,
            over: None,
        };
        let connection = self.connection.clone();
        tokio::select! {
            biased;
            // Nothing more can be said to a caller who does not read.
            () = connection.cancelled() => {}
            _ = self.turns(&mut socket) => {}
        }
    }

    /// One request after the other.
    async fn turns(&self, socket: &mut Socket) -> Result<(), Gone> {
        let mut memory = None;
        let old = Instant::now() + SOCKET_TIME_MAX;
        loop {
            let sent = match self.next(socket, old).await? {
                Ok(sent) => sent,
                Err(end) => return socket.end(end).await,
            };
            let refused = self.turn(socket, sent, &mut memory).await?;
            if refused {
                return socket.end(End::Refused).await;
            }
        }
    }

    /// The next request, or why there is none.
    async fn next(&self, socket: &mut Socket, old: Instant) -> Result<Result<Sent, End>, Gone> {
        let idle = self.gateway.generation().server().websocket_idle;
        let idle = Instant::now() + idle;
        loop {
            if self.gateway.sockets().is_stopping() {
                return Ok(Err(End::Stopping));
            }
            if old <= Instant::now() {
                return Ok(Err(End::TooOld));
            }
            if let Some(sent) = socket.waiting.pop_front() {
                socket.waiting_bytes -= sent.as_ref().map_or(0, Bytes::len);
                return Ok(Ok(sent));
            }
            if let Some(end) = socket.over {
                return Ok(Err(end));
            }
            tokio::select! {
                biased;
                () = self.gateway.sockets().stopping() => {}
                () = sleep_until(old) => {}
                () = sleep_until(idle) => return Ok(Err(End::Idle)),
                read = socket.read() => read?,
            }
        }
    }

    /// Answer one request; whether its key was refused.
    async fn turn(
        &self,
        socket: &mut Socket,
        sent: Sent,
        memory: &mut Option<Memory>,
    ) -> Result<bool, Gone> {
        let mut asked = None;
        let response = {
            let mut answer = pin!(pipeline::turn(self, sent, memory.as_ref(), &mut asked));
            loop {
                tokio::select! {
                    biased;
                    response = &mut answer => break response,
                    read = socket.read() => read?,
                }
            }
        };
        let (status, nothing_read) = (response.status(), asked.is_none());
        let completed = socket.pass(response).await?;
        let asks_again = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        // What failed is not gone on from, and neither is what it went on from, unless it is to be tried again.
        if !nothing_read && !asks_again.contains(&status) {
            let items = asked.and_then(|asked: Asked| asked.items);
            *memory = items.zip(completed).and_then(|(items, completed)| {
                let memories = self.gateway.memories();
                Memory::of(memories, &items, &completed, socket.bytes_max)
            });
        }
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
        Ok(nothing_read && refused.contains(&status))
    }
}

impl Socket {
    /// Read one frame, if there is room for what it may bring.
    async fn read(&mut self) -> Result<(), Gone> {
        let room = self.waiting.len() < SOCKET_WAITING_MAX && self.waiting_bytes < self.bytes_max;
        if !room || self.over.is_some() {
            return pending().await;
        }
        let sent = match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(Bytes::from(text)),
            Some(Ok(Message::Binary(_))) => Err(Fault::new(
                Code::InvalidRequest,
                "a message must be text, and this one is binary",
            )),
            // The library answers them.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                self.over = Some(End::Broken(CloseCode::Size));
                Err(crate::ingress::too_large(self.bytes_max as u64))
            }
            Some(Err(Error::Utf8(_))) => {
                self.over = Some(End::Broken(CloseCode::Invalid));
                Err(Fault::new(Code::InvalidJson, "the message is not UTF-8"))
            }
            // The library has its answer ready; a caller who does not wait for it loses nothing.
            Some(Ok(Message::Close(_))) => {
                let _ = timeout(SOCKET_CLOSE_TIME_MAX, self.stream.flush()).await;
                return Err(Gone);
            }
            Some(Err(_)) | None => return Err(Gone),
        };
        self.waiting_bytes += sent.as_ref().map_or(0, Bytes::len);
        self.waiting.push_back(sent);
        Ok(())
    }

    /// Pass an answer on; the event that completes it, if one does.
    async fn pass(&mut self, response: Response<ResponseBody>) -> Result<Option<Bytes>, Gone> {
        let (head, mut body) = response.into_parts();
        let kind = head.headers.get(CONTENT_TYPE);
        let events = head.status.is_success()
            && kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json"));
        let mut passing = Passing::new(events);
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                read = self.read() => {
                    read?;
                    continue;
                }
            };
            let Some(frame) = frame else { break };
            // The answer broke off.
            let Ok(frame) = frame else {
                passing.broken = true;
                break;
            };
            let piece = frame.into_data().unwrap_or_default();
            passing.push(&piece);
            for message in passing.out.drain(..) {
                self.send(message).await?;
            }
        }
        let end = passing.finish(&head);
        if let Some(message) = end {
            self.send(message).await?;
        }
        Ok(passing.completed)
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        let sent = timeout(SOCKET_SEND_TIME_MAX, self.stream.send(message));
        sent.await.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// Say why it ends, and end it.
    async fn end(&mut self, end: End) -> Result<(), Gone> {
        let (code, reason) = match end {
            End::Broken(code) => (code, "the message cannot be read"),
            End::Idle => (CloseCode::Normal, "no request for too long"),
            End::Refused => (CloseCode::Policy, "the key is not valid"),
            End::Stopping => (CloseCode::Away, "the server is stopping"),
            End::TooOld => (CloseCode::Normal, "the connection is too old"),
        };
        if let End::TooOld = end {
            let message = format!(
                "a connection is open for at most {} minutes; open another one",
                SOCKET_TIME_MAX.as_secs() / 60
            );
            let stop = Stop::Fault(Fault::new(Code::WebsocketConnectionLimitReached, message));
            let response = stop.response(Dialect::Responses, None);
            self.pass(response).await?;
        }
        let close = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.send(Message::Close(Some(close))).await
    }
}

/// An answer on its way into messages.
struct Passing {
    /// Reads the events; nothing where the answer comes as a whole.
    parser: Option<SseParser>,
    whole: Vec<u8>,
    out: Vec<Message>,
    /// The last event of an answer that was given whole.
    completed: Option<Bytes>,
    /// Whether an event ended the answer.
    ended: bool,
    broken: bool,
}

impl Passing {
    fn new(events: bool) -> Self {
        Self {
            parser: events.then(SseParser::new),
            whole: Vec::new(),
            out: Vec::new(),
            completed: None,
            ended: false,
            broken: false,
        }
    }

    fn push(&mut self, mut piece: &[u8]) {
        let Some(parser) = &mut self.parser else {
            if self.whole.len() + piece.len() <= ANSWER_BYTES_MAX {
                self.whole.extend_from_slice(piece);
            } else {
                self.broken = true;
            }
            return;
        };
        loop {
            match parser.next(&mut piece) {
                Ok(Some(Block::Event(event))) => {
                    if event.data == b"[DONE]" {
                        continue;
                    }
                    let data = Bytes::copy_from_slice(event.data);
                    let ending = socket::ending(&data);
                    self.ended |= ending.is_some();
                    if ending == Some(Ending::Given) {
                        self.completed = Some(data.clone());
                    }
                    self.out.extend(text(data));
                }
                // The upstream is thinking, and the caller is not to give up on it.
                Ok(Some(Block::Comment(_))) => self.out.push(Message::Ping(Bytes::new())),
                Ok(None) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    /// What is to be said at the end of the answer.
    fn finish(&mut self, head: &http::response::Parts) -> Option<Message> {
        if self.ended {
            return None;
        }
        let whole = self.parser.is_none() && !self.broken;
        if whole && !head.status.is_success() {
            let retry = head.headers.get(RETRY_AFTER);
            let retry = retry.and_then(|value| value.to_str().ok());
            let status = head.status.as_u16();
            return text(socket::error_event(status, &self.whole, retry));
        }
        // An upstream that was asked for a stream may give the whole answer.
        if whole && let Some(event) = socket::completed_event(&self.whole) {
            self.completed = Some(event.clone());
            return text(event);
        }
        let message = "the answer broke off before its end, or was none";
        let fault = Fault::new(Code::UpstreamClosed, message);
        let status = fault.code.status().as_u16();
        text(socket::error_event(
            status,
            &Stop::Fault(fault).body(),
            None,
        ))
    }
}

/// A message of this text. What is no text is not JSON either, and is left out.
fn text(data: Bytes) -> Option<Message> {
    Some(Message::Text(data.try_into().ok()?))
}
