//! The test of policies that reason: rows of rankings after chains, and of drawn answers.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::SampleId;
use sidereal_metrics::{Chains, Level, Note, RankingRun, SamplingRun, ScoreKind};
use sidereal_train::AnswerForm;

use super::systems::{after_best_chain, with_reasoning};
use super::tables::{Measured, Tables};
use crate::error::LabError;
use crate::parts::reasoning::{LISTED, ReasoningResult};
use crate::recipe::evaluate_reasoning::{EvaluateReasoning, RankedAfter};

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
    let chains = Chains::new(count, budget);
    let after = match config.ranking {
        RankedAfter::Greedy => Chains { greedy: true, ..Chains::new(NonZeroUsize::MIN, budget) },
        RankedAfter::Merged => chains,
    };
    let (label, system) = (direct.system, with_reasoning(direct.system));
    let beam_width = NonZeroUsize::new(config.beam_width);
    let ranked = Measured { system: &system, beam_width, chains: Some(after), ..direct };
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
    let score = ScoreKind::Drawn(count);
    let chains = Some(Chains { free: config.answer == AnswerForm::Free, ..chains });
    let drawn = Measured { level: Level::Sid, beam_width: None, score, chains, ..ranked };
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
    let chains = Some(Chains::new(count, budget));
    let best = best.map(|run| (Measured { system: &after_best, beam_width, chains, ..drawn }, run));
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
    note_unclosed(system, config, results, tables);
    Ok(())
}

/// Says how many chains of a system did not close, if any.
fn note_unclosed(
    system: String,
    config: &EvaluateReasoning,
    results: &[ReasoningResult],
    tables: &mut Tables,
) {
    let unclosed: usize = results.iter().map(|result| result.num_forced).sum();
    let all: usize = results.iter().map(|result| result.chain_lens.len()).sum();
    if unclosed == 0 {
        return;
    }
    let counts = match config.answer {
        AnswerForm::Free => {
            "The search after them closes them; what is drawn after them is no answer"
        }
        _ => "They were closed, and their answers count like others",
    };
    let mark = format!("{unclosed} chains unclosed");
    let text = format!("{unclosed} of the {all} chains did not close by themselves. {counts}.");
    tables.report.push_note(Note { system, mark, text });
}
