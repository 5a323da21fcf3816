//! Settings of the training loop.

use serde::{Deserialize, Serialize};
use sidereal_metrics::SeenItems;

use super::NeuralError;
use super::error::need;

/// Settings of the one training loop of all neural recommenders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Most passes over the data. Range `1..`.
    pub epochs: usize,
    /// Targets of a step; where the lesson is a whole sequence, sequences of a step. Range `1..`.
    pub batch_size: usize,
    /// Learning rate of Adam. Range `(0, ∞)`.
    pub lr: f64,
    /// Weight of the squared norm of the weights, as Adam's in PyTorch. Range `[0, ∞)`.
    pub weight_decay: f64,
    /// Longest gradient; a longer one is scaled down. 0 for no limit. Range `[0, ∞)`.
    pub clip_norm: f64,
    /// Epochs between two validations. Range `1..`.
    pub validate_every: usize,
    /// Validations without a better NDCG@10 after which training ends. Range `1..`.
    pub patience: usize,
    /// Validation users that are ranked for, drawn once by seed; all of them where there are fewer.
    /// Range `1..`.
    pub valid_users: usize,
    /// Whether items that the user has seen compete in the validation.
    pub seen_items: SeenItems,
    /// Most minutes on the clock: training ends with the epoch in which they pass, and that epoch is
    /// validated. No limit by default. Range `(0, ∞)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
}

impl Default for TrainConfig {
    /// `RecBole`'s: Adam at 1e-3, 2,048 targets a step, at most 300 epochs, patience 10. The
    /// deviation: `RecBole` chooses by MRR@10, and its ranking keeps the seen items of a
    /// sequential model, as here.
    fn default() -> Self {
        Self {
            epochs: 300,
            batch_size: 2048,
            lr: 1e-3,
            weight_decay: 0.0,
            clip_norm: 0.0,
            validate_every: 1,
            patience: 10,
            valid_users: usize::MAX,
            seen_items: SeenItems::Kept,
            minutes: None,
        }
    }
}

impl TrainConfig {
    /// Accepts settings with which training is possible.
    pub(crate) fn check(&self) -> Result<(), NeuralError> {
        for (field, count) in [
            ("train.epochs", self.epochs),
            ("train.batch_size", self.batch_size),
            ("train.validate_every", self.validate_every),
            ("train.patience", self.patience),
            ("train.valid_users", self.valid_users),
        ] {
            need(count > 0, field, 0.0, "1 or more")?;
        }
        if let Some(minutes) = self.minutes {
            let usable = minutes > 0.0 && minutes.is_finite();
            need(usable, "train.minutes", minutes, "a positive number")?;
        }
        need(self.lr > 0.0 && self.lr.is_finite(), "train.lr", self.lr, "a positive number")?;
        for (field, value) in
            [("train.weight_decay", self.weight_decay), ("train.clip_norm", self.clip_norm)]
        {
            need(value >= 0.0 && value.is_finite(), field, value, "0 or more")?;
        }
        Ok(())
    }
}
