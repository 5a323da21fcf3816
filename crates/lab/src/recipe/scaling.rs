//! The figure of reasoning performance over the compute of training: settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, MetricSource};

use crate::error::LabError;
use crate::recipe::stage::{Stage, Training};

/// Stages whose answers after chains are shown over the compute of their training (GREAM, figure 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingConfig {
    /// Names of supervised stages that reason, at least three: trainings of growing size from one start.
    pub stages: Vec<String>,
    /// A column of drawn answers that `evaluate.metrics` names, such as `Avg(Pass@1/5/10)`.
    #[schemars(with = "String")]
    pub metric: Metric,
}

impl ScalingConfig {
    /// Accepts stages of supervised training that are `tested` with reasoning, and one of the `columns` of drawn
    /// answers.
    pub(crate) fn check(
        &self,
        columns: &[Metric],
        stages: &[Stage],
        tested: impl Fn(&Stage) -> bool,
    ) -> Result<(), LabError> {
        let refuse = |field: &str, found: String, needed| {
            Err(LabError::Setting { field: format!("evaluate.scaling.{field}"), found, needed })
        };
        let fits = |name: &String| {
            let mut of_name = stages.iter().filter(|stage| stage.name == *name);
            of_name.any(|stage| matches!(stage.training, Training::Sft(_)) && tested(stage))
        };
        if let Some(name) = self.stages.iter().find(|name| !fits(name)) {
            let needed = "supervised stages that are tested by `[evaluate.reasoning]`";
            return refuse("stages", format!("with `{name}`"), needed);
        }
        let twice = |(index, name): (usize, &String)| self.stages[..index].contains(name);
        if self.stages.len() < 3 || self.stages.iter().enumerate().any(twice) {
            let needed =
                "at least three stages, each once, because a line passes through any two points";
            return refuse("stages", format!("[{}]", self.stages.join(", ")), needed);
        }
        if self.metric.source() != MetricSource::Draws || !columns.contains(&self.metric) {
            let needed = "a metric of drawn answers that `evaluate.metrics` names";
            return refuse("metric", format!("`{}`", self.metric), needed);
        }
        Ok(())
    }
}
