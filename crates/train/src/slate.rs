//! Slates of titles or Semantic IDs, out of the pools that prompts show or of the whole catalogue.

use sidereal_data::ItemId;
use sidereal_policy::{
    CompletionToken, Constraint, LanguageModel, Rollout, SamplingConfig, Scoring, SlateSampler,
    TokenBatch,
};

use crate::TrainError;
use crate::batching::{check_room, in_batches};
use crate::encode::EncodedPrompt;
use crate::observe::Observer;
use crate::ranking::Ranking;

/// What is needed to write slates.
#[derive(Debug, Clone, Copy)]
pub struct SlateAnswers<'a> {
    /// Items as lines of their titles or Semantic IDs.
    pub lines: &'a Constraint,
    /// Items of a slate.
    pub slate_size: usize,
    /// The token that ends a slate.
    pub end_of_turn: u32,
    /// Id that fills short rows.
    pub pad: u32,
}

/// A slate that was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrittenSlate {
    /// Best first.
    pub(crate) items: Vec<ItemId>,
    /// Log-probability of each item, its line end included.
    pub(crate) scores: Vec<f32>,
    /// Titles or codes scored, line ends read.
    pub(crate) completion: Vec<CompletionToken>,
}

impl SlateAnswers<'_> {
    /// `num_slates` slates for each prompt, drawn under the trie of its pool, or of all items if it shows
    /// none, without what a slate already holds. `keys` name the prompts for their random numbers.
    pub(crate) fn draw(
        &self,
        model: &dyn LanguageModel,
        prompts: &[&EncodedPrompt],
        keys: &[u64],
        sampling: SamplingConfig,
        seed: u64,
        num_slates: usize,
    ) -> Result<Vec<Vec<WrittenSlate>>, TrainError> {
        let Self { lines, slate_size, end_of_turn, pad } = *self;
        let scoring = Scoring::Full;
        let sampler =
            SlateSampler { model, constraint: lines, slate_size, sampling, scoring, seed };
        let rows: Vec<&[u32]> = prompts.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let tokens = TokenBatch::new(&rows, pad, sampler.longest_prompt(), model.device())?;
        let pools: Vec<Option<&[ItemId]>> = prompts.iter().map(|prompt| prompt.shown()).collect();
        let found = sampler.sample(&tokens, &pools, keys, num_slates)?;
        let written = |prompt: &EncodedPrompt, slate: &sidereal_policy::Slate| {
            let item = |answer: &Rollout| prompt.offered(lines.trie().items(answer.node));
            WrittenSlate {
                items: slate
                    .answers
                    .iter()
                    .filter_map(|answer| item(answer).first().copied())
                    .collect(),
                scores: slate.answers.iter().map(Rollout::score).collect(),
                completion: slate.completion(lines, end_of_turn),
            }
        };
        Ok(prompts
            .iter()
            .zip(found)
            .map(|(prompt, slates)| slates.iter().map(|slate| written(prompt, slate)).collect())
            .collect())
    }

    /// Longest prompt that leaves room for a slate.
    pub(crate) fn longest_prompt(&self, model: &dyn LanguageModel) -> usize {
        model.longest_prompt(self.slate_size * self.lines.max_len())
    }

    /// One slate for each prompt, every token the most probable of the legal ones; the order of
    /// `prompts` is kept.
    ///
    /// # Errors
    /// [`TrainError::TooLong`] for a prompt that leaves no room for a slate;
    /// [`TrainError::NoSamples`] without prompts; those of the sampler.
    pub fn rank(
        &self,
        model: &dyn LanguageModel,
        prompts: &[EncodedPrompt],
        batch_size: usize,
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, TrainError> {
        check_room(job, prompts, self.longest_prompt(model))?;
        in_batches(prompts, batch_size, job, observer, |batch| {
            let keys: Vec<u64> = batch.iter().map(|prompt| prompt.key()).collect();
            let drawn = self.draw(model, batch, &keys, SamplingConfig::greedy(), 0, 1)?;
            let ranking = |(prompt, slates): (&&EncodedPrompt, Vec<WrittenSlate>)| {
                let WrittenSlate { items, scores, .. } = slates.into_iter().next()?;
                let found = items.into_iter().map(|item| vec![item]).collect();
                Some(Ranking { id: prompt.id, target: prompt.target, found, scores })
            };
            Ok(batch.iter().zip(drawn).filter_map(ranking).collect())
        })
    }
}
