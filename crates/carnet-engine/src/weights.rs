//! Weights in memory: read from a store of tensors, checked for shape, type and finiteness, and then
//! multiplied with or looked up in.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{D, DType, Device, Module as _, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

use crate::codes::Code;
use crate::refusal::Refusal;
use crate::store::{Store, Stored, truncated};

/// Tokens of a step from which packed weights are unpacked for it.
const UNPACK_FROM: usize = 8;

/// How the numbers of a tensor are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bf16,
    F16,
    F32,
    /// Blocks of 32 numbers of 4 bits under one F16 scale.
    Q4,
    /// Blocks of 32 numbers of 8 bits under one F16 scale.
    Q8,
}

impl Kind {
    /// Numbers and bytes of a block.
    fn block(self) -> (usize, usize) {
        match self {
            Kind::Bf16 | Kind::F16 => (1, 2),
            Kind::F32 => (1, 4),
            Kind::Q4 => (32, 18),
            Kind::Q8 => (32, 34),
        }
    }

    /// Bytes of a tensor of these dimensions, unless its rows are not whole blocks or it is too
    /// large to count.
    pub(crate) fn bytes(self, dims: &[usize]) -> Option<usize> {
        let (numbers, bytes) = self.block();
        let row = dims.last().copied().unwrap_or(1);
        let whole = row.is_multiple_of(numbers);
        let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
        (count / numbers).checked_mul(bytes).filter(|_| whole)
    }

    fn quantised(self) -> Option<GgmlDType> {
        match self {
            Kind::Q4 => Some(GgmlDType::Q4_0),
            Kind::Q8 => Some(GgmlDType::Q8_0),
            Kind::Bf16 | Kind::F16 | Kind::F32 => None,
        }
    }

    /// Whether the number, or the scale of the block, that these bytes begin with is finite.
    fn finite(self, block: &[u8]) -> bool {
        let low = |at: usize| u16::from(block.get(at).copied().unwrap_or_default());
        let half = low(0) | low(1) << 8;
        // A number is infinite or none at all when every bit of its exponent is set.
        match self {
            Kind::Bf16 => half & 0x7f80 != 0x7f80,
            Kind::F16 | Kind::Q4 | Kind::Q8 => half & 0x7c00 != 0x7c00,
            Kind::F32 => (low(2) | low(3) << 8) & 0x7f80 != 0x7f80,
        }
    }

    /// Position of the first block whose numbers are not finite.
    fn first_not_finite(self, bytes: &[u8]) -> Option<usize> {
        bytes
            .chunks_exact(self.block().1)
            .position(|block| !self.finite(block))
    }
}

/// A matrix or vector, ready for arithmetic.
#[derive(Debug)]
pub(crate) enum Weight {
    /// Numbers in F32.
    Plain(Tensor),
    /// Blocks as they lie in the file; products are computed from them without unpacking.
    Packed(Arc<QTensor>),
}

/// Reads a tensor whose dimensions the configuration says.
pub(crate) fn load(store: &mut dyn Store, name: &str, dims: &[usize]) -> Result<Weight, Refusal> {
    let stored = store.find(name).ok_or_else(|| {
        Refusal::new(
            Code::TensorMissing,
            store.place(name),
            "the tensor is not there",
            "give all files of the model",
        )
    })??;
    if stored.dims != dims {
        return Err(Refusal::new(
            Code::TensorShape,
            store.place(name),
            format!(
                "has the shape {:?}; the configuration says {dims:?}",
                stored.dims
            ),
            "configuration and weights are of different models: take both from one place",
        ));
    }
    let bytes = store.read(name)?;
    if stored.kind.bytes(dims) != Some(bytes.len()) {
        return Err(truncated(&store.place(name)));
    }
    if let Some(block) = stored.kind.first_not_finite(&bytes) {
        return Err(Refusal::new(
            Code::WeightsNotFinite,
            store.place(name),
            format!("number {} is not finite", block * stored.kind.block().0),
            "the file is damaged or was made so: copy it anew and compare its digest",
        ));
    }
    Weight::new(&stored, &bytes)
}

impl Weight {
    fn new(stored: &Stored, bytes: &[u8]) -> Result<Weight, Refusal> {
        let cpu = Device::Cpu;
        if let Some(packed) = stored.kind.quantised() {
            let storage = QStorage::from_data(Cow::Borrowed(bytes), &cpu, packed)?;
            let tensor = QTensor::new(storage, stored.dims.as_slice())?;
            return Ok(Weight::Packed(Arc::new(tensor)));
        }
        let kind = match stored.kind {
            Kind::Bf16 => DType::BF16,
            Kind::F16 => DType::F16,
            _ => DType::F32,
        };
        let tensor = Tensor::from_raw_buffer(bytes, kind, &stored.dims, &cpu)?;
        Ok(Weight::Plain(tensor.to_dtype(DType::F32)?))
    }

    /// All numbers in F32, unpacked where they are packed.
    pub(crate) fn plain(&self) -> candle_core::Result<Tensor> {
        match self {
            Weight::Plain(tensor) => Ok(tensor.clone()),
            Weight::Packed(tensor) => tensor.dequantize(&Device::Cpu),
        }
    }

    /// `x` of `[tokens, in]` times the transpose of this `[out, in]`: `[tokens, out]`.
    pub(crate) fn times(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Weight::Plain(tensor) => x.matmul(&tensor.t()?),
            // The library's product of packed weights takes as long for each token of many as for
            // one; unpacking once and multiplying as F32 is faster then, and no less exact.
            Weight::Packed(tensor) if x.dim(0)? >= UNPACK_FROM => {
                x.matmul(&tensor.dequantize(&Device::Cpu)?.t()?)
            }
            Weight::Packed(tensor) => QMatMul::QTensor(Arc::clone(tensor)).forward(x),
        }
    }

    /// The rows of these indices: `[tokens, in]`.
    pub(crate) fn rows(&self, indices: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Weight::Plain(tensor) => tensor.index_select(indices, 0),
            Weight::Packed(tensor) => tensor.embedding(indices),
        }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Weight::Plain(tensor) => tensor.elem_count() * size_of::<f32>(),
            Weight::Packed(tensor) => tensor.storage_size_in_bytes(),
        }
    }
}

/// `x` divided by the root of its mean square along the last dimension, times `weight`.
pub(crate) fn normed(x: &Tensor, weight: &Tensor, epsilon: f64) -> candle_core::Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    let root = (mean + epsilon)?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(weight)
}
