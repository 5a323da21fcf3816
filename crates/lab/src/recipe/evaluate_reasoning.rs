//! How the policies of a run that reason are tested: settings.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_train::{AnswerForm, ChainConfig};

use crate::error::LabError;
use crate::setting::check_counts;

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
    /// How the answers of `Pass@k` after chains are drawn: under the trie, or freely with their chains. Rankings
    /// after chains, and answers without reasoning, are found under the trie in any case.
    #[serde(default, skip_serializing_if = "is_constrained")]
    #[schemars(extend("default" = "constrained"))]
    pub answer: AnswerForm,
    /// Which chains the ranking of a user comes after.
    #[serde(default, skip_serializing_if = "is_merged")]
    #[schemars(extend("default" = "merged"))]
    pub ranking: RankedAfter,
}

/// Which chains a ranking comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RankedAfter {
    /// All chains that are drawn: the probability of an answer is the mean over them.
    #[default]
    Merged,
    /// One further chain, of the most probable tokens (`SIDReasoner`'s public test).
    Greedy,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_merged(ranking: &RankedAfter) -> bool {
    *ranking == RankedAfter::Merged
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_constrained(answer: &AnswerForm) -> bool {
    *answer == AnswerForm::Constrained
}

impl EvaluateReasoning {
    /// Accepts settings with which a test is possible.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("evaluate.reasoning.users", self.users),
            ("evaluate.reasoning.chains", self.chains),
            ("evaluate.reasoning.beam_width", self.beam_width),
        ])?;
        self.chain.check("evaluate.reasoning.chain")?;
        let ChainConfig { words, codes, .. } = self.chain;
        if self.answer == AnswerForm::Free && codes != words {
            return Err(LabError::Setting {
                field: "evaluate.reasoning.chain.codes".to_owned(),
                found: format!("{codes:?}"),
                needed: "the values of `chain.words`, because a free text is drawn as one",
            });
        }
        Ok(())
    }

    /// Chains of a user.
    pub(crate) fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.chains).unwrap_or(NonZeroUsize::MIN)
    }
}

#[cfg(test)]
mod tests {
    use sidereal_policy::SamplingConfig;

    use super::*;

    #[test]
    fn free_answers_are_drawn_as_their_chains_are() {
        let codes = SamplingConfig::new(0.5).unwrap();
        let (chain, ranking) =
            (ChainConfig { codes, ..ChainConfig::default() }, RankedAfter::Merged);
        let checked = |answer| {
            EvaluateReasoning { users: 9, chains: 8, beam_width: 10, chain, answer, ranking }
                .check()
        };
        checked(AnswerForm::Constrained).unwrap();
        let error = checked(AnswerForm::Free).unwrap_err().to_string();
        assert!(error.contains("`evaluate.reasoning.chain.codes`"), "{error}");
        let text = "users = 9\nchains = 8\nbeam_width = 10";
        let plain: EvaluateReasoning = toml::from_str(text).unwrap();
        assert!(
            !toml::to_string(&plain).unwrap().contains("answer"),
            "as runs of earlier versions"
        );
    }
}
