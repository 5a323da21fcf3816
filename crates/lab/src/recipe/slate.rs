//! Slates out of the whole catalogue: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, MetricSource};
use sidereal_prompts::Task;

use crate::error::LabError;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::learned::tasks_of;
use crate::recipe::pool::CandidatePools;
use crate::recipe::stage::Stage;
use crate::setting::check_counts;

/// The largest cut-off of the columns that a recipe has if it names none.
const DEFAULT_CUT_OFF: usize = 10;

/// Slates of the task `catalogue-slate`, in a recipe whose prompts show no candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlateConfig {
    /// Items of a slate, at least as many as the largest cut-off of `evaluate.metrics`. Range `1..`.
    pub size: usize,
}

/// Items of a slate, where the recipe has slates.
pub(crate) fn size(slate: Option<SlateConfig>, pool: Option<&CandidatePools>) -> Option<usize> {
    slate.map(|slate| slate.size).or_else(|| pool.and_then(|pool| pool.slate_size))
}

/// Accepts a size if a stage asks for slates of the catalogue, and one that fills the columns of the tables.
pub(crate) fn check(
    slate: Option<SlateConfig>,
    pool: Option<&CandidatePools>,
    evaluate: &EvaluateConfig,
    stages: &[Stage],
) -> Result<(), LabError> {
    let refuse = |field: &str, found: String, needed| {
        Err(LabError::Setting { field: field.to_owned(), found, needed })
    };
    let asked = stages.iter().flat_map(tasks_of).any(|task| task == Task::CatalogueSlate);
    match (slate, pool) {
        (None, None) if asked => {
            let needed =
                "a table `[slate]` with a size, because a stage has the task `catalogue-slate`";
            return refuse("slate", "missing".to_owned(), needed);
        }
        (Some(_), Some(_)) => {
            let needed = "nothing beside `[pool]`, whose `slate_size` all slates have";
            return refuse("slate", "a table".to_owned(), needed);
        }
        (Some(_), None) if !asked => {
            let needed = "a stage with the task `catalogue-slate`; without one, remove `[slate]`";
            return refuse("slate", "set but not used".to_owned(), needed);
        }
        (Some(SlateConfig { size }), None) => check_counts(&[("slate.size", size)])?,
        _ => {}
    }
    let answers = stages.iter().any(|stage| stage.task == Task::CatalogueSlate);
    let size = size(slate, pool).unwrap_or_default();
    if answers && size < largest(evaluate) {
        let field = if slate.is_some() { "slate.size" } else { "pool.slate_size" };
        let needed = "at least the largest cut-off of `evaluate.metrics` and `evaluate.targets`: a slate is the \
                      whole answer";
        return refuse(field, size.to_string(), needed);
    }
    Ok(())
}

/// The largest cut-off over answers without reasoning.
fn largest(evaluate: &EvaluateConfig) -> usize {
    let of_metric = |metric: &Metric| metric.cut_off().map_or(0, std::num::NonZeroUsize::get);
    let columns = evaluate.metrics.as_ref().map_or(DEFAULT_CUT_OFF, |metrics| {
        let shown = metrics.iter().filter(|metric| metric.source() != MetricSource::Draws);
        shown.map(of_metric).max().unwrap_or_default()
    });
    let targets = evaluate.targets.iter().flat_map(|targets| &targets.cut_offs).map(|k| k.get());
    targets.max().unwrap_or_default().max(columns)
}
