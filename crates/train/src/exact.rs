//! Rankings by exact scores of all items.

use std::collections::BTreeSet;

use sidereal_data::{ItemId, SampleId};
use sidereal_policy::ItemPolicy;

use crate::TrainError;
use crate::observe::Observer;
use crate::ranking::Ranking;

/// A user as exact scores rank items for: who, after what, and what was chosen.
#[derive(Debug, Clone, Copy)]
pub struct ExactCase<'a> {
    /// Identity of the sample.
    pub id: SampleId,
    /// Items before the target, earliest first; policies read the latest ones.
    pub history: &'a [ItemId],
    /// The items of the user's whole history.
    pub seen: &'a [ItemId],
    /// The item that the user chose.
    pub target: ItemId,
}

/// Users that are scored together.
const AT_ONCE: usize = 256;

/// What [`score_exactly`] hands on: users, those of similar history length together, and the
/// log-probabilities `[policies, users · N]` that each policy gives all items after each history.
pub type ScoredBatch<'b, 'c> = (&'b [usize], &'b [ExactCase<'c>], &'b [Vec<f32>]);

/// Scores all items for every user by each of some policies over the same items, batch by batch, and hands
/// each batch to `take` with the places of its users among `cases`.
///
/// # Errors
/// [`TrainError::NoSamples`] without cases or policies; [`TrainError::Policy`] for an empty history or an
/// unknown item; those of `take`.
pub fn score_exactly<'c, E: From<TrainError>>(
    policies: &[&ItemPolicy],
    cases: &[ExactCase<'c>],
    job: &str,
    observer: &mut dyn Observer,
    mut take: impl FnMut(ScoredBatch<'_, 'c>) -> Result<(), E>,
) -> Result<(), E> {
    if cases.is_empty() || policies.is_empty() {
        return Err(TrainError::NoSamples { what: "an exact ranking" }.into());
    }
    let _guard = tch::no_grad_guard();
    let by_policy = policies
        .iter()
        .map(|policy| policy.scorer())
        .collect::<Result<Vec<_>, _>>()
        .map_err(TrainError::from)?;
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|place| cases[*place].history.len());
    let mut scores = vec![Vec::new(); policies.len()];
    let mut done = 0;
    for places in order.chunks(AT_ONCE) {
        let batch: Vec<ExactCase<'c>> = places.iter().map(|place| cases[*place]).collect();
        let histories: Vec<Vec<u32>> =
            batch.iter().map(|case| case.history.iter().map(|item| item.0).collect()).collect();
        for (of, scores) in by_policy.iter().zip(&mut scores) {
            let states = of.states(&histories).map_err(TrainError::from)?;
            of.values(&states, scores).map_err(TrainError::from)?;
        }
        take((places, &batch, &scores))?;
        done += places.len();
        observer.on_progress(job, "users", done, cases.len());
    }
    Ok(())
}

/// The best `count` items of every user by exact log-probabilities, and so many more as the user has seen,
/// so that `count` are left without those.
///
/// # Errors
/// Those of [`score_exactly`].
pub fn rank_exactly(
    policy: &ItemPolicy,
    cases: &[ExactCase<'_>],
    count: usize,
    job: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    let num_items = policy.num_items();
    let mut rankings: Vec<Option<Ranking>> = cases.iter().map(|_| None).collect();
    score_exactly(&[policy], cases, job, observer, |(places, batch, scores)| {
        for ((place, case), scores) in
            places.iter().zip(batch).zip(scores[0].chunks_exact(num_items))
        {
            let seen = case.seen.iter().collect::<BTreeSet<_>>().len();
            rankings[*place] = Some(best(case, scores, count + seen));
        }
        Ok::<_, TrainError>(())
    })?;
    Ok(rankings.into_iter().flatten().collect())
}

/// The best `count` of these scores `[N]`, best first, as a ranking; −∞ is never among them. Equal scores
/// stand together, as those of items that share a Semantic ID.
#[must_use]
pub fn best(case: &ExactCase<'_>, scores: &[f32], count: usize) -> Ranking {
    let mut order: Vec<u32> = (0..).take(scores.len()).collect();
    order.retain(|item| scores[*item as usize] > f32::NEG_INFINITY);
    let better =
        |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    let count = count.min(order.len());
    if count < order.len() && count > 0 {
        order.select_nth_unstable_by(count - 1, better);
        order.truncate(count);
    }
    order.truncate(count);
    order.sort_unstable_by(better);
    let (mut found, mut values): (Vec<Vec<ItemId>>, Vec<f32>) = (Vec::new(), Vec::new());
    for item in order {
        let score = scores[item as usize];
        match (found.last_mut(), values.last()) {
            (Some(items), Some(last)) if last.total_cmp(&score).is_eq() => {
                items.push(ItemId(item));
            }
            _ => {
                found.push(vec![ItemId(item)]);
                values.push(score);
            }
        }
    }
    Ranking { id: case.id, target: case.target, found, scores: values }
}

#[cfg(test)]
mod tests {
    use sidereal_data::UserId;

    use super::*;

    #[test]
    fn the_best_come_first_equal_ones_together_and_infinity_never() {
        let case = ExactCase {
            id: SampleId::Event { user: UserId(0), position: 1 },
            history: &[],
            seen: &[],
            target: ItemId(1),
        };
        let scores = [0.5, f32::NEG_INFINITY, 2.0, 0.5, 1.0];
        let all = best(&case, &scores, 9);
        let ids = |items: &[u32]| items.iter().copied().map(ItemId).collect::<Vec<_>>();
        assert_eq!(all.found, [ids(&[2]), ids(&[4]), ids(&[0, 3])]);
        assert_eq!(all.scores, [2.0, 1.0, 0.5]);
        assert_eq!(best(&case, &scores, 2).found, [ids(&[2]), ids(&[4])]);
        assert!(best(&case, &scores, 0).found.is_empty());
    }
}
