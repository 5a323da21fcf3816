//! A mean that merges.

use serde::{Deserialize, Serialize};

/// A sum and a count, divided once.
///
/// For metrics with no accumulator of their own: Pass@k, Entropy@k, Cold-Recall@k.
///
/// ```
/// use sidereal_metrics::Mean;
/// let mut mean: Mean = [1.0, 0.0].into_iter().collect();
/// mean.merge(&[0.5, 0.5, 0.5, 0.5].into_iter().collect());
/// assert_eq!(mean.value(), Some(0.5)); // not the mean of the two shards' means by shard
/// assert_eq!(Mean::default().value(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Adds one value.
    pub fn push(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// Adds the values of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum over count; `None` without values.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Extend<f64> for Mean {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl FromIterator<f64> for Mean {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut mean = Self::default();
        mean.extend(values);
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_divides_once_whatever_the_shards() {
        let mut mean: Mean = [1.0, 0.0].into_iter().collect();
        mean.merge(&[0.5, 1.5, 2.0].into_iter().collect());
        mean.push(3.0);
        mean.extend([4.0, 4.0]);
        assert_eq!((mean.count(), mean.value()), (8, Some(2.0)));
        assert_eq!((Mean::default().count(), Mean::default().value()), (0, None));
    }
}
