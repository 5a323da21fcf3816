//! Alignment tasks among the prompts of reinforcement.

use serde::{Deserialize, Serialize};
use sidereal_prompts::{Task, Variable};

use super::RlConfig;
use crate::TrainError;

/// A task that a share of the prompts asks for, instead of the next item: alignment in the reinforcement of
/// SINGER (§3.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlignmentShare {
    /// The task, such as `title-to-sid`. Its answer is a Semantic ID of the catalogue.
    pub task: Task,
    /// Its share of all prompts. Range `(0, 1]`.
    pub share: f64,
}

/// Whether a task is answered by one Semantic ID of the whole catalogue.
fn is_answered_by_a_sid(task: Task) -> bool {
    task != Task::NextItem && task.outputs() == [Variable::Sid]
}

impl RlConfig {
    /// Share of the prompts that ask for an alignment task, from 0 to 1.
    #[must_use]
    pub fn alignment_share(&self) -> f64 {
        self.alignment.iter().map(|of_task| of_task.share).sum()
    }

    /// Accepts tasks that can be aligned by, each once, with shares that fit together.
    pub(super) fn check_alignment(&self) -> Result<(), TrainError> {
        let refuse = |field: &str, found: String, needed| {
            let field = format!("rl.alignment{field}");
            Err(TrainError::Setting { field, found, needed })
        };
        for (place, AlignmentShare { task, share }) in self.alignment.iter().enumerate() {
            if !is_answered_by_a_sid(*task) {
                let needed = "tasks that a Semantic ID answers, besides `next-item`";
                return refuse(".task", format!("`{task}`"), needed);
            }
            if self.alignment[..place].iter().any(|before| before.task == *task) {
                return refuse(".task", format!("`{task}` twice"), "each task once");
            }
            if !(*share > 0.0 && *share <= 1.0) {
                let needed = "a share above 0, up to 1; leave a task out that has no prompts";
                return refuse(".share", share.to_string(), needed);
            }
        }
        let sum = self.alignment_share();
        // A sum of rounded shares may be a little above one.
        if sum > 1.0 + 1e-9 {
            return refuse("", format!("{sum} in total"), "shares of at most 1 together");
        }
        Ok(())
    }
}
