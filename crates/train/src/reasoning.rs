//! Reasoning before answering: chains of thought, and an answer after each.

use serde::{Deserialize, Serialize};
use sidereal_data::ItemId;
use sidereal_policy::{
    BeamSearch, Chain, CompletionToken, Conditions, Constraint, Hypothesis, LanguageModel,
    Prefilled, Reasoner, ReasoningMarkers, Rollout, Sampler, SamplingConfig, Scoring, TokenBatch,
    WrittenToken, merge_chains,
};

use crate::TrainError;
use crate::encode::EncodedPrompt;
use crate::ranking::Ranking;
use crate::setting::check_counts;

/// How chains of thought, and the answers after them, are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// The most tokens that are drawn for a chain, including the tokens that close it. A longer chain is
    /// closed there. With free answers, the most tokens of chain and answer together. Range `1..`.
    pub budget: usize,
    /// How a token of a chain is drawn.
    pub words: SamplingConfig,
    /// How a code of the answer is drawn.
    pub codes: SamplingConfig,
}

impl Default for ChainConfig {
    /// 256 tokens; chains and answers are drawn at temperature 1, without `top_k` and `top_p`.
    fn default() -> Self {
        let whole = SamplingConfig::new(1.0).unwrap_or(SamplingConfig::greedy());
        Self { budget: 256, words: whole, codes: whole }
    }
}

impl ChainConfig {
    /// Accepts settings with which chains can be drawn.
    ///
    /// # Errors
    /// [`TrainError::Setting`].
    pub fn check(&self, table: &str) -> Result<(), TrainError> {
        check_counts(&[(&format!("{table}.budget"), self.budget)])
    }
}

/// The place of the target after each chain.
type Places = Vec<Option<usize>>;

/// A policy that reasons before it recommends.
#[derive(Debug, Clone, Copy)]
pub struct ReasoningSearch<'a> {
    /// The policy: a decoder.
    pub model: &'a dyn LanguageModel,
    /// The legal answers.
    pub constraint: &'a Constraint,
    /// What closes a chain and leads to the answer, see [`Encoder::markers`](crate::Encoder::markers).
    pub markers: &'a ReasoningMarkers,
    /// How chains and answers are drawn.
    pub chain: ChainConfig,
    /// How the probability of a code is normalised.
    pub scoring: Scoring,
    /// Seed of the draws.
    pub seed: u64,
}

/// A chain of thought and the Semantic ID that was drawn after it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChainRollout {
    /// The chain, closed.
    pub chain: Chain,
    /// The answer.
    pub answer: Rollout,
}

impl ChainRollout {
    /// Chain and answer as a completion: drawn tokens are scored, forced tokens are only read.
    #[must_use]
    pub fn completion(&self, constraint: &Constraint) -> Vec<CompletionToken> {
        let words = self.chain.tokens.iter().map(WrittenToken::completion);
        words.chain(self.answer.completion(constraint)).collect()
    }

    /// What was drawn of a chain that did not close, as a completion that answers nothing: without the forced
    /// close and the answer, with the end of the turn where the chain ended it.
    #[must_use]
    pub fn unanswered(&self) -> Vec<CompletionToken> {
        self.chain.drawn().map(WrittenToken::completion).collect()
    }

    /// Tokens of the chain that were drawn.
    #[must_use]
    pub fn drawn(&self) -> usize {
        self.chain.tokens.iter().filter(|token| token.drawn.is_some()).count()
    }
}

/// What a reasoning policy found for one prompt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReasonedRanking {
    /// Chains with a drawn answer each, in the order of their numbers.
    pub rollouts: Vec<ChainRollout>,
    /// The best Semantic IDs with the chains summed out: a mean of their probabilities after each
    /// chain.
    pub ranking: Ranking,
    /// For each chain, the place of the target's Semantic ID, from 0, among the answers of the beam search
    /// after this chain alone; `None` if it is not among them.
    pub places: Vec<Option<usize>>,
}

impl ReasoningSearch<'_> {
    /// `num_rollouts` chains for each prompt, a Semantic ID drawn after each. What is drawn only
    /// depends on the seed and the key of the prompt, up to the rounding of logits.
    ///
    /// # Errors
    /// Those of [`Reasoner::reason`] and [`Sampler::sample_from`].
    pub fn rollouts(
        &self,
        prompts: &TokenBatch,
        keys: &[u64],
        num_rollouts: usize,
    ) -> Result<Vec<Vec<ChainRollout>>, TrainError> {
        let reasoned = self.reasoner().reason(prompts, keys, num_rollouts)?;
        let conditions = Conditions { keys: &reasoned.keys, ..Conditions::default() };
        let answers =
            self.sampler().sample_from(reasoned.start.branches(self.model), &conditions, 1)?;
        Ok(paired(reasoned.chains, answers))
    }

    /// As [`rollouts`](Self::rollouts), and the ranking of a beam search after every chain.
    ///
    /// # Errors
    /// As [`rollouts`](Self::rollouts), and those of the search.
    pub fn reason(
        &self,
        prompts: &[&EncodedPrompt],
        tokens: &TokenBatch,
        num_chains: usize,
        beam_width: usize,
    ) -> Result<Vec<ReasonedRanking>, TrainError> {
        let keys: Vec<u64> = prompts.iter().map(|prompt| prompt.key()).collect();
        let reasoned = self.reasoner().reason(tokens, &keys, num_chains)?;
        let conditions = Conditions { keys: &reasoned.keys, ..Conditions::default() };
        let answers = self.sampler().sample_from(
            reasoned.start.again()?.branches(self.model),
            &conditions,
            1,
        )?;
        let rankings = self.after(reasoned.start, prompts, num_chains, beam_width)?;
        let rollouts = paired(reasoned.chains, answers);
        let of_prompt =
            |(rollouts, (ranking, places))| ReasonedRanking { rollouts, ranking, places };
        Ok(rollouts.into_iter().zip(rankings).map(of_prompt).collect())
    }

    /// The rankings that [`reason`](Self::reason) finds, without drawn answers.
    ///
    /// # Errors
    /// As [`reason`](Self::reason).
    pub fn rank(
        &self,
        prompts: &[&EncodedPrompt],
        tokens: &TokenBatch,
        num_chains: usize,
        beam_width: usize,
    ) -> Result<Vec<Ranking>, TrainError> {
        let keys: Vec<u64> = prompts.iter().map(|prompt| prompt.key()).collect();
        let reasoned = self.reasoner().reason(tokens, &keys, num_chains)?;
        let found = self.after(reasoned.start, prompts, num_chains, beam_width)?;
        Ok(found.into_iter().map(|(ranking, _)| ranking).collect())
    }

    /// The ranking of each prompt by a beam search after each of its chains, and the place of its target
    /// after each chain alone.
    fn after(
        &self,
        start: Prefilled,
        prompts: &[&EncodedPrompt],
        num_chains: usize,
        beam_width: usize,
    ) -> Result<Vec<(Ranking, Places)>, TrainError> {
        let Self { model, constraint, scoring, .. } = *self;
        let search = BeamSearch { model, constraint, beam_width, scoring };
        let found =
            search.search_from(start.branches(model), &Conditions::default(), &mut |_| {})?;
        let trie = constraint.trie();
        let items = |node| -> Vec<ItemId> { trie.items(node).to_vec() };
        let ranking = |(prompt, found): (&&EncodedPrompt, &[Vec<Hypothesis>])| {
            let right = |found: &Hypothesis| trie.items(found.node).contains(&prompt.target);
            let places = found.iter().map(|of_chain| of_chain.iter().position(right)).collect();
            let mut merged = merge_chains(found);
            merged.truncate(beam_width);
            let ranking = Ranking {
                id: prompt.id,
                target: prompt.target,
                found: merged.iter().map(|hypothesis| items(hypothesis.node)).collect(),
                scores: merged.iter().map(|hypothesis| hypothesis.score).collect(),
            };
            (ranking, places)
        };
        Ok(prompts.iter().zip(found.chunks(num_chains.max(1))).map(ranking).collect())
    }

    /// Longest prompt that leaves room for a chain and answer.
    #[must_use]
    pub fn longest_prompt(&self) -> usize {
        let room = self.chain.budget + self.markers.added() + self.constraint.max_len();
        self.model.longest_prompt(room)
    }

    fn reasoner(&self) -> Reasoner<'_> {
        Reasoner {
            model: self.model,
            markers: self.markers,
            sampling: self.chain.words,
            budget: self.chain.budget,
            answer_len: self.constraint.max_len(),
            seed: self.seed,
        }
    }

    fn sampler(&self) -> Sampler<'_> {
        let Self { model, constraint, scoring, seed, chain, .. } = *self;
        Sampler { model, constraint, sampling: chain.codes, scoring, seed }
    }
}

/// Each chain with the one answer after it, prompt by prompt.
fn paired(chains: Vec<Vec<Chain>>, answers: Vec<Vec<Rollout>>) -> Vec<Vec<ChainRollout>> {
    // Nothing is excluded, so every chain has an answer.
    let mut answers = answers.into_iter().flatten();
    let mut paired = |chain| Some(ChainRollout { chain, answer: answers.next()? });
    let of_prompt = |chains: Vec<Chain>| chains.into_iter().filter_map(&mut paired).collect();
    chains.into_iter().map(of_prompt).collect()
}
