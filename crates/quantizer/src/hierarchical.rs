//! Hierarchical k-means: clusters within clusters, each of bounded size, then a leaf number.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, Code, SemanticId, SidSpec};

use crate::capped::capped_codes;
use crate::kmeans::{Limits, lloyd_with};
use crate::rows::{Residuals, check, distance};
use crate::{Balance, Init, QuantizerError};

/// Settings of hierarchical k-means, as a file or a caller spells them; [`fit`](Self::fit) checks them.
///
/// As TOML; all but `levels` and `seed` may be left out:
///
/// ```toml
/// seed = 7
/// levels = [{ codes = 256, capacity = 1.25 }, { codes = 8, capacity = 1.5 }]
/// max_iterations = 20
/// tolerance = 1e-4
/// init = "k-means-plus-plus"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HierarchicalKMeansParams {
    /// Seed of every random choice.
    pub seed: u64,
    /// The levels of clusters, coarsest first, without the leaf number.
    pub levels: Vec<HierarchyLevel>,
    /// Largest number of iterations of one k-means run. Range `1..`.
    #[serde(default = "default_max_iterations")]
    pub max_iterations: usize,
    /// A run ends once three iterations in a row lower the squared error by no more than this share of
    /// it. Range `0..`.
    #[serde(default = "default_tolerance")]
    pub tolerance: f64,
    /// Choice of the first centroids.
    #[serde(default)]
    pub init: Init,
}

/// One level of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HierarchyLevel {
    /// Clusters within each cluster of the level before, `K`. Range `1..=65536`.
    pub codes: usize,
    /// Largest size of a cluster, as a multiple of the mean. Range `[1, ∞)`: 1 is as equal as can be,
    /// ∞ (`inf` in TOML) bounds nothing.
    pub capacity: f64,
}

const fn default_max_iterations() -> usize {
    20
}

const fn default_tolerance() -> f64 {
    1e-4
}

/// Codes of a hierarchy of clusters of bounded size.
///
/// ```text
/// level 1:      k-means of all rows into K_1 clusters, of at most ⌈capacity_1 · N / K_1⌉ rows each
/// level l + 1:  k-means of the n rows of each cluster into min(K, n), of at most ⌈capacity · n / min(K, n)⌉
/// leaf:         the rows of each last cluster, numbered from the nearest to its centre outwards
/// ```
/// Unlike [residual k-means](crate::RqKMeans), every cluster has centroids of its own: a code has a
/// meaning only below its prefix, so there are no codebooks. Every row has a Semantic ID of its own. A
/// row whose nearest cluster is full goes to the nearest cluster that has room. Rows that are nearer
/// come first.
///
/// Equal settings give equal codes on the same kind of processor, whatever the number of threads.
///
/// ```
/// use ndarray::Array2;
/// use sidereal_quantizer::{HierarchicalKMeansParams, QualityReport};
///
/// let rows = Array2::from_shape_fn((60, 8), |(i, d)| ((i * 7 + d * d * i) % 13) as f32);
/// let model = HierarchicalKMeansParams::new([(5, 1.25), (3, 1.5)], 7).fit(rows.view())?;
/// assert_eq!(model.sizes()[..2], [5, 3]); // and the leaf numbers' size
/// let catalog = model.catalog()?;
/// assert_eq!(catalog.num_sids(), 60);
/// println!("{}", QualityReport::from_catalog(&catalog));
/// # Ok::<(), sidereal_quantizer::QuantizerError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HierarchicalKMeans {
    codes: Array2<Code>,
    sizes: Vec<usize>,
    squared_errors: Vec<f64>,
}

impl HierarchicalKMeansParams {
    /// Settings of levels of `(codes, capacity)`, coarsest first; at most 20 iterations, tolerance 1e-4,
    /// k-means++.
    #[must_use]
    pub fn new(levels: impl IntoIterator<Item = (usize, f64)>, seed: u64) -> Self {
        let level = |(codes, capacity)| HierarchyLevel { codes, capacity };
        Self {
            seed,
            levels: levels.into_iter().map(level).collect(),
            max_iterations: default_max_iterations(),
            tolerance: default_tolerance(),
            init: Init::default(),
        }
    }

    /// Sets [`max_iterations`](Self::max_iterations).
    #[must_use]
    pub const fn with_max_iterations(mut self, max_iterations: usize) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Sets [`tolerance`](Self::tolerance).
    #[must_use]
    pub const fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Sets [`init`](Self::init).
    #[must_use]
    pub const fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    fn check(&self) -> Result<(), QuantizerError> {
        SidSpec::new(self.levels.iter().map(|level| level.codes).collect(), 0)?;
        if self.max_iterations == 0 {
            return Err(QuantizerError::MaxIterations);
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(QuantizerError::Tolerance { found: self.tolerance });
        }
        match self.levels.iter().find(|level| level.capacity.is_nan() || level.capacity < 1.0) {
            Some(level) => Err(QuantizerError::Setting {
                setting: "capacity",
                needed: "a number of at least 1",
                found: level.capacity.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Clusters `rows`, level by level.
    ///
    /// # Shapes
    /// - `rows`: `[N, D]`
    ///
    /// # Errors
    /// [`QuantizerError::Sizes`], [`QuantizerError::MaxIterations`], [`QuantizerError::Tolerance`] and
    /// [`QuantizerError::Setting`] for settings out of their ranges; [`QuantizerError::EmptyMatrix`] and
    /// [`QuantizerError::NotFinite`] for such rows; [`QuantizerError::Crowded`] if a last cluster has
    /// more than 65,536 rows.
    pub fn fit(&self, rows: ArrayView2<'_, f32>) -> Result<HierarchicalKMeans, QuantizerError> {
        self.check()?;
        check(&rows)?;
        let mut clusters = vec![Cluster { rows: (0..rows.nrows()).collect(), centre: Vec::new() }];
        let mut codes = Array2::zeros((rows.nrows(), self.levels.len() + 1));
        let mut squared_errors = Vec::new();
        for (level, settings) in self.levels.iter().enumerate() {
            let split: Vec<(Vec<Cluster>, f64)> = clusters
                .par_iter()
                .enumerate()
                .map(|(index, cluster)| {
                    let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                    rng.set_stream(((level as u64) << 32) + index as u64);
                    self.split(rows, cluster, *settings, &mut rng)
                })
                .collect();
            squared_errors.push(split.iter().map(|(_, error)| error).sum());
            for (code, cluster) in
                split.iter().flat_map(|(parts, _)| (0..).map(Code::try_from).zip(parts))
            {
                let code: Code = code.unwrap_or(Code::MAX); // the spec's sizes have room for it
                cluster.rows.iter().for_each(|row| codes[[*row, level]] = code);
            }
            let parts = split.into_iter().flat_map(|(parts, _)| parts);
            clusters = parts.filter(|cluster| !cluster.rows.is_empty()).collect();
        }
        let mut sizes: Vec<usize> = self.levels.iter().map(|level| level.codes).collect();
        sizes.push(number_leaves(rows, &clusters, &mut codes)?);
        Ok(HierarchicalKMeans { codes, sizes, squared_errors })
    }

    /// The clusters within a cluster, and their squared error.
    fn split(
        &self,
        rows: ArrayView2<'_, f32>,
        cluster: &Cluster,
        level: HierarchyLevel,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<Cluster>, f64) {
        let count = cluster.rows.len();
        let codes = level.codes.min(count);
        let capacity = capacity(level.capacity, count, codes);
        let own = rows.select(Axis(0), &cluster.rows);
        let own = Residuals { matrix: own.view(), before: &[] };
        let first = self.init.centroids(&own, codes, rng);
        let limits = Limits {
            balance: Balance::None,
            max_iterations: self.max_iterations,
            tolerance: self.tolerance,
        };
        let assign = |table: &_, _| capped_codes(&own, table, capacity);
        let run = lloyd_with(&own, first, limits, true, assign, |_, _| ControlFlow::Continue(()));
        let Some(run) = run else { return (Vec::new(), 0.0) }; // the observer above never stops it
        let centres = run.table.values.chunks_exact(run.table.width);
        let mut parts: Vec<Cluster> =
            centres.map(|centre| Cluster { rows: Vec::new(), centre: centre.to_vec() }).collect();
        for (row, code) in cluster.rows.iter().zip(&run.codes) {
            parts[*code as usize].rows.push(*row);
        }
        (parts, run.inertia)
    }
}

/// Largest number of rows of a cluster: `⌈capacity · rows / codes⌉`, and no more than there are.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number between 1 and the number of rows"
)]
fn capacity(capacity: f64, rows: usize, codes: usize) -> usize {
    // A multiple that is a whole number must not be rounded up for its last bit.
    let most = (capacity * rows as f64 / codes as f64 - 1e-9).ceil();
    (most.min(rows as f64) as usize).max(rows.div_ceil(codes))
}

/// Rows that share a prefix.
struct Cluster {
    rows: Vec<usize>,
    /// Their mean.
    centre: Vec<f32>,
}

/// Numbers the rows of each cluster from its centre outwards, ties by row, in the last column of
/// `codes`; returns the largest cluster's size.
fn number_leaves(
    rows: ArrayView2<'_, f32>,
    clusters: &[Cluster],
    codes: &mut Array2<Code>,
) -> Result<usize, QuantizerError> {
    let last = codes.ncols() - 1;
    let mut largest = 1;
    for cluster in clusters {
        let found = cluster.rows.len();
        largest = largest.max(found);
        let mut order: Vec<(f64, usize)> = cluster
            .rows
            .iter()
            .map(|row| (distance(&rows.row(*row).to_vec(), &cluster.centre), *row))
            .collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (number, (_, row)) in order.into_iter().enumerate() {
            codes[[row, last]] = Code::try_from(number).map_err(|_| QuantizerError::Crowded {
                sid: SemanticId::new(codes.row(row).iter().take(last).copied().collect::<Vec<_>>())
                    .to_string(),
                found,
                most: usize::from(Code::MAX) + 1,
            })?;
        }
    }
    Ok(largest)
}

impl HierarchicalKMeans {
    /// Codes `[N, L + 1]` of the rows, the leaf number last.
    #[must_use]
    pub const fn codes(&self) -> &Array2<Code> {
        &self.codes
    }

    /// Number of codes of each level, `[L + 1]`; the last is that of the largest leaf number plus 1,
    /// which is the size of the largest cluster of the last level.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Squared error `Σ ‖x - centre‖²` of the clusters of each level, `[L]`.
    #[must_use]
    pub fn squared_errors(&self) -> &[f64] {
        &self.squared_errors
    }

    /// The catalogue in which item `i` is row `i`; the leaf number is an ordinary last level.
    ///
    /// # Errors
    /// [`QuantizerError::Sizes`] for more levels than a Semantic ID may have.
    pub fn catalog(&self) -> Result<Catalog, QuantizerError> {
        let spec = SidSpec::new(self.sizes.clone(), 0)?;
        let sids = self.codes.rows().into_iter().map(|row| row.iter().copied().collect());
        Ok(Catalog::new(spec, sids.collect())?)
    }
}
