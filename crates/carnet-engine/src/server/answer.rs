//! Answers in OpenAI's dialect, whole and as events, with reasoning apart in `reasoning_content`.

use bytes::Bytes;
use serde::Serialize;

use crate::generation::{Finish, Usage};
use crate::think::Piece;

/// What all parts of an answer have in common.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
}

#[derive(Serialize)]
struct Object<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Tokens>,
}

#[derive(Serialize)]
struct Tokens {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    completion_tokens_details: Details,
}

#[derive(Serialize)]
struct Details {
    reasoning_tokens: usize,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.prompt_tokens + usage.completion_tokens,
            completion_tokens_details: Details {
                reasoning_tokens: usage.reasoning_tokens,
            },
        }
    }
}

/// One answer as far as it has come.
#[derive(Debug, Default, Serialize)]
pub(super) struct Choice {
    index: u64,
    message: Message,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct Message {
    role: Role,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    #[default]
    Assistant,
}

impl Choice {
    pub(super) fn new(index: u64) -> Self {
        Self {
            index,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, piece: &Piece) {
        match piece {
            Piece::Content(text) => self.message.content.push_str(text),
            Piece::Reasoning(text) => self.message.reasoning_content.push_str(text),
        }
    }

    pub(super) fn finish(&mut self, finish: Finish) {
        self.finish_reason = Some(word(finish));
    }
}

#[derive(Serialize)]
struct Step<'a> {
    index: u64,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
}

impl Head {
    /// The whole answer.
    pub(super) fn whole(&self, choices: &[Choice], usage: Usage) -> Bytes {
        json(
            "",
            "",
            &self.object("chat.completion", choices, Some(usage)),
        )
    }

    /// The event with which a choice begins.
    pub(super) fn begin(&self, index: u64) -> Bytes {
        let role = Some(Role::Assistant);
        self.step(
            index,
            Delta {
                role,
                ..Delta::default()
            },
            None,
        )
    }

    /// The event for a piece of a choice.
    pub(super) fn piece(&self, index: u64, piece: &Piece) -> Bytes {
        let delta = match piece {
            Piece::Content(text) => Delta {
                content: Some(text),
                ..Delta::default()
            },
            Piece::Reasoning(text) => Delta {
                reasoning_content: Some(text),
                ..Delta::default()
            },
        };
        self.step(index, delta, None)
    }

    /// The event with which a choice ends.
    pub(super) fn end(&self, index: u64, finish: Finish) -> Bytes {
        self.step(index, Delta::default(), Some(word(finish)))
    }

    /// The event that tells the tokens of all choices.
    pub(super) fn usage(&self, usage: Usage) -> Bytes {
        let none: [Step<'_>; 0] = [];
        event(&self.object("chat.completion.chunk", none, Some(usage)))
    }

    fn step(&self, index: u64, delta: Delta<'_>, finish_reason: Option<&'static str>) -> Bytes {
        let step = Step {
            index,
            delta,
            logprobs: None,
            finish_reason,
        };
        event(&self.object("chat.completion.chunk", [step], None))
    }

    fn object<C>(&self, object: &'static str, choices: C, usage: Option<Usage>) -> Object<'_, C> {
        Object {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage: usage.map(Tokens::from),
        }
    }
}

fn event<C: Serialize>(object: &Object<'_, C>) -> Bytes {
    json("data: ", "\n\n", object)
}

fn json<C: Serialize>(before: &str, after: &str, object: &Object<'_, C>) -> Bytes {
    let mut bytes = before.as_bytes().to_vec();
    // Texts and numbers always have a JSON form, and a vector takes every byte.
    let written = serde_json::to_writer(&mut bytes, object);
    debug_assert!(written.is_ok());
    bytes.extend_from_slice(after.as_bytes());
    bytes.into()
}

fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        // A cancelled answer has no reader; the word stands for every answer that broke off.
        Finish::Length | Finish::Cancelled => "length",
    }
}
