//! Residual quantisation of a batch's latent rows, forward and backward.

use tch::{Device, Kind, Tensor};

use super::params::Settings;
use crate::QuantizerError;
use crate::sinkhorn::balanced_codes;

/// One batch's residuals and codes.
#[derive(Debug)]
pub(super) struct Levels {
    /// `[B, d]` each: the latent rows, then what each active level leaves of them.
    residuals: Vec<Tensor>,
    /// `[B]` each, of the active levels.
    pub(super) codes: Vec<Tensor>,
}

impl Levels {
    /// Quantises `latents`, level by level.
    ///
    /// ```text
    /// code = argmin_k ‖c_k‖² - 2 r·c_k   or the balanced assignment where the level has one
    /// r[l + 1] = r[l] - c[l, code]
    /// ```
    ///
    /// # Shapes
    /// - `latents`: `[B, d]`; `codebooks`: `[K, d]` each, the active levels; `scores`: memory for
    ///   at least `B K` values
    pub(super) fn quantise(
        latents: &Tensor,
        codebooks: &[Tensor],
        settings: &Settings,
        scores: &Tensor,
    ) -> Result<Self, QuantizerError> {
        let mut residuals = vec![latents.shallow_clone()];
        let mut codes = Vec::with_capacity(codebooks.len());
        for (level, codebook) in codebooks.iter().enumerate() {
            let residual = &residuals[level];
            let norms = codebook.f_square()?.f_sum_dim_intlist(1, false, Kind::Float)?; // [K]
            let (rows, size) = (latents.size()[0], codebook.size()[0]);
            let scores = scores.f_narrow(0, 0, rows * size)?.f_view([rows, size])?; // [B, K]
            let doubled = codebook.f_mul_scalar(-2.0)?.f_tr()?;
            let _ = norms.f_addmm_out(&scores, residual, &doubled)?;
            let code = match settings.sinkhorn_epsilon(level) {
                None => scores.f_min_dim(1, false)?.1, // [B]
                Some(epsilon) => {
                    let own = residual.f_square()?.f_sum_dim_intlist(1, true, Kind::Float)?;
                    balanced_codes(&scores.f_add(&own)?, epsilon, settings.sinkhorn_iterations)?
                }
            };
            let left = residual.f_sub(&codebook.f_index_select(0, &code)?)?; // [B, d]
            residuals.push(left);
            codes.push(code);
        }
        Ok(Self { residuals, codes })
    }

    /// The sum of the chosen codes, `[B, d]`.
    pub(super) fn quantised(&self) -> Result<Tensor, QuantizerError> {
        Ok(self.residuals[0].f_sub(&self.residuals[self.residuals.len() - 1])?)
    }

    /// The residuals that a level quantises, `[B, d]`.
    pub(super) fn residual(&self, level: usize) -> &Tensor {
        &self.residuals[level]
    }

    /// The residuals after each level, `[B, d]` each.
    fn left(&self) -> &[Tensor] {
        &self.residuals[1..]
    }

    /// `Σ_l mean(r[l + 1]²)` over rows and columns: the codebook term, and without its `β` the
    /// commitment term.
    pub(super) fn error(&self) -> Result<Tensor, QuantizerError> {
        let mut sum = Tensor::f_zeros([], (Kind::Float, self.residuals[0].device()))?;
        for left in self.left() {
            sum += left.f_square()?.f_mean(Kind::Float)?;
        }
        Ok(sum)
    }

    /// Adds the commitment's gradient to `latent_gradient` and writes the codebooks' gradients.
    ///
    /// ```text
    /// w (Σ_l mean(‖sg[r_l] - c‖²) + β mean(‖r_l - sg[c]‖²)),  r[l + 1] = r[l] - sg[c]
    /// d/dz = 2 w β / (B d) Σ_l r[l + 1]        d/dc_k = -2 w / (B d) Σ_(b: code = k) r[l + 1, b]
    /// ```
    pub(super) fn backward(
        &self,
        settings: &Settings,
        latent_gradient: &mut Tensor,
        codebook_gradients: &[Tensor],
    ) -> Result<(), QuantizerError> {
        let per_value = 2.0 * settings.quantisation_weight / self.residuals[0].numel() as f64;
        for ((left, code), gradient) in self.left().iter().zip(&self.codes).zip(codebook_gradients)
        {
            let _ = latent_gradient.f_add_(&left.f_mul_scalar(per_value * settings.beta)?)?;
            let sums =
                Tensor::f_embedding_dense_backward(left, code, gradient.size()[0], -1, false)?;
            let _ = sums.f_mul_out(gradient, &Tensor::from(-per_value))?;
        }
        Ok(())
    }
}

/// Which codes some row had since the last revival, `[K]` of 0 or 1 for each level.
#[derive(Debug)]
pub(super) struct Usage(pub(super) Vec<Tensor>);

impl Usage {
    pub(super) fn new(sizes: &[i64], device: Device) -> Result<Self, QuantizerError> {
        let flags = |size: &i64| Ok(Tensor::f_zeros([*size], (Kind::Float, device))?);
        Ok(Self(sizes.iter().map(flags).collect::<Result<_, QuantizerError>>()?))
    }

    pub(super) fn record(&mut self, levels: &Levels) -> Result<(), QuantizerError> {
        for (used, code) in self.0.iter_mut().zip(&levels.codes) {
            let _ = used.f_index_fill_(0, code, 1.0)?;
        }
        Ok(())
    }

    /// The codes of a level that no row had, ascending.
    pub(super) fn dead(&self, level: usize) -> Result<Vec<i64>, QuantizerError> {
        let used = Vec::<f32>::try_from(&self.0[level])?;
        Ok((0..).zip(used).filter(|(_, used)| *used < 0.5).map(|(code, _)| code).collect())
    }

    pub(super) fn forget(&mut self) {
        for used in &mut self.0 {
            let _ = used.zero_();
        }
    }
}
