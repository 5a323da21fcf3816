//! The candidates that prompts show: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_data::NegativeKind;
use sidereal_prompts::{Task, Variable};

use crate::error::LabError;
use crate::pool_task::shows_pool;
use crate::recipe::learned::tasks_of;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// The candidates that prompts show, and the test over them.
///
/// A pool follows from the run's seed and the sample alone: it is the same in every stage, epoch and
/// paraphrase. It holds the target once, at a place by chance, and items that the user never chose
/// before, none with the target's Semantic ID, none untitled and no two of one title: an item whose
/// title a pool has already is passed over when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidatePools {
    /// Candidates of a prompt, the target among them. Range `2..`.
    pub size: usize,
    /// Titles of a slate, for tasks that ask for one. Range `1..=size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slate_size: Option<usize>,
    /// How the others are drawn.
    #[serde(default = "random")]
    pub negatives: NegativeKind,
    /// Test users, drawn by seed; all where there are no more. Range `1..`.
    pub users: usize,
}

const fn random() -> NegativeKind {
    NegativeKind::Random
}

/// Accepts pools that are used, by stages that all have the same.
pub(crate) fn check(pool: Option<&CandidatePools>, stages: &[Stage]) -> Result<(), LabError> {
    let refuse = |field: &str, found: String, needed| {
        Err(LabError::Setting { field: field.to_owned(), found, needed })
    };
    let named: Vec<Task> = stages.iter().flat_map(tasks_of).collect();
    let used = named.iter().any(|task| shows_pool(*task));
    let slates = named.iter().any(|task| task.inputs().contains(&Variable::SlateSize));
    match pool {
        None if used => {
            let needed = "settings, for tasks that show candidates";
            return refuse("pool", "missing".to_owned(), needed);
        }
        Some(_) if !used => {
            let needed = "a stage whose task, or one of its mixture, shows candidates";
            return refuse("pool", "without use".to_owned(), needed);
        }
        Some(pool) if pool.size < 2 => {
            return refuse("pool.size", pool.size.to_string(), "at least 2");
        }
        Some(CandidatePools { slate_size: None, .. }) if slates => {
            let needed = "titles of a slate, for tasks that ask for one";
            return refuse("pool.slate_size", "missing".to_owned(), needed);
        }
        Some(CandidatePools { slate_size: Some(found), .. }) if !slates => {
            let needed = "a stage that asks for slates, or learns them";
            return refuse("pool.slate_size", found.to_string(), needed);
        }
        Some(CandidatePools { slate_size: Some(found), size, .. })
            if !(1..=*size).contains(found) =>
        {
            return refuse("pool.slate_size", found.to_string(), "1 to `pool.size`");
        }
        Some(pool) => check_counts(&[("pool.users", pool.users)])?,
        None => {}
    }
    let divided = |stage: &&Stage| stage.domains.is_some() && tasks_of(stage).any(shows_pool);
    if let Some(stage) = stages.iter().find(divided) {
        let found =
            stage.domains.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let needed = "nothing: a pool is the same in every stage";
        return refuse(&format!("stage.{}.domains", stage.name), found, needed);
    }
    Ok(())
}
