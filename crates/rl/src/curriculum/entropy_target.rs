use serde::{Deserialize, Serialize};

use crate::RlError;

/// Running mean of the policy's entropy, SAGE's `H̄`, in nats.
///
/// ```text
/// H̄ <- (1 - rate)·H̄ + rate·mean(H of the step's rollouts)        the first step sets H̄
/// ```
/// SAGE calls it an exponential moving average and gives no rate, so it has none by default. Its
/// algorithm 1 updates `H̄` at the end of a step (line 35): a step is judged by the mean of those
/// before it.
/// Serialisable: it belongs in a checkpoint.
///
/// ```
/// use sidereal_rl::RunningEntropy;
///
/// let mut target = RunningEntropy::new(0.1)?;
/// assert_eq!(target.value(), None);
/// target.update(&[2.0, 4.0])?;
/// assert_eq!(target.update(&[4.0])?, Some(3.1));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawRunningEntropy", into = "RawRunningEntropy")]
pub struct RunningEntropy {
    rate: f64,
    value: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRunningEntropy {
    rate: f64,
    value: Option<f64>,
}

impl RunningEntropy {
    /// A running mean that moves by `rate`, in `(0, 1]`, of the distance at each step.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside that range.
    pub fn new(rate: f64) -> Result<Self, RlError> {
        let rate = RlError::setting("rate", rate, "a value in (0, 1]", |v| v > 0.0 && v <= 1.0)?;
        Ok(Self { rate, value: None })
    }

    /// The current mean; `None` before the first step.
    #[must_use]
    pub const fn value(&self) -> Option<f64> {
        self.value
    }

    /// Takes in the entropies of a step's rollouts, `[R]`, and returns the new mean. A step without
    /// rollouts changes nothing.
    ///
    /// # Errors
    /// [`RlError::Rollout`] on NaN or infinity; the mean then stays as it was.
    pub fn update(&mut self, entropies: &[f64]) -> Result<Option<f64>, RlError> {
        if let Some(rollout) = entropies.iter().position(|entropy| !entropy.is_finite()) {
            let (what, found) = ("entropy", entropies[rollout]);
            return Err(RlError::Rollout { what, rollout, found });
        }
        if !entropies.is_empty() {
            let step = crate::advantage::mean(entropies);
            let moved = |old: f64| (1.0 - self.rate) * old + self.rate * step;
            self.value = Some(self.value.map_or(step, moved));
        }
        Ok(self.value)
    }
}

impl TryFrom<RawRunningEntropy> for RunningEntropy {
    type Error = RlError;

    fn try_from(raw: RawRunningEntropy) -> Result<Self, RlError> {
        let mut running = Self::new(raw.rate)?;
        running.update(raw.value.as_slice())?;
        Ok(running)
    }
}

impl From<RunningEntropy> for RawRunningEntropy {
    fn from(running: RunningEntropy) -> Self {
        Self { rate: running.rate, value: running.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_moves_by_the_rate_and_survives_a_checkpoint() {
        let mut running = RunningEntropy::new(0.25).unwrap();
        assert_eq!(running.update(&[]).unwrap(), None);
        assert_eq!(running.update(&[2.0, 4.0]).unwrap(), Some(3.0));
        // 3/4 · 3 + 1/4 · 7
        assert_eq!(running.update(&[7.0]).unwrap(), Some(4.0));
        assert_eq!(running.update(&[]).unwrap(), Some(4.0));
        let text = serde_json::to_string(&running).unwrap();
        assert_eq!(serde_json::from_str::<RunningEntropy>(&text).unwrap(), running);
        assert_eq!(running.value(), Some(4.0));
    }

    #[test]
    fn a_rate_is_above_zero_and_at_most_one() {
        assert!(RunningEntropy::new(1.0).is_ok());
        for rate in [0.0, -0.5, 1.5, f64::NAN] {
            assert!(RunningEntropy::new(rate).is_err(), "{rate}");
        }
    }
}
