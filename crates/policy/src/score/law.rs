//! The law under which the tokens of completions are scored.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::target::Target;
use crate::PolicyError;
use crate::decode::constraint::Scoring;
use crate::decode::sampling::SamplingConfig;

/// The distribution that the log-probabilities of completions are taken from.
///
/// ```text
/// log p(t) = z[t]/T − log Σ_v exp(z[v]/T)        T of words or of codes; v as `scoring` says
/// ```
/// Gradients of the expected reward of a policy need the law that drew the rollouts: what is drawn
/// at a temperature must be scored at this temperature. Cuts (top-k, top-p) cannot be scored;
/// [`TokenLaw::of_draws`] rejects them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenLaw {
    /// What a code's probability is a share of.
    pub scoring: Scoring,
    /// Divisor of the logits of [words](Target::Word). Above 0.
    pub words: f64,
    /// Divisor of the logits of [codes](Target::Code). Above 0.
    pub codes: f64,
}

impl From<Scoring> for TokenLaw {
    /// The model's own law: temperature 1.
    fn from(scoring: Scoring) -> Self {
        Self { scoring, words: 1.0, codes: 1.0 }
    }
}

impl TokenLaw {
    /// The law of words drawn by `words` and codes drawn by `codes`.
    ///
    /// Under [`Scoring::Renormalised`] it is the law of a [`Sampler`](crate::Sampler)'s draws.
    /// Under [`Scoring::Full`] the draws come from the legal codes only, while the probabilities
    /// are shares of the whole vocabulary, as in the public code of the papers of this field.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a temperature of 0 and for cuts: tokens that they leave out
    /// have no log-probability, and tokens that they keep would be scored under another law than
    /// the one that drew them.
    pub fn of_draws(
        scoring: Scoring,
        words: SamplingConfig,
        codes: SamplingConfig,
    ) -> Result<Self, PolicyError> {
        Ok(Self { scoring, words: scored_temperature(words)?, codes: scored_temperature(codes)? })
    }

    /// The same law with logits divided by `temperature`, of words and of codes.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for a temperature that is not a number above 0.
    pub fn at_temperature(self, temperature: f64) -> Result<Self, PolicyError> {
        if temperature > 0.0 && temperature.is_finite() {
            return Ok(Self { words: temperature, codes: temperature, ..self });
        }
        let (field, found) = ("temperature", temperature.to_string());
        Err(PolicyError::Unsupported { field, found, expected: "a finite number above 0" })
    }

    /// States `[N, D]` whose logits are those of `states` divided by the temperature of each
    /// target.
    pub(crate) fn tempered(
        &self,
        states: Tensor,
        targets: &[Target],
    ) -> Result<Tensor, PolicyError> {
        let one = |temperature: f64| (temperature - 1.0).abs() < f64::EPSILON;
        if one(self.words) && one(self.codes) {
            return Ok(states);
        }
        // Logits are linear in the states.
        let inverse: Vec<f64> = targets
            .iter()
            .map(|target| match target {
                Target::Word(_) => 1.0 / self.words,
                Target::Code { .. } => 1.0 / self.codes,
            })
            .collect();
        let inverse = Tensor::from_slice(&inverse).to_device(states.device());
        Ok(states.f_mul(&inverse.to_kind(states.kind()).unsqueeze(1))?)
    }
}

/// The temperature of draws that can be scored.
fn scored_temperature(sampling: SamplingConfig) -> Result<f64, PolicyError> {
    let refuse = |field, found, expected| Err(PolicyError::Unsupported { field, found, expected });
    if let Some(k) = sampling.top_k() {
        let expected = "no top_k: draws that are learned from must come from a law that can be \
                        scored, and a cut cannot";
        return refuse("top_k", k.to_string(), expected);
    }
    // A cut at 1 keeps everything.
    if let Some(p) = sampling.top_p().filter(|p| *p < 1.0) {
        let expected = "no top_p below 1: draws that are learned from must come from a law that \
                        can be scored, and a cut cannot";
        return refuse("top_p", p.to_string(), expected);
    }
    let temperature = sampling.temperature();
    if temperature > 0.0 {
        return Ok(temperature);
    }
    let expected = "a temperature above 0: the most probable answer alone teaches nothing";
    refuse("temperature", temperature.to_string(), expected)
}
