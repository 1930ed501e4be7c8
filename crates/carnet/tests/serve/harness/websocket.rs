//! A caller over a WebSocket.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::raw::header_in;
use super::{Gateway, PATIENCE, within};

/// The handshake of RFC 6455, section 1.3, and what proves that it was read.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A socket that is open.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

/// What came over it.
#[derive(Debug)]
pub(crate) enum Came {
    Event(Value),
    /// It was closed with this code.
    Closed(u16),
    /// The connection ended.
    Gone,
}

impl Gateway {
    /// The head by which a socket is opened with a key.
    pub(crate) fn upgrade(&self, path: &str, key: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
        )
    }

    /// Send the head of an opening; the head of the answer, and the connection behind it.
    pub(crate) async fn opening(&self, head: &str) -> (String, TcpStream) {
        let mut stream = self.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let byte = within(PATIENCE, "an answer's head", stream.read_u8()).await;
            answer.push(byte.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        let record = header_in(&answer, "carnet-record");
        if !record.is_empty() {
            self.expect_told(record);
        }
        (answer, stream)
    }

    /// Open a socket.
    pub(crate) async fn socket(&self) -> Socket {
        let head = self.upgrade("/v1/responses", &self.key);
        let (answer, stream) = self.opening(&head).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert_eq!(header_in(&answer, "sec-websocket-accept"), ACCEPT);
        Socket(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }
}

impl Socket {
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.send_message(Message::Text(text.into().into())).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        let sent = within(PATIENCE, "a message", self.0.send(message)).await;
        sent.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Came {
        loop {
            return match within(PATIENCE, "a message", self.0.next()).await {
                Some(Ok(Message::Text(text))) => Came::Event(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => Came::Closed(frame.code.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(message)) => panic!("{message:?}"),
                Some(Err(_)) | None => Came::Gone,
            };
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        match self.next().await {
            Came::Event(event) => event,
            came => panic!("{came:?}"),
        }
    }

    /// The next event, which must be an error with this status and code.
    pub(crate) async fn error(&mut self, status: u16, code: &str) -> Value {
        let event = self.event().await;
        assert_eq!(
            (&event["type"], &event["status"], &event["error"]["code"]),
            (&"error".into(), &status.into(), &code.into()),
            "{event:#}"
        );
        event["error"].clone()
    }

    /// Wait until it was closed; with which code.
    pub(crate) async fn closed(&mut self) -> u16 {
        match self.next().await {
            Came::Closed(code) => code,
            came => panic!("{came:?}"),
        }
    }
}
