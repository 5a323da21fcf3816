//! Drawing a token from logits: temperature, top-k, top-p.

use std::num::NonZeroUsize;

use rand::Rng;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::PolicyError;

/// How a token is drawn from its logits.
///
/// Holding one is the proof that every range holds.
///
/// ```text
/// p(t) ∝ exp(z[t] / temperature)        over the tokens that both cuts leave
/// top-k: the k largest logits, and whatever equals the k-th
/// top-p: from the largest on, while what came before has a probability below p
/// ```
/// The cuts come in this order, and top-p looks at probabilities after temperature and top-k, as
/// in transformers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawSampling", into = "RawSampling")]
pub struct SamplingConfig {
    temperature: f64,
    top_k: Option<NonZeroUsize>,
    top_p: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawSampling {
    /// Logits are divided by it; 0 takes the largest one. Range `[0, ∞)`.
    temperature: f64,
    /// Only so many of the largest logits are left to draw from; without it, all. Range `1..`.
    #[serde(default)]
    top_k: Option<NonZeroUsize>,
    /// Only the most probable tokens that together reach this probability are left to draw from; without
    /// it, all. Range `(0, 1]`.
    #[serde(default)]
    top_p: Option<f64>,
}

/// A token that was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Draw {
    /// Its place among the logits.
    pub(crate) index: usize,
    /// Its log-probability in what it was drawn from, nats.
    pub(crate) logp: f64,
}

impl SamplingConfig {
    /// Draws at a temperature without cuts. Range `0..`; 0 takes the largest logit.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] outside that range.
    pub fn new(temperature: f64) -> Result<Self, PolicyError> {
        Self { temperature, top_k: None, top_p: None }.checked()
    }

    /// Takes the largest logit, the first of equal ones; nothing is random.
    #[must_use]
    pub const fn greedy() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: None }
    }

    /// The same with only the `k` largest logits left, and those that equal the `k`-th.
    #[must_use]
    pub const fn with_top_k(mut self, k: NonZeroUsize) -> Self {
        self.top_k = Some(k);
        self
    }

    /// The same with only the most probable tokens left that reach the probability `p` together.
    /// Range `(0, 1]`.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] outside that range.
    pub fn with_top_p(mut self, p: f64) -> Result<Self, PolicyError> {
        self.top_p = Some(p);
        self.checked()
    }

    fn checked(self) -> Result<Self, PolicyError> {
        let refuse = |field, found: f64, expected| {
            Err(PolicyError::Unsupported { field, found: found.to_string(), expected })
        };
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse("temperature", self.temperature, "a finite number from 0 on");
        }
        match self.top_p {
            Some(p) if !(p > 0.0 && p <= 1.0) => refuse("top_p", p, "a number in (0, 1]"),
            _ => Ok(self),
        }
    }

    /// The divisor of logits; 0 if nothing is random.
    #[must_use]
    pub const fn temperature(&self) -> f64 {
        self.temperature
    }

    /// Number of the largest logits that are left; `None` for all of them.
    #[must_use]
    pub const fn top_k(&self) -> Option<NonZeroUsize> {
        self.top_k
    }

    /// The probability that the tokens that are left must reach together; `None` for all of them.
    #[must_use]
    pub const fn top_p(&self) -> Option<f64> {
        self.top_p
    }

    /// Places of the tokens that can be drawn and their log-probabilities in nats, the most
    /// probable first, equal ones in their order; empty if no logit is above −∞ or one is not a
    /// number.
    #[must_use]
    pub fn distribution(&self, logits: &[f32]) -> Vec<(usize, f64)> {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !max.is_finite() || logits.iter().any(|x| x.is_nan()) {
            return Vec::new();
        }
        if self.temperature == 0.0 {
            return logits.iter().position(|x| *x >= max).map(|at| (at, 0.0)).into_iter().collect();
        }
        let scaled = |x: f32| f64::from(x - max) / self.temperature;
        let mut left: Vec<(usize, f64)> = logits
            .iter()
            .enumerate()
            .filter(|(_, x)| **x > f32::NEG_INFINITY)
            .map(|(index, x)| (index, scaled(*x)))
            .collect();
        if let Some(k) = self.top_k.filter(|k| k.get() < left.len()) {
            left.select_nth_unstable_by(k.get() - 1, best_first);
            let least = left[k.get() - 1].1;
            left.retain(|(_, x)| *x >= least);
        }
        if let Some(p) = self.top_p {
            cut(&mut left, p);
        }
        left.sort_unstable_by(best_first);
        let normaliser = left.iter().map(|(_, x)| x.exp()).sum::<f64>().ln();
        for (_, x) in &mut left {
            *x -= normaliser;
        }
        left
    }

    /// Draws one token, with one number of `rng`; `None` if [`distribution`](Self::distribution) is
    /// empty.
    pub(crate) fn draw(&self, logits: &[f32], rng: &mut impl Rng) -> Option<Draw> {
        let uniform: f64 = rng.r#gen();
        if self.temperature > 0.0 && self.top_k.is_none() && self.top_p.is_none() {
            return self.draw_uncut(logits, uniform);
        }
        let left = self.distribution(logits);
        let mut before = 0.0;
        let found = left.iter().find(|(_, logp)| {
            before += logp.exp();
            uniform < before
        });
        // Rounding may leave the sum just below one.
        let (index, logp) = *found.or(left.last())?;
        Some(Draw { index, logp })
    }

    /// As [`draw`](Self::draw) from all logits, without sorting them.
    fn draw_uncut(&self, logits: &[f32], uniform: f64) -> Option<Draw> {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |x: &f32| (f64::from(*x - max) / self.temperature).exp();
        let weights: Vec<f64> = logits.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        if !(max.is_finite() && total.is_finite()) {
            return None;
        }
        let (mut before, mut last) = (0.0, None);
        for (index, own) in weights.into_iter().enumerate() {
            if own > 0.0 {
                before += own;
                last = Some(Draw { index, logp: (own / total).ln() });
                if uniform * total < before {
                    break;
                }
            }
        }
        last
    }
}

impl Default for SamplingConfig {
    /// Temperature 1 without cuts: the model's own distribution.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: None }
    }
}

impl TryFrom<RawSampling> for SamplingConfig {
    type Error = PolicyError;

    fn try_from(raw: RawSampling) -> Result<Self, PolicyError> {
        let RawSampling { temperature, top_k, top_p } = raw;
        Self { temperature, top_k, top_p }.checked()
    }
}

impl From<SamplingConfig> for RawSampling {
    fn from(config: SamplingConfig) -> Self {
        let SamplingConfig { temperature, top_k, top_p } = config;
        Self { temperature, top_k, top_p }
    }
}

fn best_first(a: &(usize, f64), b: &(usize, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Keeps the most probable entries whose predecessors hold less than `p` of the whole. It sorts
/// only as many of them as it needs.
fn cut(left: &mut Vec<(usize, f64)>, p: f64) {
    let target = p * left.iter().map(|(_, x)| x.exp()).sum::<f64>();
    let (mut sorted, mut before) = (0, 0.0);
    while sorted < left.len() {
        let end = (sorted * 8).max(64).min(left.len());
        let rest = &mut left[sorted..];
        if end - sorted < rest.len() {
            rest.select_nth_unstable_by(end - sorted - 1, best_first);
        }
        rest[..end - sorted].sort_unstable_by(best_first);
        for index in sorted..end {
            if before >= target && index > 0 {
                left.truncate(index);
                return;
            }
            before += left[index].1.exp();
        }
        sorted = end;
    }
}

/// What a stream of random numbers is for; each has streams of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The codes of a rollout.
    Codes = 1,
    /// A prompt's draws without replacement.
    Distinct = 2,
    /// The words of a rollout.
    Words = 3,
    /// The key of the answer to a chain of thought.
    Answers = 4,
    /// The titles of a slate.
    Slates = 5,
}

/// The random numbers of one rollout, which depend only on these four values.
pub(crate) fn stream(seed: u64, purpose: Purpose, key: u64, rollout: usize) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    let parts = [seed, purpose as u64, key, rollout as u64];
    for (slot, part) in bytes.chunks_exact_mut(8).zip(parts) {
        slot.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// The error if nothing can be drawn.
pub(crate) const NOTHING_TO_DRAW: PolicyError =
    PolicyError::Empty { what: "the set of tokens with a finite logit" };

/// The error if a rollout on a branch has not drawn a token.
pub(super) const NO_TOKEN: PolicyError =
    PolicyError::Empty { what: "what was drawn along a branch that goes on" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let field = |error: PolicyError| match error {
            PolicyError::Unsupported { field, .. } => field,
            other => panic!("{other}"),
        };
        for temperature in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(field(SamplingConfig::new(temperature).unwrap_err()), "temperature");
        }
        for p in [0.0, 1.5, f64::NAN] {
            assert_eq!(field(SamplingConfig::default().with_top_p(p).unwrap_err()), "top_p");
        }
        for text in [
            r#"{"temperature": -1}"#,
            r#"{"temperature": 1, "top_p": 0}"#,
            r#"{"temperature": 1, "top_k": 0}"#,
            r#"{"temperature": 1, "top_q": 0.5}"#,
        ] {
            assert!(serde_json::from_str::<SamplingConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_drawn_from_logits_without_a_best() {
        let mut rng = stream(1, Purpose::Words, 0, 0);
        let cut = SamplingConfig::default().with_top_p(0.5).unwrap();
        for config in [SamplingConfig::default(), SamplingConfig::greedy(), cut] {
            for logits in [&[][..], &[f32::NEG_INFINITY; 3], &[1.0, f32::NAN], &[f32::INFINITY]] {
                assert_eq!(config.draw(logits, &mut rng), None, "{config:?} {logits:?}");
            }
            let one = config.draw(&[f32::NEG_INFINITY, 3.0], &mut rng).unwrap();
            assert_eq!((one.index, one.logp.abs() < 1e-12), (1, true));
        }
    }

    #[test]
    fn a_cut_by_probability_keeps_what_sorting_all_logits_would_keep() {
        // Nearly even, so that a cut reads on after its first blocks of 64 and 512, and all different.
        for num in [550u16, 3000] {
            let place = |at: u16| u16::try_from(u32::from(at) * 7919 % u32::from(num)).unwrap();
            let logits: Vec<f32> = (0..num).map(|at| f32::from(place(at)) / 4096.0).collect();
            let mut all: Vec<(usize, f64)> =
                logits.iter().map(|x| f64::from(*x).exp()).enumerate().collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let sum = |entries: &[(usize, f64)]| entries.iter().map(|(_, w)| w).sum::<f64>();
            for count in [1, 2, 63, 64, 65, 300, 511, 512, 513, 540, usize::from(num)] {
                let kept = &all[..count];
                // Half of the last is needed.
                let p = (sum(&kept[..count - 1]) + kept[count - 1].1 / 2.0) / sum(&all);
                let found = SamplingConfig::default().with_top_p(p).unwrap().distribution(&logits);
                assert_eq!(found.len(), count, "of {num}");
                for ((index, logp), (expected, weight)) in found.into_iter().zip(kept) {
                    assert_eq!(index, *expected, "{count} of {num}");
                    assert!((logp - (weight / sum(kept)).ln()).abs() < 1e-9, "{count} of {num}");
                }
            }
        }
    }

    #[test]
    fn a_constant_added_to_all_logits_changes_nothing_and_minus_infinity_is_never_drawn() {
        let (near, far) = ([1.0, 0.0, f32::NEG_INFINITY], [1001.0, 1000.0, f32::NEG_INFINITY]);
        let config = SamplingConfig::default();
        assert_eq!(config.distribution(&far), config.distribution(&near));
        assert_eq!(config.distribution(&near).len(), 2);
        let draw = |logits: &[f32]| config.draw(logits, &mut stream(3, Purpose::Words, 0, 0));
        assert!(draw(&near).is_some());
        assert_eq!(draw(&far), draw(&near));
    }
}
