//! Expectations over all answers of a prompt, and their gradients.

use crate::{RlError, is_flat};

/// All answers of a prompt: what a policy gives them, and what they are worth.
///
/// For a policy that knows the probability of every answer, an expectation is a sum, and nothing has to be
/// drawn:
///
/// ```text
/// E[r] = Σ p[a]·r[a]                          p = exp(logp), which sums to one
/// σ²   = Σ p[a]·(r[a] − E[r])²
/// H    = − Σ p[a]·ln p[a]
/// KL   = Σ p[a]·(ln p[a] − ln p_ref[a])
/// ```
/// These are what the means over rollouts, and the estimators of entropy and KL, estimate.
///
/// ```
/// use sidereal_rl::AllAnswers;
///
/// let logp = [0.5f64.ln(), 0.25f64.ln(), 0.25f64.ln()];
/// let found = AllAnswers::new(&logp, &[1.0, 0.0, 0.0])?.expected()?;
/// assert!((found.reward - 0.5).abs() < 1e-12 && (found.spread - 0.5).abs() < 1e-12);
/// assert!((found.entropy - 1.5 * 2f64.ln()).abs() < 1e-12 && found.kl.is_none());
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AllAnswers<'a> {
    logp: &'a [f64],
    rewards: &'a [f64],
    ref_logp: Option<&'a [f64]>,
}

/// Expectations over all answers of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Expected {
    /// Expected reward.
    pub reward: f64,
    /// Standard deviation of the reward.
    pub spread: f64,
    /// Entropy over all answers, nats an answer.
    pub entropy: f64,
    /// `KL(π ‖ π_ref)`, nats an answer; `None` without a reference.
    pub kl: Option<f64>,
}

impl<'a> AllAnswers<'a> {
    /// Log-probabilities `[A]`, in nats, and rewards `[A]`, of all answers of a prompt. An answer that has no
    /// probability, −∞, counts nowhere.
    ///
    /// # Errors
    /// [`RlError::Length`] where they differ in number; [`RlError::Rollout`] for a log-probability that is
    /// NaN or ∞; [`RlError::Reward`] for a reward that is not finite. Answers take the place of rollouts.
    pub fn new(logp: &'a [f64], rewards: &'a [f64]) -> Result<Self, RlError> {
        RlError::length("rewards", rewards.len(), logp.len(), "answer")?;
        check_logp("logp", logp)?;
        if let Some(position) = rewards.iter().position(|reward| !reward.is_finite()) {
            let (what, found) = ("reward", rewards[position]);
            return Err(RlError::Reward { what, group: 0, position, found });
        }
        Ok(Self { logp, rewards, ref_logp: None })
    }

    /// The same answers with their log-probabilities `[A]` under a reference.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_reference(mut self, ref_logp: &'a [f64]) -> Result<Self, RlError> {
        RlError::length("ref_logp", ref_logp.len(), self.logp.len(), "answer")?;
        check_logp("ref_logp", ref_logp)?;
        self.ref_logp = Some(ref_logp);
        Ok(self)
    }

    /// The expectations.
    ///
    /// # Errors
    /// [`RlError::Overflow`] where one of them is not finite, as the divergence from a reference that rules
    /// an answer out.
    pub fn expected(&self) -> Result<Expected, RlError> {
        let over = |value: &dyn Fn(usize) -> f64| -> f64 {
            let of = |(at, logp): (usize, &f64)| {
                if *logp == f64::NEG_INFINITY { 0.0 } else { logp.exp() * value(at) }
            };
            self.logp.iter().enumerate().map(of).sum()
        };
        let reward = over(&|at| self.rewards[at]);
        let found = Expected {
            reward,
            spread: over(&|at| (self.rewards[at] - reward).powi(2)).sqrt(),
            entropy: -over(&|at| self.logp[at]),
            kl: self.ref_logp.map(|reference| over(&|at| self.logp[at] - reference[at])),
        };
        let all = [
            ("expected reward", found.reward),
            ("spread of the reward", found.spread),
            ("entropy", found.entropy),
            ("kl", found.kl.unwrap_or_default()),
        ];
        match all.into_iter().find(|(_, value)| !value.is_finite()) {
            Some((what, _)) => Err(RlError::Overflow { what, unit: "prompt", index: 0 }),
            None => Ok(found),
        }
    }
}

/// In what unit the exact gradient takes a prompt's rewards. A baseline has no effect on it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ExactAdvantage {
    /// As they are: the gradient is that of the expected reward.
    Reward,
    /// In units of their standard deviation under the policy, plus this `eps`: what GRPO's advantages come to
    /// in a group without end.
    Standardised(f64),
}

/// Expected reward with exact KL penalty and entropy bonus, over all answers of a prompt.
///
/// ```text
/// J(prompt)    = w·E[r] − β·KL + η·H          w = 1, or 1/(σ + eps) held constant
/// dJ/d logp[a] = p[a]·( w·(r[a] − E[r]) − β·(ln p[a] − ln p_ref[a] − KL) − η·(ln p[a] + H) )
/// ```
/// A step's objective is the mean over its prompts. The derivatives of a prompt sum to zero: `p[a]` times a
/// constant has been subtracted from them, which does not move a policy whose probabilities sum to one.
/// There is no ratio to an old policy: every update computes the probabilities anew.
///
/// A prompt whose rewards are all equal (see [`is_flat`]) has `w = 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExactObjective {
    advantage: ExactAdvantage,
    kl_coef: f64,
    entropy_coef: f64,
}

/// What [`ExactObjective`] gives for a prompt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExactTerms {
    /// The prompt's share of the step's objective.
    pub value: f64,
    /// `d value / d logp`, `[A]`.
    pub d_logp: Vec<f64>,
    /// The expectations.
    pub expected: Expected,
}

impl ExactObjective {
    /// An objective with the coefficients `kl_coef` (`β`) and `entropy_coef` (`η`), each 0 where there is no
    /// such term.
    ///
    /// # Errors
    /// [`RlError::Setting`] unless both, and the `eps` of the advantage, are finite and at least 0.
    pub fn new(
        advantage: ExactAdvantage,
        kl_coef: f64,
        entropy_coef: f64,
    ) -> Result<Self, RlError> {
        let accept = |v: f64| v >= 0.0 && v.is_finite();
        let check = |name, value| RlError::setting(name, value, "a finite value from 0", accept);
        if let ExactAdvantage::Standardised(eps) = advantage {
            check("eps", eps)?;
        }
        let kl_coef = check("kl_coef", kl_coef)?;
        Ok(Self { advantage, kl_coef, entropy_coef: check("entropy_coef", entropy_coef)? })
    }

    /// Value, gradient and expectations of one of the `prompts` of a step.
    ///
    /// # Errors
    /// [`RlError::Missing`] for a KL penalty without a reference; [`RlError::Overflow`] where a result is not
    /// finite.
    pub fn objective(
        &self,
        answers: &AllAnswers<'_>,
        prompts: usize,
    ) -> Result<ExactTerms, RlError> {
        let expected = answers.expected()?;
        let Expected { reward, spread, entropy, kl } = expected;
        let AllAnswers { logp, rewards, ref_logp } = *answers;
        let weight = match self.advantage {
            _ if is_flat(rewards) => 0.0,
            ExactAdvantage::Reward => 1.0,
            ExactAdvantage::Standardised(eps) => (spread + eps).recip(),
        };
        let kl = match kl {
            _ if self.kl_coef <= 0.0 => 0.0,
            Some(kl) => kl,
            None => {
                let (objective, what) = ("the exact objective", "ref_logp");
                return Err(RlError::Missing { objective, what });
            }
        };
        let penalised = ref_logp.filter(|_| self.kl_coef > 0.0);
        let share = (prompts.max(1) as f64).recip();
        let of = |(at, own): (usize, &f64)| {
            if *own == f64::NEG_INFINITY {
                return 0.0;
            }
            let beyond = penalised.map_or(0.0, |reference| own - reference[at] - kl);
            let gain = weight * (rewards[at] - reward) - self.kl_coef * beyond;
            share * own.exp() * (gain - self.entropy_coef * (own + entropy))
        };
        let d_logp: Vec<f64> = logp.iter().enumerate().map(of).collect();
        let value = share * (weight * reward - self.kl_coef * kl + self.entropy_coef * entropy);
        if let Some(index) = d_logp.iter().position(|d| !d.is_finite()) {
            return Err(RlError::Overflow { what: "exact gradient", unit: "answer", index });
        }
        if !value.is_finite() {
            return Err(RlError::Overflow { what: "exact objective", unit: "prompt", index: 0 });
        }
        Ok(ExactTerms { value, d_logp, expected })
    }
}

/// Refuses what no logarithm of a probability is.
fn check_logp(what: &'static str, logp: &[f64]) -> Result<(), RlError> {
    let wrong = |logp: &f64| logp.is_nan() || *logp == f64::INFINITY;
    match logp.iter().position(wrong) {
        Some(rollout) => Err(RlError::Rollout { what, rollout, found: logp[rollout] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
