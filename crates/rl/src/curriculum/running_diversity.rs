use serde::{Deserialize, Serialize};

use crate::RlError;

/// Running mean of the diversity of rollouts, SAGE's `H̄`, in nats where diversity is an entropy.
///
/// ```text
/// H̄ <- (1 - rate)·H̄ + rate·mean(H(S) of the step's rollouts)        the first step sets H̄
/// ```
/// SAGE calls it an exponential moving average and gives no rate, so it has none by default. Its
/// algorithm 1 updates `H̄` at the end of a step (line 35): a step is judged by the mean of those
/// before it.
/// Serialisable: it belongs in a checkpoint.
///
/// ```
/// use sidereal_rl::RunningDiversity;
///
/// let mut target = RunningDiversity::new(0.1)?;
/// assert_eq!(target.value(), None);
/// target.update(&[2.0, 4.0])?;
/// assert_eq!(target.update(&[4.0])?, Some(3.1));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawRunningDiversity", into = "RawRunningDiversity")]
pub struct RunningDiversity {
    rate: f64,
    value: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRunningDiversity {
    rate: f64,
    value: Option<f64>,
}

impl RunningDiversity {
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

    /// Takes in the diversities of a step's rollouts, `[R]`, and returns the new mean. A step without
    /// rollouts changes nothing.
    ///
    /// # Errors
    /// [`RlError::Rollout`] on NaN or infinity; the mean then stays as it was.
    pub fn update(&mut self, diversities: &[f64]) -> Result<Option<f64>, RlError> {
        if let Some(rollout) = diversities.iter().position(|diversity| !diversity.is_finite()) {
            let (what, found) = ("diversity", diversities[rollout]);
            return Err(RlError::Rollout { what, rollout, found });
        }
        if !diversities.is_empty() {
            let step = crate::advantage::mean(diversities);
            let moved = |old: f64| (1.0 - self.rate) * old + self.rate * step;
            self.value = Some(self.value.map_or(step, moved));
        }
        Ok(self.value)
    }
}

impl TryFrom<RawRunningDiversity> for RunningDiversity {
    type Error = RlError;

    fn try_from(raw: RawRunningDiversity) -> Result<Self, RlError> {
        let mut running = Self::new(raw.rate)?;
        running.update(raw.value.as_slice())?;
        Ok(running)
    }
}

impl From<RunningDiversity> for RawRunningDiversity {
    fn from(running: RunningDiversity) -> Self {
        Self { rate: running.rate, value: running.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_moves_by_the_rate_and_survives_a_checkpoint() {
        let mut running = RunningDiversity::new(0.25).unwrap();
        assert_eq!(running.update(&[]).unwrap(), None);
        assert_eq!(running.update(&[2.0, 4.0]).unwrap(), Some(3.0));
        // 3/4 · 3 + 1/4 · 7
        assert_eq!(running.update(&[7.0]).unwrap(), Some(4.0));
        assert_eq!(running.update(&[]).unwrap(), Some(4.0));
        let text = serde_json::to_string(&running).unwrap();
        assert_eq!(serde_json::from_str::<RunningDiversity>(&text).unwrap(), running);
        assert_eq!(running.value(), Some(4.0));
    }

    #[test]
    fn a_rate_is_above_zero_and_at_most_one() {
        assert!(RunningDiversity::new(1.0).is_ok());
        for rate in [0.0, -0.5, 1.5, f64::NAN] {
            assert!(RunningDiversity::new(rate).is_err(), "{rate}");
        }
    }
}
