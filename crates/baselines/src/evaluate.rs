//! The rank of every target among all items.

use std::fmt::Display;

use rayon::prelude::*;
use sidereal_data::{Sample, SampleId};
use sidereal_metrics::{Placement, RankingRun, SeenItems};
use sidereal_sid::ItemId;

use crate::recommender::remove;
use crate::{BaselineError, Recommender};

/// One prediction to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<'a, S> {
    /// Identity, by which runs of several systems are paired.
    pub sample: S,
    /// What the recommender may see, earliest first.
    pub history: &'a [ItemId],
    /// What [`SeenItems::Removed`] takes out of the ranking: all of the user's earlier items.
    pub seen: &'a [ItemId],
    /// The item that the user chose.
    pub target: ItemId,
}

impl<'a> From<Sample<'a>> for Case<'a, SampleId> {
    fn from(sample: Sample<'a>) -> Self {
        let Sample { id, history, seen, target, .. } = sample;
        Self { sample: id, history, seen, target }
    }
}

/// The place of each case's target among all items, computed on all cores.
///
/// Equal scores are not ordered: the placement is [`Placement::Tied`], and metrics are expected
/// values over the random order. A target that is itself among the removed items is
/// [`Placement::Absent`].
///
/// # Errors
/// [`BaselineError::Item`] for an unknown item, [`BaselineError::Metric`] if a sample occurs
/// twice, and those of [`Recommender::score`].
pub fn evaluate<R, S>(
    recommender: &R,
    cases: &[Case<'_, S>],
    seen_items: SeenItems,
) -> Result<RankingRun<S>, BaselineError>
where
    R: Recommender + ?Sized,
    S: Clone + Ord + Display + Sync,
{
    let num_items = recommender.num_items();
    let together = recommender.scored_together().max(1);
    let placements: Vec<Vec<Placement>> = cases
        .par_chunks(together)
        .map_init(
            || vec![0.0; together * num_items],
            |scores, cases| {
                let histories: Vec<&[ItemId]> = cases.iter().map(|case| case.history).collect();
                let scores = &mut scores[..cases.len() * num_items];
                recommender.score_all(&histories, scores)?;
                let rows = scores.par_chunks_exact_mut(num_items.max(1));
                cases.par_iter().zip(rows).map(|(case, row)| place(case, row, seen_items)).collect()
            },
        )
        .collect::<Result<_, BaselineError>>()?;
    let mut run = RankingRun::new();
    for (case, placement) in cases.iter().zip(placements.into_iter().flatten()) {
        run.push(case.sample.clone(), placement)?;
    }
    Ok(run)
}

/// The place of a case's target by the scores of all items.
fn place<S>(
    case: &Case<'_, S>,
    scores: &mut [f32],
    seen_items: SeenItems,
) -> Result<Placement, BaselineError> {
    let num_items = scores.len();
    if seen_items == SeenItems::Removed {
        remove(case.seen, scores)?;
    }
    Placement::from_scores(scores, case.target.index())
        .ok_or(BaselineError::Item { item: case.target, num_items })
}
