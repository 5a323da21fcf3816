//! Collaborative item vectors: a truncated SVD of damped, symmetrised transitions.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use sidereal_sid::ItemId;

use crate::VectorError;
use crate::sparse::{SparseRows, check_items, co_occurrences};
use crate::spectral::{self, Effort};

const MAX_DIMENSIONS: usize = 1 << 16;

/// Unchecked settings of [`TransitionVectors`], as a file or a command line spells them.
///
/// As TOML; all but the seed may be left out:
///
/// ```toml
/// seed = 7
/// window = 8
/// damping = 0.5
/// dimensions = 64
/// oversampling = 32
/// power_iterations = 8
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TransitionSvdConfig {
    /// Seed of the random start of the SVD.
    pub seed: u64,
    /// Furthest distance of two items of a sequence that count as a pair. Range `1..`.
    #[serde(default = "defaults::window")]
    pub window: usize,
    /// Exponent by which popularity is divided out. Range `[0, 1]`.
    #[serde(default = "defaults::damping")]
    pub damping: f64,
    /// Width `D` of the vectors. Range `1..=65536`.
    #[serde(default = "defaults::dimensions")]
    pub dimensions: usize,
    /// Random directions beyond `D` that the SVD works with.
    #[serde(default = "defaults::oversampling")]
    pub oversampling: usize,
    /// Products with the matrix that sharpen the random directions.
    #[serde(default = "defaults::power_iterations")]
    pub power_iterations: usize,
}

mod defaults {
    pub(super) const fn window() -> usize {
        8
    }

    pub(super) const fn damping() -> f64 {
        0.5
    }

    pub(super) const fn dimensions() -> usize {
        64
    }

    pub(super) const fn oversampling() -> usize {
        32
    }

    pub(super) const fn power_iterations() -> usize {
        8
    }
}

impl TransitionSvdConfig {
    /// Window 8, damping 0.5, 64 dimensions; 32 further directions and 8 products.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            window: defaults::window(),
            damping: defaults::damping(),
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

    /// Sets [`damping`](Self::damping).
    #[must_use]
    pub const fn with_damping(mut self, damping: f64) -> Self {
        self.damping = damping;
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

/// Checked settings of [`TransitionVectors`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TransitionSvdConfig", into = "TransitionSvdConfig")]
pub struct TransitionSvd(TransitionSvdConfig);

impl TransitionSvd {
    /// The settings, as a file spells them.
    #[must_use]
    pub const fn config(&self) -> &TransitionSvdConfig {
        &self.0
    }
}

impl TryFrom<TransitionSvdConfig> for TransitionSvd {
    type Error = VectorError;

    fn try_from(config: TransitionSvdConfig) -> Result<Self, VectorError> {
        let refuse = |field, found, needed| Err(VectorError::Setting { field, found, needed });
        if config.window == 0 {
            return refuse("window", 0.0, "a distance of at least 1");
        }
        if !(1..=MAX_DIMENSIONS).contains(&config.dimensions) {
            return refuse("dimensions", config.dimensions as f64, "a number in [1, 65536]");
        }
        if !(0.0..=1.0).contains(&config.damping) {
            return refuse("damping", config.damping, "a number in [0, 1]");
        }
        Ok(Self(config))
    }
}

impl From<TransitionSvd> for TransitionSvdConfig {
    fn from(settings: TransitionSvd) -> Self {
        settings.0
    }
}

/// Collaborative vectors of all items, from items that occur close to each other: rows of length 1
/// or 0.
///
/// ```text
/// W[i,j] = X[i,j] · ((pop_i + 1)(pop_j + 1))^−damping     X[i,j] = Σ 1/|s-t|, i ≠ j, |s-t| ≤ window
/// W ≈ U diag(λ) Uᵀ           the D eigenvalues of largest |λ|
/// v[i] = U[i] sqrt(|λ|)      then divided by its L2 norm
/// ```
/// These are the weights of an [`ItemTransition`](crate::ItemTransition) with `backward` 1, so that
/// an item is near those that come before or after the same others. Solver, seeds and zero rows are
/// those of [`PpmiVectors`](crate::PpmiVectors). The difference is that frequent pairs count in
/// full, not by their logarithm.
///
/// ```
/// use sidereal_baselines::{TransitionSvd, TransitionSvdConfig, TransitionVectors};
/// use sidereal_sid::ItemId;
///
/// // Two users bought 0 and 1 together, two others 2 and 3; nobody bought 4.
/// let sequences = [[0, 1], [1, 0], [2, 3], [3, 2]].map(|s| s.map(ItemId));
/// let settings = TransitionSvd::try_from(TransitionSvdConfig::new(7).with_dimensions(4))?;
/// let vectors = TransitionVectors::fit(&settings, 5, &sequences)?.into_vectors(); // [5, 4]
/// assert!((vectors.row(0).dot(&vectors.row(0)) - 1.0).abs() < 1e-6);
/// assert!(vectors.row(0).dot(&vectors.row(2)).abs() < 1e-6);
/// assert!(vectors.row(4).iter().all(|x| *x == 0.0));
/// # Ok::<(), sidereal_baselines::VectorError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionVectors {
    vectors: Array2<f32>,
    singular_values: Vec<f64>,
}

impl TransitionVectors {
    /// The vectors of items `0..num_items`.
    ///
    /// For a leave-one-out test, pass only the training parts of the sequences.
    ///
    /// # Shapes
    /// - `sequences`: each earliest first, of any length; vectors are `[N, D]`
    ///
    /// # Errors
    /// [`VectorError::Item`] for an item that is not below `num_items`, [`VectorError::NumItems`] if
    /// `num_items` exceeds 2³², [`VectorError::Linalg`].
    pub fn fit<Q: AsRef<[ItemId]>>(
        settings: &TransitionSvd,
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, VectorError> {
        check_items(num_items, sequences)?;
        let config = settings.config();
        let mut counts = vec![0.0; num_items];
        for item in sequences.iter().flat_map(AsRef::as_ref) {
            counts[item.index()] += 1.0;
        }
        let factors: Vec<f64> =
            counts.into_iter().map(|count: f64| (count + 1.0).powf(-config.damping)).collect();
        let rows = co_occurrences(sequences, num_items, config.window);
        let matrix = SparseRows::collect(rows, |i, j, x| {
            (i != j).then(|| x * factors[i.index()] * factors[j.index()])
        });
        let effort = Effort {
            seed: config.seed,
            dimensions: config.dimensions,
            oversampling: config.oversampling,
            power_iterations: config.power_iterations,
        };
        let (vectors, singular_values) = spectral::unit_vectors(&matrix, effort)?;
        Ok(Self { vectors, singular_values })
    }

    /// The vectors `[N, D]`, item after item.
    #[must_use]
    pub fn vectors(&self) -> ArrayView2<'_, f32> {
        self.vectors.view()
    }

    /// The vectors `[N, D]`, item after item.
    #[must_use]
    pub fn into_vectors(self) -> Array2<f32> {
        self.vectors
    }

    /// Leading singular values of `W`, largest first: `D`, or fewer if its rank is lower.
    #[must_use]
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }
}
