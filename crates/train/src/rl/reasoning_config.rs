//! Settings of reinforcement with reasoning.

use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::free_answer::AnswerForm;
use crate::reasoning::ChainConfig;

/// Settings of reinforcement with reasoning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ReasoningConfig {
    /// Share of the prompts that are answered after reasoning. Range `(0, 1]`.
    pub share: f64,
    /// How chains and their answers are drawn.
    pub chain: ChainConfig,
    /// What the answer after a chain is that did not close.
    pub unclosed: Unclosed,
    /// How an answer after a chain is drawn: under the trie, or freely.
    pub answer: AnswerForm,
}

impl Default for ReasoningConfig {
    /// All prompts; answers under the trie, and none where the chain did not close.
    fn default() -> Self {
        Self {
            share: 1.0,
            chain: ChainConfig::default(),
            unclosed: Unclosed::default(),
            answer: AnswerForm::default(),
        }
    }
}

/// What the answer after a chain is that did not close by itself: its budget was spent, or it ended its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unclosed {
    /// None: it hits nothing, shares no level with the target and is no item of the catalogue (the public reward
    /// of `SIDReasoner`, which is 0 without `</think>`). What was drawn of the chain learns from that; the
    /// answer that was drawn after the forced close is dropped.
    #[default]
    Wrong,
    /// The answer that is drawn after the close that it is forced to, judged like any other.
    Answered,
}

impl ReasoningConfig {
    /// Accepts free answers that are drawn as their chains are, and none after chains that did not close.
    pub(super) fn check_answer(&self) -> Result<(), TrainError> {
        if self.answer == AnswerForm::Constrained {
            return Ok(());
        }
        let refuse = |field: &str, found: String, needed| {
            Err(TrainError::Setting { field: format!("rl.reasoning.{field}"), found, needed })
        };
        if self.unclosed != Unclosed::Wrong {
            let needed = "`wrong`, because a free text that does not close its chain has no answer";
            return refuse("unclosed", "`answered`".to_owned(), needed);
        }
        if self.chain.codes != self.chain.words {
            let needed = "the values of `chain.words`, because a free text is drawn as one";
            return refuse("chain.codes", format!("{:?}", self.chain.codes), needed);
        }
        Ok(())
    }
}
