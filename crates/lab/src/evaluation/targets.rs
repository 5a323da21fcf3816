//! The test of users with several targets: one list of answers for all that a user chose later.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, ItemId, Sample, UserId};
use sidereal_metrics::{Bootstrap, Interval, Relevance};
use sidereal_page::Table;
use sidereal_sid::Catalog;
use sidereal_train::Ranking;

use super::recommenders::Baseline;
use super::stage_answers::StageAnswers;
use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::recipe::evaluate::EvaluateTargets;
use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;

/// How well one list of answers finds all that a user chose after the history (`RecIF-Bench`'s Pass@k and
/// Recall@k, tables 3 and 4 of SAGE).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetsRow {
    /// The stage's label, or the baseline's name.
    pub system: String,
    /// Users.
    pub users: usize,
    /// Mean number of different targets of a user, by Semantic ID.
    pub targets: f64,
    /// For each cut-off the share of users with a target among the first `k` answers (`Pass@k`), then the mean
    /// share of a user's targets that are among them (`Recall@k`).
    pub values: Vec<TargetsValue>,
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

/// What a user chose after the history, and where the history ends.
struct Asked<'a> {
    /// The sample of the first target: what the policy is asked.
    first: Sample<'a>,
    /// Every target, by Semantic ID.
    targets: Vec<Standing>,
}

/// An item that stands for all items of its Semantic ID.
type Standing = ItemId;

/// A row of every baseline and of every stage that may answer with any item.
///
/// A user is asked once, after the history before the first target. An answer is a Semantic ID, and targets
/// with one Semantic ID are one.
pub(crate) fn rows(
    bench: &Workbench<'_>,
    config: &EvaluateTargets,
    answers: &[StageAnswers<'_>],
    baselines: &[Baseline<'_>],
    bootstrap: &Bootstrap,
) -> Result<Vec<TargetsRow>, LabError> {
    let standing = standing(bench.catalog);
    let asked = asked(bench, &standing);
    let most = config.cut_offs.iter().copied().max().map_or(0, NonZeroUsize::get);
    let mut rows = Vec::new();
    for baseline in baselines {
        let found = asked.iter().map(|user| ranked(baseline, user, &standing, most, bench.seed));
        let found = found.collect::<Result<Vec<_>, LabError>>()?;
        rows.push(row(baseline.name, &asked, &found, config, bootstrap)?);
    }
    for answered in answers.iter().filter(|answered| !is_over_pool(answered.stage.task)) {
        let rankings = answered.rankings.value.load()?;
        let by_id: BTreeMap<_, &Ranking> = rankings.iter().map(|it| (it.id, it)).collect();
        let of_user = |user: &Asked<'_>| {
            let found = by_id.get(&user.first.id).map_or(&[][..], |ranking| &ranking.found);
            found.iter().filter_map(|items| stand(&standing, *items.first()?)).collect()
        };
        let found: Vec<Vec<Standing>> = asked.iter().map(of_user).collect();
        rows.push(row(&answered.stage.label, &asked, &found, config, bootstrap)?);
    }
    Ok(rows)
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

/// Every user of the test, by identity.
fn asked<'a>(bench: &Workbench<'a>, standing: &[Standing]) -> Vec<Asked<'a>> {
    let mut users: BTreeMap<UserId, Asked<'_>> = BTreeMap::new();
    // The samples of a user are in the order of their positions.
    for sample in bench.split.test.samples() {
        let new = || Asked { first: sample, targets: Vec::new() };
        let user = users.entry(sample.user).or_insert_with(new);
        let target = stand(standing, sample.target);
        user.targets.extend(target.filter(|target| !user.targets.contains(target)));
    }
    users.into_values().collect()
}

/// The best answers of a baseline; equal scores in an order drawn by seed.
fn ranked(
    baseline: &Baseline<'_>,
    user: &Asked<'_>,
    standing: &[Standing],
    most: usize,
    seed: u64,
) -> Result<Vec<Standing>, LabError> {
    let mut scores = vec![0.0; baseline.recommender.num_items()];
    baseline.recommender.score(user.first.history, &mut scores)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.shuffle(&mut stream(seed, Purpose::Ties, user.first.user.0.into()));
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

fn row(
    system: &str,
    asked: &[Asked<'_>],
    found: &[Vec<Standing>],
    config: &EvaluateTargets,
    bootstrap: &Bootstrap,
) -> Result<TargetsRow, LabError> {
    let users = asked.iter().zip(found);
    let users: Vec<Relevance> = users
        .map(|(user, found)| Relevance::of_list(found, &user.targets))
        .collect::<Result<_, _>>()?;
    let mut values = Vec::new();
    for (name, of) in [
        ("Pass", Relevance::hit_rate as fn(&Relevance, NonZeroUsize) -> f64),
        ("Recall", Relevance::recall as fn(&Relevance, NonZeroUsize) -> f64),
    ] {
        for k in &config.cut_offs {
            let each: Vec<f64> = users.iter().map(|user| of(user, *k)).collect();
            let value = each.iter().sum::<f64>() / each.len() as f64;
            let interval = bootstrap.interval(&each)?;
            values.push(TargetsValue { metric: format!("{name}@{k}"), value, interval });
        }
    }
    let targets: usize = users.iter().map(|user| user.num_relevant().get()).sum();
    let (system, count) = (system.to_owned(), users.len());
    Ok(TargetsRow { system, users: count, targets: targets as f64 / count as f64, values })
}

/// The rows as a table.
pub(crate) fn table(rows: &[TargetsRow]) -> Table {
    let metrics = rows.first().map_or(&[][..], |row| &row.values);
    let header = ["system", "users", "targets a user"].map(str::to_owned).into_iter();
    let text = |row: &TargetsRow| {
        let values = row.values.iter().map(|TargetsValue { value, interval, .. }| {
            format!("{value:.4} [{:.4}, {:.4}]", interval.low, interval.high)
        });
        let first = [row.system.clone(), row.users.to_string(), format!("{:.2}", row.targets)];
        first.into_iter().chain(values).collect()
    };
    Table {
        caption: "All that a user chose later, in one list of answers".to_owned(),
        header: header.chain(metrics.iter().map(|value| value.metric.clone())).collect(),
        rows: rows.iter().map(text).collect(),
        notes: Vec::new(),
    }
}

impl fmt::Display for TargetsRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} users with {:.2} targets", self.system, self.users, self.targets)?;
        self.values.iter().try_for_each(|it| write!(f, ", {} {:.4}", it.metric, it.value))
    }
}
