use super::{Normalise, StepSize};
use crate::{RlError, Segments};

/// An entropy bonus and its gradient, to be added to an objective.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EntropyBonus {
    /// The batch's share of the bonus.
    pub value: f64,
    /// `d value / d entropy`, `[N]`: the same for every token of a rollout.
    pub d_entropy: Vec<f64>,
}

/// The bonus `coef · H` on the policy's token entropies, averaged as the objective is.
///
/// ```text
/// J_H = coef · Σ_t w[t]·H[t]            dJ_H/dH[t] = coef · w[t]
/// ```
/// Entropy depends on all logits of a position, not on the log-prob of the sampled token, so it is
/// a separate term: a trainer adds `(entropy * d_entropy).sum()` to `(logp * d_logp).sum()`.
///
/// # Shapes
/// `entropies`: `[N]`, nats, cut by `tokens` into `R` rollouts.
///
/// # Errors
/// [`RlError::Length`]; [`RlError::Token`] on NaN or infinity; [`RlError::Setting`] for such a
/// coefficient; [`RlError::Step`]; [`RlError::Overflow`].
///
/// ```
/// use sidereal_rl::{Normalise, Segments, StepSize, entropy_bonus};
///
/// let tokens = Segments::from_lens([2, 1]);
/// let step = StepSize::of(&tokens);
/// let bonus = entropy_bonus(&[1.0, 3.0, 4.0], &tokens, 0.5, Normalise::Sequence, step)?;
/// assert_eq!(bonus.value, 0.5 * (2.0 + 4.0) / 2.0);
/// assert_eq!(bonus.d_entropy, [0.125, 0.125, 0.25]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
pub fn entropy_bonus(
    entropies: &[f64],
    tokens: &Segments,
    coef: f64,
    normalise: Normalise,
    step: StepSize,
) -> Result<EntropyBonus, RlError> {
    super::batch::check_tokens("entropies", entropies, tokens)?;
    let coef = RlError::setting("entropy coef", coef, "a finite value", f64::is_finite)?;
    step.check_contains(tokens)?;
    let mut value = 0.0;
    let mut d_entropy = vec![0.0; entropies.len()];
    for (rollout, range) in tokens.iter().enumerate() {
        let weight = coef * normalise.token_weight(range.len(), step);
        let share = weight * entropies[range.clone()].iter().sum::<f64>();
        d_entropy[range].fill(weight);
        value += share;
        if !value.is_finite() {
            let (what, unit) = ("entropy bonus", "rollout");
            return Err(RlError::Overflow { what, unit, index: rollout });
        }
    }
    Ok(EntropyBonus { value, d_entropy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bonus_weighs_entropies_as_the_objective_weighs_tokens() {
        let tokens = Segments::from_lens([2, 0, 1]);
        let step = StepSize::of(&tokens);
        let bonus =
            |normalise| entropy_bonus(&[1.0, 3.0, 4.0], &tokens, 0.5, normalise, step).unwrap();
        let by_rollout = bonus(Normalise::Sequence);
        // ½ · (2 + 0 + 4) / 3, and 8 / 3 · ½
        assert!((by_rollout.value - 1.0).abs() < 1e-12);
        for (found, expected) in by_rollout.d_entropy.iter().zip([1.0, 1.0, 2.0]) {
            assert!((found - expected / 12.0).abs() < 1e-12, "{by_rollout:?}");
        }
        let by_token = bonus(Normalise::Token);
        assert!((by_token.value - 4.0 / 3.0).abs() < 1e-12);
        assert!(by_token.d_entropy.iter().all(|slope| (slope - 1.0 / 6.0).abs() < 1e-12));
    }

    #[test]
    fn a_bonus_that_cannot_be_computed_is_refused() {
        let tokens = Segments::from_lens([1, 1]);
        let step = StepSize::of(&tokens);
        let of = |entropies: &[f64], coef, step| {
            entropy_bonus(entropies, &tokens, coef, Normalise::Sequence, step).unwrap_err()
        };
        assert!(matches!(of(&[1.0, 1.0], f64::NAN, step), RlError::Setting { .. }));
        assert!(matches!(of(&[1.0, f64::NAN], 1.0, step), RlError::Token { rollout: 1, .. }));
        assert!(matches!(of(&[1.0], 1.0, step), RlError::Length { .. }));
        let small = StepSize { rollouts: 1, tokens: 1 };
        assert!(matches!(of(&[1.0, 1.0], 1.0, small), RlError::Step { .. }));
        let huge = of(&[1.0, f64::MAX], f64::MAX, step);
        assert!(matches!(huge, RlError::Overflow { index: 1, .. }), "{huge}");
    }
}
