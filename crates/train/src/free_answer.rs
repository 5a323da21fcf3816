//! Chain and answer as one free text, in which nothing is forced.

use serde::{Deserialize, Serialize};
use sidereal_policy::{
    LanguageModel, ReasoningMarkers, SamplingConfig, SidTokenizer, TextSampler, TokenBatch,
    WrittenToken,
};
use sidereal_sid::SemanticId;

use crate::TrainError;
use crate::reasoning::ReasoningSearch;

/// How the answer after a chain of thought is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnswerForm {
    /// Code by code under the trie, after the close of the chain and the text that leads to the answer: every
    /// answer is an item of the catalogue.
    #[default]
    Constrained,
    /// Freely, with the chain: one text of at most `chain.budget` tokens up to the end of the turn. The answer is
    /// what is read after the close of its chain; it may be no item of the catalogue, or missing.
    Free,
}

/// Draws chain and answer as one text, token by token over the whole vocabulary, up to the end of the turn.
#[derive(Debug, Clone, Copy)]
pub struct FreeWriter<'a> {
    /// The policy: a decoder.
    pub model: &'a dyn LanguageModel,
    /// Reads the answer.
    pub tokenizer: &'a SidTokenizer,
    /// What closes a chain.
    pub markers: &'a ReasoningMarkers,
    /// How a token is drawn.
    pub sampling: SamplingConfig,
    /// The most tokens of a text, chain and answer together. Range `1..`.
    pub budget: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// A free text and the answer in it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FreeRollout {
    /// All tokens, each of them drawn.
    pub tokens: Vec<WrittenToken>,
    /// Whether the chain was closed.
    pub closed: bool,
    /// Tokens of the chain, its close included; all tokens where it was not closed.
    pub chain_len: usize,
    /// What is read after the close ([`SidSpec::answered`](sidereal_sid::SidSpec::answered)): it may belong to
    /// no item. Empty for a chain that was not closed, and where no Semantic ID follows.
    pub sid: SemanticId,
}

impl FreeWriter<'_> {
    /// `num_rollouts` texts for each prompt. What is drawn only depends on the seed and the key of the prompt,
    /// up to the rounding of logits: up to the close of a chain it is what a [`ReasoningSearch`] with this seed
    /// draws.
    ///
    /// # Errors
    /// Those of [`TextSampler::write`] and of the tokenizer.
    pub fn write(
        &self,
        prompts: &TokenBatch,
        keys: &[u64],
        num_rollouts: usize,
    ) -> Result<Vec<Vec<FreeRollout>>, TrainError> {
        let stops = [vec![self.tokenizer.end_of_turn()]];
        let sampler = TextSampler {
            model: self.model,
            num_ids: self.tokenizer.vocab_size(),
            sampling: self.sampling,
            budget: self.budget,
            stops: &stops,
            seed: self.seed,
        };
        let texts = sampler.write(prompts, keys, num_rollouts)?;
        let read = |of_prompt: Vec<_>| of_prompt.into_iter().map(|text| self.read(text)).collect();
        texts.into_iter().map(read).collect()
    }

    fn read(&self, text: sidereal_policy::Text) -> Result<FreeRollout, TrainError> {
        let tokens = text.tokens;
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let Some(chain_len) = self.markers.closed(&ids) else {
            let (chain_len, sid) = (ids.len(), SemanticId::default());
            return Ok(FreeRollout { tokens, closed: false, chain_len, sid });
        };
        let answer = self.tokenizer.decode(&ids[chain_len..])?;
        let sid = self.tokenizer.spec().answered(&answer);
        Ok(FreeRollout { tokens, closed: true, chain_len, sid })
    }
}

impl<'a> ReasoningSearch<'a> {
    /// The writer of free texts with the policy, the close marker, the words, the budget and the seed of this
    /// search.
    #[must_use]
    pub const fn freely(&self, tokenizer: &'a SidTokenizer) -> FreeWriter<'a> {
        FreeWriter {
            model: self.model,
            tokenizer,
            markers: self.markers,
            sampling: self.chain.words,
            budget: self.chain.budget,
            seed: self.seed,
        }
    }
}
