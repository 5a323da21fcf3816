//! The settings of Semantic IDs of two streams in a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_quantizer::HierarchicalKMeansParams;

use crate::error::LabError;
use crate::setting::check_counts;

/// Settings of Semantic IDs of two streams: codes of what an item is, then codes of who chooses it (EAGER-LLM).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TwoStreamsConfig {
    /// Largest size of a cluster, as a multiple of the mean, in both streams. Range `[1, ∞)`; 1 makes clusters as
    /// equal as can be.
    pub capacity: f64,
    /// Most iterations of one k-means run. Range `1..`.
    pub iterations: usize,
    /// Dimensions of the vectors of the behaviour stream. Range `1..`.
    pub behaviour_dimensions: usize,
}

impl Default for TwoStreamsConfig {
    /// Even clusters and 100 iterations, as in the authors' code; the dimensions are ours.
    fn default() -> Self {
        Self { capacity: 1.0, iterations: 100, behaviour_dimensions: 64 }
    }
}

impl TwoStreamsConfig {
    /// The settings of one stream in the form of the quantizer. In small catalogues there are as many codes as items.
    pub(crate) fn params(
        &self,
        codebook_sizes: &[usize],
        num_items: usize,
        seed: u64,
    ) -> HierarchicalKMeansParams {
        let levels = codebook_sizes.iter().map(|size| ((*size).min(num_items), self.capacity));
        HierarchicalKMeansParams::new(levels, seed).with_max_iterations(self.iterations)
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("sids.two-streams.iterations", self.iterations),
            ("sids.two-streams.behaviour_dimensions", self.behaviour_dimensions),
        ])?;
        if self.capacity >= 1.0 {
            return Ok(());
        }
        let field = "sids.two-streams.capacity".to_owned();
        let found = self.capacity.to_string();
        Err(LabError::Setting { field, found, needed: "a number from 1" })
    }
}
