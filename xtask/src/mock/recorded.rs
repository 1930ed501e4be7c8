//! Reads recorded exchanges, and says of each where the gateway serves it or why it does not.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::Headers;

/// A recorded exchange of an API that is served.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) provider: String,
    /// The recordings' word for the API.
    pub(crate) api: String,
    /// What the exchange shows, in the recordings' words.
    pub(crate) features: Vec<String>,
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
    pub(super) headers: Headers,
    #[serde(skip)]
    pub(super) body: Vec<u8>,
}

/// A recorded exchange that the gateway does not serve.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unserved {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) api: String,
    pub(crate) why: &'static str,
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
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Text(String),
    Base64(String),
}

/// Every exchange of a folder of recordings: those that are served, and the others.
pub(super) fn load(folder: &Path) -> Result<(Vec<Exchange>, Vec<Unserved>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot list `{}`", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let (mut served, mut unserved) = (Vec::new(), Vec::new());
    for file in files {
        for (index, line) in fs::read_to_string(&file)?.lines().enumerate() {
            let at = || format!("cannot read `{}`, line {}", file.display(), index + 1);
            let recorded: Recorded = serde_json::from_str(line).with_context(at)?;
            match place(&recorded) {
                Ok(place) => served.push(exchange(recorded, place).with_context(at)?),
                Err(why) => unserved.push(Unserved {
                    id: recorded.id,
                    provider: recorded.provider,
                    api: recorded.api,
                    why,
                }),
            }
        }
    }
    Ok((served, unserved))
}

/// `streamGenerateContent` that is answered with one JSON array, which no stock client asks for.
pub(crate) const ARRAY_STREAM: &str = "gemini.array";

/// Where the gateway serves an exchange.
struct Place {
    path: String,
    /// The model, where it stands in the path and not in the body.
    model: Option<String>,
    stream: Option<bool>,
    /// Another word for the API, where stock clients never ask for it in this form.
    api: Option<&'static str>,
}

/// Where the gateway serves what was recorded. Services have it under paths of their own.
fn place(recorded: &Recorded) -> Result<Place, &'static str> {
    if recorded.method != "POST" {
        return Err("no request to a model");
    }
    let Some(Body::Text(asked)) = &recorded.request_body else {
        return Err("the recording has no body of the request");
    };
    if serde_json::from_str::<Value>(asked).is_err() {
        return Err("the recorded request is not JSON");
    }
    let in_body = |path: &str| {
        let beta = recorded.query.as_deref() == Some("beta=true");
        Ok(Place {
            path: format!("{path}{}", if beta { "?beta=true" } else { "" }),
            model: None,
            stream: None,
            api: None,
        })
    };
    let path = recorded.path.as_str();
    match recorded.api.as_str() {
        "bedrock.converse" => of_bedrock(path, "/converse", false),
        "bedrock.converse-stream" => of_bedrock(path, "/converse-stream", true),
        "bedrock.invoke" | "bedrock.invoke-stream" => {
            Err("InvokeModel, whose bodies each maker has of its own")
        }
        "chat.completions" => in_body("/v1/chat/completions"),
        "chat(native)" => Err("a service's own chat"),
        "completions" => in_body("/v1/completions"),
        "count_tokens" if path == "/v1/messages/count_tokens" => {
            in_body("/v1/messages/count_tokens")
        }
        "count_tokens" => Err("counting of tokens in an API other than Messages"),
        "embeddings" if path.ends_with("/embeddings") && !path.starts_with("/api/embeddings") => {
            in_body("/v1/embeddings")
        }
        "embeddings" => Err("a service's own embeddings"),
        "gemini.generate" => of_google(path, "generateContent", ""),
        "gemini.stream" if !answers_in_events(recorded) => Ok(Place {
            api: Some(ARRAY_STREAM),
            ..of_google(path, "streamGenerateContent", "")?
        }),
        "gemini.stream" => Ok(Place {
            stream: Some(true),
            ..of_google(path, "streamGenerateContent", "?alt=sse")?
        }),
        "gemini.interactions" => Err("Gemini's Interactions"),
        "messages" => in_body("/v1/messages"),
        "ollama.native" => Err("Ollama's own API"),
        "responses" if path.ends_with("/responses") => in_body("/v1/responses"),
        "responses" => Err("a resource of Responses"),
        "batches" | "files" | "models" | "moderations" | "rerank" => {
            Err("not an API that is served")
        }
        _ => Err("no request to a model"),
    }
}

fn answers_in_events(recorded: &Recorded) -> bool {
    let query = recorded.query.as_deref().unwrap_or_default();
    query.split('&').any(|pair| pair == "alt=sse")
}

fn of_bedrock(path: &str, call: &str, stream: bool) -> Result<Place, &'static str> {
    let model = path
        .strip_prefix("/model/")
        .and_then(|rest| rest.strip_suffix(call))
        .ok_or("a path that is not Bedrock's")?;
    Ok(Place {
        path: path.to_owned(),
        model: Some(unescaped(model)),
        stream: Some(stream),
        api: None,
    })
}

/// The Gemini API has its models at the root, Vertex AI below a project and a location.
fn of_google(path: &str, call: &str, query: &str) -> Result<Place, &'static str> {
    let model = path
        .rsplit_once("/models/")
        .and_then(|(_, rest)| rest.strip_suffix(call)?.strip_suffix(':'))
        .ok_or("a path that is not Google's")?;
    Ok(Place {
        path: format!("/v1beta/models/{model}:{call}{query}"),
        model: Some(unescaped(model)),
        stream: Some(false),
        api: None,
    })
}

/// A path's segment without its percent signs.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn exchange(recorded: Recorded, place: Place) -> Result<Exchange> {
    let Some(Body::Text(request)) = recorded.request_body else {
        anyhow::bail!("no body of the request");
    };
    let body = match recorded.response_body {
        // One recorder keeps binary frames as text of base64.
        Some(Body::Text(text)) if is_frames(&recorded.response_headers) => {
            STANDARD.decode(&text).unwrap_or_else(|_| text.into_bytes())
        }
        Some(Body::Text(text)) => text.into_bytes(),
        Some(Body::Base64(text)) => STANDARD.decode(text)?,
        None => Vec::new(),
    };
    let request = if place.model.is_none() {
        with_model(request)
    } else {
        request
    };
    let asked: Value = serde_json::from_str(&request)?;
    let in_body = || {
        asked
            .get("model")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let stream = || asked.get("stream").and_then(Value::as_bool);
    Ok(Exchange {
        id: recorded.id,
        provider: recorded.provider,
        api: place.api.map_or(recorded.api, str::to_owned),
        features: recorded.features,
        path: place.path,
        status: recorded.status,
        model: place.model.or_else(in_body).unwrap_or_default(),
        stream: place.stream.or_else(stream).unwrap_or(false),
        reserialised: recorded.reserialised,
        request,
        headers: recorded.response_headers,
        body,
    })
}

fn is_frames(headers: &Headers) -> bool {
    headers
        .get("content-type")
        .is_some_and(|kind| kind.contains("amazon.eventstream"))
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

    /// Whether the answer comes in events, whatever its outcome.
    pub(crate) fn is_event_stream(&self) -> bool {
        is_frames(&self.headers)
            || self
                .headers
                .get("content-type")
                .is_some_and(|kind| kind.contains("event-stream"))
    }
}
