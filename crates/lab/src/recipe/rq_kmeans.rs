//! The settings of residual k-means in a recipe.

use linfa::ParamGuard as _;
use sidereal_quantizer::{Balance, Init, QuantizerError, RqKMeans, RqKMeansParams};

use crate::error::LabError;
use crate::setting::check_counts;

/// Settings of residual k-means, which are in `[sids]` itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RqKMeansConfig {
    /// The most iterations per level.
    pub iterations: usize,
    /// Runs of k-means per level; the best is kept.
    pub restarts: usize,
    /// Whether codes are used evenly (SINGER app. B), `"per-level"` or `"per-parent"`.
    pub balance: Balance,
    /// A run ends if the centroids move less than this, as a share of the mean variance of the columns.
    pub tolerance: f64,
    /// How the first centroids are chosen.
    pub init: Init,
    /// Rows per code that the centroids of a level are fitted to; the default is all rows.
    pub max_rows_per_code: Option<usize>,
}

impl Default for RqKMeansConfig {
    /// The defaults of the quantizer.
    fn default() -> Self {
        Self {
            iterations: 100,
            restarts: 1,
            balance: Balance::default(),
            tolerance: 1e-4,
            init: Init::default(),
            max_rows_per_code: None,
        }
    }
}

impl RqKMeansConfig {
    /// The settings in the form of the quantizer.
    pub(crate) fn params(&self, codebook_sizes: &[usize], seed: u64) -> RqKMeansParams {
        let params = RqKMeans::params(codebook_sizes, seed)
            .max_iterations(self.iterations)
            .restarts(self.restarts)
            .balance(self.balance)
            .tolerance(self.tolerance)
            .init(self.init);
        match self.max_rows_per_code {
            Some(rows) => params.max_rows_per_code(rows),
            None => params,
        }
    }

    /// Accepts settings with which codes can be made.
    pub(crate) fn check(&self, codebook_sizes: &[usize]) -> Result<(), LabError> {
        check_counts(&[
            ("sids.iterations", self.iterations),
            ("sids.restarts", self.restarts),
            ("sids.max_rows_per_code", self.max_rows_per_code.unwrap_or(1)),
        ])?;
        match self.params(codebook_sizes, 0).check_ref() {
            Err(QuantizerError::Tolerance { found }) => {
                let (field, found) = ("sids.tolerance".to_owned(), found.to_string());
                Err(LabError::Setting { field, found, needed: "a number that is at least 0" })
            }
            Err(other) => Err(other.into()),
            Ok(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_quantizer() {
        let own = RqKMeansConfig::default().params(&[4, 4], 7);
        assert_eq!(own, RqKMeansParams::new([4, 4], 7));
    }
}
