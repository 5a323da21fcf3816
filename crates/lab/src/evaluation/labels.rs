//! Label prediction: the AUC of the stages, beside the share of each item's training events with the behaviour.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_data::SampleId;
use sidereal_metrics::auc;
use sidereal_page::Table;

use super::stage_answers::StageAnswers;
use crate::error::LabError;
use crate::recipe::evaluate::EvaluateLabels;
use crate::workbench::Workbench;

/// The name of the share of an item's training events that have the behaviour.
const SHARE_OF_ITEM: &str = "share of the item";

/// How well a system tells events with a behaviour from those without it (`RecIF-Bench`'s label prediction,
/// table 3 of SAGE).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LabelRow {
    /// The stage's label, or the baseline's name.
    pub system: String,
    /// Events of the test.
    pub events: usize,
    /// Those with the behaviour.
    pub positives: usize,
    /// Probability that an event with the behaviour scores above one without it, ties one half; in `[0, 1]`.
    pub auc: f64,
}

/// A row of the baseline, and of every stage that predicts labels.
pub(crate) fn rows(
    bench: &Workbench<'_>,
    config: &EvaluateLabels,
    answers: &[StageAnswers<'_>],
) -> Result<Vec<LabelRow>, LabError> {
    let row = |system: &str, found: &[(f64, bool)]| {
        let (scores, labels): (Vec<f64>, Vec<bool>) = found.iter().copied().unzip();
        let positives = labels.iter().filter(|label| **label).count();
        let auc = auc(&scores, &labels)?;
        Ok::<_, LabError>(LabelRow {
            system: system.to_owned(),
            events: found.len(),
            positives,
            auc,
        })
    };
    let mut rows = Vec::new();
    for answered in answers {
        let Some(labels) = &answered.labels else { continue };
        let labels = &labels.value;
        if rows.is_empty() {
            let shares = shares(bench, &config.behaviour);
            let of_event = |id: SampleId| -> Option<f64> {
                let SampleId::Event { user, position } = id else { return None };
                let item = bench.dataset.user(user)?.events.get(position as usize)?;
                shares.get(item.index()).copied()
            };
            let found = labels.iter().filter_map(|it| Some((of_event(it.id)?, it.label)));
            rows.push(row(SHARE_OF_ITEM, &found.collect::<Vec<_>>())?);
        }
        let found: Vec<(f64, bool)> = labels.iter().map(|it| (it.probability, it.label)).collect();
        rows.push(row(&answered.stage.label, &found)?);
    }
    Ok(rows)
}

/// For each item the share of its training events with the behaviour, of one event more with and one without it.
fn shares(bench: &Workbench<'_>, behaviour: &str) -> Vec<f64> {
    let mut counts = vec![[1.0, 2.0]; bench.dataset.num_items()];
    let place = bench.dataset.behaviour(behaviour);
    for sequence in bench.split.train.sequences() {
        let user = bench.dataset.user(sequence.user);
        for (at, item) in sequence.events.iter().enumerate() {
            let labels = user.map(|user| user.labels_of(at)).unwrap_or_default();
            let held = place.is_some_and(|place| labels.contains(place));
            let [with, all] = &mut counts[item.index()];
            *with += f64::from(u8::from(held));
            *all += 1.0;
        }
    }
    counts.into_iter().map(|[with, all]| with / all).collect()
}

/// The rows as a table.
pub(crate) fn table(rows: &[LabelRow]) -> Table {
    let text = |row: &LabelRow| {
        let LabelRow { system, events, positives, auc } = row;
        vec![system.clone(), events.to_string(), positives.to_string(), format!("{auc:.4}")]
    };
    Table {
        caption: "Label prediction".to_owned(),
        header: ["system", "events", "with the behaviour", "AUC"].map(String::from).into(),
        rows: rows.iter().map(text).collect(),
        notes: Vec::new(),
    }
}

impl fmt::Display for LabelRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, events, positives, auc } = self;
        write!(f, "{system}: AUC {auc:.4} over {events} events, {positives} with the behaviour")
    }
}
