//! When levels join an RQ-VAE's training, and when it ends early.

use serde::{Deserialize, Serialize};

/// When each level's codebook joins the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CodebookSchedule {
    /// All levels from the first step.
    #[default]
    Joint,
    /// Level `l` from step `l · steps_per_level`; those before it go on training. SINGER
    /// trains 1,000 steps a level.
    LayerWise {
        /// Steps before the next level joins. Range `1..`.
        steps_per_level: usize,
    },
}

/// What early stopping watches; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StopMetric {
    /// Share of items too many for their Semantic IDs.
    CollisionRate,
    /// Mean squared error of the decoded rows.
    Reconstruction,
}

/// Ends the training once a metric has stopped falling; the best weights are then the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// What must fall.
    pub metric: StopMetric,
    /// Evaluations without a new best that end the training. Range `1..`.
    pub patience: usize,
}
