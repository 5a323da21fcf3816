//! A training: what it runs on, and its checks.

mod run;

use std::ops::ControlFlow;
use std::path::PathBuf;

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{ArrayBase, ArrayView2, Data, Ix2};
use run::Loop;
use sidereal_device::device;

use super::evaluation::{RqVaeEvaluation, RqVaeObserver};
use super::{RqVae, RqVaeValidParams};
use crate::QuantizerError;
use crate::rows::check;

/// A training of an [`RqVae`] on a matrix, with what settings cannot hold: collaborative
/// embeddings and a checkpoint file.
///
/// # Examples
/// ```no_run
/// use std::ops::ControlFlow;
///
/// use linfa::ParamGuard;
/// use ndarray::Array2;
/// use sidereal_quantizer::{RqVae, RqVaeEvaluation, RqVaeTraining};
///
/// # let embeddings = Array2::<f32>::zeros((3686, 384));
/// let params = RqVae::params([256, 256, 256], 7).device("auto").check()?;
/// let model = RqVaeTraining::new(&params, embeddings.view())
///     .checkpoint("rq_vae.checkpoint")
///     .run(&mut |evaluation: &RqVaeEvaluation| {
///         println!("{}: {}", evaluation.step, evaluation.quality.collision_rate);
///         ControlFlow::Continue(())
///     })?;
/// model.save("rq_vae".as_ref())?;
/// # Ok::<(), sidereal_quantizer::QuantizerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RqVaeTraining<'a> {
    params: RqVaeValidParams,
    rows: ArrayView2<'a, f32>,
    collaborative: Option<ArrayView2<'a, f32>>,
    checkpoint: Option<PathBuf>,
}

impl<'a> RqVaeTraining<'a> {
    /// A training on `rows` `[N, D]`.
    #[must_use]
    pub fn new(params: &RqVaeValidParams, rows: ArrayView2<'a, f32>) -> Self {
        Self { params: params.clone(), rows, collaborative: None, checkpoint: None }
    }

    /// Aligns the quantised rows with these embeddings of the same items, `[N, d]`, by the weight
    /// that the settings give.
    #[must_use]
    pub fn collaborative(mut self, embeddings: ArrayView2<'a, f32>) -> Self {
        self.collaborative = Some(embeddings);
        self
    }

    /// Keeps the whole state of the training in this file, written after each evaluation, whole or
    /// not at all, and continues from it if it exists: on a CPU with the same number of threads on
    /// the same curve, to the bit.
    #[must_use]
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Trains to the last step, or until early stopping ends it; then, with early stopping, the
    /// model of the best evaluation is the result, otherwise that of the last step.
    ///
    /// # Errors
    /// [`QuantizerError::EmptyMatrix`] and [`QuantizerError::NotFinite`] for the rows;
    /// [`QuantizerError::Batch`] for fewer of them than a batch has; [`QuantizerError::Alignment`],
    /// [`QuantizerError::Rows`] and [`QuantizerError::Width`] for collaborative embeddings that do
    /// not fit; [`QuantizerError::Device`]; [`QuantizerError::Diverged`];
    /// [`QuantizerError::Paused`]; [`QuantizerError::OtherRun`] and those of reading and writing
    /// a file for the checkpoint.
    pub fn run(self, observer: &mut impl RqVaeObserver) -> Result<RqVae, QuantizerError> {
        self.check()?;
        let device = device(&self.params.settings().device)?;
        let _guard = tch::no_grad_guard();
        Loop::new(&self, device)?.run(observer)
    }

    fn check(&self) -> Result<(), QuantizerError> {
        let settings = self.params.settings();
        check(&self.rows)?;
        let (rows, batch_size) = (self.rows.nrows(), settings.batch_size);
        if rows < batch_size {
            return Err(QuantizerError::Batch { batch_size, rows });
        }
        let (weight, given) = (settings.alignment_weight, self.collaborative.is_some());
        if given != (weight > 0.0) {
            return Err(QuantizerError::Alignment { weight, given });
        }
        if let Some(collaborative) = &self.collaborative {
            check(collaborative)?;
            let (found, expected) = (collaborative.nrows(), rows);
            if found != expected {
                return Err(QuantizerError::Rows { found, expected });
            }
            let (found, expected) = (collaborative.ncols(), settings.latent);
            if found != expected {
                return Err(QuantizerError::Width { found, expected });
            }
        }
        Ok(())
    }
}

impl RqVaeValidParams {
    /// Trains on `rows` `[N, D]` and reports each evaluation to `observer`.
    ///
    /// # Errors
    /// Those of [`RqVaeTraining::run`].
    pub fn fit_observed(
        &self,
        rows: ArrayView2<'_, f32>,
        observer: &mut impl RqVaeObserver,
    ) -> Result<RqVae, QuantizerError> {
        RqVaeTraining::new(self, rows).run(observer)
    }
}

impl<D: Data<Elem = f32>, T> Fit<ArrayBase<D, Ix2>, T, QuantizerError> for RqVaeValidParams {
    type Object = RqVae;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<RqVae, QuantizerError> {
        let mut silent = |_: &RqVaeEvaluation| ControlFlow::Continue(());
        self.fit_observed(dataset.records().view(), &mut silent)
    }
}
