//! The results of policies that reason: draws in both modes, and rankings with probabilities
//! averaged over the chains.

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::Sample;
use sidereal_metrics::Draws;
use sidereal_policy::{AnyPolicy, ReasoningMarkers, Sampler, SamplingConfig, as_language_model};
use sidereal_prompts::Task;
use sidereal_train::{
    AnswerForm, ChainConfig, ChainCounts, ChainRollout, Observer, Ranking, ReasonedRanking,
    ReasoningSearch, draw, reason, write_freely,
};

use crate::error::LabError;
use crate::parts::answers::{Answer, AnswersOfStage, Respondent, SearchSettings, TestUsers};
use crate::recipe::Recipe;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::evaluate_reasoning::{EvaluateReasoning, RankedAfter};
use crate::recipe::stage::Stage;
use crate::seed::{Purpose, stream};

/// Answers after a chain that count as recommended (SIDReasoner, 4.3.1: Recall@10).
pub(crate) const LISTED: usize = 10;

/// The result of a policy after reasoning, for one test user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasoningResult {
    /// The ranking with probabilities averaged over the chains, or that after one greedy chain, and the sample.
    pub ranking: Ranking,
    /// Tokens of each chain that were drawn.
    pub chain_lens: Vec<usize>,
    /// Chains that did not close by themselves. The search after such a chain closes it (`SIDReasoner`'s public
    /// test does so, too), and so do draws under the trie.
    pub num_forced: usize,
    /// Answers drawn after the chains: under the trie, or in free texts, in which one after a chain that did not
    /// close is wrong.
    pub drawn: Draws,
    /// As many answers drawn without reasoning.
    pub drawn_directly: Draws,
    /// For each chain, the place of the target's Semantic ID, from 0, among the answers of the search after
    /// this chain alone; `None` if it is not among them. Results of earlier versions do not have it.
    #[serde(default)]
    pub places: Vec<Option<usize>>,
    /// The chains as text, in the same order. Results of earlier versions do not have them.
    #[serde(default)]
    pub chains: Vec<String>,
    /// The greedy chain that the ranking comes after; `None` if it is merged over the chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranked_after: Option<String>,
}

impl ReasoningResult {
    /// For each chain, whether the target is among the first `count` answers after it: `Pass@k` of these is
    /// the expected hit rate after the best of `k` chains. `None` for results of earlier versions.
    pub(crate) fn after_each_chain(&self, count: usize) -> Option<Draws> {
        let within = |place: &Option<usize>| place.is_some_and(|place| place < count);
        Draws::new(&self.places.iter().map(within).collect::<Vec<_>>()).ok()
    }
}

impl Answer for ReasoningResult {
    fn ranking(&self) -> &Ranking {
        &self.ranking
    }
}

/// The results of a stage's policy after reasoning.
pub(crate) struct Reasoning<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) users: &'a TestUsers<'a>,
    pub(crate) config: &'a EvaluateReasoning,
    /// Name of the set of prompts, for messages.
    pub(crate) prompts: &'a str,
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str) -> String {
    format!("reasoning of {stage}")
}

/// The file of a stage's reasoning within the run's folder.
pub(crate) fn file(stage: &str) -> String {
    format!("reasoning/{stage}.json")
}

/// The settings that the reasoning of a stage depends on, besides its policy.
pub(crate) fn depends_on(
    search: SearchSettings,
    stage: &Stage,
    config: Option<&EvaluateReasoning>,
) -> Recipe {
    let mut own = search.of_answers(stage);
    own.evaluate.beam_width = EvaluateConfig::blank().beam_width;
    own.evaluate.reasoning = config.cloned();
    own
}

impl AnswersOfStage for Reasoning<'_> {
    type Answer = ReasoningResult;

    fn by(&self) -> Respondent<'_> {
        self.by
    }

    fn name_of(stage: &str) -> String {
        name(stage)
    }

    fn file_of(stage: &str) -> String {
        file(stage)
    }

    fn depends_on(&self) -> Recipe {
        depends_on(self.by.search, self.by.stage, Some(self.config))
    }

    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<ReasoningResult>, LabError> {
        let bench = self.by.bench;
        let Some(markers) = bench.words("reasoning")?.encoder.markers()? else {
            return Err(LabError::Setting {
                field: "prompts".to_owned(),
                found: format!("`{}`", self.prompts),
                needed: "a prompt set with the task `reasoning`, because `evaluate.reasoning` is set",
            });
        };
        let mut drawn: Vec<Sample<'_>> = self.users.samples();
        drawn.shuffle(&mut stream(bench.seed, Purpose::Reasoning, 0));
        drawn.truncate(self.config.users);
        self.results(&drawn, &markers, &self.by.open()?, observer)
    }
}

impl Reasoning<'_> {
    /// The results of the policy for these users, in both modes.
    fn results(
        &self,
        users: &[Sample<'_>],
        markers: &ReasoningMarkers,
        model: &AnyPolicy,
        observer: &mut dyn Observer,
    ) -> Result<Vec<ReasoningResult>, LabError> {
        let Self { by, config, .. } = self;
        let (bench, seed) = (by.bench, by.bench.seed);
        let direct = bench.prompts(Task::NextItem, users)?;
        let reasoned = bench.prompts(Task::Reasoning, users)?;
        let (constraint, scoring) = (bench.constraint, by.stage.training.scoring());
        let chain = config.chain;
        let writer = as_language_model(model, "reasoning")?;
        let search = ReasoningSearch { model: writer, constraint, markers, chain, scoring, seed };
        let (num_chains, beam_width) = (config.chains, config.beam_width);
        let counts = ChainCounts { num_chains, beam_width };
        let job = format!("reasoning {}", by.stage.name);
        let batching = by.batching(&job);
        let found = reason(&search, &reasoned, counts, batching, observer)?;
        let sampling = chain.codes;
        let sampler = Sampler { model, constraint, sampling, scoring, seed };
        let directly = draw(&sampler, &direct, num_chains, batching, observer)?;
        let mut greedy = match config.ranking {
            RankedAfter::Greedy => {
                let words = SamplingConfig::greedy();
                let search = ReasoningSearch { chain: ChainConfig { words, ..chain }, ..search };
                let one = ChainCounts { num_chains: 1, ..counts };
                reason(&search, &reasoned, one, batching, observer)?
            }
            RankedAfter::Merged => Vec::new(),
        }
        .into_iter();
        let free = match config.answer {
            AnswerForm::Free => {
                let text = search.freely(bench.words("reasoning")?.tokenizer);
                write_freely(&text, &reasoned, num_chains, batching, observer)?
            }
            _ => Vec::new(),
        };
        let trie = constraint.trie();
        let mut free = free.into_iter();
        let tokenizer = bench.words("reasoning")?.tokenizer;
        let text = |rollout: &ChainRollout| -> Result<String, LabError> {
            let ids: Vec<u32> = rollout.chain.ids().collect();
            Ok(tokenizer.decode(&ids)?)
        };
        let of_user = |(found, directly): (ReasonedRanking, Vec<_>)| {
            let target = found.ranking.target;
            let right = |node| trie.items(node).contains(&target);
            let sought = bench.catalog.sid(target);
            let drawn: Vec<bool> = match free.next() {
                Some(texts) => texts.iter().map(|text| Some(&text.sid) == sought).collect(),
                None => found.rollouts.iter().map(|it| right(it.answer.node)).collect(),
            };
            let directly: Vec<bool> = directly.into_iter().map(right).collect();
            let chains = found.rollouts.iter();
            let texts = chains.clone().map(text).collect::<Result<_, LabError>>()?;
            let (greedy, ranked_after) = match greedy.next() {
                Some(ReasonedRanking { ranking, rollouts, .. }) => {
                    (Some(ranking), rollouts.first().map(text).transpose()?)
                }
                None => (None, None),
            };
            Ok(ReasoningResult {
                chain_lens: chains.clone().map(ChainRollout::drawn).collect(),
                num_forced: chains.filter(|rollout| rollout.chain.is_forced()).count(),
                ranking: greedy.unwrap_or(found.ranking),
                places: found.places,
                chains: texts,
                ranked_after,
                drawn: Draws::new(&drawn)?,
                drawn_directly: Draws::new(&directly)?,
            })
        };
        found.into_iter().zip(directly).map(of_user).collect()
    }
}

#[cfg(test)]
mod tests {
    use sidereal_data::{ItemId, SampleId, UserId};
    use sidereal_metrics::{Metric, Outcome as _};

    use super::*;

    fn result(places: &[Option<usize>]) -> ReasoningResult {
        let ranking = Ranking {
            id: SampleId::Event { user: UserId(0), position: 3 },
            target: ItemId(0),
            found: Vec::new(),
            scores: Vec::new(),
        };
        let drawn = Draws::new(&[false]).unwrap();
        ReasoningResult {
            ranking,
            chain_lens: Vec::new(),
            num_forced: 0,
            drawn,
            drawn_directly: drawn,
            places: places.to_vec(),
            chains: Vec::new(),
            ranked_after: None,
        }
    }

    fn best_of(places: &[Option<usize>], k: usize, count: usize) -> f64 {
        let metric: Metric = format!("Pass@{k}").parse().unwrap();
        result(places).after_each_chain(count).unwrap().value(metric).unwrap()
    }

    #[test]
    fn hits_after_the_best_chain_are_the_mean_over_all_subsets_of_the_chains() {
        let places = [Some(12), Some(3), None, Some(0)];
        for count in [1, 4, 10, 20] {
            let mut last = 0.0;
            for k in 1..=4u32 {
                let subsets: Vec<u32> = (0..16u32).filter(|set| set.count_ones() == k).collect();
                let hits = subsets.iter().filter(|set| {
                    let chosen = (0..4).filter(|chain| *set >> chain & 1 == 1);
                    let best = chosen.filter_map(|chain| places[chain]).min();
                    best.is_some_and(|place| place < count)
                });
                let expected = hits.count() as f64 / subsets.len() as f64;
                let value = best_of(&places, k as usize, count);
                assert!((value - expected).abs() < 1e-12, "{count} {k}: {value} {expected}");
                assert!(value >= last);
                last = value;
            }
        }
    }

    #[test]
    fn with_one_chain_it_is_the_hit_rate_after_it_and_older_results_have_none() {
        assert!((best_of(&[Some(9)], 1, 10) - 1.0).abs() < 1e-12);
        assert!(best_of(&[Some(10)], 1, 10).abs() < 1e-12);
        assert!(result(&[]).after_each_chain(10).is_none());
        let text = serde_json::to_string(&result(&[])).unwrap();
        let text = text.replace(",\"places\":[]", "").replace(",\"chains\":[]", "");
        assert!(!text.contains("places") && !text.contains("chains"));
        assert_eq!(serde_json::from_str::<ReasoningResult>(&text).unwrap(), result(&[]));
    }
}
