//! What policies write freely about the next item: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_prompts::Task;

use crate::error::LabError;
use crate::setting::check_counts;

/// The test of what policies write about the next item (SINGER, figure 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateWritten {
    /// What is asked: `sid-history-to-title`, as in the paper, or `title-history-to-title`.
    #[serde(default = "from_codes")]
    #[schemars(extend("default" = "sid-history-to-title"))]
    pub task: Task,
    /// The number of test users, drawn by seed; all users if there are fewer. Range `1..`.
    pub users: usize,
    /// The most tokens of a text. Range `1..`.
    pub budget: usize,
}

const fn from_codes() -> Task {
    Task::SidHistoryToTitle
}

impl EvaluateWritten {
    /// Accepts settings with which a test is possible.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[
            ("evaluate.written.users", self.users),
            ("evaluate.written.budget", self.budget),
        ])?;
        if matches!(self.task, Task::SidHistoryToTitle | Task::TitleHistoryToTitle) {
            return Ok(());
        }
        Err(LabError::Setting {
            field: "evaluate.written.task".to_owned(),
            found: format!("`{}`", self.task),
            needed: "`sid-history-to-title` or `title-history-to-title`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_titles_of_the_next_item_are_asked_for() {
        let text = "users = 3\nbudget = 8\n";
        let config: EvaluateWritten = toml::from_str(text).unwrap();
        config.check().unwrap();
        assert_eq!(config.task, Task::SidHistoryToTitle);
        for (from, to, field) in [
            ("users = 3", "users = 0", "evaluate.written.users"),
            ("budget = 8", "budget = 0", "evaluate.written.budget"),
            ("budget = 8", "budget = 8\ntask = 'next-item'", "evaluate.written.task"),
        ] {
            let config: EvaluateWritten = toml::from_str(&text.replace(from, to)).unwrap();
            assert!(config.check().unwrap_err().to_string().contains(field), "{to}");
        }
    }
}
