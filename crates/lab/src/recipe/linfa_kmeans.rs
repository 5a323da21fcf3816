//! The settings of residual quantisation by linfa's k-means in a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_quantizer::{Init, LinfaKMeansParams};

use crate::error::LabError;
use crate::setting::check_counts;

/// Settings of residual quantisation whose levels are `linfa-clustering`'s k-means, in a table of their own.
/// It has no balance, and is slower than the residual k-means of `[sids]` itself: an independent
/// implementation, to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LinfaKMeansConfig {
    /// Most iterations of a run. Range `1..`.
    pub iterations: u64,
    /// Runs of a level, of which the best stays. Range `1..`.
    pub restarts: usize,
    /// A run ends once the centroids move, in Euclidean distance over all of them, by less. Range
    /// `(0, ∞)`.
    #[schemars(extend("default" = 1e-4))]
    pub tolerance: f32,
    /// How the first centroids are chosen.
    pub init: Init,
}

impl Default for LinfaKMeansConfig {
    /// The defaults of the quantizer.
    fn default() -> Self {
        let LinfaKMeansParams { max_iterations, restarts, tolerance, init, .. } =
            LinfaKMeansParams::new([], 0);
        Self { iterations: max_iterations, restarts, tolerance, init }
    }
}

impl LinfaKMeansConfig {
    /// The settings in the form of the quantizer.
    pub(crate) fn params(&self, codebook_sizes: &[usize], seed: u64) -> LinfaKMeansParams {
        LinfaKMeansParams {
            max_iterations: self.iterations,
            restarts: self.restarts,
            tolerance: self.tolerance,
            init: self.init,
            ..LinfaKMeansParams::new(codebook_sizes, seed)
        }
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self, codebook_sizes: &[usize]) -> Result<(), LabError> {
        let iterations = usize::try_from(self.iterations).unwrap_or(usize::MAX);
        let smallest = codebook_sizes.iter().copied().min().unwrap_or_default();
        check_counts(&[
            ("sids.codebook_sizes", smallest),
            ("sids.linfa-kmeans.iterations", iterations),
            ("sids.linfa-kmeans.restarts", self.restarts),
        ])?;
        if self.tolerance.is_finite() && self.tolerance > 0.0 {
            return Ok(());
        }
        let field = "sids.linfa-kmeans.tolerance".to_owned();
        Err(LabError::Setting {
            field,
            found: self.tolerance.to_string(),
            needed: "a number above 0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_quantizer() {
        let own = LinfaKMeansConfig::default().params(&[4, 4], 7);
        assert_eq!(own, LinfaKMeansParams::new([4, 4], 7));
    }
}
