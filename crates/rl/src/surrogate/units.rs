//! One loop over rollouts and their tokens for every objective. An objective only gives the term of
//! a unit.

use std::ops::Range;

use super::{Diagnostics, Kl, Normalise, Objective, RolloutBatch, StepSize};
use crate::RlError;

/// A bound on a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The lower bound, for units with a negative advantage.
    Low,
    /// The upper bound, for units with a positive advantage.
    High,
}

/// The term of a unit (a token or a rollout) in an objective, and its derivative.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Term {
    /// Ratio of the unit, for the diagnostics.
    pub ratio: f64,
    /// The term, before its weight.
    pub value: f64,
    /// Derivative of the term with respect to the new log-prob of the token, or of every token of
    /// the rollout.
    pub slope: f64,
    /// The bound that acts on the unit, for the diagnostics.
    pub bound: Option<Bound>,
}

impl Term {
    /// A term on which no bound acts.
    #[must_use]
    pub const fn new(ratio: f64, value: f64, slope: f64) -> Self {
        Self { ratio, value, slope, bound: None }
    }

    /// `r·A`, whose derivative with respect to `ln r` is itself; exactly 0 for a zero advantage,
    /// even where the ratio overflows.
    #[must_use]
    pub fn linear(ratio: f64, advantage: f64) -> Self {
        let value = if advantage == 0.0 { 0.0 } else { ratio * advantage };
        Self::new(ratio, value, value)
    }

    /// The same term, counted as one on which `bound` acts.
    #[must_use]
    pub const fn at(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }

    /// The same term of a ratio whose logarithm is a sum over tokens divided by `length`.
    #[must_use]
    pub const fn per_token(mut self, length: f64) -> Self {
        self.slope /= length;
        self
    }
}

/// A token, as the term of an objective sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Token {
    /// Log-prob under the policy being trained, nats.
    pub logp: f64,
    /// Log-prob under the policy that generated the token, nats.
    pub old_logp: f64,
    /// Advantage of its rollout.
    pub advantage: f64,
    /// Index of its rollout.
    pub rollout: usize,
    /// Its place in the rollout, from 0.
    pub position: usize,
}

impl Token {
    /// `ln r = logp - old_logp`.
    #[must_use]
    pub fn log_ratio(&self) -> f64 {
        self.logp - self.old_logp
    }
}

/// A rollout with at least one token, as the term of an objective sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RolloutView<'a> {
    /// Log-probs of its tokens under the policy being trained, nats.
    pub logp: &'a [f64],
    /// The same under the policy that generated it.
    pub old_logp: &'a [f64],
    /// Its advantage.
    pub advantage: f64,
    /// What its summed log-ratio is divided by: the number of its tokens, or what
    /// [`RolloutBatch::with_lengths`] says.
    pub length: f64,
    /// Its index in the batch.
    pub index: usize,
    range: Range<usize>,
}

impl RolloutView<'_> {
    /// `Σ_t (logp[t] - old_logp[t]) / length`.
    #[must_use]
    pub fn mean_log_ratio(&self) -> f64 {
        self.log_ratios().sum::<f64>() / self.length
    }

    fn log_ratios(&self) -> impl Iterator<Item = f64> + '_ {
        self.logp.iter().zip(self.old_logp).map(|(new, old)| new - old)
    }
}

/// An objective with a ratio for each token.
///
/// ```text
/// J = Σ_t w[t] · ( term[t] - β·KL[t] )
/// ```
/// `w[t]` is given by `normalise`, `KL` by `kl`; `term` is the formula.
///
/// ```
/// use sidereal_rl::{Normalise, RolloutBatch, Segments, StepSize, Term, token_objective};
///
/// // REINFORCE: J = 1/R · Σ_i 1/len · Σ_t A·new[t], without a ratio.
/// let tokens = Segments::uniform(1, 2);
/// let logp = [-1.0, -3.0];
/// let batch = RolloutBatch::new(&tokens, &logp, &logp, &[0.5])?;
/// let objective =
///     token_objective(&batch, StepSize::of(&tokens), Normalise::Sequence, None, |token| {
///         Term::new(1.0, token.advantage * token.logp, token.advantage)
///     })?;
/// assert_eq!((objective.value, &objective.d_logp[..]), (-1.0, &[0.25, 0.25][..]));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
///
/// # Errors
/// [`RlError::Missing`] if there is a KL penalty and the batch has no reference log-probs;
/// [`RlError::Step`] if `step` counts less than the batch; [`RlError::Overflow`] if value or
/// gradient is beyond an `f64`.
pub fn token_objective(
    batch: &RolloutBatch<'_>,
    step: StepSize,
    normalise: Normalise,
    kl: Option<Kl>,
    term: impl Fn(&Token) -> Term,
) -> Result<Objective, RlError> {
    over_rollouts(batch, step, (kl, normalise), |rollout, slopes, seen| {
        let weight = normalise.token_weight(slopes.len(), step);
        let mut value = 0.0;
        for (position, slope) in slopes.iter_mut().enumerate() {
            let (logp, old_logp) = (rollout.logp[position], rollout.old_logp[position]);
            let (advantage, rollout) = (rollout.advantage, rollout.index);
            let term = term(&Token { logp, old_logp, advantage, rollout, position });
            seen.see(&term);
            value += weight * term.value;
            *slope = weight * term.slope;
        }
        value
    })
}

/// An objective with one ratio for each rollout.
///
/// ```text
/// J = 1/R · Σ_i ( term[i] - β·mean_t KL[t] )
/// ```
/// Rollouts without tokens have no term, but count in `R`.
///
/// # Errors
/// As those of [`token_objective`].
pub fn rollout_objective(
    batch: &RolloutBatch<'_>,
    step: StepSize,
    kl: Option<Kl>,
    term: impl Fn(&RolloutView<'_>) -> Term,
) -> Result<Objective, RlError> {
    let weight = step.rollout_weight();
    over_rollouts(batch, step, (kl, Normalise::Sequence), |rollout, slopes, seen| {
        let term = term(rollout);
        seen.see(&term);
        slopes.fill(weight * term.slope);
        weight * term.value
    })
}

/// Adds up the shares that `share` computes for the rollouts, minus the weighted penalty of their
/// tokens.
///
/// `share` gets a rollout and the derivatives of its tokens, which it sets.
fn over_rollouts(
    batch: &RolloutBatch<'_>,
    step: StepSize,
    (kl, normalise): (Option<Kl>, Normalise),
    share: impl Fn(&RolloutView<'_>, &mut [f64], &mut Diagnostics) -> f64,
) -> Result<Objective, RlError> {
    step.check_contains(batch.tokens())?;
    let missing = RlError::Missing { objective: "a KL penalty", what: "ref_logp" };
    let reference = match kl {
        Some(kl) => Some((kl, batch.ref_logp().ok_or(missing)?)),
        None => None,
    };
    let mut seen = Diagnostics::of(batch);
    let mut value = 0.0;
    let mut d_logp = vec![0.0; batch.num_tokens()];
    for rollout in batch.rollouts() {
        let slopes = &mut d_logp[rollout.range.clone()];
        value += share(&rollout, slopes, &mut seen);
        seen.old_kl_sum += rollout.log_ratios().map(|x| x.exp_m1() - x).sum::<f64>();
        if let Some((kl, ref_logp)) = reference {
            let weight = kl.coef() * normalise.token_weight(slopes.len(), step);
            let logps = rollout.logp.iter().zip(&ref_logp[rollout.range.clone()]);
            for (slope, (logp, ref_logp)) in slopes.iter_mut().zip(logps) {
                let (cost, derivative) = kl.estimator().value_and_derivative(*logp, *ref_logp);
                seen.ref_kl_sum += cost;
                value -= weight * cost;
                *slope -= weight * derivative;
            }
        }
        if !(value.is_finite() && slopes.iter().all(|slope| slope.is_finite())) {
            let (what, unit) = ("objective", "rollout");
            return Err(RlError::Overflow { what, unit, index: rollout.index });
        }
    }
    Ok(Objective { value, d_logp, diagnostics: seen })
}

impl<'a> RolloutBatch<'a> {
    /// The rollouts that have tokens.
    fn rollouts(&self) -> impl Iterator<Item = RolloutView<'a>> + use<'a, '_> {
        let (new, old) = (self.logp(), self.old_logp());
        let ranges = self.tokens().iter().enumerate().filter(|(_, range)| !range.is_empty());
        ranges.map(move |(index, range)| RolloutView {
            logp: &new[range.clone()],
            old_logp: &old[range.clone()],
            advantage: self.advantages()[index],
            length: self.length(index, range.len()),
            index,
            range,
        })
    }
}
