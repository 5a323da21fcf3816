//! What an observer of a training sees.

use std::ops::ControlFlow;

use ndarray::ArrayView2;

use super::layout::Parameters;
use super::{convert, through};
use crate::{Codebooks, QualityReport, QuantizerError};

/// Means of the loss's terms over the steps since the last evaluation, unweighted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RqVaeLosses {
    /// `mean((x̂ - x)²)` over rows and columns.
    pub reconstruction: f64,
    /// `Σ_l mean((r - e)²)` over rows and latent columns; the commitment is `β` times it.
    pub quantisation: f64,
    /// Alignment with the collaborative embeddings, in nats; 0 without.
    pub alignment: f64,
    /// Diversity of the codes, summed over levels, in nats; 0 without.
    pub diversity: f64,
    /// The loss: all of these by their weights.
    pub total: f64,
    /// Euclidean norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// The state of a training, on all rows with the nearest codes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RqVaeEvaluation {
    /// Steps so far.
    pub step: usize,
    /// Means since the last evaluation.
    pub losses: RqVaeLosses,
    /// `mean((x̂ - x)²)` over all rows and columns.
    pub reconstruction: f64,
    /// Usage and perplexity of each level that takes part, collisions.
    pub quality: QualityReport,
    /// Dead codes that were revived since the last evaluation.
    pub revived: usize,
    /// Whether the metric of early stopping is at its best; `false` without.
    pub best: bool,
    /// Steps a second since the last evaluation or the start of this process; evaluations, first
    /// codebooks and checkpoints are not counted.
    pub steps_per_second: f64,
}

/// Watches a training and may end it. Every `FnMut(&RqVaeEvaluation) -> ControlFlow<()>` is one.
pub trait RqVaeObserver {
    /// Called after each evaluation; `Break` ends the training with [`QuantizerError::Paused`],
    /// after its checkpoint was written.
    fn on_evaluation(&mut self, evaluation: &RqVaeEvaluation) -> ControlFlow<()>;
}

impl<F: FnMut(&RqVaeEvaluation) -> ControlFlow<()>> RqVaeObserver for F {
    fn on_evaluation(&mut self, evaluation: &RqVaeEvaluation) -> ControlFlow<()> {
        self(evaluation)
    }
}

/// Quality of the codes of all rows, and the mean squared error of the decoded ones.
pub(super) fn evaluate(
    parameters: &Parameters,
    levels: usize,
    rows: &ArrayView2<'_, f32>,
) -> Result<(QualityReport, f64), QuantizerError> {
    let device = parameters.flat.device();
    let codebooks = first_codebooks(parameters, levels)?;
    let latents = through(&parameters.encoder, rows.view(), device)?;
    let codes = codebooks.encode(latents.view())?;
    let quality = QualityReport::from_codes(codes.view(), &codebooks.sizes())?;
    let decoded = through(&parameters.decoder, codebooks.decode(codes.view())?.view(), device)?;
    let squares: f64 =
        decoded.iter().zip(rows.iter()).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum();
    Ok((quality, squares / rows.len() as f64))
}

/// The codebooks of the first levels.
pub(super) fn first_codebooks(
    parameters: &Parameters,
    levels: usize,
) -> Result<Codebooks, QuantizerError> {
    let tables = parameters.codebooks.iter().take(levels).map(convert::to_array);
    Codebooks::new(tables.collect::<Result<_, _>>()?)
}
