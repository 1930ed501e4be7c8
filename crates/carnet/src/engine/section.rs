//! `[[engine]]` of `carnet.toml`, and `--model`: the settings, and the upstream that each stands for.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_gateway::config::{ConfigProblem, RawModel, RawUpstream};
use carnet_gateway::section;
use carnet_gateway::section::{Field, Located};
use carnet_policy::Api;
use toml_span::Span;

use super::{
    CONTEXT_TOKENS, HOST, MEMORY_MB, OWN_HOST, QUEUE, Settings, THREADS_MAX, usual_threads,
};
use crate::embedded;
use crate::trouble::{Trouble, Troubles};

/// An engine's name is part of a socket's, whose whole path has 107 bytes at most.
const NAME_BYTES_MAX: usize = 32;
/// Seconds until the head of an answer: a plain one comes when all of it is made, after those that
/// waited before it.
const FIRST_BYTE_SECONDS: u64 = 3_600;

section! {
    /// A model that Carnet runs itself, in a process of its own.
    RawEngine {
        required {
            /// Name of this entry, in records and messages.
            name: String,
        }
        optional {
            /// GGUF file, or folder with safetensors, tokenizer and configuration. Default: the model that
            /// comes with Carnet.
            file: String,
            /// The name that callers use, by which registry and overlay know what the model is. Needed with
            /// `file`.
            model: String,
            /// Grammar of that name, for example `huggingface`.
            platform: String,
            /// Threads that compute. Default: one fewer than cores.
            threads: u64,
            /// Megabytes of memory for the weights and one answer. Default 4096.
            memory_mb: u64,
            /// Tokens of prompt and answer together. Default 8192; less if the model was made for less.
            context_tokens: u64,
            /// Requests that may wait while another is answered; further ones get 429. Default 16.
            queue: u64,
        }
    }
}

/// An engine as it is written, which has no mistake of form.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) settings: Settings,
    /// Where the file is named.
    pub(crate) file_span: Span,
}

/// The engines of a configuration, and the upstreams that they are to the gateway. Only where a model
/// lies is left to be asked later.
pub(crate) fn drafts(
    raw: Vec<RawEngine>,
    upstreams: &[RawUpstream],
    base: &Path,
    found: &mut Vec<ConfigProblem>,
) -> (Vec<Draft>, Vec<RawUpstream>) {
    for host in upstreams.iter().filter_map(|entry| entry.host.given()) {
        if [HOST, OWN_HOST].contains(&host.value.as_str()) {
            found.push(ConfigProblem {
                span: host.span,
                message: format!("only an `[[engine]]` is on the host `{}`", host.value),
                help: Some("describe the host of this upstream in an overlay".to_owned()),
            });
        }
    }
    let read = raw.into_iter().filter_map(|raw| draft(raw, base, found));
    read.unzip()
}

/// The engine that `--model` asks for.
pub(crate) fn given(path: &Path) -> Result<(Draft, RawUpstream), Troubles> {
    let wrong = |message: String, help: &str| Err(vec![Trouble::new(message, help)]);
    let Some(last) = path.file_name() else {
        return wrong(
            format!("`{}` names no file or folder", path.display()),
            "give a GGUF file, or a folder with safetensors, tokenizer and configuration",
        );
    };
    let last = last.to_string_lossy();
    let model = last.strip_suffix(".gguf").unwrap_or(&last);
    let name: String = model
        .chars()
        .map(|c| if in_name(c) { c } else { '-' })
        .take(NAME_BYTES_MAX)
        .collect();
    let located = |value: String| {
        Field::Given(Located {
            value,
            span: Span::default(),
        })
    };
    let raw = RawEngine {
        name: located(name),
        file: located(path.display().to_string()),
        model: located(model.to_owned()),
        ..RawEngine::default()
    };
    let mut found = Vec::new();
    let draft = draft(raw, Path::new(""), &mut found);
    match (draft, found.pop()) {
        (Some(draft), None) => Ok(draft),
        (_, Some(problem)) => wrong(
            format!("--model {}: {}", path.display(), problem.message),
            problem.help.as_deref().unwrap_or_default(),
        ),
        (None, None) => wrong(
            format!("--model {} cannot be used", path.display()),
            "rename it",
        ),
    }
}

fn draft(
    raw: RawEngine,
    base: &Path,
    found: &mut Vec<ConfigProblem>,
) -> Option<(Draft, RawUpstream)> {
    let name = name(&raw.name, found);
    let model = model(&raw, found);
    let mut number = |field: &Field<u64>, what: &str, range: RangeInclusive<u64>, usual: u64| {
        let Some(given) = field.given() else {
            return usual;
        };
        if !range.contains(&given.value) {
            found.push(ConfigProblem {
                span: given.span,
                message: format!("`{what}` is {}", given.value),
                help: Some(format!(
                    "choose a number from {} to {}",
                    range.start(),
                    range.end()
                )),
            });
        }
        given.value
    };
    let threads = number(&raw.threads, "threads", 1..=THREADS_MAX, usual_threads());
    let memory_mb = number(&raw.memory_mb, "memory_mb", 64..=1_048_576, MEMORY_MB);
    let context_tokens = number(
        &raw.context_tokens,
        "context_tokens",
        128..=1_048_576,
        CONTEXT_TOKENS,
    );
    let queue = number(&raw.queue, "queue", 1..=1_024, QUEUE);
    let (name, model) = (name?, model?);
    let settings = Settings {
        name: name.value.as_str().into(),
        file: raw.file.given().map(|file| base.join(&file.value)),
        model: Arc::from(model.value.as_str()),
        threads,
        memory_mb,
        context_tokens,
        queue,
    };
    let file_span = raw.file.given().map_or(name.span, |file| file.span);
    let span = name.span;
    let at = |value: String| Field::Given(Located { value, span });
    let upstream = RawUpstream {
        // Where the socket lies depends on the state directory: `Config::place_engines`.
        base_url: at("unix:engine".to_owned()),
        host: at(match &raw.file {
            Field::Absent => OWN_HOST.to_owned(),
            Field::Given(_) | Field::Wrong => HOST.to_owned(),
        }),
        models: Field::Given(Located {
            span: model.span,
            value: vec![RawModel {
                name: Field::Given(model),
                ..RawModel::default()
            }],
        }),
        first_byte_seconds: Field::Given(Located {
            value: FIRST_BYTE_SECONDS,
            span,
        }),
        apis: Field::Given(Located {
            value: vec![Api::ChatCompletions.as_str().to_owned()],
            span,
        }),
        platform: raw.platform,
        name: Field::Given(name),
        ..RawUpstream::default()
    };
    let draft = Draft {
        settings,
        file_span,
    };
    Some((draft, upstream))
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn name(field: &Field<String>, found: &mut Vec<ConfigProblem>) -> Option<Located<String>> {
    let name = field.given()?;
    let good = !name.value.is_empty() && name.value.chars().all(in_name);
    if good && name.value.len() <= NAME_BYTES_MAX {
        return Some(name.clone());
    }
    found.push(ConfigProblem {
        span: name.span,
        message: format!("`{}` cannot be an engine's name", name.value),
        help: Some(format!(
            "use up to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
        )),
    });
    None
}

/// What callers ask for.
fn model(raw: &RawEngine, found: &mut Vec<ConfigProblem>) -> Option<Located<String>> {
    let (span, message, help) = match (&raw.file, &raw.model) {
        (Field::Wrong, _) | (_, Field::Wrong) => return None,
        (Field::Absent, Field::Absent) => {
            return Some(Located {
                value: embedded::MODEL.to_owned(),
                span: raw.name.given()?.span,
            });
        }
        (Field::Given(_), Field::Given(model)) => return Some(model.clone()),
        (Field::Given(file), Field::Absent) => (
            file.span,
            "what this file's model is called is not said".to_owned(),
            "add model = \"…\", the name that callers use and that the registry or your overlay knows"
                .to_owned(),
        ),
        (Field::Absent, Field::Given(model)) => (
            model.span,
            format!("there is no file for the model `{}`", model.value),
            format!(
                "add file = \"…\", or leave `model` out to run the one that comes with Carnet, `{}`",
                embedded::MODEL
            ),
        ),
    };
    found.push(ConfigProblem {
        span,
        message,
        help: Some(help),
    });
    None
}

impl Draft {
    /// What is wrong with where the model lies.
    pub(crate) fn missing(&self) -> Option<ConfigProblem> {
        let file: &PathBuf = self.settings.file.as_ref()?;
        let reason = match file.metadata() {
            Ok(metadata) if metadata.is_dir() || metadata.is_file() => return None,
            Ok(_) => "it is neither a file nor a folder".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(ConfigProblem {
            span: self.file_span,
            message: format!("`{}`: {reason}", file.display()),
            help: Some(
                "give a GGUF file, or a folder with safetensors, tokenizer and configuration"
                    .to_owned(),
            ),
        })
    }
}
