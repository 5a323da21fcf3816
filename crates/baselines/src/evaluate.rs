//! The rank of every target among all items.

use std::fmt::Display;

use rayon::prelude::*;
use sidereal_data::{Sample, SampleId};
use sidereal_metrics::{Placement, RankingRun, SeenItems};
use sidereal_sid::ItemId;

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
    let placements: Vec<Placement> = cases
        .par_iter()
        .map_init(
            || vec![0.0; num_items],
            |scores, case| {
                let removed = match seen_items {
                    SeenItems::Kept => &[],
                    SeenItems::Removed => case.seen,
                };
                recommender.place(case.history, removed, case.target, scores)
            },
        )
        .collect::<Result<_, _>>()?;
    let mut run = RankingRun::new();
    for (case, placement) in cases.iter().zip(placements) {
        run.push(case.sample.clone(), placement)?;
    }
    Ok(run)
}
