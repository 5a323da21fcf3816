//! The test over all items of the catalogue.

use std::num::NonZeroUsize;

use sidereal_baselines::{Case, evaluate};
use sidereal_data::{HeldOut as _, Sample, SampleId, Split};
use sidereal_metrics::{Candidates, Level, Note, ScoreKind, SeenItems};
use sidereal_train::placements;

use super::buckets::{BucketRow, Buckets};
use super::lists::Lists;
use super::reasoning;
use super::recommenders::Baseline;
use super::seen::SeenOfUsers;
use super::stage_answers::{BlendAnswers, StageAnswers};
use super::tables::{Measured, Tables, score_kind};
use crate::error::LabError;
use crate::pool_task::{is_by_head, is_over_pool, is_slate};
use crate::recipe::answering::Answering;
use crate::recipe::evaluate::EvaluateConfig;
use crate::workbench::Workbench;

/// Rows of recommenders.
pub(crate) fn recommenders(
    recommenders: &[Baseline<'_>],
    split: &Split,
    tables: &mut Tables,
) -> Result<(), LabError> {
    let cases: Vec<Case<'_, SampleId>> = split.test.samples().map(Case::from).collect();
    for reference in recommenders {
        for seen_items in [SeenItems::Kept, SeenItems::Removed] {
            let run = evaluate(reference.recommender, &cases, seen_items)?;
            let how = Measured {
                system: reference.name,
                candidates: Candidates::All,
                seen_items,
                level: Level::Item,
                beam_width: None,
                chains: None,
                score: ScoreKind::PerItem,
            };
            tables.push(how, run, Vec::new())?;
        }
    }
    Ok(())
}

/// Rows of the stages that may answer with any item; returns their values by kind of user.
pub(crate) fn policies(
    bench: &Workbench<'_>,
    config: &EvaluateConfig,
    answers: &[StageAnswers<'_>],
    tables: &mut Tables,
) -> Result<Vec<BucketRow>, LabError> {
    let samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
    let seen = SeenOfUsers::of(bench.split);
    let seen = |id: SampleId| seen.of_sample(id);
    let lists = Lists::new(bench.dataset, &bench.split.train, bench.seed)?;
    let buckets = Buckets::new(&samples, &bench.split.train, bench.catalog);
    let mut by_bucket = Vec::new();
    for answered in answers.iter().filter(|answered| !is_over_pool(answered.stage.task)) {
        let stage = answered.stage;
        let rankings = answered.rankings.value.load()?;
        let slates = is_slate(stage.task);
        let grounded = matches!(stage.training.answering(), Answering::Grounded(_));
        let of_items = grounded || is_by_head(stage.task);
        let how = |seen_items, level| Measured {
            system: &stage.label,
            candidates: Candidates::All,
            seen_items,
            level,
            beam_width: NonZeroUsize::new(config.beam_width)
                .filter(|_| !answered.exact && !of_items && !slates),
            chains: None,
            score: if slates {
                ScoreKind::Slate
            } else if of_items {
                ScoreKind::PerItem
            } else {
                score_kind(stage.training.scoring())
            },
        };
        let kept = placements(&rankings, SeenItems::Kept, seen)?;
        let in_buckets = tables.columns.by_kind_of_user();
        by_bucket.extend(buckets.rows(&stage.label, &kept, &in_buckets, &tables.bootstrap)?);
        let more = lists.values(&rankings, &tables.columns.of_lists(), &tables.bootstrap)?;
        tables.push(how(SeenItems::Kept, Level::Item), kept, more)?;
        if let (Some(file), Some(reasoning)) = (&answered.reasoning, &config.reasoning) {
            let kept = placements(&rankings, SeenItems::Kept, seen)?;
            let direct = how(SeenItems::Kept, Level::Item);
            reasoning::rows(direct, reasoning, &file.value.load()?, &kept, tables)?;
        }
        let removed = placements(&rankings, SeenItems::Removed, seen)?;
        tables.push(how(SeenItems::Removed, Level::Item), removed, Vec::new())?;
        let by_sid = rankings.iter().map(|r| (r.id, r.sid_placement())).collect();
        tables.push(how(SeenItems::Kept, Level::Sid), by_sid, Vec::new())?;
    }
    Ok(by_bucket)
}

/// Rows of blends. Their weights are chosen separately with seen items kept and removed.
pub(crate) fn blends(
    bench: &Workbench<'_>,
    blends: &[BlendAnswers<'_>],
    tables: &mut Tables,
) -> Result<(), LabError> {
    if blends.is_empty() {
        return Ok(());
    }
    let seen = SeenOfUsers::of(bench.split);
    let seen = |id: SampleId| seen.of_sample(id);
    let lists = Lists::new(bench.dataset, &bench.split.train, bench.seed)?;
    for BlendAnswers { blend, files } in blends {
        let answers = files.value.load()?;
        let how = |seen_items| Measured {
            system: blend.label(),
            candidates: Candidates::All,
            seen_items,
            level: Level::Item,
            beam_width: None,
            chains: None,
            score: ScoreKind::Blended,
        };
        let kept = placements(&answers.kept, SeenItems::Kept, seen)?;
        let more = lists.values(&answers.kept, &tables.columns.of_lists(), &tables.bootstrap)?;
        tables.push(how(SeenItems::Kept), kept, more)?;
        let removed = placements(&answers.removed, SeenItems::Removed, seen)?;
        tables.push(how(SeenItems::Removed), removed, Vec::new())?;
        let text = files.value.weights()?.to_string();
        let (system, mark) = (blend.label().to_owned(), "blend".to_owned());
        tables.report.push_note(Note { system, mark, text });
    }
    Ok(())
}
