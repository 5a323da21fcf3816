//! The settings of collaborative Semantic IDs in a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_quantizer::SpectralParams;

use crate::error::LabError;
use crate::setting::check_counts;

/// Settings of spectral clusters over the graph of items that the same users chose in training (P5-CID).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpectralConfig {
    /// A cluster of more items is divided again, at most as often as `codebook_sizes` has numbers. Range
    /// `1..`.
    pub largest: usize,
    /// Weight that is spread evenly over all pairs of items, as a multiple of the mean degree. Range
    /// `[0, ∞)`.
    pub regulariser: f64,
}

impl Default for SpectralConfig {
    /// The paper's graph, and the size of cluster of its runs on Beauty.
    fn default() -> Self {
        Self { largest: 500, regulariser: 0.0 }
    }
}

impl SpectralConfig {
    /// The settings in the form of the quantizer.
    pub(crate) fn params(&self, codebook_sizes: &[usize], seed: u64) -> SpectralParams {
        SpectralParams::new(codebook_sizes, self.largest, seed).with_regulariser(self.regulariser)
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self, codebook_sizes: &[usize]) -> Result<(), LabError> {
        check_counts(&[("sids.spectral.largest", self.largest)])?;
        let refuse = |field: &str, found: String, needed| {
            Err(LabError::Setting { field: field.to_owned(), found, needed })
        };
        if !(self.regulariser.is_finite() && self.regulariser >= 0.0) {
            let found = self.regulariser.to_string();
            return refuse("sids.spectral.regulariser", found, "a finite number, 0 or more");
        }
        if codebook_sizes.contains(&1) {
            let found = format!("{codebook_sizes:?}");
            return refuse("sids.codebook_sizes", found, "numbers from 2, to divide clusters");
        }
        Ok(())
    }
}
