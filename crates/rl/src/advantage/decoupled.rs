use super::{Advantages, ZScore, is_flat};
use crate::{ObjectiveScores, RlError};

/// Advantages of several objectives: standardised apart, weighted, standardised over the batch.
///
/// ```text
/// z[m]  = z-score of objective m within each group
/// s[i]  = Σ_m weight[m] · z[m][i]
/// A[i]  = (s[i] - mean(s)) / (std(s) + eps)        over all rollouts of the batch
/// ```
/// SAGE eq 7. No objective dominates a group by its scale. A group that is flat under every
/// objective gets zeros and is reported; so is every group where the batch as a whole is flat.
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
