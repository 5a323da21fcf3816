//! The test of policies that reason: rows of rankings after chains, and of drawn answers.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::SampleId;
use sidereal_metrics::{Chains, Level, Note, RankingRun, SamplingRun, ScoreKind};

use super::systems::{after_best_chain, with_reasoning};
use super::tables::{Measured, Tables};
use crate::error::LabError;
use crate::parts::reasoning::{LISTED, ReasoningResult};
use crate::recipe::evaluate::EvaluateReasoning;

/// Rows of the answers of a stage after reasoning. `direct` is the protocol of its direct
/// answers, and `kept` are the placements of those for all test users.
pub(crate) fn rows(
    direct: Measured<'_>,
    config: &EvaluateReasoning,
    results: &[ReasoningResult],
    kept: &RankingRun<SampleId>,
    tables: &mut Tables,
) -> Result<(), LabError> {
    let (count, budget) = (config.count(), config.chain.budget);
    let chains = Some(Chains { count, budget });
    let (label, system) = (direct.system, with_reasoning(direct.system));
    let beam_width = NonZeroUsize::new(config.beam_width);
    let ranked = Measured { system: &system, beam_width, chains, ..direct };
    let none = BTreeSet::new();
    let merged = results
        .iter()
        .map(|result| (result.ranking.id, result.ranking.item_placement(&none)))
        .collect();
    tables.push(ranked, merged, Vec::new())?;
    // The same users without reasoning, if the main table has further users.
    let users: BTreeSet<SampleId> = results.iter().map(|result| result.ranking.id).collect();
    let directly = kept.filter(|id| users.contains(id));
    if users.len() < kept.num_samples() {
        tables.push_part(direct, &directly)?;
    }
    for metric in tables.columns.tested() {
        tables.compare_runs((&system, label), &directly, metric)?;
    }
    let drawn =
        Measured { level: Level::Sid, beam_width: None, score: ScoreKind::Drawn(count), ..ranked };
    let passes = tables.columns.of_draws(config.count());
    let runs: [(Measured<'_>, SamplingRun<SampleId>); 2] = [
        (drawn, results.iter().map(|r| (r.ranking.id, r.drawn)).collect()),
        (
            Measured { system: label, chains: None, ..drawn },
            results.iter().map(|r| (r.ranking.id, r.drawn_directly)).collect(),
        ),
    ];
    let best: Option<SamplingRun<SampleId>> = results
        .iter()
        .map(|result| Some((result.ranking.id, result.after_each_chain(LISTED)?)))
        .collect();
    let after_best = after_best_chain(label);
    let best = best.map(|run| (Measured { system: &after_best, beam_width, ..drawn }, run));
    if best.is_some() {
        let listed = LISTED.min(config.beam_width);
        let mark = format!("HR@{listed}");
        let text = format!(
            "Pass@k is the expected {mark} of the answers after the best of k chains, over all choices \
             of k of them. The target chooses the chain, so this is an upper bound."
        );
        tables.report.push_note(Note { system: after_best.clone(), mark, text });
    }
    for (how, run) in runs.into_iter().chain(best) {
        let values = run.evaluate(&passes, &tables.bootstrap)?;
        tables.push_values(how, run.num_samples(), values)?;
    }
    Ok(())
}
