use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::{Diagnostics, Gain, RolloutBatch};
use crate::RlError;
use crate::exp::exp_m1;

/// Estimator of `KL(π ‖ π_ref)` from the sampled token's log-probs, with `x = ref - new`.
///
/// Schulman, "Approximating KL divergence" (2020). The derivatives are those of the estimate with
/// respect to `new`, the sampled tokens held fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `-x`: unbiased, of high variance, negative for single tokens; derivative 1, which as a loss
    /// carries no information on the reference.
    K1,
    /// `x² / 2`: biased, of low variance; derivative `-x`, an unbiased gradient of the KL on-policy.
    K2,
    /// `e^x - x - 1`: unbiased and never negative; derivative `1 - e^x`. GRPO's choice.
    #[default]
    K3,
}

impl KlEstimator {
    /// The estimate in nats and its derivative with respect to `logp`.
    ///
    /// ```
    /// use sidereal_rl::KlEstimator;
    ///
    /// assert_eq!(KlEstimator::K3.value_and_derivative(-1.0, -1.0), (0.0, 0.0));
    /// assert_eq!(KlEstimator::K2.value_and_derivative(-1.0, -3.0), (2.0, 2.0));
    /// ```
    #[must_use]
    pub fn value_and_derivative(self, logp: f64, ref_logp: f64) -> (f64, f64) {
        let x = ref_logp - logp;
        match self {
            Self::K1 => k1(x),
            Self::K2 => k2(x),
            Self::K3 => k3(x),
        }
    }
}

/// A KL penalty towards the reference policy: coefficient above 0, and estimator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawKl", into = "RawKl")]
pub struct Kl {
    coef: f64,
    estimator: KlEstimator,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKl {
    coef: f64,
    #[serde(default)]
    estimator: KlEstimator,
}

impl Kl {
    /// A penalty of `coef` (`β`) times the estimate.
    ///
    /// # Errors
    /// [`RlError::Setting`] unless `coef` is finite and above 0; no penalty is `None` where an
    /// objective takes one, so that no reference has to be computed.
    pub fn new(coef: f64, estimator: KlEstimator) -> Result<Self, RlError> {
        let accept = |v: f64| v > 0.0 && v.is_finite();
        let coef = RlError::setting("kl_coef", coef, "a finite value above 0", accept)?;
        Ok(Self { coef, estimator })
    }

    /// The coefficient `β`.
    #[must_use]
    pub const fn coef(&self) -> f64 {
        self.coef
    }

    /// The estimator.
    #[must_use]
    pub const fn estimator(&self) -> KlEstimator {
        self.estimator
    }
}

impl TryFrom<RawKl> for Kl {
    type Error = RlError;

    fn try_from(raw: RawKl) -> Result<Self, RlError> {
        Self::new(raw.coef, raw.estimator)
    }
}

impl From<Kl> for RawKl {
    fn from(kl: Kl) -> Self {
        Self { coef: kl.coef, estimator: kl.estimator }
    }
}

/// A penalty bound to a batch's log-probs; without one, every token costs nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Penalty<'a>(Option<Bound<'a>>);

#[derive(Debug, Clone, Copy)]
struct Bound<'a> {
    kl: Kl,
    logp: &'a [f64],
    ref_logp: &'a [f64],
}

impl<'a> Penalty<'a> {
    /// Refuses a penalty on a batch without reference log-probs.
    pub(super) fn new(
        kl: Option<Kl>,
        batch: &RolloutBatch<'a>,
        objective: &'static str,
    ) -> Result<Self, RlError> {
        let Some(kl) = kl else {
            return Ok(Self(None));
        };
        let missing = RlError::Missing { objective, what: "ref_logp" };
        let ref_logp = batch.ref_logp().ok_or(missing)?;
        Ok(Self(Some(Bound { kl, logp: batch.logp(), ref_logp })))
    }

    /// `β·KL[t]` and its derivative with respect to `new[t]`.
    pub(super) fn at(self, t: usize, seen: &mut Diagnostics) -> Gain {
        let Some(Bound { kl, logp, ref_logp }) = self.0 else {
            return Gain { value: 0.0, slope: 0.0 };
        };
        let (value, slope) = kl.estimator.value_and_derivative(logp[t], ref_logp[t]);
        seen.ref_kl_sum += value;
        Gain { value: kl.coef * value, slope: kl.coef * slope }
    }

    /// Takes `w[t]·β·KL[t]` and its derivative from the values and slopes of a block of tokens.
    pub(super) fn charge(
        self,
        range: Range<usize>,
        block: &mut Block,
        slopes: &mut [f64],
        seen: &mut Diagnostics,
    ) {
        let Some(Bound { kl, logp, ref_logp }) = self.0 else { return };
        let logps = (&logp[range.clone()], &ref_logp[range]);
        seen.ref_kl_sum += match kl.estimator {
            KlEstimator::K1 => block.charge(kl.coef, logps, slopes, k1),
            KlEstimator::K2 => block.charge(kl.coef, logps, slopes, k2),
            KlEstimator::K3 => block.charge(kl.coef, logps, slopes, k3),
        };
    }
}

#[inline(always)]
fn k1(x: f64) -> (f64, f64) {
    (-x, 1.0)
}

#[inline(always)]
fn k2(x: f64) -> (f64, f64) {
    (0.5 * x * x, -x)
}

#[inline(always)]
fn k3(x: f64) -> (f64, f64) {
    let rise = exp_m1(x);
    (rise - x, -rise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_a_reference_below_the_policy_are_those_by_hand() {
        // x = ref - new = -½
        let of = |estimator: KlEstimator| estimator.value_and_derivative(-1.0, -1.5);
        assert_eq!(of(KlEstimator::K1), (0.5, 1.0));
        assert_eq!(of(KlEstimator::K2), (0.125, 0.5));
        let (value, derivative) = of(KlEstimator::K3);
        let shrink = (-0.5f64).exp();
        assert!((value - (shrink - 1.0 + 0.5)).abs() < 1e-15);
        assert!((derivative - (1.0 - shrink)).abs() < 1e-15);
    }

    #[test]
    fn a_penalty_tells_its_settings_and_is_k3_unless_told_otherwise() {
        let kl: Kl = serde_json::from_str(r#"{"coef": 0.25}"#).unwrap();
        assert_eq!((kl.coef(), kl.estimator()), (0.25, KlEstimator::K3));
        let text = serde_json::to_string(&Kl::new(0.5, KlEstimator::K1).unwrap()).unwrap();
        assert_eq!(text, r#"{"coef":0.5,"estimator":"k1"}"#);
        for coef in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(Kl::new(coef, KlEstimator::K3).is_err(), "{coef}");
        }
    }
}
