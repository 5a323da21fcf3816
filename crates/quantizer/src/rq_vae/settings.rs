//! The settings of an RQ-VAE as they are stored, and their ranges.

use serde::{Deserialize, Serialize};

use super::schedule::{CodebookSchedule, EarlyStop};
use crate::QuantizerError;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) codebook_sizes: Vec<usize>,
    pub(super) seed: u64,
    #[serde(default = "defaults::hidden")]
    pub(super) hidden: Vec<usize>,
    #[serde(default = "defaults::latent")]
    pub(super) latent: usize,
    #[serde(default = "defaults::beta")]
    pub(super) beta: f64,
    #[serde(default = "defaults::quantisation_weight")]
    pub(super) quantisation_weight: f64,
    #[serde(default = "defaults::learning_rate")]
    pub(super) learning_rate: f64,
    #[serde(default)]
    pub(super) weight_decay: f64,
    #[serde(default = "defaults::clip_norm")]
    pub(super) clip_norm: f64,
    #[serde(default = "defaults::batch_size")]
    pub(super) batch_size: usize,
    #[serde(default = "defaults::steps")]
    pub(super) steps: usize,
    #[serde(default = "defaults::evaluate_every")]
    pub(super) evaluate_every: usize,
    #[serde(default)]
    pub(super) schedule: CodebookSchedule,
    #[serde(default)]
    pub(super) sinkhorn_epsilons: Vec<f64>,
    #[serde(default = "defaults::sinkhorn_iterations")]
    pub(super) sinkhorn_iterations: usize,
    #[serde(default = "defaults::revive_after")]
    pub(super) revive_after: usize,
    #[serde(default)]
    pub(super) alignment_weight: f64,
    #[serde(default)]
    pub(super) diversity_weight: f64,
    #[serde(default = "defaults::diversity_clusters")]
    pub(super) diversity_clusters: usize,
    #[serde(default)]
    pub(super) early_stop: Option<EarlyStop>,
    #[serde(default = "defaults::device")]
    pub(super) device: String,
}

/// What a setting is where none is given.
pub(super) mod defaults {
    pub(in crate::rq_vae) fn hidden() -> Vec<usize> {
        vec![512, 256, 128, 64]
    }
    pub(in crate::rq_vae) const fn latent() -> usize {
        32
    }
    pub(in crate::rq_vae) const fn beta() -> f64 {
        0.25
    }
    pub(in crate::rq_vae) const fn quantisation_weight() -> f64 {
        1.0
    }
    pub(in crate::rq_vae) const fn learning_rate() -> f64 {
        1e-3
    }
    pub(in crate::rq_vae) const fn clip_norm() -> f64 {
        1.0
    }
    pub(in crate::rq_vae) const fn batch_size() -> usize {
        1024
    }
    pub(in crate::rq_vae) const fn steps() -> usize {
        10_000
    }
    pub(in crate::rq_vae) const fn evaluate_every() -> usize {
        500
    }
    pub(in crate::rq_vae) const fn sinkhorn_iterations() -> usize {
        50
    }
    pub(in crate::rq_vae) const fn revive_after() -> usize {
        20
    }
    pub(in crate::rq_vae) const fn diversity_clusters() -> usize {
        10
    }
    pub(in crate::rq_vae) fn device() -> String {
        "cpu".to_owned()
    }
}

impl Settings {
    /// Levels that take part in 0-based `step`.
    pub(super) fn active_levels(&self, step: usize) -> usize {
        let levels = self.codebook_sizes.len();
        match self.schedule {
            CodebookSchedule::Joint => levels,
            CodebookSchedule::LayerWise { steps_per_level } => {
                levels.min(step / steps_per_level + 1)
            }
        }
    }

    /// Regularisation of a level's balanced assignment, if it has one.
    pub(super) fn sinkhorn_epsilon(&self, level: usize) -> Option<f64> {
        self.sinkhorn_epsilons.get(level).copied().filter(|epsilon| *epsilon > 0.0)
    }

    pub(super) fn check_counts(&self) -> Result<(), QuantizerError> {
        let mut counts = vec![
            ("latent", self.latent),
            ("batch_size", self.batch_size),
            ("steps", self.steps),
            ("evaluate_every", self.evaluate_every),
            ("sinkhorn_iterations", self.sinkhorn_iterations),
            ("diversity_clusters", self.diversity_clusters),
        ];
        counts.extend(self.hidden.iter().map(|width| ("hidden", *width)));
        counts.extend(self.early_stop.map(|stop| ("early_stop.patience", stop.patience)));
        if let CodebookSchedule::LayerWise { steps_per_level } = self.schedule {
            counts.push(("schedule.steps_per_level", steps_per_level));
        }
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((setting, _)) => Err(refused(setting, "at least 1", &0)),
            None => Ok(()),
        }
    }

    pub(super) fn check_factors(&self) -> Result<(), QuantizerError> {
        for (setting, value) in
            [("learning_rate", self.learning_rate), ("clip_norm", self.clip_norm)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err(refused(setting, "finite and positive", &value));
            }
        }
        let mut weights = vec![
            ("beta", self.beta),
            ("quantisation_weight", self.quantisation_weight),
            ("weight_decay", self.weight_decay),
            ("alignment_weight", self.alignment_weight),
            ("diversity_weight", self.diversity_weight),
        ];
        weights.extend(self.sinkhorn_epsilons.iter().map(|value| ("sinkhorn_epsilons", *value)));
        for (setting, value) in weights {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(refused(setting, "finite and not negative", &value));
            }
        }
        Ok(())
    }

    pub(super) fn check_levels(&self) -> Result<(), QuantizerError> {
        let levels = self.codebook_sizes.len();
        if ![0, levels].contains(&self.sinkhorn_epsilons.len()) {
            let found = format!("{} for {levels} levels", self.sinkhorn_epsilons.len());
            return Err(refused("sinkhorn_epsilons", "one value for each level, or none", &found));
        }
        if let CodebookSchedule::LayerWise { steps_per_level } = self.schedule
            && self.steps <= steps_per_level.saturating_mul(levels - 1)
        {
            let found = format!("{} of {steps_per_level} a level", self.steps);
            return Err(refused("steps", "enough for the last level to join", &found));
        }
        Ok(())
    }
}

fn refused(
    setting: &'static str,
    needed: &'static str,
    found: &impl std::fmt::Display,
) -> QuantizerError {
    QuantizerError::Setting { setting, needed, found: found.to_string() }
}
