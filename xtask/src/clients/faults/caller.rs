//! The callers of the fault run: what they ask, and what they see of what comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rows::{Callers, Row};
use super::upstream::{FORGED, GOOD};
use crate::mock::{Answer, ask, read_answer};

/// What a caller saw of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// What the upstream said, framed as it framed it, and not to be taken for the good answer.
    AsSent,
    /// It broke off before its end, so that no client takes it for whole.
    Broken,
    /// An error of this status.
    Error(u16),
    /// Something of what no answer is.
    Forged,
    /// The whole good answer.
    Good,
    /// The caller hung up itself.
    HungUp,
    /// Nothing that is HTTP, or an error without a body that says what is wrong.
    Nothing,
    /// A stream that ends with the error of its dialect.
    Told,
}

/// One request, as its caller saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) view: View,
    /// The record's id, where the caller was told one.
    pub(super) id: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    ChatStream,
    /// In another dialect than the upstream's, so that the answer is translated.
    Messages,
    MessagesStream,
}

pub(super) const KINDS: [Kind; 4] = [
    Kind::Chat,
    Kind::ChatStream,
    Kind::Messages,
    Kind::MessagesStream,
];

impl Kind {
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Self::ChatStream | Self::MessagesStream)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Chat | Self::ChatStream => "/v1/chat/completions",
            Self::Messages | Self::MessagesStream => "/v1/messages",
        }
    }

    fn body(self, model: &str) -> String {
        let messages = json!([{"role": "user", "content": "How is everything?"}]);
        let mut body = json!({"model": model, "messages": messages, "stream": self.is_stream()});
        if let (Self::Messages | Self::MessagesStream, Some(body)) = (self, body.as_object_mut()) {
            body.insert("max_tokens".to_owned(), json!(64));
        }
        body.to_string()
    }

    fn view(self, answer: &Answer) -> View {
        let text = String::from_utf8_lossy(&answer.body);
        let in_head = answer.headers.values().any(|value| value.contains(FORGED));
        if in_head || text.contains(FORGED) {
            return View::Forged;
        }
        if !answer.complete {
            return View::Broken;
        }
        if answer.status != 200 {
            let read: Option<Value> = serde_json::from_str(&text).ok();
            let says = read.is_some_and(|body| body.get("error").is_some());
            return if says {
                View::Error(answer.status)
            } else {
                View::Nothing
            };
        }
        let good = match self {
            Self::Chat => said(&text, "/choices/0/message/content"),
            Self::Messages => said(&text, "/content/0/text"),
            Self::ChatStream => streamed(&text, "/choices/0/delta/content", "[DONE]"),
            Self::MessagesStream => streamed(&text, "/delta/text", "message_stop"),
        };
        match good {
            true => View::Good,
            false if self.is_stream() && text.contains("\"error\":{") => View::Told,
            false => View::AsSent,
        }
    }
}

/// Whether a whole answer says there what the good one does.
fn said(text: &str, place: &str) -> bool {
    let read: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    read.pointer(place).and_then(Value::as_str) == Some(GOOD)
}

/// Whether the pieces of a stream say what the good answer does, and its end has come.
fn streamed(text: &str, place: &str, end: &str) -> bool {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let (mut all, mut ended) = (String::new(), false);
    for data in data {
        let read: Value = serde_json::from_str(data).unwrap_or(Value::Null);
        all.push_str(
            read.pointer(place)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
        ended |= data == end || read.get("type").and_then(Value::as_str) == Some(end);
    }
    ended && all == GOOD
}

/// Asks once and reads the answer to its end.
pub(super) fn ask_for(to: SocketAddr, key: &str, model: &str, kind: Kind) -> Asked {
    let body = kind.body(model);
    let answer = ask(to, kind.path(), Some(key), body.as_bytes()).and_then(read_answer);
    seen(kind, answer)
}

fn seen(kind: Kind, answer: std::io::Result<Answer>) -> Asked {
    let Ok(answer) = answer else {
        return Asked {
            kind,
            view: View::Nothing,
            id: None,
        };
    };
    Asked {
        kind,
        view: kind.view(&answer),
        id: answer.headers.get("carnet-record").cloned(),
    }
}

/// What callers of a row do, each once. `ended` says when an answer that nobody reads is over.
pub(super) fn behave(
    to: SocketAddr,
    key: &str,
    row: &Row,
    kind: Kind,
    ended: &dyn Fn() -> bool,
) -> Asked {
    let body = kind.body(row.name);
    let hung_up = |id| Asked {
        kind,
        view: View::HungUp,
        id,
    };
    match row.callers {
        Callers::Well => ask_for(to, key, row.name, kind),
        Callers::HangUp => {
            let id = ask(to, kind.path(), Some(key), body.as_bytes())
                .ok()
                .and_then(|stream| first_piece(&stream));
            hung_up(id)
        }
        Callers::Unread => {
            // Held open, and not looked at, until the gateway has had enough of it.
            let stream = ask(to, kind.path(), Some(key), body.as_bytes());
            let begun = Instant::now();
            while !ended() && begun.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(20));
            }
            drop(stream);
            hung_up(None)
        }
        Callers::SendSlowly => {
            let stream = connect(to, kind, key, body.len());
            let answer = stream.and_then(|mut stream| {
                for byte in body.as_bytes() {
                    stream.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(2));
                }
                read_answer(stream)
            });
            seen(kind, answer)
        }
        Callers::StopSending => {
            if let Ok(mut stream) = connect(to, kind, key, body.len()) {
                let half = body.as_bytes().get(..body.len() / 2);
                let _ = stream.write_all(half.unwrap_or_default());
                thread::sleep(Duration::from_millis(100));
            }
            hung_up(None)
        }
    }
}

/// The id that the head tells, once something of the body has come too.
fn first_piece(stream: &TcpStream) -> Option<String> {
    let (mut stream, mut read) = (stream, Vec::new());
    let mut piece = [0; 1024];
    while !read.windows(5).any(|five| five == b"data:") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => read.extend(piece.get(..length)?),
            _ => return None,
        }
    }
    let text = String::from_utf8_lossy(&read);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("carnet-record: "));
    line.map(str::to_owned)
}

fn connect(to: SocketAddr, kind: Kind, key: &str, length: usize) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n",
        kind.path()
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}
