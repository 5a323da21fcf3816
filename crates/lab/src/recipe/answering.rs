//! How a stage that trains nothing answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// How a stage answers with titles of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answering {
    /// A beam search under the trie of all titles.
    #[default]
    Search,
    /// A beam search that is also led by an assistant which reads no text (D³).
    Assisted(AssistedConfig),
    /// A title is written freely, and items are ranked by the distance of their titles to it (`BIGRec`).
    Grounded(GroundedConfig),
}

/// Settings of a search with an assistant, which is item transitions here.
///
/// ```text
/// score(title) = Σ over its tokens of  α · log p(token) + (1 − α) · log q(token)
/// q(token) = what the assistant gives to the items that go on with the token, as a share of what it gives to all
///            items that begin as the answer does
/// ```
/// There is no length normalisation, so tokens that follow by necessity (ghost tokens) do not raise the score of
/// long titles. D³: Bao and others, *Decoding Matters*, [arXiv:2406.14900](https://arxiv.org/abs/2406.14900).
/// Deviation: the paper's assistant is a `SASRec`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AssistedConfig {
    /// Weight of the policy. Range `(0, 1]`; 1 is the search without the assistant.
    pub alpha: f64,
    /// The share of its probability that the assistant spreads evenly over all items. Range `(0, 1)`.
    pub floor: f64,
}

impl Default for AssistedConfig {
    /// α between those that SINGER chooses from, 0.8, 0.9 and 1.
    fn default() -> Self {
        Self { alpha: 0.9, floor: 0.05 }
    }
}

/// Settings of free answers that are grounded to items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroundedConfig {
    /// Most tokens of an answer. Range `1..`.
    pub budget: usize,
    /// Weight of popularity: the scaled distance is divided by `(1 + scaled popularity)^popularity`. Range `[0, ∞)`.
    pub popularity: f32,
}

impl Default for GroundedConfig {
    /// Distances alone.
    fn default() -> Self {
        Self { budget: 32, popularity: 0.0 }
    }
}

impl Answering {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
    pub(crate) fn is_search(&self) -> bool {
        *self == Self::Search
    }

    /// Accepts settings with which a policy can answer.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        let refuse = |field: &str, found: String, needed| {
            let field = format!("untrained.answering.{field}");
            Err(LabError::Setting { field, found, needed })
        };
        match self {
            Self::Search => Ok(()),
            Self::Assisted(AssistedConfig { alpha, floor }) => {
                if !(*alpha > 0.0 && *alpha <= 1.0) {
                    return refuse("assisted.alpha", alpha.to_string(), "above 0 and at most 1");
                }
                if !(*floor > 0.0 && *floor < 1.0) {
                    return refuse("assisted.floor", floor.to_string(), "above 0 and below 1");
                }
                Ok(())
            }
            Self::Grounded(GroundedConfig { budget, popularity }) => {
                if *budget == 0 {
                    return refuse("grounded.budget", "0".to_owned(), "at least 1");
                }
                if !(*popularity >= 0.0 && popularity.is_finite()) {
                    let needed = "a finite number, 0 or more";
                    return refuse("grounded.popularity", popularity.to_string(), needed);
                }
                Ok(())
            }
        }
    }
}
