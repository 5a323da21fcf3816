//! `config.json` from the settings of a GGUF file.

use serde_json::{Map, Value, json};

use super::model::Model;
use super::names;
use crate::PolicyError;

/// An architecture by its name in GGUF, which is also its `model_type`, and its class in transformers.
const ARCHITECTURES: [(&str, &str); 3] =
    [("llama", "LlamaForCausalLM"), ("qwen2", "Qwen2ForCausalLM"), ("qwen3", "Qwen3ForCausalLM")];

/// The most positions that are read. The table of their angles is computed when a model is made, so a number in a file
/// must not be enough to fill the memory.
const MOST_POSITIONS: usize = 1 << 20;

/// The architecture whose rows of queries and keys are mixed.
const MIXED: &str = "llama";

/// Settings of the architecture, under its name.
struct Of<'m> {
    model: &'m Model<'m>,
    name: &'static str,
    class: &'static str,
}

impl<'m> Of<'m> {
    fn new(model: &'m Model<'m>) -> Result<Self, PolicyError> {
        let key = "general.architecture";
        let found = model.need(key, model.file.metadata().text(key))?;
        let known = ARCHITECTURES.into_iter().find(|(name, _)| *name == found);
        let Some((name, class)) = known else {
            let (field, found) = ("general.architecture", found.to_owned());
            return Err(PolicyError::Unsupported {
                field,
                found,
                expected: "llama, qwen2 and qwen3",
            });
        };
        Ok(Self { model, name, class })
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    fn count(&self, key: &str) -> Result<usize, PolicyError> {
        let key = self.key(key);
        self.model.need(&key, self.model.file.metadata().count(&key))
    }

    fn maybe_count(&self, key: &str) -> Result<Option<usize>, PolicyError> {
        self.model.may(self.model.file.metadata().count(&self.key(key)))
    }

    fn number(&self, key: &str) -> Result<f64, PolicyError> {
        let key = self.key(key);
        self.model.need(&key, self.model.file.metadata().number(&key))
    }

    /// Width of a head, which several settings state.
    fn head_dim(&self, hidden: usize, heads: usize) -> Result<usize, PolicyError> {
        let keys = ["attention.key_length", "attention.value_length", "rope.dimension_count"];
        let stated = keys.map(|key| self.maybe_count(key));
        let mut dim = None;
        for found in stated {
            let Some(found) = found? else { continue };
            if dim.is_some_and(|dim| dim != found) {
                let found = format!("{found} in one setting and {dim:?} in another");
                let expected = "equal widths of keys, values and rotary positions";
                return Err(PolicyError::Unsupported { field: "head_dim", found, expected });
            }
            dim = Some(found);
        }
        Ok(dim.unwrap_or(hidden / heads.max(1)))
    }

    /// Refuses settings that the models here would silently compute differently.
    fn refuse_unsupported(&self) -> Result<(), PolicyError> {
        let metadata = self.model.file.metadata();
        let unsupported =
            |field, found, expected| Err(PolicyError::Unsupported { field, found, expected });
        let parts = self.model.may(metadata.count("split.count"))?.unwrap_or(0);
        if parts > 1 {
            let expected = "one file (`llama-gguf-split --merge` makes one)";
            return unsupported("split.count", parts.to_string(), expected);
        }
        let scaling = self.model.may(metadata.text(&self.key("rope.scaling.type")))?;
        if let Some(other) = scaling.filter(|scaling| *scaling != "none") {
            return unsupported("rope.scaling.type", other.to_owned(), "none");
        }
        if self.model.file.tensors().contains_key("rope_freqs.weight") {
            let found = "a tensor `rope_freqs.weight`".to_owned();
            let expected = "no scaling in GGUF (an HF folder of Llama 3.1 and later is read)";
            return unsupported("rope_scaling", found, expected);
        }
        let positions = self.count("context_length")?;
        if positions > MOST_POSITIONS {
            return unsupported("context_length", positions.to_string(), "at most 1048576");
        }
        for (key, field) in [
            ("expert_count", "expert_count"),
            ("attention.sliding_window", "attention.sliding_window"),
        ] {
            let found = self.maybe_count(key)?.unwrap_or(0);
            if found > 0 {
                return unsupported(field, found.to_string(), "0");
            }
        }
        Ok(())
    }
}

/// The numbers of heads, for the rows of queries and keys that the converter mixes.
#[derive(Debug)]
pub(super) struct Heads {
    mixed: bool,
    queries: usize,
    keys: usize,
}

impl Heads {
    pub(super) fn of(model: &Model<'_>) -> Result<Self, PolicyError> {
        let of = Of::new(model)?;
        let queries = of.count("attention.head_count")?;
        let keys = of.maybe_count("attention.head_count_kv")?.unwrap_or(queries);
        Ok(Self { mixed: of.name == MIXED, queries, keys })
    }

    /// The number of heads if the rows of this tensor, under its name of HF, are mixed.
    pub(super) fn paired(&self, hf: &str) -> Option<usize> {
        let heads = if hf.contains(".q_proj.") {
            self.queries
        } else if hf.contains(".k_proj.") {
            self.keys
        } else {
            return None;
        };
        self.mixed.then_some(heads)
    }
}

/// The contents of `config.json`.
pub(super) fn config(model: &Model<'_>) -> Result<Map<String, Value>, PolicyError> {
    let of = Of::new(model)?;
    of.refuse_unsupported()?;
    let tensors = model.file.tensors();
    let missing = |name: &str| PolicyError::MissingTensor {
        path: model.path.to_owned(),
        name: name.to_owned(),
    };
    let embedding = tensors.get(names::EMBEDDING).ok_or_else(|| missing(names::EMBEDDING))?;
    let Heads { queries, keys, .. } = Heads::of(model)?;
    let hidden = of.count("embedding_length")?;
    // Qwen2 has biases in any case, so it is not asked.
    let bias = of.name != "qwen2" && tensors.contains_key("blk.0.attn_q.bias");
    let theta = model.may(model.file.metadata().number(&of.key("rope.freq_base")))?;
    let mut config = Map::from_iter([
        ("architectures".to_owned(), json!([of.class])),
        ("model_type".to_owned(), json!(of.name)),
        ("hidden_act".to_owned(), json!("silu")),
        ("dtype".to_owned(), json!("float32")),
        ("vocab_size".to_owned(), json!(embedding.shape().first())),
        ("hidden_size".to_owned(), json!(hidden)),
        ("intermediate_size".to_owned(), json!(of.count("feed_forward_length")?)),
        ("num_hidden_layers".to_owned(), json!(of.count("block_count")?)),
        ("num_attention_heads".to_owned(), json!(queries)),
        ("num_key_value_heads".to_owned(), json!(keys)),
        ("head_dim".to_owned(), json!(of.head_dim(hidden, queries)?)),
        ("max_position_embeddings".to_owned(), json!(of.count("context_length")?)),
        ("rms_norm_eps".to_owned(), json!(of.number("attention.layer_norm_rms_epsilon")?)),
        ("rope_theta".to_owned(), json!(theta.unwrap_or(10_000.0))),
        ("attention_bias".to_owned(), json!(bias)),
        ("tie_word_embeddings".to_owned(), json!(!tensors.contains_key(names::HEAD))),
    ]);
    for (key, name) in [
        ("tokenizer.ggml.bos_token_id", "bos_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
        ("tokenizer.ggml.padding_token_id", "pad_token_id"),
    ] {
        if let Some(id) = model.may(model.file.metadata().count(key))? {
            config.insert(name.to_owned(), json!(id));
        }
    }
    Ok(config)
}
