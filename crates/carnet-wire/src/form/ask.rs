//! A request: what is said, what the model may use, and how it is to answer.

use std::borrow::Cow;

use crate::dialect::Dialect;
use crate::json::Text;

use super::part::{Part, Unknown};

/// A request to a model.
#[derive(Clone, Debug)]
pub struct Ask<'b> {
    /// The dialect it was read from; the same one gets back what only it knows.
    pub origin: Dialect,
    /// The model's name.
    pub model: Option<Text<'b>>,
    /// The conversation, instructions among it.
    pub turns: Vec<Turn<'b>>,
    /// What the model may call.
    pub tools: Vec<Tool<'b>>,
    /// Whether it must.
    pub choice: Option<ToolChoice<'b>>,
    /// Whether it may call several at once.
    pub parallel_tools: Option<bool>,
    /// The shape of the answer.
    pub format: Option<Format<'b>>,
    /// The most tokens to answer with.
    pub max_tokens: Option<u64>,
    /// How tokens are drawn.
    pub sampling: Sampling<'b>,
    /// Texts that end the answer.
    pub stop: Vec<Text<'b>>,
    /// Whether the answer is to come as a stream.
    pub stream: bool,
    /// Whether a stream is to end with its usage.
    pub include_usage: bool,
    /// How much to reason.
    pub thinking: Thinking<'b>,
    /// The end user, as a name that means nothing to the service.
    pub user: Option<Text<'b>>,
    /// Top-level members without a place in the form.
    pub unknown: Vec<Unknown<'b>>,
}

impl<'b> Ask<'b> {
    /// An empty request of a dialect.
    pub fn new(origin: Dialect) -> Self {
        Self {
            origin,
            model: None,
            turns: Vec::new(),
            tools: Vec::new(),
            choice: None,
            parallel_tools: None,
            format: None,
            max_tokens: None,
            sampling: Sampling::default(),
            stop: Vec::new(),
            stream: false,
            include_usage: false,
            thinking: Thinking::default(),
            user: None,
            unknown: Vec::new(),
        }
    }

    /// Puts instructions that stand beside the conversation in front of it.
    pub(crate) fn instruct(&mut self, parts: Vec<Part<'b>>) {
        if parts.is_empty() {
            return;
        }
        let first = Turn {
            role: Role::System,
            parts,
            name: None,
        };
        self.turns.insert(0, first);
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The model.
    Assistant,
    /// Who runs the model: the system's or the developer's instructions.
    System,
    /// Who uses it; also the tools that it called.
    User,
}

/// What one side says in one go.
#[derive(Clone, Debug)]
pub struct Turn<'b> {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part<'b>>,
    /// The speaker's name, where there are several of a role.
    pub name: Option<Text<'b>>,
}

/// Something that the model may call.
#[derive(Clone, Debug)]
pub struct Tool<'b> {
    /// Whether the caller runs it or the service.
    pub kind: ToolKind<'b>,
    /// The mark that what stands up to here may be cached, as JSON.
    pub cache: Option<&'b str>,
}

/// Who runs a tool.
#[derive(Clone, Debug)]
pub enum ToolKind<'b> {
    /// The caller.
    Function {
        /// The tool's name.
        name: Text<'b>,
        /// What it is for.
        description: Option<Text<'b>>,
        /// The schema of its arguments, as JSON.
        parameters: Option<Cow<'b, str>>,
        /// Whether the arguments must keep to the schema exactly.
        strict: Option<bool>,
    },
    /// The service, or anything else that only the dialect knows.
    Other {
        /// What the dialect calls it.
        kind: Text<'b>,
        /// The whole declaration.
        json: &'b str,
    },
}

/// Whether the model must call a tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ToolChoice<'b> {
    /// As it sees fit.
    Auto,
    /// It must not.
    None,
    /// It must call this one.
    One(Text<'b>),
    /// It must call some tool.
    Required,
}

/// The shape of the answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Format<'b> {
    /// JSON of any shape.
    Json,
    /// JSON of this shape.
    Schema {
        /// The shape's name.
        name: Option<Text<'b>>,
        /// What it is for.
        description: Option<Text<'b>>,
        /// The schema, as JSON.
        schema: Cow<'b, str>,
        /// Whether the answer must keep to it exactly.
        strict: Option<bool>,
    },
}

/// How tokens are drawn; numbers as they were sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sampling<'b> {
    /// Less of it makes likely tokens likelier.
    pub temperature: Option<&'b str>,
    /// Only the likeliest tokens that together reach this probability.
    pub top_p: Option<&'b str>,
    /// Only so many of the likeliest tokens.
    pub top_k: Option<&'b str>,
    /// A number that makes draws repeatable.
    pub seed: Option<&'b str>,
    /// Less of what was said often.
    pub frequency_penalty: Option<&'b str>,
    /// Less of what was said at all.
    pub presence_penalty: Option<&'b str>,
}

impl Sampling<'_> {
    /// What is set, by the names that chat completions have for it.
    pub(crate) fn set(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("temperature", self.temperature),
            ("top_p", self.top_p),
            ("top_k", self.top_k),
            ("seed", self.seed),
            ("frequency_penalty", self.frequency_penalty),
            ("presence_penalty", self.presence_penalty),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// How much to reason.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Thinking<'b> {
    /// Whether to reason at all; unset where the request leaves it to the model.
    pub on: Option<bool>,
    /// The effort by name.
    pub effort: Option<Text<'b>>,
    /// The most tokens to reason with.
    pub budget: Option<u64>,
    /// How the reasoning is to be shown.
    pub display: Option<Text<'b>>,
}

impl Thinking<'_> {
    /// Whether the request asks for reasoning.
    pub fn wanted(&self) -> bool {
        self.on
            .unwrap_or(self.effort.is_some() || self.budget.is_some())
    }
}
