//! A model that is loaded and ready, and what callers ask of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use crate::chat::{Chat, Named};
use crate::codes::Code;
use crate::generation::{Finish, Generation, Usage};
use crate::limits::PROMPT_BYTES_MAX;
use crate::load::{self, LoadOptions};
use crate::model::{Cache, Model, Wanted};
use crate::refusal::Refusal;
use crate::sample::Sampling;
use crate::template::Template;
use crate::think::{OPEN, Piece};
use crate::tokens::Tokens;

/// The form of a model's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One GGUF file.
    Gguf,
    /// A folder with `config.json` and safetensors files.
    Safetensors,
}

/// What an answer begins from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A conversation, rendered by the model's chat template.
    Chat(Chat),
    /// A text that the model goes on with as it stands. Texts of special tokens in it become these.
    Text(String),
}

/// How much a model may reason before it must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// 256 tokens.
    Low,
    /// 1,024 tokens.
    Medium,
    /// 4,096 tokens.
    High,
}

impl Effort {
    /// Tokens of reasoning.
    #[must_use]
    pub fn tokens(self) -> usize {
        match self {
            Effort::Low => 256,
            Effort::Medium => 1_024,
            Effort::High => 4_096,
        }
    }
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to go on with.
    pub input: Input,
    /// How tokens are picked; `None` for what the model's files suggest.
    pub sampling: Option<Sampling>,
    /// Where the sequence of chance begins; the same gives the same answer.
    pub seed: u64,
    /// Texts at which the answer ends, without them. Reasoning is not searched for them.
    pub stop: Vec<String>,
    /// Tokens of answer, reasoning included; `None` for what the context has room for.
    pub max_tokens: Option<usize>,
    /// Tokens of reasoning, markers included; then the engine closes it and the answer begins.
    /// `None` for no bound but `max_tokens`.
    pub reasoning_tokens_max: Option<usize>,
}

impl Request {
    /// A request that leaves everything else to the model.
    #[must_use]
    pub fn new(input: Input) -> Request {
        Request {
            input,
            sampling: None,
            seed: 0,
            stop: Vec::new(),
            max_tokens: None,
            reasoning_tokens_max: None,
        }
    }
}

/// A loaded model. It holds no state of answers, so it can be shared between threads.
#[derive(Debug)]
pub struct Engine {
    pub(crate) format: Format,
    pub(crate) model: Model,
    pub(crate) tokens: Tokens,
    pub(crate) template: Option<Template>,
    pub(crate) named: Named,
    /// Tokens that end an answer.
    pub(crate) ends: BTreeSet<u32>,
    pub(crate) reasons: bool,
    pub(crate) context: usize,
    pub(crate) sampling: Sampling,
}

impl Engine {
    /// Loads a model from a folder (`config.json`, `tokenizer.json`, `*.safetensors`) or a GGUF file.
    ///
    /// # Errors
    ///
    /// The first thing for which the model cannot be run here, with its place and what to do.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Engine, Refusal> {
        load::load(path, options)
    }

    /// The form of the files it came from.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Tokens of prompt and answer together that it takes.
    #[must_use]
    pub fn context_tokens(&self) -> usize {
        self.context
    }

    /// How tokens are picked where a request says nothing.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// Bytes that the weights take in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.model.bytes()
    }

    /// Bytes that each token of a running answer takes in memory, prompt included.
    #[must_use]
    pub fn bytes_a_token(&self) -> usize {
        self.model.sizes.cache_bytes_a_token()
    }

    /// Whether it reasons before it answers.
    #[must_use]
    pub fn reasons(&self) -> bool {
        self.reasons
    }

    /// Whether it has a chat template.
    #[must_use]
    pub fn chats(&self) -> bool {
        self.template.is_some()
    }

    /// Tokens of a text, in which texts of special tokens become these.
    ///
    /// # Errors
    ///
    /// A text that the tokenizer cannot take.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Refusal> {
        self.tokens.encode(text)
    }

    /// The text of tokens, special ones included.
    ///
    /// # Errors
    ///
    /// Tokens that the tokenizer cannot join.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Refusal> {
        self.tokens.decode(ids)
    }

    /// The numbers (logits) that follow each of these tokens, one for each token of the vocabulary.
    ///
    /// # Errors
    ///
    /// No tokens, more than the context, or one that the vocabulary does not have.
    pub fn logits(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>, Refusal> {
        let known = |id: &u32| (*id as usize) < self.model.sizes.vocabulary;
        if ids.is_empty() || ids.len() > self.context || !ids.iter().all(known) {
            let reason = format!("there are 1 to {} tokens of the vocabulary", self.context);
            let fix = "give tokens that this model's tokenizer gave";
            return Err(Refusal::new(Code::SettingInvalid, "ids", reason, fix));
        }
        let numbers = self
            .model
            .forward(ids, &mut Cache::default(), Wanted::All)?;
        Ok(numbers.to_vec2()?)
    }

    /// Begins an answer, of which nothing has been computed yet.
    ///
    /// # Errors
    ///
    /// A setting out of range, messages that the template refuses, or a prompt that is too long.
    pub fn start(&self, request: &Request) -> Result<Generation<'_>, Refusal> {
        let (ids, reasoning) = match &request.input {
            Input::Chat(chat) => {
                let template = self.template.as_ref().ok_or_else(no_template)?;
                let prompt = chat.prompt(template, &self.named, &self.tokens)?;
                (prompt.ids, prompt.text.trim_end().ends_with(OPEN))
            }
            Input::Text(text) if text.len() > PROMPT_BYTES_MAX => {
                let reason = format!("has {} bytes; it can have {PROMPT_BYTES_MAX}", text.len());
                let fix = "send less text";
                return Err(Refusal::new(Code::SettingInvalid, "prompt", reason, fix));
            }
            Input::Text(text) => (self.tokens.encode(text)?, text.trim_end().ends_with(OPEN)),
        };
        Generation::new(self, request, ids, reasoning)
    }

    /// Makes a whole answer. `sink` is called after every step, also one that completes no text, and
    /// ends the answer by `Break`.
    ///
    /// # Errors
    ///
    /// As [`Engine::start`], or a computation that fails.
    pub fn generate(
        &self,
        request: &Request,
        sink: &mut dyn FnMut(&[Piece]) -> ControlFlow<()>,
    ) -> Result<(Finish, Usage), Refusal> {
        let mut generation = self.start(request)?;
        while generation.finish().is_none() {
            let pieces = generation.step()?;
            if sink(&pieces).is_break() && generation.finish().is_none() {
                return Ok((Finish::Cancelled, generation.usage()));
            }
        }
        let finish = generation.finish().unwrap_or(Finish::Cancelled);
        Ok((finish, generation.usage()))
    }
}

fn no_template() -> Refusal {
    Refusal::new(
        Code::TemplateMissing,
        "chat template",
        "the model has none, so it does not know how a conversation looks",
        "send a plain prompt, or use a model that was made for chat",
    )
}
