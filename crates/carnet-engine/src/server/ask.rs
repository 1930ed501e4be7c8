//! What a request asks for, read from OpenAI's dialect. Values that only a template reads stay text, so
//! that reading a body takes little more memory than the body.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Problem;
use crate::chat::{Chat, Message};
use crate::engine::{Effort, Engine, Input, Request};
use crate::sample::Sampling;

/// Answers to one request.
const CHOICES_MAX: u64 = 8;
/// Tokens of reasoning for `reasoning_effort` `minimal`, with room for the markers.
const MINIMAL_REASONING: usize = 64;
/// Longest value that asks for nothing, such as `{"type": "text"}`; longer ones ask for something.
const NOTHING_BYTES_MAX: usize = 64;

/// The fields that are understood. Others have no meaning here and are passed over, as other servers
/// of this dialect do; those that would change the answer if they were honoured are refused.
#[derive(Debug, Deserialize)]
struct Body {
    model: String,
    messages: Vec<Said>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    seed: Option<i64>,
    #[serde(default)]
    stop: Option<Stop>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    reasoning_effort: Option<String>,
    #[serde(default)]
    chat_template_kwargs: Option<BTreeMap<String, Box<RawValue>>>,

    #[serde(default)]
    tools: Option<Box<RawValue>>,
    #[serde(default)]
    functions: Option<Box<RawValue>>,
    #[serde(default)]
    response_format: Option<Box<RawValue>>,
    #[serde(default)]
    logprobs: Option<Box<RawValue>>,
    #[serde(default)]
    top_logprobs: Option<Box<RawValue>>,
    #[serde(default)]
    logit_bias: Option<Box<RawValue>>,
    #[serde(default)]
    presence_penalty: Option<Box<RawValue>>,
    #[serde(default)]
    frequency_penalty: Option<Box<RawValue>>,
    #[serde(default)]
    modalities: Option<Box<RawValue>>,
    #[serde(default)]
    audio: Option<Box<RawValue>>,
    #[serde(default)]
    prediction: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// A message: its fields, each as a JSON text.
#[derive(Debug)]
struct Said {
    role: String,
    content: Option<Box<RawValue>>,
    fields: Vec<(String, String)>,
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
                let (mut role, mut content, mut fields) = (None, None, Vec::new());
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "role" => role = Some(map.next_value()?),
                        "content" => content = map.next_value()?,
                        _ => {
                            let value: Box<RawValue> = map.next_value()?;
                            fields.push((name, value.get().to_owned()));
                        }
                    }
                }
                Ok(Said {
                    role: role.ok_or_else(|| serde::de::Error::missing_field("role"))?,
                    content,
                    fields,
                })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A part of a message's content, as far as it matters.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// A request that can be queued.
#[derive(Debug)]
pub(super) struct Ask {
    /// One for each choice, alike but for the seed.
    pub(super) request: Request,
    pub(super) choices: u64,
    pub(super) stream: bool,
    /// Whether a stream ends with an event that tells the tokens.
    pub(super) include_usage: bool,
}

/// Reads a body. `seed` is taken where the caller gives none.
pub(super) fn read(body: &[u8], engine: &Engine, name: &str, seed: u64) -> Result<Ask, Problem> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        Problem::invalid("body", format!("the body is no chat request: {error}"))
    })?;
    if body.model != name {
        return Err(Problem::no_such_model(&body.model, name));
    }
    refuse_what_would_be_passed_over(&body)?;
    let choices = body.n.unwrap_or(1);
    if !(1..=CHOICES_MAX).contains(&choices) {
        let message = format!("`n` is {choices}; it can be 1 to {CHOICES_MAX}");
        return Err(Problem::invalid("n", message));
    }
    let messages = body
        .messages
        .into_iter()
        .enumerate()
        .map(|(index, said)| message(index, said));
    let chat = Chat {
        messages: messages.collect::<Result<_, _>>()?,
        variables: body
            .chat_template_kwargs
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, value.get().to_owned()))
            .collect(),
        ..Chat::default()
    };
    // Before it takes a place in the line, not when its turn comes.
    chat.bounded().map_err(|refusal| Problem::from(&refusal))?;
    let usual = engine.sampling();
    let sampling = Sampling {
        temperature: body.temperature.unwrap_or(usual.temperature),
        top_p: body.top_p.unwrap_or(usual.top_p),
        top_k: body.top_k.unwrap_or(usual.top_k),
    };
    let request = Request {
        input: Input::Chat(chat),
        sampling: Some(sampling),
        seed: body.seed.map_or(seed, i64::cast_unsigned),
        stop: match body.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Many(stops)) => stops,
        },
        max_tokens: body.max_completion_tokens.or(body.max_tokens),
        reasoning_tokens_max: body.reasoning_effort.as_deref().map_or(Ok(None), budget)?,
    };
    Ok(Ask {
        request,
        choices,
        stream: body.stream.unwrap_or(false),
        include_usage: body
            .stream_options
            .and_then(|options| options.include_usage)
            .unwrap_or(false),
    })
}

/// The words of OpenAI's dialect, as tokens of reasoning.
fn budget(effort: &str) -> Result<Option<usize>, Problem> {
    match effort {
        "none" => Ok(Some(0)),
        "minimal" => Ok(Some(MINIMAL_REASONING)),
        "low" => Ok(Some(Effort::Low.tokens())),
        "medium" => Ok(Some(Effort::Medium.tokens())),
        "high" => Ok(Some(Effort::High.tokens())),
        "xhigh" => Ok(None),
        other => {
            let message = format!(
                "`reasoning_effort` is `{other}`; it can be none, minimal, low, medium, high or xhigh"
            );
            Err(Problem::invalid("reasoning_effort", message))
        }
    }
}

fn message(index: usize, said: Said) -> Result<Message, Problem> {
    let place = format!("messages[{index}].content");
    let wrong = || {
        let message = format!("`{place}` is neither a text nor a list of parts");
        Problem::invalid(place.as_str(), message)
    };
    let json = said.content.as_ref().map_or("null", |raw| raw.get());
    let content = match json.as_bytes().first() {
        Some(b'n') => String::new(),
        Some(b'"') => serde_json::from_str(json).map_err(|_| wrong())?,
        Some(b'[') => {
            let parts: Vec<Part> = serde_json::from_str(json).map_err(|_| wrong())?;
            let texts = parts.into_iter().map(|part| text_of(part, &place));
            texts.collect::<Result<_, _>>()?
        }
        _ => return Err(wrong()),
    };
    Ok(Message {
        role: said.role,
        content,
        fields: said.fields,
    })
}

fn text_of(part: Part, place: &str) -> Result<String, Problem> {
    match (part.kind.as_str(), part.text) {
        ("text", Some(text)) => Ok(text),
        (kind, _) => {
            let message =
                format!("a part of `{place}` is of the type `{kind}`; this model reads texts only");
            Err(Problem::unsupported(place, message))
        }
    }
}

/// Fields that ask for what this server does not do, unless they ask for nothing.
fn refuse_what_would_be_passed_over(body: &Body) -> Result<(), Problem> {
    let none = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let zero = |value: &Value| value.as_f64() == Some(0.0);
    /// A field, and whether a value of it asks for nothing.
    type Field<'a> = (
        &'static str,
        &'a Option<Box<RawValue>>,
        &'a dyn Fn(&Value) -> bool,
    );
    let fields: [Field<'_>; 11] = [
        ("tools", &body.tools, &none),
        ("functions", &body.functions, &none),
        ("response_format", &body.response_format, &|value| {
            value.get("type").and_then(Value::as_str) == Some("text")
        }),
        ("logprobs", &body.logprobs, &|value| {
            *value == Value::Bool(false)
        }),
        ("top_logprobs", &body.top_logprobs, &zero),
        ("logit_bias", &body.logit_bias, &|value| {
            value.as_object().is_some_and(serde_json::Map::is_empty)
        }),
        ("presence_penalty", &body.presence_penalty, &zero),
        ("frequency_penalty", &body.frequency_penalty, &zero),
        ("modalities", &body.modalities, &|value| {
            *value == serde_json::json!(["text"])
        }),
        ("audio", &body.audio, &|_| false),
        ("prediction", &body.prediction, &|_| false),
    ];
    for (name, value, asks_nothing) in fields {
        let Some(raw) = value else {
            continue;
        };
        let json = raw.get();
        let short = json.len() <= NOTHING_BYTES_MAX;
        if !(short && serde_json::from_str(json).is_ok_and(|value: Value| asks_nothing(&value))) {
            let message = format!("`{name}` is not supported by this model's server; leave it out");
            return Err(Problem::unsupported(name, message));
        }
    }
    Ok(())
}
