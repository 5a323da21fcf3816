//! How the codes of one level are used.

use serde::{Deserialize, Serialize};
use sidereal_sid::Code;

/// One level of a [`QualityReport`](crate::QualityReport).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LevelQuality {
    /// Number of codes `K`.
    pub codebook_size: usize,
    /// Number of codes that some item has.
    pub used: usize,
    /// `used / K`, in `[0, 1]`.
    pub usage: f64,
    /// Entropy of the codes' shares of the items that reach this level, in nats: `ln K` if even.
    pub entropy: f64,
    /// `exp(entropy)`: the number of evenly used codes that would be as uncertain.
    pub perplexity: f64,
    /// Gini coefficient of the codes' item counts, unused codes included: 0 if even, `1 - 1 / K`
    /// if one code has all.
    pub gini: f64,
    /// Distinct prefixes that end at this level.
    pub num_prefixes: usize,
    /// Mean number of distinct codes at this level below one prefix of the level before.
    pub mean_fan_out: f64,
    /// Largest number of distinct codes at this level below one prefix of the level before.
    pub max_fan_out: usize,
    /// Mean over items of the squared error that is left after this level; `None` for a suffix or
    /// slot, or without embeddings.
    pub squared_error: Option<f64>,
    /// Share of an item's nearest neighbours, by embedding, that have its codes up to this level;
    /// mean over items. `None` if [`with_neighbours`](crate::QualityReport::with_neighbours) was
    /// not called.
    pub neighbour_agreement: Option<f64>,
    /// The same share for two items drawn at random: the agreement by chance.
    pub chance_agreement: Option<f64>,
    /// `squared_error` as a share of the variance of the embeddings, `Σ‖x - x̂‖² / Σ‖x - x̄‖²`;
    /// also `None` if they have no variance.
    pub relative_error: Option<f64>,
}

/// `order` holds the items' codes in lexicographic order; a shorter one never reaches `level`.
pub(super) fn level_quality(order: &[&[Code]], level: usize, size: usize) -> LevelQuality {
    let mut counts = vec![0usize; size];
    let reaching = order.iter().filter(|sid| sid.len() > level);
    for sid in reaching.clone() {
        counts[usize::from(sid[level])] += 1;
    }
    let total: usize = counts.iter().sum();
    let entropy = -counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| *count as f64 / total as f64)
        .map(|share| share * share.ln())
        .sum::<f64>();
    let used = counts.iter().filter(|count| **count > 0).count();
    let reaching: Vec<&[Code]> = reaching.copied().collect();
    let fan_outs: Vec<usize> = reaching
        .chunk_by(|a, b| a[..level] == b[..level])
        .map(|family| family.chunk_by(|a, b| a[level] == b[level]).count())
        .collect();
    let num_prefixes: usize = fan_outs.iter().sum();
    LevelQuality {
        codebook_size: size,
        used,
        usage: used as f64 / size as f64,
        entropy: entropy.max(0.0),
        perplexity: entropy.max(0.0).exp(),
        gini: gini(counts),
        num_prefixes,
        mean_fan_out: if fan_outs.is_empty() {
            0.0
        } else {
            num_prefixes as f64 / fan_outs.len() as f64
        },
        // Without prefixes nothing fans out.
        max_fan_out: fan_outs.into_iter().max().unwrap_or(0),
        squared_error: None,
        neighbour_agreement: None,
        chance_agreement: None,
        relative_error: None,
    }
}

/// `Σ_i (2 i - K - 1) x_(i) / (K Σ x)` over ascending counts; 0 without items.
fn gini(mut counts: Vec<usize>) -> f64 {
    counts.sort_unstable();
    let size = counts.len() as f64;
    let total: usize = counts.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let weighted: f64 = (1..)
        .zip(&counts)
        .map(|(rank, count)| (2.0 * f64::from(rank) - size - 1.0) * *count as f64)
        .sum();
    weighted / (size * total as f64)
}
