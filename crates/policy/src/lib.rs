//! Language-model policies over Semantic IDs on libtorch.
//!
//! A [`Decoder`] reads prompts that a [`SidTokenizer`] encodes; a [`Constraint`] compiled
//! from a catalogue allows only legal answers; [`BeamSearch`] finds the best Semantic IDs, and
//! [`group_logp`] scores groups of them with gradients. Checkpoints are read and written
//! as HF folders. A [`TextEncoder`] turns item texts into vectors for a quantiser.
//!
//! ```no_run,standalone_crate
//! use sidereal_policy::{BeamSearch, Constraint, Decoder, Scoring, SidTokenizer, TokenBatch, device};
//! use sidereal_sid::Catalog;
//!
//! let dir = std::path::Path::new("runs/shop/policy");
//! let catalog = Catalog::load(&dir.join("catalog.json"))?;
//! let tokenizer = SidTokenizer::load(dir, catalog.spec())?;
//! let model = Decoder::load(dir, device("auto")?)?;
//! let constraint = Constraint::new(&catalog, &tokenizer, model.device())?;
//! let prompt = tokenizer.encode_prompt("next:<a_1><b_7><c_2>")?;
//! let prompts = TokenBatch::new(&[prompt], tokenizer.pad(), 64, model.device())?;
//! let search =
//!     BeamSearch { model: &model, constraint: &constraint, beam_width: 10, scoring: Scoring::Full };
//! for hypothesis in &search.search(&prompts, &[&[]])?[0] {
//!     println!("{:?} {:.3}", constraint.trie().items(hypothesis.node), hypothesis.score);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `allocator` | [`tune_allocator`]: keeps the memory of freed tensors |
//! | `tokenizer` | [`SidTokenizer`]: text and codes ↔ token ids; [`WordTokenizer`]: text alone; [`ChatTemplate`]: conversations |
//! | `vocabulary` | [`extend_pretrained`]: a pretrained checkpoint with a token for each code |
//! | `policy` | [`Policy`]: what decoding, scoring and training need from a policy; [`LanguageModel`] |
//! | `trainable` | [`Trainable`]: a policy whose weights can be trained |
//! | `config`, `models` | [`DecoderConfig`], [`Decoder`] (Qwen2, Qwen3, Llama), [`T5`], [`AnyPolicy`] of the kind that a folder holds, [`ItemPolicy`], which reads items and no tokens, [`Head`], the BERT of [`TextEncoder`] |
//! | `lora` | [`Lora`]: low-rank adapters, in files of HF PEFT |
//! | `weights` | safetensors files, checked by name and shape |
//! | `checkpoint`, `gguf`, `unpack` | pretrained models: HF folders, and files of llama.cpp; [`unpack_gguf`] makes a folder of a file |
//! | `cache` | [`KvCache`], [`TokenBatch`] |
//! | `decode` | [`Constraint`] over Semantic IDs or titles, [`Excluded`] items; [`BeamSearch`], [`Sampler`] with and without replacement; [`SlateSampler`]: several answers of a pool; [`TextSampler`], [`Reasoner`]: free text and chains of thought; [`Grounding`] of free titles to items |
//! | `score` | [`target_logp`], [`completion_logp`], [`group_logp`], [`completion_entropy`]; [`LogpPass`]: the same for training over a large vocabulary; [`ItemHead`]: items scored by states; [`CompletionEnds`]: completions with the state after each |
//!
//! # Conventions
//! U prompts (users), T tokens of a prompt, W branches (beams or rollouts) of a prompt, S tokens of
//! a branch, D width, V vocabulary, K codes of a level. Prompts are padded on the right.
//! Log-probabilities are in nats.

mod allocator;
mod cache;
mod checkpoint;
mod config;
mod decode;
mod encoder;
mod error;
mod flops;
mod generator;
mod gguf;
mod lora;
mod mapped;
mod models;
mod policy;
mod recompute;
mod score;
mod sizes;
mod tensor;
mod tokenizer;
mod trainable;
mod unpack;
mod vocabulary;
mod weights;

pub use allocator::tune_allocator;
pub use cache::{KvCache, TokenBatch};
pub use config::{Architecture, DecoderConfig, Llama3Rope};
pub use decode::{
    BeamSearch, Branches, Chain, ChainEnd, ChildScores, Conditions, Constraint, DistinctRollout,
    Drawn, Excluded, Grounding, Hypothesis, KeptPrefix, Onward, Prefilled, ReasonedPrompts,
    Reasoner, ReasoningMarkers, Rollout, Sampler, SamplingConfig, Scoring, Slate, SlateSampler,
    Text, TextEnd, TextSampler, TriePrior, WrittenToken, merge_chains, popularity_weighted,
};
pub use encoder::{EncoderOptions, Pooling, Prefix, TextEncoder};
pub use error::PolicyError;
pub use generator::SeededGenerator;
pub use lora::{Lora, LoraConfig};
pub use models::any::AnyPolicy;
pub use models::decoder::Decoder;
pub use models::decoder::recompute::RecomputedStates;
pub use models::head::Head;
pub use models::item::ItemPolicy;
pub use models::item::body::ItemDropout;
pub use models::item::config::ItemPolicyConfig;
pub use models::item::features::{ItemCategories, ItemFeatures};
pub use models::item::next_item::NextItemLoss;
pub use models::item::scorer::{ItemScorer, ItemStates};
pub use models::item::store::ITEM_POLICY_TYPE;
pub use models::kind::PolicyKind;
pub use models::t5::T5;
pub use models::t5::config::{T5Config, T5FeedForward};
pub use policy::{ExactPolicy, LanguageModel, Policy, as_exact, as_language_model};
pub use score::completions::{
    CompletionPass, CompletionToken, Completions, ScoredTokens, TokenPlace,
};
pub use score::ends::CompletionEnds;
pub use score::item_head::ItemHead;
pub use score::law::TokenLaw;
pub use score::pass::LogpPass;
pub use score::read::{Groups, TokenLogp, completion_entropy, completion_logp, group_logp};
pub use score::sequences::{LowerStates, Place, SequencePass};
pub use score::target::{Target, code_targets};
pub use score::target_logp;
pub use score::way_back::target_pass;
pub use sidereal_device::{DeviceError, device, share_cores};
pub use tokenizer::{
    ChatMessage, ChatOptions, ChatTemplate, END_OF_TURN, PAD, SidTokenizer, SpecialTokens,
    WordTokenizer,
};
pub use trainable::{CodeRows, Trainable};
pub use unpack::{is_gguf, unpack_gguf};
pub use vocabulary::{RowInit, VocabularyExtension, extend_pretrained};
pub use weights::{Shapes, Weights, read_safetensors, write_safetensors};
