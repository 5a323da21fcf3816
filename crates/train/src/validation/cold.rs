//! The probability of cold items, where a policy knows the probability of every answer.

use sidereal_policy::{Scoring, TokenBatch};
use tch::Kind;

use super::Validation;
use crate::TrainError;
use crate::encode::EncodedPrompt;

/// The most probabilities that a pass computes.
const PROBABILITIES: usize = 1 << 21;

impl Validation<'_> {
    /// Mean over these prompts of the probability that the policy gives all cold items together, in
    /// `[0, 1]` (SAGE, figure 4a). A Semantic ID of several items counts by the share of them that is cold.
    /// `None` for a policy that does not know the probability of every answer, for scores that do not sum
    /// to one over the answers, and without prompts or known cold items.
    pub(super) fn cold_mass(&self, prompts: &[EncodedPrompt]) -> Result<Option<f64>, TrainError> {
        let Self { model, constraint, facts, scoring, pad, batch_size, .. } = *self;
        let exact =
            model.exact().filter(|_| scoring == Scoring::Renormalised && !prompts.is_empty());
        let (Some(exact), Some(cold)) = (exact, facts.cold()) else { return Ok(None) };
        let trie = constraint.trie();
        let shares: Vec<f64> = trie
            .leaves()
            .map(|leaf| {
                let items = trie.items(leaf);
                let cold = items.iter().filter(|item| cold.contains(item.index())).count();
                cold as f64 / items.len().max(1) as f64
            })
            .collect();
        let _guard = tch::no_grad_guard();
        let at_once = batch_size.min(PROBABILITIES / shares.len().max(1)).max(1);
        let limit = model.longest_prompt(0);
        let mut sum = 0.0;
        for part in prompts.chunks(at_once) {
            let rows: Vec<&[u32]> = part.iter().map(|prompt| prompt.ids.as_slice()).collect();
            let tokens = TokenBatch::new(&rows, pad, limit, model.device())?;
            let pass = exact.answer_pass(constraint, &tokens, scoring.into())?;
            let logp = Vec::<f64>::try_from(pass.logp().to_kind(Kind::Double))?;
            let of_cold = logp.iter().zip(shares.iter().cycle());
            sum += of_cold.map(|(logp, share)| logp.exp() * share).sum::<f64>();
        }
        Ok(Some(sum / prompts.len() as f64))
    }
}
