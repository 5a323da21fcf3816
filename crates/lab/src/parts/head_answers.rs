//! The answers of a policy whose recommendation head scores all items.

use std::collections::BTreeSet;

use sidereal_policy::{AnyPolicy, as_language_model};
use sidereal_train::{HeadAnswers, ItemHeadConfig, Observer, Ranking};

use super::answers::{Respondent, TestUsers};
use crate::error::LabError;
use crate::recipe::stage::Training;

/// Ranks the items of the catalogue for every user of the test: after one chain of the most probable words if the stage
/// has learned to reason before its head, else at once. A ranking has so many more items as some user has seen, so that
/// enough are left without those.
pub(crate) fn rank(
    by: &Respondent<'_>,
    users: &TestUsers<'_>,
    model: &AnyPolicy,
    job: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, LabError> {
    let Respondent { bench, stage, search, .. } = *by;
    let samples = users.samples();
    let asked = bench.prompts(stage.task, &samples)?;
    let heads = bench.words("a recommendation head")?.heads(bench.dataset.num_items())?;
    let usual = ItemHeadConfig::default();
    let config = match &stage.training {
        Training::ItemHead(config) => config,
        _ => &usual,
    };
    let seen = samples.iter().map(|sample| sample.seen.iter().collect::<BTreeSet<_>>().len());
    let answers = HeadAnswers {
        model: as_language_model(model, "a recommendation head")?,
        head: config.head()?,
        items: &heads.items,
        markers: &heads.markers,
        budget: config.chain.map(|chain| chain.budget),
        pad: bench.pad(),
        count: search.beam_width + seen.max().unwrap_or(0),
    };
    Ok(answers.rank(&asked, by.batching(job), observer)?)
}
