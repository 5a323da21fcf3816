//! Least-squares fits of a polynomial to points.

use crate::MetricError;

/// A polynomial of least squares through points, and how much of their variance it explains.
///
/// ```text
/// minimise Σ (y - p(x))²       R² = 1 - Σ (y - p(x))² / Σ (y - mean(y))²
/// ```
/// ```
/// use sidereal_metrics::PolynomialFit;
///
/// let line = PolynomialFit::new(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], 1)?;
/// assert!((line.at(10.0) - 21.0).abs() < 1e-9);
/// assert!((line.r_squared.unwrap() - 1.0).abs() < 1e-12);
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PolynomialFit {
    /// Coefficients of the powers 0, 1, … of `x`.
    pub coefficients: Vec<f64>,
    /// Share of the variance of `y` that the fit explains, at most 1; `None` where all `y` are equal.
    pub r_squared: Option<f64>,
}

impl PolynomialFit {
    /// The fit of a polynomial of `degree` to points `(x, y)`.
    ///
    /// # Errors
    /// [`MetricError::Fit`] for fewer different `x` than coefficients, and for numbers that are not finite.
    pub fn new(points: &[(f64, f64)], degree: usize) -> Result<Self, MetricError> {
        let refused = MetricError::Fit { points: points.len(), degree };
        let mut places: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let finite = points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
        if places.len() <= degree || !finite {
            return Err(refused);
        }
        let count = points.len() as f64;
        // Powers of large numbers are nearly parallel; those of centred and scaled ones are not.
        let centre = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let scale = points.iter().map(|(x, _)| (x - centre).abs()).fold(0.0, f64::max);
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let powers = |x: f64| -> Vec<f64> {
            let z = (x - centre) / scale;
            std::iter::successors(Some(1.0), |power| Some(power * z)).take(degree + 1).collect()
        };
        let mut system = vec![vec![0.0; degree + 2]; degree + 1];
        for (x, y) in points {
            let powers = powers(*x);
            for (row, a) in system.iter_mut().zip(&powers) {
                row.iter_mut().zip(powers.iter().chain([y])).for_each(|(sum, b)| *sum += a * b);
            }
        }
        let scaled = solve(system).ok_or(refused)?;
        let coefficients = expanded(&scaled, centre, scale);
        let mean = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let spread: f64 = points.iter().map(|(_, y)| (y - mean).powi(2)).sum();
        let of_fit =
            |x: f64| -> f64 { scaled.iter().zip(powers(x)).map(|(c, power)| c * power).sum() };
        let left: f64 = points.iter().map(|(x, y)| (y - of_fit(*x)).powi(2)).sum();
        let r_squared = (spread > 0.0).then(|| 1.0 - left / spread);
        Ok(Self { coefficients, r_squared })
    }

    /// The value of the polynomial at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.coefficients.iter().rev().fold(0.0, |value, coefficient| value * x + coefficient)
    }
}

/// The solution of a system of equations with its right sides in the last column, by elimination with pivots.
fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < f64::EPSILON {
            return None;
        }
        let pivot = rows[column].clone();
        for (row, values) in rows.iter_mut().enumerate() {
            if row != column {
                let factor = values[column] / pivot[column];
                values.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
    }
    Some((0..size).map(|row| rows[row][size] / rows[row][row]).collect())
}

/// Coefficients of the powers of `x` from those of the powers of `(x - centre) / scale`, by Horner's rule.
fn expanded(scaled: &[f64], centre: f64, scale: f64) -> Vec<f64> {
    let mut sum = vec![0.0; scaled.len()];
    for coefficient in scaled.iter().rev() {
        let below = [0.0].into_iter().chain(sum.clone());
        sum = sum.iter().zip(below).map(|(own, below)| (below - centre * own) / scale).collect();
        sum[0] += coefficient;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of squares that are left by a polynomial.
    fn left(points: &[(f64, f64)], fit: &PolynomialFit) -> f64 {
        points.iter().map(|(x, y)| (y - fit.at(*x)).powi(2)).sum()
    }

    #[test]
    fn a_polynomial_is_found_again_far_from_zero_too() {
        for offset in [0.0, 18.0, -40.0] {
            let of = |x: f64| 0.5 - 0.25 * (x - offset) + 0.125 * (x - offset).powi(2);
            let points: Vec<_> =
                (0..6).map(|i| offset + 0.7 * f64::from(i)).map(|x| (x, of(x))).collect();
            let fit = PolynomialFit::new(&points, 2).unwrap();
            assert!(points.iter().all(|(x, y)| (fit.at(*x) - y).abs() < 1e-9), "{fit:?}");
            assert!((fit.at(offset + 9.0) - of(offset + 9.0)).abs() < 1e-7);
            assert!((fit.r_squared.unwrap() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_line_has_the_slope_and_the_share_of_the_textbook() {
        let points = [(16.0, 0.020), (17.0, 0.041), (18.0, 0.052), (19.0, 0.070), (19.5, 0.071)];
        let fit = PolynomialFit::new(&points, 1).unwrap();
        // Covariance over variance, and the squared correlation.
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / 5.0;
        let (mx, my) = (mean(&|p| p.0), mean(&|p| p.1));
        let cov = mean(&|p| (p.0 - mx) * (p.1 - my));
        let (vx, vy) = (mean(&|p| (p.0 - mx).powi(2)), mean(&|p| (p.1 - my).powi(2)));
        assert!((fit.coefficients[1] - cov / vx).abs() < 1e-12);
        assert!((fit.at(mx) - my).abs() < 1e-12);
        assert!((fit.r_squared.unwrap() - cov * cov / (vx * vy)).abs() < 1e-9);
    }

    #[test]
    fn no_other_polynomial_leaves_less_and_a_higher_degree_explains_more() {
        let points = [(1.0, 0.3), (2.0, 0.1), (3.0, 0.7), (5.0, 0.4), (8.0, 0.9)];
        let mut last = 0.0;
        for degree in 0..=4 {
            let fit = PolynomialFit::new(&points, degree).unwrap();
            for index in 0..=degree {
                for step in [-1e-4, 1e-4] {
                    let mut other = fit.clone();
                    other.coefficients[index] += step;
                    assert!(left(&points, &other) >= left(&points, &fit) - 1e-12);
                }
            }
            let explained = fit.r_squared.unwrap();
            assert!(explained >= last - 1e-9 && explained <= 1.0 + 1e-9, "{degree}: {explained}");
            last = explained;
        }
        assert!((last - 1.0).abs() < 1e-6, "as many coefficients as points");
    }

    #[test]
    fn what_no_polynomial_or_many_fit_is_refused() {
        for (points, degree) in [
            (&[][..], 0),
            (&[(1.0, 2.0)], 1),
            (&[(1.0, 2.0), (1.0, 3.0)], 1),
            (&[(1.0, f64::NAN), (2.0, 3.0)], 1),
        ] {
            let error = PolynomialFit::new(points, degree).unwrap_err();
            assert_eq!(error, MetricError::Fit { points: points.len(), degree });
        }
        let flat = PolynomialFit::new(&[(1.0, 2.0), (2.0, 2.0)], 1).unwrap();
        assert_eq!(flat.r_squared, None);
    }
}
