//! RQ-VAE: an autoencoder whose latent rows are quantised residual by residual.

mod adamw;
mod checkpoint;
mod convert;
mod defaults;
mod evaluation;
mod layout;
mod letter;
mod levels;
mod mlp;
mod params;
mod random;
mod ranges;
mod schedule;
mod start;
mod state;
mod step;
mod storage;
mod training;

use ndarray::{Array2, ArrayView2, Axis};
use sidereal_sid::Code;
use tch::Device;

pub use evaluation::{RqVaeEvaluation, RqVaeLosses, RqVaeObserver};
use layout::{Layout, Linear, Parameters};
pub use params::{RqVaeParams, RqVaeValidParams};
pub use schedule::{CodebookSchedule, EarlyStop, StopMetric};
pub use training::RqVaeTraining;

use crate::rows::check;
use crate::{Codebooks, QuantizerError};

/// Rows that pass through the network together.
const CHUNK: usize = 4096;

/// A trained RQ-VAE: encoder, codebooks of its latent rows, decoder.
///
/// ```text
/// z = encoder(x)      r[0] = z,  code[l] = argmin_k ‖r[l] - c[l, k]‖²,  r[l+1] = r[l] - c[l, code[l]]
/// x̂ = decoder(Σ_l c[l, code[l]])
/// ```
/// SIDReasoner eqs 2-5, SINGER app. B, TIGER ([arXiv:2305.05065](https://arxiv.org/abs/2305.05065)).
/// A row's codes depend on that row alone, at levels that were trained with a balanced assignment
/// too.
///
/// [`Collisions`](crate::Collisions) and [`QualityReport`](crate::QualityReport) take
/// [`codebooks`](Self::codebooks) with the latent rows of [`embed`](Self::embed).
///
/// # Examples
/// ```no_run
/// use linfa::prelude::*;
/// use ndarray::Array2;
/// use sidereal_quantizer::{Collisions, RqVae};
///
/// # let embeddings = Array2::<f32>::zeros((3686, 384));
/// let model = RqVae::params([256, 256, 256], 7).fit(&DatasetBase::from(embeddings.view()))?;
/// let codes = model.encode(embeddings.view())?;
/// let latents = model.embed(embeddings.view())?;
/// let catalog = Collisions::Reassign.catalog(model.codebooks(), latents.view(), codes.view())?;
/// # Ok::<(), sidereal_quantizer::QuantizerError>(())
/// ```
#[derive(Debug)]
pub struct RqVae {
    layout: Layout,
    parameters: Parameters,
    codebooks: Codebooks,
}

impl RqVae {
    /// Settings to train with; see [`RqVaeParams`].
    #[must_use]
    pub fn params(codebook_sizes: impl Into<Vec<usize>>, seed: u64) -> RqVaeParams {
        RqVaeParams::new(codebook_sizes, seed)
    }

    /// A model of these parameters, of which it takes the first `levels` codebooks.
    fn new(layout: Layout, parameters: Parameters, levels: usize) -> Result<Self, QuantizerError> {
        let codebooks = evaluation::first_codebooks(&parameters, levels)?;
        Ok(Self { layout, parameters, codebooks })
    }

    /// Codebooks `[K, d]` of the latent rows.
    #[must_use]
    pub const fn codebooks(&self) -> &Codebooks {
        &self.codebooks
    }

    /// Width `D` of the rows.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.layout.row_width
    }

    /// Latent rows.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; returns `[N, d]`
    ///
    /// # Errors
    /// [`QuantizerError::EmptyMatrix`], [`QuantizerError::NotFinite`], which names the row, and
    /// [`QuantizerError::Width`].
    pub fn embed(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, QuantizerError> {
        check(&rows)?;
        if rows.ncols() != self.width() {
            return Err(QuantizerError::Width { found: rows.ncols(), expected: self.width() });
        }
        through(&self.parameters.encoder, rows, self.parameters.flat.device())
    }

    /// The codes of each row, nearest code by nearest code in the latent space.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`; returns `[N, L]`
    ///
    /// # Errors
    /// Those of [`embed`](Self::embed).
    pub fn encode(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<Code>, QuantizerError> {
        self.codebooks.encode(self.embed(rows)?.view())
    }

    /// The rows that the codes stand for.
    ///
    /// # Shapes
    /// - `codes`: `[N, L']` with `L' <= L`, the coarsest levels; returns `[N, D]`
    ///
    /// # Errors
    /// [`QuantizerError::Levels`] for more levels than there are codebooks, and
    /// [`QuantizerError::Code`].
    pub fn decode(&self, codes: ArrayView2<'_, Code>) -> Result<Array2<f32>, QuantizerError> {
        let latents = self.codebooks.decode(codes)?;
        through(&self.parameters.decoder, latents.view(), self.parameters.flat.device())
    }
}

/// Applies layers to all rows, in chunks.
fn through(
    layers: &[Linear],
    rows: ArrayView2<'_, f32>,
    device: Device,
) -> Result<Array2<f32>, QuantizerError> {
    let _guard = tch::no_grad_guard();
    // Without layers rows stay as they are.
    let width = layers.last().map(|layer| convert::to_usize(layer.bias.size()[0])).transpose()?;
    let mut out = Array2::zeros((rows.nrows(), width.unwrap_or(rows.ncols())));
    for (rows, mut out) in
        rows.axis_chunks_iter(Axis(0), CHUNK).zip(out.axis_chunks_iter_mut(Axis(0), CHUNK))
    {
        let rows = convert::to_tensor(&rows, device)?;
        out.assign(&convert::to_array(&mlp::apply(layers, &rows)?)?);
    }
    Ok(out)
}
