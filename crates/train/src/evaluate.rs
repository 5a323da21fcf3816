//! Ranking items for held-out users by constrained decoding.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sidereal_data::{ItemId, SampleId};
use sidereal_metrics::{Metric, Placement, RankingRun, SeenItems};
use sidereal_policy::{
    BeamSearch, Conditions, Constraint, Excluded, Hypothesis, LanguageModel, Sampler, Scoring,
    TokenBatch,
};
use sidereal_sid::NodeId;

use crate::TrainError;
use crate::encode::{Mode, Prompt};
use crate::lengths::check_lengths;
use crate::observe::Observer;
use crate::reasoning::{Thinker, Thought};
use crate::slate::SlateAnswers;

/// A user's ranking: the items of each Semantic ID found, best first.
///
/// Items of one Semantic ID are not ordered among themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Identity of the sample.
    pub id: SampleId,
    /// The item that the user chose.
    pub target: ItemId,
    /// Items by Semantic ID, best first.
    pub found: Vec<Vec<ItemId>>,
    /// Log-probability of each Semantic ID, nats.
    #[serde(with = "crate::number::list")]
    pub scores: Vec<f32>,
}

impl Ranking {
    /// Where the target stands, item by item; `seen` items leave the ranking first.
    #[must_use]
    pub fn item_placement(&self, seen: &BTreeSet<ItemId>) -> Placement {
        let mut before = 0;
        for items in &self.found {
            let left: Vec<&ItemId> = items
                .iter()
                .filter(|item| !seen.contains(*item) || **item == self.target)
                .collect();
            if left.contains(&&self.target) {
                let count = NonZeroUsize::new(left.len()).unwrap_or(NonZeroUsize::MIN);
                return Placement::tied(before, count);
            }
            before += left.len();
        }
        Placement::Absent
    }

    /// Where the target's Semantic ID stands among those found.
    #[must_use]
    pub fn sid_placement(&self) -> Placement {
        let rank = self.found.iter().position(|items| items.contains(&self.target));
        rank.map_or(Placement::Absent, |at| Placement::tied(at, NonZeroUsize::MIN))
    }

    /// One item of each of the first `count` Semantic IDs that are not the target's.
    #[must_use]
    pub fn misses(&self, count: usize) -> Vec<ItemId> {
        let misses = self.found.iter().filter(|items| !items.contains(&self.target));
        misses.filter_map(|items| items.first()).take(count).copied().collect()
    }

    /// The first `k` items that are not in `seen`; items of one Semantic ID by identity.
    pub fn top(&self, k: usize, seen: &BTreeSet<ItemId>) -> impl Iterator<Item = ItemId> {
        self.found.iter().flatten().filter(|item| !seen.contains(*item)).take(k).copied()
    }
}

/// How users are decoded: together with those whose prompts are as long.
#[derive(Debug, Clone, Copy)]
pub struct Batching<'a> {
    /// Id that fills short rows.
    pub pad: u32,
    /// Users decoded together. Range `1..`; 0 counts as 1.
    pub batch_size: usize,
    /// Name in progress.
    pub job: &'a str,
}

/// Ranks items for every prompt by beam search; the order of `prompts` is kept. A prompt that shows
/// candidates is answered by those alone: a width of at least their number ranks them all.
///
/// # Errors
/// Those of the search; [`TrainError::NoSamples`] without prompts; [`TrainError::TooLong`], before
/// the first is read, where one leaves no room for an answer.
pub fn rank(
    search: &BeamSearch<'_>,
    prompts: &[Prompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    rank_without(&Excluded::default(), search, prompts, batching, observer)
}

/// As [`rank`], without the items of `excluded` for prompts that show no candidates.
pub(crate) fn rank_without(
    excluded: &Excluded,
    search: &BeamSearch<'_>,
    prompts: &[Prompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, TrainError> {
    let Batching { pad, batch_size, job } = batching;
    let limit = search.model.longest_prompt(search.constraint.max_len());
    check_room(job, prompts, limit)?;
    in_batches(prompts, batch_size, job, observer, |batch| {
        let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let tokens = TokenBatch::new(&rows, pad, limit, search.model.device())?;
        let trie = search.constraint.trie();
        let excluded = batch
            .iter()
            .map(|prompt| match prompt.pool.as_slice() {
                [] => Ok(excluded.clone()),
                pool => Excluded::all_but(trie, pool.iter().copied()),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let conditions = Conditions { excluded: &excluded, ..Conditions::default() };
        let found = search.search_under(&tokens, &conditions)?;
        let ranking = |(prompt, hypotheses): (&&Prompt, Vec<Hypothesis>)| Ranking {
            id: prompt.id,
            target: prompt.target,
            found: hypotheses.iter().map(|h| prompt.offered(trie.items(h.node))).collect(),
            scores: hypotheses.iter().map(|h| h.score).collect(),
        };
        Ok(batch.iter().zip(found).map(ranking).collect())
    })
}

/// How a test set is thought about.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    /// Chains of a user.
    pub num_chains: usize,
    /// Beams behind each chain, and Semantic IDs of the ranking.
    pub beam_width: usize,
}

/// Chains of thought, answers and a ranking for every prompt; the order of `prompts` is kept.
///
/// # Errors
/// Those of [`Thinker::think`]; [`TrainError::NoSamples`] without prompts.
pub fn think(
    thinker: &Thinker<'_>,
    prompts: &[Prompt],
    ways: Ways,
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Thought>, TrainError> {
    let Batching { pad, batch_size, job } = batching;
    let limit = thinker.longest_prompt();
    check_room(job, prompts, limit)?;
    in_batches(prompts, batch_size, job, observer, |batch| {
        let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let tokens = TokenBatch::new(&rows, pad, limit, thinker.model.device())?;
        thinker.think(batch, &tokens, ways.num_chains, ways.beam_width)
    })
}

/// `num_draws` Semantic IDs for every prompt, drawn independently, as nodes of the trie; the order of
/// `prompts` is kept.
///
/// # Errors
/// Those of [`Sampler::sample`]; [`TrainError::NoSamples`] without prompts.
pub fn draw(
    sampler: &Sampler<'_>,
    prompts: &[Prompt],
    num_draws: usize,
    batching: Batching<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<NodeId>>, TrainError> {
    let Batching { pad, batch_size, job } = batching;
    let limit = sampler.model.longest_prompt(sampler.constraint.max_len());
    check_room(job, prompts, limit)?;
    in_batches(prompts, batch_size, job, observer, |batch| {
        let rows: Vec<&[u32]> = batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
        let keys: Vec<u64> = batch.iter().map(|prompt| prompt.key()).collect();
        let conditions = Conditions { keys: &keys, ..Conditions::default() };
        let tokens = TokenBatch::new(&rows, pad, limit, sampler.model.device())?;
        let drawn = sampler.sample(&tokens, &conditions, num_draws)?;
        Ok(drawn.into_iter().map(|of| of.iter().map(|rollout| rollout.node).collect()).collect())
    })
}

/// Accepts prompts of at most `limit` tokens.
pub(crate) fn check_room(job: &str, prompts: &[Prompt], limit: usize) -> Result<(), TrainError> {
    check_lengths(job, prompts.iter().map(|prompt| (prompt.id, prompt.ids.len(), limit)))
}

/// What `decode` finds for every prompt, those of equal length together; the order is kept.
pub(crate) fn in_batches<T>(
    prompts: &[Prompt],
    batch_size: usize,
    job: &str,
    observer: &mut dyn Observer,
    mut decode: impl FnMut(&[&Prompt]) -> Result<Vec<T>, TrainError>,
) -> Result<Vec<T>, TrainError> {
    if prompts.is_empty() {
        return Err(TrainError::NoSamples { what: "an evaluation" });
    }
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|index| prompts[*index].ids.len());
    let mut found: Vec<Option<T>> = prompts.iter().map(|_| None).collect();
    let mut done = 0;
    for batch in order.chunks(batch_size.max(1)) {
        let asked: Vec<&Prompt> = batch.iter().map(|index| &prompts[*index]).collect();
        for (index, of_prompt) in batch.iter().zip(decode(&asked)?) {
            found[*index] = Some(of_prompt);
        }
        done += batch.len();
        observer.on_progress(job, "users", done, prompts.len());
    }
    Ok(found.into_iter().flatten().collect())
}

/// The placements of rankings under a rule for seen items, `seen` being asked by sample.
///
/// # Errors
/// [`TrainError::Metric`] where a sample comes twice.
pub fn placements<'s>(
    rankings: &[Ranking],
    rule: SeenItems,
    seen: impl Fn(SampleId) -> &'s [ItemId],
) -> Result<RankingRun<SampleId>, TrainError> {
    let mut run = RankingRun::new();
    for ranking in rankings {
        let removed: BTreeSet<ItemId> = match rule {
            SeenItems::Removed => seen(ranking.id).iter().copied().collect(),
            SeenItems::Kept => BTreeSet::new(),
        };
        run.push(ranking.id, ranking.item_placement(&removed))?;
    }
    Ok(run)
}

/// How a policy in training is judged on held-out users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validation<'a> {
    pub(crate) model: &'a dyn LanguageModel,
    pub(crate) constraint: &'a Constraint,
    pub(crate) scoring: Scoring,
    /// For prompts that are thought about.
    pub(crate) thinker: Option<Thinker<'a>>,
    /// For prompts that ask for slates.
    pub(crate) slates: Option<SlateAnswers<'a>>,
    pub(crate) pad: u32,
    pub(crate) batch_size: usize,
}

impl Validation<'_> {
    /// NDCG@10 of a beam search of width 20, item level, seen items kept; behind one chain of
    /// thought for prompts that are thought about, and of one greedy slate for those that ask for one.
    pub(crate) fn ndcg(&self, prompts: &[Prompt]) -> Result<f64, TrainError> {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();
        const BEAM_WIDTH: usize = 20;
        let Self { model, constraint, scoring, thinker, slates, pad, batch_size } = *self;
        let search = BeamSearch { model, constraint, beam_width: BEAM_WIDTH, scoring };
        let batching = Batching { pad, batch_size, job: "validate" };
        let mut silent = |_: &crate::Record| {};
        let (direct, thought): (Vec<Prompt>, Vec<Prompt>) =
            prompts.iter().cloned().partition(|prompt| prompt.mode == Mode::Direct);
        let mut rankings = Vec::new();
        if let Some(slates) = slates {
            rankings = slates.rank(model, &direct, batch_size, batching.job, &mut silent)?;
        } else if !direct.is_empty() || thought.is_empty() {
            rankings = rank(&search, &direct, batching, &mut silent)?;
        }
        if let (Some(thinker), false) = (thinker, thought.is_empty()) {
            check_room(batching.job, &thought, thinker.longest_prompt())?;
            let limit = thinker.longest_prompt();
            rankings.extend(in_batches(
                &thought,
                batch_size,
                batching.job,
                &mut silent,
                |batch| {
                    let rows: Vec<&[u32]> =
                        batch.iter().map(|prompt| prompt.ids.as_slice()).collect();
                    let tokens = TokenBatch::new(&rows, pad, limit, model.device())?;
                    thinker.rank(batch, &tokens, 1, BEAM_WIDTH)
                },
            )?);
        }
        let mut run = RankingRun::new();
        for ranking in &rankings {
            run.push(ranking.id, ranking.item_placement(&BTreeSet::new()))?;
        }
        let values = run.values(Metric::Ndcg(TEN))?;
        Ok(values.iter().sum::<f64>() / values.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidereal_data::UserId;
    use sidereal_policy::Decoder;
    use sidereal_sid::{Catalog, SemanticId, SidSpec};
    use tch::Device;

    use crate::Record;

    fn ranking() -> Ranking {
        Ranking {
            id: SampleId::Event { user: UserId(0), position: 3 },
            target: ItemId(5),
            found: vec![vec![ItemId(1)], vec![ItemId(2), ItemId(3)], vec![ItemId(5), ItemId(6)]],
            scores: vec![-1.0, -2.0, -3.0],
        }
    }

    #[test]
    fn items_of_better_semantic_ids_stand_before_and_seen_ones_do_not() {
        let two = NonZeroUsize::new(2).unwrap();
        let none = BTreeSet::new();
        assert_eq!(ranking().item_placement(&none), Placement::tied(3, two));
        let seen = BTreeSet::from([ItemId(1), ItemId(3), ItemId(6)]);
        assert_eq!(ranking().item_placement(&seen), Placement::tied(1, NonZeroUsize::MIN));
        assert_eq!(ranking().sid_placement(), Placement::tied(2, NonZeroUsize::MIN));
    }

    #[test]
    fn what_is_excluded_is_not_found_and_a_prompt_keeps_its_own_pool() {
        let sids = (0..8u16).map(|item| SemanticId::from([item / 4, item % 4])).collect();
        let catalog = Catalog::new(SidSpec::new(vec![2, 4], 0).unwrap(), sids).unwrap();
        let constraint = Constraint::from_ids(&catalog, (0..6).collect(), Device::Cpu).unwrap();
        let shape = "hidden_size = 8\nintermediate_size = 8\nlayers = 1\nheads = 1\n\
                     key_value_heads = 1\nhead_dim = 8\npositions = 16";
        let shape: crate::ModelConfig = toml::from_str(shape).unwrap();
        let model = Decoder::random(shape.qwen3(8), 1, Device::Cpu).unwrap();
        let search = BeamSearch {
            model: &model,
            constraint: &constraint,
            beam_width: 8,
            scoring: Scoring::Renormalised,
        };
        let prompt = |user, pool: &[u32]| Prompt {
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

    #[test]
    fn a_target_that_was_seen_before_stays_in_the_ranking() {
        let seen = BTreeSet::from([ItemId(5)]);
        assert_ne!(ranking().item_placement(&seen), Placement::Absent);
    }
}
