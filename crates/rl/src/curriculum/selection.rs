use std::collections::HashSet;

use sidereal_sid::SemanticId;

/// Indices of the rollouts to keep from an oversized set: a hit first, then distinct ones, then
/// repetitions, each in generation order.
///
/// The *dynamic* rollout rule: draw about `1.5·G` samples of a prompt, keep `G`. At most one copy of
/// each Semantic ID is kept while there are others left.
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
    let mut seen = HashSet::new();
    let (first, again): (Vec<usize>, Vec<usize>) =
        (0..drawn.len()).partition(|index| seen.insert(&drawn[*index]));
    let is_target = |index: &usize| &drawn[*index] == target;
    let hit = first.iter().copied().find(is_target);
    let others = first.iter().copied().filter(|index| !is_target(index));
    hit.into_iter().chain(others).chain(again).take(keep).collect()
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
    }
}
