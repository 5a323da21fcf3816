//! Codes by residual k-means.

use std::ops::ControlFlow;

use linfa::ParamGuard as _;
use ndarray::Array2;
use sidereal_quantizer::{FitStep, RqKMeansParams};
use sidereal_train::Observer;

use super::quantized::Quantized;
use crate::error::LabError;
use crate::run::part::Folder;

/// The folder of the codebooks within the run's folder.
pub(crate) const CODEBOOKS: &str = "codebooks";
/// The files of the codebooks.
pub(crate) const FILES: [&str; 2] = ["codebooks/codebooks.safetensors", "codebooks/codebooks.json"];

/// Makes codes of these vectors and writes the codebooks.
pub(crate) fn codes(
    params: RqKMeansParams,
    vectors: Array2<f32>,
    folder: &Folder,
    observer: &mut dyn Observer,
) -> Result<Quantized, LabError> {
    let params = params.check()?;
    let iterations = params.max_iterations();
    let per_level = iterations * params.restarts();
    let total = per_level * params.codebook_sizes().len();
    let model = params.fit_observed(vectors.view(), &mut |step: &FitStep| {
        let done = step.level * per_level + step.restart * iterations + step.iteration;
        observer.on_progress("quantize", "iterations", done.min(total - 1), total);
        ControlFlow::Continue(())
    })?;
    observer.on_progress("quantize", "iterations", total, total);
    model.codebooks().save(&folder.path(CODEBOOKS))?;
    let (codebooks, codes) = (model.codebooks().clone(), model.codes().clone());
    Ok(Quantized { codebooks, rows: vectors, codes })
}
