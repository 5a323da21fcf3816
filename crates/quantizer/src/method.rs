//! The methods that turn embeddings into codes without a tensor library, by configuration.

use std::ops::ControlFlow;

use linfa::ParamGuard;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sidereal_sid::Code;

use crate::rows::check;
use crate::{Codebooks, FitStep, Init, QuantizerError, ResidualParams, RqKMeansParams};

/// How rows become codes, as a file spells it: a `method` with its settings.
///
/// ```toml
/// method = "rq-kmeans"          # or "linfa-kmeans"
/// codebook_sizes = [256, 256, 256]
/// seed = 7
/// ```
/// ```
/// use ndarray::array;
/// use sidereal_quantizer::QuantizerConfig;
///
/// let text = r#"{"method": "linfa-kmeans", "codebook_sizes": [2, 2], "seed": 7}"#;
/// let config: QuantizerConfig = serde_json::from_str(text)?;
/// let rows = array![[0.0f32, 0.1], [0.0, -0.1], [5.0, 0.1], [5.0, -0.1]];
/// let quantized = config.fit(rows.view())?;
/// assert_eq!(quantized.codes.row(0)[0], quantized.codes.row(1)[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum QuantizerConfig {
    /// Residual k-means of this crate, balanced or not ([`RqKMeans`](crate::RqKMeans)).
    RqKmeans(RqKMeansParams),
    /// Residual quantisation whose levels are `linfa-clustering`'s k-means.
    LinfaKmeans(LinfaKMeansParams),
}

/// Settings of residual quantisation by `linfa-clustering`'s k-means.
///
/// It is slower than the k-means of this crate by an order of magnitude, and has no balance. It is
/// an independent implementation, and an example for other clusterers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinfaKMeansParams {
    /// Number of codes of each level, coarsest first. No level may have more codes than there are
    /// rows.
    pub codebook_sizes: Vec<usize>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Largest number of iterations of one run. Range `1..`.
    #[serde(default = "default_max_iterations")]
    pub max_iterations: u64,
    /// A run ends once the centroids move, in Euclidean distance over all of them, by less. Above 0.
    #[serde(default = "default_tolerance")]
    pub tolerance: f32,
    /// Runs of a level, of which the one with the least squared error is kept. Range `1..`.
    #[serde(default = "default_restarts")]
    pub restarts: usize,
    /// Choice of the first centroids.
    #[serde(default)]
    pub init: Init,
}

const fn default_max_iterations() -> u64 {
    300
}

const fn default_tolerance() -> f32 {
    1e-4
}

const fn default_restarts() -> usize {
    1
}

/// Codebooks, and the codes of the rows that they were fitted to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Quantized {
    /// The centroid of each code.
    pub codebooks: Codebooks,
    /// Codes `[N, L]` of the fitted rows.
    pub codes: Array2<Code>,
}

impl LinfaKMeansParams {
    /// linfa's defaults (300 iterations, tolerance 1e-4, k-means++), but one run instead of ten.
    #[must_use]
    pub fn new(codebook_sizes: impl Into<Vec<usize>>, seed: u64) -> Self {
        Self {
            codebook_sizes: codebook_sizes.into(),
            seed,
            max_iterations: default_max_iterations(),
            tolerance: default_tolerance(),
            restarts: default_restarts(),
            init: Init::default(),
        }
    }

    fn fit(&self, rows: ArrayView2<'_, f32>) -> Result<Quantized, QuantizerError> {
        check(&rows)?;
        if let Some(level) = self.codebook_sizes.iter().position(|size| *size > rows.nrows()) {
            let (size, rows) = (self.codebook_sizes[level], rows.nrows());
            return Err(QuantizerError::FewRows { level, size, rows });
        }
        let levels = self.codebook_sizes.iter().enumerate().map(|(level, size)| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(level as u64);
            let init = match self.init {
                Init::KMeansPlusPlus => KMeansInit::KMeansPlusPlus,
                Init::Random => KMeansInit::Random,
            };
            let params = KMeans::params_with_rng(*size, rng)
                .n_runs(self.restarts)
                .max_n_iterations(self.max_iterations)
                .tolerance(self.tolerance)
                .init_method(init);
            (*size, params)
        });
        let fitted = ResidualParams::new(levels).fit(rows)?;
        Ok(Quantized { codebooks: fitted.codebooks().clone(), codes: fitted.codes().clone() })
    }
}

impl QuantizerConfig {
    /// Fits codebooks to `rows` `[N, D]`.
    ///
    /// # Errors
    /// The errors of the method; [`QuantizerError::FewRows`] if linfa's k-means has fewer rows than
    /// codes, [`QuantizerError::Clusterer`] if it rejects a setting.
    pub fn fit(&self, rows: ArrayView2<'_, f32>) -> Result<Quantized, QuantizerError> {
        match self {
            Self::RqKmeans(params) => {
                let params = params.check_ref()?;
                let model =
                    params.fit_observed(rows, &mut |_: &FitStep| ControlFlow::Continue(()))?;
                let (codebooks, codes) = (model.codebooks().clone(), model.codes().clone());
                Ok(Quantized { codebooks, codes })
            }
            Self::LinfaKmeans(params) => params.fit(rows),
        }
    }
}
