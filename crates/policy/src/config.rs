//! Settings of a decoder, named as in HF `config.json`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::PolicyError;

/// Settings of a Qwen3 decoder, with the names of its `config.json`.
///
/// Reading refuses settings that this implementation does not follow (another architecture,
/// activation, rotary scaling, attention bias, sliding window) instead of ignoring them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Qwen3Config {
    /// Rows of the embedding, `V`.
    pub vocab_size: usize,
    /// Width of the residual stream, `D`.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads, `H`.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `H`.
    pub num_key_value_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Added to the mean square in RMS normalisation.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
}

impl Qwen3Config {
    /// Reads the `config.json` of a checkpoint directory.
    ///
    /// # Errors
    /// [`PolicyError::Io`], [`PolicyError::Json`] and [`PolicyError::Unsupported`].
    pub fn load(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = fs::read_to_string(&path)
            .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
        let json = |source| PolicyError::Json { path: path.clone(), source };
        let mut value: serde_json::Value = serde_json::from_str(&text).map_err(json)?;
        refuse_unsupported(&value)?;
        // Newer transformers nest the base: {"rope_parameters": {"rope_theta": 1e6, …}}.
        if value.get("rope_theta").is_none()
            && let Some(theta) = value.pointer("/rope_parameters/rope_theta").cloned()
        {
            value["rope_theta"] = theta;
        }
        let config: Self = serde_json::from_value(value).map_err(json)?;
        config.check()?;
        Ok(config)
    }

    /// The contents of a `config.json` that transformers reads as `Qwen3ForCausalLM`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "hidden_act": "silu",
            "attention_bias": false,
            "attention_dropout": 0.0,
            "use_sliding_window": false,
            "dtype": "float32",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
        })
    }

    /// Accepts settings from which a model can be built.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] names the field.
    pub fn check(&self) -> Result<(), PolicyError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if !(1..=1024).contains(&self.num_hidden_layers) {
            let found = self.num_hidden_layers.to_string();
            return Err(PolicyError::Unsupported {
                field: "num_hidden_layers",
                found,
                expected: "1 to 1024",
            });
        }
        for (field, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)]
        {
            if !(value.is_finite() && value > 0.0) {
                let found = value.to_string();
                return Err(PolicyError::Unsupported { field, found, expected: "above zero" });
            }
        }
        for (field, size) in sizes {
            if !(1..1 << 31).contains(&size) {
                let found = size.to_string();
                return Err(PolicyError::Unsupported { field, found, expected: "1 to 2^31 - 1" });
            }
        }
        if !self.head_dim.is_multiple_of(2) {
            let found = self.head_dim.to_string();
            return Err(PolicyError::Unsupported { field: "head_dim", found, expected: "even" });
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(PolicyError::Unsupported {
                field: "num_key_value_heads",
                found: self.num_key_value_heads.to_string(),
                expected: "a divisor of num_attention_heads",
            });
        }
        Ok(())
    }
}

/// Refuses what the implementation would otherwise silently compute differently.
fn refuse_unsupported(value: &serde_json::Value) -> Result<(), PolicyError> {
    use serde_json::Value::{Bool, Null};
    let supported: [(&'static str, &[serde_json::Value], &'static str); 6] = [
        ("model_type", &["qwen3".into()], "qwen3"),
        ("hidden_act", &["silu".into(), Null], "silu"),
        ("attention_bias", &[Bool(false), Null], "false"),
        ("use_sliding_window", &[Bool(false), Null], "false"),
        ("rope_scaling", &[Null], "null"),
        ("quantization_config", &[Null], "null"),
    ];
    for (field, accepted, expected) in supported {
        let found = value.get(field).unwrap_or(&Null);
        if !accepted.contains(found) {
            return Err(PolicyError::Unsupported { field, found: found.to_string(), expected });
        }
    }
    let layer_types = value.get("layer_types").and_then(serde_json::Value::as_array);
    if let Some(other) = layer_types.into_iter().flatten().find(|kind| **kind != "full_attention") {
        let found = other.to_string();
        return Err(PolicyError::Unsupported {
            field: "layer_types",
            found,
            expected: "full_attention",
        });
    }
    match value.pointer("/rope_parameters/rope_type") {
        None => Ok(()),
        Some(kind) if kind == "default" => Ok(()),
        Some(kind) => Err(PolicyError::Unsupported {
            field: "rope_parameters.rope_type",
            found: kind.to_string(),
            expected: "default",
        }),
    }
}
