//! Settings of a decoder, named as in HF `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::PolicyError;
use crate::checkpoint::read_config;

/// A family of decoders. They share one computation and differ in the places of biases and norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Architecture {
    /// Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: normalised queries and keys.
    Qwen3,
    /// Llama 2 and 3: neither.
    Llama,
}

impl Architecture {
    /// Name in `model_type`.
    #[must_use]
    pub const fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Llama => "llama",
        }
    }

    /// Name of the class in transformers.
    const fn class(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Llama => "LlamaForCausalLM",
        }
    }

    /// Whether each head's queries and keys are normalised before they turn.
    pub(crate) const fn normalises_heads(self) -> bool {
        matches!(self, Self::Qwen3)
    }
}

/// How Llama 3.1 and later stretch their rotary frequencies beyond the trained length.
///
/// With `λ` a frequency's wavelength and `P` the original length: frequencies with
/// `λ < P / high_freq_factor` stay, those with `λ > P / low_freq_factor` are divided by `factor`,
/// and between the two the divisor changes smoothly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Llama3Rope {
    /// Divisor of low frequencies.
    pub factor: f64,
    /// Bound of the frequencies that are divided.
    pub low_freq_factor: f64,
    /// Bound of the frequencies that stay.
    pub high_freq_factor: f64,
    /// Length that the model was first trained on, `P`.
    pub original_max_position_embeddings: usize,
}

/// Settings of a decoder, with the names of its `config.json`.
///
/// Settings that this implementation does not support (another architecture, activation, rotary
/// scaling, sliding window, biases in the feed-forward layer) are errors when the file is read;
/// they are not ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// The family.
    pub architecture: Architecture,
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
    /// Stretching of the rotary frequencies; `None` for none.
    pub rope_scaling: Option<Llama3Rope>,
    /// Whether queries, keys, values and the attention's output have biases. Qwen2 has those of the
    /// first three in any case.
    pub attention_bias: bool,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
}

/// The fields that are read as they are; the other settings depend on several fields.
#[derive(Deserialize)]
struct Plain {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl DecoderConfig {
    /// A Qwen3 decoder of two layers of width 16 that reads up to 64 tokens: small enough for a test.
    #[must_use]
    pub const fn tiny(vocab_size: usize) -> Self {
        Self {
            architecture: Architecture::Qwen3,
            vocab_size,
            hidden_size: 16,
            intermediate_size: 24,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 8,
            max_position_embeddings: 64,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: None,
            attention_bias: false,
            tie_word_embeddings: true,
        }
    }

    /// Reads the `config.json` of a checkpoint directory, or the settings of a GGUF file.
    ///
    /// # Errors
    /// [`PolicyError::Io`], [`PolicyError::Json`] and [`PolicyError::Unsupported`]; [`PolicyError::Gguf`] for a damaged
    /// GGUF file.
    pub fn load(dir: &Path) -> Result<Self, PolicyError> {
        let (value, path) = read_config(dir)?;
        let json = |source| PolicyError::Json { path: path.clone(), source };
        let architecture = architecture(&value)?;
        refuse_unsupported(&value)?;
        let (rope_theta, rope_scaling) = rope(&value).map_err(|error| match error {
            RopeError::Json(source) => json(source),
            RopeError::Unsupported(error) => error,
        })?;
        let plain: Plain = serde_json::from_value(value).map_err(json)?;
        let heads = plain.num_attention_heads;
        let config = Self {
            architecture,
            vocab_size: plain.vocab_size,
            hidden_size: plain.hidden_size,
            intermediate_size: plain.intermediate_size,
            num_hidden_layers: plain.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: plain.num_key_value_heads.unwrap_or(heads),
            head_dim: plain.head_dim.unwrap_or(plain.hidden_size / heads.max(1)),
            max_position_embeddings: plain.max_position_embeddings,
            rms_norm_eps: plain.rms_norm_eps,
            rope_theta,
            rope_scaling,
            attention_bias: plain.attention_bias,
            tie_word_embeddings: plain.tie_word_embeddings,
        };
        config.check()?;
        Ok(config)
    }

    /// The contents of a `config.json` that transformers reads as this architecture's causal LM.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "architectures": [self.architecture.class()],
            "model_type": self.architecture.model_type(),
            "hidden_act": "silu",
            "attention_bias": self.attention_bias,
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
        });
        if let Some(scaling) = self.rope_scaling {
            value["rope_scaling"] = json!({
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
                "original_max_position_embeddings": scaling.original_max_position_embeddings,
            });
        }
        value
    }

    /// Whether queries, keys and values have biases.
    pub(crate) const fn input_bias(&self) -> bool {
        matches!(self.architecture, Architecture::Qwen2) || self.attention_bias
    }

    /// Whether the attention's output has a bias.
    pub(crate) const fn output_bias(&self) -> bool {
        !matches!(self.architecture, Architecture::Qwen2) && self.attention_bias
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
            return Err(unsupported("num_hidden_layers", found, "1 to 1024"));
        }
        let mut positive =
            vec![("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)];
        if let Some(scaling) = self.rope_scaling {
            positive.extend([
                ("rope_scaling.factor", scaling.factor),
                ("rope_scaling.low_freq_factor", scaling.low_freq_factor),
                // The smooth part lies between the two.
                (
                    "rope_scaling.high_freq_factor",
                    scaling.high_freq_factor - scaling.low_freq_factor,
                ),
            ]);
        }
        for (field, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(unsupported(field, value.to_string(), "above zero"));
            }
        }
        for (field, size) in sizes {
            if !(1..1 << 31).contains(&size) {
                return Err(unsupported(field, size.to_string(), "1 to 2^31 - 1"));
            }
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(unsupported("head_dim", self.head_dim.to_string(), "even"));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let found = self.num_key_value_heads.to_string();
            let expected = "a divisor of num_attention_heads";
            return Err(unsupported("num_key_value_heads", found, expected));
        }
        Ok(())
    }
}

pub(crate) fn unsupported(
    field: &'static str,
    found: String,
    expected: &'static str,
) -> PolicyError {
    PolicyError::Unsupported { field, found, expected }
}

fn architecture(value: &Value) -> Result<Architecture, PolicyError> {
    let found = value.get("model_type").unwrap_or(&Value::Null);
    [Architecture::Qwen2, Architecture::Qwen3, Architecture::Llama]
        .into_iter()
        .find(|architecture| found == architecture.model_type())
        .ok_or_else(|| unsupported("model_type", found.to_string(), "qwen2, qwen3 or llama"))
}

/// Rejects settings that the implementation would otherwise silently compute differently.
fn refuse_unsupported(value: &Value) -> Result<(), PolicyError> {
    let whole = [Value::Null, json!(1.0), json!(1)];
    let supported: [(&'static str, &[Value], &'static str); 5] = [
        ("hidden_act", &["silu".into(), Value::Null], "silu"),
        ("partial_rotary_factor", &whole, "1"),
        ("mlp_bias", &[Value::Bool(false), Value::Null], "false"),
        ("use_sliding_window", &[Value::Bool(false), Value::Null], "false"),
        ("quantization_config", &[Value::Null], "null"),
    ];
    for (field, accepted, expected) in supported {
        let nested = || value.get("rope_parameters")?.get(field);
        let found = value.get(field).or_else(nested).unwrap_or(&Value::Null);
        if !accepted.contains(found) {
            return Err(unsupported(field, found.to_string(), expected));
        }
    }
    let layer_types = value.get("layer_types").and_then(Value::as_array);
    match layer_types.into_iter().flatten().find(|kind| **kind != "full_attention") {
        Some(other) => Err(unsupported("layer_types", other.to_string(), "full_attention")),
        None => Ok(()),
    }
}

enum RopeError {
    Json(serde_json::Error),
    Unsupported(PolicyError),
}

/// Base and stretching of the rotary frequencies.
///
/// Newer transformers nest both, `{"rope_parameters": {"rope_theta": 1e6, "rope_type": …}}`; older
/// ones write `rope_theta` and `rope_scaling`, in which the type was once named `type`.
fn rope(value: &Value) -> Result<(f64, Option<Llama3Rope>), RopeError> {
    let nested = value.get("rope_parameters").filter(|nested| !nested.is_null());
    let theta = nested.and_then(|nested| nested.get("rope_theta"));
    let theta = theta.or_else(|| value.get("rope_theta")).cloned().unwrap_or(json!(10_000.0));
    let theta = serde_json::from_value(theta).map_err(RopeError::Json)?;
    let (field, scaling) = match nested {
        Some(nested) => ("rope_parameters.rope_type", nested),
        None => ("rope_scaling.rope_type", value.get("rope_scaling").unwrap_or(&Value::Null)),
    };
    if scaling.is_null() {
        return Ok((theta, None));
    }
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
    match kind.and_then(Value::as_str) {
        None | Some("default") => Ok((theta, None)),
        Some("llama3") => {
            let scaling = serde_json::from_value(scaling.clone()).map_err(RopeError::Json)?;
            Ok((theta, Some(scaling)))
        }
        Some(other) => {
            let error = unsupported(field, other.to_owned(), "default or llama3");
            Err(RopeError::Unsupported(error))
        }
    }
}
