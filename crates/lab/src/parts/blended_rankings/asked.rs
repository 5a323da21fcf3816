//! What a blend asks of its policies.

use sidereal_baselines::{Case, Prior, PriorFit, PriorSearch};
use sidereal_data::{ItemId, Sample, SampleId};
use sidereal_metrics::SeenItems;
use sidereal_train::{ExactCase, Observer, Ranking, best};

use crate::blend;
use crate::error::LabError;

/// The opened policies of a blend.
pub(super) trait AskedPolicies {
    /// The weights of a prior that are best on validation users.
    fn fit(
        &self,
        search: &PriorSearch,
        prior: &Prior<'static>,
        valid: &[Sample<'_>],
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<PriorFit, LabError>;

    /// The rankings of users of the test under a prior; their order is kept.
    fn rank(
        &self,
        prior: &Prior<'_>,
        seen_items: SeenItems,
        users: &[Sample<'_>],
        job: &str,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError>;
}

/// What a rule for seen items is called in progress.
pub(super) const fn rule_name(seen_items: SeenItems) -> &'static str {
    match seen_items {
        SeenItems::Kept => "kept",
        SeenItems::Removed => "removed",
    }
}

/// The items of a user of the test that must not be found: the seen ones, but not the target.
pub(super) fn removed<'c>(
    case: &ExactCase<'c>,
    seen_items: SeenItems,
) -> impl Iterator<Item = ItemId> + use<'c> {
    let (seen, target) = (case.seen, case.target);
    let removed: &[ItemId] = match seen_items {
        SeenItems::Kept => &[],
        SeenItems::Removed => seen,
    };
    removed.iter().copied().filter(move |item| *item != target)
}

/// The best `count` items of a user by the mean of log-probabilities, `[N]` of each policy, and a prior.
pub(super) fn ranked<'l>(
    prior: &Prior<'_>,
    case: &ExactCase<'_>,
    log_probs: impl ExactSizeIterator<Item = &'l [f32]>,
    seen_items: SeenItems,
    count: usize,
) -> Result<Ranking, LabError> {
    let sums = blend::scores(prior, case.history, log_probs, removed(case, seen_items))?;
    Ok(best(case, &sums, count))
}

/// A user as the search for weights sees them.
pub(super) fn case<'s>(case: &ExactCase<'s>) -> Case<'s, SampleId> {
    Case { sample: case.id, history: case.history, seen: case.seen, target: case.target }
}
