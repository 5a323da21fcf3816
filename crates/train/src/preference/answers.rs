//! Log-probabilities of whole answers.

use std::ops::Range;

use sidereal_policy::{
    CompletionPass, CompletionToken, Completions, Policy, PolicyError, TokenBatch, Weights,
};
use sidereal_rl::Segments;
use tch::{Kind, Tensor};

use super::{Preference, PreferenceTraining};
use crate::TrainError;
use crate::observe::Observer;

/// Names of the reference's log-probabilities in a checkpoint.
const CHOSEN: &str = "reference.chosen";
const REJECTED: &str = "reference.rejected";

/// Sums over an answer's scored tokens for some pairs.
#[derive(Debug, Default)]
pub(super) struct AnswerLogp {
    pub(super) chosen: Vec<f64>,
    pub(super) rejected: Vec<f64>,
}

impl AnswerLogp {
    /// Sums each answer's tokens.
    pub(super) fn sums(
        part: &[&Preference],
        logp: &Tensor,
        lens: &[usize],
    ) -> Result<Self, TrainError> {
        let values = Vec::<f64>::try_from(logp.to_kind(Kind::Double))?;
        let tokens = Segments::from_lens(lens.iter().copied());
        let mut sums = tokens.iter().map(|range| values[range].iter().sum::<f64>());
        let mut answers = Self::default();
        for pair in part {
            answers.chosen.extend(sums.next());
            answers.rejected.extend(sums.by_ref().take(pair.rejected.len()));
        }
        Ok(answers)
    }

    /// The sums of some pairs; `ranges` says where the rejected answers of each pair are.
    pub(super) fn of_pairs(&self, pairs: &[usize], ranges: &[Range<usize>]) -> Self {
        let rejected = pairs.iter().flat_map(|pair| &self.rejected[ranges[*pair].clone()]);
        Self {
            chosen: pairs.iter().map(|pair| self.chosen[*pair]).collect(),
            rejected: rejected.copied().collect(),
        }
    }

    /// The sums as tensors of a checkpoint, f32.
    pub(super) fn tensors(&self) -> [(String, Tensor); 2] {
        [(CHOSEN, &self.chosen), (REJECTED, &self.rejected)].map(|(name, values)| {
            (name.to_owned(), Tensor::from_slice(values).to_kind(Kind::Float))
        })
    }

    /// Rounded as a checkpoint holds them, so that a resumed run sees the same numbers.
    fn rounded(mut self) -> Self {
        for value in self.chosen.iter_mut().chain(&mut self.rejected) {
            #[allow(clippy::cast_possible_truncation, reason = "the rounding that is meant")]
            let rounded = *value as f32;
            *value = f64::from(rounded);
        }
        self
    }

    /// Reads them from a checkpoint; `None` if a loss without a reference wrote it.
    pub(super) fn from_tensors(tensors: &Weights) -> Result<Option<Self>, TrainError> {
        let values = |tensor: &Tensor| {
            Vec::<f64>::try_from(tensor.to_kind(Kind::Double)).map_err(PolicyError::from)
        };
        Ok(match (tensors.get(CHOSEN), tensors.get(REJECTED)) {
            (Some(chosen), Some(rejected)) => {
                Some(Self { chosen: values(chosen)?, rejected: values(rejected)? })
            }
            _ => None,
        })
    }
}

impl PreferenceTraining<'_> {
    /// Log-probability of every scored token, with the backward pass, and the number of them in
    /// each answer, the chosen one of a pair before the rejected ones.
    pub(super) fn pass<'m>(
        &'m self,
        model: &'m dyn Policy,
        part: &[&Preference],
    ) -> Result<CompletionPass<'m>, TrainError> {
        let ids: Vec<&[u32]> = part.iter().map(|pair| pair.prompt.ids.as_slice()).collect();
        let limit = model.longest_prompt(0);
        let prompts = TokenBatch::new(&ids, self.pad, limit, model.device())?;
        let rollouts: Vec<Vec<Vec<CompletionToken>>> = part
            .iter()
            .map(|pair| std::iter::once(&pair.chosen).chain(&pair.rejected).cloned().collect())
            .collect();
        let begun = vec![0; part.len()];
        let completions = Completions { prompts: &prompts, begun: &begun, rollouts: &rollouts };
        Ok(model.completion_pass(self.constraint, &completions, self.config.scoring.into())?)
    }

    /// The reference's log-probabilities of all answers.
    pub(super) fn reference(
        &self,
        model: &dyn Policy,
        pairs: &[Preference],
        observer: &mut dyn Observer,
    ) -> Result<AnswerLogp, TrainError> {
        let _guard = tch::no_grad_guard();
        let mut all = AnswerLogp::default();
        for part in pairs.chunks(self.config.micro_batch.max(1)) {
            let part: Vec<&Preference> = part.iter().collect();
            let found = self.pass(model, &part)?;
            let mut found = AnswerLogp::sums(&part, found.pass.logp(), &found.lens)?;
            all.chosen.append(&mut found.chosen);
            all.rejected.append(&mut found.rejected);
            observer.on_progress("reference", "pairs", all.chosen.len(), pairs.len());
        }
        Ok(all.rounded())
    }
}
