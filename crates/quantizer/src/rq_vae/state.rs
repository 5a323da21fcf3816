//! All that a training changes, and all that its checkpoint holds.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::adamw::AdamW;
use super::evaluation::RqVaeLosses;
use super::layout::{Layout, Parameters};
use super::levels::Usage;
use super::params::Settings;
use super::start::fill_weights;
use super::step::TERMS;
use crate::QuantizerError;

/// Tensors and counters of a training.
#[derive(Debug)]
pub(super) struct State {
    pub(super) progress: Progress,
    pub(super) parameters: Parameters,
    pub(super) optimiser: AdamW,
    pub(super) usage: Usage,
    /// The parameters at the best evaluation; used with early stopping only.
    pub(super) best: Option<Tensor>,
    /// Sums of the loss's terms and the gradient's norm since the last evaluation, in `f64`.
    /// Not in the checkpoint, which is written right after an evaluation.
    sums: Tensor,
}

/// The counters among a training's state. The order of the rows and every random draw follow from
/// `step`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Steps so far.
    pub(super) step: usize,
    /// Codebooks that have had their first centroids.
    pub(super) initialised_levels: usize,
    /// The step from which the codes' usage is counted.
    pub(super) usage_since: usize,
    /// The cluster of each code of each level; empty without a diversity term.
    pub(super) clusters: Vec<Vec<u16>>,
    /// Lowest value of the metric that early stopping watches.
    pub(super) best_value: Option<f64>,
    /// Evaluations since then.
    pub(super) stale: usize,
    /// Whether early stopping has ended the training.
    pub(super) stopped: bool,
}

impl State {
    /// The state before the first step.
    pub(super) fn new(layout: &Layout, seed: u64, device: Device) -> Result<Self, QuantizerError> {
        let mut parameters = Parameters::zeros(layout, device)?;
        fill_weights(&mut parameters, layout, seed)?;
        Ok(Self {
            progress: Progress::default(),
            optimiser: AdamW::new(parameters.flat.size()[0], device)?,
            usage: Usage::new(&layout.codebook_sizes, device)?,
            best: None,
            sums: Tensor::f_zeros([TERMS + 1], (Kind::Double, device))?,
            parameters,
        })
    }

    /// Adds one step's terms `[4]` and gradient norm `[]` to the running sums.
    pub(super) fn record(&mut self, terms: &Tensor, norm: &Tensor) -> Result<(), QuantizerError> {
        let step = Tensor::f_cat(&[terms, &norm.f_unsqueeze(0)?], 0)?;
        let _ = self.sums.f_add_(&step)?;
        Ok(())
    }

    /// Means over `steps`, whose sums are then forgotten.
    pub(super) fn take_losses(
        &mut self,
        settings: &Settings,
        steps: usize,
    ) -> Result<RqVaeLosses, QuantizerError> {
        let mut mean = [0.0; 5];
        for (mean, sum) in mean.iter_mut().zip(Vec::<f64>::try_from(&self.sums)?) {
            *mean = sum / steps as f64;
        }
        let _ = self.sums.zero_();
        let [reconstruction, quantisation, alignment, diversity, gradient_norm] = mean;
        let total = reconstruction
            + settings.quantisation_weight * (1.0 + settings.beta) * quantisation
            + settings.alignment_weight * alignment
            + settings.diversity_weight * diversity;
        Ok(RqVaeLosses { reconstruction, quantisation, alignment, diversity, total, gradient_norm })
    }
}
