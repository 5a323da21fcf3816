//! NDCG@10 by exact scores.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Placement, ndcg};
use sidereal_policy::{ItemPolicy, PolicyError};

use super::data::Followed;
use crate::TrainError;

/// NDCG@10 over held-out events, item level, all items ranked by exact scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExactNdcg {
    /// With the items that a user has seen in the ranking.
    pub kept: f64,
    /// Without them; a target that was seen stays.
    pub removed: f64,
    /// Events.
    pub num_users: usize,
}

/// Events that are scored together.
const AT_ONCE: usize = 512;

/// NDCG@10 of the exact ranking of a policy; the expectation if scores are equal. NaN if the score
/// of a target is NaN.
///
/// # Errors
/// [`TrainError::NoSamples`] without events; [`TrainError::Policy`] for unknown items and empty histories.
pub fn exact_ndcg<'f>(
    policy: &ItemPolicy,
    events: impl IntoIterator<Item = &'f Followed>,
) -> Result<ExactNdcg, TrainError> {
    const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
    let _guard = tch::no_grad_guard();
    let mut events: Vec<&Followed> = events.into_iter().collect();
    if events.is_empty() {
        return Err(TrainError::NoSamples { what: "an exact ranking" });
    }
    // Of similar length together.
    events.sort_by_key(|event| event.seen.len());
    let all = policy.scorer()?;
    let (mut kept, mut removed, mut scores) = (0.0, 0.0, Vec::new());
    for batch in events.chunks(AT_ONCE) {
        let histories: Vec<Vec<u32>> =
            batch.iter().map(|event| event.seen.iter().map(|item| item.0).collect()).collect();
        all.values(&all.states(&histories)?, &mut scores)?; // [U, N]
        for (event, scores) in batch.iter().zip(scores.chunks_exact_mut(policy.num_items())) {
            let target = event.target.index();
            let unknown = || PolicyError::UnknownItem { item: event.target };
            let own = *scores.get(target).ok_or_else(unknown)?;
            let gain = |scores: &[f32]| {
                let placement = Placement::from_scores(scores, target);
                placement.map_or(f64::NAN, |placement| ndcg(placement, TEN))
            };
            // A score that is NaN has no place in a ranking.
            let lost = if own.is_nan() { f64::NAN } else { 0.0 };
            kept += gain(scores) + lost;
            for item in event.seen.iter().filter(|item| **item != event.target) {
                scores[item.index()] = f32::NEG_INFINITY;
            }
            removed += gain(scores) + lost;
        }
    }
    let count = events.len() as f64;
    Ok(ExactNdcg { kept: kept / count, removed: removed / count, num_users: events.len() })
}
