//! The test of users with several targets: one list of answers for all that a user chose later, for all with a
//! named behaviour, or for all that the user chose for a query.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::ItemId;
use sidereal_metrics::{Bootstrap, Interval, Relevance};
use sidereal_page::Table;
use sidereal_prompts::Task;
use sidereal_sid::Catalog;
use sidereal_train::Ranking;

use super::recommenders::Baseline;
use super::stage_answers::StageAnswers;
use crate::error::LabError;
use crate::parts::answers::AnswerFile;
use crate::pool_task::is_over_pool;
use crate::recipe::evaluate::EvaluateTargets;
use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;
use crate::workbench::questions::{Question, questions};

/// How well one list of answers finds all that a user chose (`RecIF-Bench`'s Pass@k and Recall@k, table 3 of
/// SAGE).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetsRow {
    /// What is asked: next items, items with a named behaviour, or items for a query.
    #[serde(default = "next_item")]
    pub task: Task,
    /// The stage's label, or the baseline's name.
    pub system: String,
    /// Users, or queries.
    pub users: usize,
    /// Mean number of their different targets, by Semantic ID.
    pub targets: f64,
    /// For each cut-off the share of users, or queries, with a target among the first `k` answers (`Pass@k`), then
    /// the mean share of their targets that are among them (`Recall@k`).
    pub values: Vec<TargetsValue>,
}

const fn next_item() -> Task {
    Task::NextItem
}

/// A metric of users with several targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetsValue {
    /// `Pass@k` or `Recall@k`.
    pub metric: String,
    /// Its mean over users, in `[0, 1]`.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// A question with its right answers.
struct Asked<'a> {
    question: Question<'a>,
    /// Every right answer once, by Semantic ID.
    targets: Vec<Standing>,
}

/// An item that stands for all items of its Semantic ID.
type Standing = ItemId;

/// For each task that is tested, a row of every baseline and of every stage that is asked it.
///
/// A user is asked once, after the history before the first target, and once for each query. An answer is a
/// Semantic ID, and targets with one Semantic ID are one. Baselines rank by the history alone, whatever is asked.
pub(crate) fn rows(
    bench: &Workbench<'_>,
    config: &EvaluateTargets,
    answers: &[StageAnswers<'_>],
    baselines: &[Baseline<'_>],
    bootstrap: &Bootstrap,
) -> Result<Vec<TargetsRow>, LabError> {
    let standing = standing(bench.catalog);
    let most = config.cut_offs.iter().copied().max().map_or(0, NonZeroUsize::get);
    let mut rows = Vec::new();
    for task in config.tasks.iter().copied() {
        let asked = asked(task, bench, &standing);
        if asked.is_empty() {
            tracing::warn!(%task, "no user of the test can be asked: the task has no rows");
            continue;
        }
        let table = Test { task, asked: &asked, config, bootstrap };
        for baseline in baselines {
            let found = asked.iter().map(|it| ranked(baseline, it, &standing, most, bench.seed));
            let found = found.collect::<Result<Vec<_>, LabError>>()?;
            rows.push(table.row(baseline.name, &found)?);
        }
        for answered in answers {
            let Some(file) = file_of(task, answered) else { continue };
            let rankings = file.load()?;
            let by_id: BTreeMap<_, &Ranking> = rankings.iter().map(|it| (it.id, it)).collect();
            let of_question = |it: &Asked<'_>| {
                let found = by_id.get(&it.question.id).map_or(&[][..], |ranking| &ranking.found);
                found.iter().filter_map(|items| stand(&standing, *items.first()?)).collect()
            };
            let found: Vec<Vec<Standing>> = asked.iter().map(of_question).collect();
            rows.push(table.row(&answered.stage.label, &found)?);
        }
    }
    Ok(rows)
}

/// The answers of a stage to the questions of a task.
fn file_of<'a>(task: Task, answered: &'a StageAnswers<'_>) -> Option<&'a AnswerFile<Ranking>> {
    if task == Task::NextItem {
        return (!is_over_pool(answered.stage.task)).then_some(&answered.rankings.value);
    }
    answered.questions.get(&task).map(|found| &found.value)
}

/// For each item the first one with its Semantic ID.
fn standing(catalog: &Catalog) -> Vec<Standing> {
    let mut first = BTreeMap::new();
    let items = (0..).map(ItemId).zip(catalog.sids());
    items.map(|(item, sid)| *first.entry(sid).or_insert(item)).collect()
}

fn stand(standing: &[Standing], item: ItemId) -> Option<Standing> {
    standing.get(item.index()).copied()
}

/// The questions of a task, by user.
fn asked<'a>(task: Task, bench: &Workbench<'a>, standing: &[Standing]) -> Vec<Asked<'a>> {
    let with_targets = |question: Question<'a>| {
        let mut targets = Vec::new();
        for target in question.targets.iter().filter_map(|item| stand(standing, *item)) {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Asked { question, targets }
    };
    questions(task, bench).into_iter().map(with_targets).collect()
}

/// The best answers of a baseline; equal scores in an order drawn by seed.
fn ranked(
    baseline: &Baseline<'_>,
    asked: &Asked<'_>,
    standing: &[Standing],
    most: usize,
    seed: u64,
) -> Result<Vec<Standing>, LabError> {
    let mut scores = vec![0.0; baseline.recommender.num_items()];
    baseline.recommender.score(asked.question.history, &mut scores)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.shuffle(&mut stream(seed, Purpose::Ties, asked.question.user.0.into()));
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a])); // stable
    let mut found = Vec::new();
    let shown = order.into_iter().filter(|item| scores[*item] > f32::NEG_INFINITY);
    for item in shown.filter_map(|item| standing.get(item).copied()) {
        if found.len() == most {
            break;
        }
        if !found.contains(&item) {
            found.push(item);
        }
    }
    Ok(found)
}

/// The test of one task.
struct Test<'t> {
    task: Task,
    asked: &'t [Asked<'t>],
    config: &'t EvaluateTargets,
    bootstrap: &'t Bootstrap,
}

impl Test<'_> {
    /// The row of a system with an answer to each question.
    fn row(&self, system: &str, found: &[Vec<Standing>]) -> Result<TargetsRow, LabError> {
        let questions = self.asked.iter().zip(found);
        let questions: Vec<Relevance> = questions
            .map(|(asked, found)| Relevance::of_list(found, &asked.targets))
            .collect::<Result<_, _>>()?;
        let mut values = Vec::new();
        for (name, of) in [
            ("Pass", Relevance::hit_rate as fn(&Relevance, NonZeroUsize) -> f64),
            ("Recall", Relevance::recall as fn(&Relevance, NonZeroUsize) -> f64),
        ] {
            for k in &self.config.cut_offs {
                let each: Vec<f64> = questions.iter().map(|question| of(question, *k)).collect();
                let value = each.iter().sum::<f64>() / each.len() as f64;
                let interval = self.bootstrap.interval(&each)?;
                values.push(TargetsValue { metric: format!("{name}@{k}"), value, interval });
            }
        }
        let targets: usize = questions.iter().map(|it| it.num_relevant().get()).sum();
        let (system, count, task) = (system.to_owned(), questions.len(), self.task);
        Ok(TargetsRow {
            task,
            system,
            users: count,
            targets: targets as f64 / count as f64,
            values,
        })
    }
}

/// The rows as tables, one for each task.
pub(crate) fn tables(rows: &[TargetsRow]) -> Vec<Table> {
    let mut tasks: Vec<Task> = Vec::new();
    for row in rows {
        if !tasks.contains(&row.task) {
            tasks.push(row.task);
        }
    }
    let of_task = |task: &Task| {
        let rows: Vec<&TargetsRow> = rows.iter().filter(|row| row.task == *task).collect();
        table(*task, &rows)
    };
    tasks.iter().map(of_task).collect()
}

fn table(task: Task, rows: &[&TargetsRow]) -> Table {
    let metrics = rows.first().map_or(&[][..], |row| &row.values);
    let (caption, asked) = match task {
        Task::LabelConditional => {
            ("All with which a user shows a named behaviour later, in one list of answers", "users")
        }
        Task::Interactive => {
            ("All that a user chose for a query, in one list of answers", "queries")
        }
        _ => ("All that a user chose later, in one list of answers", "users"),
    };
    let header = ["system", asked, "targets of each"].map(str::to_owned).into_iter();
    let text = |row: &&TargetsRow| {
        let values = row.values.iter().map(|TargetsValue { value, interval, .. }| {
            format!("{value:.4} [{:.4}, {:.4}]", interval.low, interval.high)
        });
        let first = [row.system.clone(), row.users.to_string(), format!("{:.2}", row.targets)];
        first.into_iter().chain(values).collect()
    };
    Table {
        caption: caption.to_owned(),
        header: header.chain(metrics.iter().map(|value| value.metric.clone())).collect(),
        rows: rows.iter().map(text).collect(),
        notes: Vec::new(),
    }
}

impl fmt::Display for TargetsRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, system, users, targets, .. } = self;
        let asked = if *task == Task::Interactive { "queries" } else { "users" };
        write!(f, "{task}, {system}: {users} {asked} with {targets:.2} targets")?;
        self.values.iter().try_for_each(|it| write!(f, ", {} {:.4}", it.metric, it.value))
    }
}
