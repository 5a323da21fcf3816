//! Preference losses: a chosen answer against one or more rejected ones.

use serde::{Deserialize, Serialize};

use crate::{RlError, Segments};

/// Sequence log-probs of preference pairs, checked: a chosen answer and its rejected ones.
///
/// # Shapes
/// `P` pairs, `J` rejected answers in all: `chosen` `[P]`; `rejected` `[J]`, those of a pair
/// adjacent, cut by `negatives`. Log-probs are sums over an answer's tokens, nats.
#[derive(Debug, Clone, Copy)]
pub struct PreferenceBatch<'a> {
    chosen: &'a [f64],
    rejected: &'a [f64],
    negatives: &'a Segments,
    reference: Option<(&'a [f64], &'a [f64])>,
}

impl<'a> PreferenceBatch<'a> {
    /// A batch with the log-probs of the policy being trained.
    ///
    /// # Errors
    /// [`RlError::Length`]; [`RlError::Token`] (the pair as rollout, the rejected answer as token)
    /// and [`RlError::Rollout`] (the pair) on NaN or infinity.
    pub fn new(
        chosen: &'a [f64],
        rejected: &'a [f64],
        negatives: &'a Segments,
    ) -> Result<Self, RlError> {
        check("chosen", chosen, "rejected", rejected, negatives)?;
        Ok(Self { chosen, rejected, negatives, reference: None })
    }

    /// The same batch with the log-probs of the frozen reference policy, computed once.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_reference(
        mut self,
        chosen: &'a [f64],
        rejected: &'a [f64],
    ) -> Result<Self, RlError> {
        check("reference chosen", chosen, "reference rejected", rejected, self.negatives)?;
        self.reference = Some((chosen, rejected));
        Ok(self)
    }
}

fn check(
    chosen_name: &'static str,
    chosen: &[f64],
    rejected_name: &'static str,
    rejected: &[f64],
    negatives: &Segments,
) -> Result<(), RlError> {
    crate::surrogate::check_rollouts(chosen_name, chosen, negatives)?;
    crate::surrogate::check_tokens(rejected_name, rejected, negatives)
}

/// Softmax DPO: the chosen answer against all rejected ones at once. With one it is DPO.
///
/// ```text
/// Δ    = policy - reference                      sequence log-probs
/// x    = ln Σ_j exp(β·(Δ_j - Δ_chosen))          over the pair's rejected answers
/// loss = -ln σ(-x) = ln(1 + e^x)                 mean over the step's pairs
/// d loss / d chosen      = -β·σ(x)
/// d loss / d rejected_j  =  β·σ(x)·softmax_j(β·Δ)
/// ```
/// S-DPO, [arXiv:2406.09215](https://arxiv.org/abs/2406.09215) eq 9; DPO,
/// [arXiv:2305.18290](https://arxiv.org/abs/2305.18290) eq 7. The loss is **minimised**. A pair without
/// rejected answers has loss 0. In the reference-free form `Δ = policy`: no reference is read, and
/// none has to be computed.
///
/// ```
/// use sidereal_rl::{PreferenceBatch, Sdpo, Segments};
///
/// // Where policy and reference agree, σ(x) = J/(J + 1): here one negative, loss ln 2.
/// let negatives = Segments::uniform(1, 1);
/// let batch = PreferenceBatch::new(&[-3.0], &[-2.0], &negatives)?.with_reference(&[-3.0], &[-2.0])?;
/// let loss = Sdpo::new(0.1)?.loss(&batch, 1)?;
/// assert!((loss.value - 2f64.ln()).abs() < 1e-15);
/// assert_eq!((loss.d_chosen[0], loss.d_rejected[0]), (-0.05, 0.05));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawSdpo", into = "RawSdpo")]
pub struct Sdpo {
    beta: f64,
    reference_free: bool,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawSdpo {
    /// Inverse temperature `β`: the larger, the closer the policy stays to the reference. Range `(0, ∞)`.
    beta: f64,
    /// Whether the loss has no reference policy.
    #[serde(default)]
    reference_free: bool,
}

/// What a preference loss returns for a batch, or for one micro-batch of a step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PreferenceLoss {
    /// The batch's share of the step's loss.
    pub value: f64,
    /// `d value / d chosen`, `[P]`.
    pub d_chosen: Vec<f64>,
    /// `d value / d rejected`, `[J]`.
    pub d_rejected: Vec<f64>,
    /// Number of pairs whose chosen answer has the highest implicit reward `β·Δ`, ties not counted.
    pub won: usize,
    /// Sum over pairs of the chosen answer's implicit reward minus that of the best rejected one.
    pub margin_sum: f64,
    /// Sum over pairs of the largest weight that a rejected answer has in the gradient, `max_j softmax_j(β·Δ)`: between
    /// `1 / J` of a pair with `J` of them, where all are alike, and 1, where the loss sees the hardest alone.
    pub hardest_sum: f64,
}

impl Sdpo {
    /// The loss with inverse temperature `β`, finite and above 0.
    ///
    /// # Errors
    /// [`RlError::Setting`] outside that range.
    pub fn new(beta: f64) -> Result<Self, RlError> {
        let accept = |v: f64| v > 0.0 && v.is_finite();
        let beta = RlError::setting("beta", beta, "a finite value above 0", accept)?;
        Ok(Self { beta, reference_free: false })
    }

    /// The same loss without a reference.
    #[must_use]
    pub const fn reference_free(mut self) -> Self {
        self.reference_free = true;
        self
    }

    /// Whether the loss has no reference.
    #[must_use]
    pub const fn is_reference_free(&self) -> bool {
        self.reference_free
    }

    /// Value and gradients of a batch that is all or part of a step of `num_pairs` pairs.
    ///
    /// # Errors
    /// [`RlError::Missing`] if the loss has a reference and the batch has none; [`RlError::Step`] if
    /// the step counts less than the batch; [`RlError::Overflow`].
    pub fn loss(
        &self,
        batch: &PreferenceBatch<'_>,
        num_pairs: usize,
    ) -> Result<PreferenceLoss, RlError> {
        let (found, needed) = (num_pairs, batch.chosen.len());
        if found < needed {
            return Err(RlError::Step { unit: "pairs", found, needed });
        }
        let reference = match (self.reference_free, batch.reference) {
            (true, _) => None,
            (false, Some(reference)) => Some(reference),
            (false, None) => {
                return Err(RlError::Missing { objective: "S-DPO", what: "reference log-probs" });
            }
        };
        let weight = (num_pairs.max(1) as f64).recip();
        let mut loss = PreferenceLoss {
            value: 0.0,
            d_chosen: vec![0.0; batch.chosen.len()],
            d_rejected: vec![0.0; batch.rejected.len()],
            won: 0,
            margin_sum: 0.0,
            hardest_sum: 0.0,
        };
        for (pair, range) in batch.negatives.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
            let chosen = batch.chosen[pair] - reference.map_or(0.0, |(chosen, _)| chosen[pair]);
            let gap = |j: usize| {
                let rejected = batch.rejected[j] - reference.map_or(0.0, |(_, all)| all[j]);
                self.beta * (rejected - chosen)
            };
            let largest = range.clone().map(gap).fold(f64::NEG_INFINITY, f64::max);
            if !largest.is_finite() {
                return Err(RlError::Overflow {
                    what: "preference loss",
                    unit: "pair",
                    index: pair,
                });
            }
            let sum: f64 = range.clone().map(|j| (gap(j) - largest).exp()).sum();
            let x = largest + sum.ln();
            let pull = weight * self.beta * sigmoid(x);
            loss.value += weight * softplus(x);
            loss.won += usize::from(largest < 0.0);
            loss.margin_sum -= largest;
            loss.hardest_sum += sum.recip();
            loss.d_chosen[pair] = -pull;
            for j in range {
                loss.d_rejected[j] = pull * (gap(j) - largest).exp() / sum;
            }
        }
        Ok(loss)
    }
}

impl Default for Sdpo {
    /// `β = 1`, as S-DPO's experiments have it, with a reference.
    fn default() -> Self {
        Self { beta: 1.0, reference_free: false }
    }
}

/// `1 / (1 + e^-x)` without overflow.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { (1.0 + (-x).exp()).recip() } else { x.exp() / (1.0 + x.exp()) }
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl TryFrom<RawSdpo> for Sdpo {
    type Error = RlError;

    fn try_from(raw: RawSdpo) -> Result<Self, RlError> {
        Ok(Self { reference_free: raw.reference_free, ..Self::new(raw.beta)? })
    }
}

impl From<Sdpo> for RawSdpo {
    fn from(loss: Sdpo) -> Self {
        Self { beta: loss.beta, reference_free: loss.reference_free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_reference_is_an_error_unless_the_loss_is_reference_free() {
        let negatives = Segments::uniform(1, 2);
        let batch = PreferenceBatch::new(&[-1.0], &[-2.0, -3.0], &negatives).unwrap();
        assert!(matches!(Sdpo::new(0.1).unwrap().loss(&batch, 1), Err(RlError::Missing { .. })));
        let free = Sdpo::new(1.0).unwrap().reference_free();
        // x = ln(e^-1 + e^-2), by hand
        let expected = (1.0 + (-1f64).exp() + (-2f64).exp()).ln();
        let loss = free.loss(&batch, 1).unwrap();
        assert!((loss.value - expected).abs() < 1e-15);
        let ignored = batch.with_reference(&[5.0], &[7.0, -7.0]).unwrap();
        assert_eq!(free.loss(&ignored, 1).unwrap(), loss);
    }

    #[test]
    fn the_hardest_negative_has_the_largest_share_of_the_gradient_of_the_rejected() {
        let negatives = Segments::from_lens([3, 1, 2]);
        let (chosen, rejected) = ([-1.0, -2.0, 0.5], [-2.0, -0.5, -4.0, -3.0, -1.0, -1.0]);
        let batch = PreferenceBatch::new(&chosen, &rejected, &negatives).unwrap();
        let loss = Sdpo::new(0.7).unwrap().reference_free().loss(&batch, 3).unwrap();
        let shares = negatives.iter().map(|range| {
            let of_pair = &loss.d_rejected[range];
            of_pair.iter().copied().fold(0.0, f64::max) / of_pair.iter().sum::<f64>()
        });
        let shares: Vec<f64> = shares.collect();
        assert!((loss.hardest_sum - shares.iter().sum::<f64>()).abs() < 1e-12, "{shares:?}");
        assert!((shares[1] - 1.0).abs() < 1e-12 && (shares[2] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn far_apart_answers_neither_overflow_nor_vanish() {
        let negatives = Segments::uniform(1, 1);
        let batch = PreferenceBatch::new(&[-1e6], &[0.0], &negatives).unwrap();
        let loss = Sdpo::new(1.0).unwrap().reference_free().loss(&batch, 1).unwrap();
        assert!((loss.value - 1e6).abs() < 1e-6 && (loss.d_chosen[0] + 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_tie_is_not_won_and_margins_add_up() {
        // Gaps β·(best rejected - chosen): 1/2 · (-1 - -1) = 0, 1/2 · (-5 - -1) = -2, 1/2 · (0 - -4) = 2.
        let negatives = Segments::from_lens([1, 2, 1]);
        let (chosen, rejected) = ([-1.0, -1.0, -4.0], [-1.0, -9.0, -5.0, 0.0]);
        let batch = PreferenceBatch::new(&chosen, &rejected, &negatives).unwrap();
        let loss = Sdpo::new(0.5).unwrap().reference_free().loss(&batch, 3).unwrap();
        assert_eq!(loss.won, 1);
        assert!(loss.margin_sum.abs() < 1e-12);
        let one = Segments::from_lens([1]);
        for (rejected, won) in [(-5.0, 1), (-4.0, 0), (0.0, 0)] {
            let rejected = [rejected];
            let alone = PreferenceBatch::new(&[-4.0], &rejected, &one).unwrap();
            let loss = Sdpo::new(0.5).unwrap().reference_free().loss(&alone, 1).unwrap();
            assert_eq!(loss.won, won);
        }
        let first_two = Segments::from_lens([1, 2]);
        let two = PreferenceBatch::new(&chosen[..2], &rejected[..3], &first_two).unwrap();
        let loss = Sdpo::new(0.5).unwrap().reference_free().loss(&two, 2).unwrap();
        assert_eq!(loss.won, 1);
        assert!((loss.margin_sum - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_loss_says_whether_it_needs_a_reference_and_survives_json() {
        let with = Sdpo::new(0.5).unwrap();
        let without = with.reference_free();
        assert_eq!([with, without].map(|loss| loss.is_reference_free()), [false, true]);
        for loss in [with, without] {
            let text = serde_json::to_string(&loss).unwrap();
            assert_eq!(serde_json::from_str::<Sdpo>(&text).unwrap(), loss);
        }
        for beta in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(Sdpo::new(beta).is_err(), "{beta}");
        }
    }

    #[test]
    fn a_step_of_fewer_pairs_than_the_batch_is_refused() {
        let negatives = Segments::uniform(2, 1);
        let batch = PreferenceBatch::new(&[-1.0, -1.0], &[-2.0, -2.0], &negatives).unwrap();
        let refused = Sdpo::default().reference_free().loss(&batch, 1);
        assert_eq!(refused, Err(RlError::Step { unit: "pairs", found: 1, needed: 2 }));
    }
}
