use serde::{Deserialize, Serialize};

use super::{Clip, Kl, Objective, RolloutBatch, StepSize, rollout_objective};
use crate::RlError;

/// Group sequence policy optimisation: one clipped, length-normalised ratio per rollout.
///
/// ```text
/// s[i] = exp( mean_t (new[t] - old[t]) )
/// J    = 1/R · Σ_i ( min(s[i]·A, clip(s[i], 1 - low, 1 + high)·A) - β·mean_t KL[t] )
/// dJ/d new[t] = 1/(R·len) · ( s[i]·A·1[not clipped] - β·dKL[t] )
/// ```
/// GSPO, [arXiv:2507.18071](https://arxiv.org/abs/2507.18071) eqs 5-7; the paper has no KL term, the
/// optional one here is the rollout's mean. With [`RolloutBatch::with_lengths`] the mean is a sum
/// over those lengths instead (not so the KL term). Clipping acts on whole rollouts, and because `s`
/// is a mean, its region is far narrower than a token ratio's.
///
/// ```
/// use sidereal_rl::{Gspo, RolloutBatch, Segments, StepSize};
///
/// // Log-ratios +0.1 and -0.1 cancel: s = 1 and every token has the same gradient.
/// let tokens = Segments::uniform(1, 2);
/// let batch = RolloutBatch::new(&tokens, &[-0.9, -1.1], &[-1.0, -1.0], &[2.0])?;
/// let objective = Gspo::default().objective(&batch, StepSize::of(&tokens))?;
/// assert!((objective.d_logp[0] - 1.0).abs() < 1e-12);
/// assert_eq!(objective.d_logp[0], objective.d_logp[1]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Gspo {
    /// Trust region of the sequence ratio.
    pub clip: Clip,
    /// Penalty towards the reference policy; without it none, and no reference is kept.
    pub kl: Option<Kl>,
}

impl Default for Gspo {
    /// The paper's region, 3e-4 below and 4e-4 above 1 (§5.1); no KL.
    fn default() -> Self {
        Self { clip: Clip::GSPO, kl: None }
    }
}

impl Gspo {
    /// Value, gradient and diagnostics of a batch that is all or part of a step of size `step`.
    ///
    /// # Errors
    /// [`RlError::Missing`] if there is a KL penalty and the batch has no reference log-probs;
    /// [`RlError::Step`] if `step` counts less than the batch; [`RlError::Overflow`] if the result
    /// is beyond an `f64`.
    pub fn objective(
        &self,
        batch: &RolloutBatch<'_>,
        step: StepSize,
    ) -> Result<Objective, RlError> {
        rollout_objective(batch, step, self.kl, |rollout| {
            let ratio = rollout.mean_log_ratio().exp();
            self.clip.term(ratio, rollout.advantage).per_token(rollout.length)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segments;

    #[test]
    fn given_lengths_divide_the_log_ratio_and_the_gradient() {
        let tokens = Segments::uniform(1, 2);
        let (new, old) = ([-1.0, -1.0], [-1.1, -1.3]);
        let batch = RolloutBatch::new(&tokens, &new, &old, &[1.0]).unwrap();
        let gspo = Gspo { clip: Clip::new(1.0, 9.0).unwrap(), kl: None };
        // Log-ratios 0.1 and 0.3: over two tokens their mean, over four items half of it.
        for (batch, length) in [(batch, 2.0), (batch.with_lengths(&[4]).unwrap(), 4.0)] {
            let objective = gspo.objective(&batch, StepSize::of(&tokens)).unwrap();
            let ratio = f64::exp(0.4 / length);
            assert!((objective.value - ratio).abs() < 1e-12);
            assert!(objective.d_logp.iter().all(|d| (d - ratio / length).abs() < 1e-12));
        }
    }
}
