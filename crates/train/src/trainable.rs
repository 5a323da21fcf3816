//! Which weights are trained.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sidereal_policy::{Constraint, Lora, LoraConfig, PolicyError, Trainable};

use crate::TrainError;
use crate::optim::{AdamW, OptimConfig};

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
    /// Only the rows of the codes, which are new tokens for a pretrained model. Gradients are computed
    /// for all rows, but moments are kept only for these.
    Codes,
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
    /// [`PolicyError::Unsupported`] if nothing would be trained.
    pub fn prepare<P: Trainable>(&self, model: P, seed: i64) -> Result<P, TrainError> {
        if (&self.layers, self.embeddings) == (&Layers::Frozen, Embeddings::Frozen) {
            return Err(TrainError::from(PolicyError::Unsupported {
                field: "trainable",
                found: "frozen layers and frozen embeddings".into(),
                expected: "something to train",
            }));
        }
        let in_layers = self.layers == Layers::All;
        let in_embeddings = self.embeddings != Embeddings::Frozen;
        let embeddings = model.embedding_names();
        if self.embeddings == Embeddings::Codes && embeddings.is_empty() {
            return Err(TrainError::from(PolicyError::Unsupported {
                field: "trainable.embeddings",
                found: "`codes`".into(),
                expected: "`all` or `frozen`: this kind of policy has no row for each token",
            }));
        }
        freeze(&model);
        model.require_grad_of(&|name| {
            if embeddings.contains(&name) { in_embeddings } else { in_layers }
        });
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

    /// An optimiser for the trained weights of a prepared model.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] if the rows of the codes should be trained but are not
    /// adjacent.
    pub fn optimiser<P: Trainable>(
        &self,
        config: OptimConfig,
        model: &P,
        constraint: &Constraint,
    ) -> Result<AdamW, TrainError> {
        let mut optim = AdamW::new(config, &model.trained());
        if self.embeddings == Embeddings::Codes {
            let rows = code_rows(constraint)?;
            for name in model.embedding_names() {
                optim = optim.only_rows(name, rows.clone())?;
            }
        }
        Ok(optim)
    }
}

/// Stops all gradients of a policy, its adapters included.
pub(crate) fn freeze<P: Trainable>(model: &P) {
    model.require_grad_of(&|_| false);
    for adapter in model.adapters().values() {
        let _ = adapter.shallow_clone().requires_grad_(false);
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
