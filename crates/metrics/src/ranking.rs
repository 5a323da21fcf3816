//! Hit rate, NDCG and MRR of one target per user.

use std::num::NonZeroUsize;

use crate::{MetricError, Placement};

/// The value of a hit at a 1-based rank; it never rises with the rank.
pub(crate) type Gain = fn(usize) -> f64;

/// The gain of a hit: 1 at every rank.
pub(crate) fn hit_gain(_rank: usize) -> f64 {
    1.0
}

/// The discounted gain `1 / log2(rank + 1)`; with one target the ideal DCG is 1.
pub(crate) fn discounted_gain(rank: usize) -> f64 {
    ((rank as f64) + 1.0).log2().recip()
}

/// The reciprocal rank.
pub(crate) fn reciprocal_gain(rank: usize) -> f64 {
    (rank as f64).recip()
}

/// Hit rate of one user, equal to `Recall@k` with one target: the probability that the target is
/// among the first `k`.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_metrics::{Placement, hit_rate};
/// const K: NonZeroUsize = NonZeroUsize::new(5).unwrap();
/// assert_eq!(hit_rate(NonZeroUsize::new(5), K), 1.0);
/// assert_eq!(hit_rate(NonZeroUsize::new(6), K), 0.0);
/// assert_eq!(hit_rate(None, K), 0.0);
/// // Rank 2 holds a Semantic ID of four items, one of which is shown.
/// let drawn = Placement::Drawn { rank: NonZeroUsize::new(2).unwrap(), count: NonZeroUsize::new(4).unwrap() };
/// assert_eq!(hit_rate(drawn, K), 0.25);
/// ```
#[must_use]
pub fn hit_rate(placement: impl Into<Placement>, k: NonZeroUsize) -> f64 {
    placement.into().expected(k, hit_gain)
}

/// NDCG of one user with one target:
///
/// ```text
/// 1 / log2(rank + 1)  if rank <= k, else 0
/// ```
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_metrics::ndcg;
/// const K: NonZeroUsize = NonZeroUsize::new(5).unwrap();
/// assert_eq!(ndcg(NonZeroUsize::new(1), K), 1.0);
/// assert_eq!(ndcg(NonZeroUsize::new(3), K), 0.5); // log2(4) = 2
/// ```
#[must_use]
pub fn ndcg(placement: impl Into<Placement>, k: NonZeroUsize) -> f64 {
    placement.into().expected(k, discounted_gain)
}

/// Reciprocal rank of one user, 0 beyond rank `k`; its mean over users is `MRR@k`.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_metrics::mrr;
/// const K: NonZeroUsize = NonZeroUsize::new(5).unwrap();
/// assert_eq!(mrr(NonZeroUsize::new(4), K), 0.25);
/// assert_eq!(mrr(NonZeroUsize::new(6), K), 0.0);
/// ```
#[must_use]
pub fn mrr(placement: impl Into<Placement>, k: NonZeroUsize) -> f64 {
    placement.into().expected(k, reciprocal_gain)
}

/// How many users have their target at each rank: all that hit rate, NDCG and MRR need.
///
/// A tied or drawn placement adds its probabilities. Shards are merged by adding; a metric divides
/// once, by the number of users.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_metrics::RankHistogram;
/// const K: NonZeroUsize = NonZeroUsize::new(10).unwrap();
/// let mut ranks = RankHistogram::new(K);
/// ranks.push(NonZeroUsize::new(1));
/// ranks.push(NonZeroUsize::new(3));
/// ranks.push(None);
/// assert_eq!(ranks.hit_rate(K)?, 2.0 / 3.0);
/// assert_eq!(ranks.ndcg(K)?, 1.5 / 3.0);
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RankHistogram {
    /// `mass[r]`: expected number of users whose target has rank `r + 1`.
    mass: Vec<f64>,
    num_users: u64,
}

impl RankHistogram {
    /// An empty histogram of the ranks up to `max_k`.
    #[must_use]
    pub fn new(max_k: NonZeroUsize) -> Self {
        Self { mass: vec![0.0; max_k.get()], num_users: 0 }
    }

    /// Adds one user.
    pub fn push(&mut self, placement: impl Into<Placement>) {
        self.num_users += 1;
        let (first, count, share) = match placement.into() {
            Placement::Absent => return,
            Placement::At(rank) => (rank, NonZeroUsize::MIN, 1.0),
            Placement::Drawn { rank, count } => {
                (rank, NonZeroUsize::MIN, (count.get() as f64).recip())
            }
            Placement::Tied { first, count } => (first, count, (count.get() as f64).recip()),
        };
        for mass in self.mass.iter_mut().skip(first.get() - 1).take(count.get()) {
            *mass += share;
        }
    }

    /// Adds the users of another shard.
    ///
    /// # Errors
    /// [`MetricError::Length`] if it keeps another number of ranks.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricError> {
        let (found, expected) = (other.mass.len(), self.mass.len());
        if found != expected {
            return Err(MetricError::Length { what: "ranks", found, expected });
        }
        for (mass, more) in self.mass.iter_mut().zip(&other.mass) {
            *mass += more;
        }
        self.num_users += other.num_users;
        Ok(())
    }

    /// Users pushed so far, those without a ranked target included.
    #[must_use]
    pub fn num_users(&self) -> u64 {
        self.num_users
    }

    /// Mean [`hit_rate`] over users.
    ///
    /// # Errors
    /// [`MetricError::NoUsers`]; [`MetricError::CutOff`] if `k` exceeds the ranks kept.
    pub fn hit_rate(&self, k: NonZeroUsize) -> Result<f64, MetricError> {
        self.mean(k, hit_gain)
    }

    /// Mean [`ndcg`] over users.
    ///
    /// # Errors
    /// As [`hit_rate`](Self::hit_rate).
    pub fn ndcg(&self, k: NonZeroUsize) -> Result<f64, MetricError> {
        self.mean(k, discounted_gain)
    }

    /// Mean [`mrr`] over users.
    ///
    /// # Errors
    /// As [`hit_rate`](Self::hit_rate).
    pub fn mrr(&self, k: NonZeroUsize) -> Result<f64, MetricError> {
        self.mean(k, reciprocal_gain)
    }

    fn mean(&self, k: NonZeroUsize, gain: impl Fn(usize) -> f64) -> Result<f64, MetricError> {
        let kept = self.mass.len();
        let top = self.mass.get(..k.get()).ok_or(MetricError::CutOff { k: k.get(), kept })?;
        if self.num_users == 0 {
            return Err(MetricError::NoUsers);
        }
        let sum: f64 = (1..).zip(top).map(|(rank, mass)| mass * gain(rank)).sum();
        Ok(sum / self.num_users as f64)
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    fn n(value: usize) -> NonZeroUsize {
        NonZeroUsize::new(value).unwrap()
    }

    #[test]
    fn a_tie_is_the_mean_over_its_ranks() {
        // Ranks 2, 3, 4 with probability 1/3 each; two of them within k = 3.
        let tied = Placement::Tied { first: n(2), count: n(3) };
        assert_relative_eq!(hit_rate(tied, n(3)), 2.0 / 3.0);
        assert_relative_eq!(mrr(tied, n(3)), (1.0 / 2.0 + 1.0 / 3.0) / 3.0);
        assert_relative_eq!(ndcg(tied, n(3)), (1.0 / 3f64.log2() + 0.5) / 3.0);
    }

    #[test]
    fn an_empty_histogram_has_no_mean() {
        assert_eq!(RankHistogram::new(n(5)).ndcg(n(5)), Err(MetricError::NoUsers));
    }

    #[test]
    fn a_cut_off_beyond_the_kept_ranks_is_refused() {
        let mut ranks = RankHistogram::new(n(5));
        ranks.push(n(1));
        assert_eq!(ranks.hit_rate(n(6)), Err(MetricError::CutOff { k: 6, kept: 5 }));
    }

    #[test]
    fn a_histogram_is_the_mean_of_its_users() {
        let mut ranks = RankHistogram::new(n(4));
        ranks.push(n(1));
        ranks.push(Placement::Drawn { rank: n(3), count: n(2) });
        ranks.push(None);
        let mut shard = RankHistogram::new(n(4));
        shard.push(Placement::Tied { first: n(3), count: n(4) });
        ranks.merge(&shard).unwrap();
        assert_eq!(ranks.num_users(), 4);
        // 1, 1/2 at rank 3, none, 1/4 at rank 3 and 1/4 at rank 4
        assert_relative_eq!(ranks.hit_rate(n(1)).unwrap(), 0.25);
        assert_relative_eq!(ranks.hit_rate(n(3)).unwrap(), 1.75 / 4.0);
        assert_relative_eq!(ranks.hit_rate(n(4)).unwrap(), 0.5);
        assert_relative_eq!(ranks.ndcg(n(3)).unwrap(), 1.375 / 4.0);
        assert_relative_eq!(ranks.mrr(n(4)).unwrap(), (1.0 + 0.25 + 0.0625) / 4.0);
    }

    #[test]
    fn histograms_of_different_depth_do_not_merge() {
        let refused = RankHistogram::new(n(5)).merge(&RankHistogram::new(n(4)));
        assert_eq!(refused, Err(MetricError::Length { what: "ranks", found: 4, expected: 5 }));
    }
}
