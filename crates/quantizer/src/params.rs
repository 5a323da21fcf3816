//! Settings of residual k-means.

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};
use sidereal_sid::SidSpec;

use crate::{Balance, Init, QuantizerError};

/// Settings of residual k-means as a file or a caller spells them, unchecked.
///
/// [`fit`](linfa::traits::Fit::fit) checks them; [`ParamGuard::check`] does so earlier. As TOML:
///
/// ```toml
/// codebook_sizes = [256, 256, 256]
/// seed = 7
/// max_iterations = 25     # this and the rest may be left out
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Settings", into = "Settings")]
pub struct RqKMeansParams(RqKMeansValidParams);

/// Checked settings: holding them is the proof that every range holds.
#[derive(Debug, Clone, PartialEq)]
pub struct RqKMeansValidParams(Settings);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Settings {
    codebook_sizes: Vec<usize>,
    seed: u64,
    #[serde(default = "default_max_iterations")]
    max_iterations: usize,
    #[serde(default = "default_tolerance")]
    tolerance: f64,
    #[serde(default)]
    init: Init,
    #[serde(default = "default_restarts")]
    restarts: usize,
    #[serde(default)]
    balance: Balance,
    #[serde(default)]
    max_rows_per_code: Option<usize>,
}

const fn default_max_iterations() -> usize {
    100
}

const fn default_tolerance() -> f64 {
    1e-4
}

const fn default_restarts() -> usize {
    1
}

impl RqKMeansParams {
    /// Settings for codebooks of these sizes, one for each level, coarsest first.
    ///
    /// The other settings are those of scikit-learn's `KMeans`, with fewer iterations: at most 100,
    /// tolerance 1e-4, k-means++, one run.
    #[must_use]
    pub fn new(codebook_sizes: impl Into<Vec<usize>>, seed: u64) -> Self {
        Self(RqKMeansValidParams(Settings {
            codebook_sizes: codebook_sizes.into(),
            seed,
            max_iterations: default_max_iterations(),
            tolerance: default_tolerance(),
            init: Init::default(),
            restarts: default_restarts(),
            balance: Balance::default(),
            max_rows_per_code: None,
        }))
    }

    /// Largest number of iterations of one k-means run. Range `1..`.
    #[must_use]
    pub fn max_iterations(mut self, max_iterations: usize) -> Self {
        self.0.0.max_iterations = max_iterations;
        self
    }

    /// A run ends once the centroids move, in summed squared distance, by no more than this
    /// share of the mean variance of the columns. Range `0..`; 0 runs until no code changes.
    ///
    /// With a [`Balance`], rows change places as long as centroids move at all: a run ends once
    /// three iterations in a row lower the squared error by no more than this share of it.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.0.0.tolerance = tolerance;
        self
    }

    /// Choice of the first centroids.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.0.0.init = init;
        self
    }

    /// Runs of each level, of which the one with the least squared error is kept. Range `1..`.
    ///
    /// At deep levels the residuals are nearly unclustered, and one run may put most rows into one
    /// code. Three runs make this unlikely.
    #[must_use]
    pub fn restarts(mut self, restarts: usize) -> Self {
        self.0.0.restarts = restarts;
        self
    }

    /// Whether the codes of a level are used evenly, and within which groups of rows.
    #[must_use]
    pub fn balance(mut self, balance: Balance) -> Self {
        self.0.0.balance = balance;
        self
    }

    /// Rows that the centroids of a level are fitted to, for each code. Range `1..`.
    ///
    /// Further rows are left out at random, with a new choice at each level; then all rows get
    /// their codes. faiss does the same (its default is 256). It is faster, and the error is
    /// larger. Each level copies its sample. By default there is no limit, and every row counts.
    #[must_use]
    pub fn max_rows_per_code(mut self, rows: usize) -> Self {
        self.0.0.max_rows_per_code = Some(rows);
        self
    }
}

impl RqKMeansValidParams {
    /// Number of codes of each level.
    #[must_use]
    pub fn codebook_sizes(&self) -> &[usize] {
        &self.0.codebook_sizes
    }

    /// Seed of every random choice.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Largest number of iterations of one k-means run.
    #[must_use]
    pub const fn max_iterations(&self) -> usize {
        self.0.max_iterations
    }

    /// Movement at which a run ends, as a share of the mean variance of the columns.
    #[must_use]
    pub const fn tolerance(&self) -> f64 {
        self.0.tolerance
    }

    /// Choice of the first centroids.
    #[must_use]
    pub const fn init(&self) -> Init {
        self.0.init
    }

    /// Runs of each level.
    #[must_use]
    pub const fn restarts(&self) -> usize {
        self.0.restarts
    }

    /// Rows for each code that centroids are fitted to; `None` for all.
    #[must_use]
    pub const fn max_rows_per_code(&self) -> Option<usize> {
        self.0.max_rows_per_code
    }

    /// Capacities of the codes.
    #[must_use]
    pub const fn balance(&self) -> Balance {
        self.0.balance
    }
}

impl ParamGuard for RqKMeansParams {
    type Checked = RqKMeansValidParams;
    type Error = QuantizerError;

    fn check_ref(&self) -> Result<&RqKMeansValidParams, QuantizerError> {
        let settings = &self.0.0;
        SidSpec::new(settings.codebook_sizes.clone(), 0)?;
        if settings.max_iterations == 0 {
            return Err(QuantizerError::MaxIterations);
        }
        if !(settings.tolerance >= 0.0 && settings.tolerance.is_finite()) {
            return Err(QuantizerError::Tolerance { found: settings.tolerance });
        }
        if settings.restarts == 0 {
            return Err(QuantizerError::Restarts);
        }
        if settings.max_rows_per_code == Some(0) {
            return Err(QuantizerError::MaxRowsPerCode);
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<RqKMeansValidParams, QuantizerError> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl From<Settings> for RqKMeansParams {
    fn from(settings: Settings) -> Self {
        Self(RqKMeansValidParams(settings))
    }
}

impl From<RqKMeansParams> for Settings {
    fn from(params: RqKMeansParams) -> Self {
        params.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let params = || RqKMeansParams::new([4, 4], 0);
        assert!(params().check().is_ok());
        assert!(matches!(RqKMeansParams::new([], 0).check(), Err(QuantizerError::Sizes(_))));
        assert!(matches!(RqKMeansParams::new([70_000], 0).check(), Err(QuantizerError::Sizes(_))));
        assert!(matches!(params().max_iterations(0).check(), Err(QuantizerError::MaxIterations)));
        assert!(matches!(
            params().tolerance(f64::NAN).check(),
            Err(QuantizerError::Tolerance { .. })
        ));
        assert!(matches!(params().restarts(0).check(), Err(QuantizerError::Restarts)));
        let none = params().max_rows_per_code(0);
        assert!(matches!(none.check(), Err(QuantizerError::MaxRowsPerCode)));
    }

    #[test]
    fn only_sizes_and_seed_are_required() {
        let params: RqKMeansParams =
            serde_json::from_str(r#"{"codebook_sizes":[8],"seed":3}"#).unwrap();
        assert_eq!(params, RqKMeansParams::new([8], 3));
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<RqKMeansParams>(&text).unwrap(), params);
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let text = r#"{"codebook_sizes":[8],"seed":3,"restart":2}"#;
        assert!(serde_json::from_str::<RqKMeansParams>(text).is_err());
    }
}
