//! The test of policies that answer out of pools, beside recommenders that rank the same pools.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rand::seq::SliceRandom as _;
use sidereal_data::{HeldOut as _, Sample};
use sidereal_metrics::{Candidates, Level, Placement, RankingRun, ScoreKind, SeenItems};
use sidereal_policy::{BeamSearch, Decoder};
use sidereal_prompts::Task;

use super::lists::Lists;
use super::tables::{Measured, Tables};
use super::{TEN, rankings_file, read_rankings, score_kind};
use crate::LabError;
use crate::parts::training::prompts_of;
use crate::pipeline::Context;
use crate::recipe::pool::is_over_pool;
use crate::run::Run;
use crate::seed::{Purpose, stream};
use crate::{Pipeline, Reference, Stage};
use sidereal_train::Observer;
use sidereal_train::{Encoder, Prompt};
use sidereal_train::{Ranking, rank};

/// The name of a recommender that ranks pools.
pub(crate) fn pooled(name: &str) -> String {
    format!("{name}, in the pool")
}

impl Pipeline<'_> {
    /// What a stage chooses out of the pools of the test's users, by an exhaustive search over the
    /// pool's titles or by the greedy slate.
    pub(crate) fn rank_in_pools(
        &self,
        stage: &Stage,
        model: &Decoder,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError> {
        let Some(pool) = &self.recipe.pool else { return Ok(Vec::new()) };
        let asked = self.asked_in_pools(context, stage.task, &self.pool_users(context))?;
        let job = format!("test {}", stage.name);
        let batching = self.batching(context, &job);
        if let Some(slates) = self.slates(context, stage.task) {
            return Ok(slates.rank(model, &asked, batching.batch_size, &job, observer)?);
        }
        let (constraint, beam_width) = (context.answers(stage.task), pool.size);
        let search =
            BeamSearch { model, constraint, beam_width, scoring: stage.training.scoring() };
        Ok(rank(&search, &asked, batching, observer)?)
    }

    /// The rankings of every stage that is asked to choose out of a pool, and those of every
    /// recommender over the same pools of the same users.
    pub(crate) fn test_in_pools(
        &self,
        run: &Run,
        context: &Context<'_>,
        recommenders: &[Reference<'_>],
        tables: &mut Tables,
    ) -> Result<(), LabError> {
        let mut stages =
            self.recipe.stages.iter().filter(|stage| is_over_pool(stage.task)).peekable();
        let (Some(pool), Some(first)) = (&self.recipe.pool, stages.peek()) else { return Ok(()) };
        let samples = self.pool_users(context);
        let lists = Lists::new(self.dataset, &context.split.train, self.recipe.seed)?;
        let how = Measured {
            system: "",
            candidates: Candidates::Pool(pool.size),
            seen_items: SeenItems::Kept,
            level: Level::Item,
            beam_width: None,
            chains: None,
            score: ScoreKind::PerItem,
        };
        let asked = self.asked_in_pools(context, first.task, &samples)?;
        for reference in recommenders {
            let placed = in_pools(reference, &samples, &asked)?;
            let system = pooled(reference.name);
            tables.push(Measured { system: &system, ..how }, placed, Vec::new())?;
        }
        for stage in stages {
            let rankings = read_rankings(run, stage, &rankings_file(&stage.name))?;
            let how = Measured { system: &stage.label, ..how };
            let how = if self.slates(context, stage.task).is_some() {
                Measured { score: ScoreKind::Slate, ..how }
            } else {
                let score = score_kind(stage.training.scoring());
                Measured { beam_width: NonZeroUsize::new(pool.size), score, ..how }
            };
            let none = BTreeSet::new();
            let placed = rankings.iter().map(|r| (r.id, r.item_placement(&none))).collect();
            let more = lists.values(&rankings, TEN, &tables.bootstrap)?;
            tables.push(how, placed, more)?;
        }
        Ok(())
    }

    /// Users of the test who are asked with a pool, drawn by seed.
    fn pool_users<'c>(&self, context: &'c Context<'_>) -> Vec<Sample<'c>> {
        let mut samples: Vec<Sample<'_>> = context.split.test.samples().collect();
        samples.shuffle(&mut stream(self.recipe.seed, Purpose::Pools, 0));
        samples.truncate(self.recipe.pool.as_ref().map_or(0, |pool| pool.users));
        samples
    }

    fn asked_in_pools(
        &self,
        context: &Context<'_>,
        task: Task,
        samples: &[Sample<'_>],
    ) -> Result<Vec<Prompt>, LabError> {
        let Context { split, catalog, prompts, texts, tokenizer, .. } = context;
        let pools = self.pools(&split.train, catalog)?;
        let tasks = self.tasks(catalog, prompts, texts, pools.as_ref())?;
        prompts_of(&tasks, &Encoder::new(tokenizer, catalog, prompts)?, task, samples)
    }
}

/// Where the target stands among the candidates of each prompt.
fn in_pools(
    reference: &Reference<'_>,
    samples: &[Sample<'_>],
    asked: &[Prompt],
) -> Result<RankingRun<sidereal_data::SampleId>, LabError> {
    let mut scores = vec![0.0; reference.recommender.num_items()];
    let mut run = RankingRun::new();
    // Prompts keep the order of the samples, some of which have none.
    let mut samples = samples.iter();
    for prompt in asked {
        let Some(sample) = samples.find(|sample| sample.id == prompt.id) else { break };
        reference.recommender.score(sample.history, &mut scores)?;
        let of_pool: Vec<f32> =
            prompt.pool.iter().filter_map(|item| scores.get(item.index())).copied().collect();
        let target = prompt.pool.iter().position(|item| *item == prompt.target);
        let placed = target.and_then(|target| Placement::from_scores(&of_pool, target));
        run.push(prompt.id, placed.unwrap_or(Placement::Absent))?;
    }
    Ok(run)
}
