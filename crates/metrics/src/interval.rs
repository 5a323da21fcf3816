//! Bootstrap intervals over users and the paired test of two systems.

use rand::SeedableRng as _;
use rand::distributions::{Distribution as _, Uniform};
use rand_chacha::ChaCha8Rng;
#[cfg(feature = "rayon")]
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::MetricError;

/// Unchecked settings of a [`Bootstrap`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BootstrapConfig {
    /// Seed of the resampling.
    pub seed: u64,
    /// Number of resamples. Range `1..`, default 1,000.
    #[serde(default = "BootstrapConfig::default_resamples")]
    pub resamples: usize,
    /// Confidence level of the intervals. Range `(0, 1)`, default 0.95.
    #[serde(default = "BootstrapConfig::default_level")]
    pub level: f64,
}

impl BootstrapConfig {
    /// 1,000 resamples and intervals of 0.95.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, resamples: Self::default_resamples(), level: Self::default_level() }
    }

    /// Sets the number of resamples.
    #[must_use]
    pub fn with_resamples(mut self, resamples: usize) -> Self {
        self.resamples = resamples;
        self
    }

    /// Sets the confidence level of the intervals.
    #[must_use]
    pub fn with_level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    fn default_resamples() -> usize {
        1000
    }

    fn default_level() -> f64 {
        0.95
    }
}

/// Resampling of users with replacement; checked settings.
///
/// Resample `b` draws from stream `b` of a `ChaCha8` generator, so results depend on the seed alone,
/// not on the number of threads. Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993,
/// §13 (percentile intervals).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BootstrapConfig", into = "BootstrapConfig")]
pub struct Bootstrap(BootstrapConfig);

/// The range that holds a value with probability `level`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence level of the interval, such as 0.95.
    pub level: f64,
}

/// The difference of two systems' means over the same users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedTest {
    /// Mean of the first system minus mean of the second.
    pub difference: f64,
    /// Percentile interval of the difference.
    pub interval: Interval,
    /// Two-sided p-value; never below `2 / (resamples + 1)`.
    pub p_value: f64,
    /// Users that both systems served.
    pub num_users: usize,
}

impl Bootstrap {
    /// Percentile interval of the mean of per-user `values`.
    ///
    /// Percentiles are interpolated linearly between order statistics, as numpy's are.
    ///
    /// ```
    /// use sidereal_metrics::{Bootstrap, BootstrapConfig};
    /// let hits: Vec<f64> = (0..400).map(|user| f64::from(user % 4 == 0)).collect();
    /// let interval = Bootstrap::try_from(BootstrapConfig::new(1))?.interval(&hits)?;
    /// assert!(interval.low < 0.25 && 0.25 < interval.high);
    /// assert!(interval.high - interval.low < 0.1); // ± 1.96 · sqrt(.25 · .75 / 400) = ± .042
    /// # Ok::<(), sidereal_metrics::MetricError>(())
    /// ```
    ///
    /// # Errors
    /// [`MetricError::NoUsers`], [`MetricError::NotFinite`].
    pub fn interval(&self, values: &[f64]) -> Result<Interval, MetricError> {
        check(values)?;
        let mut columns = self.resampled_means(&[values]);
        Ok(self.percentiles(columns.pop().unwrap_or_default()))
    }

    /// Paired bootstrap of `first − second`, user by user.
    ///
    /// ```text
    /// p = min(1, 2 · (1 + min(#{Δ* ≤ 0}, #{Δ* ≥ 0})) / (resamples + 1))
    /// ```
    /// where `Δ*` are the resampled mean differences: the p-value is below `1 − level` if the
    /// interval excludes zero (up to interpolation).
    ///
    /// # Errors
    /// [`MetricError::Length`] if the slices differ in length, and as
    /// [`interval`](Self::interval).
    pub fn paired(&self, first: &[f64], second: &[f64]) -> Result<PairedTest, MetricError> {
        let (found, expected) = (second.len(), first.len());
        if found != expected {
            return Err(MetricError::Length { what: "values", found, expected });
        }
        check(first)?;
        check(second)?;
        let deltas: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
        let means = self.resampled_means(&[&deltas]).pop().unwrap_or_default();
        let below = means.iter().filter(|mean| **mean <= 0.0).count();
        let above = means.iter().filter(|mean| **mean >= 0.0).count();
        let tail = (1 + below.min(above)) as f64 / (1 + means.len()) as f64;
        Ok(PairedTest {
            difference: deltas.iter().sum::<f64>() / deltas.len() as f64,
            interval: self.percentiles(means),
            p_value: (2.0 * tail).min(1.0),
            num_users: deltas.len(),
        })
    }

    /// Percentile intervals of several columns over the same users, each as
    /// [`interval`](Self::interval) has it: one draw serves all.
    ///
    /// # Errors
    /// As [`interval`](Self::interval); all columns must have the length of the first.
    pub fn intervals(&self, columns: &[&[f64]]) -> Result<Vec<Interval>, MetricError> {
        columns.iter().try_for_each(|column| check(column))?;
        let expected = columns.first().map_or(0, |column| column.len());
        if let Some(other) = columns.iter().find(|column| column.len() != expected) {
            return Err(MetricError::Length { what: "values", found: other.len(), expected });
        }
        Ok(self.resampled_means(columns).into_iter().map(|means| self.percentiles(means)).collect())
    }

    /// For every column its means over the resamples. Columns are checked and of equal length.
    fn resampled_means(&self, columns: &[&[f64]]) -> Vec<Vec<f64>> {
        let num_users = columns.first().map_or(0, |column| column.len());
        let num_columns = columns.len();
        // User-major, so that one random access serves all columns.
        let rows: Vec<f64> = (0..num_users)
            .flat_map(|user| columns.iter().filter_map(move |column| column.get(user)))
            .copied()
            .collect();
        let user = Uniform::from(0..num_users.max(1));
        let resample = |stream: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.0.seed);
            rng.set_stream(stream as u64);
            let mut sums = vec![0.0; num_columns];
            for _ in 0..num_users {
                let start = user.sample(&mut rng) * num_columns;
                for (sum, value) in sums.iter_mut().zip(rows.iter().skip(start)) {
                    *sum += value;
                }
            }
            sums
        };
        #[cfg(feature = "rayon")]
        let sums: Vec<Vec<f64>> = (0..self.0.resamples).into_par_iter().map(resample).collect();
        #[cfg(not(feature = "rayon"))]
        let sums: Vec<Vec<f64>> = (0..self.0.resamples).map(resample).collect();
        (0..num_columns)
            .map(|c| sums.iter().filter_map(|s| s.get(c)).map(|s| s / num_users as f64).collect())
            .collect()
    }

    fn percentiles(&self, mut means: Vec<f64>) -> Interval {
        means.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.0.level) / 2.0;
        Interval {
            low: quantile(&means, tail),
            high: quantile(&means, 1.0 - tail),
            level: self.0.level,
        }
    }
}

/// Linear interpolation between order statistics, at `q (n − 1)`.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * sorted.len().saturating_sub(1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let below = position.floor() as usize;
    let low = sorted.get(below).copied().unwrap_or(f64::NAN);
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    low + (high - low) * (position - below as f64)
}

fn check(values: &[f64]) -> Result<(), MetricError> {
    if values.is_empty() {
        return Err(MetricError::NoUsers);
    }
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, value)) => {
            Err(MetricError::NotFinite { what: "value of user", index, value: *value })
        }
        None => Ok(()),
    }
}

impl TryFrom<BootstrapConfig> for Bootstrap {
    type Error = MetricError;

    fn try_from(config: BootstrapConfig) -> Result<Self, MetricError> {
        if config.resamples == 0 {
            return Err(MetricError::Setting {
                field: "resamples",
                value: 0.0,
                needed: "at least one",
            });
        }
        if !(config.level > 0.0 && config.level < 1.0) {
            return Err(MetricError::Setting {
                field: "level",
                value: config.level,
                needed: "a number strictly between 0 and 1",
            });
        }
        Ok(Self(config))
    }
}

impl From<Bootstrap> for BootstrapConfig {
    fn from(bootstrap: Bootstrap) -> Self {
        bootstrap.0
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    fn bootstrap(resamples: usize) -> Bootstrap {
        Bootstrap::try_from(BootstrapConfig::new(11).with_resamples(resamples)).unwrap()
    }

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        // 2,000 users, 10 % hits: standard error sqrt(.1 · .9 / 2000) = .00671. The standard error
        // of a 2.5 % quantile of 4,000 normal resamples is about .042 standard errors, so a
        // difference of .25 standard errors is far outside chance.
        let values: Vec<f64> = (0..2000).map(|user| f64::from(user % 10 == 0)).collect();
        let interval = bootstrap(4000).interval(&values).unwrap();
        let error = (0.1f64 * 0.9 / 2000.0).sqrt();
        assert!((interval.low - (0.1 - 1.96 * error)).abs() < 0.25 * error, "{interval:?}");
        assert!((interval.high - (0.1 + 1.96 * error)).abs() < 0.25 * error, "{interval:?}");
    }

    #[test]
    fn quantiles_are_interpolated_as_numpy_does() {
        // numpy.percentile([1, 2, 4, 8], [0, 25, 50, 90, 100])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)] {
            assert_relative_eq!(quantile(&sorted, q), expected, epsilon = 1e-12);
        }
    }

    #[test]
    fn equal_systems_do_not_differ() {
        let values = [0.0, 1.0, 0.5];
        let test = bootstrap(100).paired(&values, &values).unwrap();
        assert_relative_eq!(test.difference, 0.0);
        assert_relative_eq!(test.p_value, 1.0);
    }

    #[test]
    fn pairing_sees_what_the_intervals_hide() {
        // The first system finds one target in a hundred more, all others alike: 40 users gained
        // and none lost is significant, though the two intervals overlap widely.
        let second: Vec<f64> = (0..4000).map(|user| f64::from(user % 10 == 0)).collect();
        let first: Vec<f64> =
            (0..4000).map(|user| f64::from(user % 10 == 0 || user % 100 == 1)).collect();
        let bootstrap = bootstrap(1000);
        let test = bootstrap.paired(&first, &second).unwrap();
        assert_relative_eq!(test.difference, 0.01, epsilon = 1e-12);
        assert!(test.p_value < 0.01 && test.interval.low > 0.0, "{test:?}");
        let overlap =
            bootstrap.interval(&second).unwrap().high > bootstrap.interval(&first).unwrap().low;
        assert!(overlap);
    }

    #[test]
    fn settings_outside_their_range_are_refused() {
        assert!(Bootstrap::try_from(BootstrapConfig::new(0).with_resamples(0)).is_err());
        assert!(Bootstrap::try_from(BootstrapConfig::new(0).with_level(f64::NAN)).is_err());
        assert!(serde_json::from_str::<Bootstrap>(r#"{"seed":1,"level":1.0}"#).is_err());
        assert!(serde_json::from_str::<Bootstrap>(r#"{"level":0.9}"#).is_err(), "no seed");
        assert!(serde_json::from_str::<Bootstrap>(r#"{"seed":1}"#).is_ok());
    }

    #[test]
    fn a_seed_alone_means_a_thousand_resamples_at_95_percent() {
        let config = BootstrapConfig::new(7);
        assert_eq!((config.seed, config.resamples), (7, 1000));
        assert_relative_eq!(config.level, 0.95);
        let read: Bootstrap = serde_json::from_str(r#"{"seed":7}"#).unwrap();
        assert_eq!(BootstrapConfig::from(read), config);
        let set = config.with_resamples(9).with_level(0.5);
        assert_eq!(set.resamples, 9);
        assert_relative_eq!(set.level, 0.5);
    }

    #[test]
    fn a_difference_in_every_user_has_the_smallest_p_value() {
        // All resampled differences are 1: p = 2 · (1 + 0) / (99 + 1).
        let test = bootstrap(99).paired(&[1.0; 5], &[0.0; 5]).unwrap();
        assert_relative_eq!(test.p_value, 0.02, epsilon = 1e-12);
        assert_relative_eq!(test.difference, 1.0);
        assert_relative_eq!(test.interval.low, 1.0);
        assert_relative_eq!(test.interval.high, 1.0);
        assert_relative_eq!(test.interval.level, 0.95);
        assert_eq!(test.num_users, 5);
    }

    #[test]
    fn values_that_have_no_mean_are_refused() {
        let bootstrap = bootstrap(9);
        assert_eq!(bootstrap.interval(&[]), Err(MetricError::NoUsers));
        let nan = bootstrap.interval(&[0.0, f64::NAN]);
        assert!(matches!(nan, Err(MetricError::NotFinite { index: 1, .. })));
        assert!(bootstrap.paired(&[0.0], &[f64::INFINITY]).is_err());
        assert!(bootstrap.paired(&[f64::INFINITY], &[0.0]).is_err());
        assert!(bootstrap.intervals(&[&[0.0], &[f64::NAN]]).is_err());
        let lengths = bootstrap.paired(&[0.0, 1.0], &[0.0]);
        assert_eq!(lengths, Err(MetricError::Length { what: "values", found: 1, expected: 2 }));
    }

    #[test]
    fn a_confidence_level_is_strictly_between_0_and_1() {
        for level in [0.0, 1.0, -0.5, f64::NAN] {
            let config = BootstrapConfig { level, ..BootstrapConfig::new(1) };
            assert!(Bootstrap::try_from(config).is_err(), "{level}");
        }
        let config = BootstrapConfig { level: 0.5, ..BootstrapConfig::new(1) };
        assert!(Bootstrap::try_from(config).is_ok());
    }

    #[test]
    fn columns_over_the_same_users_have_the_intervals_they_have_alone() {
        let (one, two) = ([0.0, 1.0, 0.5, 0.25], [3.0, 1.0, 4.0, 1.5]);
        let bootstrap = bootstrap(50);
        let both = bootstrap.intervals(&[&one, &two]).unwrap();
        assert_eq!(both, [bootstrap.interval(&one).unwrap(), bootstrap.interval(&two).unwrap()]);
    }
}
