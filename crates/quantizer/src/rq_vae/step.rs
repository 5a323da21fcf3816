//! One training step: loss and gradient of a batch, written out.

use tch::{Device, Kind, Tensor};

use super::layout::{Layout, Parameters};
use super::letter::{alignment, diversity};
use super::levels::Levels;
use super::mlp::{self, Activations};
use super::params::Settings;
use crate::QuantizerError;

/// The inputs of a step besides the parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    /// `[B, D]`.
    pub(super) rows: &'a Tensor,
    /// `[B, d]`, if the loss has an alignment term.
    pub(super) collaborative: Option<&'a Tensor>,
    /// For each active level `[K]`: another code of each code's cluster; empty without diversity.
    pub(super) positives: &'a [Tensor],
    /// Levels that take part.
    pub(super) active: usize,
}

/// Memory that steps share, and their result.
#[derive(Debug)]
pub(super) struct Step {
    encoder: Activations,
    decoder: Activations,
    latent_gradient: Tensor,
    /// One level's distances, `[B K]` for its largest `K`.
    scores: Tensor,
}

/// Terms of the loss, in the order of [`Step::run`]'s result.
pub(super) const TERMS: i64 = 4;

impl Step {
    pub(super) fn new(
        layout: &Layout,
        parameters: &Parameters,
        batch: i64,
        device: Device,
    ) -> Result<Self, QuantizerError> {
        // A layout has at least one level.
        let codes = layout.codebook_sizes.iter().copied().max().unwrap_or(0);
        Ok(Self {
            encoder: Activations::new(batch, &parameters.encoder, device)?,
            decoder: Activations::new(batch, &parameters.decoder, device)?,
            latent_gradient: mlp::empty(batch, layout.latent(), device)?,
            scores: mlp::empty(batch, codes, device)?.f_view(-1)?,
        })
    }

    /// Writes the gradient of the loss to `gradients`; returns its terms `[4]`, unweighted, and
    /// the codes.
    ///
    /// ```text
    /// loss = mean((x̂ - x)²) + w Σ_l (mean((sg[r] - e)²) + β mean((r - sg[e])²))
    ///      + α alignment + γ Σ_l diversity         ẑ = z + sg[Σ_l e - z],  x̂ = decoder(ẑ)
    /// ```
    /// SIDReasoner eqs 2-5; means over rows and columns. Residuals subtract `sg[e]`: a level's
    /// terms move its own codebook and the encoder, never an earlier codebook.
    ///
    /// The terms: reconstruction, `Σ_l mean((r - e)²)`, alignment, diversity.
    pub(super) fn run(
        &mut self,
        settings: &Settings,
        parameters: &Parameters,
        gradients: &Parameters,
        batch: &Batch<'_>,
    ) -> Result<(Tensor, Levels), QuantizerError> {
        let rows = batch.rows;
        mlp::forward(&parameters.encoder, rows, &mut self.encoder)?;
        let codebooks = &parameters.codebooks[..batch.active];
        let levels = Levels::quantise(self.encoder.last(), codebooks, settings, &self.scores)?;
        let quantised = levels.quantised()?; // [B, d]
        mlp::forward(&parameters.decoder, &quantised, &mut self.decoder)?;

        let zero = || Tensor::f_zeros([], (Kind::Float, rows.device()));
        let mut difference = self.decoder.last().shallow_clone().f_sub_(rows)?.f_view(-1)?; // [B D]
        let count = difference.numel() as f64;
        let reconstruction = difference.f_dot(&difference)?.f_div_scalar(count)?;
        let _ = difference.f_mul_scalar_(2.0 / count)?;
        let output_gradient = self.decoder.last().shallow_clone();
        mlp::backward(
            &parameters.decoder,
            &gradients.decoder,
            &quantised,
            &output_gradient,
            &mut self.decoder,
            Some(&self.latent_gradient),
        )?;

        let mut aligned = zero()?;
        if let Some(collaborative) = batch.collaborative {
            let term = alignment(&quantised, collaborative)?;
            let gradient = term.gradient.f_mul_scalar(settings.alignment_weight)?;
            let _ = self.latent_gradient.f_add_(&gradient)?;
            aligned = term.value;
        }
        levels.backward(settings, &mut self.latent_gradient, &gradients.codebooks)?;
        let mut diverse = zero()?;
        for (level, positives) in batch.positives.iter().enumerate().take(batch.active) {
            let term = diversity(&codebooks[level], &levels.codes[level], positives)?;
            let gradient = term.gradient.f_mul_scalar(settings.diversity_weight)?;
            let _ = gradients.codebooks[level].shallow_clone().f_add_(&gradient)?;
            diverse += term.value;
        }
        mlp::backward(
            &parameters.encoder,
            &gradients.encoder,
            rows,
            &self.latent_gradient,
            &mut self.encoder,
            None,
        )?;
        let terms = [reconstruction, levels.error()?, aligned, diverse];
        Ok((Tensor::f_stack(&terms, 0)?, levels))
    }
}

#[cfg(test)]
mod tests;
