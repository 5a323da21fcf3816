//! How varied the recommendations are.

use std::num::NonZeroUsize;

use crate::MetricError;

/// Shannon entropy, in nats, of the labels of a list's first `k` entries.
///
/// ```text
/// −Σ_c p_c ln p_c,   p_c = share of label c among the first min(k, len) entries
/// ```
/// With second-level categories as labels and its mean over users this is SAGE's `Entropy@k`.
/// An empty list has entropy 0.
///
/// ```
/// use std::num::NonZeroUsize;
/// let value = sidereal_metrics::entropy(&["tea", "tea", "pen", "pen"], NonZeroUsize::new(4).unwrap());
/// assert!((value - 2f64.ln()).abs() < 1e-12);
/// ```
#[must_use]
pub fn entropy<T: Ord>(labels: &[T], k: NonZeroUsize) -> f64 {
    let mut top: Vec<&T> = labels.iter().take(k.get()).collect();
    top.sort_unstable();
    let total = top.len() as f64;
    let sum: f64 = top
        .chunk_by(|a, b| a == b)
        .map(|run| run.len() as f64 / total)
        .map(|share| share * share.ln())
        .sum();
    (-sum).max(0.0)
}

/// How often each item of the catalogue was recommended.
///
/// Shards are merged by adding.
///
/// ```
/// use sidereal_metrics::ExposureCounts;
/// let mut exposure = ExposureCounts::new(4);
/// exposure.push([0, 1])?;
/// exposure.push([0, 1])?;
/// assert_eq!(exposure.coverage(), 0.5);
/// assert_eq!(exposure.gini(), Some(0.5));
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposureCounts {
    counts: Vec<u64>,
}

impl ExposureCounts {
    /// No recommendations yet of any of `num_items` items.
    #[must_use]
    pub fn new(num_items: usize) -> Self {
        Self { counts: vec![0; num_items] }
    }

    /// Adds one user's recommended items, as indices into the catalogue.
    ///
    /// # Errors
    /// [`MetricError::Item`]; the items before it are counted.
    pub fn push(&mut self, items: impl IntoIterator<Item = usize>) -> Result<(), MetricError> {
        let num_items = self.counts.len();
        for item in items {
            *self.counts.get_mut(item).ok_or(MetricError::Item { item, num_items })? += 1;
        }
        Ok(())
    }

    /// Adds the counts of another shard.
    ///
    /// # Errors
    /// [`MetricError::Length`] if it is over another number of items.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricError> {
        let (found, expected) = (other.counts.len(), self.counts.len());
        if found != expected {
            return Err(MetricError::Length { what: "items", found, expected });
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        Ok(())
    }

    /// Recommendations of each item.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Share of the catalogue that was recommended at least once; 0 for an empty catalogue.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let shown = self.counts.iter().filter(|count| **count > 0).count();
        shown as f64 / self.counts.len().max(1) as f64
    }

    /// Gini index of the counts: 0 if all items are shown alike, `1 − 1/N` if only one is.
    /// `None` before the first recommendation.
    ///
    /// ```text
    /// Σ_i (2i − N − 1) x_i / (N Σ_i x_i),   x sorted upwards, i from 1
    /// ```
    #[must_use]
    pub fn gini(&self) -> Option<f64> {
        let mut sorted = self.counts.clone();
        sorted.sort_unstable();
        let num_items = sorted.len() as f64;
        let total: f64 = sorted.iter().map(|count| *count as f64).sum();
        let weighted: f64 = (1u64..)
            .zip(&sorted)
            .map(|(i, count)| (2.0 * i as f64 - num_items - 1.0) * *count as f64)
            .sum();
        (total > 0.0).then(|| weighted / (num_items * total))
    }

    /// Shannon entropy of the exposure shares, in nats; `None` before the first recommendation.
    #[must_use]
    pub fn entropy(&self) -> Option<f64> {
        let total: f64 = self.counts.iter().map(|count| *count as f64).sum();
        let sum: f64 = self
            .counts
            .iter()
            .filter(|count| **count > 0)
            .map(|count| *count as f64 / total)
            .map(|share| share * share.ln())
            .sum();
        (total > 0.0).then(|| (-sum).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn gini_of_one_shown_item_is_one_minus_its_share() {
        let mut exposure = ExposureCounts::new(5);
        exposure.push([3, 3, 3]).unwrap();
        assert_relative_eq!(exposure.gini().unwrap(), 0.8);
        assert_relative_eq!(exposure.entropy().unwrap(), 0.0);
    }

    #[test]
    fn nothing_shown_has_no_gini() {
        assert_eq!(ExposureCounts::new(3).gini(), None);
        assert_eq!(ExposureCounts::new(0).entropy(), None);
        assert_relative_eq!(ExposureCounts::new(0).coverage(), 0.0);
    }

    #[test]
    fn an_unknown_item_is_named() {
        let error = ExposureCounts::new(2).push([1, 2]).unwrap_err();
        assert_eq!(error, MetricError::Item { item: 2, num_items: 2 });
    }

    #[test]
    fn coverage_and_entropy_count_what_was_shown() {
        let mut exposure = ExposureCounts::new(5);
        exposure.push([0, 2]).unwrap();
        exposure.push([2, 3]).unwrap();
        assert_eq!(exposure.counts(), [1, 0, 2, 1, 0]);
        assert_relative_eq!(exposure.coverage(), 0.6);
        // Shares 1/4, 1/2, 1/4: 2 · 1/4 · ln 4 + 1/2 · ln 2
        assert_relative_eq!(exposure.entropy().unwrap(), 1.5 * 2f64.ln(), epsilon = 1e-12);
        // Sorted 0 0 1 1 2 with weights -4 -2 0 2 4, over 5 · 4
        assert_relative_eq!(exposure.gini().unwrap(), 0.5, epsilon = 1e-12);
    }

    #[test]
    fn shards_over_different_catalogues_do_not_merge() {
        let refused = ExposureCounts::new(2).merge(&ExposureCounts::new(3));
        assert_eq!(refused, Err(MetricError::Length { what: "items", found: 3, expected: 2 }));
    }

    #[test]
    fn entropy_looks_at_the_first_k_labels() {
        let labels = ["tea", "pen", "tea", "pen", "ink"];
        let k = |k| NonZeroUsize::new(k).unwrap();
        assert_relative_eq!(entropy(&labels, k(1)), 0.0);
        assert_relative_eq!(entropy(&labels, k(4)), 2f64.ln(), epsilon = 1e-12);
        // Shares 2/5, 2/5, 1/5
        let five = 0.8 * 2.5f64.ln() + 0.2 * 5f64.ln();
        assert_relative_eq!(entropy(&labels, k(9)), five, epsilon = 1e-12);
        assert_relative_eq!(entropy::<u8>(&[], k(9)), 0.0);
    }
}
