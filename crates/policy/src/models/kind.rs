//! The kinds of policy that a folder may hold.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::PolicyError;
use crate::checkpoint::read_config;
use crate::config::Architecture;
use crate::models::item::store::ITEM_POLICY_TYPE;

/// A kind of policy. The `model_type` of its `config.json` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PolicyKind {
    /// A [`Decoder`](crate::Decoder): `qwen2`, `qwen3` and `llama`.
    Decoder,
    /// A [`T5`](crate::T5): `t5`.
    T5,
    /// An [`ItemPolicy`](crate::ItemPolicy): `sidereal_item`.
    Item,
}

impl PolicyKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Decoder, Self::T5, Self::Item];

    /// The kind of the policy in a folder or a GGUF file.
    ///
    /// # Errors
    /// [`PolicyError::Io`] and [`PolicyError::Json`] for a `config.json` that cannot be read, [`PolicyError::Gguf`] for a
    /// damaged GGUF file;
    /// [`PolicyError::UnknownKind`] for one of another model.
    pub fn of(dir: &Path) -> Result<Self, PolicyError> {
        let (config, path) = read_config(dir)?;
        let found = config.get("model_type").unwrap_or(&Value::Null);
        let is_of = |kind: &Self| kind.model_types().iter().any(|name| found == name);
        Self::ALL.into_iter().find(is_of).ok_or_else(|| {
            let known = Self::ALL.into_iter().flat_map(|kind| kind.model_types().iter().copied());
            let known = known.collect::<Vec<_>>().join(", ");
            PolicyError::UnknownKind { path, found: found.to_string(), known }
        })
    }

    /// Its name in recipes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::T5 => "t5",
            Self::Item => "item",
        }
    }

    /// Values of `model_type` for this kind.
    const fn model_types(self) -> &'static [&'static str] {
        const DECODERS: [&str; 3] = [
            Architecture::Qwen2.model_type(),
            Architecture::Qwen3.model_type(),
            Architecture::Llama.model_type(),
        ];
        match self {
            Self::Decoder => &DECODERS,
            Self::T5 => &["t5"],
            Self::Item => &[ITEM_POLICY_TYPE],
        }
    }

    /// Whether it reads items and has no words: its prompts are rows of item ids.
    #[must_use]
    pub const fn reads_items(self) -> bool {
        matches!(self, Self::Item)
    }

    /// Whether it gives the probabilities of all answers at once, see
    /// [`ExactPolicy`](crate::ExactPolicy).
    #[must_use]
    pub const fn knows_all_answers(self) -> bool {
        matches!(self, Self::Item)
    }

    /// Whether its products can be computed in another element type than that of its weights.
    #[must_use]
    pub const fn has_compute_kinds(self) -> bool {
        !matches!(self, Self::Item)
    }

    /// Whether samples that continue one another can be learned as one sequence. A causal model can
    /// do so, because its states of a beginning do not depend on what follows. An encoder reads its
    /// prompt in both directions, so each of its samples is a sequence of its own.
    #[must_use]
    pub const fn folds_samples(self) -> bool {
        matches!(self, Self::Decoder)
    }

    /// Whether it can be trained by low-rank adapters.
    #[must_use]
    pub const fn has_adapters(self) -> bool {
        matches!(self, Self::Decoder)
    }

    /// Whether its upper layers can be trained over frozen lower ones, and rows of its head without those of its
    /// embedding.
    #[must_use]
    pub const fn trains_in_part(self) -> bool {
        matches!(self, Self::Decoder)
    }

    /// Whether its layers can be computed again in the backward pass, to save memory.
    #[must_use]
    pub const fn recomputes(self) -> bool {
        matches!(self, Self::Decoder)
    }

    /// Whether it can reason in free text before it answers. A prompt ends with the opening of a
    /// chain. An encoder would read this opening, and its decoder would not continue it.
    #[must_use]
    pub const fn reasons(self) -> bool {
        matches!(self, Self::Decoder)
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
