//! Puts a model together from a folder or a GGUF file, and refuses what does not fit together.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::architecture::{Ids, RawConfig, Sizes};
use crate::chat::{Chat, Message, Named};
use crate::codes::Code;
use crate::engine::{Engine, Format};
use crate::files;
use crate::gguf::{Gguf, GgufNames};
use crate::limits::{JSON_BYTES_MAX, PROMPT_STEP, TEMPLATE_BYTES_MAX};
use crate::model::{Model, Naming};
use crate::refusal::Refusal;
use crate::safetensors::{HubNames, Shards};
use crate::sample::Sampling;
use crate::store::Store;
use crate::template::Template;
use crate::think::{CLOSE, OPEN};
use crate::tokens::Tokens;

/// How much a model may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Bytes in memory for the weights and one answer as long as the context. Weights stored as F16 or
    /// BF16 take twice as much there as in their file. Files with more bytes are not read.
    pub memory_max: u64,
    /// Tokens of prompt and answer together; less if the model was made for less.
    pub context_tokens_max: usize,
}

impl Default for LoadOptions {
    /// 4 GiB and 8,192 tokens.
    fn default() -> LoadOptions {
        LoadOptions {
            memory_max: 4 << 30,
            context_tokens_max: 8_192,
        }
    }
}

/// Loads a folder, or a GGUF file.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<Engine, Refusal> {
    let parts = if path.is_dir() {
        from_folder(path, options)?
    } else {
        from_gguf(path, options)?
    };
    parts.engine()
}

/// What the formats have in common.
struct Parts {
    format: Format,
    model: Model,
    tokens: Tokens,
    /// Its source and where it was found.
    template: Option<(String, String)>,
    named: Named,
    ends: Vec<u32>,
    sampling: Sampling,
}

/// `tokenizer_config.json`, of which the rest is for Python.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    chat_template: Option<ChatTemplate>,
    bos_token: Option<TokenText>,
    eos_token: Option<TokenText>,
}

/// One template, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum ChatTemplate {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenText {
    Plain(String),
    Full { content: String },
}

impl TokenText {
    fn into_text(self) -> String {
        match self {
            TokenText::Plain(text) | TokenText::Full { content: text } => text,
        }
    }
}

/// `generation_config.json`: what the maker suggests where a request says nothing.
#[derive(Default, Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<Ids>,
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
}

impl GenerationConfig {
    fn sampling(&self) -> Result<Sampling, Refusal> {
        let plain = Sampling::default();
        Sampling {
            temperature: match self.do_sample {
                Some(false) => 0.0,
                _ => self.temperature.unwrap_or(plain.temperature),
            },
            top_p: self.top_p.unwrap_or(plain.top_p),
            top_k: self.top_k.unwrap_or(plain.top_k),
        }
        .checked()
        .map_err(|mut refusal| {
            refusal.code = Code::ConfigInvalid;
            refusal.place = format!("generation_config.json: {}", refusal.place);
            refusal
        })
    }
}

/// A JSON file that may be missing.
fn optional<T: Default + serde::de::DeserializeOwned>(path: &Path) -> Result<T, Refusal> {
    if path.exists() {
        files::json(path, JSON_BYTES_MAX)
    } else {
        Ok(T::default())
    }
}

fn from_folder(folder: &Path, options: &LoadOptions) -> Result<Parts, Refusal> {
    let config: RawConfig = files::json(&folder.join("config.json"), JSON_BYTES_MAX)?;
    let sizes = config.sizes()?;
    let generation: GenerationConfig = optional(&folder.join("generation_config.json"))?;
    let tokenizer: TokenizerConfig = optional(&folder.join("tokenizer_config.json"))?;
    let sampling = generation.sampling()?;
    let tokens = Tokens::from_file(&folder.join("tokenizer.json"))?;
    let stated = [config.eos_token_id, generation.eos_token_id];
    let ends = stated.into_iter().flatten().flat_map(Ids::into_vec);
    // The small files are judged before the large ones are read.
    let (ends, tokens) = fitting(ends.collect(), tokens, &sizes)?;
    let mut shards = Shards::open(folder, options.memory_max)?;
    Ok(Parts {
        format: Format::Safetensors,
        template: template_of(folder, &tokenizer)?,
        named: Named {
            bos: tokenizer
                .bos_token
                .map(TokenText::into_text)
                .unwrap_or_default(),
            eos: tokenizer
                .eos_token
                .map(TokenText::into_text)
                .unwrap_or_default(),
        },
        sampling,
        ends,
        tokens,
        model: load_within(options, sizes, &HubNames, &mut shards)?,
    })
}

/// The chat template of a folder, of which a file of its own comes first.
fn template_of(
    folder: &Path,
    tokenizer: &TokenizerConfig,
) -> Result<Option<(String, String)>, Refusal> {
    let name = "chat_template.jinja";
    let path = folder.join(name);
    if path.exists() {
        let bytes = files::read(&path, TEMPLATE_BYTES_MAX as u64)?;
        let source = String::from_utf8(bytes).map_err(|_| {
            let fix = "take the chat template that the model's maker published";
            Refusal::new(Code::TemplateInvalid, name, "is not UTF-8", fix)
        })?;
        return Ok(Some((source, name.to_owned())));
    }
    let source = match &tokenizer.chat_template {
        Some(ChatTemplate::One(source)) => Some(source),
        Some(ChatTemplate::Several(all)) => {
            let default = all.iter().find(|named| named.name == "default");
            default.map(|named| &named.template)
        }
        None => None,
    };
    let place = "tokenizer_config.json: chat_template";
    Ok(source.map(|source| (source.clone(), place.to_owned())))
}

fn from_gguf(path: &Path, options: &LoadOptions) -> Result<Parts, Refusal> {
    let mut gguf = Gguf::open(path, options.memory_max)?;
    let sizes = gguf.sizes()?;
    let beside = path.with_file_name("tokenizer.json");
    let tokens = if beside.exists() {
        Tokens::from_file(&beside)?
    } else {
        Tokens::from_gguf(&gguf)?
    };
    let id = |key: &str| gguf.whole(key).and_then(|id| u32::try_from(id).ok());
    let ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
    let ends = ends.into_iter().filter_map(id).collect();
    let (ends, tokens) = fitting(ends, tokens, &sizes)?;
    let text = |key: &str| {
        id(key)
            .and_then(|id| tokens.text_of(id))
            .unwrap_or_default()
    };
    let place = format!("{}: tokenizer.chat_template", gguf.file_name());
    let source = gguf.text("tokenizer.chat_template");
    Ok(Parts {
        format: Format::Gguf,
        template: source.map(|source| (source.to_owned(), place)),
        named: Named {
            bos: text("tokenizer.ggml.bos_token_id"),
            eos: text("tokenizer.ggml.eos_token_id"),
        },
        sampling: Sampling::default(),
        ends,
        tokens,
        model: load_within(options, sizes, &GgufNames, &mut gguf)?,
    })
}

/// Reads the weights, if they and one answer have room in memory.
fn load_within(
    options: &LoadOptions,
    sizes: Sizes,
    naming: &dyn Naming,
    store: &mut dyn Store,
) -> Result<Model, Refusal> {
    let sizes = Sizes {
        context: sizes.context.min(options.context_tokens_max),
        ..sizes
    };
    // A tensor that cannot be counted is refused by name when it is read.
    let weights: u64 = store
        .names()
        .iter()
        .filter_map(|name| store.find(name)?.ok()?.memory_bytes())
        .fold(0, |sum, bytes| sum.saturating_add(bytes as u64));
    // A cache that grows is copied from one that may be nearly as large; and of attention's scores,
    // one for each head, token of a step and token of the context, up to four copies are alive.
    let scores = sizes.heads.saturating_mul(PROMPT_STEP) * 4 * size_of::<f32>();
    let token = 2 * sizes.cache_bytes_a_token() + scores;
    let answer = (token as u64).saturating_mul(sizes.context as u64);
    if weights.saturating_add(answer) > options.memory_max {
        return Err(Refusal::new(
            Code::FileTooLarge,
            "memory",
            format!(
                "the weights take {} MB and an answer of {} tokens takes {} MB; {} MB are allowed",
                weights >> 20,
                sizes.context,
                answer >> 20,
                options.memory_max >> 20
            ),
            "allow more memory or fewer tokens of context, or take a file that is packed more tightly",
        ));
    }
    Model::load(sizes, naming, store)
}

/// Refuses a tokenizer, or an end of answers, that the embedding has no row for.
fn fitting(ends: Vec<u32>, tokens: Tokens, sizes: &Sizes) -> Result<(Vec<u32>, Tokens), Refusal> {
    let highest = ends.iter().copied().chain(tokens.highest()).max();
    match highest {
        Some(id) if id as usize >= sizes.vocabulary => Err(Refusal::new(
            Code::VocabularyMismatch,
            tokens.place(),
            format!(
                "there is a token {id}; the model has rows for {}",
                sizes.vocabulary
            ),
            "take tokenizer and weights of one model",
        )),
        Some(_) => Ok((ends, tokens)),
        None => Err(crate::tokens::invalid(
            tokens.place(),
            "there are no tokens",
        )),
    }
}

impl Parts {
    fn engine(self) -> Result<Engine, Refusal> {
        let tokens = self.tokens;
        let mut ends: BTreeSet<u32> = self.ends.into_iter().collect();
        ends.extend(
            tokens
                .id(&self.named.eos)
                .filter(|_| !self.named.eos.is_empty()),
        );
        // A model reasons if it was taught to: its template or its vocabulary knows the markers.
        let written = self
            .template
            .as_ref()
            .is_some_and(|(source, _)| source.contains(CLOSE));
        let reasons = written || tokens.id(OPEN).is_some() && tokens.id(CLOSE).is_some();
        let template = match self.template {
            Some((source, place)) => Some(Template::new(&source, place)?),
            None => None,
        };
        if let Some(template) = &template {
            probe(template, &self.named, &tokens)?;
        }
        let context = self.model.sizes.context;
        Ok(Engine {
            format: self.format,
            model: self.model,
            tokens,
            template,
            named: self.named,
            ends,
            reasons,
            context,
            sampling: self.sampling,
        })
    }
}

/// Renders the shortest conversation, so that a template that cannot is found before it serves.
fn probe(template: &Template, named: &Named, tokens: &Tokens) -> Result<(), Refusal> {
    let message = Message {
        role: "user".to_owned(),
        content: "Hello".to_owned(),
        fields: Vec::new(),
    };
    let chat = Chat {
        messages: vec![message],
        now: Some(jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0)),
        ..Chat::default()
    };
    chat.prompt(template, named, tokens)
        .map(drop)
        .map_err(|mut refusal| {
            if refusal.code == Code::TemplateRefused {
                refusal.code = Code::TemplateInvalid;
                refusal.place = "chat template".to_owned();
                refusal.fix = "take the chat template that the model's maker published".to_owned();
            }
            refusal
        })
}
