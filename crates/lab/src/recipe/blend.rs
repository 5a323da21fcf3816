//! Rankings by several policies together, and by what is known of the items besides: settings.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// A further row of the tables: the mean of the log-probabilities of some policies that read items, and a
/// prior over the items.
///
/// ```text
/// score(item) = mean over policies of log p(item) + Σ over priors of weight · prior(item)
/// ```
/// The weights are chosen on validation users, once with seen items among the ranked and once without
/// them; nothing is trained. The policies may write different trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlendConfig {
    /// Its file within the run: lower-case letters, digits, `-`.
    pub name: String,
    /// Name in tables; without it, `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The stages whose policies are averaged, at least one.
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
    /// Whether the weights may depend on the length of the history and on what the prior knows of it, where
    /// that helps on validation by more than noise.
    #[serde(default)]
    pub by_user: bool,
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
}

impl PriorSource {
    /// Its name in recipes and tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transitions => "transitions",
            Self::Text => "text",
            Self::Categories => "categories",
            Self::Popularity => "popularity",
        }
    }
}

const fn valid_users() -> usize {
    4000
}

const fn decay() -> f64 {
    0.6
}

impl BlendConfig {
    /// Its name in tables.
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }
}

/// Accepts blends of stages that there are.
pub(crate) fn check(blends: &[BlendConfig], stages: &[Stage]) -> Result<(), LabError> {
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
        check_counts(&[(&format!("blend.{name}.valid_users"), blend.valid_users)])?;
    }
    Ok(())
}
