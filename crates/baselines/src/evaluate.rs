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
    if recommender.scored_together() > 1 {
        let placements = placements_together(recommender, cases, seen_items)?;
        return run_of(cases, placements);
    }
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
    run_of(cases, placements)
}

/// The run of cases with their placements.
fn run_of<S: Clone + Ord + Display>(
    cases: &[Case<'_, S>],
    placements: Vec<Placement>,
) -> Result<RankingRun<S>, BaselineError> {
    let mut run = RankingRun::new();
    for (case, placement) in cases.iter().zip(placements) {
        run.push(case.sample.clone(), placement)?;
    }
    Ok(run)
}

/// The placements of cases whose users are scored in batches.
fn placements_together<R: Recommender + ?Sized, S: Sync>(
    recommender: &R,
    cases: &[Case<'_, S>],
    seen_items: SeenItems,
) -> Result<Vec<Placement>, BaselineError> {
    let num_items = recommender.num_items();
    // Histories of similar length are scored together, so that little is filled up.
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|at| cases[*at].history.len());
    let mut placements = vec![Placement::Absent; cases.len()];
    let mut scores = Vec::new();
    for batch in order.chunks(recommender.scored_together()) {
        let histories: Vec<&[ItemId]> = batch.iter().map(|at| cases[*at].history).collect();
        scores.resize(batch.len() * num_items, 0.0);
        recommender.score_all(&histories, &mut scores)?;
        let place = |(at, scores): (&usize, &mut [f32])| {
            let case = &cases[*at];
            if seen_items == SeenItems::Removed {
                remove(case.seen, scores)?;
            }
            Placement::from_scores(scores, case.target.index())
                .ok_or(BaselineError::Item { item: case.target, num_items })
        };
        let rows = scores.par_chunks_exact_mut(num_items.max(1));
        let found: Vec<Placement> =
            batch.par_iter().zip(rows).map(place).collect::<Result<_, BaselineError>>()?;
        for (at, found) in batch.iter().zip(found) {
            placements[*at] = found;
        }
    }
    Ok(placements)
}
