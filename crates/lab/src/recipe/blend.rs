//! Rankings by several policies together, and by what is known of the items besides: settings.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_metrics::Metric;

use crate::blend::files::one_of_words;
use crate::error::LabError;
use crate::pool_task::answers_with_sid;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// The cut-off of the metric that a blend is chosen by.
const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// A further row of the tables: the log-probabilities of a policy, or the mean of those of several policies that
/// read items, and a prior over the items.
///
/// ```text
/// score(item) = mean over policies of log p(item) + Σ over priors of weight · prior(item)
/// ```
/// The weights are chosen on validation users, once with seen items among the ranked and once without
/// them; nothing is trained. Policies that read items score all of them and may write different trees. A policy
/// that writes words is one alone: the prior guides its beams, summed over the items below each prefix, and the
/// weights are chosen on what its beams and each prior find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlendConfig {
    /// Its file within the run: lower-case letters, digits, `-`.
    pub name: String,
    /// Name in tables; without it, `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The stages whose policies are averaged, at least one, and exactly one where policies write words.
    pub policies: Vec<String>,
    /// What is known of the items besides the policies; none for a mean of policies alone.
    #[serde(default)]
    pub priors: Vec<PriorSource>,
    /// Validation users on whom the weights are chosen, drawn by seed; all where there are fewer.
    /// Range `1..`.
    #[serde(default = "valid_users")]
    pub valid_users: usize,
    /// Weight of an item of the history relative to the next later one, for similarities. Range `[0, 1]`.
    #[serde(default = "decay")]
    pub decay: f64,
    /// Share that every item has beside what transitions and popularity count, spread evenly over all items.
    /// Range `(0, ∞)`.
    #[serde(default = "floor")]
    pub floor: f64,
    /// Principal components of the text vectors in which the prior of texts measures similarity; all where
    /// the vectors have fewer. Range `1..`.
    #[serde(default = "text_dimensions")]
    pub text_dimensions: usize,
    /// What the weights and the settings of the transitions maximise on validation.
    #[serde(default)]
    pub choose_by: ChooseBy,
    /// Whether the weights may depend on the length of the history and on what the prior knows of it, where
    /// that helps on validation by more than noise: one factor scales all of them.
    #[serde(default)]
    pub by_user: bool,
    /// Lengths of histories, in items, at which one group ends and the next begins: each group may have
    /// weights of its own, where they help on validation by more than their standard error. Without it, the
    /// weights are the same after all histories. It excludes `by_user`. They ascend; each is in `2..`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_history: Vec<usize>,
    /// Validation users that a group of `by_history` needs for weights of its own; with fewer, it has the
    /// weights of all. Range `2..`.
    #[serde(default = "group_users")]
    pub group_users: usize,
}

/// The metric that a blend is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum ChooseBy {
    /// Where the target stands among the first ten.
    #[default]
    #[serde(rename = "ndcg@10")]
    Ndcg,
    /// Whether the target is among the first ten.
    #[serde(rename = "hr@10")]
    HitRate,
}

impl ChooseBy {
    /// As a metric.
    pub(crate) const fn metric(self) -> Metric {
        match self {
            Self::Ndcg => Metric::Ndcg(TEN),
            Self::HitRate => Metric::HitRate(TEN),
        }
    }
}

/// What a prior is made of. What the data do not have is left out, and the log says so.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PriorSource {
    /// Which item follows which, by counting the training events.
    Transitions,
    /// Similarity of text vectors to those of the history.
    Text,
    /// Categories shared with the history, rare ones counting most.
    Categories,
    /// How often training has an item.
    Popularity,
    /// Whether the history has an item already: −1 if so, 0 otherwise. Its weight says how seldom users choose
    /// an item again.
    Repeats,
}

impl PriorSource {
    /// Its name in recipes and tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transitions => "transitions",
            Self::Text => "text",
            Self::Categories => "categories",
            Self::Popularity => "popularity",
            Self::Repeats => "repeats",
        }
    }
}

const fn valid_users() -> usize {
    4000
}

const fn decay() -> f64 {
    0.6
}

const fn floor() -> f64 {
    0.05
}

const fn text_dimensions() -> usize {
    128
}

const fn group_users() -> usize {
    200
}

impl BlendConfig {
    /// Its name in tables.
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// Accepts the stage of a policy that writes Semantic IDs among words.
    fn check_words(&self, stages: &[Stage]) -> Result<(), LabError> {
        if self.policies.len() > 1 {
            return Err(one_of_words(&self.name, self.policies.len()));
        }
        let of_blend = stages.iter().find(|stage| self.policies.contains(&stage.name));
        match of_blend.filter(|stage| !answers_with_sid(stage.task)) {
            Some(stage) => Err(LabError::Setting {
                field: format!("blend.{}.policies", self.name),
                found: format!("`{}`, whose task is `{}`", stage.name, stage.task),
                needed: "a stage that answers with Semantic IDs",
            }),
            None => Ok(()),
        }
    }

    /// Accepts groups of histories that weights can be chosen for.
    fn check_groups(&self) -> Result<(), LabError> {
        let Self { name, by_history, .. } = self;
        let refuse = |field: &str, found: String, needed| {
            Err(LabError::Setting { field: format!("blend.{name}.{field}"), found, needed })
        };
        if self.group_users < 2 {
            return refuse("group_users", self.group_users.to_string(), "2 or more");
        }
        if by_history.is_empty() {
            return Ok(());
        }
        let found = format!("{by_history:?}");
        if by_history.iter().any(|edge| *edge < 2) || !by_history.is_sorted_by(|a, b| a < b) {
            return refuse("by_history", found, "lengths of histories that ascend, from 2 on");
        }
        if self.by_user {
            return refuse(
                "by_history",
                found,
                "either `by_history` or `by_user = true`, not both",
            );
        }
        if self.priors.is_empty() {
            return refuse("by_history", found, "a prior: without one there are no weights");
        }
        Ok(())
    }
}

/// Accepts blends of stages that there are, of policies that read items or write words.
pub(crate) fn check(
    blends: &[BlendConfig],
    stages: &[Stage],
    reads_items: bool,
) -> Result<(), LabError> {
    for (index, blend) in blends.iter().enumerate() {
        let name = &blend.name;
        let refuse = |field: &str, found: String, needed| {
            Err(LabError::Setting { field: format!("blend.{name}.{field}"), found, needed })
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let twice = blends[..index].iter().any(|other| other.name == *name);
        if name.is_empty() || !name.chars().all(plain) || twice {
            let needed = "lower-case letters, digits and `-`, and a name of its own";
            return refuse("name", format!("`{name}`"), needed);
        }
        let label = blend.label();
        let taken = blends[..index].iter().map(BlendConfig::label);
        if taken.chain(stages.iter().map(|stage| stage.label.as_str())).any(|it| it == label) {
            return refuse("label", format!("`{label}`"), "a label of its own");
        }
        if blend.policies.is_empty() {
            return refuse("policies", "empty".to_owned(), "the names of one stage or more");
        }
        let known = |policy: &&String| stages.iter().any(|stage| stage.name == **policy);
        if let Some(unknown) = blend.policies.iter().find(|policy| !known(policy)) {
            return refuse(
                "policies",
                format!("with `{unknown}`"),
                "names of stages of the recipe",
            );
        }
        if blend.policies.iter().collect::<BTreeSet<_>>().len() < blend.policies.len() {
            return refuse("policies", blend.policies.join(", "), "each stage once");
        }
        if blend.priors.iter().collect::<BTreeSet<_>>().len() < blend.priors.len() {
            return refuse("priors", format!("{:?}", blend.priors), "each prior once");
        }
        if blend.priors.is_empty() && blend.policies.len() == 1 {
            let needed =
                "a prior, or several policies: the row of the stage shows the policy alone";
            return refuse("priors", "empty".to_owned(), needed);
        }
        if !(0.0..=1.0).contains(&blend.decay) {
            return refuse("decay", blend.decay.to_string(), "a number from 0 to 1");
        }
        if !(blend.floor > 0.0 && blend.floor.is_finite()) {
            return refuse("floor", blend.floor.to_string(), "a finite number above 0");
        }
        check_counts(&[
            (&format!("blend.{name}.valid_users"), blend.valid_users),
            (&format!("blend.{name}.text_dimensions"), blend.text_dimensions),
        ])?;
        blend.check_groups()?;
        if !reads_items {
            blend.check_words(stages)?;
        }
    }
    Ok(())
}
