//! The forward pass: tokens in, a number for each token of the vocabulary out, with the keys and
//! values of earlier tokens kept between calls.

use candle_core::{D, Device, Tensor};

use crate::architecture::Sizes;
use crate::codes::Code;
use crate::limits::PROMPT_STEP;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::weights::{Weight, load, normed};

/// How a format calls the tensors of this architecture.
pub(crate) trait Naming {
    /// Prefix of a layer's tensors, with its final dot.
    fn layer(&self, index: usize) -> String;
    /// The word for a part.
    fn part(&self, part: Part) -> &'static str;
}

/// Parts of the model. Those from `Down` on are in each layer, and are named by its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Embedding,
    FinalNorm,
    Head,
    Down,
    Gate,
    Key,
    KeyBias,
    MixNorm,
    Output,
    Query,
    QueryBias,
    AttendNorm,
    Up,
    Value,
    ValueBias,
}

#[derive(Debug)]
struct Layer {
    attend_norm: Tensor,
    query: (Weight, Tensor),
    key: (Weight, Tensor),
    value: (Weight, Tensor),
    output: Weight,
    mix_norm: Tensor,
    gate: Weight,
    up: Weight,
    down: Weight,
}

/// A model in memory. It does not change while it runs, so several answers can share it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) sizes: Sizes,
    embedding: Weight,
    layers: Vec<Layer>,
    final_norm: Tensor,
    /// None if the embedding serves.
    head: Option<Weight>,
    /// `theta^(-2i/head)` for each pair `i` of a head.
    frequencies: Vec<f32>,
}

/// Keys and values of the tokens seen so far, for one answer.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Keys and values of each layer, `[heads_kv, room, head]`.
    layers: Vec<(Tensor, Tensor)>,
    room: usize,
    len: usize,
}

impl Cache {
    /// Tokens seen so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for further tokens, doubling up to the context so that growing costs little in all.
    fn reserve(&mut self, more: usize, sizes: &Sizes) -> candle_core::Result<()> {
        let needed = self.len + more;
        if needed <= self.room {
            return Ok(());
        }
        let most = sizes.context.max(needed);
        let room = needed.max(self.room * 2).max(PROMPT_STEP).min(most);
        let fresh = || {
            let dims = (sizes.heads_kv, room, sizes.head);
            Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu)
        };
        let mut layers = Vec::with_capacity(sizes.layers);
        for index in 0..sizes.layers {
            let grown = (fresh()?, fresh()?);
            if let Some((keys, values)) = self.layers.get(index).filter(|_| self.len > 0) {
                let seen = |t: &Tensor| t.narrow(1, 0, self.len)?.contiguous();
                grown.0.slice_set(&seen(keys)?, 1, 0)?;
                grown.1.slice_set(&seen(values)?, 1, 0)?;
            }
            layers.push(grown);
        }
        (self.layers, self.room) = (layers, room);
        Ok(())
    }
}

/// Which tokens' numbers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    Last,
}

impl Model {
    /// Reads all tensors and refuses any that is missing, of another shape or too many.
    pub(crate) fn load(
        sizes: Sizes,
        naming: &dyn Naming,
        store: &mut dyn Store,
    ) -> Result<Model, Refusal> {
        let embedding = naming.part(Part::Embedding);
        let head = naming.part(Part::Head);
        let mut used = vec![
            embedding.to_owned(),
            naming.part(Part::FinalNorm).to_owned(),
        ];
        // A file may carry the output matrix although the embedding serves; then it is not read.
        used.push(head.to_owned());
        let rows = [sizes.vocabulary, sizes.width];
        let mut model = Model {
            embedding: load(store, embedding, &rows)?,
            layers: Vec::with_capacity(sizes.layers),
            final_norm: load(store, naming.part(Part::FinalNorm), &[sizes.width])?.plain()?,
            head: match sizes.tied {
                true => None,
                false => Some(load(store, head, &rows)?),
            },
            frequencies: frequencies(&sizes),
            sizes,
        };
        for index in 0..model.sizes.layers {
            let mut take = |part: Part, dims: &[usize]| {
                let name = format!("{}{}", naming.layer(index), naming.part(part));
                let weight = load(store, &name, dims);
                used.push(name);
                weight
            };
            let layer = Layer::load(&model.sizes, &mut take)?;
            model.layers.push(layer);
        }
        used.sort_unstable();
        let unexpected = |name: &String| used.binary_search(name).is_err();
        match store.names().iter().find(|name| unexpected(name)) {
            None => Ok(model),
            Some(name) => Err(Refusal::new(
                Code::TensorUnexpected,
                store.place(name),
                "the architecture has no place for this tensor",
                "configuration and weights are of different models: take both from one place",
            )),
        }
    }

    /// Bytes of all weights in memory.
    pub(crate) fn bytes(&self) -> usize {
        let layers = self.layers.iter().map(Layer::bytes).sum::<usize>();
        let head = self.head.as_ref().map_or(0, Weight::bytes);
        self.embedding.bytes() + head + layers
    }

    /// The numbers (logits) that follow `tokens`, which follow what the cache holds:
    /// `[tokens or 1, vocabulary]`.
    pub(crate) fn forward(
        &self,
        tokens: &[u32],
        cache: &mut Cache,
        wanted: Wanted,
    ) -> candle_core::Result<Tensor> {
        cache.reserve(tokens.len(), &self.sizes)?;
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut x = self.embedding.rows(&ids)?;
        let rotation = self.rotation(cache.len, tokens.len())?;
        let mask = mask(cache.len, tokens.len())?;
        for (layer, (keys, values)) in self.layers.iter().zip(&cache.layers) {
            let normal = normed(&x, &layer.attend_norm, self.sizes.norm_epsilon)?;
            let past = Past {
                keys,
                values,
                len: cache.len,
            };
            x = (x + layer.attend(&normal, &self.sizes, &rotation, &mask, &past)?)?;
            let normal = normed(&x, &layer.mix_norm, self.sizes.norm_epsilon)?;
            x = (x + layer.mix(&normal)?)?;
        }
        cache.len += tokens.len();
        if wanted == Wanted::Last {
            x = x.narrow(0, tokens.len().saturating_sub(1), 1)?;
        }
        let x = normed(&x, &self.final_norm, self.sizes.norm_epsilon)?;
        self.head
            .as_ref()
            .unwrap_or(&self.embedding)
            .times(&x.contiguous()?)
    }

    /// Cosines and sines for positions from `start` on, each `[tokens, head / 2]`.
    fn rotation(&self, start: usize, tokens: usize) -> candle_core::Result<(Tensor, Tensor)> {
        let angles = |of: fn(f32) -> f32| {
            let mut all = Vec::with_capacity(tokens * self.frequencies.len());
            for position in start..start + tokens {
                all.extend(self.frequencies.iter().map(|f| of(position as f32 * f)));
            }
            Tensor::from_vec(all, (tokens, self.frequencies.len()), &Device::Cpu)
        };
        Ok((angles(f32::cos)?, angles(f32::sin)?))
    }
}

fn frequencies(sizes: &Sizes) -> Vec<f32> {
    let pairs = (0..sizes.head).step_by(2);
    pairs
        .map(|i| 1.0 / (sizes.rope_theta as f32).powf(i as f32 / sizes.head as f32))
        .collect()
}

/// Zero where a token may look, minus infinity at those after it: `[tokens, seen + tokens]`.
fn mask(seen: usize, tokens: usize) -> candle_core::Result<Tensor> {
    let mut all = Vec::with_capacity(tokens * (seen + tokens));
    for at in 0..tokens {
        let hidden = |other: usize| {
            if other > seen + at {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        };
        all.extend((0..seen + tokens).map(hidden));
    }
    Tensor::from_vec(all, (tokens, seen + tokens), &Device::Cpu)
}

/// A layer's cache, with room for the tokens that are being computed.
struct Past<'a> {
    keys: &'a Tensor,
    values: &'a Tensor,
    len: usize,
}

/// Reads the part of a layer that has these dimensions.
type Take<'a> = dyn FnMut(Part, &[usize]) -> Result<Weight, Refusal> + 'a;

impl Layer {
    fn load(sizes: &Sizes, take: &mut Take<'_>) -> Result<Layer, Refusal> {
        let (width, inner) = (sizes.width, sizes.inner);
        let (all, kv) = (sizes.heads * sizes.head, sizes.heads_kv * sizes.head);
        Ok(Layer {
            attend_norm: take(Part::AttendNorm, &[width])?.plain()?,
            query: (
                take(Part::Query, &[all, width])?,
                take(Part::QueryBias, &[all])?.plain()?,
            ),
            key: (
                take(Part::Key, &[kv, width])?,
                take(Part::KeyBias, &[kv])?.plain()?,
            ),
            value: (
                take(Part::Value, &[kv, width])?,
                take(Part::ValueBias, &[kv])?.plain()?,
            ),
            output: take(Part::Output, &[width, all])?,
            mix_norm: take(Part::MixNorm, &[width])?.plain()?,
            gate: take(Part::Gate, &[inner, width])?,
            up: take(Part::Up, &[inner, width])?,
            down: take(Part::Down, &[width, inner])?,
        })
    }

    fn bytes(&self) -> usize {
        let attention = [&self.query.0, &self.key.0, &self.value.0, &self.output];
        let mixing = [&self.gate, &self.up, &self.down];
        attention.iter().chain(&mixing).map(|w| w.bytes()).sum()
    }

    /// Attention over all tokens up to each: `[tokens, width]` in and out.
    fn attend(
        &self,
        x: &Tensor,
        sizes: &Sizes,
        rotation: &(Tensor, Tensor),
        mask: &Tensor,
        past: &Past<'_>,
    ) -> candle_core::Result<Tensor> {
        let tokens = x.dim(0)?;
        let project = |(weight, bias): &(Weight, Tensor), heads: usize| {
            let all = weight.times(x)?.broadcast_add(bias)?;
            let split = all.reshape((tokens, heads, sizes.head))?;
            split.transpose(0, 1)?.contiguous()
        };
        let query = rotated(&project(&self.query, sizes.heads)?, rotation)?;
        let key = rotated(&project(&self.key, sizes.heads_kv)?, rotation)?;
        past.keys.slice_set(&key, 1, past.len)?;
        past.values
            .slice_set(&project(&self.value, sizes.heads_kv)?, 1, past.len)?;
        let seen = past.len + tokens;
        let keys = past.keys.narrow(1, 0, seen)?;
        let values = past.values.narrow(1, 0, seen)?;

        // Heads that share keys lie side by side, so their queries are rows of one matrix.
        let shared = (
            sizes.heads_kv,
            sizes.heads / sizes.heads_kv * tokens,
            sizes.head,
        );
        let scale = 1.0 / (sizes.head as f64).sqrt();
        let scores = (query.reshape(shared)?.matmul(&keys.t()?)? * scale)?;
        let scores = scores
            .reshape((sizes.heads, tokens, seen))?
            .broadcast_add(mask)?;
        let shares = softmax(&scores)?.reshape((shared.0, shared.1, seen))?;
        let mixed = shares
            .matmul(&values)?
            .reshape((sizes.heads, tokens, sizes.head))?;
        let joined = mixed
            .transpose(0, 1)?
            .reshape((tokens, sizes.heads * sizes.head))?;
        self.output.times(&joined)
    }

    /// The feed-forward block: `[tokens, width]` in and out.
    fn mix(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let gated = (self.gate.times(x)?.silu()? * self.up.times(x)?)?;
        self.down.times(&gated)
    }
}

/// Turns each pair `(i, i + head/2)` of a head by the angle of its position.
fn rotated(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> candle_core::Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (
        x.narrow(D::Minus1, 0, half)?,
        x.narrow(D::Minus1, half, half)?,
    );
    let left = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let right = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
    Tensor::cat(&[left, right], 2)
}

fn softmax(x: &Tensor) -> candle_core::Result<Tensor> {
    let raised = x.broadcast_sub(&x.max_keepdim(D::Minus1)?)?.exp()?;
    raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)
}
