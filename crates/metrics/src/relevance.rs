//! Ranking metrics of users with several relevant items.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use crate::MetricError;
use crate::ranking::{discounted_gain, reciprocal_gain};

/// The ranks of a user's relevant items in one ranking: all that metrics with several targets need.
///
/// `R` items are relevant, those at ranks `r_1 < r_2 < …` were ranked. With one relevant item every
/// metric equals the one of one target, to the bit: [`recall`](Self::recall) and
/// [`hit_rate`](Self::hit_rate) are [`hit_rate`](crate::hit_rate()), [`ndcg`](Self::ndcg) is
/// [`ndcg`](crate::ndcg()), [`mrr`](Self::mrr) and
/// [`average_precision`](Self::average_precision) are [`mrr`](crate::mrr()).
///
/// Ties are not handled here. If a system gives several items the same score, order them at random
/// first, by seed. Never order them by item id, which reveals the answer in public files.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_metrics::{Mean, Relevance};
/// const K: NonZeroUsize = NonZeroUsize::new(4).unwrap();
///
/// // Of three relevant items one stands first and one fourth.
/// let user = Relevance::of_list(&["pen", "cup", "tea", "ink"], &["ink", "pen", "mug"])?;
/// assert_eq!(user.recall(K), 2.0 / 3.0);
/// assert_eq!(user.precision(K), 0.5);
/// assert_eq!(user.average_precision(K), (1.0 + 2.0 / 4.0) / 3.0);
///
/// // Over users: sum and divide once.
/// let mean: Mean = [user].iter().map(|user| user.ndcg(K)).collect();
/// let (gain, best) = (1.0 + 1.0 / 5f64.log2(), 1.0 + 1.0 / 3f64.log2() + 1.0 / 4f64.log2());
/// assert!((mean.value().unwrap() - gain / best).abs() < 1e-12);
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relevance {
    /// Rising.
    ranks: Vec<NonZeroUsize>,
    num_relevant: NonZeroUsize,
}

impl Relevance {
    /// From the 1-based ranks of those relevant items that were ranked, in any order, and the number
    /// of all relevant items.
    ///
    /// # Errors
    /// [`MetricError::NoTargets`] for no relevant item; [`MetricError::RelevantRanks`] for a rank
    /// that occurs twice, or more ranks than relevant items.
    pub fn new(
        ranks: impl IntoIterator<Item = NonZeroUsize>,
        num_relevant: usize,
    ) -> Result<Self, MetricError> {
        let num_relevant = NonZeroUsize::new(num_relevant).ok_or(MetricError::NoTargets)?;
        let mut ranks: Vec<NonZeroUsize> = ranks.into_iter().collect();
        ranks.sort_unstable();
        let twice = ranks.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].get());
        if twice.is_some() || ranks.len() > num_relevant.get() {
            let (found, relevant) = (ranks.len(), num_relevant.get());
            return Err(MetricError::RelevantRanks { found, relevant, twice });
        }
        Ok(Self { ranks, num_relevant })
    }

    /// From a ranked list, best first, and the relevant items, in any order.
    ///
    /// A relevant item that is given twice counts once; an item that a list repeats counts at its best
    /// place, and the others are places without a relevant item.
    ///
    /// # Errors
    /// [`MetricError::NoTargets`] for no relevant item.
    pub fn of_list<T: Ord>(ranked: &[T], relevant: &[T]) -> Result<Self, MetricError> {
        let relevant: BTreeSet<&T> = relevant.iter().collect();
        let mut open = relevant.clone();
        let ranks = (1..).filter_map(NonZeroUsize::new).zip(ranked);
        let found: Vec<_> = ranks.filter(|(_, item)| open.remove(item)).map(|(r, _)| r).collect();
        Self::new(found, relevant.len())
    }

    /// Number of relevant items `R`.
    #[must_use]
    pub const fn num_relevant(&self) -> NonZeroUsize {
        self.num_relevant
    }

    /// 1 if any relevant item is among the first `k`, else 0.
    #[must_use]
    pub fn hit_rate(&self, k: NonZeroUsize) -> f64 {
        if self.found(k).is_empty() { 0.0 } else { 1.0 }
    }

    /// Share of the relevant items that are among the first `k`, in `[0, min(k, R) / R]`.
    #[must_use]
    pub fn recall(&self, k: NonZeroUsize) -> f64 {
        self.found(k).len() as f64 / self.num_relevant.get() as f64
    }

    /// Share of the first `k` places that hold a relevant item, in `[0, min(k, R) / k]`. Places
    /// beyond the end of the list count as misses.
    #[must_use]
    pub fn precision(&self, k: NonZeroUsize) -> f64 {
        self.found(k).len() as f64 / k.get() as f64
    }

    /// NDCG against the best order of the relevant items, in `[0, 1]`:
    ///
    /// ```text
    /// Σ_{r_i <= k} 1 / log2(r_i + 1)   /   Σ_{j <= min(k, R)} 1 / log2(j + 1)
    /// ```
    /// Järvelin and Kekäläinen 2002, with relevance 0 or 1.
    #[must_use]
    pub fn ndcg(&self, k: NonZeroUsize) -> f64 {
        // From 0.0, since the sum of no floats is −0.
        let gain = self.found(k).iter().fold(0.0, |sum, rank| sum + discounted_gain(rank.get()));
        let best = k.min(self.num_relevant).get();
        gain / (1..=best).map(discounted_gain).sum::<f64>()
    }

    /// Average precision, whose mean over users is `MAP@k`, in `[0, min(k, R) / R]`:
    ///
    /// ```text
    /// 1/R · Σ_{r_i <= k} i / r_i
    /// ```
    /// As `trec_eval` (`map_cut`) and ranx divide: by all relevant items. `RecBole` divides by
    /// `min(k, R)`.
    #[must_use]
    pub fn average_precision(&self, k: NonZeroUsize) -> f64 {
        let ranks = (1usize..).zip(self.found(k));
        let sum = ranks.fold(0.0, |sum, (i, rank)| sum + i as f64 / rank.get() as f64);
        sum / self.num_relevant.get() as f64
    }

    /// Reciprocal rank of the best relevant item, 0 beyond rank `k`; its mean over users is `MRR@k`.
    #[must_use]
    pub fn mrr(&self, k: NonZeroUsize) -> f64 {
        self.found(k).first().map_or(0.0, |rank| reciprocal_gain(rank.get()))
    }

    /// The ranks up to `k`.
    fn found(&self, k: NonZeroUsize) -> &[NonZeroUsize] {
        &self.ranks[..self.ranks.partition_point(|rank| *rank <= k)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(value: usize) -> NonZeroUsize {
        NonZeroUsize::new(value).unwrap()
    }

    #[test]
    fn repeats_count_once_and_at_their_best_place() {
        let user = Relevance::of_list(&[7, 5, 7, 9], &[7, 9, 7]).unwrap();
        assert_eq!(user, Relevance::new([n(4), n(1)], 2).unwrap());
        assert_eq!(user.num_relevant(), n(2));
    }

    #[test]
    fn ranks_that_no_ranking_has_are_refused() {
        assert_eq!(Relevance::of_list(&[1], &[]), Err(MetricError::NoTargets));
        let twice = Relevance::new([n(3), n(3)], 5).unwrap_err();
        assert_eq!(twice.to_string(), "there are 2 ranks of 5 relevant items: rank 3 occurs twice");
        let many = Relevance::new([n(3), n(4)], 1).unwrap_err();
        assert_eq!(
            many.to_string(),
            "there are 2 ranks of 1 relevant items: at most one rank for each"
        );
    }
}
