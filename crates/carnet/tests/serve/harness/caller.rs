//! Callers: what stock clients do, over HTTP/1.1 and HTTP/2, with and without TLS.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};

use super::upstream::Io;
use super::{Gateway, PATIENCE, within};

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    connection: Option<AbortHandle>,
}

impl Answer {
    /// A header's text, or "" without one.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The id of its record.
    pub(crate) fn record(&self) -> String {
        self.header("carnet-record").to_owned()
    }

    /// The next piece of the body; `None` at its end or when it breaks off.
    pub(crate) async fn piece(&mut self) -> Option<Bytes> {
        let frame = within(PATIENCE, "a piece of the answer", self.body.frame()).await;
        frame?.ok()?.into_data().ok()
    }

    /// Everything up to the end; an error when it breaks off.
    pub(crate) async fn try_bytes(mut self) -> Result<Vec<u8>, (Vec<u8>, hyper::Error)> {
        let mut all = Vec::new();
        loop {
            match within(PATIENCE, "the rest of the answer", self.body.frame()).await {
                None => return Ok(all),
                Some(Err(error)) => return Err((all, error)),
                Some(Ok(frame)) => all.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }

    /// The whole body.
    pub(crate) async fn bytes(self) -> Vec<u8> {
        self.try_bytes().await.unwrap()
    }

    /// The whole body as text.
    pub(crate) async fn text(self) -> String {
        String::from_utf8(self.bytes().await).unwrap()
    }

    /// The whole body as JSON.
    pub(crate) async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The whole body, which must be an error with this status and code. Its `error` member.
    pub(crate) async fn error(self, status: u16, code: &str) -> Value {
        let got = self.status.as_u16();
        let body = self.json().await;
        assert_eq!(
            (got, body["error"]["code"].as_str()),
            (status, Some(code)),
            "{body:#}"
        );
        body["error"].clone()
    }

    /// Close the connection without reading on.
    pub(crate) fn hang_up(self) {
        if let Some(connection) = &self.connection {
            connection.abort();
        }
    }
}

/// An HTTP/2 connection that several requests share.
#[derive(Clone)]
pub(crate) struct H2(http2::SendRequest<Full<Bytes>>);

impl Gateway {
    /// A connection to the data listener.
    pub(crate) async fn connect(&self) -> TcpStream {
        within(PATIENCE, "a connection", TcpStream::connect(self.data))
            .await
            .unwrap()
    }

    /// A chat request of the valid key, ready to be changed.
    pub(crate) fn chat_request(&self, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        self.request(Method::POST, "/v1/chat/completions", body)
    }

    /// Any request of the valid key.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("localhost:{}", self.data.port()))
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// Send a chat request over a connection of its own.
    pub(crate) async fn chat(&self, body: impl Into<Bytes>) -> Answer {
        self.send(self.chat_request(body)).await
    }

    /// `GET` with the valid key.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, "")).await
    }

    /// Send a request over an HTTP/1.1 connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = self.connect().await;
        self.send_over(Box::new(stream), request).await
    }

    /// Send a request over this connection by HTTP/1.1.
    pub(crate) async fn send_over(&self, io: Box<dyn Io>, request: Request<Full<Bytes>>) -> Answer {
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        let connection = tokio::spawn(connection).abort_handle();
        let answer = within(PATIENCE, "an answer", sender.send_request(request)).await;
        self.answer(answer.unwrap(), Some(connection))
    }

    /// Speak HTTP/2 over this connection.
    pub(crate) async fn h2(&self, io: Box<dyn Io>) -> H2 {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (sender, connection) = within(PATIENCE, "the preface", handshake).await.unwrap();
        tokio::spawn(connection);
        H2(sender)
    }

    /// Send a request as one stream of an HTTP/2 connection.
    pub(crate) async fn send_h2(&self, h2: &H2, request: Request<Full<Bytes>>) -> Answer {
        let answer = h2.0.clone().send_request(as_h2(request));
        let answer = within(PATIENCE, "an answer", answer).await;
        self.answer(answer.unwrap(), None)
    }

    /// Send requests as streams of one HTTP/2 connection, all at once; their statuses.
    pub(crate) async fn send_all(
        &self,
        h2: &H2,
        requests: impl IntoIterator<Item = Request<Full<Bytes>>>,
    ) -> Vec<StatusCode> {
        let mut running = JoinSet::new();
        for request in requests {
            let answer = h2.0.clone().send_request(as_h2(request));
            running.spawn(async move {
                let (head, body) = answer.await.unwrap().into_parts();
                body.collect().await.unwrap();
                head
            });
        }
        let all = within(PATIENCE, "all answers", running.join_all()).await;
        let mut told = self.told.lock().unwrap();
        let ids = all
            .iter()
            .filter_map(|head| head.headers.get("carnet-record"));
        told.extend(ids.map(|id| id.to_str().unwrap().to_owned()));
        all.iter().map(|head| head.status).collect()
    }

    /// Keep the record that an answer names: at the end each must stand in the log.
    fn answer(
        &self,
        response: http::Response<Incoming>,
        connection: Option<AbortHandle>,
    ) -> Answer {
        let (head, body) = response.into_parts();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body,
            connection,
        };
        if answer.headers.contains_key("carnet-record") {
            self.told.lock().unwrap().push(answer.record());
        }
        answer
    }

    /// Call the admin listener with its token: status and JSON.
    pub(crate) async fn admin(&self, method: Method, path: &str) -> (u16, Value) {
        self.admin_with(method, path, "").await
    }

    /// Call it with a body.
    pub(crate) async fn admin_with(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.admin_bytes(method, path, body).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The value of a counter, with its labels as they are written.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        self.metric(name).await.parse().unwrap()
    }

    /// The same as it is written.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| {
            let (known, value) = line.split_once(' ')?;
            (known == name).then_some(value)
        });
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .to_owned()
    }

    /// All counters as they are told.
    pub(crate) async fn metrics(&self) -> String {
        let (status, body) = self.admin_bytes(Method::GET, "/metrics", "").await;
        assert_eq!(status, 200);
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn admin_bytes(&self, method: Method, path: &str, body: &str) -> (u16, Bytes) {
        let token = std::fs::read_to_string(self.setup.path("state/admin.token")).unwrap();
        self.admin_bytes_as(token.trim(), method, path, body).await
    }

    /// Call the admin listener with another token.
    pub(crate) async fn admin_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &str,
    ) -> (u16, Value) {
        let (status, body) = self.admin_bytes_as(token, method, path, body).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn admin_bytes_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &str,
    ) -> (u16, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.admin.to_string())
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .unwrap();
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = within(PATIENCE, "an admin answer", sender.send_request(request)).await;
        let (head, body) = answer.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), body)
    }
}

/// The name of the listener stands in the target and not in a header.
fn as_h2(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let host = request.headers_mut().remove(HOST).unwrap();
    let target = format!("http://{}{}", host.to_str().unwrap(), request.uri());
    *request.uri_mut() = target.parse().unwrap();
    request
}

/// The JSON objects in the `data:` lines of an event stream.
/// The same request with another key.
pub(crate) fn with_key(mut request: Request<Full<Bytes>>, key: &str) -> Request<Full<Bytes>> {
    let value = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
    request.headers_mut().insert(AUTHORIZATION, value);
    request
}

pub(crate) fn json_body(events: &str) -> Vec<Value> {
    events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}
