//! Codes of two streams: clusters of what items are, and clusters of who chooses them.

use ndarray::{ArrayView2, Axis, concatenate};
use sidereal_baselines::VectorError;
use sidereal_quantizer::QualityReport;
use sidereal_sid::{Catalog, SidSpec};
use sidereal_train::Observer;

use crate::error::LabError;
use crate::recipe::two_streams::TwoStreamsConfig;

/// The vectors of the two streams, each `[N, D]` with a width of its own.
pub(crate) struct Streams<'a> {
    /// What the items are: sentence vectors.
    pub(crate) meaning: ArrayView2<'a, f32>,
    /// Who chooses them, and with what: collaborative vectors of the training events.
    pub(crate) behaviour: ArrayView2<'a, f32>,
}

/// A separate Semantic ID for every item, and the quality of the codes.
///
/// ```text
/// sid(item) = path of the item in a tree over `meaning`  ⊕  its path in a tree over `behaviour`
/// ```
/// Both trees are hierarchical k-means with `codebook_sizes` clusters within clusters and a number for the items of
/// each last cluster. EAGER-LLM: Hong and others, [arXiv:2502.14735](https://arxiv.org/abs/2502.14735), its
/// dual-source item indices, with the order of the authors' code: meaning first. Deviations: the tree of the authors'
/// code ends in clusters of one item, this one in a number that counts from the centre of the last cluster outwards;
/// the behaviour vectors there are those of a trained DIN.
pub(crate) fn ids(
    config: &TwoStreamsConfig,
    codebook_sizes: &[usize],
    streams: &Streams<'_>,
    seed: u64,
    observer: &mut dyn Observer,
) -> Result<(Catalog, QualityReport), LabError> {
    let (mut sizes, mut codes) = (Vec::new(), Vec::new());
    for (done, vectors) in [streams.meaning, streams.behaviour].into_iter().enumerate() {
        observer.on_progress("quantize", "streams", done, 2);
        let params = config.params(codebook_sizes, vectors.nrows(), seed);
        let tree = params.fit(vectors)?;
        sizes.extend_from_slice(tree.sizes());
        codes.push(tree.codes().clone());
    }
    observer.on_progress("quantize", "streams", 2, 2);
    let views: Vec<_> = codes.iter().map(ndarray::ArrayBase::view).collect();
    let codes = concatenate(Axis(1), &views).map_err(VectorError::from)?; // [N, 2 · (L + 1)]
    let sids = codes.rows().into_iter().map(|row| row.iter().copied().collect()).collect();
    let catalog = Catalog::new(SidSpec::new(sizes, 0)?, sids)?;
    let quality = QualityReport::from_catalog(&catalog);
    Ok((catalog, quality))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Items in a grid of meanings and behaviours that have nothing to do with each other.
    #[test]
    fn each_stream_tells_its_own_clusters_apart_and_every_item_has_an_id_of_its_own() {
        let (kinds, habits, each) = (4usize, 3usize, 5usize);
        let num_items = kinds * habits * each;
        let kind = |item: usize| item % kinds;
        let habit = |item: usize| (item / kinds) % habits;
        let near = |is: bool, item: usize| f32::from(u8::from(is)) + 1e-3 * (item % 7) as f32;
        let meaning =
            Array2::from_shape_fn((num_items, kinds), |(item, d)| near(kind(item) == d, item));
        let behaviour =
            Array2::from_shape_fn((num_items, habits), |(item, d)| near(habit(item) == d, item));
        let of = |meaning: &Array2<f32>, behaviour: &Array2<f32>| {
            let streams = Streams { meaning: meaning.view(), behaviour: behaviour.view() };
            // Not balanced: as many clusters as there are kinds in one stream are more than the habits of the other.
            let config = TwoStreamsConfig { capacity: 2.0, ..TwoStreamsConfig::default() };
            ids(&config, &[3], &streams, 7, &mut |_: &sidereal_train::Record| {}).unwrap().0
        };
        let catalog = of(&meaning, &behaviour);
        assert_eq!((catalog.num_sids(), catalog.spec().num_levels()), (num_items, 4));
        let code = |item: usize, level: usize| catalog.sids()[item].codes()[level];
        for a in 0..num_items {
            for b in 0..num_items {
                // Three codes tell the three habits apart, and items of one kind are never parted.
                assert_eq!(code(a, 2) == code(b, 2), habit(a) == habit(b), "{a} {b}");
                assert!(kind(a) != kind(b) || code(a, 0) == code(b, 0), "{a} {b}");
            }
        }
        // What one stream says depends on its own vectors alone.
        let other = of(&meaning, &behaviour.map(|value| 1.0 - value));
        for item in 0..num_items {
            assert_eq!(other.sids()[item].codes()[..2], catalog.sids()[item].codes()[..2]);
        }
    }
}
