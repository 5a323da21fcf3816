//! Which weights are trained.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sidereal_policy::{CodeRows, Constraint, Lora, LoraConfig, PolicyError, Trainable};

use crate::TrainError;

/// What is trained in the layers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layers {
    /// Every matrix and norm.
    #[default]
    All,
    /// Low-rank adapters beside frozen matrices.
    Lora(Lora),
    /// Every matrix and norm of so many of the highest layers, and the last norm. Lower layers are frozen. Range `1..`.
    Upper(usize),
    /// Nothing.
    Frozen,
}

/// What is trained in the embedding and in a separate output head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Embeddings {
    /// Every row.
    #[default]
    All,
    /// Only the rows of the codes, which are new tokens for a pretrained model. Gradients and moments have
    /// the size of these rows.
    Codes,
    /// Only the rows of the codes in the output head. A head that is tied to the embedding becomes a matrix of
    /// its own.
    CodeOutputs,
    /// Nothing.
    Frozen,
}

/// Which weights are trained. The optimiser keeps moments only for them. Without it, all weights are trained.
///
/// ```
/// use sidereal_train::{Embeddings, Layers, TrainableConfig};
///
/// let config: TrainableConfig = toml::from_str(
///     "embeddings = 'codes'\n\
///      layers.lora = { rank = 8, alpha = 16.0, target_modules = ['q_proj', 'v_proj'] }",
/// )?;
/// assert_eq!(config.embeddings, Embeddings::Codes);
/// assert!(matches!(config.layers, Layers::Lora(_)));
/// assert!(toml::from_str::<TrainableConfig>("layers.lora = { rank = 0 }").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TrainableConfig {
    /// What is trained in the layers, including the norms.
    pub layers: Layers,
    /// What is trained in the embedding and the output head.
    pub embeddings: Embeddings,
}

impl TrainableConfig {
    /// Accepts adapters without dropout. With dropout, the policy that computes gradients would
    /// differ from the policy that draws.
    ///
    /// # Errors
    /// [`TrainError::Setting`].
    pub(crate) fn check_without_dropout(&self) -> Result<(), TrainError> {
        let Layers::Lora(lora) = &self.layers else { return Ok(()) };
        let dropout = LoraConfig::from(lora.clone()).dropout;
        if dropout > 0.0 {
            let (field, found) = ("trainable.layers.lora.dropout".to_owned(), dropout.to_string());
            return Err(TrainError::Setting {
                field,
                found,
                needed: "0, because only supervised fine-tuning can use dropout",
            });
        }
        Ok(())
    }

    /// The model with gradients for the trained weights. Adapters are added if the settings ask for
    /// them and they are not there yet.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] if nothing would be trained, if this kind of policy cannot be trained so, or if
    /// the rows of the codes should be trained but are not adjacent.
    pub fn prepare<P: Trainable>(
        &self,
        model: P,
        constraint: &Constraint,
        seed: i64,
    ) -> Result<P, TrainError> {
        if (&self.layers, self.embeddings) == (&Layers::Frozen, Embeddings::Frozen) {
            return Err(TrainError::from(PolicyError::Unsupported {
                field: "trainable",
                found: "frozen layers and frozen embeddings".into(),
                expected: "something to train",
            }));
        }
        freeze(&model);
        let model = match self.embeddings {
            Embeddings::All | Embeddings::Frozen => model,
            Embeddings::Codes => {
                model.with_code_rows(code_rows(constraint)?, CodeRows::InputAndOutput)?
            }
            Embeddings::CodeOutputs => {
                model.with_code_rows(code_rows(constraint)?, CodeRows::Output)?
            }
        };
        let upper = match self.layers {
            Layers::Upper(count) => model.upper_weights(count)?,
            _ => Vec::new(),
        };
        let in_layers = |name: &str| match self.layers {
            Layers::All => true,
            Layers::Lora(_) | Layers::Frozen => false,
            Layers::Upper(_) => upper.iter().any(|wanted| wanted == name),
        };
        let embeddings = model.embedding_names();
        model.require_grad_of(&|name| {
            if embeddings.contains(&name) {
                self.embeddings == Embeddings::All
            } else {
                in_layers(name)
            }
        });
        if matches!(self.embeddings, Embeddings::Codes | Embeddings::CodeOutputs) {
            for rows in model.code_rows().values() {
                let _ = rows.shallow_clone().requires_grad_(true);
            }
        }
        Ok(match &self.layers {
            Layers::Lora(lora) if model.adapters().is_empty() => model.with_lora(lora, seed)?,
            Layers::Lora(_) => {
                for adapter in model.adapters().values() {
                    let _ = adapter.shallow_clone().requires_grad_(true);
                }
                model
            }
            _ => model,
        })
    }
}

/// Stops all gradients of a policy, its adapters and rows of codes included.
pub(crate) fn freeze<P: Trainable>(model: &P) {
    model.require_grad_of(&|_| false);
    for weight in model.adapters().values().chain(model.code_rows().values()) {
        let _ = weight.shallow_clone().requires_grad_(false);
    }
}

/// Vocabulary rows of all codes of a catalogue.
fn code_rows(constraint: &Constraint) -> Result<Range<i64>, TrainError> {
    let mut rows = Vec::new();
    for level in 0..constraint.max_len() {
        rows.extend(Vec::<i64>::try_from(constraint.rows(level))?);
    }
    rows.sort_unstable();
    match (rows.first(), rows.last()) {
        (Some(first), Some(last)) if rows.windows(2).all(|pair| pair[0] + 1 == pair[1]) => {
            Ok(*first..*last + 1)
        }
        _ => Err(TrainError::from(PolicyError::Unsupported {
            field: "embeddings",
            found: "\"codes\" in a stage whose answers are not Semantic IDs, or whose codes' \
                    vocabulary ids do not follow each other"
                .into(),
            expected: "\"all\" or \"frozen\" there",
        })),
    }
}
