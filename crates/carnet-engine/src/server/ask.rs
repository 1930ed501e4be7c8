//! What a caller asks in OpenAI's dialect, as a request of the engine.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::Problem;
use crate::chat::{Chat, Message};
use crate::engine::{Effort, Engine, Input, Request};
use crate::sample::Sampling;

/// Answers to one request.
const CHOICES_MAX: u64 = 8;
/// Tokens of reasoning for `reasoning_effort` `minimal`, with room for the markers.
const MINIMAL_REASONING: usize = 64;

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
    chat_template_kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
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

#[derive(Debug, Deserialize)]
struct Said {
    role: String,
    #[serde(default)]
    content: Value,
    #[serde(flatten)]
    fields: Map<String, Value>,
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
    refuse_what_would_be_passed_over(&body.rest)?;
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
            .map(|(name, value)| (name, value.to_string()))
            .collect(),
        ..Chat::default()
    };
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
    let content = match said.content {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| text_of(part, &place))
            .collect::<Result<_, _>>()?,
        _ => {
            let message = format!("`{place}` is neither a text nor a list of parts");
            return Err(Problem::invalid(place, message));
        }
    };
    Ok(Message {
        role: said.role,
        content,
        fields: said
            .fields
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect(),
    })
}

fn text_of<'a>(part: &'a Value, place: &str) -> Result<&'a str, Problem> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    match (kind, part.get("text").and_then(Value::as_str)) {
        ("text", Some(text)) => Ok(text),
        _ => {
            let message =
                format!("a part of `{place}` is of the type `{kind}`; this model reads texts only");
            Err(Problem::unsupported(place, message))
        }
    }
}

/// Fields that ask for what this server does not do, unless they ask for nothing.
fn refuse_what_would_be_passed_over(rest: &Map<String, Value>) -> Result<(), Problem> {
    /// A field's name, and whether a value of it asks for something.
    type Asks = (&'static str, fn(&Value) -> bool);
    const WHAT: [Asks; 11] = [
        ("tools", |value| {
            value.as_array().is_none_or(|list| !list.is_empty())
        }),
        ("functions", |value| {
            value.as_array().is_none_or(|list| !list.is_empty())
        }),
        ("response_format", |value| {
            value.get("type").and_then(Value::as_str) != Some("text")
        }),
        ("logprobs", |value| *value != Value::Bool(false)),
        ("top_logprobs", |value| value.as_u64() != Some(0)),
        ("logit_bias", |value| {
            value.as_object().is_none_or(|map| !map.is_empty())
        }),
        ("presence_penalty", |value| value.as_f64() != Some(0.0)),
        ("frequency_penalty", |value| value.as_f64() != Some(0.0)),
        ("modalities", |value| *value != serde_json::json!(["text"])),
        ("audio", |_| true),
        ("prediction", |_| true),
    ];
    for (name, asks) in WHAT {
        if let Some(value) = rest.get(name)
            && !value.is_null()
            && asks(value)
        {
            let message = format!("`{name}` is not supported by this model's server; leave it out");
            return Err(Problem::unsupported(name, message));
        }
    }
    Ok(())
}
