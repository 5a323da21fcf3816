//! The recommenders beside the stages: popularity, item transitions, and those of the caller.

use sidereal_baselines::{
    Case, ItemTransition, PerDomain, Popularity, Recommender, Transition, TransitionConfig,
    TransitionSearch,
};
use sidereal_data::{Dataset, DomainId, HeldOut as _, ItemId, Sample, SampleId, Split};
use sidereal_metrics::{Metric, SeenItems};

use super::columns::TEN;
use crate::error::LabError;

/// A further system for the tables: a known bound, or a recommender of the caller.
#[derive(Clone, Copy)]
pub struct Baseline<'a> {
    /// Name in the tables.
    pub name: &'a str,
    /// Scores of all items.
    pub recommender: &'a dyn Recommender,
}

impl std::fmt::Debug for Baseline<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Baseline").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How often training has each item.
pub(crate) fn popularity<'d>(
    dataset: &'d Dataset,
    split: &Split,
) -> Result<Box<dyn Recommender + 'd>, LabError> {
    let num_items = dataset.num_items();
    fitted(dataset, split, |split| Ok(Popularity::fit(num_items, &events_of(split))?))
}

/// Item transitions with settings chosen on the validation set, or with the default settings if
/// there is none.
pub(crate) fn transitions<'d>(
    dataset: &'d Dataset,
    split: &Split,
) -> Result<Box<dyn Recommender + 'd>, LabError> {
    let num_items = dataset.num_items();
    fitted(dataset, split, |split| {
        let sequences = events_of(split);
        let cases: Vec<Case<'_, SampleId>> = split.valid.samples().map(Case::from).collect();
        if cases.is_empty() {
            let settings = Transition::try_from(TransitionConfig::default())?;
            return Ok(ItemTransition::fit(&settings, num_items, &sequences)?);
        }
        let search = TransitionSearch::new(Metric::Ndcg(TEN), SeenItems::Kept);
        let selection = search.run(num_items, &sequences, &cases)?;
        tracing::info!(settings = ?selection.best.settings.config(), "item transitions");
        let settings = &selection.best.settings;
        Ok(ItemTransition::fit(settings, num_items, &sequences)?)
    })
}

/// The recommender that `fit` makes from the training events. If there are several domains, there
/// is one for each domain, and a user gets items of the domain of the history.
fn fitted<'d, R: Recommender + 'd>(
    dataset: &'d Dataset,
    split: &Split,
    mut fit: impl FnMut(&Split) -> Result<R, LabError>,
) -> Result<Box<dyn Recommender + 'd>, LabError> {
    let Some(domains) = dataset.domains() else {
        return Ok(Box::new(fit(split)?));
    };
    let of = |domain: DomainId| split.of_users(|user| domains.of_user(user) == Some(domain));
    Ok(Box::new(PerDomain::fit(domains, |domain| fit(&of(domain)))?))
}

/// Every user's training events.
fn events_of(split: &Split) -> Vec<&[ItemId]> {
    split.train.sequences().map(|sequence| sequence.events).collect()
}

/// The most test users whose scores are used to compare two recommenders.
const ASKED_USERS: usize = 1000;

/// A hash of the scores that a recommender gives to users of the test: to all of them, or to
/// [`ASKED_USERS`] at equal distances if there are more.
pub(crate) fn fingerprint(
    recommender: &dyn Recommender,
    split: &Split,
) -> Result<String, LabError> {
    let samples: Vec<Sample<'_>> = split.test.samples().collect();
    let mut scores = vec![0.0; recommender.num_items()];
    let mut hasher = blake3::Hasher::new();
    for sample in samples.iter().step_by(samples.len().div_ceil(ASKED_USERS).max(1)) {
        recommender.score(sample.history, &mut scores)?;
        for score in &scores {
            hasher.update(&score.to_le_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}
