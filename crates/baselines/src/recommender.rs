//! The trait of all baselines, and lists of recommendations.

use rand::seq::SliceRandom as _;
use rand_core::RngCore;
use sidereal_metrics::Placement;
use sidereal_sid::ItemId;

use crate::BaselineError;

/// A system that scores every item of the catalogue after a history; implement it for a recommender
/// of your own.
///
/// [`evaluate`](crate::evaluate()) ranks all of them under the same rules. [`fingerprint`] tells
/// two recommenders with one name apart.
///
/// ```
/// use sidereal_baselines::{BaselineError, Case, Recommender, evaluate, fingerprint};
/// use sidereal_metrics::{Placement, SeenItems};
/// use sidereal_sid::ItemId;
///
/// /// The items after the last one of the history, in their order.
/// struct Next {
///     num_items: usize,
/// }
///
/// impl Recommender for Next {
///     fn num_items(&self) -> usize {
///         self.num_items
///     }
///
///     fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
///         let last = history.last().map_or(0, |item| item.index());
///         for (item, score) in scores.iter_mut().enumerate() {
///             let steps = (item + self.num_items - last) % self.num_items;
///             *score = if steps == 0 { f32::NEG_INFINITY } else { -(steps as f32) };
///         }
///         Ok(())
///     }
/// }
///
/// let (history, target) = ([ItemId(4)], ItemId(1));
/// let case = Case { sample: 7_u64, history: &history, seen: &history, target };
/// let run = evaluate(&Next { num_items: 5 }, &[case], SeenItems::Kept)?;
/// assert!(run.placements().eq([(&7, Placement::At(2.try_into()?))])); // 0, then 1
///
/// let of = |num_items| fingerprint(&Next { num_items }, [&history[..]]);
/// assert!(of(5)? == of(5)? && of(5)? != of(6)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Recommender: Sync {
    /// Number of items `N` that it scores.
    fn num_items(&self) -> usize;

    /// Overwrites `scores` with a score for every item; higher is better, `−∞` is never shown.
    ///
    /// # Shapes
    /// - `history`: earliest first, may be empty
    /// - `scores`: `[N]`
    ///
    /// # Errors
    /// [`BaselineError::NumScores`] if `scores` is not `[N]`, [`BaselineError::Item`] if the
    /// history holds an unknown item.
    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError>;

    /// How many histories [`score_all`](Self::score_all) scores fastest at once.
    fn scored_together(&self) -> usize {
        1
    }

    /// The scores of [`score`](Self::score) after several histories. A recommender that scores many
    /// users at once faster than one after the other has its own.
    ///
    /// # Shapes
    /// - `histories`: `[H]`
    /// - `scores`: `[H, N]`, history after history
    ///
    /// # Errors
    /// Those of [`score`](Self::score).
    fn score_all(&self, histories: &[&[ItemId]], scores: &mut [f32]) -> Result<(), BaselineError> {
        let (found, expected) = (scores.len(), histories.len() * self.num_items());
        if found != expected {
            return Err(BaselineError::NumScores { found, expected });
        }
        let rows = scores.chunks_exact_mut(self.num_items().max(1));
        histories.iter().zip(rows).try_for_each(|(history, scores)| self.score(history, scores))
    }

    /// The place of `target` among all items without those in `removed`: what
    /// [`Placement::from_scores`] makes of the scores. A recommender that gives most items the same
    /// score may find it without looking at all of them.
    ///
    /// # Shapes
    /// - `history`: earliest first, may be empty
    /// - `scratch`: `[N]`, overwritten
    ///
    /// # Errors
    /// Those of [`score`](Self::score); [`BaselineError::Item`] if `removed` or `target` is unknown.
    fn place(
        &self,
        history: &[ItemId],
        removed: &[ItemId],
        target: ItemId,
        scratch: &mut [f32],
    ) -> Result<Placement, BaselineError> {
        scores_without(self, history, removed, scratch)?;
        let num_items = scratch.len();
        Placement::from_scores(scratch, target.index())
            .ok_or(BaselineError::Item { item: target, num_items })
    }
}

impl<R: Recommender + ?Sized> Recommender for &R {
    fn num_items(&self) -> usize {
        (**self).num_items()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        (**self).score(history, scores)
    }

    fn scored_together(&self) -> usize {
        (**self).scored_together()
    }

    fn score_all(&self, histories: &[&[ItemId]], scores: &mut [f32]) -> Result<(), BaselineError> {
        (**self).score_all(histories, scores)
    }

    fn place(
        &self,
        history: &[ItemId],
        removed: &[ItemId],
        target: ItemId,
        scratch: &mut [f32],
    ) -> Result<Placement, BaselineError> {
        (**self).place(history, removed, target, scratch)
    }
}

/// Scores of all items with those in `removed` taken out of the ranking.
pub(crate) fn scores_without<R: Recommender + ?Sized>(
    recommender: &R,
    history: &[ItemId],
    removed: &[ItemId],
    scores: &mut [f32],
) -> Result<(), BaselineError> {
    recommender.score(history, scores)?;
    remove(removed, scores)
}

/// Takes items out of the ranking of scores `[N]`.
pub(crate) fn remove(items: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
    let num_items = scores.len();
    for &item in items {
        let score = scores.get_mut(item.index()).ok_or(BaselineError::Item { item, num_items })?;
        *score = f32::NEG_INFINITY;
    }
    Ok(())
}

/// The `k` best items after a history, best first, without the items in `removed`; fewer if the
/// catalogue has fewer.
///
/// # Errors
/// Those of [`Recommender::score`]; [`BaselineError::Item`] if `removed` holds an unknown item.
pub fn recommend<R: Recommender + ?Sized>(
    recommender: &R,
    history: &[ItemId],
    removed: &[ItemId],
    k: usize,
    rng: &mut (impl RngCore + ?Sized),
) -> Result<Vec<ItemId>, BaselineError> {
    let mut scores = vec![0.0; recommender.num_items()];
    scores_without(recommender, history, removed, &mut scores)?;
    Ok(top_k(&scores, k, rng))
}

/// BLAKE3, in hexadecimal, of the scores that a recommender gives after these histories: it shows
/// whether a recommender has changed since its results were computed.
///
/// # Errors
/// Those of [`Recommender::score`].
pub fn fingerprint<'h, R: Recommender + ?Sized>(
    recommender: &R,
    histories: impl IntoIterator<Item = &'h [ItemId]>,
) -> Result<String, BaselineError> {
    let mut scores = vec![0.0; recommender.num_items()];
    let mut hasher = blake3::Hasher::new();
    for history in histories {
        recommender.score(history, &mut scores)?;
        for score in &scores {
            hasher.update(&score.to_le_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The `k` items of highest score, best first; equal scores in random order.
///
/// Items whose score is `−∞` or NaN are left out. The order never depends on item ids, which in
/// public files follow first appearance and leak the answer.
#[must_use]
pub fn top_k(scores: &[f32], k: usize, rng: &mut (impl RngCore + ?Sized)) -> Vec<ItemId> {
    if k == 0 {
        return Vec::new();
    }
    // Only items that tie with the k-th best or beat it need a random place, from one known order.
    let least = kth_best(scores, k);
    let mut ranked: Vec<(ItemId, f32)> = Vec::new();
    for (part, first) in scores.chunks(PART).zip((0..).step_by(PART)) {
        if part.iter().map(|score| u8::from(*score >= least)).max() == Some(1) {
            let part = (first..).map(ItemId).zip(part.iter().copied());
            ranked.extend(part.filter(|(_, score)| *score > f32::NEG_INFINITY && *score >= least));
        }
    }
    ranked.shuffle(rng);
    ranked.sort_by(|a, b| (b.1 + 0.0).total_cmp(&(a.1 + 0.0))); // stable; −0 ties with 0
    ranked.into_iter().take(k).map(|(item, _)| item).collect()
}

/// Scores that are compared with a bound at once.
const PART: usize = 64;

/// The `k`-th highest score, equal ones counted each; `−∞` where there are fewer above `−∞`. `k` is 1 or more.
fn kth_best(scores: &[f32], k: usize) -> f32 {
    let mut best: Vec<f32> = Vec::with_capacity(k.min(scores.len())); // ascending, at most k
    let mut least = f32::NEG_INFINITY;
    for part in scores.chunks(PART) {
        if part.iter().map(|score| u8::from(*score > least)).max() != Some(1) {
            continue; // most parts, and a processor compares several scores at once
        }
        for &score in part {
            if score > least {
                if best.len() == k {
                    best.remove(0);
                }
                let at = best.partition_point(|other| *other < score);
                best.insert(at, score);
                if best.len() == k {
                    least = best[0];
                }
            }
        }
    }
    if best.len() < k { f32::NEG_INFINITY } else { least }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn ids(items: &[u32]) -> Vec<ItemId> {
        items.iter().copied().map(ItemId).collect()
    }

    #[test]
    fn the_best_come_first_and_infinity_never() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let scores = [0.1, f32::NEG_INFINITY, 0.9, f32::NAN, 0.5];
        assert_eq!(top_k(&scores, 2, &mut rng), ids(&[2, 4]));
        assert_eq!(top_k(&scores, 9, &mut rng), ids(&[2, 4, 0]));
        assert!(top_k(&scores, 0, &mut rng).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn the_best_are_those_of_a_full_sort(
            scores in proptest::collection::vec(-3_i8..4, 0..40),
            k in 0_usize..45,
        ) {
            // −3 stands for an item that is never shown; there are many ties.
            let score = |score: &i8| if *score == -3 { f32::NEG_INFINITY } else { f32::from(*score) };
            let scores: Vec<f32> = scores.iter().map(score).collect();
            let found = top_k(&scores, k, &mut ChaCha8Rng::seed_from_u64(1));
            let mut distinct = found.clone();
            distinct.sort_unstable();
            distinct.dedup();
            proptest::prop_assert_eq!(distinct.len(), found.len());
            let mut sorted: Vec<f32> = scores.iter().copied().filter(|s| s.is_finite()).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted.truncate(k);
            let found: Vec<f32> = found.iter().map(|item| scores[item.index()]).collect();
            proptest::prop_assert_eq!(found, sorted);
        }
    }

    /// The same scores for everybody.
    struct Fixed([f32; 3]);

    impl Recommender for Fixed {
        fn num_items(&self) -> usize {
            3
        }

        fn score(&self, _: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
            scores.copy_from_slice(&self.0);
            Ok(())
        }
    }

    #[test]
    fn a_fingerprint_follows_every_score_and_history() {
        let of = |scores, histories: &[&[ItemId]]| {
            fingerprint(&Fixed(scores), histories.iter().copied()).unwrap()
        };
        let one: &[ItemId] = &[ItemId(0)];
        // 256 bits in hexadecimal; the scores of one history in little-endian bytes.
        let bytes: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(of([1.0, 2.0, 3.0], &[one]), blake3::hash(&bytes).to_hex().to_string());
        assert_ne!(of([1.0, 2.0, 3.5], &[one]), of([1.0, 2.0, 3.0], &[one]));
        assert_ne!(of([1.0, 2.0, 3.0], &[one, one]), of([1.0, 2.0, 3.0], &[one]));
    }

    #[test]
    fn any_generator_will_do_behind_a_pointer_too() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rng: &mut dyn RngCore = &mut rng;
        assert_eq!(recommend(&Fixed([1.0, 3.0, 2.0]), &[], &[], 2, rng).unwrap(), ids(&[1, 2]));
    }

    #[test]
    fn ties_are_broken_by_the_seed_not_by_the_id() {
        // Each of ten equal items should lead about 200 of 2,000 lists; 5 standard deviations of a
        // binomial are 67, so a false alarm has odds of about 6e-6.
        let mut first = [0_i32; 10];
        for seed in 0..2000 {
            let list = top_k(&[0.5; 10], 3, &mut ChaCha8Rng::seed_from_u64(seed));
            first[list[0].index()] += 1;
        }
        assert!(first.iter().all(|count| (count - 200).abs() < 67), "{first:?}");
    }
}
