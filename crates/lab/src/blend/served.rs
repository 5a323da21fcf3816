//! A blend of a finished run that answers users.

use std::num::NonZeroUsize;
use std::path::Path;

use rayon::prelude::*;
use sidereal_baselines::{Contribution, Explanation, Prior, PriorFit};
use sidereal_data::{Dataset, SampleId, UserId};
use sidereal_files::{hash_file, read_json};
use sidereal_metrics::SeenItems;
use sidereal_policy::{AnyPolicy, ItemPolicy};
use sidereal_sid::{Catalog, ItemId};
use sidereal_train::{ExactCase, Record, best, score_exactly};
use tch::Device;

use super::prior::BlendPrior;
use super::weights::BlendWeights;
use crate::blend::files::{folder, not_of_items, weights};
use crate::error::LabError;
use crate::parts::policy::weights_file;
use crate::policy_folder::TrainedPolicy;
use crate::recommend::{Recommended, find};
use crate::resume::recipe_of;

/// A blend of a run, with everything that is needed to use it: recommends items by the mean log-probability
/// of several policies and a prior over the items.
///
/// ```text
/// score(item) = mean over policies of log p(item) + Σ over terms of weight · value(item)
/// ```
/// Every item is scored, exactly. The weights are those that the run chose on validation users for the same
/// rule for seen items. It needs the folder of the run and no data.
///
/// ```no_run
/// use std::path::Path;
/// use sidereal_lab::ServedBlend;
/// use sidereal_metrics::SeenItems;
///
/// let device = sidereal_policy::device("auto")?;
/// let blend = ServedBlend::open(Path::new("runs/beauty"), "priors", device)?;
/// let history = [blend.find("B00005NBDQ")?];
/// for found in blend.explain(&history, 10.try_into()?, SeenItems::Removed)? {
///     let title = blend.items().item(found.item).map(|item| &item.title);
///     println!("{:.3} {title:?}: {:.3} of the policies", found.score, found.mean_log_prob);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ServedBlend {
    stages: Vec<String>,
    policies: Vec<ItemPolicy>,
    items: Dataset,
    /// Of the first policy.
    catalog: Catalog,
    kept: Prior<'static>,
    removed: Prior<'static>,
    max_history: usize,
}

/// An item that a blend recommends, and where its score comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BlendExplanation {
    /// The item.
    pub item: ItemId,
    /// What it is ranked by: [`mean_log_prob`](Self::mean_log_prob) and [`log_prior`](Self::log_prior)
    /// together, in nats, not normalised.
    pub score: f32,
    /// Mean of the log-probabilities of the policies, in nats.
    pub mean_log_prob: f32,
    /// The log-probability that each policy gives it, in nats, by the name of its stage.
    pub policies: Vec<(String, f32)>,
    /// Its log prior, not normalised: the sum of the contributions of the terms.
    pub log_prior: f32,
    /// Every term of the prior with its weight, its value and its contribution, the unused ones included.
    pub terms: Vec<Contribution>,
}

impl ServedBlend {
    /// Opens a blend in the folder of a run.
    ///
    /// # Errors
    /// [`LabError::UnknownBlend`], which names the blends that there are; [`LabError::OtherPolicy`] where a
    /// policy was trained anew after the blend was made; missing and damaged files by name.
    pub fn open(run: &Path, blend: &str, device: Device) -> Result<Self, LabError> {
        let max_history = max_history(run, blend)?;
        let dir = run.join(folder(blend));
        let chosen: BlendWeights = read_json(&run.join(weights(blend)))?;
        let (prior, hashes) = BlendPrior::load(&dir)?;
        let (mut policies, mut first) = (Vec::new(), None);
        for stage in &chosen.policies {
            let path = run.join(stage);
            if hashes.get(stage) != Some(&hash_file(&run.join(weights_file(stage)))?) {
                let (blend, stage) = (blend.to_owned(), stage.clone());
                return Err(LabError::OtherPolicy { path, blend, stage });
            }
            let TrainedPolicy { model, catalog, items, .. } = TrainedPolicy::open(&path, device)?;
            let AnyPolicy::Item(policy) = model.computing_in(tch::Kind::Float) else {
                return Err(not_of_items(blend, stage));
            };
            policies.push(*policy);
            if first.is_none() {
                first = Some((items.ok_or(LabError::NoItems { path })?, catalog));
            }
        }
        let (items, catalog) = first.ok_or(LabError::NoSamples { what: "a blend of no policy" })?;
        let of_rule = |rule, fit: PriorFit| -> Result<_, LabError> {
            Ok(prior.prior(items.items(), rule)?.with_weights(fit.weights)?)
        };
        let kept = of_rule(SeenItems::Kept, chosen.kept)?;
        let removed = of_rule(SeenItems::Removed, chosen.removed)?;
        let stages = chosen.policies;
        Ok(Self { stages, policies, items, catalog, kept, removed, max_history })
    }

    /// The items that are recommended, without users.
    #[must_use]
    pub const fn items(&self) -> &Dataset {
        &self.items
    }

    /// The items with the Semantic IDs of the first policy; other policies may have other ones.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The stages whose policies are averaged.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.stages
    }

    /// Items of a history that are read, the latest ones.
    #[must_use]
    pub const fn max_history(&self) -> usize {
        self.max_history
    }

    /// The prior with the weights that were chosen for a rule for seen items.
    #[must_use]
    pub const fn prior(&self, seen_items: SeenItems) -> &Prior<'static> {
        match seen_items {
            SeenItems::Kept => &self.kept,
            SeenItems::Removed => &self.removed,
        }
    }

    /// The item that has this Semantic ID of the first policy, key or title.
    ///
    /// # Errors
    /// As [`PolicyRecommender::find`](crate::PolicyRecommender::find).
    pub fn find(&self, text: &str) -> Result<ItemId, LabError> {
        find(text, &self.catalog, &self.items)
    }

    /// The best items for the users of these histories, at most `num_items` each, best first. Histories are
    /// earliest item first; of each, the latest [`max_history`](Self::max_history) items are read.
    ///
    /// # Errors
    /// [`LabError::NoSamples`] for no histories or an empty one; [`LabError::UnknownItem`]; those of scoring.
    pub fn recommend<H: AsRef<[ItemId]>>(
        &self,
        histories: &[H],
        num_items: NonZeroUsize,
        seen_items: SeenItems,
    ) -> Result<Vec<Vec<Recommended>>, LabError> {
        let prior = self.prior(seen_items);
        let of_users = self.score(histories, |place, case, log_probs| {
            Ok((place, ranked(prior, case, log_probs, num_items, seen_items)?))
        })?;
        let mut found = vec![Vec::new(); histories.len()];
        for (place, of_user) in of_users {
            found[place] = of_user;
        }
        Ok(found)
    }

    /// As [`recommend`](Self::recommend) for one user, with what every score is made of.
    ///
    /// # Errors
    /// As [`recommend`](Self::recommend).
    pub fn explain(
        &self,
        history: &[ItemId],
        num_items: NonZeroUsize,
        seen_items: SeenItems,
    ) -> Result<Vec<BlendExplanation>, LabError> {
        let (stages, prior) = (&self.stages, self.prior(seen_items));
        let of_users = self.score(&[history], |_, case, log_probs| {
            let found = ranked(prior, case, log_probs, num_items, seen_items)?;
            let items: Vec<ItemId> = found.iter().map(|found| found.item).collect();
            let why = prior.explain(case.history, &items)?;
            let explain = |(found, why): (&Recommended, Explanation)| {
                let own = log_probs.iter().map(|of_policy| of_policy[found.item.index()]);
                let mean = own.clone().sum::<f32>() / log_probs.len() as f32;
                BlendExplanation {
                    item: found.item,
                    score: found.score,
                    mean_log_prob: mean,
                    policies: stages.iter().cloned().zip(own).collect(),
                    log_prior: why.log_prior,
                    terms: why.terms,
                }
            };
            Ok(found.iter().zip(why).map(explain).collect::<Vec<_>>())
        })?;
        Ok(of_users.into_iter().flatten().collect())
    }

    /// Asks the policies about all items after each history, and hands what they say, `[policies, N]`, to
    /// `each` with the place of the history.
    fn score<H: AsRef<[ItemId]>, T: Send>(
        &self,
        histories: &[H],
        each: impl Fn(usize, &ExactCase<'_>, &[&[f32]]) -> Result<T, LabError> + Sync,
    ) -> Result<Vec<T>, LabError> {
        let num_items = self.items.num_items();
        let mut cases = Vec::new();
        for history in histories.iter().map(AsRef::as_ref) {
            if history.is_empty() {
                return Err(LabError::NoSamples { what: "a user without a history" });
            }
            if let Some(item) = history.iter().find(|item| item.index() >= num_items) {
                return Err(LabError::UnknownItem { item: *item });
            }
            cases.push(ExactCase {
                // Nobody knows who asks, and what is chosen next.
                id: SampleId::Event { user: UserId(0), position: 0 },
                target: ItemId(0),
                history: &history[history.len().saturating_sub(self.max_history)..],
                seen: history,
            });
        }
        let policies: Vec<&ItemPolicy> = self.policies.iter().collect();
        let mut answers = Vec::new();
        let observer = &mut |_: &Record| {};
        score_exactly(&policies, &cases, "recommend", observer, |(places, batch, scores)| {
            let of_batch = places.par_iter().zip(batch).enumerate().map(|(at, (place, case))| {
                let row = at * num_items..(at + 1) * num_items;
                let log_probs: Vec<&[f32]> = scores.iter().map(|of| &of[row.clone()]).collect();
                each(*place, case, &log_probs)
            });
            answers.extend(of_batch.collect::<Result<Vec<T>, LabError>>()?);
            Ok::<_, LabError>(())
        })?;
        Ok(answers)
    }
}

/// The best items of a user by what the policies say of all of them.
fn ranked(
    prior: &Prior<'_>,
    case: &ExactCase<'_>,
    log_probs: &[&[f32]],
    num_items: NonZeroUsize,
    seen_items: SeenItems,
) -> Result<Vec<Recommended>, LabError> {
    let removed = match seen_items {
        SeenItems::Kept => &[],
        SeenItems::Removed => case.seen,
    };
    let (log_probs, removed) = (log_probs.iter().copied(), removed.iter().copied());
    let scores = super::scores(prior, case.history, log_probs, removed)?;
    let best = best(case, &scores, num_items.get());
    let found = best.found.iter().zip(&best.scores);
    let items = found.flat_map(|(items, score)| {
        items.iter().map(|item| Recommended { item: *item, score: *score })
    });
    Ok(items.collect())
}

/// Items of a history that the policies of a run read, if the run has this blend.
fn max_history(run: &Path, blend: &str) -> Result<usize, LabError> {
    let unknown = |found: String| {
        let (path, name) = (run.to_owned(), blend.to_owned());
        Err(LabError::UnknownBlend { path, name, found })
    };
    if TrainedPolicy::is_whole(run) {
        return unknown("it is the folder of a policy, give the folder of its run".to_owned());
    }
    let recipe = recipe_of(run)?;
    let names: Vec<String> = recipe.blends.iter().map(|of| format!("`{}`", of.name)).collect();
    if recipe.blends.iter().any(|of| of.name == blend) {
        return Ok(recipe.max_history);
    }
    if names.is_empty() {
        return unknown("its recipe has no `[[blend]]`".to_owned());
    }
    unknown(format!("its blends are {}", names.join(", ")))
}
