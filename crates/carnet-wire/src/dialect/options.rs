//! What a dialect leaves open: services that speak the same one differ in it.

use crate::form::IdRule;

/// How to word a translation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// For who answers.
    pub target: Target,
    /// For who asks.
    pub caller: Caller,
}

/// What the service that answers takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The model's name there, if it differs from the one that was asked for.
    pub model: Option<String>,
    /// The most tokens to answer with, where the request leaves it open and the dialect does not.
    pub max_tokens: u64,
    /// The name of that limit, where the dialect has two.
    pub token_limit: TokenLimitName,
    /// The name of the number that makes drawing repeatable, in chat completions.
    pub seed: &'static str,
    /// Whether it tells the usage of a stream when asked to, where the dialect leaves that to who asks.
    pub stream_usage: bool,
    /// Whether it takes marks of what to cache, where the dialect does not say so.
    pub cache_control: bool,
    /// The form of ids of tool calls.
    pub tool_ids: IdRule,
    /// The name under which it takes reasoning back.
    pub reasoning: ReasoningName,
    /// Whether it also takes `reasoning_details`, which carry proofs.
    pub reasoning_details: bool,
    /// Whether it takes reasoning back without a proof that it is its own.
    pub unsigned_reasoning: bool,
    /// How it is told how much to reason.
    pub thinking: ThinkingForm,
    /// Whether it is known to be told so by the member `thinking`, where the dialect leaves that to each model.
    pub thinking_field: bool,
    /// Whether user and assistant must take turns.
    pub alternating_roles: bool,
    /// Whether it can be told to call one tool at a time.
    pub parallel_tool_calls: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            model: None,
            max_tokens: 4_096,
            token_limit: TokenLimitName::default(),
            seed: "seed",
            stream_usage: true,
            cache_control: false,
            tool_ids: IdRule::default(),
            reasoning: ReasoningName::default(),
            reasoning_details: false,
            unsigned_reasoning: false,
            thinking: ThinkingForm::default(),
            thinking_field: false,
            alternating_roles: false,
            parallel_tool_calls: true,
        }
    }
}

/// What the client that asked expects.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Caller {
    /// The id of an answer that comes without one.
    pub id: String,
    /// Whether somebody keeps the answer for it under that id, whatever id the answer comes with.
    pub kept: bool,
    /// The time of an answer that comes without one, in seconds since 1970.
    pub created: u64,
    /// The model of an answer that comes without one: what its service was asked for.
    pub model: String,
    /// The name under which it reads reasoning.
    pub reasoning: ReasoningName,
    /// Whether a stream is to tell its usage, where the dialect leaves that to the client.
    pub include_usage: bool,
    /// Whether the answer is to come as a stream, where the request does not say so itself.
    pub stream: bool,
    /// Whether a stream is to be one JSON array, where the dialect leaves that to the client.
    pub stream_as_array: bool,
}

/// The names that chat completions have for reasoning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReasoningName {
    /// None: the service does not take it back.
    Absent,
    /// `reasoning`
    Reasoning,
    /// `reasoning_content`
    #[default]
    ReasoningContent,
}

/// The names that chat completions have for the most tokens to answer with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenLimitName {
    /// `max_completion_tokens`
    MaxCompletionTokens,
    /// `max_tokens`
    #[default]
    MaxTokens,
}

/// The forms in which messages are told how much to reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ThinkingForm {
    /// As much as the model sees fit, with an effort by name.
    Adaptive,
    /// At most so many tokens.
    #[default]
    Budget,
}
