//! The codes of all items, whatever made them.

use ndarray::Array2;
use sidereal_quantizer::{Codebooks, Collisions, QualityReport, QuantizerError};
use sidereal_sid::{Catalog, Code};

/// Items as codes.
pub(crate) struct Quantized {
    pub(crate) codebooks: Codebooks,
    /// What the codebooks are of, `[N, D]`: the item vectors, or latent ones.
    pub(crate) rows: Array2<f32>,
    /// `[N, L]`.
    pub(crate) codes: Array2<Code>,
}

impl Quantized {
    /// How good the codes are, before collisions are resolved.
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
