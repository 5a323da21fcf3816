//! Codes by spectral clusters of the items that the same users chose.

use sidereal_data::{ItemId, TrainSet};
use sidereal_quantizer::{QualityReport, SpectralParams};
use sidereal_sid::Catalog;
use sidereal_train::Observer;

use crate::error::LabError;

/// A separate Semantic ID for every item, and the quality of the codes.
pub(crate) fn ids(
    params: &SpectralParams,
    num_items: usize,
    train: &TrainSet,
    observer: &mut dyn Observer,
) -> Result<(Catalog, QualityReport), LabError> {
    observer.on_progress("quantize", "trees", 0, 1);
    let events: Vec<&[ItemId]> = train.sequences().map(|sequence| sequence.events).collect();
    let model = params.fit(num_items, &events)?;
    observer.on_progress("quantize", "trees", 1, 1);
    if model.num_crowded() > 0 {
        tracing::warn!(
            items = model.num_crowded(),
            largest = params.largest,
            "items in clusters that are larger than wanted: give `codebook_sizes` more numbers, or raise \
             `spectral.regulariser`"
        );
    }
    let catalog = model.catalog()?;
    let quality = QualityReport::from_catalog(&catalog);
    Ok((catalog, quality))
}
