//! Rankings by a recommendation head.

use sidereal_policy::{
    ItemHead, LanguageModel, Policy, Reasoner, ReasoningMarkers, SamplingConfig, TokenBatch,
};
use tch::{Kind, Tensor};

use super::HeadItems;
use crate::TrainError;
use crate::batching::{Batching, check_room, in_batches};
use crate::encode::EncodedPrompt;
use crate::observe::Observer;
use crate::ranking::Ranking;

/// How a policy with a recommendation head answers: all items are scored by its state after the mark, which follows the
/// prompt, or a chain of the most probable words.
#[derive(Debug, Clone, Copy)]
pub struct HeadAnswers<'a> {
    /// The policy.
    pub model: &'a dyn LanguageModel,
    /// The head.
    pub head: ItemHead,
    /// The items.
    pub items: &'a HeadItems,
    /// The mark that closes a chain, after which the head scores.
    pub markers: &'a ReasoningMarkers,
    /// The most tokens of a chain; `None` for answers without reasoning. Range `1..`.
    pub budget: Option<usize>,
    /// Id that fills short rows.
    pub pad: u32,
    /// Items of a ranking.
    pub count: usize,
}

impl HeadAnswers<'_> {
    /// The best items for every prompt; scores are log-probabilities among all items. Equal ones stand in the order of
    /// the items.
    ///
    /// # Errors
    /// Those of writing and reading; [`TrainError::NoSamples`] without prompts; [`TrainError::TooLong`] if a prompt
    /// leaves no room for the chain and the mark.
    pub fn rank(
        &self,
        prompts: &[EncodedPrompt],
        batching: Batching<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, TrainError> {
        let Batching { batch_size, job, .. } = batching;
        check_room(job, prompts, self.longest_prompt())?;
        let table = self.head.table(self.model, self.items.texts(), self.pad, batch_size)?;
        let _guard = tch::no_grad_guard();
        in_batches(prompts, batch_size, job, observer, |batch| {
            let states = self.states(batch)?;
            let logp = self.head.logp(&states, &table)?; // [U, N]
            let flat =
                Vec::<f32>::try_from(logp.f_to_kind(Kind::Float)?.f_contiguous()?.f_view(-1)?)?;
            let rows = flat.chunks_exact(self.items.items().len().max(1));
            Ok::<_, TrainError>(
                batch.iter().zip(rows).map(|(prompt, row)| self.best(prompt, row)).collect(),
            )
        })
    }

    /// Longest prompt that leaves room for a chain and the mark.
    #[must_use]
    pub fn longest_prompt(&self) -> usize {
        longest_prompt(self.model, self.markers, self.budget)
    }

    /// The states `[U, D]` after the marks.
    fn states(&self, batch: &[&EncodedPrompt]) -> Result<Tensor, TrainError> {
        let limit = self.model.longest_prompt(0);
        let Some(budget) = self.budget else {
            let rows: Vec<Vec<u32>> =
                batch.iter().map(|prompt| [&prompt.ids, self.markers.close()].concat()).collect();
            let tokens = TokenBatch::new(&rows, self.pad, limit, self.model.device())?;
            return Ok(self.model.prefill(&tokens, &vec![0; rows.len()])?.0);
        };
        let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let tokens = TokenBatch::new(&rows, self.pad, limit, self.model.device())?;
        let keys: Vec<u64> = batch.iter().map(|prompt| prompt.key()).collect();
        let reasoner = Reasoner {
            model: self.model,
            markers: self.markers,
            sampling: SamplingConfig::greedy(),
            budget,
            answer_len: 0,
            seed: 0,
        };
        Ok(reasoner.reason(&tokens, &keys, 1)?.start.hidden)
    }

    /// The best items of one user.
    fn best(&self, prompt: &EncodedPrompt, scores: &[f32]) -> Ranking {
        let items = self.items.items();
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(self.count);
        Ranking {
            id: prompt.id,
            target: prompt.target,
            found: order.iter().map(|row| vec![items[*row]]).collect(),
            scores: order.iter().map(|row| scores[*row]).collect(),
        }
    }
}

/// Longest prompt that leaves room for a chain of a budget, if there is one, and the mark.
pub(super) fn longest_prompt(
    model: &dyn Policy,
    markers: &ReasoningMarkers,
    budget: Option<usize>,
) -> usize {
    model.longest_prompt(budget.unwrap_or(0) + markers.added())
}
