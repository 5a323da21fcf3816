//! Settings of a policy that reads items.

use serde::{Deserialize, Serialize};

use crate::PolicyError;
use crate::config::unsupported;

/// Sizes of an [`ItemPolicy`](crate::ItemPolicy); its [`ItemFeatures`](crate::ItemFeatures) say
/// what its items have (text, categories).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemPolicyConfig {
    /// Width of all vectors, `D`. A multiple of the heads.
    pub hidden_size: usize,
    /// Layers of the body. Range `1..`.
    pub num_hidden_layers: usize,
    /// Heads of a layer, `H`. Range `1..`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Width of the small network that computes the state of a level.
    pub head_hidden_size: usize,
    /// Latest items of a history that are read. Range `1..`.
    pub max_history: usize,
    /// Share of the branch that smooths a history, in each layer, `α`. Range `[0, 1)`; without it (0) a layer has
    /// attention alone, as in folders that do not name it.
    #[serde(default)]
    pub filter_share: f64,
    /// Whether items of the history have learned weights of their own, by how many places back each was chosen
    /// last: users of some catalogues never choose an item again, those of others often. Without them, as in
    /// folders that do not say, such items compete like all others.
    #[serde(default)]
    pub repeats: bool,
    /// Added to the variance in layer normalisation.
    pub layer_norm_eps: f64,
}

impl Default for ItemPolicyConfig {
    /// The setting that did best on Beauty for its training time: two layers of width 64, two heads,
    /// histories of 50 items, half of a layer a filter.
    fn default() -> Self {
        Self {
            hidden_size: 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 256,
            head_hidden_size: 128,
            max_history: 50,
            filter_share: 0.5,
            repeats: false,
            layer_norm_eps: 1e-5,
        }
    }
}

impl ItemPolicyConfig {
    /// Accepts settings from which a policy can be built.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] names the field.
    pub fn check(&self) -> Result<(), PolicyError> {
        for (field, size) in [
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("head_hidden_size", self.head_hidden_size),
            ("max_history", self.max_history),
        ] {
            if !(1..1 << 24).contains(&size) {
                return Err(unsupported(field, size.to_string(), "1 to 2^24 - 1"));
            }
        }
        if !(1..=1024).contains(&self.num_hidden_layers) {
            let found = self.num_hidden_layers.to_string();
            return Err(unsupported("num_hidden_layers", found, "1 to 1024"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let found = self.hidden_size.to_string();
            return Err(unsupported("hidden_size", found, "a multiple of num_attention_heads"));
        }
        if !(0.0..1.0).contains(&self.filter_share) {
            return Err(unsupported("filter_share", self.filter_share.to_string(), "0 to below 1"));
        }
        let epsilon = self.layer_norm_eps;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(unsupported("layer_norm_eps", epsilon.to_string(), "above zero"));
        }
        Ok(())
    }
}
