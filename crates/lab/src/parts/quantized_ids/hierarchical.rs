//! Codes by hierarchical k-means, from transitions and texts.

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use sidereal_baselines::{
    PrincipalComponents, TransitionSvd, TransitionSvdConfig, TransitionVectors, VectorError,
};
use sidereal_data::{ItemId, TrainSet};
use sidereal_quantizer::QualityReport;
use sidereal_sid::Catalog;
use sidereal_train::Observer;

use crate::error::LabError;
use crate::recipe::hierarchical::HierarchicalConfig;

/// The input of hierarchical k-means.
pub(crate) struct Source<'a> {
    pub(crate) codebook_sizes: &'a [usize],
    /// Sentence vectors, `[N, D]`.
    pub(crate) text: ArrayView2<'a, f32>,
    pub(crate) train: &'a TrainSet,
    pub(crate) seed: u64,
}

/// A separate Semantic ID for every item, and the quality of the codes.
pub(crate) fn ids(
    config: &HierarchicalConfig,
    source: &Source<'_>,
    observer: &mut dyn Observer,
) -> Result<(Catalog, QualityReport), LabError> {
    let total = source.codebook_sizes.len() + 1;
    observer.on_progress("quantize", "levels", 0, total);
    let vectors = joined(config, source)?;
    observer.on_progress("quantize", "levels", 1, total);
    let params = config.params(source.codebook_sizes, vectors.nrows(), source.seed);
    let catalog = params.fit(vectors.view())?.catalog()?;
    observer.on_progress("quantize", "levels", total, total);
    let quality = QualityReport::from_catalog(&catalog);
    Ok((catalog, quality))
}

/// The vectors of the items, with all parts joined.
fn joined(config: &HierarchicalConfig, source: &Source<'_>) -> Result<Array2<f32>, LabError> {
    let num_items = source.text.nrows();
    let mut parts = Vec::new();
    if config.transitions > 0.0 {
        let events: Vec<&[ItemId]> = source.train.sequences().map(|s| s.events).collect();
        let dimensions = config.transition_dimensions.min(num_items);
        let settings = TransitionSvdConfig::new(source.seed).with_dimensions(dimensions);
        let vectors =
            TransitionVectors::fit(&TransitionSvd::try_from(settings)?, num_items, &events)?;
        parts.push(of_length(vectors.into_vectors(), config.transitions));
    }
    if config.text > 0.0 {
        let dimensions = config.text_dimensions.min(source.text.ncols());
        let components = PrincipalComponents::fit(source.text, dimensions)?;
        parts.push(of_length(components.project(source.text)?, config.text));
    }
    let parts: Vec<ArrayView2<'_, f32>> = parts.iter().map(Array2::view).collect();
    Ok(concatenate(Axis(1), &parts).map_err(VectorError::from)?)
}

/// Rows of this length; a row of zeros stays.
fn of_length(mut rows: Array2<f32>, length: f32) -> Array2<f32> {
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|value| value * length / norm);
        }
    }
    rows
}
