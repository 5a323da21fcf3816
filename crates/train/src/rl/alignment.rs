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
    /// The task. Its answer is a Semantic ID of the catalogue, as of `title-to-sid`, or a title, as of
    /// `sid-to-title`. A title is drawn like a Semantic ID, under the trie of the titles of all items, and never
    /// after a guide. Its tokens are scored like all words, and it is worth 1 if it is the title of the target, else
    /// 0, whatever the reward of the stage.
    pub task: Task,
    /// Its share of all prompts. Range `(0, 1]`.
    pub share: f64,
}

/// What a prompt of reinforcement is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerKind {
    /// A Semantic ID of the catalogue, or a slate where the stage asks for slates.
    #[default]
    Sid,
    /// A title of an item of the catalogue.
    Title,
}

impl AnswerKind {
    /// What answers a task; `None` if it is something else, or one of the candidates of the prompt.
    #[must_use]
    pub fn of(task: Task) -> Option<Self> {
        match task.outputs() {
            _ if task.inputs().contains(&Variable::Candidates) => None,
            [Variable::Sid] => Some(Self::Sid),
            [Variable::Title] => Some(Self::Title),
            _ => None,
        }
    }
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
            if *task == Task::NextItem || AnswerKind::of(*task).is_none() {
                let needed =
                    "tasks that a Semantic ID or a title of any item answers, besides `next-item`";
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

    /// The alignment tasks that are answered with titles.
    pub fn tasks_in_titles(&self) -> impl Iterator<Item = Task> {
        let tasks = self.alignment.iter().map(|of_task| of_task.task);
        tasks.filter(|task| AnswerKind::of(*task) == Some(AnswerKind::Title))
    }
}
