//! Items whose vectors are near those of the history.

use ndarray::linalg::general_mat_vec_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1};
use sidereal_sid::ItemId;

use crate::history::{Decay, check_scores};
use crate::{BaselineError, Recommender};

/// Scores items by how near their vectors are to those of the history. The latest items count most.
///
/// ```text
/// score(j) = Σ_{i in history} share(i) · cos(x_i, x_j)     share(i) = decay^age(i) / Σ decay^age
/// ```
/// The last item of the history has age 0. Scores lie in `[-1, 1]`. An item whose vector is zero
/// has score 0 and adds nothing; after an empty history every score is 0. Nothing is learned: the
/// vectors are those of a text encoder, or [collaborative](crate::PpmiVectors) ones.
///
/// ```
/// use ndarray::array;
/// use sidereal_baselines::{Recommender, VectorKernel};
/// use sidereal_sid::ItemId;
///
/// let vectors = array![[2.0f32, 0.0], [0.0, 1.0], [3.0, 3.0]];
/// let model = VectorKernel::new(vectors.view(), 0.5)?;
/// let mut scores = [0.0; 3];
/// model.score(&[ItemId(1), ItemId(0)], &mut scores)?; // shares 1/3 and 2/3
/// assert!((scores[0] - 2.0 / 3.0).abs() < 1e-6 && (scores[1] - 1.0 / 3.0).abs() < 1e-6);
/// assert!((scores[2] - 0.5f32.sqrt()).abs() < 1e-6);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct VectorKernel {
    /// Rows of length 1 or 0, `[N, D]`.
    vectors: Array2<f32>,
    decay: Decay,
}

impl VectorKernel {
    /// The kernel of these item vectors, which are divided by their L2 norms.
    ///
    /// # Shapes
    /// - `vectors`: `[N, D]`; `decay`: the weight of an item relative to the next later one, `(0, 1]`
    ///
    /// # Errors
    /// [`BaselineError::Setting`] for a decay out of its range, [`BaselineError::NotFinite`] for a
    /// vector with a NaN or an infinity.
    #[allow(clippy::cast_possible_truncation, reason = "components of a unit vector are f32")]
    pub fn new(vectors: ArrayView2<'_, f32>, decay: f64) -> Result<Self, BaselineError> {
        let decay = Decay::new(decay)?;
        let mut vectors = vectors.as_standard_layout().into_owned();
        for (row, mut vector) in vectors.rows_mut().into_iter().enumerate() {
            if let Some(column) = vector.iter().position(|x| !x.is_finite()) {
                return Err(BaselineError::NotFinite { row, column, value: vector[column] });
            }
            let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                vector.mapv_inplace(|x| (f64::from(x) / norm) as f32);
            }
        }
        Ok(Self { vectors, decay })
    }
}

impl Recommender for VectorKernel {
    fn num_items(&self) -> usize {
        self.vectors.nrows()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        check_scores(scores, self.num_items())?;
        let mut user: Array1<f32> = Array1::zeros(self.vectors.ncols());
        for (item, share) in self.decay.shares(history, self.num_items())? {
            user.scaled_add(share, &self.vectors.row(item.index()));
        }
        general_mat_vec_mul(1.0, &self.vectors, &user, 0.0, &mut ArrayViewMut1::from(scores));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_empty_history_and_a_zero_vector_score_zero() {
        let model = VectorKernel::new(array![[0.0, 0.0], [1.0, 1.0]].view(), 0.6).unwrap();
        let mut scores = [9.0, 9.0];
        model.score(&[], &mut scores).unwrap();
        assert!(scores.iter().all(|score| score.abs() < 1e-12));
        model.score(&[ItemId(0)], &mut scores).unwrap();
        assert!(scores.iter().all(|score| score.abs() < 1e-12));
    }

    #[test]
    fn what_is_no_number_or_no_item_is_named() {
        let of = |vectors: &Array2<f32>, decay| VectorKernel::new(vectors.view(), decay);
        let error = of(&array![[0.0], [f32::NAN]], 0.5).unwrap_err().to_string();
        assert_eq!(error, "row 1, column 0 of the item vectors is NaN, needed a finite number");
        let model = of(&array![[1.0]], 1.0).unwrap();
        for decay in [0.0, 1.5, f64::NAN] {
            assert!(matches!(
                of(&array![[1.0]], decay),
                Err(BaselineError::Setting { field: "decay", .. })
            ));
        }
        assert!(matches!(
            model.score(&[ItemId(1)], &mut [0.0]),
            Err(BaselineError::Item { item: ItemId(1), num_items: 1 })
        ));
        assert!(matches!(
            model.score(&[], &mut [0.0; 2]),
            Err(BaselineError::NumScores { found: 2, expected: 1 })
        ));
    }
}
