//! General ability of the stages, on exercises that no stage learned, before and after each training.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Bootstrap, Interval, PairedTest};
use sidereal_page::Table;
use sidereal_prompts::AbilityKind;

use super::stage_answers::StageAnswers;
use crate::error::LabError;
use crate::parts::exercises::ExerciseAnswer;
use crate::recipe::stage::{Stage, Training};

/// The share of exercises that the policy of a stage solved (SIDReasoner, table 4, has MMLU, `IFEval` and
/// `GSM8K` instead).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExerciseRow {
    /// The stage's label.
    pub system: String,
    /// The kind of exercise; `None` for all kinds together, if there are several.
    #[serde(default)]
    pub kind: Option<AbilityKind>,
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

/// Rows of every stage that was given exercises: one for each kind, and one for all if there are several.
pub(crate) fn rows(
    stages: &[Stage],
    answers: &[StageAnswers<'_>],
    bootstrap: &Bootstrap,
) -> Result<Vec<ExerciseRow>, LabError> {
    let answers_of = |stage: &Stage| -> Option<&Vec<ExerciseAnswer>> {
        let answered = answers.iter().find(|answered| answered.stage.name == stage.name)?;
        Some(&answered.exercises.as_ref()?.value)
    };
    let solved = |stage: &Stage, kind: Option<AbilityKind>| -> Option<Vec<f64>> {
        let asked = answers_of(stage)?.iter();
        let asked = asked.filter(|answer| kind.is_none_or(|kind| answer.kind == kind));
        Some(asked.map(|answer| f64::from(u8::from(answer.right))).collect())
    };
    let mut rows = Vec::new();
    for stage in stages {
        let Some(answered) = answers_of(stage) else { continue };
        let start = start_of(stage, stages);
        for kind in kinds_of(answered) {
            let Some(values) = solved(stage, kind) else { continue };
            let before = match start.and_then(|start| Some((start, solved(start, kind)?))) {
                Some((start, earlier)) => {
                    Some((start.label.clone(), bootstrap.paired(&values, &earlier)?))
                }
                None => None,
            };
            rows.push(ExerciseRow {
                system: stage.label.clone(),
                kind,
                count: values.len(),
                solved: values.iter().sum::<f64>() / values.len() as f64,
                interval: bootstrap.interval(&values)?,
                before,
            });
        }
    }
    Ok(rows)
}

/// The kinds of these exercises, and all together if there are several.
fn kinds_of(answers: &[ExerciseAnswer]) -> Vec<Option<AbilityKind>> {
    let kinds: BTreeSet<AbilityKind> = answers.iter().map(|answer| answer.kind).collect();
    let all = (kinds.len() > 1).then_some(None);
    kinds.into_iter().map(Some).chain(all).collect()
}

/// The stage that another starts from. One that starts from the model as it begins starts from an untrained
/// stage of it, if the recipe has one.
fn start_of<'s>(stage: &Stage, stages: &'s [Stage]) -> Option<&'s Stage> {
    let untrained = |other: &&Stage| {
        let same_model = other.from.is_none() && other.from_scratch == stage.from_scratch;
        same_model && matches!(other.training, Training::Untrained(_))
    };
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
        let kind = row.kind.map_or_else(|| "all".to_owned(), |kind| kind.to_string());
        let shown = [row.system.clone(), kind, row.count.to_string(), solved];
        shown.into_iter().chain(difference).collect()
    };
    Table {
        caption: "General ability: exercises that no stage learned".to_owned(),
        header: ["system", "kind", "exercises", "solved", "minus its start", "p"]
            .map(String::from)
            .into(),
        rows: rows.iter().map(text).collect(),
        notes: Vec::new(),
    }
}

impl fmt::Display for ExerciseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or_else(|| "all".to_owned(), |kind| kind.to_string());
        write!(f, "{}: {:.4} of {} exercises solved", self.system, self.solved, self.count)?;
        write!(f, " ({kind})")?;
        match &self.before {
            Some((label, test)) => {
                write!(f, ", {:+.4} after {label} (p = {:.3})", test.difference, test.p_value)
            }
            None => Ok(()),
        }
    }
}
