//! Ranking items by what a policy writes freely, grounded to their titles.

use sidereal_data::ItemId;
use sidereal_policy::{
    Grounding, LanguageModel, SamplingConfig, TextEnd, TextSampler, TokenBatch, popularity_weighted,
};

use crate::TrainError;
use crate::batching::{Batching, check_room, in_batches};
use crate::encode::EncodedPrompt;
use crate::observe::Observer;
use crate::ranking::Ranking;

/// How free answers become rankings: the policy writes one title, and items are ranked by the distance of their
/// titles to it (`BIGRec`).
#[derive(Debug, Clone, Copy)]
pub struct GroundedAnswers<'a> {
    /// The policy.
    pub model: &'a dyn LanguageModel,
    /// Number of ids that tokens have.
    pub num_ids: usize,
    /// The token that ends an answer.
    pub end_of_turn: u32,
    /// Most tokens of an answer. Range `1..`.
    pub budget: usize,
    /// The items that may be answered, `[N]`.
    pub items: &'a [ItemId],
    /// Where their titles are, `[N]`.
    pub grounding: &'a Grounding,
    /// How popular each is, `[N]`.
    pub popularity: &'a [f32],
    /// Weight of popularity, `γ` of [`popularity_weighted`]. 0: distances alone.
    pub gamma: f32,
    /// Items of a ranking.
    pub count: usize,
}

impl GroundedAnswers<'_> {
    /// The nearest items for every prompt; scores are distances below zero. Each answer is written greedily, and
    /// ends at the end of the turn or at the budget; an answer without any text is grounded as the end of the turn.
    ///
    /// # Errors
    /// Those of writing and reading; [`TrainError::NoSamples`] without prompts; [`TrainError::TooLong`] if a prompt
    /// leaves no room for the budget.
    pub fn rank(
        &self,
        prompts: &[EncodedPrompt],
        batching: Batching<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, TrainError> {
        let Self { model, num_ids, end_of_turn, budget, gamma, .. } = *self;
        let Batching { pad, batch_size, job } = batching;
        let limit = model.longest_prompt(budget);
        check_room(job, prompts, limit)?;
        let stops = [vec![end_of_turn]];
        let sampling = SamplingConfig::greedy();
        let writer = TextSampler { model, num_ids, sampling, budget, stops: &stops, seed: 0 };
        in_batches(prompts, batch_size, job, observer, |batch| {
            let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
            let tokens = TokenBatch::new(&rows, pad, limit, model.device())?;
            let texts = writer.write(&tokens, &[], 1)?;
            let texts: Vec<Vec<u32>> = texts
                .iter()
                .flatten()
                .map(|text| {
                    let mut ids: Vec<u32> = text.tokens.iter().map(|token| token.id).collect();
                    // An answer that is only its end keeps it, because a text needs a token.
                    if matches!(text.end, TextEnd::Stop(_)) && ids.len() > 1 {
                        ids.pop();
                    }
                    ids
                })
                .collect();
            let distances = self.grounding.distances(model, &texts, pad)?;
            let ranking = |(prompt, distances): (&&EncodedPrompt, &Vec<f32>)| {
                let weighted = popularity_weighted(distances, self.popularity, gamma)?;
                Ok(self.nearest(prompt, &weighted))
            };
            batch.iter().zip(&distances).map(ranking).collect()
        })
    }

    /// The ranking by distance; equal ones in the order of the items.
    fn nearest(&self, prompt: &EncodedPrompt, distances: &[f32]) -> Ranking {
        let mut order: Vec<(f32, ItemId)> =
            distances.iter().copied().zip(self.items.iter().copied()).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.truncate(self.count);
        Ranking {
            id: prompt.id,
            target: prompt.target,
            found: order.iter().map(|(_, item)| vec![*item]).collect(),
            scores: order.iter().map(|(distance, _)| -distance).collect(),
        }
    }
}
