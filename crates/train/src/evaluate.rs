//! Ranking items for held-out users by constrained decoding.

use sidereal_policy::{BeamSearch, Conditions, Excluded, Hypothesis, Sampler, TriePrior};
use sidereal_sid::NodeId;

use crate::TrainError;
use crate::batching::{Batching, in_token_batches};
use crate::encode::EncodedPrompt;
use crate::free_answer::{FreeRollout, FreeWriter};
use crate::observe::Observer;
use crate::ranking::Ranking;
use crate::reasoning::{ReasonedRanking, ReasoningSearch};

/// Ranks items for every prompt by beam search; the order of `prompts` is kept. A prompt that shows
/// candidates is answered only by those; a beam width of at least their number ranks them all.
///
/// # Errors
/// Those of the search; [`TrainError::NoSamples`] without prompts; [`TrainError::TooLong`], before
/// the first is read, if a prompt leaves no room for an answer.
pub fn rank(
    search: &BeamSearch<'_>,
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    rank_without(&Excluded::default(), search, prompts, batching, observer)
}

/// As [`rank`], without the items of `excluded` for prompts that show no candidates.
///
/// # Errors
/// As [`rank`].
pub fn rank_without(
    excluded: &Excluded,
    search: &BeamSearch<'_>,
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    search_all(None, excluded, search, prompts, batching, observer)
}

/// What leads the search for a prompt, besides the policy.
type PriorOf<'a> = &'a dyn Fn(&EncodedPrompt) -> Result<TriePrior, TrainError>;

/// As [`rank_without`], in a search that a prior leads for each prompt. It is made when the prompt is read.
///
/// # Errors
/// As [`rank`], and those of `prior`.
pub fn rank_led(
    prior: PriorOf<'_>,
    excluded: &Excluded,
    search: &BeamSearch<'_>,
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    search_all(Some(prior), excluded, search, prompts, batching, observer)
}

fn search_all(
    prior: Option<PriorOf<'_>>,
    excluded: &Excluded,
    search: &BeamSearch<'_>,
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    let limit = search.model.longest_prompt(search.constraint.max_len());
    in_token_batches(
        prompts,
        batching,
        (limit, search.model.device()),
        observer,
        |batch, tokens| {
            let trie = search.constraint.trie();
            let priors = match prior {
                Some(prior) => {
                    batch.iter().map(|asked| prior(asked)).collect::<Result<Vec<_>, _>>()?
                }
                None => Vec::new(),
            };
            let excluded = batch
                .iter()
                .map(|prompt| match prompt.pool.as_slice() {
                    [] => Ok(excluded.clone()),
                    pool => Excluded::all_but(trie, pool.iter().copied()),
                })
                .collect::<Result<Vec<_>, _>>()?;
            let conditions =
                Conditions { excluded: &excluded, priors: &priors, ..Conditions::default() };
            let found = search.search_under(tokens, &conditions)?;
            let ranking = |(prompt, hypotheses): (&&EncodedPrompt, Vec<Hypothesis>)| Ranking {
                id: prompt.id,
                target: prompt.target,
                found: hypotheses.iter().map(|h| prompt.offered(trie.items(h.node))).collect(),
                scores: hypotheses.iter().map(|h| h.score).collect(),
            };
            Ok(batch.iter().zip(found).map(ranking).collect())
        },
    )
}

/// How many chains and beams a test with reasoning takes.
#[derive(Debug, Clone, Copy)]
pub struct ChainCounts {
    /// Chains of a user.
    pub num_chains: usize,
    /// Beams after each chain, and Semantic IDs of the ranking.
    pub beam_width: usize,
}

/// Chains of thought, answers and a ranking for every prompt; the order of `prompts` is kept.
///
/// # Errors
/// Those of [`ReasoningSearch::reason`]; [`TrainError::NoSamples`] without prompts.
pub fn reason(
    search: &ReasoningSearch<'_>,
    prompts: &[EncodedPrompt],
    counts: ChainCounts,
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<ReasonedRanking>, TrainError> {
    let limit = search.longest_prompt();
    in_token_batches(
        prompts,
        batching,
        (limit, search.model.device()),
        observer,
        |batch, tokens| search.reason(batch, tokens, counts.num_chains, counts.beam_width),
    )
}

/// The rankings that [`reason`] finds, without chains and answers; the order of `prompts` is kept.
///
/// # Errors
/// As [`reason`].
pub fn rank_after_chains(
    search: &ReasoningSearch<'_>,
    prompts: &[EncodedPrompt],
    counts: ChainCounts,
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    let limit = search.longest_prompt();
    in_token_batches(
        prompts,
        batching,
        (limit, search.model.device()),
        observer,
        |batch, tokens| search.rank(batch, tokens, counts.num_chains, counts.beam_width),
    )
}

/// `num_texts` free texts for every prompt, each a chain of thought and an answer; the order of `prompts` is kept.
///
/// # Errors
/// Those of [`FreeWriter::write`]; [`TrainError::NoSamples`] without prompts; [`TrainError::TooLong`], before the
/// first is read, if a prompt leaves no room for the budget.
pub fn write_freely(
    writer: &FreeWriter<'_>,
    prompts: &[EncodedPrompt],
    num_texts: usize,
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<FreeRollout>>, TrainError> {
    let limit = writer.model.longest_prompt(writer.budget);
    in_token_batches(
        prompts,
        batching,
        (limit, writer.model.device()),
        observer,
        |batch, tokens| {
            let keys: Vec<u64> = batch.iter().map(|prompt| prompt.key()).collect();
            writer.write(tokens, &keys, num_texts)
        },
    )
}

/// `num_draws` Semantic IDs for every prompt, drawn independently, as nodes of the trie; the order of
/// `prompts` is kept.
///
/// # Errors
/// Those of [`Sampler::sample`]; [`TrainError::NoSamples`] without prompts.
pub fn draw(
    sampler: &Sampler<'_>,
    prompts: &[EncodedPrompt],
    num_draws: usize,
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<NodeId>>, TrainError> {
    let limit = sampler.model.longest_prompt(sampler.constraint.max_len());
    in_token_batches(
        prompts,
        batching,
        (limit, sampler.model.device()),
        observer,
        |batch, tokens| {
            let keys: Vec<u64> = batch.iter().map(|prompt| prompt.key()).collect();
            let conditions = Conditions { keys: &keys, ..Conditions::default() };
            let drawn = sampler.sample(tokens, &conditions, num_draws)?;
            Ok(drawn
                .into_iter()
                .map(|of| of.iter().map(|rollout| rollout.node).collect())
                .collect())
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sidereal_data::{ItemId, SampleId, UserId};
    use sidereal_policy::{Constraint, Decoder, DecoderConfig, Scoring};
    use sidereal_sid::{Catalog, SemanticId, SidSpec};
    use tch::Device;

    use super::*;
    use crate::{Mode, Record};

    #[test]
    fn what_is_excluded_is_not_found_and_a_prompt_keeps_its_own_pool() {
        let sids = (0..8u16).map(|item| SemanticId::from([item / 4, item % 4])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![2, 4], 0).unwrap(), sids).unwrap();
        let constraint = Constraint::from_ids(&catalog, (0..6).collect(), Device::Cpu).unwrap();
        let config = DecoderConfig::tiny(8);
        let model = Decoder::random(config, 1, Device::Cpu).unwrap();
        let search = BeamSearch {
            model: &model,
            constraint: &constraint,
            beam_width: 8,
            scoring: Scoring::Renormalised,
        };
        let prompt = |user, pool: &[u32]| EncodedPrompt {
            id: SampleId::Event { user: UserId(user), position: 1 },
            ids: vec![6, 7],
            target: ItemId(0),
            mode: Mode::Direct,
            pool: pool.iter().copied().map(ItemId).collect(),
        };
        let prompts = [prompt(0, &[]), prompt(1, &[1, 6])];
        let domain = [0, 1, 5].map(ItemId);
        let excluded = Excluded::all_but(constraint.trie(), domain).unwrap();
        let found = |rankings: Vec<Ranking>| -> Vec<BTreeSet<ItemId>> {
            rankings.iter().map(|r| r.found.iter().flatten().copied().collect()).collect()
        };
        let batching = Batching { pad: 7, batch_size: 2, job: "" };
        let mut silent = |_: &Record| {};
        let some = rank_without(&excluded, &search, &prompts, batching, &mut silent).unwrap();
        assert_eq!(found(some), [BTreeSet::from(domain), BTreeSet::from([1, 6].map(ItemId))]);
        let all = rank(&search, &prompts, batching, &mut silent).unwrap();
        assert_eq!(found(all)[0].len(), 8);
    }
}
