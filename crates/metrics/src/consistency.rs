//! Rejects values that no ranking can produce.

use std::collections::BTreeMap;

use crate::ranking::Gain;
use crate::{Metric, MetricError};

/// Checks the values of one system against each other, under one target per user.
///
/// ```text
/// 0 <= value <= max                                                (every metric)
/// value@k₁ <= value@k₂                                             (HR, NDCG and MRR, k₁ < k₂)
/// ΔHR / log2(k₂ + 1) <= NDCG@k₂ − NDCG@k₁ <= ΔHR / log2(k₁ + 2),   ΔHR = HR@k₂ − HR@k₁
/// ΔHR / k₂           <= MRR@k₂ − MRR@k₁   <= ΔHR / (k₁ + 1)
/// ```
/// The hits that are new between `k₁` and `k₂` have ranks `k₁ + 1, …, k₂`, so their gains lie
/// between the gains of these two ranks. `k₁ = 0` with values of zero is included. `tolerance` is
/// how far each value may be off: `1e-9` for computed values, half a unit of the last digit for
/// printed ones. Expected values over ties obey the same bounds.
///
/// ```
/// use sidereal_metrics::check_consistency;
/// let table = |ndcg| [("HR@5".parse().unwrap(), 0.05), ("NDCG@5".parse().unwrap(), ndcg)];
/// assert!(check_consistency(&table(0.033), 5e-4).is_ok());
/// assert!(check_consistency(&table(0.015), 5e-4).is_err()); // below 0.05 / log2(6) = 0.0193
/// ```
///
/// # Errors
/// [`MetricError::Range`], [`MetricError::DuplicateMetric`], [`MetricError::Falling`],
/// [`MetricError::Inconsistent`], [`MetricError::Setting`] for a tolerance below zero.
pub fn check_consistency(values: &[(Metric, f64)], tolerance: f64) -> Result<(), MetricError> {
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        let (field, needed) = ("tolerance", "a finite number of at least 0");
        return Err(MetricError::Setting { field, value: tolerance, needed });
    }
    let mut all = BTreeMap::new();
    for &(metric, value) in values {
        let max = metric.max();
        if !(-tolerance..=max + tolerance).contains(&value) {
            return Err(MetricError::Range { metric, value, max });
        }
        if all.insert(metric, value).is_some() {
            return Err(MetricError::DuplicateMetric { metric });
        }
    }
    // A curve is a metric at rising cut-offs; the bounds need a hit rate at the same cut-offs.
    for name in [Metric::HitRate, Metric::Ndcg, Metric::Mrr] {
        let curve: Vec<Point> = all
            .iter()
            .filter_map(|(metric, value)| {
                let (gain, k) = metric.gain()?;
                let hits = all.get(&Metric::HitRate(k)).copied();
                let point = Point { metric: *metric, k: k.get(), gain, value: *value, hits };
                (name(k) == *metric).then_some(point)
            })
            .collect();
        for (i, to) in curve.iter().enumerate() {
            check_step(None, to, tolerance)?;
            for from in curve.iter().take(i) {
                check_step(Some(from), to, tolerance)?;
            }
        }
    }
    Ok(())
}

struct Point {
    metric: Metric,
    k: usize,
    gain: Gain,
    value: f64,
    hits: Option<f64>,
}

/// Checks the step from one cut-off (`None`: from `k = 0`) to a larger one.
fn check_step(from: Option<&Point>, to: &Point, tolerance: f64) -> Result<(), MetricError> {
    let (k, before, hits_before) = match from {
        Some(point) => (point.k, point.value, point.hits),
        None => (0, 0.0, Some(0.0)),
    };
    let gain_step = to.value - before;
    if gain_step < -2.0 * tolerance {
        let (metric, value) = (to.metric, to.value);
        return Err(MetricError::Falling { metric, value, from: k, before });
    }
    let (Some(hits), Some(hits_before)) = (to.hits, hits_before) else { return Ok(()) };
    let hit_step = hits - hits_before;
    let (least, most) = ((to.gain)(to.k), (to.gain)(k + 1));
    let (low, high) = (hit_step * least, hit_step * most);
    let slack = |gain: f64| 2.0 * tolerance * (1.0 + gain);
    if gain_step < low - slack(least) || gain_step > high + slack(most) {
        return Err(MetricError::Inconsistent {
            gain: to.metric,
            from: k,
            to: to.k,
            gain_step,
            hit_step,
            low,
            high,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &[(&str, f64)]) -> Result<(), MetricError> {
        let values: Vec<_> =
            table.iter().map(|(name, value)| (name.parse().unwrap(), *value)).collect();
        check_consistency(&values, 5e-5)
    }

    #[test]
    fn published_values_pass() {
        // TIGER on Beauty, arXiv:2305.05065, table 1.
        let tiger = [("R@5", 0.0454), ("N@5", 0.0321), ("R@10", 0.0648), ("N@10", 0.0384)];
        assert_eq!(check(&tiger), Ok(()));
    }

    #[test]
    fn an_ndcg_that_rises_too_little_is_refused() {
        // 0.02 more hits at ranks 6 to 10 give at least 0.02 / log2(11) = 0.00578.
        let table = [("HR@5", 0.045), ("NDCG@5", 0.032), ("HR@10", 0.065), ("NDCG@10", 0.035)];
        assert!(matches!(check(&table), Err(MetricError::Inconsistent { from: 5, to: 10, .. })));
    }

    #[test]
    fn an_ndcg_that_rises_too_much_is_refused() {
        // At most 0.02 / log2(7) = 0.00712.
        let table = [("HR@5", 0.045), ("NDCG@5", 0.032), ("HR@10", 0.065), ("NDCG@10", 0.040)];
        assert!(matches!(check(&table), Err(MetricError::Inconsistent { from: 5, to: 10, .. })));
    }

    #[test]
    fn a_falling_hit_rate_is_refused() {
        let table = [("HR@5", 0.06), ("HR@10", 0.05)];
        assert!(matches!(check(&table), Err(MetricError::Falling { from: 5, .. })));
    }

    #[test]
    fn out_of_range_and_repeated_values_are_errors() {
        assert!(matches!(check(&[("HR@5", 1.2)]), Err(MetricError::Range { .. })));
        assert!(matches!(check(&[("AUC", f64::NAN)]), Err(MetricError::Range { .. })));
        assert!(matches!(
            check(&[("HR@5", 0.1), ("R@5", 0.1)]),
            Err(MetricError::DuplicateMetric { .. })
        ));
    }

    #[test]
    fn values_at_their_very_bounds_pass_without_tolerance() {
        // All hits at rank 2, then all at rank 1; between the two nothing new is hit.
        let at = |first: f64, mrr: f64| {
            let table = [("HR@1", first), ("HR@2", 0.5), ("MRR@1", first), ("MRR@2", mrr)];
            let values = table.map(|(name, value)| (name.parse().unwrap(), value));
            check_consistency(&values, 0.0)
        };
        assert_eq!(at(0.0, 0.25), Ok(()));
        assert_eq!(at(0.5, 0.5), Ok(()));
        assert!(at(0.0, 0.26).is_err() && at(0.5, 0.49).is_err());
    }

    #[test]
    fn a_tolerance_widens_the_bounds_by_what_both_ends_may_be_off() {
        // HR 1/2 within 2 bounds MRR by 1/4 and 1/2. Each step is off by up to 2 · 0.01, and so is
        // that of the hits, which counts by its gain: 1/2 at rank 2, 1 at rank 1.
        let mrr = |value| {
            let values = [("HR@2", 0.5), ("MRR@2", value)];
            check_consistency(&values.map(|(name, value)| (name.parse().unwrap(), value)), 0.01)
        };
        assert!(mrr(0.225).is_ok() && mrr(0.535).is_ok());
        assert!(matches!(mrr(0.215), Err(MetricError::Inconsistent { from: 0, to: 2, .. })));
        assert!(matches!(mrr(0.545), Err(MetricError::Inconsistent { from: 0, to: 2, .. })));
        let hits = |first, then| {
            let values = [("HR@1", first), ("HR@2", then)];
            check_consistency(&values.map(|(name, value)| (name.parse().unwrap(), value)), 0.01)
        };
        assert!(hits(0.5, 0.485).is_ok() && hits(0.5, 0.475).is_err());
        assert!(hits(0.5, 1.005).is_ok() && hits(0.5, 1.015).is_err());
        assert!(hits(-0.005, 0.5).is_ok() && hits(-0.015, 0.5).is_err());
    }

    #[test]
    fn a_tolerance_is_finite_and_not_below_zero() {
        for tolerance in [-1e-9, f64::NAN, f64::INFINITY] {
            let refused = check_consistency(&[], tolerance);
            assert!(matches!(refused, Err(MetricError::Setting { .. })), "{tolerance}");
        }
        assert_eq!(check_consistency(&[], 0.0), Ok(()));
    }
}
