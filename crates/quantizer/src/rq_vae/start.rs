//! First values of the weights and the codebooks.

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, ArrayView2, Axis};
use rand::Rng;
use rand::seq::index;

use super::convert::{to_tensor, to_usize};
use super::layout::{Layout, Parameters};
use super::random::{Purpose, stream};
use crate::{Codebooks, QuantizerError, RqKMeans};

/// Iterations of k-means at most.
const ITERATIONS: usize = 25;
/// Rows of a codebook's k-means for each of its codes, at most.
const ROWS_PER_CODE: usize = 256;

/// Fills the encoder's and decoder's weights with uniform values of variance `2 / (in + out)`
/// (Glorot and Bengio 2010, eq. 16) and leaves biases and codebooks at zero.
#[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
pub(super) fn fill_weights(
    parameters: &mut Parameters,
    layout: &Layout,
    seed: u64,
) -> Result<(), QuantizerError> {
    let mut rng = stream(seed, Purpose::Weights, 0);
    let mut values = Vec::new();
    for entry in layout.entries() {
        let count = to_usize(entry.len())?;
        if entry.name.ends_with("weight") {
            let bound = (6.0 / entry.shape.iter().sum::<i64>() as f64).sqrt() as f32;
            values.extend((0..count).map(|_| rng.gen_range(-bound..bound)));
        } else {
            values.resize(values.len() + count, 0.0);
        }
    }
    parameters.flat.f_copy_(&tch::Tensor::f_from_slice(&values)?)?;
    Ok(())
}

/// Sets a codebook to the centroids of this crate's k-means on what the codebooks before it leave
/// of `latents` `[N, d]`, of which at most 256 for each code are drawn.
pub(super) fn fill_codebook(
    parameters: &mut Parameters,
    level: usize,
    before: Option<&Codebooks>,
    latents: &ArrayView2<'_, f32>,
    seed: u64,
) -> Result<(), QuantizerError> {
    let codebook = &mut parameters.codebooks[level];
    let size = to_usize(codebook.size()[0])?;
    let mut rng = stream(seed, Purpose::Codebook, level);
    let most = size.saturating_mul(ROWS_PER_CODE).min(latents.nrows());
    let mut chosen = index::sample(&mut rng, latents.nrows(), most).into_vec();
    chosen.sort_unstable();
    let mut rows: Array2<f32> = latents.select(Axis(0), &chosen);
    if let Some(before) = before {
        rows -= &before.decode(before.encode(rows.view())?.view())?;
    }
    let fitted = RqKMeans::params([size], rng.r#gen())
        .max_iterations(ITERATIONS)
        .fit(&DatasetBase::from(rows.view()))?;
    let Some(centroids) = fitted.codebooks().level(0) else { return Ok(()) };
    codebook.f_copy_(&to_tensor(&centroids, codebook.device())?)?;
    Ok(())
}

/// The cluster of each code of a codebook `[K, d]`, by this crate's k-means.
pub(super) fn clusters_of(
    codebook: &ArrayView2<'_, f32>,
    clusters: usize,
    seed: u64,
) -> Result<Vec<u16>, QuantizerError> {
    let fitted = RqKMeans::params([clusters.min(codebook.nrows())], seed)
        .max_iterations(ITERATIONS)
        .fit(&DatasetBase::from(codebook.view()))?;
    Ok(fitted.codes().iter().copied().collect())
}
