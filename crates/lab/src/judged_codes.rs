//! How well Semantic IDs say which item follows, before anything is trained on them.

use sidereal_data::{ItemId, TrainSet};
use sidereal_quantizer::{JudgedCodes, Prediction, QualityReport, QuantizerError};
use sidereal_sid::Catalog;

use crate::error::LabError;

/// The report with how well the codes of one item say which item follows: counted on all training events but
/// the latest of each user, and judged on the latest ones. No validation or test event takes part.
///
/// `codes` says which codes `catalog` has: those of the report, or others that were made without the latest
/// events. Where the training events have no pair to count or to judge, the report stays as it is, and the log
/// says so.
///
/// # Errors
/// Those of [`Prediction::measure`].
pub fn judged(
    quality: QualityReport,
    catalog: &Catalog,
    train: &TrainSet,
    codes: JudgedCodes,
) -> Result<QualityReport, LabError> {
    let earlier = train.without_latest();
    let events: Vec<&[ItemId]> = earlier.sequences().map(|sequence| sequence.events).collect();
    let latest: Vec<(ItemId, ItemId)> = train.latest_pairs().collect();
    match Prediction::measure(catalog, &events, &latest) {
        Ok(measured) => Ok(quality.with_prediction(measured, codes)),
        Err(QuantizerError::NoPairs { what }) => {
            tracing::warn!(
                "codes are not judged by what follows: there is no {what} pair of events"
            );
            Ok(quality)
        }
        Err(other) => Err(other.into()),
    }
}
