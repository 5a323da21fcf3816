//! Linear layers, norms and tables of vectors.

use tch::Tensor;

use super::NeuralError;
use super::padded::size;
use super::parameters::Parameters;

/// Standard deviation of fresh weights, as in BERT and in `RecBole`'s transformers.
pub(crate) const INITIAL_STD: f64 = 0.02;

/// What `LayerNorm` adds to the variance, as in `RecBole` and the authors' code of `BSARec`.
pub(crate) const NORM_EPS: f64 = 1e-12;

/// `y = x Wᵀ + b`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights `[out, into]` from a normal distribution, a bias of zeros.
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        into: usize,
        out: usize,
    ) -> Result<Self, NeuralError> {
        Ok(Self {
            weight: parameters.normal(
                &format!("{name}.weight"),
                &[size(out), size(into)],
                INITIAL_STD,
            )?,
            bias: parameters.constant(&format!("{name}.bias"), &[size(out)], 0.0)?,
        })
    }

    /// Weights and bias as PyTorch draws them, between ∓1/√into.
    pub(crate) fn uniform(
        parameters: &mut Parameters,
        name: &str,
        into: usize,
        out: usize,
    ) -> Result<Self, NeuralError> {
        let bound = (into as f64).sqrt().recip();
        let weight =
            parameters.uniform(&format!("{name}.weight"), &[size(out), size(into)], bound)?;
        let bias = parameters.uniform(&format!("{name}.bias"), &[size(out)], bound)?;
        Ok(Self { weight, bias })
    }

    /// Weights of Xavier's even draws, a bias of zeros.
    pub(crate) fn xavier(
        parameters: &mut Parameters,
        name: &str,
        into: usize,
        out: usize,
    ) -> Result<Self, NeuralError> {
        let bound = (6.0 / (into + out) as f64).sqrt();
        let weight =
            parameters.uniform(&format!("{name}.weight"), &[size(out), size(into)], bound)?;
        let bias = parameters.constant(&format!("{name}.bias"), &[size(out)], 0.0)?;
        Ok(Self { weight, bias })
    }

    /// `[…, into]` → `[…, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }

    /// `count` of the outputs, from `start`: `[…, into]` → `[…, count]`.
    pub(crate) fn part(&self, x: &Tensor, start: i64, count: i64) -> Result<Tensor, NeuralError> {
        let bias = self.bias.f_narrow(0, start, count)?;
        Ok(x.f_linear(&self.weight.f_narrow(0, start, count)?, Some(&bias))?)
    }
}

/// Layer normalisation with weight and bias.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// A norm over the last `width` numbers.
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<Self, NeuralError> {
        Ok(Self {
            weight: parameters.constant(&format!("{name}.weight"), &[size(width)], 1.0)?,
            bias: parameters.constant(&format!("{name}.bias"), &[size(width)], 0.0)?,
            eps,
        })
    }

    /// `[…, D]` → `[…, D]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NeuralError> {
        let width = self.weight.size();
        Ok(x.f_layer_norm(width, Some(&self.weight), Some(&self.bias), self.eps, false)?)
    }
}

/// Rows of a table `[N, D]`: `[…]` → `[…, D]`.
pub(crate) fn lookup(table: &Tensor, rows: &Tensor) -> Result<Tensor, NeuralError> {
    Ok(Tensor::f_embedding(table, rows, -1, false, false)?)
}

/// The vectors at some flat places of `[B, T, D]`: `[M]` → `[M, D]`.
pub(crate) fn at_places(x: &Tensor, places: &Tensor) -> Result<Tensor, NeuralError> {
    let width = x.size3()?.2;
    Ok(x.f_reshape([-1, width])?.f_index_select(0, places)?)
}
