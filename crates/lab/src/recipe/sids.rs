//! Item vectors and the Semantic IDs that are made of them: settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sidereal_quantizer::Balance;

use crate::error::LabError;
use crate::setting::check_counts;

/// Vectors from which Semantic IDs are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedConfig {
    /// Folder of the sentence encoder.
    pub encoder: PathBuf,
    /// Texts encoded together.
    pub batch_size: usize,
    /// Length of the collaborative part (PPMI vectors of the training sequences) beside the text
    /// part of length one; 0 leaves it out, and Semantic IDs speak of texts alone.
    pub collaborative_weight: f32,
    /// Dimensions of the collaborative part.
    pub collaborative_dimensions: usize,
}

/// Semantic IDs by residual k-means, unique by suffix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidConfig {
    /// Codes of each level.
    pub codebook_sizes: Vec<usize>,
    /// Most iterations a level.
    pub iterations: usize,
    /// Starts of a level, of which the best stays.
    pub restarts: usize,
    /// Whether codes are used evenly (SINGER app. B), `"per-level"` or `"per-parent"`.
    #[serde(default)]
    pub balance: Balance,
}

/// Refuses item vectors without Semantic IDs, which they serve alone, and Semantic IDs without vectors.
pub(crate) fn check(embed: Option<&EmbedConfig>, sids: Option<&SidConfig>) -> Result<(), LabError> {
    let (embed, sids) = match (embed, sids) {
        (Some(embed), Some(sids)) => (embed, sids),
        (None, None) => return Ok(()),
        (embed, _) => {
            let found = if embed.is_some() { "`embed` alone" } else { "`sids` alone" };
            let (field, found) = ("sids".to_owned(), found.to_owned());
            return Err(LabError::Setting { field, found, needed: "both or neither" });
        }
    };
    check_counts(&[
        ("embed.batch_size", embed.batch_size),
        ("sids.iterations", sids.iterations),
        ("sids.restarts", sids.restarts),
    ])?;
    let weight = embed.collaborative_weight;
    if !(weight >= 0.0 && weight.is_finite()) {
        let (field, found) = ("embed.collaborative_weight".to_owned(), weight.to_string());
        return Err(LabError::Setting { field, found, needed: "a number from 0" });
    }
    Ok(())
}
