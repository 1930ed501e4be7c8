//! Replays recorded exchanges: same status, same headers that matter, same bytes, cut anew.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::{Conversation, Headers};
use super::ledger::End;

/// Sizes in bytes that answers are cut into; 0 sends them whole. One byte splits every character
/// and every line end, the primes drift across event boundaries.
pub(crate) const CUTS: &[usize] = &[1, 7, 37, 0];

/// A recorded exchange of an API that is served.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) provider: String,
    /// Where the gateway serves it.
    pub(crate) path: String,
    pub(crate) status: u16,
    /// The request as it was recorded, with a model where the service took it from the path.
    pub(crate) request: String,
    /// The model that it asks for.
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// The recorder kept meaning, not bytes.
    pub(crate) reserialised: bool,
    #[serde(skip)]
    headers: Headers,
    #[serde(skip)]
    body: Vec<u8>,
}

/// A line of a recording.
#[derive(Deserialize)]
struct Recorded {
    id: String,
    provider: String,
    api: String,
    method: String,
    path: String,
    query: Option<String>,
    status: u16,
    request_body: Option<Body>,
    response_headers: Headers,
    response_body: Option<Body>,
    reserialised: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Text(String),
    /// Images and such; no answer of these APIs is.
    Base64(
        #[expect(
            dead_code,
            reason = "named so that the line parses; such exchanges are left out"
        )]
        String,
    ),
}

#[derive(Default)]
pub(super) struct Cassettes {
    all: Vec<Exchange>,
    armed: Mutex<Option<(Arc<Exchange>, usize)>>,
}

impl Cassettes {
    /// Reads every exchange of a served API from a folder of recordings.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("cannot list `{}`", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        files.sort();
        let mut all = Vec::new();
        for file in files {
            for (index, line) in fs::read_to_string(&file)?.lines().enumerate() {
                let recorded: Recorded = serde_json::from_str(line).with_context(|| {
                    format!("cannot read `{}`, line {}", file.display(), index + 1)
                })?;
                all.extend(exchange(recorded));
            }
        }
        Ok(Self {
            all,
            armed: Mutex::default(),
        })
    }

    pub(super) fn all(&self) -> &[Exchange] {
        &self.all
    }

    pub(super) fn arm(&self, id: &str, step: usize) -> Result<(), String> {
        let exchange = self
            .all
            .iter()
            .find(|exchange| exchange.id == id)
            .ok_or_else(|| format!("no exchange `{id}`"))?;
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::new(exchange.clone()), step));
        Ok(())
    }

    pub(super) fn disarm(&self) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn armed(&self) -> Option<(Arc<Exchange>, usize)> {
        self.armed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Where the gateway serves what was recorded, if it does. Services have it under paths of their own.
fn served(recorded: &Recorded) -> Option<String> {
    let path = match recorded.api.as_str() {
        "chat.completions" => "/v1/chat/completions",
        "completions" => "/v1/completions",
        "count_tokens" if recorded.path == "/v1/messages/count_tokens" => {
            "/v1/messages/count_tokens"
        }
        "embeddings" if recorded.path.ends_with("/embeddings") => "/v1/embeddings",
        "messages" => "/v1/messages",
        "responses" if recorded.path.ends_with("/responses") => "/v1/responses",
        _ => return None,
    };
    let beta = recorded.query.as_deref() == Some("beta=true");
    let query = if beta { "?beta=true" } else { "" };
    (recorded.method == "POST").then(|| format!("{path}{query}"))
}

/// The exchange in a recorded line, if its API is served.
fn exchange(recorded: Recorded) -> Option<Exchange> {
    let path = served(&recorded)?;
    let Some(Body::Text(request)) = recorded.request_body else {
        return None;
    };
    let body = match recorded.response_body {
        Some(Body::Text(text)) => text.into_bytes(),
        Some(Body::Base64(_)) => return None,
        None => Vec::new(),
    };
    let request = with_model(request);
    let asked: Value = serde_json::from_str(&request).ok()?;
    Some(Exchange {
        id: recorded.id,
        provider: recorded.provider,
        path,
        status: recorded.status,
        model: asked
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        stream: asked
            .get("stream")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        reserialised: recorded.reserialised,
        request,
        headers: recorded.response_headers,
        body,
    })
}

/// A body without a model gets one: whoever decides on a request must know what it is for.
fn with_model(request: String) -> String {
    let named = |asked: &Value| {
        asked
            .get("model")
            .and_then(Value::as_str)
            .is_some_and(|model| !model.is_empty())
    };
    match serde_json::from_str::<Value>(&request) {
        Ok(mut asked) if !named(&asked) => {
            if let Some(fields) = asked.as_object_mut() {
                fields.insert("model".to_owned(), "recorded-without-model".into());
            }
            asked.to_string()
        }
        _ => request,
    }
}

impl Exchange {
    /// Whether this body asks what the recorded one asked.
    pub(super) fn asks(&self, body: &Value) -> bool {
        serde_json::from_str::<Value>(&self.request).is_ok_and(|recorded| recorded == *body)
    }

    fn is_event_stream(&self) -> bool {
        self.headers
            .get("content-type")
            .is_some_and(|kind| kind.contains("event-stream"))
    }
}

/// Answers with an exchange.
pub(super) fn play(talk: &mut Conversation, exchange: &Exchange, step: usize) -> End {
    match send(talk, exchange, step) {
        Ok(()) => End::Answered,
        Err(_) => End::ClosedByPeer,
    }
}

fn send(talk: &mut Conversation, exchange: &Exchange, step: usize) -> io::Result<()> {
    // Length and coding are this server's own; the recorded ones were of the body before unpacking.
    let framing = [
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "connection",
    ];
    let kept = exchange
        .headers
        .iter()
        .filter(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()));
    let headers: Vec<_> = kept
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let streamed = exchange.is_event_stream();
    talk.head(
        exchange.status,
        &headers,
        (!streamed).then_some(exchange.body.len()),
    )?;
    let step = if step == 0 {
        exchange.body.len().max(1)
    } else {
        step
    };
    for piece in exchange.body.chunks(step) {
        if streamed {
            talk.chunk(piece)?;
        } else {
            talk.bytes(piece)?;
        }
    }
    if streamed { talk.chunk(b"") } else { Ok(()) }
}
