//! Settings of next-item training.

use serde::{Deserialize, Serialize};
use sidereal_policy::ItemDropout;

use super::ranking::ExactNdcg;
use crate::TrainError;
use crate::augment::AugmentConfig;
use crate::checked::Checked;
use crate::optim::{OptimConfig, Schedule};
use crate::setting::{End, check_counts, check_optim, check_shares, in_table, of_stage};

/// Settings of next-item training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NextItemConfig {
    /// Passes over the histories. Range `1..`.
    pub epochs: usize,
    /// Histories of a step, of similar length. Range `1..`.
    pub batch_size: usize,
    /// Most positions of a step, those that fill short rows included; a step of longer histories has fewer
    /// of them. Range `1..`.
    pub max_positions: usize,
    /// Share of the body's activations zeroed in training. Range `[0, 1)`.
    pub dropout: f64,
    /// Share of attention weights zeroed in training. Range `[0, 1)`.
    pub attention_dropout: f64,
    /// Random variation of the histories, new in every epoch. None by default.
    pub augment: AugmentConfig,
    /// Most weight of the past in the running average of the weights that is validated and kept; 0 keeps
    /// the weights themselves. Range `[0, 1)`.
    pub ema: f64,
    /// Held-out users that a validation ranks for, drawn once; all where there are fewer. Range `1..`.
    pub valid_users: usize,
    /// Which ranking chooses the weights.
    pub select: SelectBy,
    /// AdamW and its learning rate.
    pub optim: OptimConfig,
    /// Steps between checkpoints; each epoch ends with one too. Range `1..`.
    pub checkpoint_every: usize,
}

/// NDCG@10 of which ranking chooses the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SelectBy {
    /// The one in which items that the user has seen compete.
    Kept,
    /// The one without them.
    Removed,
    /// The mean of both.
    #[default]
    Both,
}

impl SelectBy {
    /// The number by which weights are chosen; higher is better.
    pub(super) fn of(self, found: &ExactNdcg) -> f64 {
        match self {
            Self::Kept => found.kept,
            Self::Removed => found.removed,
            Self::Both => f64::midpoint(found.kept, found.removed),
        }
    }
}

impl Default for NextItemConfig {
    /// The setting that did best on Beauty for its training time: six epochs of AdamW at 3e-3 without decay,
    /// a sixth of them (some 200 steps) to warm up, a cosine to 5 %, dropout 0.25. Gradients are not
    /// clipped in effect.
    fn default() -> Self {
        Self {
            epochs: 6,
            batch_size: 128,
            max_positions: 2500,
            dropout: 0.25,
            attention_dropout: 0.25,
            augment: AugmentConfig::default(),
            ema: 0.99,
            valid_users: 4000,
            select: SelectBy::default(),
            optim: OptimConfig {
                lr: 3e-3,
                warmup: 0.17,
                schedule: Schedule::Cosine,
                final_lr: 0.05,
                betas: (0.9, 0.98),
                eps: 1e-8,
                weight_decay: 0.0,
                clip_norm: 1e6,
            },
            checkpoint_every: 500,
        }
    }
}

impl NextItemConfig {
    /// Accepts settings with which training is possible; `stage` is for messages.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names stage and field.
    pub fn check(&self, stage: &str) -> Result<Checked<Self>, TrainError> {
        let counts = check_counts(&[
            ("next_item.epochs", self.epochs),
            ("next_item.batch_size", self.batch_size),
            ("next_item.max_positions", self.max_positions),
            ("next_item.valid_users", self.valid_users),
            ("next_item.checkpoint_every", self.checkpoint_every),
        ]);
        let shares = check_shares(&[
            ("next_item.dropout", self.dropout, End::Excluded),
            ("next_item.attention_dropout", self.attention_dropout, End::Excluded),
            ("next_item.augment.drop", self.augment.drop, End::Excluded),
            ("next_item.augment.reverse", self.augment.reverse, End::Included),
            ("next_item.ema", self.ema, End::Excluded),
        ]);
        let optim = in_table("next_item", check_optim(&self.optim));
        of_stage(stage, counts.and(shares).and(optim))?;
        Ok(Checked::of(self.clone()))
    }

    /// What is zeroed in a step of this seed.
    pub(super) const fn dropout(&self, seed: u64) -> ItemDropout {
        ItemDropout { hidden: self.dropout, attention: self.attention_dropout, seed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut NextItemConfig);

    #[test]
    fn settings_outside_their_ranges_are_refused_by_stage_and_field() {
        let of = |change: Change| {
            let mut config = NextItemConfig::default();
            change(&mut config);
            config.check("items").unwrap_err().to_string()
        };
        let cases: [(Change, &str); 7] = [
            (|c| c.epochs = 0, "stage.items.next_item.epochs"),
            (|c| c.max_positions = 0, "stage.items.next_item.max_positions"),
            (|c| c.valid_users = 0, "stage.items.next_item.valid_users"),
            (|c| c.dropout = 1.0, "stage.items.next_item.dropout"),
            (|c| c.ema = f64::NAN, "stage.items.next_item.ema"),
            (|c| c.augment.drop = -0.1, "stage.items.next_item.augment.drop"),
            (|c| c.optim.lr = 0.0, "stage.items.next_item.optim.lr"),
        ];
        for (change, field) in cases {
            let error = of(change);
            assert!(error.contains(field), "{error}");
        }
        NextItemConfig::default().check("items").unwrap();
    }
}
