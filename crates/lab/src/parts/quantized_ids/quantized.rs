//! The codes of all items, for any method.

use ndarray::Array2;
use sidereal_quantizer::{Codebooks, Collisions, QualityReport, QuantizerError};
use sidereal_sid::{Catalog, Code};

/// The codes of the items.
pub(crate) struct Quantized {
    pub(crate) codebooks: Codebooks,
    /// The rows that the codebooks quantise, `[N, D]`: the item vectors, or latent vectors.
    pub(crate) rows: Array2<f32>,
    /// `[N, L]`.
    pub(crate) codes: Array2<Code>,
}

impl Quantized {
    /// The quality of the codes before collisions are resolved.
    pub(crate) fn quality(&self) -> Result<QualityReport, QuantizerError> {
        let codes = self.codes.view();
        QualityReport::from_codes(codes, &self.codebooks.sizes())?.with_reconstruction(
            &self.codebooks,
            self.rows.view(),
            codes,
        )
    }

    /// The Semantic IDs.
    pub(crate) fn catalog(&self, collisions: Collisions) -> Result<Catalog, QuantizerError> {
        collisions.catalog(&self.codebooks, self.rows.view(), self.codes.view())
    }
}
