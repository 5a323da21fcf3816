//! The BERT encoder.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::checkpoint::{checkpoint_file, read_checkpoint};
use crate::models::foreign::bert_names;
use crate::weights::{Shapes, Weights, select, to_i64};

/// Settings of a BERT encoder, with the names of its `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BertConfig {
    model_type: String,
    hidden_act: String,
    pub(crate) hidden_size: usize,
    intermediate_size: usize,
    layer_norm_eps: f64,
    pub(crate) max_position_embeddings: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    type_vocab_size: usize,
    vocab_size: usize,
}

impl BertConfig {
    fn load(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = fs::read_to_string(&path)
            .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
        let config: Self =
            serde_json::from_str(&text).map_err(|source| PolicyError::Json { path, source })?;
        let refuse = |field, found: &str, expected| {
            Err(PolicyError::Unsupported { field, found: found.to_owned(), expected })
        };
        if config.model_type != "bert" {
            return refuse("model_type", &config.model_type, "bert");
        }
        if config.hidden_act != "gelu" {
            return refuse("hidden_act", &config.hidden_act, "gelu");
        }
        if let Some(found) = config.position_embedding_type.as_deref().filter(|t| *t != "absolute")
        {
            return refuse("position_embedding_type", found, "absolute");
        }
        if config.is_decoder {
            return refuse("is_decoder", "true", "false");
        }
        if config.num_attention_heads == 0
            || !config.hidden_size.is_multiple_of(config.num_attention_heads)
        {
            let found = config.num_attention_heads.to_string();
            return refuse("num_attention_heads", &found, "a divisor of hidden_size");
        }
        Ok(config)
    }

    fn shapes(&self) -> Shapes {
        let d = to_i64(self.hidden_size);
        let ff = to_i64(self.intermediate_size);
        let mut shapes = Shapes::new();
        let mut add = |name: String, shape: &[i64]| {
            shapes.insert(name, shape.to_vec());
        };
        for (part, rows) in [
            ("word", self.vocab_size),
            ("position", self.max_position_embeddings),
            ("token_type", self.type_vocab_size),
        ] {
            add(format!("embeddings.{part}_embeddings.weight"), &[to_i64(rows), d]);
        }
        let mut pair = |name: &str, weight: &[i64]| {
            add(format!("{name}.weight"), weight);
            add(format!("{name}.bias"), &weight[..1]);
        };
        pair("embeddings.LayerNorm", &[d]);
        for layer in 0..self.num_hidden_layers {
            let at = |part: &str| format!("encoder.layer.{layer}.{part}");
            for part in ["query", "key", "value"] {
                pair(&at(&format!("attention.self.{part}")), &[d, d]);
            }
            pair(&at("attention.output.dense"), &[d, d]);
            pair(&at("attention.output.LayerNorm"), &[d]);
            pair(&at("intermediate.dense"), &[ff, d]);
            pair(&at("output.dense"), &[d, ff]);
            pair(&at("output.LayerNorm"), &[d]);
        }
        shapes
    }
}

/// A BERT encoder without its pooling head.
#[derive(Debug)]
pub(crate) struct Bert {
    config: BertConfig,
    weights: Weights,
    device: Device,
}

impl Bert {
    /// Reads a BERT, with or without a head, under the names of its first or its later versions.
    pub(crate) fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        let config = BertConfig::load(dir)?;
        let path = checkpoint_file(dir);
        let mut found = bert_names(read_checkpoint(dir, Some(Kind::Float))?, &path);
        // Token states do not depend on the pooling head and on stored position numbers.
        found.retain(|name, _| !name.starts_with("pooler.") && !name.ends_with("position_ids"));
        let weights = select(found, &config.shapes(), device, &path)?;
        Ok(Self { config, weights, device })
    }

    pub(crate) const fn config(&self) -> &BertConfig {
        &self.config
    }

    pub(crate) const fn device(&self) -> Device {
        self.device
    }

    /// Token states `[B, T, D]` of ids `[B, T]` where `mask` (`[B, T]`, 1 or 0) marks real tokens.
    pub(crate) fn forward(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor, PolicyError> {
        let [rows, len] = <[i64; 2]>::try_from(ids.size()).unwrap_or([0; 2]);
        let heads = to_i64(self.config.num_attention_heads);
        let lookup = |name: &str, ids: &Tensor| {
            let table = self.get(&format!("embeddings.{name}_embeddings.weight"))?;
            Ok::<_, PolicyError>(Tensor::f_embedding(table, ids, -1, false, false)?)
        };
        let positions = Tensor::arange(len, (Kind::Int64, self.device));
        let x = lookup("word", ids)?
            + lookup("position", &positions)?
            + lookup("token_type", &ids.zeros_like())?;
        let mut x = self.layer_norm(&x, "embeddings.LayerNorm")?;
        let padding = mask.eq(0.0).view([rows, 1, 1, len]);
        let bias = Tensor::zeros([rows, 1, 1, len], (Kind::Float, self.device))
            .masked_fill(&padding, f64::NEG_INFINITY)
            .expand([rows, 1, len, len], false);
        for layer in 0..self.config.num_hidden_layers {
            let at = |part: &str| format!("encoder.layer.{layer}.{part}");
            let split = |part: &str| -> Result<Tensor, PolicyError> {
                let y = self.linear(&x, &at(&format!("attention.self.{part}")))?;
                Ok(y.view([rows, len, heads, -1]).transpose(1, 2)) // [B, H, T, hd]
            };
            let attended = Tensor::f_scaled_dot_product_attention(
                &split("query")?,
                &split("key")?,
                &split("value")?,
                Some(&bias),
                0.0,
                false,
                None,
                false,
            )?;
            let attended = attended.transpose(1, 2).reshape([rows, len, -1]);
            let y = self.linear(&attended, &at("attention.output.dense"))?;
            x = self.layer_norm(&(y + &x), &at("attention.output.LayerNorm"))?;
            let y = self.linear(&x, &at("intermediate.dense"))?.f_gelu("none")?;
            let y = self.linear(&y, &at("output.dense"))?;
            x = self.layer_norm(&(y + &x), &at("output.LayerNorm"))?;
        }
        Ok(x)
    }

    fn get(&self, name: &str) -> Result<&Tensor, PolicyError> {
        self.weights.get(name).ok_or_else(|| PolicyError::MissingTensor {
            path: "weights".into(),
            name: name.to_owned(),
        })
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor, PolicyError> {
        let weight = self.get(&format!("{name}.weight"))?;
        Ok(x.f_linear(weight, Some(self.get(&format!("{name}.bias"))?))?)
    }

    fn layer_norm(&self, x: &Tensor, name: &str) -> Result<Tensor, PolicyError> {
        let weight = self.get(&format!("{name}.weight"))?;
        let bias = self.get(&format!("{name}.bias"))?;
        let shape = [to_i64(self.config.hidden_size)];
        Ok(x.f_layer_norm(shape, Some(weight), Some(bias), self.config.layer_norm_eps, false)?)
    }
}
