//! The ranges of the settings of an RQ-VAE.

use super::params::Settings;
use super::schedule::CodebookSchedule;
use crate::QuantizerError;

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
