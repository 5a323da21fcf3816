//! How the policies of a run are tested: settings.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_metrics::Metric;
use sidereal_train::ChainConfig;

use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::recipe::learned::reasons;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// How policies are tested on held-out users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Beams of a user. Range `1..`.
    pub beam_width: usize,
    /// Users decoded together. Range `1..`.
    pub batch_size: usize,
    /// Users, drawn by seed, on which training validates itself. Range `1..`.
    pub valid_users: usize,
    /// Resamples of the bootstrap, from which intervals and tests come. Range `1..`.
    pub resamples: usize,
    /// Labels of stages, or names of recommenders, with which every stage is compared in pairs,
    /// besides the one that it starts from.
    #[serde(default)]
    pub compare_with: Vec<String>,
    /// Test of the stages that reason before they answer; without it they are tested as they answer
    /// directly, like all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<EvaluateReasoning>,
}

impl EvaluateConfig {
    /// Accepts settings with which a test is possible.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("evaluate.beam_width", self.beam_width),
            ("evaluate.batch_size", self.batch_size),
            ("evaluate.valid_users", self.valid_users),
            ("evaluate.resamples", self.resamples),
        ])?;
        self.reasoning.as_ref().map_or(Ok(()), EvaluateReasoning::check)
    }

    /// Rejects a test with reasoning if no stage reasons.
    pub(crate) fn check_stages(&self, stages: &[Stage]) -> Result<(), LabError> {
        if self.reasoning.is_none()
            || stages.iter().any(|stage| self.tests_reasoning(stage, stages))
        {
            return Ok(());
        }
        Err(LabError::Setting {
            field: "evaluate.reasoning".to_owned(),
            found: "set but not used".to_owned(),
            needed: "a stage that learns to reason; without one, remove `[evaluate.reasoning]`",
        })
    }

    /// Whether the policy of a stage is also tested with reasoning.
    pub(crate) fn tests_reasoning(&self, stage: &Stage, stages: &[Stage]) -> bool {
        self.reasoning.is_some() && !is_over_pool(stage.task) && reasons(stage, stages)
    }

    /// The fixed values of a blank recipe.
    pub(crate) const fn blank() -> Self {
        Self {
            beam_width: 1,
            batch_size: 1,
            valid_users: 1,
            resamples: 1,
            compare_with: Vec::new(),
            reasoning: None,
        }
    }
}

/// The test of policies that reason before they answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateReasoning {
    /// The number of test users, drawn by seed; all users if there are fewer. Range `1..`.
    pub users: usize,
    /// Chains per user, and the same number of draws without reasoning. It is the largest `k` of `Pass@k`.
    /// Range `1..`.
    pub chains: usize,
    /// Beams after each chain. Range `1..`.
    pub beam_width: usize,
    /// How chains and answers are drawn.
    #[serde(default)]
    pub chain: ChainConfig,
}

impl EvaluateReasoning {
    /// Accepts settings with which a test is possible.
    fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("evaluate.reasoning.users", self.users),
            ("evaluate.reasoning.chains", self.chains),
            ("evaluate.reasoning.beam_width", self.beam_width),
        ])?;
        Ok(self.chain.check("evaluate.reasoning.chain")?)
    }

    /// Chains of a user.
    pub(crate) fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.chains).unwrap_or(NonZeroUsize::MIN)
    }

    /// `Pass@k` for the powers of two up to the chains, and for all chains.
    pub(crate) fn passes(&self) -> Vec<Metric> {
        let powers = (0..usize::BITS).map(|power| 1 << power).take_while(|k| *k < self.chains);
        powers.chain([self.chains]).filter_map(NonZeroUsize::new).map(Metric::Pass).collect()
    }
}
