//! The candidates that prompts show: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_data::NegativeKind;
use sidereal_prompts::{Task, Variable};

use crate::error::LabError;
use crate::pool_task::{answers_in_titles, is_over_pool, shows_pool};
use crate::recipe::learned::tasks_of;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// Candidates in prompts, and the test over them.
///
/// A pool depends only on the seed of the run and the sample, so it is the same in every stage, epoch
/// and paraphrase. It holds the target once, at a random place, and items that the user never chose
/// before; for slates also what the user chose next in training. None of them has the Semantic ID of
/// the target. In prompts with titles all have a title, and no two have the same title; in prompts with
/// Semantic IDs no two have the same Semantic ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidatePools {
    /// Candidates of a prompt, including the target. Range `2..`.
    pub size: usize,
    /// Items of a slate, for tasks with slates. Range `1..=size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slate_size: Option<usize>,
    /// How the other candidates are drawn.
    #[serde(default = "random")]
    pub negatives: NegativeKind,
    /// The number of test users, drawn by seed; all users if there are fewer. Range `1..`.
    pub users: usize,
}

const fn random() -> NegativeKind {
    NegativeKind::Random
}

/// Accepts pools if stages use them and all of these stages use the same.
pub(crate) fn check(pool: Option<&CandidatePools>, stages: &[Stage]) -> Result<(), LabError> {
    let refuse = |field: &str, found: String, needed| {
        Err(LabError::Setting { field: field.to_owned(), found, needed })
    };
    let named: Vec<Task> = stages.iter().flat_map(tasks_of).collect();
    let used = named.iter().any(|task| shows_pool(*task));
    let slates = named.iter().any(|task| task.inputs().contains(&Variable::SlateSize));
    match pool {
        None if used => {
            let needed = "a table `[pool]`, because a stage has a task that shows candidates";
            return refuse("pool", "missing".to_owned(), needed);
        }
        Some(_) if !used => {
            let needed = "a stage with a task that shows candidates; without one, remove `[pool]`";
            return refuse("pool", "set but not used".to_owned(), needed);
        }
        Some(pool) if pool.size < 2 => {
            return refuse("pool.size", pool.size.to_string(), "at least 2");
        }
        Some(CandidatePools { slate_size: None, .. }) if slates => {
            let needed = "a number of items, because a stage asks for slates";
            return refuse("pool.slate_size", "missing".to_owned(), needed);
        }
        Some(CandidatePools { slate_size: Some(found), .. }) if !slates => {
            let needed = "no value, because no stage asks for slates or learns them";
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
        let needed = "no value, because all stages share one pool";
        return refuse(&format!("stage.{}.domains", stage.name), found, needed);
    }
    let over_pools = || stages.iter().filter(|stage| is_over_pool(stage.task));
    let in_titles = over_pools().next().is_some_and(|stage| answers_in_titles(stage.task));
    if let Some(stage) = over_pools().find(|stage| answers_in_titles(stage.task) != in_titles) {
        let needed = "titles in all stages that answer from pools, or Semantic IDs in all of them, because \
                      their pools differ";
        return refuse(&format!("stage.{}.task", stage.name), format!("`{}`", stage.task), needed);
    }
    Ok(())
}
