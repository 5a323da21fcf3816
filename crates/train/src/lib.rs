//! Training loops and ranking for generative recommendation.
//!
//! [`Sft`] learns sequences with targets. [`Rl`] improves a policy by any
//! [`Reward`](sidereal_rl::Reward), and [`PreferenceTraining`] by pairs of answers. [`rank`] evaluates by
//! constrained decoding. [`Checkpoints`] let a training go on where it stopped, and [`Observer`]s see every
//! record. Whole runs by recipe are in the crate `sidereal-lab`.
//!
//! ```
//! use sidereal_train::{Observer, Record};
//!
//! // Any closure over records observes a training.
//! let mut losses: Vec<f64> = Vec::new();
//! let mut observer = |record: &Record| losses.extend(record.values.get("loss"));
//! observer.on_record(&Record::new("sft", 1, 100).with("loss", 2.5));
//! assert_eq!(losses, [2.5]);
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `fold`, `encode`, `augment` | [`Sequence`], [`fold()`], [`Encoder`], [`AugmentConfig`] |
//! | `optim` | [`AdamW`], [`Schedule`], clipping |
//! | `trainable` | [`TrainableConfig`]: all weights, adapters, embeddings |
//! | `sft` | [`Sft`]: supervised fine-tuning; [`Lessons`]: [`Histories`], [`MixedTasks`] |
//! | `next_item` | [`NextItem`]: a policy that reads items learns what follows; [`exact_ndcg`] |
//! | `rl` | [`Rl`]: rollouts, [`RewardConfig`], [`AdvantageConfig`], updates |
//! | `reasoning` | [`ReasoningSearch`]: chains of thought, and an answer after each |
//! | `free_answer` | [`FreeWriter`]: chain and answer as one free text |
//! | `slate` | [`SlateAnswers`]: slates of titles or Semantic IDs |
//! | `item_head` | [`ItemHeadTraining`]: items scored by last states, alone or after chains (`RecPO`); [`HeadAnswers`] |
//! | `preference` | [`PreferenceTraining`]: S-DPO and DPO |
//! | `ranking` | [`Ranking`], [`placements`] |
//! | `evaluate` | [`rank`], [`reason`], [`draw`], [`write_freely`] |
//! | `ground` | [`GroundedAnswers`]: rankings by freely written titles |
//! | `categories`, `item_facts` | [`Categories`] of items; [`ItemFacts`]: what lists are measured by |
//! | `checkpoint` | [`Checkpoints`] bound to what they belong to |
//! | `observe` | [`Observer`], [`Record`], [`JsonLog`], [`TensorBoard`], [`Bars`] |
//! | `titles` | [`TitleTrie`], titles as answers |
//! | [`seed`] | streams of random numbers, by purpose |
//!
//! # Conventions
//! A run has one seed. Before every step, libtorch's generator gets a new seed from the run and the step, so
//! a resumed run equals an uninterrupted one bit by bit on the CPU with the same number of threads.
//! Losses are in nats.

mod augment;
mod batching;
mod categories;
mod checked;
mod checkpoint;
mod diverged;
mod encode;
mod error;
mod evaluate;
mod exact;
mod fold;
mod free_answer;
mod ground;
mod guided;
mod item_facts;
mod item_head;
mod learner;
mod lengths;
mod lower_states;
mod next_item;
mod number;
mod observe;
mod optim;
mod preference;
mod ranking;
mod reasoning;
mod rl;
pub mod seed;
mod setting;
mod sft;
mod slate;
mod titles;
mod trainable;
mod trainer;
mod validation;

pub use augment::AugmentConfig;
pub use batching::Batching;
pub use categories::Categories;
pub use checked::Checked;
pub use checkpoint::{Binding, Checkpoints};
pub use encode::{EncodedPrompt, Encoder, Framing, Mode, scored_codes};
pub use error::TrainError;
pub use evaluate::{
    ChainCounts, draw, rank, rank_after_chains, rank_led, rank_without, reason, write_freely,
};
pub use exact::{ExactCase, ScoredBatch, best, rank_exactly, score_exactly};
pub use fold::{Sequence, fold};
pub use free_answer::{AnswerForm, FreeRollout, FreeWriter};
pub use ground::GroundedAnswers;
pub use guided::{ItemScores, score_items, search_guided};
pub use item_facts::ItemFacts;
pub use item_head::{
    HeadAnswers, HeadChainConfig, HeadItems, ItemHeadConfig, ItemHeadTraining, RecPoConfig,
};
pub use lengths::check_lengths;
pub use lower_states::{LowerStatesConfig, StateKind};
pub use next_item::{
    ExactNdcg, Followed, History, NextItem, NextItemConfig, NextItemData, SelectBy, exact_ndcg,
};
pub use observe::{Bars, JsonLog, Observer, Record, ShownGroup, ShownRollout, TensorBoard};
pub use optim::{AdamW, OptimConfig, Schedule};
pub use preference::{NegativeSource, Preference, PreferenceConfig, PreferenceTraining};
pub use ranking::{Ranking, placements};
pub use reasoning::{ChainConfig, ChainRollout, ReasonedRanking, ReasoningSearch};
pub use rl::{
    AdvantageConfig, AlignmentShare, AnswerKind, BuiltReward, KnownItems, NamedReward, OwnMethods,
    ReasoningConfig, RewardConfig, Rl, RlConfig, RlPrompt, RolloutConfig, SingerReward, StepReward,
    Unclosed, later_choices,
};
pub use seed::step_seed;
pub use sft::{
    Epoch, Histories, Keep, Late, Lessons, MixedData, MixedTasks, MixtureConfig, MixtureOrder,
    MixtureStage, Sft, SftConfig, SftData, WeightedMixture,
};
pub use slate::SlateAnswers;
pub use titles::TitleTrie;
pub use trainable::{Embeddings, Layers, TrainableConfig};
