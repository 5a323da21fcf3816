//! Clusters of places that eigenvectors give.

use linfa_linalg::LinalgError;
use linfa_linalg::svd::SVD;
use ndarray::{Array2, Axis};

/// A pivot whose length is below this share of the first is a rounding error.
const NEGLIGIBLE: f64 = 1e-9;

/// The cluster of each row of `places` `[n, k]`, below `k`; `None` for a row of zeros.
///
/// ```text
/// C = the k rows that QR with column pivoting of placesᵀ takes first, [k, k]
/// Cᵀ = P H, P orthogonal (the polar decomposition)
/// cluster(i) = argmax over j of |(places P)[i, j]|
/// ```
/// Damle, Minden and Ying, *Simple, direct and efficient multi-way spectral clustering*, Information and
/// Inference 8 (2019): it needs no start and no iterations. It does not depend on the signs of the
/// eigenvectors, nor on which of several with one eigenvalue were found. If the rows span fewer than `k`
/// directions, there are as few clusters.
pub(super) fn clusters(places: &Array2<f64>) -> Result<Vec<Option<usize>>, LinalgError> {
    let pivots = pivots(places);
    if pivots.is_empty() {
        return Ok(vec![None; places.nrows()]);
    }
    let chosen = places.select(Axis(0), &pivots).reversed_axes(); // [k, r]
    let (left, _, right) = chosen.svd(true, true)?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(vec![None; places.nrows()]) };
    let rank = pivots.len();
    let polar = left.slice(ndarray::s![.., ..rank]).dot(&right.slice(ndarray::s![..rank, ..])); // [k, r]
    let along = places.dot(&polar); // [n, r]
    let cluster = |row: ndarray::ArrayView1<'_, f64>| {
        let mut best = None;
        for (cluster, value) in row.iter().map(|value| value.abs()).enumerate() {
            if value > 0.0 && best.is_none_or(|(_, most)| value > most) {
                best = Some((cluster, value));
            }
        }
        best.map(|(cluster, _)| cluster)
    };
    Ok(along.rows().into_iter().map(cluster).collect())
}

/// The rows that a QR decomposition of the transpose with column pivoting takes first: each is the longest
/// after all earlier ones are projected out.
fn pivots(places: &Array2<f64>) -> Vec<usize> {
    let mut left = places.clone();
    let mut pivots = Vec::new();
    let mut first = 0.0;
    for _ in 0..places.ncols().min(places.nrows()) {
        let lengths = left.rows().into_iter().map(|row| row.dot(&row)).enumerate();
        let longest =
            lengths.fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
        let length = longest.1.sqrt();
        if first <= 0.0 {
            first = length;
        }
        if length <= NEGLIGIBLE * first || length <= 0.0 {
            break;
        }
        pivots.push(longest.0);
        let direction = left.row(longest.0).mapv(|value| value / length);
        for mut row in left.rows_mut() {
            let along = direction.dot(&row);
            row.scaled_add(-along, &direction);
        }
    }
    pivots
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_along_orthogonal_directions_are_told_apart_and_zeros_belong_nowhere() {
        // Two directions, turned by an angle.
        let (cos, sin) = (0.8, 0.6);
        let places = array![
            [cos, sin],
            [-0.5 * sin, 0.5 * cos],
            [-0.9 * cos, -0.9 * sin],
            [0.0, 0.0],
            [-0.7 * sin, 0.7 * cos + 0.05]
        ];
        let found = clusters(&places).unwrap();
        assert!(found[0] == found[2] && found[1] == found[4] && found[0] != found[1]);
        assert_eq!(found[3], None);
        // Only one direction: one cluster.
        let found = clusters(&array![[1.0, 1.0], [2.0, 2.0]]).unwrap();
        assert_eq!(found, [Some(0), Some(0)]);
        assert_eq!(clusters(&Array2::zeros((2, 3))).unwrap(), [None, None]);
    }
}
