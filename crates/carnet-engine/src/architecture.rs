//! The sizes of a model, read from `config.json` or from a GGUF file's metadata and checked against
//! each other before any weight is read.

use serde::Deserialize;
use serde_json::Value;

use crate::codes::Code;
use crate::limits::{CONTEXT_MAX, LAYERS_MAX, VOCABULARY_MAX, WIDTH_MAX};
use crate::refusal::Refusal;

/// The one architecture, as `model_type` in `config.json` and `general.architecture` in GGUF say it.
pub(crate) const MODEL_TYPE: &str = "qwen2";
/// The same as `architectures` in `config.json` says it.
const CLASS: &str = "Qwen2ForCausalLM";

/// Sizes of a model; all are at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// Rows of the embedding.
    pub(crate) vocabulary: usize,
    /// Numbers that stand for one token between layers.
    pub(crate) width: usize,
    /// Numbers between the two halves of a feed-forward block.
    pub(crate) inner: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(crate) heads_kv: usize,
    /// Numbers in one head; even, as rotation works on pairs.
    pub(crate) head: usize,
    /// Positions that the model was made for.
    pub(crate) context: usize,
    pub(crate) norm_epsilon: f64,
    pub(crate) rope_theta: f64,
    /// Whether the embedding serves as output matrix too.
    pub(crate) tied: bool,
}

impl Sizes {
    /// Checks what every format must meet.
    pub(crate) fn checked(self, place: &str) -> Result<Sizes, Refusal> {
        let bounds = [
            ("the vocabulary", self.vocabulary, VOCABULARY_MAX),
            ("the hidden size", self.width, WIDTH_MAX),
            ("the feed-forward size", self.inner, WIDTH_MAX),
            ("the number of layers", self.layers, LAYERS_MAX),
            ("the number of heads", self.heads, WIDTH_MAX),
            ("the number of key heads", self.heads_kv, WIDTH_MAX),
            ("the head size", self.head, WIDTH_MAX),
            ("the context", self.context, CONTEXT_MAX),
        ];
        for (what, value, max) in bounds {
            if value == 0 || value > max {
                let reason = format!("{what} is {value}; it can be 1 to {max}");
                return Err(invalid(place, reason));
            }
        }
        if !self.heads.is_multiple_of(self.heads_kv) {
            let reason = format!(
                "{} heads cannot share {} key heads evenly",
                self.heads, self.heads_kv
            );
            return Err(invalid(place, reason));
        }
        if !self.head.is_multiple_of(2) || self.heads.saturating_mul(self.head) > WIDTH_MAX {
            let reason = format!(
                "{} heads of {} numbers are not possible",
                self.heads, self.head
            );
            return Err(invalid(place, reason));
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            let reason = format!("the norm's epsilon is {}", self.norm_epsilon);
            return Err(invalid(place, reason));
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            let reason = format!("the base of the rotation is {}", self.rope_theta);
            return Err(invalid(place, reason));
        }
        Ok(self)
    }

    /// Bytes of keys and values that one position costs while an answer is made.
    pub(crate) fn cache_bytes_a_token(&self) -> usize {
        2 * self.layers * self.heads_kv * self.head * size_of::<f32>()
    }
}

/// What stands in `config.json`; fields that this engine has no use for are left alone.
#[derive(Debug, Deserialize)]
pub(crate) struct RawConfig {
    #[serde(default)]
    architectures: Vec<String>,
    model_type: Option<String>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    #[serde(default)]
    tie_word_embeddings: bool,
    hidden_act: Option<String>,
    #[serde(default)]
    use_sliding_window: bool,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
    /// One token or several that end an answer.
    pub(crate) eos_token_id: Option<Ids>,
}

/// One id or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Ids {
    One(u32),
    Many(Vec<u32>),
}

impl Ids {
    pub(crate) fn into_vec(self) -> Vec<u32> {
        match self {
            Ids::One(id) => vec![id],
            Ids::Many(ids) => ids,
        }
    }
}

const PLACE: &str = "config.json";

impl RawConfig {
    /// The sizes, or why this engine does not compute this model.
    pub(crate) fn sizes(&self) -> Result<Sizes, Refusal> {
        let named = self.architectures.iter().all(|class| class == CLASS);
        if !named || self.model_type.as_deref() != Some(MODEL_TYPE) {
            let stated = self.architectures.first().or(self.model_type.as_ref());
            return Err(wrong_architecture(
                PLACE,
                stated.map_or("none", String::as_str),
            ));
        }
        self.refuse_variants()?;
        let heads = needed(self.num_attention_heads, "num_attention_heads")?;
        let width = needed(self.hidden_size, "hidden_size")?;
        let head = match self.head_dim {
            Some(head) => head,
            None => width
                .checked_div(heads)
                .filter(|head| head * heads == width)
                .ok_or_else(|| invalid(PLACE, format!("{heads} heads do not divide {width}")))?,
        };
        Sizes {
            vocabulary: needed(self.vocab_size, "vocab_size")?,
            width,
            inner: needed(self.intermediate_size, "intermediate_size")?,
            layers: needed(self.num_hidden_layers, "num_hidden_layers")?,
            heads,
            heads_kv: self.num_key_value_heads.unwrap_or(heads),
            head,
            context: needed(self.max_position_embeddings, "max_position_embeddings")?,
            norm_epsilon: needed(self.rms_norm_eps, "rms_norm_eps")?,
            rope_theta: self.theta()?,
            tied: self.tie_word_embeddings,
        }
        .checked(PLACE)
    }

    /// The rotation's base, which newer files keep in `rope_parameters`.
    fn theta(&self) -> Result<f64, Refusal> {
        let newer = self.rope_parameters.as_ref();
        let newer = newer
            .and_then(|p| p.get("rope_theta"))
            .and_then(Value::as_f64);
        needed(newer.or(self.rope_theta), "rope_theta")
    }

    fn refuse_variants(&self) -> Result<(), Refusal> {
        for (field, value) in [
            ("rope_scaling", &self.rope_scaling),
            ("rope_parameters", &self.rope_parameters),
        ] {
            if let Some(kind) = value.as_ref().and_then(scaling) {
                return Err(unsupported(
                    format!("{PLACE}: {field}"),
                    format!("positions are scaled as `{kind}`"),
                ));
            }
        }
        let windowed = self
            .layer_types
            .iter()
            .flatten()
            .find(|kind| *kind != "full_attention");
        if let Some(kind) = windowed {
            return Err(unsupported(
                format!("{PLACE}: layer_types"),
                format!("a layer attends as `{kind}`"),
            ));
        }
        if self.use_sliding_window {
            return Err(unsupported(
                format!("{PLACE}: use_sliding_window"),
                "layers attend to a sliding window",
            ));
        }
        if self.quantization_config.is_some() {
            return Err(unsupported(
                format!("{PLACE}: quantization_config"),
                "the weights are packed in a way of their own",
            ));
        }
        match self.hidden_act.as_deref() {
            None | Some("silu") => Ok(()),
            Some(other) => Err(unsupported(
                format!("{PLACE}: hidden_act"),
                format!("the activation is `{other}`"),
            )),
        }
    }
}

/// The kind of scaling of positions, unless there is none.
fn scaling(value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let kind = ["rope_type", "type"]
        .iter()
        .find_map(|key| value.get(key).and_then(Value::as_str));
    match kind {
        Some("default") => None,
        Some(kind) => Some(kind.to_owned()),
        // The newer field may hold the base alone; anything else is a scaling without a name.
        None if value.get("factor").is_none() && value.is_object() => None,
        None => Some("unnamed".to_owned()),
    }
}

pub(crate) fn wrong_architecture(place: &str, stated: &str) -> Refusal {
    Refusal::new(
        Code::ArchitectureUnsupported,
        place,
        format!("the architecture is `{stated}`; this engine computes `{MODEL_TYPE}` alone"),
        "use a model of that architecture, or run this one in a server of its own as an upstream",
    )
}

pub(crate) fn unsupported(place: String, reason: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::FeatureUnsupported,
        place,
        reason,
        "use a model without it, or run this one in a server of its own as an upstream",
    )
}

pub(crate) fn invalid(place: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::ConfigInvalid,
        place,
        reason,
        "copy the model's files anew from where they were published",
    )
}

fn needed<T>(value: Option<T>, field: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| invalid(PLACE, format!("`{field}` is missing")))
}
