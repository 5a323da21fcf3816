//! The sizes that all models with transformer layers check.

use crate::neural::NeuralError;
use crate::neural::attention::Sizes;
use crate::neural::error::need;

/// Sizes of a model with transformer layers, from its own settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransformerConfig {
    pub(crate) max_history: usize,
    pub(crate) hidden_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) inner_size: usize,
    pub(crate) dropout: f64,
    pub(crate) attention_dropout: f64,
}

/// Accepts sizes of which a model can be made.
///
/// # Errors
/// [`NeuralError::Setting`].
pub(crate) fn check_sizes(config: &TransformerConfig) -> Result<Sizes, NeuralError> {
    let TransformerConfig { hidden_size: hidden, heads, inner_size: inner, .. } = *config;
    for (field, count) in [
        ("max_history", config.max_history),
        ("hidden_size", hidden),
        ("layers", config.layers),
        ("heads", heads),
        ("inner_size", inner),
    ] {
        need(count > 0, field, 0.0, "1 or more")?;
    }
    need(hidden.is_multiple_of(heads), "hidden_size", hidden as f64, "a multiple of heads")?;
    check_share("dropout", config.dropout)?;
    check_share("attention_dropout", config.attention_dropout)?;
    let (dropout, attention_dropout) = (config.dropout, config.attention_dropout);
    Ok(Sizes { hidden, heads, inner, dropout, attention_dropout })
}

/// Accepts a share in `[0, 1)`.
///
/// # Errors
/// [`NeuralError::Setting`].
pub(crate) fn check_share(field: &'static str, share: f64) -> Result<(), NeuralError> {
    need((0.0..1.0).contains(&share), field, share, "a number in [0, 1)")
}
