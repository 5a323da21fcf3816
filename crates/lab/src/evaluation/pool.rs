//! The test of policies that choose from pools, beside recommenders that rank the same pools.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::{Sample, SampleId};
use sidereal_metrics::{Candidates, Level, Placement, RankingRun, ScoreKind, SeenItems};
use sidereal_train::EncodedPrompt;

use super::lists::Lists;
use super::recommenders::Baseline;
use super::stage_answers::StageAnswers;
use super::systems::pooled;
use super::tables::{Measured, Tables, score_kind};
use crate::error::LabError;
use crate::parts::rankings::pool_users;
use crate::pool_task::is_over_pool;
use crate::workbench::Workbench;

/// Rows of every stage that chooses from a pool, and of every baseline over the same pools
/// of the same users.
pub(crate) fn rows(
    bench: &Workbench<'_>,
    answers: &[StageAnswers<'_>],
    recommenders: &[Baseline<'_>],
    tables: &mut Tables,
) -> Result<(), LabError> {
    let mut answers =
        answers.iter().filter(|answered| is_over_pool(answered.stage.task)).peekable();
    let (Some(pool), Some(first)) = (&bench.pool, answers.peek()) else { return Ok(()) };
    let samples = pool_users(bench, pool);
    let lists = Lists::new(bench.dataset, &bench.split.train, bench.seed)?;
    let how = Measured {
        system: "",
        candidates: Candidates::Pool(pool.size),
        seen_items: SeenItems::Kept,
        level: Level::Item,
        beam_width: None,
        chains: None,
        score: ScoreKind::PerItem,
    };
    let asked = bench.prompts(first.stage.task, &samples)?;
    for reference in recommenders {
        let placed = in_pools(reference, &samples, &asked)?;
        let system = pooled(reference.name);
        tables.push(Measured { system: &system, ..how }, placed, Vec::new())?;
    }
    for StageAnswers { stage, rankings, .. } in answers {
        let rankings = rankings.value.load()?;
        let how = Measured { system: &stage.label, ..how };
        let how = if bench.slates(stage.task).is_some() {
            Measured { score: ScoreKind::Slate, ..how }
        } else {
            let score = score_kind(stage.training.scoring());
            Measured { beam_width: NonZeroUsize::new(pool.size), score, ..how }
        };
        let none = BTreeSet::new();
        let placed = rankings.iter().map(|r| (r.id, r.item_placement(&none))).collect();
        let more = lists.values(&rankings, &tables.columns.of_lists(), &tables.bootstrap)?;
        tables.push(how, placed, more)?;
    }
    Ok(())
}

/// The place of the target among the candidates of each prompt.
fn in_pools(
    reference: &Baseline<'_>,
    samples: &[Sample<'_>],
    asked: &[EncodedPrompt],
) -> Result<RankingRun<SampleId>, LabError> {
    let mut scores = vec![0.0; reference.recommender.num_items()];
    let mut run = RankingRun::new();
    // Prompts are in the order of the samples; some samples have no prompt.
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
