//! Item embeddings of text and behaviour together.

use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::VectorError;
use crate::spectral::narrow;

/// Item embeddings of content and behaviour: `[text / |text|, weight · collaborative]`.
///
/// A squared distance is then the sum of a textual one and `weight²` times a collaborative one.
/// With weight 1.0 both count the same for [`PpmiVectors`](crate::PpmiVectors) and
/// [`TransitionVectors`](crate::TransitionVectors), whose rows have length 1. Rows of `text` are
/// divided by their L2 norm, zero rows stay zero; `collaborative` is taken as it is.
///
/// # Shapes
/// - `text`: `[N, E]`, `collaborative`: `[N, D]`; returns `[N, E + D]`
///
/// # Errors
/// [`VectorError::Rows`] if the numbers of rows differ; [`VectorError::NotFinite`] on NaN or ∞;
/// [`VectorError::Setting`] unless `weight` is finite and not negative.
pub fn concat_embeddings(
    text: ArrayView2<'_, f32>,
    collaborative: ArrayView2<'_, f32>,
    weight: f32,
) -> Result<Array2<f32>, VectorError> {
    if text.nrows() != collaborative.nrows() {
        return Err(VectorError::Rows { found: collaborative.nrows(), expected: text.nrows() });
    }
    if !(weight >= 0.0 && weight.is_finite()) {
        let needed = "a finite number, 0 or more";
        return Err(VectorError::Setting { field: "weight", found: weight.into(), needed });
    }
    let mut text = text.to_owned();
    let collaborative = collaborative.mapv(|x| weight * x);
    for (matrix, values) in [("text", &text), ("weighted collaborative", &collaborative)] {
        if let Some(((row, column), value)) = values.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return Err(VectorError::NotFinite { matrix, row, column, value: *value });
        }
    }
    for mut row in text.rows_mut() {
        let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|x| narrow(f64::from(x) / norm));
        }
    }
    Ok(concatenate(Axis(1), &[text.view(), collaborative.view()])?)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn text_is_normalised_and_the_rest_weighted() {
        let text = array![[3.0, 4.0], [0.0, 0.0]];
        let collaborative = array![[1.0], [-0.5]];
        let joined = concat_embeddings(text.view(), collaborative.view(), 2.0).unwrap();
        assert_eq!(joined, array![[0.6, 0.8, 2.0], [0.0, 0.0, -1.0]]);
    }

    #[test]
    fn ragged_rows_and_invalid_numbers_are_errors() {
        let (one, two) = (array![[1.0_f32]], array![[1.0_f32], [f32::NAN]]);
        let join = |a: &Array2<f32>, b: &Array2<f32>, weight| {
            concat_embeddings(a.view(), b.view(), weight).unwrap_err().to_string()
        };
        assert_eq!(
            join(&one, &two, 1.0),
            "there are 2 rows of collaborative vectors, but text embeddings of 1 items"
        );
        assert_eq!(
            join(&two, &two, 1.0),
            "row 1, column 0 of the text matrix is NaN; expected a finite number"
        );
        assert_eq!(join(&one, &one, -1.0), "weight is -1; expected a finite number, 0 or more");
        assert_eq!(
            join(&one, &array![[10.0]], f32::MAX),
            "row 0, column 0 of the weighted collaborative matrix is inf; expected a finite number"
        );
    }
}
