use std::collections::HashSet;

use sidereal_sid::SemanticId;

/// Indices of the rollouts to keep from an oversized set: distinct ones, then repetitions, each in
/// generation order.
///
/// The *dynamic* rollout rule of SINGER (§4.3.2): draw `1.5·G` samples of a prompt and keep `G`, "as many
/// distinct items as possible". At most one copy of each Semantic ID is kept while there are others left.
///
/// ```
/// use sidereal_rl::distinct_first;
/// use sidereal_sid::SemanticId;
///
/// let drawn = [[1], [1], [2], [9], [3], [9]].map(SemanticId::from);
/// assert_eq!(distinct_first(&drawn, 4), [0, 2, 3, 4]);
/// assert_eq!(distinct_first(&drawn[..3], 4), [0, 2, 1]);
/// ```
#[must_use]
pub fn distinct_first(drawn: &[SemanticId], keep: usize) -> Vec<usize> {
    let mut seen = HashSet::new();
    let (first, again): (Vec<usize>, Vec<usize>) =
        (0..drawn.len()).partition(|index| seen.insert(&drawn[*index]));
    first.into_iter().chain(again).take(keep).collect()
}

/// As [`distinct_first`], but a hit comes before all others.
///
/// Deviation from SINGER: its paper does not say that the choice looks at the target; the public code of the
/// field does. A group whose only hit was drawn late then keeps it.
///
/// ```
/// use sidereal_rl::select_distinct;
/// use sidereal_sid::SemanticId;
///
/// let target = SemanticId::from([9]);
/// let drawn = [[1], [1], [2], [9], [3], [9]].map(SemanticId::from);
/// assert_eq!(select_distinct(&target, &drawn, 4), [3, 0, 2, 4]);
/// assert_eq!(select_distinct(&target, &drawn[..3], 4), [0, 2, 1]);
/// ```
#[must_use]
pub fn select_distinct(target: &SemanticId, drawn: &[SemanticId], keep: usize) -> Vec<usize> {
    let mut order = distinct_first(drawn, drawn.len());
    if let Some(place) = order.iter().position(|index| &drawn[*index] == target) {
        order[..=place].rotate_right(1);
    }
    order.truncate(keep);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_comes_first_then_distinct_rollouts_then_repetitions() {
        let target = SemanticId::from([9]);
        let drawn = [[1], [1], [2], [9], [3], [9]].map(SemanticId::from);
        assert_eq!(select_distinct(&target, &drawn, 9), [3, 0, 2, 4, 1, 5]);
        assert_eq!(select_distinct(&target, &drawn, 2), [3, 0]);
        // Without the label the hit has no place of its own.
        assert_eq!(distinct_first(&drawn, 9), [0, 2, 3, 4, 1, 5]);
        assert_eq!(distinct_first(&drawn, 2), [0, 2]);
    }
}
