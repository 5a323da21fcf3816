//! What the chains of a step are worth, and how much each is learned.

use sidereal_rl::Segments;
use tch::{Kind, Tensor};

use super::config::RecPoConfig;
use crate::TrainError;

/// Rewards and weights of the chains of a step, in the order prompt, chain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    /// Mean reward.
    pub(super) reward: f64,
    /// Mean share of the probability that the target has among all items.
    pub(super) share: f64,
    /// How much the words of each chain are learned.
    pub(super) advantages: Vec<f64>,
    /// How much the item after each chain is learned.
    pub(super) items: Vec<f64>,
}

/// Judges chains by the log-probabilities `[R, N]` of all items after each. `targets` are the items' rows, one for each
/// prompt, whose chains are adjacent.
///
/// ```text
/// A[i] = (R[i] − mean R) / (std R + eps)       within the group
/// words of chain i are learned with A[i]; its item with A[i] if chain i is among the best of its group, else with 0
/// ```
pub(super) fn judge(
    recpo: &RecPoConfig,
    logp: &Tensor,
    targets: &[usize],
) -> Result<Judged, TrainError> {
    let size = recpo.group_size;
    let of_rollout: Vec<i64> = targets
        .iter()
        .flat_map(|row| vec![i64::try_from(*row).unwrap_or(i64::MAX); size])
        .collect();
    let columns = Tensor::from_slice(&of_rollout).to_device(logp.device()).unsqueeze(1);
    let own = logp.f_gather(1, &columns, false)?; // [R, 1]
    // A target that others equal stands last among them.
    let above = logp.f_ge_tensor(&own)?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?;
    let ranks = Vec::<i64>::try_from(above)?;
    let shares = Vec::<f64>::try_from(own.f_squeeze_dim(1)?.f_to_kind(Kind::Double)?)?;
    let mut rewards = Vec::with_capacity(ranks.len());
    for (rank, logp) in ranks.iter().zip(&shares) {
        rewards.push(recpo.reward.of(usize::try_from(*rank).unwrap_or(usize::MAX), logp.exp())?);
    }
    let groups = Segments::uniform(targets.len(), size);
    let values = recpo.advantage.advantages(&rewards, &groups)?.values;
    let mut items = vec![0.0; values.len()];
    for group in groups.iter() {
        let mut order: Vec<usize> = group.collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        for rollout in order.into_iter().take(recpo.learned) {
            items[rollout] = values[rollout];
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let shares: Vec<f64> = shares.iter().map(|logp| logp.exp()).collect();
    Ok(Judged { reward: mean(&rewards), share: mean(&shares), advantages: values, items })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_judged_by_rank_and_share_within_their_group() {
        // Two prompts with two chains each; the target of the first is item 1, of the second item 0.
        let shares = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25]];
        let logp = Tensor::from_slice2(&shares).log();
        let recpo = RecPoConfig { group_size: 2, ..RecPoConfig::default() };
        let found = judge(&recpo, &logp, &[1, 0]).unwrap();
        let reward = |rank: f64, share: f64| 0.95 / (rank + 1.0).log2() + 0.05 * share;
        // The target of the second prompt ties with item 2 and stands last.
        let rewards = [reward(2.0, 0.3), reward(1.0, 0.8), reward(3.0, 0.25), reward(3.0, 0.25)];
        assert!((found.reward - rewards.iter().sum::<f64>() / 4.0).abs() < 1e-9);
        assert!((found.share - 1.6 / 4.0).abs() < 1e-9);
        let half = 0.5f64.sqrt();
        // Two values have z-scores ±1/√2, with the standard deviation of a sample; equal ones have none.
        for (found, expected) in found.advantages.iter().zip([-half, half, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6);
        }
        assert_eq!(found.items, [0.0, found.advantages[1], 0.0, 0.0]);
        let both = RecPoConfig { learned: 2, ..recpo };
        let found = judge(&both, &logp, &[1, 0]).unwrap();
        assert_eq!(found.items, found.advantages);
    }
}
