//! The systems of the tables: their names, which of them are compared, and which are marked.

use std::collections::BTreeSet;

use sidereal_metrics::Note;

use super::tables::Tables;
use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::recipe::answering::Answering;
use crate::recipe::blend::BlendConfig;
use crate::recipe::stage::{Stage, Training};
use crate::recipe::untrained::UntrainedConfig;

/// The name of the recommender by popularity.
pub(crate) const POPULARITY: &str = "popularity";
/// The name of the heuristic that every stage is compared with.
pub(crate) const TRANSITIONS: &str = "item transitions";
/// The mark of a stage that returned the policy that it started from.
pub(crate) const AT_START: &str = "= its start";
/// What the mark means.
pub(crate) const WHY_AT_START: &str = "no step of the training was better on validation than the policy \
     that it started from, so the stage returned that policy.";
/// The mark of a stage that trains nothing.
const UNTRAINED: &str = "untrained";
/// What the mark means.
const WHY_UNTRAINED: &str = "the stage trains nothing; its policy is the one that it starts from.";

/// The mark of a stage whose search is led by an assistant.
const ASSISTED: &str = "assisted";
/// What the mark means.
const WHY_ASSISTED: &str = "the stage trains nothing; the policy that it starts from answers in a search \
     that item transitions lead besides, where D³ has a SASRec.";
/// The mark of a stage whose free answers are grounded.
const GROUNDED: &str = "grounded";
/// What the mark means.
const WHY_GROUNDED: &str = "the stage trains nothing; the policy that it starts from writes a title freely, \
     and items are ranked by the distance of their titles to it.";

/// The name of a system that reasons first.
pub(crate) fn with_reasoning(label: &str) -> String {
    format!("{label}, reasoning")
}

/// The name of a system that answers after the best of several chains.
pub(crate) fn after_best_chain(label: &str) -> String {
    format!("{label}, best chain")
}

/// The name of a system that ranks only the items of the user's domain.
pub(crate) fn in_domain(name: &str) -> String {
    format!("{name}, in the domain")
}

/// The name of a recommender that ranks pools.
pub(crate) fn pooled(name: &str) -> String {
    format!("{name}, in the pool")
}

/// Accepts systems to compare with if they exist: stages by their labels, recommenders by their
/// names.
pub(crate) fn check_compared(
    named: &[String],
    stages: &[Stage],
    references: &[&str],
) -> Result<(), LabError> {
    let known: Vec<&str> = [POPULARITY, TRANSITIONS]
        .into_iter()
        .chain(references.iter().copied())
        .chain(stages.iter().map(|stage| stage.label.as_str()))
        .collect();
    match named.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(LabError::Setting {
            field: "evaluate.compare_with".to_owned(),
            found: format!("`{name}`"),
            needed: "the label of a stage or the name of a baseline",
        }),
        None => Ok(()),
    }
}

/// Labels of the systems that are compared: each stage with the one that it starts from, with item
/// transitions and with those that the recipe names. A stage that chooses from pools is compared with
/// recommenders over the same pools.
fn comparisons(stages: &[Stage], named: &[String]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for stage in stages {
        let parent = stages.iter().find(|s| Some(&s.name) == stage.from.as_ref());
        let named = named.iter().map(String::as_str);
        for against in
            parent.map(|s| s.label.as_str()).into_iter().chain([TRANSITIONS]).chain(named)
        {
            let is_stage = stages.iter().any(|other| other.label == against);
            let in_pool = is_over_pool(stage.task) && !is_stage;
            let against = if in_pool { pooled(against) } else { against.to_owned() };
            let pair = (stage.label.clone(), against);
            if pair.0 != pair.1 && !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

/// Adds the paired tests of the systems that are compared.
pub(crate) fn compare(
    stages: &[Stage],
    named: &[String],
    tables: &mut Tables,
) -> Result<(), LabError> {
    for (system, against) in comparisons(stages, named) {
        tables.compare(&system, &against)?;
        tables.compare(&with_reasoning(&system), &with_reasoning(&against))?;
        tables.compare(&in_domain(&system), &in_domain(&against))?;
    }
    Ok(())
}

/// Adds the paired tests of blends, each with its policies alone and with item transitions.
pub(crate) fn compare_blends<'b>(
    blends: impl Iterator<Item = &'b BlendConfig>,
    stages: &[Stage],
    tables: &mut Tables,
) -> Result<(), LabError> {
    for blend in blends {
        for stage in stages.iter().filter(|stage| blend.policies.contains(&stage.name)) {
            tables.compare(blend.label(), &stage.label)?;
        }
        tables.compare(blend.label(), TRANSITIONS)?;
    }
    Ok(())
}

/// Marks the rows of stages that returned their start, and of those that train nothing.
pub(crate) fn note_starts(stages: &[Stage], at_start: &BTreeSet<String>, tables: &mut Tables) {
    for stage in stages {
        let (mark, why) = match stage.training {
            Training::Untrained(UntrainedConfig { answering, .. }) => match answering {
                Answering::Search => (UNTRAINED, WHY_UNTRAINED),
                Answering::Assisted(_) => (ASSISTED, WHY_ASSISTED),
                Answering::Grounded(_) => (GROUNDED, WHY_GROUNDED),
            },
            _ if at_start.contains(&stage.name) => (AT_START, WHY_AT_START),
            _ => continue,
        };
        let label = &stage.label;
        for system in [label.clone(), with_reasoning(label), in_domain(label)] {
            if tables.report.rows().iter().any(|row| row.system == system) {
                let (mark, text) = (mark.to_owned(), why.to_owned());
                tables.report.push_note(Note { system, mark, text });
            }
        }
    }
}
