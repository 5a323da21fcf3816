//! The test of policies that think: draws in both modes, and rankings with the chains summed out.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{Sample, SampleId};
use sidereal_metrics::{
    Candidates, Chains, Draws, Level, Metric, RankingRun, SamplingRun, ScoreKind, SeenItems,
};
use sidereal_policy::{Decoder, ReasoningMarkers, Sampler};
use sidereal_prompts::{Task, Tasks};

use super::tables::{Measured, Tables};
use super::{TEN, score_kind};
use crate::LabError;
use crate::parts::training::prompts_of;
use crate::pipeline::Context;
use crate::recipe::pool::is_over_pool;
use crate::seed::{Purpose, stream};
use crate::setting::check_counts;
use crate::{Pipeline, Recipe, Stage, Training};
use sidereal_train::Observer;
use sidereal_train::{Batching, Ranking, Ways, draw, think};
use sidereal_train::{Encoder, Prompt};
use sidereal_train::{Thinker, Thinking, Thought};

/// The test of policies that think before they answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateReasoning {
    /// Test users, drawn by seed; all where there are no more. Range `1..`.
    pub users: usize,
    /// Chains of a user, and draws without thoughts beside them: `Pass@k` goes up to this. Range
    /// `1..`.
    pub chains: usize,
    /// Beams behind each chain. Range `1..`.
    pub beam_width: usize,
    /// How chains and answers are drawn.
    #[serde(default)]
    pub thinking: Thinking,
}

impl EvaluateReasoning {
    /// Accepts settings with which there is a test.
    ///
    /// # Errors
    /// [`LabError::Setting`] names the field.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("evaluate.reasoning.users", self.users),
            ("evaluate.reasoning.chains", self.chains),
            ("evaluate.reasoning.beam_width", self.beam_width),
        ])?;
        Ok(self.thinking.check("evaluate.reasoning.thinking")?)
    }

    fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.chains).unwrap_or(NonZeroUsize::MIN)
    }

    /// `Pass@k` for the powers of two up to the chains, and for all chains.
    fn passes(&self) -> Vec<Metric> {
        let powers = (0..usize::BITS).map(|power| 1 << power).take_while(|k| *k < self.chains);
        powers.chain([self.chains]).filter_map(NonZeroUsize::new).map(Metric::Pass).collect()
    }
}

/// What a policy that thinks found for one test user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThoughtResult {
    /// Items with the chains summed out, and the sample.
    pub ranking: Ranking,
    /// Tokens of each chain that were drawn.
    pub thought_lens: Vec<usize>,
    /// Chains that did not close by themselves.
    pub num_forced: usize,
    /// Answers drawn behind the chains.
    pub drawn: Draws,
    /// As many answers drawn without thoughts.
    pub drawn_directly: Draws,
}

/// The users of the test, asked in both modes.
pub(crate) struct ThoughtTest<'a> {
    config: &'a EvaluateReasoning,
    context: &'a Context<'a>,
    markers: ReasoningMarkers,
    direct: Vec<Prompt>,
    thought: Vec<Prompt>,
    seed: u64,
    batch_size: usize,
}

impl Pipeline<'_> {
    /// The test of stages that think; `None` where the recipe has none.
    pub(crate) fn thought_test<'t>(
        &'t self,
        context: &'t Context<'_>,
        tasks: &Tasks<'_>,
        encoder: &Encoder<'_>,
        samples: &[Sample<'_>],
    ) -> Result<Option<ThoughtTest<'t>>, LabError> {
        let Some(config) = &self.recipe.evaluate.reasoning else { return Ok(None) };
        let Some(markers) = encoder.markers()? else {
            return Err(LabError::Setting {
                field: "prompts".to_owned(),
                found: format!("`{}`", self.recipe.prompts),
                needed: "a set with the task `reasoning`, for `evaluate.reasoning`",
            });
        };
        let mut drawn = samples.to_vec();
        drawn.shuffle(&mut stream(self.recipe.seed, Purpose::Reasoning, 0));
        drawn.truncate(config.users);
        Ok(Some(ThoughtTest {
            config,
            context,
            markers,
            direct: prompts_of(tasks, encoder, Task::NextItem, &drawn)?,
            thought: prompts_of(tasks, encoder, Task::Reasoning, &drawn)?,
            seed: self.recipe.seed,
            batch_size: self.recipe.evaluate.batch_size,
        }))
    }

    /// Tables of what a stage found by thinking; `kept` are its direct placements of all test users.
    pub(crate) fn test_thoughts(
        &self,
        stage: &Stage,
        results: &[ThoughtResult],
        kept: &RankingRun<SampleId>,
        tables: &mut Tables,
    ) -> Result<(), LabError> {
        let Some(config) = &self.recipe.evaluate.reasoning else { return Ok(()) };
        let (count, budget) = (config.count(), config.thinking.budget);
        let chains = Some(Chains { count, budget });
        let system = thinking(&stage.label);
        let ranked = Measured {
            system: &system,
            candidates: Candidates::All,
            seen_items: SeenItems::Kept,
            level: Level::Item,
            beam_width: NonZeroUsize::new(config.beam_width),
            chains,
            score: score_kind(stage.training.scoring()),
        };
        let none = BTreeSet::new();
        let merged = results
            .iter()
            .map(|result| (result.ranking.id, result.ranking.item_placement(&none)))
            .collect();
        tables.push(ranked, merged, Vec::new())?;
        // The same users without thoughts, where the main table has others besides.
        let users: BTreeSet<SampleId> = results.iter().map(|result| result.ranking.id).collect();
        let directly = kept.filter(|id| users.contains(id));
        if users.len() < kept.num_samples() {
            let width = NonZeroUsize::new(self.recipe.evaluate.beam_width);
            let how = Measured { system: &stage.label, beam_width: width, chains: None, ..ranked };
            tables.push_part(how, &directly)?;
        }
        for metric in [Metric::HitRate(TEN), Metric::Ndcg(TEN)] {
            tables.compare_runs((&system, &stage.label), &directly, metric)?;
        }
        let drawn = Measured {
            level: Level::Sid,
            beam_width: None,
            score: ScoreKind::Drawn(count),
            ..ranked
        };
        let passes = config.passes();
        let runs: [(Measured<'_>, SamplingRun<SampleId>); 2] = [
            (drawn, results.iter().map(|r| (r.ranking.id, r.drawn)).collect()),
            (
                Measured { system: &stage.label, chains: None, ..drawn },
                results.iter().map(|r| (r.ranking.id, r.drawn_directly)).collect(),
            ),
        ];
        for (how, run) in runs {
            let values = run.evaluate(&passes, &tables.bootstrap)?;
            tables.push_values(how, run.num_samples(), values)?;
        }
        Ok(())
    }
}

impl Recipe {
    /// Whether a stage's policy is tested as it thinks, too.
    pub(crate) fn is_tested_thinking(&self, stage: &Stage) -> bool {
        self.evaluate.reasoning.is_some() && !is_over_pool(stage.task) && self.thinks(stage)
    }

    /// Whether a stage, or one that it comes from, has learned to think.
    fn thinks(&self, stage: &Stage) -> bool {
        let own = match &stage.training {
            Training::Sft(config) => {
                let mixture = config.mixture.as_ref();
                mixture.is_some_and(|mixture| mixture.tasks.contains(&Task::Reasoning))
            }
            Training::Rl { config, .. } => config.reasoning.is_some(),
            Training::Preference(_) => false,
        };
        let parent = self.stages.iter().find(|other| Some(&other.name) == stage.from.as_ref());
        own || parent.is_some_and(|parent| self.thinks(parent))
    }
}

/// The name of a system that thinks.
pub(crate) fn thinking(label: &str) -> String {
    format!("{label}, thinking")
}

impl ThoughtTest<'_> {
    /// What a stage's policy finds.
    pub(crate) fn results(
        &self,
        stage: &Stage,
        model: &Decoder,
        observer: &mut dyn Observer,
    ) -> Result<Vec<ThoughtResult>, LabError> {
        let Self { config, context, markers, seed, batch_size, .. } = self;
        let (constraint, scoring) = (&context.constraint, stage.training.scoring());
        let thinking = config.thinking;
        let thinker = Thinker { model, constraint, markers, thinking, scoring, seed: *seed };
        let (num_chains, beam_width) = (config.chains, config.beam_width);
        let ways = Ways { num_chains, beam_width };
        let job = format!("thoughts {}", stage.name);
        let batching =
            Batching { pad: context.tokenizer.pad(), batch_size: *batch_size, job: &job };
        let thoughts = think(&thinker, &self.thought, ways, batching, observer)?;
        let sampling = thinking.codes;
        let sampler = Sampler { model, constraint, sampling, scoring, seed: *seed };
        let directly = draw(&sampler, &self.direct, num_chains, batching, observer)?;
        let trie = constraint.trie();
        let of_user = |(thought, directly): (Thought, Vec<_>)| {
            let target = thought.ranking.target;
            let right = |node| trie.items(node).contains(&target);
            let drawn: Vec<bool> =
                thought.rollouts.iter().map(|rollout| right(rollout.answer.node)).collect();
            let directly: Vec<bool> = directly.into_iter().map(right).collect();
            let chains = thought.rollouts.iter();
            Ok(ThoughtResult {
                thought_lens: chains.clone().map(sidereal_train::ThoughtRollout::drawn).collect(),
                num_forced: chains.filter(|rollout| rollout.chain.is_forced()).count(),
                ranking: thought.ranking,
                drawn: Draws::new(&drawn)?,
                drawn_directly: Draws::new(&directly)?,
            })
        };
        thoughts.into_iter().zip(directly).map(of_user).collect()
    }
}
