//! A policy whose kind is given by its folder or by a recipe.

use std::ops::Range;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::config::DecoderConfig;
use crate::decode::branches::Branches;
use crate::decode::constraint::Constraint;
use crate::lora::Lora;
use crate::models::decoder::Decoder;
use crate::models::item::ItemPolicy;
use crate::models::kind::PolicyKind;
use crate::models::t5::T5;
use crate::models::t5::config::T5Config;
use crate::policy::ExactPolicy;
use crate::policy::{LanguageModel, Policy};
use crate::score::completions::{CompletionPass, Completions};
use crate::score::law::TokenLaw;
use crate::score::pass::LogpPass;
use crate::score::sequences::SequencePass;
use crate::sizes::{axes, to_usize};
use crate::tokenizer::SidTokenizer;
use crate::trainable::{CodeRows, Trainable};
use crate::weights::Weights;

/// A policy of any kind of this crate, for programs that get the kind from a folder or a recipe.
///
/// It does what the policy inside does. Code for one kind should take that kind, and code for all kinds
/// should be generic over [`Policy`] or [`Trainable`].
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyPolicy {
    /// A decoder.
    Decoder(Decoder),
    /// An encoder-decoder.
    T5(T5),
    /// One that reads a history item by item.
    Item(Box<ItemPolicy>),
}

/// The result of the policy inside, for every kind.
macro_rules! within {
    ($any:expr, $policy:ident => $value:expr) => {
        match $any {
            AnyPolicy::Decoder($policy) => $value,
            AnyPolicy::T5($policy) => $value,
            AnyPolicy::Item($policy) => {
                let $policy: &ItemPolicy = $policy;
                $value
            }
        }
    };
}

impl AnyPolicy {
    /// Reads a folder in the layout of Hugging Face. Its `config.json` gives the kind.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKind`] for a model of another kind; those of [`Decoder::load`],
    /// [`T5::load`] and [`ItemPolicy::load`].
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Ok(match PolicyKind::of(dir)? {
            PolicyKind::Decoder => Self::Decoder(Decoder::load(dir, device)?),
            PolicyKind::T5 => Self::T5(T5::load(dir, device)?),
            PolicyKind::Item => Self::Item(Box::new(ItemPolicy::load(dir, device)?)),
        })
    }

    /// A language model in the shape of the one in a folder, with weights drawn at random; equal seeds give equal
    /// weights.
    ///
    /// # Errors
    /// [`PolicyError::UnknownKind`] for a model of another kind; [`PolicyError::Unsupported`] for a policy that reads
    /// items; those of [`Decoder::random`] and [`T5::random`].
    pub fn random_like(dir: &Path, seed: i64, device: Device) -> Result<Self, PolicyError> {
        Ok(match PolicyKind::of(dir)? {
            PolicyKind::Decoder => {
                Self::Decoder(Decoder::random(DecoderConfig::load(dir)?, seed, device)?)
            }
            PolicyKind::T5 => Self::T5(T5::random(T5Config::load(dir)?, seed, device)?),
            PolicyKind::Item => {
                return Err(PolicyError::Unsupported {
                    field: "model_type",
                    found: PolicyKind::Item.to_string(),
                    expected: "a language model: the shape of a policy that reads items depends on the items",
                });
            }
        })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> PolicyKind {
        match self {
            Self::Decoder(_) => PolicyKind::Decoder,
            Self::T5(_) => PolicyKind::T5,
            Self::Item(_) => PolicyKind::Item,
        }
    }

    /// Number of weights, adapters left out.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        Trainable::weights(self).values().map(Tensor::numel).sum()
    }

    /// The same policy with products computed in another element type, as [`Decoder::computing_in`] says.
    /// A policy that reads items always computes in the element type of its weights; see
    /// [`PolicyKind::has_compute_kinds`].
    #[must_use]
    pub fn computing_in(self, kind: Kind) -> Self {
        match self {
            Self::Decoder(policy) => Self::Decoder(policy.computing_in(kind)),
            Self::T5(policy) => Self::T5(policy.computing_in(kind)),
            Self::Item(policy) => Self::Item(policy),
        }
    }

    /// The policy that reads items, if it is one.
    #[must_use]
    pub const fn as_item(&self) -> Option<&ItemPolicy> {
        match self {
            Self::Item(policy) => Some(policy),
            _ => None,
        }
    }

    /// Accepts a tokenizer if the policy can write all its ids. A policy that does not write text accepts
    /// any.
    ///
    /// # Errors
    /// [`PolicyError::Vocabulary`].
    pub fn check_vocabulary(&self, tokenizer: &SidTokenizer) -> Result<(), PolicyError> {
        self.check_num_ids(tokenizer.vocab_size())
    }

    /// As [`check_vocabulary`](Self::check_vocabulary), for a tokenizer with this number of ids.
    ///
    /// # Errors
    /// [`PolicyError::Vocabulary`].
    pub fn check_num_ids(&self, tokenizer: usize) -> Result<(), PolicyError> {
        let Some(model) = self.language_model() else { return Ok(()) };
        let [rows, _] = axes("axes of an output head", model.head().weight())?;
        let model = to_usize(rows)?;
        if tokenizer > model { Err(PolicyError::Vocabulary { tokenizer, model }) } else { Ok(()) }
    }
}

impl From<Decoder> for AnyPolicy {
    fn from(policy: Decoder) -> Self {
        Self::Decoder(policy)
    }
}

impl From<T5> for AnyPolicy {
    fn from(policy: T5) -> Self {
        Self::T5(policy)
    }
}

impl From<ItemPolicy> for AnyPolicy {
    fn from(policy: ItemPolicy) -> Self {
        Self::Item(Box::new(policy))
    }
}

impl Policy for AnyPolicy {
    fn device(&self) -> Device {
        within!(self, policy => Policy::device(policy))
    }

    fn longest_prompt(&self, answer_len: usize) -> usize {
        within!(self, policy => policy.longest_prompt(answer_len))
    }

    fn read<'a>(
        &'a self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<Box<dyn Branches + 'a>, PolicyError> {
        within!(self, policy => policy.read(prompts, begun))
    }

    fn completion_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        completions: &Completions<'_>,
        law: TokenLaw,
    ) -> Result<CompletionPass<'a>, PolicyError> {
        within!(self, policy => policy.completion_pass(constraint, completions, law))
    }

    fn language_model(&self) -> Option<&dyn LanguageModel> {
        within!(self, policy => policy.language_model())
    }

    fn exact(&self) -> Option<&dyn ExactPolicy> {
        within!(self, policy => policy.exact())
    }
}

impl Trainable for AnyPolicy {
    fn weights(&self) -> &Weights {
        within!(self, policy => Trainable::weights(policy))
    }

    fn frozen_copy(&self) -> Result<Self, PolicyError> {
        Ok(match self {
            Self::Decoder(policy) => Self::Decoder(Trainable::frozen_copy(policy)?),
            Self::T5(policy) => Self::T5(Trainable::frozen_copy(policy)?),
            Self::Item(policy) => Self::Item(Box::new(Trainable::frozen_copy(&**policy)?)),
        })
    }

    fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load(dir, device)
    }

    fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        within!(self, policy => Trainable::save(policy, dir))
    }

    fn sequence_pass<'a>(
        &'a self,
        constraint: &'a Constraint,
        sequences: &SequencePass<'_>,
    ) -> Result<LogpPass<'a>, PolicyError> {
        within!(self, policy => policy.sequence_pass(constraint, sequences))
    }

    fn training_flops(&self, lens: &[usize], num_targets: usize) -> Option<f64> {
        within!(self, policy => Trainable::training_flops(policy, lens, num_targets))
    }

    fn merged_weights(&self) -> Result<Weights, PolicyError> {
        within!(self, policy => Trainable::merged_weights(policy))
    }

    fn adapters(&self) -> Weights {
        within!(self, policy => Trainable::adapters(policy))
    }

    fn with_lora(self, lora: &Lora, seed: i64) -> Result<Self, PolicyError> {
        Ok(match self {
            Self::Decoder(policy) => Self::Decoder(Trainable::with_lora(policy, lora, seed)?),
            Self::T5(policy) => Self::T5(Trainable::with_lora(policy, lora, seed)?),
            Self::Item(policy) => Self::Item(Box::new(Trainable::with_lora(*policy, lora, seed)?)),
        })
    }

    fn with_code_rows(self, rows: Range<i64>, of: CodeRows) -> Result<Self, PolicyError> {
        Ok(match self {
            Self::Decoder(policy) => Self::Decoder(policy.with_code_rows(rows, of)?),
            Self::T5(policy) => Self::T5(Trainable::with_code_rows(policy, rows, of)?),
            Self::Item(policy) => {
                Self::Item(Box::new(Trainable::with_code_rows(*policy, rows, of)?))
            }
        })
    }

    fn code_rows(&self) -> Weights {
        within!(self, policy => Trainable::code_rows(policy))
    }

    fn upper_weights(&self, upper: usize) -> Result<Vec<String>, PolicyError> {
        within!(self, policy => Trainable::upper_weights(policy, upper))
    }

    fn frozen_layers(&self) -> usize {
        within!(self, policy => Trainable::frozen_layers(policy))
    }

    fn lower_states(&self, tokens: &TokenBatch, layers: usize) -> Result<Tensor, PolicyError> {
        within!(self, policy => Trainable::lower_states(policy, tokens, layers))
    }

    fn embedding_names(&self) -> &'static [&'static str] {
        within!(self, policy => policy.embedding_names())
    }
}
