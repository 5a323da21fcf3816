//! General ability of the stages, on exercises that no stage learned, before and after each training.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Bootstrap, Interval, PairedTest};
use sidereal_page::Table;

use super::stage_answers::StageAnswers;
use crate::error::LabError;
use crate::recipe::stage::{Stage, Training};

/// The share of exercises that the policy of a stage solved (SIDReasoner, table 4, has MMLU, `IFEval` and
/// `GSM8K` instead).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExerciseRow {
    /// The stage's label.
    pub system: String,
    /// Exercises.
    pub count: usize,
    /// Share that was solved.
    pub solved: f64,
    /// Its interval.
    pub interval: Interval,
    /// The label of the stage that it starts from, or of an untrained stage, and the difference to it over the same
    /// exercises; `None` without such a stage.
    pub before: Option<(String, PairedTest)>,
}

/// A row of every stage that was given exercises.
pub(crate) fn rows(
    stages: &[Stage],
    answers: &[StageAnswers<'_>],
    bootstrap: &Bootstrap,
) -> Result<Vec<ExerciseRow>, LabError> {
    let solved = |stage: &Stage| -> Option<Vec<f64>> {
        let answered = answers.iter().find(|answered| answered.stage.name == stage.name)?;
        let exercises = &answered.exercises.as_ref()?.value;
        Some(exercises.iter().map(|answer| f64::from(u8::from(answer.right))).collect())
    };
    let mut rows = Vec::new();
    for stage in stages {
        let Some(values) = solved(stage) else { continue };
        let start = start_of(stage, stages);
        let before = match start.and_then(|start| Some((start, solved(start)?))) {
            Some((start, earlier)) => {
                Some((start.label.clone(), bootstrap.paired(&values, &earlier)?))
            }
            None => None,
        };
        rows.push(ExerciseRow {
            system: stage.label.clone(),
            count: values.len(),
            solved: values.iter().sum::<f64>() / values.len() as f64,
            interval: bootstrap.interval(&values)?,
            before,
        });
    }
    Ok(rows)
}

/// The stage that another starts from. One that starts from the model as it begins starts from an untrained
/// stage of it, if the recipe has one.
fn start_of<'s>(stage: &Stage, stages: &'s [Stage]) -> Option<&'s Stage> {
    let untrained =
        |other: &&Stage| other.from.is_none() && matches!(other.training, Training::Untrained(_));
    let start = match &stage.from {
        Some(from) => stages.iter().find(|other| other.name == *from),
        None => stages.iter().find(untrained),
    };
    start.filter(|start| start.name != stage.name)
}

/// The rows as a table.
pub(crate) fn table(rows: &[ExerciseRow]) -> Table {
    let text = |row: &ExerciseRow| {
        let Interval { low, high, .. } = row.interval;
        let solved = format!("{:.4} [{low:.4}, {high:.4}]", row.solved);
        let difference = row.before.as_ref().map_or_else(
            || ["-".to_owned(), "-".to_owned()],
            |(label, test)| {
                let Interval { low, high, .. } = test.interval;
                let text = format!("{:+.4} [{low:+.4}, {high:+.4}]", test.difference);
                [format!("{text} ({label})"), format!("{:.3}", test.p_value)]
            },
        );
        [row.system.clone(), row.count.to_string(), solved].into_iter().chain(difference).collect()
    };
    Table {
        caption: "General ability: exercises that no stage learned".to_owned(),
        header: ["system", "exercises", "solved", "minus its start", "p"].map(String::from).into(),
        rows: rows.iter().map(text).collect(),
        notes: Vec::new(),
    }
}

impl fmt::Display for ExerciseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.4} of {} exercises solved", self.system, self.solved, self.count)?;
        match &self.before {
            Some((label, test)) => {
                write!(f, ", {:+.4} after {label} (p = {:.3})", test.difference, test.p_value)
            }
            None => Ok(()),
        }
    }
}
