//! Axis ranges and thinning of long curves.

use std::ops::Range;

/// Largest number of stretches of a thinned curve; each draws at most two points.
const MAX_STRETCHES: usize = 300;

/// Largest number that is drawn: sums and differences of such numbers stay finite.
const LARGEST: f64 = 1e300;

/// Values closer than this share of their size are drawn as equal: an axis between them would have
/// marks that rounding cannot tell apart.
const EQUAL: f64 = 1e-9;

/// Whether a number has a place on an axis.
pub(super) fn is_drawable(value: f64) -> bool {
    value.abs() <= LARGEST // false for NaN
}

/// The range that holds all drawable values, widened by a share on both sides; `None` without any.
///
/// Equal values get a range of their own size around them, so that an axis never has length zero.
pub(super) fn range(values: impl IntoIterator<Item = f64>, margin: f64) -> Option<Range<f64>> {
    let (low, high) = values
        .into_iter()
        .filter(|value| is_drawable(*value))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return None;
    }
    let size = low.abs().max(high.abs());
    let room = if high - low > EQUAL * size {
        margin * (high - low)
    } else if size > 0.0 {
        size / 2.0
    } else {
        0.5
    };
    Some(low - room..high + room)
}

/// The unbroken stretches of a curve, thinned: of each piece of a long stretch the points with the
/// smallest and the largest `y` remain, in their order.
pub(super) fn stretches(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    points
        .split(|(x, y)| !(is_drawable(*x) && is_drawable(*y)))
        .filter(|stretch| !stretch.is_empty())
        .map(thin)
        .collect()
}

fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * MAX_STRETCHES {
        return points.to_vec();
    }
    let by_y = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    points
        .chunks(points.len().div_ceil(MAX_STRETCHES))
        .flat_map(|piece| {
            let ends = [piece.iter().min_by(by_y), piece.iter().max_by(by_y)];
            let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
            ends.sort_by(|a, b| a.0.total_cmp(&b.0));
            ends.dedup();
            ends
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_never_empty_and_always_finite() {
        for values in [
            vec![0.0],
            vec![3.0, 3.0],
            vec![-1e300, 1e300],
            vec![f64::MAX, f64::MIN],
            vec![f64::MAX],
            vec![1.0, 1.0 + f64::EPSILON],
            vec![f64::NAN, 2.0, f64::INFINITY],
        ] {
            if let Some(found) = range(values.iter().copied(), 0.05) {
                assert!(found.start.is_finite() && found.end.is_finite(), "{values:?} {found:?}");
                assert!(found.start < found.end, "{values:?} {found:?}");
            } else {
                assert!(values.iter().all(|value| value.abs() > LARGEST), "{values:?}");
            }
        }
        assert_eq!(range([f64::NAN], 0.05), None);
        assert_eq!(range([1.0, 3.0], 0.5), Some(0.0..4.0));
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|x| (f64::from(x), 1.0)).collect();
        points[4321].1 = 9.0;
        points[8765].1 = -9.0;
        let thinned = thin(&points);
        assert!(thinned.len() <= 2 * MAX_STRETCHES);
        assert!(thinned.contains(&(4321.0, 9.0)) && thinned.contains(&(8765.0, -9.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_curve_breaks_where_it_is_not_finite() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)];
        assert_eq!(stretches(&points), [vec![(0.0, 1.0)], vec![(2.0, 3.0), (3.0, 4.0)]]);
    }
}
