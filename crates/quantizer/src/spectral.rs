//! Collaborative Semantic IDs: spectral clusters of co-occurring items, within clusters.

mod cluster_qr;
mod embedding;
mod graph;

use linfa_linalg::LinalgError;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, Code, ItemId, SemanticId, SidSpec};

use self::graph::{Graph, Normalised};
use crate::QuantizerError;

/// Settings of collaborative Semantic IDs; [`fit`](Self::fit) checks them.
///
/// As TOML; `regulariser` may be left out:
///
/// ```toml
/// seed = 7
/// codebook_sizes = [20, 20, 20]
/// largest = 500
/// regulariser = 0.0
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SpectralParams {
    /// Seed of every random choice: the start of the search for eigenvectors, on which they do not depend.
    pub seed: u64,
    /// Most clusters within a cluster of each level, coarsest first, without the leaf number. Their number
    /// is the most times that a cluster is divided.
    pub codebook_sizes: Vec<usize>,
    /// A cluster of more items is divided again. Range `1..`.
    pub largest: usize,
    /// Weight that is spread evenly over all pairs of items, as a multiple of the mean degree. Range
    /// `[0, ∞)`.
    #[serde(default)]
    pub regulariser: f64,
}

/// Codes by which items that the same users chose share their first codes.
///
/// ```text
/// A[i, j] = number of sequences that hold both item i and item j
/// level l:  the items of each cluster of more than `largest` items are divided into K_l clusters:
///           eigenvectors of the K_l largest eigenvalues of D^(−1/2) A D^(−1/2), A and D of these items,
///           each row divided by √D, then clusters by QR with column pivoting
/// leaf:     the items of each last cluster, numbered in the order of the catalogue
/// ```
/// P5-CID: Hua, Xu, Ge and Zhang, *How to Index Item IDs for Recommendation Foundation Models*,
/// [arXiv:2305.06569](https://arxiv.org/abs/2305.06569), section 4 (collaborative indexing), with the
/// clustering of the authors' code (scikit-learn's `SpectralClustering`, `assign_labels="cluster_qr"`).
///
/// Deviations:
/// - All Semantic IDs have the same number of codes. A cluster that is small enough earlier has code 0 at
///   the levels that it does not need; a level that no cluster needs is left out.
/// - A cluster is divided at most `codebook_sizes.len()` times. What is left may have more than `largest`
///   items; [`num_crowded`](Spectral::num_crowded) counts them.
/// - A connected component of a cluster that has at most `largest` items stays whole, and goes to the smallest
///   part so far, large ones first. So do all components if more of them are larger than there are parts.
///   Eigenvectors alone put such items anywhere.
/// - The authors' code keeps only one of the two orders in which a pair occurs; here both count, as in the
///   paper.
/// - `regulariser` is ours (Amini, Chen, Bickel and Levina, Ann. Statist. 41 (2013) 2097): above 0 it
///   prevents clusters of a few items that hang together by one user. 0 is the paper's graph.
///
/// Equal settings give equal codes on the same kind of processor, whatever the number of threads. The time
/// of counting is quadratic in the length of a sequence.
///
/// ```
/// use sidereal_quantizer::SpectralParams;
/// use sidereal_sid::ItemId;
///
/// // Users choose items 0 to 3, or items 4 to 7.
/// let sequences = [[0, 1, 2, 3], [4, 5, 6, 7]].map(|items| items.map(ItemId).to_vec());
/// let model = SpectralParams::new([2], 4, 7).fit(8, &sequences)?;
/// assert_eq!(model.sizes(), [2, 4]); // two clusters, four leaf numbers
/// assert_eq!(model.codes()[[0, 0]], model.codes()[[3, 0]]);
/// assert_ne!(model.codes()[[0, 0]], model.codes()[[4, 0]]);
/// assert_eq!(model.catalog()?.num_sids(), 8);
/// # Ok::<(), sidereal_quantizer::QuantizerError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Spectral {
    codes: Array2<Code>,
    sizes: Vec<usize>,
    num_crowded: usize,
}

impl SpectralParams {
    /// Settings of the paper's graph: clusters of more than `largest` items are divided.
    #[must_use]
    pub fn new(codebook_sizes: impl Into<Vec<usize>>, largest: usize, seed: u64) -> Self {
        Self { seed, codebook_sizes: codebook_sizes.into(), largest, regulariser: 0.0 }
    }

    /// Sets [`regulariser`](Self::regulariser).
    #[must_use]
    pub const fn with_regulariser(mut self, regulariser: f64) -> Self {
        self.regulariser = regulariser;
        self
    }

    fn check(&self) -> Result<(), QuantizerError> {
        SidSpec::new(self.codebook_sizes.clone(), 0)?;
        if self.largest == 0 {
            let (setting, needed, found) = ("largest", "at least 1", "0".to_owned());
            return Err(QuantizerError::Setting { setting, needed, found });
        }
        if !(self.regulariser >= 0.0 && self.regulariser.is_finite()) {
            return Err(QuantizerError::Setting {
                setting: "regulariser",
                needed: "a finite number, 0 or more",
                found: self.regulariser.to_string(),
            });
        }
        Ok(())
    }

    /// Clusters the items `0..num_items` by the sequences that they occur in.
    ///
    /// # Errors
    /// [`QuantizerError::Sizes`] and [`QuantizerError::Setting`] for settings out of their ranges;
    /// [`QuantizerError::EmptyMatrix`] without items; [`QuantizerError::Item`] for an item outside the
    /// catalogue; [`QuantizerError::Eigenvectors`] if those of a cluster are not found;
    /// [`QuantizerError::Crowded`] if a last cluster has more than 65,536 items.
    pub fn fit<S: AsRef<[ItemId]>>(
        &self,
        num_items: usize,
        sequences: &[S],
    ) -> Result<Spectral, QuantizerError> {
        self.check()?;
        if num_items == 0 {
            return Err(QuantizerError::EmptyMatrix { rows: 0, columns: 0 });
        }
        let graph = Graph::of_sequences(num_items, sequences)?;
        let mut clusters: Vec<Vec<usize>> = vec![(0..num_items).collect()];
        let mut levels: Vec<(usize, Vec<Code>)> = Vec::new();
        for (level, size) in self.codebook_sizes.iter().copied().enumerate() {
            let parts = clusters
                .par_iter()
                .enumerate()
                .map(|(index, cluster)| {
                    let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                    rng.set_stream(((level as u64) << 32) + index as u64);
                    self.divided(&graph, cluster, size, &mut rng)
                        .map_err(|source| QuantizerError::Eigenvectors { level, source })
                })
                .collect::<Result<Vec<_>, QuantizerError>>()?;
            if parts.iter().all(|parts| parts.len() == 1) {
                break;
            }
            let mut codes: Vec<Code> = vec![0; num_items];
            for (code, part) in parts.iter().flat_map(|parts| (0..).zip(parts)) {
                for item in part {
                    codes[*item] = code;
                }
            }
            levels.push((size, codes));
            clusters = parts.into_iter().flatten().collect();
        }
        self.numbered(&clusters, levels)
    }

    /// The parts of a cluster, at most `size` and none empty: the cluster itself if it is small enough or
    /// cannot be divided.
    fn divided(
        &self,
        graph: &Graph,
        cluster: &[usize],
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<usize>>, LinalgError> {
        if cluster.len() <= self.largest {
            return Ok(vec![cluster.to_vec()]);
        }
        let own = graph.among(cluster);
        let mut parts = vec![Vec::new(); size.min(cluster.len())];
        // Nodes of `own`, components largest first.
        let components = own.components();
        let large = components.iter().filter(|nodes| nodes.len() > self.largest).count();
        // More large components than parts have no eigenvectors that tell them all apart.
        let divided = if large > parts.len() { 0 } else { large };
        let mut whole = components[divided..].to_vec();
        if divided > 0 {
            let mut nodes = components[..divided].concat();
            nodes.sort_unstable();
            let matrix = own.among(&nodes);
            let places = embedding::places(&Normalised::new(&matrix, self.regulariser), size, rng)?;
            for (node, label) in nodes.into_iter().zip(cluster_qr::clusters(&places)?) {
                match label.and_then(|label| parts.get_mut(label)) {
                    Some(part) => part.push(cluster[node]),
                    None => whole.push(vec![node]),
                }
            }
        }
        for nodes in whole {
            if let Some(smallest) = parts.iter_mut().min_by_key(|part| part.len()) {
                smallest.extend(nodes.into_iter().map(|node| cluster[node]));
            }
        }
        for part in &mut parts {
            part.sort_unstable();
        }
        parts.retain(|part| !part.is_empty());
        Ok(parts)
    }

    /// The codes of the levels, and the numbers of the items of each last cluster.
    fn numbered(
        &self,
        clusters: &[Vec<usize>],
        levels: Vec<(usize, Vec<Code>)>,
    ) -> Result<Spectral, QuantizerError> {
        let num_items = clusters.iter().map(Vec::len).sum();
        let mut codes = Array2::zeros((num_items, levels.len() + 1));
        let mut sizes = Vec::with_capacity(levels.len() + 1);
        for (level, (size, of_items)) in levels.into_iter().enumerate() {
            sizes.push(size);
            for (item, code) in of_items.into_iter().enumerate() {
                codes[[item, level]] = code;
            }
        }
        let leaf = sizes.len();
        for cluster in clusters {
            for (number, item) in cluster.iter().enumerate() {
                codes[[*item, leaf]] = Code::try_from(number).map_err(|_| {
                    let prefix: Vec<Code> = codes.row(*item).iter().take(leaf).copied().collect();
                    QuantizerError::Crowded {
                        sid: SemanticId::new(prefix).to_string(),
                        found: cluster.len(),
                        most: usize::from(Code::MAX) + 1,
                    }
                })?;
            }
        }
        sizes.push(clusters.iter().map(Vec::len).max().unwrap_or(1));
        let crowded = clusters.iter().map(Vec::len).filter(|len| *len > self.largest);
        Ok(Spectral { codes, sizes, num_crowded: crowded.sum() })
    }
}

impl Spectral {
    /// Codes `[N, L + 1]` of the items, the leaf number last. `L` is the number of levels that are needed.
    #[must_use]
    pub const fn codes(&self) -> &Array2<Code> {
        &self.codes
    }

    /// Number of codes of each level, `[L + 1]`; the last is the size of the largest last cluster.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Number of items in last clusters of more than `largest` items.
    #[must_use]
    pub const fn num_crowded(&self) -> usize {
        self.num_crowded
    }

    /// The catalogue of the items; the leaf number is an ordinary last level.
    ///
    /// # Errors
    /// [`QuantizerError::Sizes`] for more levels than a Semantic ID may have.
    pub fn catalog(&self) -> Result<Catalog, QuantizerError> {
        let spec = SidSpec::new(self.sizes.clone(), 0)?;
        let sids = self.codes.rows().into_iter().map(|row| row.iter().copied().collect());
        Ok(Catalog::new(spec, sids.collect())?)
    }
}
