//! What is known of the items besides the policies of a blend, from the training events and the items.

use sidereal_baselines::{
    Case, ItemTransition, Popularity, TermForm, TransitionConfig, TransitionSearch,
};
use sidereal_data::{ItemId, Sample, SampleId};
use sidereal_metrics::SeenItems;

use super::BlendedRankings;
use crate::blend::prior::{BlendPrior, PriorTerm, TermModel};
use crate::error::LabError;
use crate::recipe::blend::PriorSource;

/// The prior of a blend, and the settings of its transitions, where they are a term: with seen items kept,
/// then removed, chosen on these validation users. What the data do not have is left out, and the log says so.
pub(super) fn fit(
    part: &BlendedRankings<'_>,
    valid: &[Sample<'_>],
) -> Result<(BlendPrior, Vec<TransitionConfig>), LabError> {
    let BlendedRankings { bench, blend, texts, .. } = part;
    let num_items = bench.dataset.num_items();
    let events: Vec<&[ItemId]> = bench.split.train.sequences().map(|s| s.events).collect();
    let cases: Vec<Case<'_, SampleId>> = valid.iter().copied().map(Case::from).collect();
    let (mut terms, mut settings) = (Vec::new(), Vec::new());
    #[allow(clippy::cast_possible_truncation, reason = "log-probabilities are f32")]
    let counted = TermForm::Log { floor: blend.floor as f32 };
    let (decay, metric) = (blend.decay, blend.choose_by.metric());
    for source in &blend.priors {
        let (form, model) = match source {
            PriorSource::Transitions => {
                let mut chosen = |seen_items| -> Result<ItemTransition, LabError> {
                    let search = TransitionSearch::new(metric, seen_items);
                    let best = search.run(num_items, &events, &cases)?.best.settings;
                    settings.push(best.config().clone());
                    Ok(ItemTransition::fit(&best, num_items, &events)?)
                };
                let kept = chosen(SeenItems::Kept)?;
                (counted, TermModel::Transitions { kept, removed: chosen(SeenItems::Removed)? })
            }
            PriorSource::Popularity => {
                (counted, TermModel::Popularity(Popularity::fit(num_items, &events)?))
            }
            PriorSource::Repeats => (TermForm::Linear, TermModel::Repeats),
            PriorSource::Text => {
                let Some(vectors) = texts.projected(blend.text_dimensions)? else {
                    tracing::warn!(blend = blend.name, "no `[embed]`: no prior of texts");
                    continue;
                };
                (TermForm::Linear, TermModel::Text { vectors, decay })
            }
            PriorSource::Categories => {
                if bench.dataset.items().iter().all(|item| item.categories.is_empty()) {
                    tracing::warn!(blend = blend.name, "no categories: no prior of them");
                    continue;
                }
                (TermForm::Linear, TermModel::Categories { decay })
            }
        };
        terms.push(PriorTerm { form, model });
    }
    Ok((BlendPrior { num_items, terms }, settings))
}
