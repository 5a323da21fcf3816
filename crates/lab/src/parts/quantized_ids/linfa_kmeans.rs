//! Codes by linfa's k-means, level by level.

use ndarray::Array2;
use sidereal_quantizer::{LinfaKMeansParams, QuantizerConfig};
use sidereal_train::Observer;

use super::quantized::Quantized;
use super::rq_kmeans::CODEBOOKS;
use crate::error::LabError;
use crate::run::part::Folder;

/// Makes codes of these vectors and writes the codebooks. There is no progress within a fit.
pub(crate) fn codes(
    params: LinfaKMeansParams,
    vectors: Array2<f32>,
    folder: &Folder,
    observer: &mut dyn Observer,
) -> Result<Quantized, LabError> {
    observer.on_progress("quantize", "fits", 0, 1);
    let fitted = QuantizerConfig::LinfaKmeans(params).fit(vectors.view())?;
    observer.on_progress("quantize", "fits", 1, 1);
    fitted.codebooks.save(&folder.path(CODEBOOKS))?;
    Ok(Quantized { codebooks: fitted.codebooks, rows: vectors, codes: fitted.codes })
}
