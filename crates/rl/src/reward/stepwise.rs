use crate::{Group, Reward};

/// Partial credit that doubles with every further correct level.
///
/// ```text
/// R_step(y) = 0 for ℓ = 0, else 2^(ℓ - L)        ℓ of the L levels of y* are right, from the first on
/// ```
/// SIDReasoner eqs 6-7: 0, ¼, ½, 1 for `L = 3`. A suffix is no level ([`Group::with_levels`]). Range `[0, 1]`. Eq 8 adds a format term of weight
/// 0.1, here a reward of its own:
///
/// ```
/// use sidereal_rl::{Group, Legal, Reward, Stepwise};
/// use sidereal_sid::{Catalog, SemanticId, SidSpec};
///
/// let sids = vec![SemanticId::from([0, 0, 1]), SemanticId::from([0, 1, 0])];
/// let catalog = Catalog::new(SidSpec::new(vec![2, 2, 2], 0)?, sids.clone())?;
/// let reward = Stepwise.named("stepwise").plus(Legal::new(&catalog).named("legal").weighted(0.1));
///
/// let rollouts = [sids[0].clone(), sids[1].clone(), SemanticId::from([0, 0, 0])];
/// assert_eq!(reward.score(&Group::new(&sids[0], &rollouts)), [1.1, 0.35, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stepwise;

impl Reward for Stepwise {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let levels = group.levels();
        let credit = |len: usize| match len {
            0 => 0.0,
            _ => 0.5f64.powi(i32::try_from(levels - len).unwrap_or(i32::MAX)),
        };
        group.correct_levels().map(credit).collect()
    }
}
