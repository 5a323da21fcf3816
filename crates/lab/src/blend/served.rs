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
use sidereal_train::{ExactCase, ItemScores, Record, best, score_exactly};
use tch::Device;

use super::prior::BlendPrior;
use super::weights::BlendWeights;
use crate::blend::files::{folder, not_of_items, weights};
use crate::error::LabError;
use crate::parts::policy::weights_file;
use crate::policy_folder::TrainedPolicy;
use crate::recipe::Recipe;
use crate::recommend::{Recommended, TrainedStage, find};
use crate::resume::recipe_of;

/// A blend of a run, with everything that is needed to use it: recommends items by the log-probability of a
/// policy, or the mean of those of several, and a prior over the items.
///
/// ```text
/// score(item) = mean over policies of log p(item) + Σ over terms of weight · value(item)
/// ```
/// Policies that read items score every item, exactly. The beams of a policy that writes words are guided by the
/// prior, and what they find is scored. The weights are those that the run chose on validation users for the
/// same rule for seen items. It needs the folder of the run and no data.
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
    policies: Policies,
    items: Dataset,
    /// Of the first policy.
    catalog: Catalog,
    kept: Prior<'static>,
    removed: Prior<'static>,
    max_history: usize,
}

/// The policies of a blend.
#[derive(Debug)]
enum Policies {
    /// Policies that read items, averaged.
    Items(Vec<ItemPolicy>),
    /// One policy that writes words, and the width of its beams.
    Words { trained: Box<TrainedStage>, beam_width: usize },
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
        let recipe = recipe_with(run, blend)?;
        let dir = run.join(folder(blend));
        let chosen: BlendWeights = read_json(&run.join(weights(blend)))?;
        let (prior, hashes) = BlendPrior::load(&dir)?;
        for stage in &chosen.policies {
            if hashes.get(stage) != Some(&hash_file(&run.join(weights_file(stage)))?) {
                let (path, blend, stage) = (run.join(stage), blend.to_owned(), stage.clone());
                return Err(LabError::OtherPolicy { path, blend, stage });
            }
        }
        let (mut policies, mut first) = (Vec::new(), None);
        let mut words = None;
        for stage in &chosen.policies {
            let path = run.join(stage);
            let TrainedPolicy { model, catalog, items, .. } = TrainedPolicy::open(&path, device)?;
            match model.computing_in(tch::Kind::Float) {
                AnyPolicy::Item(policy) => policies.push(*policy),
                _ if chosen.policies.len() > 1 => return Err(not_of_items(blend, stage)),
                _ => words = Some(Box::new(TrainedStage::open(run, Some(stage), device)?)),
            }
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
        let beam_width = recipe.evaluate.beam_width;
        let policies = match words {
            Some(trained) => Policies::Words { trained, beam_width },
            None => Policies::Items(policies),
        };
        let max_history = recipe.max_history;
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
        let of_users = self.score(histories, num_items, seen_items, |place, case, log_probs| {
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
        let of_users = self.score(&[history], num_items, seen_items, |_, case, log_probs| {
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

    /// Asks the policies about all items after each history, or about those that guided beams find, and hands
    /// what they say, `[policies, N]`, to `each` with the place of the history. What is not asked about has −∞.
    fn score<H: AsRef<[ItemId]>, T: Send>(
        &self,
        histories: &[H],
        wanted: NonZeroUsize,
        seen_items: SeenItems,
        each: impl Fn(usize, &ExactCase<'_>, &[&[f32]]) -> Result<T, LabError> + Sync,
    ) -> Result<Vec<T>, LabError> {
        let cases = self.cases(histories)?;
        match &self.policies {
            Policies::Items(policies) => self.score_all(policies, &cases, each),
            Policies::Words { trained, beam_width } => {
                let (width, prior) = ((*beam_width).max(wanted.get()), self.prior(seen_items));
                let none = std::iter::empty::<&[f32]>;
                let guide = |place: usize| {
                    let (case, removed) = (&cases[place], removed(&cases[place], seen_items));
                    super::scores(prior, case.history, none(), removed.iter().copied())
                };
                let histories: Vec<&[ItemId]> = cases.iter().map(|case| case.history).collect();
                let found = trained.standalone()?.guided(&histories, width, guide)?;
                let of_user = |(place, scores): (usize, &ItemScores)| {
                    let all = super::of_all_items(scores, prior.num_items());
                    each(place, &cases[place], &[&all])
                };
                found.par_iter().enumerate().map(of_user).collect()
            }
        }
    }

    /// Users in the form that scoring needs.
    fn cases<'h, H: AsRef<[ItemId]>>(
        &self,
        histories: &'h [H],
    ) -> Result<Vec<ExactCase<'h>>, LabError> {
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
        Ok(cases)
    }

    /// As [`score`](Self::score), of all items by policies that read items.
    fn score_all<T: Send>(
        &self,
        policies: &[ItemPolicy],
        cases: &[ExactCase<'_>],
        each: impl Fn(usize, &ExactCase<'_>, &[&[f32]]) -> Result<T, LabError> + Sync,
    ) -> Result<Vec<T>, LabError> {
        let num_items = self.items.num_items();
        let policies: Vec<&ItemPolicy> = policies.iter().collect();
        let mut answers = Vec::new();
        let observer = &mut |_: &Record| {};
        score_exactly(&policies, cases, "recommend", observer, |(places, batch, scores)| {
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

/// The items of a user that must not be recommended.
fn removed<'c>(case: &ExactCase<'c>, seen_items: SeenItems) -> &'c [ItemId] {
    match seen_items {
        SeenItems::Kept => &[],
        SeenItems::Removed => case.seen,
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
    let removed = removed(case, seen_items).iter().copied();
    let log_probs = log_probs.iter().copied();
    let scores = super::scores(prior, case.history, log_probs, removed)?;
    let best = best(case, &scores, num_items.get());
    let found = best.found.iter().zip(&best.scores);
    let items = found.flat_map(|(items, score)| {
        items.iter().map(|item| Recommended { item: *item, score: *score })
    });
    Ok(items.collect())
}

/// The recipe of a run, if the run has this blend.
fn recipe_with(run: &Path, blend: &str) -> Result<Recipe, LabError> {
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
        return Ok(recipe);
    }
    if names.is_empty() {
        return unknown("its recipe has no `[[blend]]`".to_owned());
    }
    unknown(format!("its blends are {}", names.join(", ")))
}
