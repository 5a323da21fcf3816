//! Token terms a block at a time: plain loops over short arrays, which the compiler turns into the
//! widest registers that the running processor has.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::{Clip, Diagnostics, RolloutBatch};
use crate::Segments;
use crate::exp::exp;
use crate::wide::{LANES, max, sum};

/// Tokens of a block: all arrays of one stay in the first-level cache.
const BLOCK: usize = 512;

/// What the tokens of a block share with their rollouts, and the terms that they add.
#[derive(Debug)]
pub(super) struct Block {
    /// Rollout of the first token of the next block.
    rollout: usize,
    /// Advantage of each token's rollout, and behind them room for whole lanes.
    advantages: Vec<f64>,
    /// Weight `w[t]` of each token, and the same room.
    weights: Vec<f64>,
    ratios: Vec<f64>,
    old_kl: Vec<f64>,
    /// `w[t]` times the token's term of the objective.
    values: Vec<f64>,
}

impl Block {
    pub(super) fn new() -> Self {
        let array = || vec![0.0; BLOCK + LANES];
        let (advantages, weights) = (array(), array());
        let (ratios, old_kl, values) = (array(), array(), array());
        Self { rollout: 0, advantages, weights, ratios, old_kl, values }
    }

    /// The blocks of `num_tokens` tokens, in order.
    pub(super) fn ranges(num_tokens: usize) -> impl Iterator<Item = Range<usize>> {
        (0..num_tokens).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(num_tokens))
    }

    /// Goes on to the block `range`, the successor of the one before: each token gets the advantage
    /// of its rollout, and the weight that `token_weight` gives to one of so many.
    pub(super) fn enter(
        &mut self,
        range: &Range<usize>,
        batch: &RolloutBatch<'_>,
        token_weight: impl Fn(usize) -> f64,
    ) {
        let offsets = batch.tokens().offsets();
        let Self { rollout, advantages, weights, ratios, old_kl, values } = self;
        for array in [ratios, old_kl, values] {
            array.resize(range.len(), 0.0);
        }
        let mut filled = 0;
        // Most rollouts are as long as the one before: a division less for each.
        let mut weight = (0, token_weight(0));
        while filled < range.len() {
            let (start, end) = (offsets[*rollout], offsets[*rollout + 1]);
            let here = filled..end.min(range.end) - range.start;
            filled = here.end;
            if weight.0 != end - start {
                weight = (end - start, token_weight(end - start));
            }
            // Whole lanes: what is written beyond the rollout, the next one overwrites.
            for at in here.step_by(LANES) {
                advantages[at..at + LANES].copy_from_slice(&[batch.advantages()[*rollout]; LANES]);
                weights[at..at + LANES].copy_from_slice(&[weight.1; LANES]);
            }
            if end > range.end {
                break;
            }
            *rollout += 1;
        }
    }

    /// Sets values and slopes to `w[t]` times the clipped gain of each token and its derivative.
    ///
    /// # Shapes
    /// `new`, `old` and `slopes`: one for each token of the block.
    pub(super) fn gain(
        &mut self,
        clip: Clip,
        (new, old): (&[f64], &[f64]),
        slopes: &mut [f64],
        seen: &mut Diagnostics,
    ) {
        let Self { advantages, weights, ratios, old_kl, values, .. } = self;
        let pass = Gains { clip, new, old, advantages, weights, ratios, old_kl, values, slopes };
        let (low, high) = Arch::new().dispatch(pass);
        seen.clipped_low += low;
        seen.clipped_high += high;
        seen.see_tokens(sum(old_kl));
        seen.see_ratios(ratios.len(), sum(ratios), max(ratios));
    }

    /// Takes `w[t]·coef` times an estimate, and its derivative, of `x = ref - new` from values and
    /// slopes. Returns the sum of the estimates.
    ///
    /// # Shapes
    /// `logp`, `ref_logp` and `slopes`: one for each token of the block.
    pub(super) fn charge(
        &mut self,
        coef: f64,
        (logp, ref_logp): (&[f64], &[f64]),
        slopes: &mut [f64],
        estimate: impl Fn(f64) -> (f64, f64),
    ) -> f64 {
        let Self { weights, ratios: estimates, values, .. } = self;
        Arch::new().dispatch(Costs {
            coef,
            logp,
            ref_logp,
            estimate,
            weights,
            estimates,
            values,
            slopes,
        });
        sum(estimates)
    }

    /// Sum of the values.
    pub(super) fn total(&self) -> f64 {
        sum(&self.values)
    }

    /// The rollout at which the sum of the values, from `before` on, leaves the range of an `f64`.
    pub(super) fn overflow(&self, before: f64, range: &Range<usize>, tokens: &Segments) -> usize {
        let mut sum = before;
        let at = self.values.iter().position(|value| {
            sum += value;
            !sum.is_finite()
        });
        tokens.locate(at.map_or(range.end - 1, |at| range.start + at)).0
    }
}

/// The pass of [`Block::gain`]; counts the clipped tokens, below and above.
struct Gains<'a> {
    clip: Clip,
    new: &'a [f64],
    old: &'a [f64],
    advantages: &'a [f64],
    weights: &'a [f64],
    ratios: &'a mut [f64],
    old_kl: &'a mut [f64],
    values: &'a mut [f64],
    slopes: &'a mut [f64],
}

impl WithSimd for Gains<'_> {
    type Output = (usize, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
        let len = self.slopes.len();
        // Equal lengths, told to the compiler once.
        let (new, old) = (&self.new[..len], &self.old[..len]);
        let (advantages, weights) = (&self.advantages[..len], &self.weights[..len]);
        let (ratios, old_kl) = (&mut self.ratios[..len], &mut self.old_kl[..len]);
        let (values, slopes) = (&mut self.values[..len], self.slopes);
        let (mut low, mut high) = (0, 0);
        for t in 0..len {
            let log_ratio = new[t] - old[t];
            let ratio = exp(log_ratio);
            let (gain, clipped) = self.clip.gain(ratio, advantages[t]);
            low += usize::from(clipped.low);
            high += usize::from(clipped.high);
            ratios[t] = ratio;
            old_kl[t] = ratio - 1.0 - log_ratio;
            values[t] = weights[t] * gain.value;
            slopes[t] = weights[t] * gain.slope;
        }
        (low, high)
    }
}

/// The pass of [`Block::charge`].
struct Costs<'a, F> {
    coef: f64,
    logp: &'a [f64],
    ref_logp: &'a [f64],
    estimate: F,
    weights: &'a [f64],
    estimates: &'a mut [f64],
    values: &'a mut [f64],
    slopes: &'a mut [f64],
}

impl<F: Fn(f64) -> (f64, f64)> WithSimd for Costs<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let len = self.slopes.len();
        let (logp, ref_logp) = (&self.logp[..len], &self.ref_logp[..len]);
        let (weights, estimates) = (&self.weights[..len], &mut self.estimates[..len]);
        let (values, slopes) = (&mut self.values[..len], self.slopes);
        for t in 0..len {
            let (value, slope) = (self.estimate)(ref_logp[t] - logp[t]);
            estimates[t] = value;
            values[t] -= weights[t] * (self.coef * value);
            slopes[t] -= weights[t] * (self.coef * slope);
        }
    }
}
