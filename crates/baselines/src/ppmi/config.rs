//! Settings of collaborative item vectors.

use serde::{Deserialize, Serialize};

use crate::VectorError;

const MAX_DIMENSIONS: usize = 1 << 16;

/// Unchecked settings of collaborative item vectors, as a file or a command line spells them.
///
/// As TOML; all but the seed may be left out:
///
/// ```toml
/// seed = 7
/// window = 5
/// context_smoothing = 0.75
/// dimensions = 128
/// oversampling = 10
/// power_iterations = 8
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PpmiConfig {
    /// Seed of the random start of the SVD.
    pub seed: u64,
    /// Largest distance within a sequence at which two items co-occur. Range `1..`.
    #[serde(default = "defaults::window")]
    pub window: usize,
    /// Exponent `α` that flattens the distribution of contexts. Range `[0, 1]`; 1 smooths nothing.
    #[serde(default = "defaults::context_smoothing")]
    pub context_smoothing: f64,
    /// Width `D` of the vectors. Range `1..=65536`.
    #[serde(default = "defaults::dimensions")]
    pub dimensions: usize,
    /// Random directions beyond `D` that the SVD works with.
    #[serde(default = "defaults::oversampling")]
    pub oversampling: usize,
    /// Products with the matrix that sharpen the random directions. More bring the vectors
    /// closer to the exact SVD.
    #[serde(default = "defaults::power_iterations")]
    pub power_iterations: usize,
}

mod defaults {
    pub(super) const fn window() -> usize {
        5
    }

    pub(super) const fn context_smoothing() -> f64 {
        0.75
    }

    pub(super) const fn dimensions() -> usize {
        128
    }

    pub(super) const fn oversampling() -> usize {
        10
    }

    pub(super) const fn power_iterations() -> usize {
        8
    }
}

impl PpmiConfig {
    /// The default settings: window 5, `α` = 0.75 (Levy et al. 2015), 128 dimensions; 10 further
    /// directions and 8 products, the work of scikit-learn's `randomized_svd` with `n_iter=4`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            window: defaults::window(),
            context_smoothing: defaults::context_smoothing(),
            dimensions: defaults::dimensions(),
            oversampling: defaults::oversampling(),
            power_iterations: defaults::power_iterations(),
        }
    }

    /// Sets [`window`](Self::window).
    #[must_use]
    pub const fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Sets [`context_smoothing`](Self::context_smoothing).
    #[must_use]
    pub const fn with_context_smoothing(mut self, context_smoothing: f64) -> Self {
        self.context_smoothing = context_smoothing;
        self
    }

    /// Sets [`dimensions`](Self::dimensions).
    #[must_use]
    pub const fn with_dimensions(mut self, dimensions: usize) -> Self {
        self.dimensions = dimensions;
        self
    }

    /// Sets [`oversampling`](Self::oversampling).
    #[must_use]
    pub const fn with_oversampling(mut self, oversampling: usize) -> Self {
        self.oversampling = oversampling;
        self
    }

    /// Sets [`power_iterations`](Self::power_iterations).
    #[must_use]
    pub const fn with_power_iterations(mut self, power_iterations: usize) -> Self {
        self.power_iterations = power_iterations;
        self
    }
}

/// Checked settings for collaborative item vectors: holding one is the proof that every range
/// holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PpmiConfig", into = "PpmiConfig")]
pub struct Ppmi(PpmiConfig);

impl TryFrom<PpmiConfig> for Ppmi {
    type Error = VectorError;

    fn try_from(config: PpmiConfig) -> Result<Self, VectorError> {
        if config.window == 0 {
            let needed = "a distance of at least 1";
            return Err(VectorError::Setting { field: "window", found: 0.0, needed });
        }
        if !(1..=MAX_DIMENSIONS).contains(&config.dimensions) {
            return Err(VectorError::Setting {
                field: "dimensions",
                found: config.dimensions as f64,
                needed: "a number in [1, 65536]",
            });
        }
        if !(0.0..=1.0).contains(&config.context_smoothing) {
            return Err(VectorError::Setting {
                field: "context_smoothing",
                found: config.context_smoothing,
                needed: "a number in [0, 1]",
            });
        }
        Ok(Self(config))
    }
}

impl From<Ppmi> for PpmiConfig {
    fn from(ppmi: Ppmi) -> Self {
        ppmi.0
    }
}

impl Ppmi {
    /// The settings, as a file spells them.
    #[must_use]
    pub const fn config(&self) -> &PpmiConfig {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let refuses = |config: PpmiConfig, name: &str| matches!(Ppmi::try_from(config), Err(VectorError::Setting { field, .. }) if field == name);
        let config = || PpmiConfig::new(0);
        assert!(Ppmi::try_from(config()).is_ok());
        assert!(refuses(config().with_window(0), "window"));
        assert!(refuses(config().with_dimensions(0), "dimensions"));
        assert!(refuses(config().with_dimensions(usize::MAX), "dimensions"));
        for smoothing in [-0.1, 1.1, f64::NAN] {
            assert!(refuses(config().with_context_smoothing(smoothing), "context_smoothing"));
        }
    }

    #[test]
    fn the_seed_alone_is_required_and_reading_checks() {
        let ppmi: Ppmi = serde_json::from_str(r#"{"seed":3}"#).unwrap();
        assert_eq!(ppmi.config(), &PpmiConfig::new(3));
        let text = serde_json::to_string(&ppmi).unwrap();
        assert_eq!(serde_json::from_str::<Ppmi>(&text).unwrap(), ppmi);
        for text in ["{}", r#"{"seed":3,"windows":5}"#, r#"{"seed":3,"window":0}"#] {
            assert!(serde_json::from_str::<Ppmi>(text).is_err(), "{text}");
        }
    }
}
