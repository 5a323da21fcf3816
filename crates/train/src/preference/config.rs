//! Settings of preference training.

use serde::{Deserialize, Serialize};
use sidereal_data::NegativeKind;
use sidereal_policy::Scoring;
use sidereal_rl::Sdpo;

use crate::TrainError;
use crate::checked::Checked;
use crate::optim::OptimConfig;
use crate::setting::{check_counts, check_optim, in_table, of_stage};
use crate::trainable::TrainableConfig;

/// Settings of preference training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PreferenceConfig {
    /// Number of updates; left out with `epochs`. Range `1..`.
    pub steps: usize,
    /// Passes over all pairs, rounded up to whole updates. Without it, `steps` updates. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Pairs per update. Range `1..`.
    pub pairs_per_step: usize,
    /// Rejected answers per pair, `J`. With 1 the loss is DPO. Range `1..`.
    pub num_negatives: usize,
    /// Where rejected answers come from.
    pub negatives: NegativeSource,
    /// The loss of S-DPO, and of DPO.
    pub loss: Sdpo,
    /// How the probability of a code is normalised.
    pub scoring: Scoring,
    /// Which weights are trained. Adapters stay separate in the returned model.
    pub trainable: TrainableConfig,
    /// AdamW and its learning rate.
    pub optim: OptimConfig,
    /// Pairs whose gradients are computed together. The result does not depend on it. Range
    /// `1..`.
    pub micro_batch: usize,
    /// Steps between validations. The best weights are returned; they may be those of the
    /// start. Range `1..`.
    pub validate_every: usize,
    /// Steps between checkpoints. Range `1..`.
    pub checkpoint_every: usize,
}

/// Where rejected answers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NegativeSource {
    /// All items with the same probability.
    Random,
    /// By the frequency of an item in training.
    Popularity,
    /// Items whose Semantic IDs share the longest prefix with the target's.
    Sibling,
    /// The best answers of the policy at the start, without the target.
    Beam,
}

impl NegativeSource {
    /// The kind that is drawn from the data; `None` if they come from a policy.
    #[must_use]
    pub const fn kind(self) -> Option<NegativeKind> {
        match self {
            Self::Random => Some(NegativeKind::Random),
            Self::Popularity => Some(NegativeKind::Popularity),
            Self::Sibling => Some(NegativeKind::Sibling),
            Self::Beam => None,
        }
    }
}

/// Updates where a recipe says neither `steps` nor `epochs`.
const STEPS: usize = 200;

impl Default for PreferenceConfig {
    /// The settings of the scripts of S-DPO's authors: β 1, three random negatives, batch 128, rate 1e-5.
    fn default() -> Self {
        Self {
            steps: STEPS,
            epochs: None,
            pairs_per_step: 128,
            num_negatives: 3,
            negatives: NegativeSource::Random,
            loss: Sdpo::default(),
            scoring: Scoring::Full,
            trainable: TrainableConfig::default(),
            optim: OptimConfig { lr: 1e-5, ..OptimConfig::default() },
            micro_batch: 64,
            validate_every: 50,
            checkpoint_every: 50,
        }
    }
}

impl PreferenceConfig {
    /// Updates over `num_pairs` pairs.
    ///
    /// ```text
    /// ⌈epochs · num_pairs / pairs_per_step⌉   with `epochs`
    /// steps                                   without
    /// ```
    #[must_use]
    pub fn steps_for(&self, num_pairs: usize) -> usize {
        let pairs = |epochs: usize| epochs.saturating_mul(num_pairs);
        self.epochs.map_or(self.steps, |epochs| pairs(epochs).div_ceil(self.pairs_per_step.max(1)))
    }

    /// Pairs that these settings can use, at most.
    #[must_use]
    pub fn most_pairs(&self) -> usize {
        self.epochs.map_or(self.steps.saturating_mul(self.pairs_per_step), |_| usize::MAX)
    }

    /// Accepts settings with which training is possible; `stage` is for messages.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names stage and field.
    pub fn check(&self, stage: &str) -> Result<Checked<Self>, TrainError> {
        let counts = check_counts(&[
            ("preference.steps", self.steps),
            ("preference.epochs", self.epochs.unwrap_or(1)),
            ("preference.pairs_per_step", self.pairs_per_step),
            ("preference.num_negatives", self.num_negatives),
            ("preference.micro_batch", self.micro_batch),
            ("preference.validate_every", self.validate_every),
            ("preference.checkpoint_every", self.checkpoint_every),
        ]);
        let learner = check_optim(&self.optim).and(self.trainable.check_without_dropout());
        of_stage(stage, counts.and(in_table("preference", learner)).and(self.check_length()))?;
        Ok(Checked::of(self.clone()))
    }

    /// Rejects two answers to how long the training is.
    fn check_length(&self) -> Result<(), TrainError> {
        if self.epochs.is_none() || self.steps == STEPS {
            return Ok(());
        }
        let (field, found) = ("preference.steps".to_owned(), self.steps.to_string());
        Err(TrainError::Setting { field, found, needed: "no value, because `epochs` is given" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_every_pair_once_in_whole_updates() {
        for (epochs, num_pairs, pairs_per_step) in [(1, 7, 3), (2, 7, 3), (1, 6, 3), (3, 1, 128)] {
            let epochs_of = Some(epochs);
            let config =
                PreferenceConfig { epochs: epochs_of, pairs_per_step, ..Default::default() };
            let steps = config.steps_for(num_pairs);
            assert!(steps * pairs_per_step >= epochs * num_pairs);
            assert!((steps - 1) * pairs_per_step < epochs * num_pairs);
        }
        let config = PreferenceConfig { steps: 9, pairs_per_step: 4, ..Default::default() };
        assert_eq!((config.steps_for(1000), config.most_pairs()), (9, 36));
    }

    #[test]
    fn steps_and_epochs_together_are_refused() {
        let both = PreferenceConfig { steps: 9, epochs: Some(1), ..Default::default() };
        let error = both.check("sdpo").unwrap_err().to_string();
        assert!(
            error.contains("stage.sdpo.preference.steps") && error.contains("epochs"),
            "{error}"
        );
        let none = PreferenceConfig { epochs: Some(0), ..Default::default() };
        assert!(none.check("sdpo").unwrap_err().to_string().contains("preference.epochs"));
        let one = PreferenceConfig { epochs: Some(1), ..Default::default() };
        one.check("sdpo").unwrap();
    }
}
