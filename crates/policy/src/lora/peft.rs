//! Adapters as files of HF PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Lora, LoraConfig};
use crate::PolicyError;
use crate::weights::{Weights, read_safetensors, write_safetensors, write_text};

/// The prefix that PEFT puts before the names of a causal language model's weights.
const PREFIX: &str = "base_model.model.";
const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

impl Lora {
    /// Writes adapters, by the names that the model gives them.
    pub(crate) fn save(&self, adapters: &Weights, dir: &Path) -> Result<(), PolicyError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| PolicyError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(io(dir))?;
        let LoraConfig { rank, alpha, dropout, target_modules } = self.config();
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": null,
            "inference_mode": true,
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": dropout,
            "target_modules": target_modules,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
            "modules_to_save": null,
            "use_rslora": false,
            "use_dora": false,
        });
        write_text(&dir.join(CONFIG), &format!("{config:#}\n"))?;
        let named = adapters
            .iter()
            .map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor.shallow_clone()))
            .collect();
        write_safetensors(&dir.join(TENSORS), &named)
    }

    /// Reads adapters that PEFT or [`save`](Self::save) wrote, by the names that the model gives
    /// them.
    ///
    /// A setting that changes the computation but is not supported here is an error that names it.
    pub(crate) fn load(dir: &Path) -> Result<(Self, Weights), PolicyError> {
        let path = dir.join(CONFIG);
        let text = fs::read_to_string(&path)
            .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|source| PolicyError::Json { path: path.clone(), source })?;
        let off = |value: &Value| match value {
            Value::Null => true,
            Value::Bool(on) => !on,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        let is = |field: &str, expected: &str| value[field].as_str() == Some(expected);
        for (field, fits, expected) in [
            ("peft_type", is("peft_type", "LORA"), "\"LORA\""),
            ("bias", is("bias", "none") || value["bias"].is_null(), "\"none\""),
            ("modules_to_save", off(&value["modules_to_save"]), "nothing but adapters"),
            ("use_rslora", off(&value["use_rslora"]), "false"),
            ("use_dora", off(&value["use_dora"]), "false"),
            ("fan_in_fan_out", off(&value["fan_in_fan_out"]), "false"),
            ("lora_bias", off(&value["lora_bias"]), "false"),
            ("use_qalora", off(&value["use_qalora"]), "false"),
            ("exclude_modules", off(&value["exclude_modules"]), "no exceptions"),
            ("target_parameters", off(&value["target_parameters"]), "matrices by module alone"),
            ("trainable_token_indices", off(&value["trainable_token_indices"]), "none"),
            ("layer_replication", off(&value["layer_replication"]), "none"),
            ("rank_pattern", off(&value["rank_pattern"]), "one rank"),
            ("alpha_pattern", off(&value["alpha_pattern"]), "one alpha"),
            ("layers_to_transform", off(&value["layers_to_transform"]), "all layers"),
        ] {
            if !fits {
                let found = value[field].to_string();
                return Err(PolicyError::Unsupported { field, found, expected });
            }
        }
        let config: PeftConfig = serde_json::from_value(value)
            .map_err(|source| PolicyError::Json { path: path.clone(), source })?;
        let lora = Self::try_from(LoraConfig {
            rank: config.r,
            alpha: config.lora_alpha,
            dropout: config.lora_dropout,
            target_modules: config.target_modules,
        })?;
        let path = dir.join(TENSORS);
        let adapters = read_safetensors(&path)?
            .into_iter()
            .map(|(name, tensor)| match name.strip_prefix(PREFIX) {
                Some(own) => Ok((own.to_owned(), tensor)),
                None => Err(PolicyError::UnknownTensor { path: path.clone(), name }),
            })
            .collect::<Result<Weights, PolicyError>>()?;
        Ok((lora, adapters))
    }
}

#[derive(serde::Deserialize)]
struct PeftConfig {
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Vec<String>,
}
