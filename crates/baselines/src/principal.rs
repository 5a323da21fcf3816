//! Principal components of embeddings, plain and whitened.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::VectorError;
use crate::spectral::{eigen, narrow, product, transposed_product};

/// Singular values below this share of the largest are rounding errors.
const NEGLIGIBLE: f64 = 1e-7;

/// The leading principal directions of embeddings, such as those of item texts.
///
/// ```text
/// X - mean = U diag(S) Vᵀ          S falling, the k leading directions kept
/// project(x) = (x - mean) V                  the fitted rows become U·S
/// whiten(x)  = (x - mean) V / S · sqrt(N/k)  the fitted rows become U·sqrt(N/k)
/// ```
/// Projected rows keep the distances of the embeddings as well as `k` numbers can. Whitened rows
/// have the same spread `1/sqrt(k)` in every direction, so the root mean square of their lengths is
/// 1, which is a good input for a model. Directions beyond the rank of the embeddings are zero in
/// both. Rows of new items are projected by the same directions.
///
/// The directions are those of the exact eigenvalue decomposition of `XᵀX`: time is
/// `O(N · D² + D³)`. Signs, and rotations among equal singular values, mean nothing.
///
/// ```
/// use ndarray::array;
/// use sidereal_baselines::PrincipalComponents;
///
/// // All that varies is along (1, 1).
/// let rows = array![[0.0f32, 1.0, 5.0], [1.0, 2.0, 5.0], [2.0, 3.0, 5.0]];
/// let components = PrincipalComponents::fit(rows.view(), 2)?;
/// let projected = components.project(rows.view())?; // [3, 2]
/// assert!((projected[[0, 0]] - projected[[2, 0]]).abs() - 8f32.sqrt() < 1e-5);
/// assert!(projected.column(1).iter().all(|x| x.abs() < 1e-5));
/// assert!((components.explained() - 1.0).abs() < 1e-9);
/// # Ok::<(), sidereal_baselines::VectorError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalComponents {
    mean: Array1<f64>,
    /// Orthonormal columns, zero beyond the rank: `[D, k]`.
    directions: Array2<f64>,
    /// `[k]`, falling, zero beyond the rank.
    singular_values: Vec<f64>,
    num_rows: usize,
    explained: f64,
}

impl PrincipalComponents {
    /// The `dimensions` leading directions of `embeddings`.
    ///
    /// # Shapes
    /// - `embeddings`: `[N, D]`
    ///
    /// # Errors
    /// [`VectorError::Setting`] unless `1 <= dimensions <= D`, [`VectorError::NotFinite`] on NaN or
    /// ∞, [`VectorError::Linalg`].
    pub fn fit(embeddings: ArrayView2<'_, f32>, dimensions: usize) -> Result<Self, VectorError> {
        let (num_rows, width) = embeddings.dim();
        if !(1..=width).contains(&dimensions) {
            return Err(VectorError::Setting {
                field: "dimensions",
                found: dimensions as f64,
                needed: "at least 1 and at most the width of the embeddings",
            });
        }
        check(embeddings)?;
        let mean =
            embeddings.mapv(f64::from).mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(width));
        let centred = centred(embeddings, &mean);
        let (values, vectors) = eigen(transposed_product(centred.view(), centred.view()))?;
        let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
        let mut singular_values: Vec<f64> =
            values.iter().take(dimensions).map(|value| value.max(0.0).sqrt()).collect();
        let largest = singular_values.first().copied().unwrap_or(0.0);
        let mut directions = vectors.slice(ndarray::s![.., ..dimensions]).to_owned();
        for (value, mut column) in singular_values.iter_mut().zip(directions.columns_mut()) {
            if *value <= NEGLIGIBLE * largest {
                *value = 0.0;
                column.fill(0.0);
            }
        }
        let kept: f64 = singular_values.iter().map(|value| value.powi(2)).sum();
        let explained = if total > 0.0 { (kept / total).min(1.0) } else { 1.0 };
        Ok(Self { mean, directions, singular_values, num_rows, explained })
    }

    /// Rows in terms of the principal directions, `U·S` for the fitted ones.
    ///
    /// # Shapes
    /// - `rows`: `[M, D]`; returns `[M, k]`
    ///
    /// # Errors
    /// [`VectorError::Width`] for rows of another width, [`VectorError::NotFinite`] on NaN or ∞.
    pub fn project(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, VectorError> {
        Ok(self.coordinates(rows)?.mapv(narrow))
    }

    /// Rows in terms of the principal directions, of the same spread in each: `U·sqrt(N/k)` for the
    /// fitted ones.
    ///
    /// # Shapes
    /// - `rows`: `[M, D]`; returns `[M, k]`
    ///
    /// # Errors
    /// Those of [`project`](Self::project).
    pub fn whiten(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, VectorError> {
        let spread = (self.num_rows as f64 / self.singular_values.len() as f64).sqrt();
        let scale = self.singular_values.iter().map(|s| if *s > 0.0 { spread / s } else { 0.0 });
        Ok((self.coordinates(rows)? * Array1::from_iter(scale)).mapv(narrow))
    }

    /// Singular values of the centred embeddings, falling; 0 beyond their rank.
    #[must_use]
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// Share of the variance that the directions keep, in `[0, 1]`.
    #[must_use]
    pub const fn explained(&self) -> f64 {
        self.explained
    }

    fn coordinates(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f64>, VectorError> {
        let (found, expected) = (rows.ncols(), self.mean.len());
        if found != expected {
            return Err(VectorError::Width { found, expected });
        }
        check(rows)?;
        Ok(product(centred(rows, &self.mean).view(), self.directions.view()))
    }
}

fn centred(rows: ArrayView2<'_, f32>, mean: &Array1<f64>) -> Array2<f64> {
    rows.mapv(f64::from) - mean
}

fn check(rows: ArrayView2<'_, f32>) -> Result<(), VectorError> {
    match rows.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((row, column), value)) => {
            Err(VectorError::NotFinite { matrix: "embedding", row, column, value: *value })
        }
        None => Ok(()),
    }
}
