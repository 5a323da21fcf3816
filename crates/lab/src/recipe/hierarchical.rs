//! The settings of hierarchical k-means in a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_quantizer::HierarchicalKMeansParams;

use crate::error::LabError;
use crate::setting::check_counts;

/// Settings of hierarchical k-means, over vectors that join what follows what with what texts say.
///
/// ```text
/// vector(item) = transitions · unit(SVD of transitions)  ⊕  text · unit(principal components of the text)
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HierarchicalConfig {
    /// Largest size of a cluster of each level, as a multiple of the mean. Each is in
    /// `1..`.
    pub capacities: Vec<f64>,
    /// Most iterations of one k-means run. Range `1..`.
    pub iterations: usize,
    /// Length of the part of the transitions (training events only); 0 leaves it out. Range `[0, ∞)`.
    pub transitions: f32,
    /// Dimensions of the part of the transitions. Range `1..`.
    pub transition_dimensions: usize,
    /// Length of the part of the text; 0 leaves it out. Range `[0, ∞)`.
    pub text: f32,
    /// Dimensions of the part of the text. Range `1..`.
    pub text_dimensions: usize,
}

impl Default for HierarchicalConfig {
    /// Both parts of length one, as did best on Beauty.
    fn default() -> Self {
        Self {
            capacities: vec![1.25, 1.5],
            iterations: 20,
            transitions: 1.0,
            transition_dimensions: 64,
            text: 1.0,
            text_dimensions: 128,
        }
    }
}

impl HierarchicalConfig {
    /// The settings in the form of the quantizer. In small catalogues there are as many codes as
    /// items.
    pub(crate) fn params(
        &self,
        codebook_sizes: &[usize],
        num_items: usize,
        seed: u64,
    ) -> HierarchicalKMeansParams {
        let sizes = codebook_sizes.iter().map(|size| (*size).min(num_items));
        let levels = sizes.zip(self.capacities.iter().copied());
        HierarchicalKMeansParams::new(levels, seed).with_max_iterations(self.iterations)
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self, codebook_sizes: &[usize]) -> Result<(), LabError> {
        check_counts(&[
            ("sids.hierarchical.iterations", self.iterations),
            ("sids.hierarchical.transition_dimensions", self.transition_dimensions),
            ("sids.hierarchical.text_dimensions", self.text_dimensions),
        ])?;
        let refuse = |field: &str, found: String, needed| {
            let field = format!("sids.hierarchical.{field}");
            Err(LabError::Setting { field, found, needed })
        };
        if self.capacities.len() != codebook_sizes.len() {
            let needed = "as many numbers as `sids.codebook_sizes` has";
            return refuse("capacities", format!("{:?}", self.capacities), needed);
        }
        if !self.capacities.iter().all(|capacity| *capacity >= 1.0) {
            return refuse("capacities", format!("{:?}", self.capacities), "numbers from 1");
        }
        for (field, weight) in [("transitions", self.transitions), ("text", self.text)] {
            if !(weight.is_finite() && weight >= 0.0) {
                return refuse(field, weight.to_string(), "a finite number, 0 or more");
            }
        }
        if self.transitions <= 0.0 && self.text <= 0.0 {
            return refuse("text", "0".to_owned(), "above 0, or `transitions` above 0");
        }
        Ok(())
    }
}
