use serde::{Deserialize, Serialize};

use crate::RlError;

/// Estimator of `KL(π ‖ π_ref)` from the sampled token's log-probs, with `x = ref - new`.
///
/// Schulman, "Approximating KL divergence" (2020). The derivatives are those of the estimate with
/// respect to `new`, the sampled tokens held fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
            Self::K1 => (-x, 1.0),
            Self::K2 => (0.5 * x * x, -x),
            Self::K3 => (x.exp_m1() - x, -x.exp_m1()),
        }
    }
}

/// A KL penalty towards the reference policy: coefficient above 0, and estimator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawKl", into = "RawKl")]
pub struct Kl {
    coef: f64,
    estimator: KlEstimator,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawKl {
    /// Coefficient `β` of the penalty. Range `(0, ∞)`.
    coef: f64,
    /// How the divergence is estimated from a token's log-probabilities.
    #[serde(default)]
    estimator: KlEstimator,
}

impl Kl {
    /// A penalty of `coef` (`β`) times the estimate.
    ///
    /// # Errors
    /// [`RlError::Setting`] unless `coef` is finite and above 0; no penalty is `None` if an
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
    fn a_kl_penalty_shows_its_settings_and_is_k3_by_default() {
        let kl: Kl = serde_json::from_str(r#"{"coef": 0.25}"#).unwrap();
        assert_eq!((kl.coef(), kl.estimator()), (0.25, KlEstimator::K3));
        let text = serde_json::to_string(&Kl::new(0.5, KlEstimator::K1).unwrap()).unwrap();
        assert_eq!(text, r#"{"coef":0.5,"estimator":"k1"}"#);
        for coef in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(Kl::new(coef, KlEstimator::K3).is_err(), "{coef}");
        }
    }
}
