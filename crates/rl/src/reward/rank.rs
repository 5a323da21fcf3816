use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{Group, Reward};

/// A penalty for a wrong rollout, the larger the earlier the rollout stands in its group.
///
/// Positions `p` count from 1 in generation order, so the group should be ordered best first (a
/// beam). A hit scores 0 wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RankReward {
    /// `-1 / ln(p + 1)` at position `p`: SINGER eq 7 as printed.
    ///
    /// ```text
    /// R_rank(y_p) = -1 / ln(p + 1)
    /// ```
    /// At `p = 1` this is −1.44, more than a hit is worth: unless the first rollout is the target in
    /// about half of the groups that are penalised, its mean reward is below the last one's although
    /// it is the likelier of the two (the law `first_above_last` of `laws::RewardLaws`).
    /// Range `[-1/ln 2, 0]`.
    #[default]
    Paper,
    /// In proportion to `1 / log2(p + 1)`: the penalties share one unit, and a group without a hit scores
    /// zeros.
    ///
    /// ```text
    /// R_rank(y_p) = -(1 / log2(p + 1)) / Σ_j (1 / log2(j + 1))     j over the group's positions
    /// ```
    /// The public code of this family of rewards. Range `[-1, 0]`.
    Normalised,
}

/// The first penalties as printed: a logarithm for each rollout is most of what a reward costs.
static PAPER: LazyLock<[f64; 64]> = LazyLock::new(|| std::array::from_fn(|at| paper(at + 1)));

fn paper(p: usize) -> f64 {
    -(p as f64 + 1.0).ln().recip()
}

impl Reward for RankReward {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let penalty = |p: usize| match self {
            Self::Paper => PAPER.get(p - 1).copied().unwrap_or_else(|| paper(p)),
            Self::Normalised => -(p as f64 + 1.0).log2().recip(),
        };
        let unit = match self {
            Self::Paper => 1.0,
            Self::Normalised if !group.hits().any(|hit| hit) => return vec![0.0; group.len()],
            Self::Normalised => -(1..=group.len()).map(penalty).sum::<f64>(),
        };
        let scores = (1..).zip(group.hits());
        scores.map(|(p, hit)| if hit { 0.0 } else { penalty(p) / unit }).collect()
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::SemanticId;

    use super::*;

    #[test]
    fn normalised_penalties_of_a_group_with_a_hit_share_one_unit() {
        let target = SemanticId::from([1]);
        let rollouts = [SemanticId::from([2]), SemanticId::from([1]), SemanticId::from([3])];
        let scores = RankReward::Normalised.score(&Group::new(&target, &rollouts));
        // 1/log2(2) = 1, 1/log2(3) = 0.63093, 1/log2(4) = 0.5: sum 2.13093
        let sum = 1.0 + 3f64.log2().recip() + 0.5;
        for (score, expected) in scores.iter().zip([-1.0 / sum, 0.0, -0.5 / sum]) {
            assert!((score - expected).abs() < 1e-15);
        }
        assert_eq!(RankReward::Normalised.score(&Group::new(&target, &rollouts[..1])), [0.0]);
    }

    #[test]
    fn the_papers_penalty_is_its_formula_at_any_position() {
        let target = SemanticId::from([1]);
        let rollouts = vec![SemanticId::from([2]); 70];
        let scores = RankReward::Paper.score(&Group::new(&target, &rollouts));
        for (score, p) in scores.iter().zip(1u8..) {
            let expected = -1.0 / (f64::from(p) + 1.0).ln();
            assert!((score - expected).abs() < 1e-15, "position {p}: {score}");
        }
        assert_eq!(scores.len(), 70);
    }
}
