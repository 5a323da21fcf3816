//! Recall of items that training has hardly seen.

use std::num::NonZeroUsize;

use rand::seq::SliceRandom as _;
use rand_core::RngCore;

use crate::{MetricError, Placement, hit_rate};

/// The least frequent items of the training data.
///
/// `Cold-Recall@k` is the mean of [`hit_rate`](Self::hit_rate) over the users whose target is cold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdItems {
    cold: Vec<bool>,
}

impl ColdItems {
    /// The `⌊share · N⌋` items of lowest training frequency; ties at the boundary are broken at
    /// random, so draw the set once and share it between the systems that are compared.
    ///
    /// SAGE takes a share of 0.05.
    ///
    /// ```
    /// use rand::SeedableRng as _;
    /// use sidereal_metrics::ColdItems;
    /// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    /// let cold = ColdItems::least_frequent(&[9, 0, 5, 7], 0.25, &mut rng)?;
    /// assert_eq!(cold.items().collect::<Vec<_>>(), [1]);
    /// # Ok::<(), sidereal_metrics::MetricError>(())
    /// ```
    ///
    /// # Errors
    /// [`MetricError::Setting`] if `share` is outside `[0, 1]`.
    pub fn least_frequent(
        frequency: &[u64],
        share: f64,
        rng: &mut (impl RngCore + ?Sized),
    ) -> Result<Self, MetricError> {
        if !(0.0..=1.0).contains(&share) {
            let (field, needed) = ("share of cold items", "a number in [0, 1]");
            return Err(MetricError::Setting { field, value: share, needed });
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length"
        )]
        let num_cold = (share * frequency.len() as f64).floor() as usize;
        let mut order: Vec<(usize, u64)> = frequency.iter().copied().enumerate().collect();
        order.shuffle(rng);
        order.sort_by_key(|(_, count)| *count); // stable: equal counts keep their random order
        let mut cold = vec![false; frequency.len()];
        for (item, _) in order.into_iter().take(num_cold) {
            if let Some(flag) = cold.get_mut(item) {
                *flag = true;
            }
        }
        Ok(Self { cold })
    }

    /// Whether the item is cold; an item that training does not number is.
    #[must_use]
    pub fn contains(&self, item: usize) -> bool {
        self.cold.get(item).copied().unwrap_or(true)
    }

    /// The cold items, upwards.
    pub fn items(&self) -> impl Iterator<Item = usize> + '_ {
        self.cold.iter().enumerate().filter(|(_, cold)| **cold).map(|(item, _)| item)
    }

    /// The user's hit rate if the target is cold, else `None`: the user does not count.
    #[must_use]
    pub fn hit_rate(
        &self,
        target: usize,
        placement: impl Into<Placement>,
        k: NonZeroUsize,
    ) -> Option<f64> {
        self.contains(target).then(|| hit_rate(placement, k))
    }
}

/// The set of these cold items among `num_items`.
impl TryFrom<(usize, &[usize])> for ColdItems {
    type Error = MetricError;

    fn try_from((num_items, items): (usize, &[usize])) -> Result<Self, MetricError> {
        let mut cold = vec![false; num_items];
        for &item in items {
            *cold.get_mut(item).ok_or(MetricError::Item { item, num_items })? = true;
        }
        Ok(Self { cold })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn ties_do_not_follow_item_ids() {
        // Of 100 equally rare items 10 are cold. That all are among the first 50 has odds below
        // (1/2)^10 for a random choice.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let cold = ColdItems::least_frequent(&[2; 100], 0.1, &mut rng).unwrap();
        assert_eq!(cold.items().count(), 10);
        assert!(cold.items().any(|item| item >= 50));
    }

    #[test]
    fn a_warm_target_does_not_count() {
        let cold = ColdItems::try_from((3, [2].as_slice())).unwrap();
        assert_eq!(cold.hit_rate(0, NonZeroUsize::MIN, NonZeroUsize::MIN), None);
        assert_eq!(cold.hit_rate(2, NonZeroUsize::MIN, NonZeroUsize::MIN), Some(1.0));
        assert_eq!(cold.hit_rate(2, None, NonZeroUsize::MIN), Some(0.0));
    }

    #[test]
    fn a_share_that_is_no_share_is_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        assert!(ColdItems::least_frequent(&[1], f64::NAN, &mut rng).is_err());
    }
}
