//! Learning rate over a run.

use serde::{Deserialize, Serialize};

use super::OptimConfig;

/// How the learning rate goes from its highest value to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// It stays; `final_lr` has no say.
    Constant,
    /// In a straight line.
    Linear,
    /// In half a cosine.
    #[default]
    Cosine,
}

impl OptimConfig {
    /// Learning rate of 0-based `step` of `total`.
    ///
    /// ```text
    /// lr · (step + 1)/(w + 1)                       while step < w = warmup · total
    /// lr · (final_lr + (1 − final_lr) · s(x))       after, x = (step − w)/(total − w)
    /// s(x) = 1 (constant), 1 − x (linear), ½(1 + cos πx) (cosine)
    /// ```
    #[must_use]
    pub fn lr_at(&self, step: usize, total: usize) -> f64 {
        let warmup = self.warmup * total as f64;
        let at = step as f64;
        if at < warmup {
            return self.lr * (at + 1.0) / (warmup + 1.0);
        }
        let progress = ((at - warmup) / (total as f64 - warmup).max(1.0)).min(1.0);
        let share = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - progress,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.lr * (self.final_lr + (1.0 - self.final_lr) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule) -> Vec<f64> {
        let config =
            OptimConfig { lr: 1.0, warmup: 0.1, final_lr: 0.1, schedule, ..Default::default() };
        (0..100).map(|step| config.lr_at(step, 100)).collect()
    }

    #[test]
    fn the_rate_rises_then_falls_to_its_end() {
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            let rates = rates(schedule);
            assert!(rates[..10].is_sorted() && rates[10..].iter().rev().is_sorted());
            assert!((rates[10] - 1.0).abs() < 1e-9);
            // Ten steps of warm-up: 1/11, 2/11, …
            assert!((rates[0] - 1.0 / 11.0).abs() < 1e-9 && (rates[9] - 10.0 / 11.0).abs() < 1e-9);
            assert!(rates[99] < 0.115 && rates[99] >= 0.1, "{schedule:?}: {}", rates[99]);
            // Half way down: 0.1 + 0.9 / 2.
            assert!((rates[55] - 0.55).abs() < 1e-9);
        }
        // A quarter of the way a line has lost more than half a cosine.
        assert!(rates(Schedule::Linear)[32] < rates(Schedule::Cosine)[32]);
    }

    #[test]
    fn a_constant_rate_stays_after_its_warm_up() {
        let rates = rates(Schedule::Constant);
        assert!(rates[..10].is_sorted() && rates[0] < 0.1);
        assert!(rates[10..].iter().all(|rate| (rate - 1.0).abs() < 1e-12));
    }
}
