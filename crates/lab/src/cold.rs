//! The items that training has hardly seen.

use sidereal_data::{Dataset, TrainSet};
use sidereal_metrics::ColdItems;

use crate::error::LabError;
use crate::seed::{Purpose, stream};

/// Share of items that count as cold (SAGE 4.1.3).
const COLD_SHARE: f64 = 0.05;

/// The items of lowest training frequency, ties by seed: the same for all systems and all validations of a run.
pub(crate) fn cold_items(
    dataset: &Dataset,
    train: &TrainSet,
    seed: u64,
) -> Result<ColdItems, LabError> {
    let mut frequency = vec![0; dataset.num_items()];
    for item in train.sequences().flat_map(|sequence| sequence.events) {
        frequency[item.index()] += 1;
    }
    let mut rng = stream(seed, Purpose::ColdItems, 0);
    Ok(ColdItems::least_frequent(&frequency, COLD_SHARE, &mut rng)?)
}
