//! Watching a run: records, the JSON-lines log, `TensorBoard`, progress bars.

mod bars;
mod json_log;
mod tensor_board;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sidereal_data::SampleId;

pub use self::bars::Bars;
pub use self::json_log::JsonLog;
pub use self::tensor_board::TensorBoard;

/// What a stage did up to a step: one line of the log.
///
/// Values by name. SFT: `loss` (mean −log p of the learned tokens of the step, nats), `lr`,
/// `grad_norm` (before clipping), `epoch`, at an epoch's end `valid_loss`; of decoders `flops` (floating-point
/// operations of the step) and `flops_total` (of all steps up to this one), see
/// [`DecoderConfig::training_flops`](sidereal_policy::DecoderConfig::training_flops). RL, over the groups that
/// dynamic sampling kept: `reward` (mean over rollouts), `hit` (share of unguided groups with the target),
/// `hard` (share without), `guide` (codes given to hard samples), `live` (share of groups whose rewards
/// differ), `live_hard` (the same of hard ones), `rewarded` (share of rollouts whose reward is not zero, those after
/// guides in place of those before: figure 1b of SINGER), `unguided` (with `prefix_cap = "whole"`, share of the hard groups that have no guide because it would be
/// the whole target), `entropy` (nats a scored token), `distinct`
/// (share of rollouts that are the first of their Semantic ID in the group), `kl` (nats a token,
/// towards the reference), `rollouts`, `lr`, `grad_norm`, `rewards_p10`, `rewards_p50`, `rewards_p90` (deciles over
/// rollouts), `reward_NAME` (mean of a part of the reward); with reasoning `chain_len` (mean tokens drawn of a chain), `unclosed` (share of chains that
/// did not close by themselves), `legal` (share of the answers after chains that are an item of the catalogue); `drawn` (groups, with dynamic sampling); with several updates a step `ratio` (mean),
/// `old_kl` (nats a token), `clip_low`, `clip_high` (shares); where items have categories `diversity` (mean
/// over rollouts of the entropy of a slate's categories, or of those of a group of single items; nats: SAGE,
/// figure 4b), with SAGE also `diversity_target` (its mean before the step); of exact gradients, and of others where they are asked for, `exact_reward`,
/// `exact_entropy` and `exact_kl` (means over the step's prompts of the reward expected over all answers, of the entropy
/// over them, and of the divergence from the reference, nats an answer). Preferences: `loss` (nats a pair),
/// `won` (share of pairs in which the chosen answer leads), `margin` (of implicit rewards),
/// `chosen_logp` and `rejected_logp` (mean log-probability of a chosen and of a rejected answer, nats),
/// `lr`, `grad_norm`. Next items: `loss` (nats an item), `lr`, `grad_norm`, `epoch`, at an epoch's end
/// `valid_ndcg_unseen` (NDCG@10 without the items that a user has seen). `valid_ndcg` (NDCG@10) where it is
/// measured. With it, of reinforcement and preferences, over the validation lists: `valid_entropy` (mean entropy of the
/// categories of the first ten items, nats), `valid_cold` (mean share of cold items among them; SAGE, figure 4a), and
/// `valid_cold_mass` (mean probability of all cold items together, where a policy knows it exactly).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Stage that reports.
    pub stage: String,
    /// Step, from 1; 0 is the policy before training.
    pub step: usize,
    /// Steps of the whole stage.
    pub total: usize,
    /// Named values.
    #[serde(with = "crate::number::map")]
    pub values: BTreeMap<String, f64>,
    /// In RL, for some steps: the rollouts of a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollouts: Option<ShownGroup>,
}

/// Some rollouts of a prompt, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownGroup {
    /// Which sample.
    pub id: SampleId,
    /// The prompt that was read.
    pub prompt: String,
    /// The Semantic ID of the target.
    pub target: String,
    /// The rollouts.
    pub rollouts: Vec<ShownRollout>,
}

/// A rollout as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownRollout {
    /// Chain, if any, and answer.
    pub text: String,
    /// Its reward.
    #[serde(with = "crate::number")]
    pub reward: f64,
    /// Whether it names the target, or lists it.
    #[serde(default)]
    pub hit: bool,
}

impl Record {
    /// A record without values.
    #[must_use]
    pub fn new(stage: &str, step: usize, total: usize) -> Self {
        let stage = stage.to_owned();
        Self { stage, step, total, values: BTreeMap::new(), rollouts: None }
    }

    /// The record with one more value.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }
}

/// Receives the events of a run.
pub trait Observer {
    /// A step of training was done, or the policy before training was validated.
    fn on_record(&mut self, record: &Record);

    /// Training goes on after `step` of `stage`. Later records will come again; if `step` is 0, all
    /// of them.
    fn on_resume(&mut self, stage: &str, step: usize) {
        let _ = (stage, step);
    }

    /// A long job of `total` units advanced to `done`; `done == total` ends it.
    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        let _ = (job, unit, done, total);
    }
}

impl<F: FnMut(&Record)> Observer for F {
    fn on_record(&mut self, record: &Record) {
        self(record);
    }
}

/// Passes every event on to both observers.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on_record(&mut self, record: &Record) {
        self.0.on_record(record);
        self.1.on_record(record);
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.0.on_resume(stage, step);
        self.1.on_resume(stage, step);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.0.on_progress(job, unit, done, total);
        self.1.on_progress(job, unit, done, total);
    }
}
