//! Several policies and a prior over the items that rank together.

pub(crate) mod files;
pub(crate) mod prior;
pub(crate) mod served;
pub(crate) mod store;
pub(crate) mod weights;

use sidereal_baselines::Prior;
use sidereal_data::ItemId;
use sidereal_train::ItemScores;

use crate::error::LabError;

/// The score of every item after a history, `[N]`, in nats and not normalised.
///
/// ```text
/// score(item) = mean over policies of log p(item) + log prior(item)      −∞ for the items of `removed`
/// ```
///
/// # Shapes
/// - `log_probs`: `[N]` of each policy
pub(crate) fn scores<'l>(
    prior: &Prior<'_>,
    history: &[ItemId],
    log_probs: impl ExactSizeIterator<Item = &'l [f32]>,
    removed: impl Iterator<Item = ItemId>,
) -> Result<Vec<f32>, LabError> {
    let mut sums = vec![0.0; prior.num_items()];
    prior.log_prior(history, &mut sums)?;
    let share = (log_probs.len() as f32).recip();
    for own in log_probs {
        sums.iter_mut().zip(own).for_each(|(sum, log)| *sum += share * log);
    }
    for item in removed {
        let unknown = LabError::UnknownItem { item };
        *sums.get_mut(item.index()).ok_or(unknown)? = f32::NEG_INFINITY;
    }
    Ok(sums)
}

/// The log-probabilities of all items, `[N]`: −∞ for those that were not scored.
pub(crate) fn of_all_items(scores: &ItemScores, num_items: usize) -> Vec<f32> {
    let mut all = vec![f32::NEG_INFINITY; num_items];
    for (item, score) in scores {
        all[item.index()] = *score;
    }
    all
}
