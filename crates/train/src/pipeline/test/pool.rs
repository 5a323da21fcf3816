//! The test of policies that answer out of pools, beside recommenders that rank the same pools.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sidereal_corpus::{HeldOut as _, Sample};
use sidereal_metrics::{Candidates, Level, Placement, RankingRun, ScoreKind, SeenItems};
use sidereal_policy::BeamSearch;

use super::lists::Lists;
use super::tables::{Measured, Tables};
use super::{TEN, rankings_file, save, score_kind};
use crate::TrainError;
use crate::encode::{Encoder, Prompt};
use crate::evaluate::rank;
use crate::observe::Observer;
use crate::pipeline::pool::is_over_pool;
use crate::pipeline::run::Run;
use crate::pipeline::training::prompts_of;
use crate::pipeline::{Context, Pipeline, Reference};

/// The name of a recommender that ranks pools.
pub(super) fn pooled(name: &str) -> String {
    format!("{name}, in the pool")
}

impl Pipeline<'_> {
    /// Every stage that is asked to choose out of a pool, by an exhaustive search over the pool's
    /// titles or by the greedy slate, and every recommender over the same pools of the same users.
    pub(super) fn test_in_pools(
        &self,
        run: &Run,
        context: &Context<'_>,
        recommenders: &[Reference<'_>],
        tables: &mut Tables,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let mut stages =
            self.recipe.stages.iter().filter(|stage| is_over_pool(stage.task)).peekable();
        let (Some(pool), Some(first)) = (&self.recipe.pool, stages.peek()) else { return Ok(()) };
        let Context { split, catalog, prompts, texts, tokenizer, .. } = context;
        let pools = self.pools(&split.train, catalog)?;
        let tasks = self.tasks(catalog, prompts, texts, pools.as_ref())?;
        let encoder = Encoder::new(tokenizer, catalog, prompts)?;
        let mut samples: Vec<Sample<'_>> = split.test.samples().collect();
        samples.shuffle(&mut ChaCha8Rng::seed_from_u64(self.recipe.seed));
        samples.truncate(pool.users);
        let lists = Lists::new(self.dataset, &split.train, self.recipe.seed)?;
        let how = Measured {
            system: "",
            candidates: Candidates::Pool(pool.size),
            seen_items: SeenItems::Kept,
            level: Level::Item,
            beam_width: None,
            chains: None,
            score: ScoreKind::PerItem,
        };
        let asked = prompts_of(&tasks, &encoder, first.task, &samples)?;
        for reference in recommenders {
            let placed = in_pools(reference, &samples, &asked)?;
            let system = pooled(reference.name);
            tables.push(Measured { system: &system, ..how }, placed, Vec::new())?;
        }
        for stage in stages {
            let asked = prompts_of(&tasks, &encoder, stage.task, &samples)?;
            let scoring = stage.training.scoring();
            let model = self.open(&run.path(&stage.name), context)?;
            let (pad, size) = (tokenizer.pad(), self.recipe.evaluate.batch_size);
            let job = format!("test {}", stage.name);
            let how = Measured { system: &stage.label, ..how };
            let (rankings, how) = if let Some(slates) = self.slates(context, stage.task) {
                let rankings = slates.rank(&model, &asked, size, &job, observer)?;
                (rankings, Measured { score: ScoreKind::Slate, ..how })
            } else {
                let (constraint, beam_width) = (context.answers(stage.task), pool.size);
                let search = BeamSearch { model: &model, constraint, beam_width, scoring };
                let (score, beam_width) = (score_kind(scoring), NonZeroUsize::new(beam_width));
                let rankings = rank(&search, &asked, pad, size, &job, observer)?;
                (rankings, Measured { beam_width, score, ..how })
            };
            save(&run.path(&rankings_file(&stage.name)), &rankings)?;
            let none = BTreeSet::new();
            let placed = rankings.iter().map(|r| (r.id, r.item_placement(&none))).collect();
            let more = lists.values(&rankings, TEN, &tables.bootstrap)?;
            tables.push(how, placed, more)?;
        }
        Ok(())
    }
}

/// Where the target stands among the candidates of each prompt.
fn in_pools(
    reference: &Reference<'_>,
    samples: &[Sample<'_>],
    asked: &[Prompt],
) -> Result<RankingRun<sidereal_corpus::SampleId>, TrainError> {
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
