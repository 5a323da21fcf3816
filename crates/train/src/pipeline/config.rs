//! The settings of a whole run, as a TOML file spells them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sidereal_policy::{Architecture, DecoderConfig};
use sidereal_rl::{RankReward, SidLevel, Singer};

use crate::TrainError;
use crate::rl::RlConfig;
use crate::sft::SftConfig;

/// Settings of a run; every seed follows from `seed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of everything: item order, clusters, weights, batches, dropout, ties, intervals.
    pub seed: u64,
    /// Items of a history that a model sees, the latest ones.
    pub max_history: usize,
    /// Item vectors.
    pub embed: EmbedConfig,
    /// Semantic IDs.
    pub sids: SidConfig,
    /// Text pieces.
    pub tokenizer: TokenizerConfig,
    /// Decoder.
    pub model: ModelConfig,
    /// Supervised stage.
    pub sft: SftConfig,
    /// Reinforcement stage.
    pub rl: RlConfig,
    /// Its reward.
    pub reward: RewardConfig,
    /// Evaluation.
    pub evaluate: EvaluateConfig,
}

/// Vectors from which Semantic IDs are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedConfig {
    /// Folder of the sentence encoder.
    pub encoder: PathBuf,
    /// Texts encoded together.
    pub batch_size: usize,
    /// Length of the collaborative part (PPMI vectors of the training sequences) beside the text
    /// part of length one; 0 leaves it out, and Semantic IDs speak of texts alone.
    pub collaborative_weight: f32,
    /// Dimensions of the collaborative part.
    pub collaborative_dimensions: usize,
}

/// Semantic IDs by residual k-means, unique by suffix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidConfig {
    /// Codes of each level.
    pub codebook_sizes: Vec<usize>,
    /// Most iterations a level.
    pub iterations: usize,
    /// Starts of a level, of which the best stays.
    pub restarts: usize,
}

/// Pieces of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Most pieces that byte-level BPE learns from the titles.
    pub pieces: usize,
}

/// Shape of the decoder, trained from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width `D`.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Longest sequence.
    pub positions: usize,
}

impl ModelConfig {
    /// The Qwen3 settings for a vocabulary.
    #[must_use]
    pub fn qwen3(&self, vocab_size: usize) -> DecoderConfig {
        DecoderConfig {
            architecture: Architecture::Qwen3,
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            num_key_value_heads: self.key_value_heads,
            head_dim: self.head_dim,
            max_position_embeddings: self.positions,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: None,
            attention_bias: false,
            tie_word_embeddings: true,
        }
    }
}

/// SINGER's reward (eq 9): SID-level on hard prompts, accuracy plus rank on the others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardConfig {
    /// Penalty of wrong rollouts by their place in the group.
    pub rank: RankReward,
    /// Reward of a shared prefix on hard prompts.
    pub sid_level: SidLevel,
}

impl RewardConfig {
    /// The reward.
    #[must_use]
    pub fn singer(&self) -> Singer {
        Singer { rank: self.rank, sid_level: self.sid_level }
    }
}

/// Evaluation on held-out users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Beams of a user.
    pub beam_width: usize,
    /// Users decoded together.
    pub batch_size: usize,
    /// Users, drawn by seed, on which training validates itself.
    pub valid_users: usize,
    /// Resamples of the bootstrap.
    pub resamples: usize,
}

impl RunConfig {
    /// Reads settings from TOML.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Toml`] and [`TrainError::Setting`].
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let text = fs::read_to_string(path)
            .map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads settings from the text of a TOML file; `path` is for messages.
    ///
    /// # Errors
    /// [`TrainError::Toml`] and [`TrainError::Setting`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, TrainError> {
        let config: Self = toml::from_str(text).map_err(|source| TrainError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Accepts settings with which a run can go through.
    ///
    /// # Errors
    /// [`TrainError::Setting`] names the field.
    pub fn check(&self) -> Result<(), TrainError> {
        let counts = [
            ("max_history", self.max_history),
            ("embed.batch_size", self.embed.batch_size),
            ("sids.iterations", self.sids.iterations),
            ("sids.restarts", self.sids.restarts),
            ("sft.epochs", self.sft.epochs),
            ("sft.batch_size", self.sft.batch_size),
            ("sft.checkpoint_every", self.sft.checkpoint_every),
            ("rl.steps", self.rl.steps),
            ("rl.prompts_per_step", self.rl.prompts_per_step),
            ("rl.group_size", self.rl.group_size),
            ("rl.micro_batch", self.rl.micro_batch),
            ("rl.validate_every", self.rl.validate_every),
            ("rl.checkpoint_every", self.rl.checkpoint_every),
            ("evaluate.beam_width", self.evaluate.beam_width),
            ("evaluate.batch_size", self.evaluate.batch_size),
            ("evaluate.valid_users", self.evaluate.valid_users),
            ("evaluate.resamples", self.evaluate.resamples),
        ];
        for (field, value) in counts {
            if value == 0 {
                return Err(TrainError::Setting { field, found: "0".into(), needed: "at least 1" });
            }
        }
        let shares = [
            ("sft.dropout", self.sft.dropout, 1.0),
            ("sft.augment.drop", self.sft.augment.drop, 1.0),
            ("sft.augment.reverse", self.sft.augment.reverse, 1.0 + f64::EPSILON),
            ("sft.optim.warmup", self.sft.optim.warmup, 1.0),
            ("rl.optim.warmup", self.rl.optim.warmup, 1.0),
            ("sft.alignment_share", self.sft.alignment_share, 1.0 + f64::EPSILON),
        ];
        for (field, value, end) in shares {
            if !(0.0..end).contains(&value) {
                let found = value.to_string();
                return Err(TrainError::Setting { field, found, needed: "a share from 0 to 1" });
            }
        }
        let rates = [
            ("sft.optim.lr", self.sft.optim.lr),
            ("rl.optim.lr", self.rl.optim.lr),
            ("sft.optim.clip_norm", self.sft.optim.clip_norm),
            ("rl.optim.clip_norm", self.rl.optim.clip_norm),
        ];
        for (field, value) in rates {
            if !(value > 0.0 && value.is_finite()) {
                let found = value.to_string();
                return Err(TrainError::Setting { field, found, needed: "a positive number" });
            }
        }
        let weight = self.embed.collaborative_weight;
        if !(weight >= 0.0 && weight.is_finite()) {
            let (field, found) = ("embed.collaborative_weight", weight.to_string());
            return Err(TrainError::Setting { field, found, needed: "a number from 0" });
        }
        Ok(())
    }
}
