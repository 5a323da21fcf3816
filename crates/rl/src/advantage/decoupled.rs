use super::{Advantages, ZScore, is_flat};
use crate::{ObjectiveScores, RlError};

/// Advantages of several objectives: each objective is standardised by itself, and their weighted
/// sum is standardised over the batch.
///
/// ```text
/// z[m]  = z-score of objective m within each group
/// s[i]  = Σ_m weight[m] · z[m][i]
/// A[i]  = (s[i] - mean(s)) / (std(s) + eps)        over all rollouts of the batch
/// ```
/// SAGE eq 7. No objective dominates a group by its scale. A group that is flat under every
/// objective gets zeros and is reported; so is every group if the batch as a whole is flat.
///
/// # Shapes
/// `M` objectives over `R` rollouts; returns `[R]`. The mean of `s` is 0 up to rounding, because the
/// z-scores of each group sum to 0.
///
/// # Errors
/// [`RlError::Length`], [`RlError::Reward`], [`RlError::Setting`] for a weight that is not finite,
/// [`RlError::Overflow`].
pub fn decoupled_advantages(
    scores: &ObjectiveScores,
    z_score: ZScore,
) -> Result<Advantages, RlError> {
    scores.check()?;
    let groups = &scores.groups;
    let mut sums = vec![0.0; groups.total()];
    let mut flat_under = vec![0usize; groups.len()];
    for (rewards, weight) in scores.rewards.iter().zip(&scores.weights) {
        let objective = z_score.advantages(rewards, groups)?;
        sums.iter_mut().zip(&objective.values).for_each(|(sum, z)| *sum += weight * z);
        objective.flat_groups.iter().for_each(|group| flat_under[*group] += 1);
    }
    if let Some(at) = sums.iter().position(|sum| !sum.is_finite()) {
        let index = groups.locate(at).0;
        return Err(RlError::Overflow { what: "advantage", unit: "group", index });
    }
    let mut values = vec![0.0; sums.len()];
    if is_flat(&sums) || !z_score.standardise(&sums, &mut values) {
        values.fill(0.0);
        return Ok(Advantages { values, flat_groups: (0..groups.len()).collect() });
    }
    let mut flat_groups = Vec::new();
    for (group, range) in groups.iter().enumerate() {
        if flat_under[group] == scores.rewards.len() {
            values[range].fill(0.0);
            flat_groups.push(group);
        }
    }
    Ok(Advantages { values, flat_groups })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segments;

    #[test]
    fn a_group_is_flat_only_if_it_is_flat_under_every_objective() {
        // z of the first objective: ±1, 0, ∓1; the second is flat throughout. Sums 2, -2, 0, 0, -2, 2
        // with mean 0 and variance 16/6.
        let pairs = Segments::uniform(3, 2);
        let rewards = vec![vec![1.0, 0.0, 1.0, 1.0, 0.0, 1.0], vec![0.5; 6]];
        let names = vec!["one".to_owned(), "two".to_owned()];
        let scores = ObjectiveScores::new(names, vec![2.0, 1.0], rewards, pairs).unwrap();
        let z = ZScore::new(0, 0.0).unwrap();
        let advantages = decoupled_advantages(&scores, z).unwrap();
        let one = 1.5f64.sqrt();
        for (value, expected) in advantages.values.iter().zip([one, -one, 0.0, 0.0, -one, one]) {
            assert!((value - expected).abs() < 1e-12, "{advantages:?}");
        }
        assert_eq!(advantages.flat_groups, [1]);
    }

    #[test]
    fn a_batch_of_equal_rewards_has_zero_advantages() {
        let scores = ObjectiveScores::new(
            vec!["one".to_owned()],
            vec![1.0],
            vec![vec![0.5; 4]],
            Segments::uniform(2, 2),
        );
        let advantages = decoupled_advantages(&scores.unwrap(), ZScore::TRL).unwrap();
        assert_eq!(advantages.values, [0.0; 4]);
        assert_eq!(advantages.flat_groups, [0, 1]);
    }

    #[test]
    fn a_weight_that_leads_out_of_range_names_the_group() {
        let rewards = vec![vec![0.5, 0.5, 1.0, 0.0]; 2];
        let names = vec!["one".to_owned(), "two".to_owned()];
        let weights = vec![f64::MAX; 2];
        let scores =
            ObjectiveScores::new(names, weights, rewards, Segments::uniform(2, 2)).unwrap();
        assert_eq!(
            decoupled_advantages(&scores, ZScore::new(0, 0.0).unwrap()),
            Err(RlError::Overflow { what: "advantage", unit: "group", index: 1 })
        );
    }
}
