//! The result of a run on a page.

use std::collections::BTreeSet;
use std::path::Path;

use sidereal_metrics::{Metric, MetricValue};
use sidereal_page::{Card, CardList, Cards, Line, LinePlot, Page, Series, Table};
use sidereal_quantizer::Collisions;
use sidereal_train::ShownGroup;

use super::RunResult;
use crate::error::LabError;
use crate::evaluation::columns::TEN;
use crate::evaluation::systems::after_best_chain;
use crate::evaluation::{BucketRow, descriptions, exercises, labels, targets};
use crate::recipe::stage::{Stage, Training};

/// The diversity of the lists of validation: plot, y axis, values.
const VALID_ENTROPY: (&str, &str, &[&str]) =
    ("diversity of validation lists", "entropy of ten items' categories, nats", &["valid_entropy"]);

/// Whether items are recommended that training has hardly seen: plot, y axis, values.
const VALID_COLD: (&str, &str, &[&str]) = (
    "cold items in validation",
    "share of ten items; probability over all items",
    &["valid_cold", "valid_cold_mass"],
);

/// What is compared between all stages of reinforcement: plot, y axis, value (SAGE, figure 4).
const REINFORCED: [(&str, &str, &str); 5] = [
    ("validation", "NDCG@10", "valid_ndcg"),
    (VALID_ENTROPY.0, VALID_ENTROPY.1, "valid_entropy"),
    ("cold items in validation lists", "share of ten items", "valid_cold"),
    ("probability of cold items", "over all items, exact", "valid_cold_mass"),
    ("diversity of rollouts", "entropy of categories, nats", "diversity"),
];

/// What is drawn, its axis, and the names of its lines in the log.
type Curve = (&'static str, &'static str, &'static [&'static str]);

/// What is drawn over the steps of a training: what it is, its axis, the names in the log.
const fn curves_of(training: &Training) -> &'static [Curve] {
    match training {
        Training::NextItem(_) => &[
            ("loss", "nats per item", &["loss"]),
            ("validation", "NDCG@10", &["valid_ndcg", "valid_ndcg_unseen"]),
        ],
        Training::Sft(_) => &[("loss", "nats per token", &["loss", "valid_loss"])],
        Training::Preference(_) => &[
            ("loss", "nats per pair", &["loss"]),
            ("pairs", "share", &["won"]),
            ("margin", "implicit reward", &["margin"]),
            ("hardest negative", "share of the rejected answers' gradient", &["hardest"]),
            ("log-probability of answers", "nats", &["chosen_logp", "rejected_logp"]),
            ("validation", "NDCG@10", &["valid_ndcg"]),
            VALID_ENTROPY,
            VALID_COLD,
        ],
        Training::ItemHead(_) => &[
            ("loss", "nats per item, among candidates", &["loss"]),
            ("reward", "mean over chains", &["reward"]),
            ("probability of the target", "mean over chains", &["reward_share"]),
            ("validation", "NDCG@10", &["valid_ndcg"]),
            VALID_ENTROPY,
            VALID_COLD,
            ("length of chains", "tokens drawn", &["chain_len"]),
            ("chains that did not close", "share", &["unclosed"]),
        ],
        Training::Untrained(_) => &[],
        Training::Rl { .. } => &[
            (
                "reward",
                "mean and deciles over rollouts",
                &["reward", "rewards_p10", "rewards_p50", "rewards_p90"],
            ),
            ("groups", "share of prompts", &["hit", "hard", "live", "live_hard"]),
            ("rollouts with a reward other than zero", "share of rollouts", &["rewarded"]),
            ("validation", "NDCG@10", &["valid_ndcg"]),
            VALID_ENTROPY,
            VALID_COLD,
            ("entropy", "nats per token", &["entropy"]),
            (
                "diversity of rollouts",
                "entropy of categories, nats",
                &["diversity", "diversity_target"],
            ),
            ("clipped", "share of ratios", &["clip_low", "clip_high"]),
            ("KL to the reference", "nats", &["kl"]),
            ("expected reward over all items", "exact", &["exact_reward"]),
            ("entropy over all items", "nats, exact", &["exact_entropy"]),
            ("KL to the reference over all items", "nats, exact", &["exact_kl"]),
            ("length of chains", "tokens drawn", &["chain_len"]),
            // Logs of earlier versions say `forced`.
            ("chains that did not close", "share", &["unclosed", "forced"]),
            ("answers after chains that are items", "share", &["legal"]),
        ],
    }
}

impl RunResult {
    /// Writes the report as one HTML file that needs no network.
    ///
    /// # Errors
    /// [`LabError::Page`].
    pub fn write_page(&self, title: &str, path: &Path) -> Result<(), LabError> {
        Ok(self.page(title).write(path)?)
    }

    /// Tables of the tests beside the ranking of items.
    fn further_tests(&self) -> Vec<Table> {
        let mut tables = targets::tables(&self.targets);
        tables.extend((!self.labels.is_empty()).then(|| labels::table(&self.labels)));
        tables.extend((!self.exercises.is_empty()).then(|| exercises::table(&self.exercises)));
        let described = (!self.descriptions.is_empty()).then_some(&self.descriptions);
        tables.extend(described.map(|rows| descriptions::table(rows)));
        tables
    }

    /// The report: metrics, curves, Semantic IDs, users.
    #[must_use]
    pub fn page(&self, title: &str) -> Page {
        let mut page = Page::new(title);
        page.push_summary(summary(
            self.catalog.num_items(),
            self.catalog.spec().num_levels(),
            self.quality.shared_rate,
            self.collisions,
        ));
        for share in self.shares() {
            page.push_summary(share);
        }
        self.report.push_to(&mut page);
        for domain in &self.domains {
            domain.push_to(&mut page);
        }
        for plot in [self.passes(), self.best_of_n()] {
            if !plot.series.is_empty() {
                page.push(plot);
            }
        }
        for table in self.further_tests() {
            page.push(table);
        }
        self.push_changes(&mut page);
        if let Some(scaling) = self.scaling() {
            scaling.push_to(&mut page);
        }
        if !self.buckets.is_empty() {
            page.push(self.by_bucket());
        }
        for (what, y_axis, name) in REINFORCED {
            let reinforced = self.reinforced(what, y_axis, name);
            if reinforced.series.len() > 1 {
                page.push(reinforced);
            }
        }
        for stage in &self.stages {
            let curves = curves_of(&stage.training);
            for (what, y_axis, names) in curves {
                let caption = format!("{}: {what}", stage.label);
                let plot = self.curves(&caption, y_axis, &stage.name, names);
                if plot.series.iter().any(|series| !series.points.is_empty()) {
                    page.push(plot);
                }
            }
            let written = self.written(stage);
            if !written.cards.is_empty() {
                page.push(written);
            }
        }
        self.quality.push_to(&mut page, &self.catalog);
        if !self.showcases.is_empty() {
            page.push(self.users());
        }
        page
    }

    /// Where chains changed answers.
    fn push_changes(&self, page: &mut Page) {
        if !self.changed.is_empty() {
            page.push(self.changes());
        }
        for changed in self.changed.iter().filter(|changed| !changed.cases.is_empty()) {
            page.push(self.changed_cases(changed));
        }
    }

    fn curves(&self, caption: &str, y_axis: &str, stage: &str, names: &[&str]) -> LinePlot {
        let series = names.iter().map(|name| Series {
            name: (*name).to_owned(),
            points: self
                .records
                .iter()
                .filter(|record| record.stage == stage)
                .filter_map(|record| Some((record.step as f64, *record.values.get(*name)?)))
                .collect(),
        });
        LinePlot {
            caption: caption.to_owned(),
            x_axis: "step".to_owned(),
            y_axis: y_axis.to_owned(),
            series: series.collect(),
        }
    }

    /// A value of all stages of reinforcement that logged it, in one plot.
    fn reinforced(&self, what: &str, y_axis: &str, name: &str) -> LinePlot {
        let mut all = Vec::new();
        for stage in self.stages.iter().filter(|s| matches!(s.training, Training::Rl { .. })) {
            let of_stage = self.curves("", "", &stage.name, &[name]).series;
            let drawn = of_stage.into_iter().filter(|series| !series.points.is_empty());
            all.extend(drawn.map(|series| Series { name: stage.label.clone(), ..series }));
        }
        LinePlot {
            caption: format!("Reinforcement: {what}"),
            x_axis: "step".to_owned(),
            y_axis: y_axis.to_owned(),
            series: all,
        }
    }

    /// `Pass@k` by `k` of every system with drawn answers.
    fn passes(&self) -> LinePlot {
        let bests: Vec<String> = self.best_chains().collect();
        let series = self.pass_curves(|system| !bests.contains(system));
        LinePlot {
            caption: "Pass@k".to_owned(),
            x_axis: "answers drawn".to_owned(),
            y_axis: "Pass@k".to_owned(),
            series,
        }
    }

    /// The hit rate after the best of N chains, by N (SIDReasoner, figure 4).
    fn best_of_n(&self) -> LinePlot {
        let bests: Vec<String> = self.best_chains().collect();
        LinePlot {
            caption: "Best of N: hits after the best chain".to_owned(),
            x_axis: "chains drawn".to_owned(),
            y_axis: "HR@10".to_owned(),
            series: self.pass_curves(|system| bests.contains(system)),
        }
    }

    /// Names of the systems that answer after the best of several chains.
    fn best_chains(&self) -> impl Iterator<Item = String> {
        self.stages.iter().map(|stage| after_best_chain(&stage.label))
    }

    /// `Pass@k` by `k` of these systems, by rising `k`.
    fn pass_curves(&self, shown: impl Fn(&String) -> bool) -> Vec<Series> {
        let rows = self.report.rows().iter().filter(|row| shown(&row.system));
        let series = rows.filter_map(|row| {
            let mut points: Vec<(f64, f64)> = row
                .values
                .iter()
                .filter_map(|entry| match entry.metric {
                    Metric::Pass(k) => Some((k.get() as f64, entry.value)),
                    _ => None,
                })
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            (!points.is_empty()).then(|| Series { name: self.report.shown(&row.system), points })
        });
        series.collect()
    }

    /// Rollouts of a stage at its beginning and at its end.
    fn written(&self, stage: &Stage) -> Cards {
        let shown: Vec<(usize, &ShownGroup)> = self
            .records
            .iter()
            .filter(|record| record.stage == stage.name)
            .filter_map(|record| Some((record.step, record.rollouts.as_ref()?)))
            .collect();
        let ends = [shown.first(), shown.last().filter(|_| shown.len() > 1)];
        let cards = ends.into_iter().flatten().map(|(step, group)| {
            let rollouts = group.rollouts.iter().map(|rollout| Line {
                text: format!("{:+.3}  {}", rollout.reward, rollout.text),
                marked: rollout.hit,
            });
            Card {
                title: format!("Step {step}, sample {}", group.id),
                lists: vec![
                    CardList::new("Read", [group.prompt.clone()]),
                    CardList::new("To be found", [group.target.clone()]),
                    CardList { name: "Reward and rollout".to_owned(), lines: rollouts.collect() },
                ],
            }
        });
        Cards { caption: format!("{}: rollouts", stage.label), cards: cards.collect() }
    }

    /// One row for each bucket, with one metric of every stage.
    fn by_bucket(&self) -> Table {
        let mut buckets: Vec<(&str, usize)> = Vec::new();
        for row in &self.buckets {
            let bucket = (row.bucket.as_str(), row.num_users);
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
        }
        let metric = self.buckets.first().and_then(shown_metric);
        let value = |bucket: &str, label: &str| {
            let mut rows = self.buckets.iter();
            let row = rows.find(|row| row.bucket == bucket && row.system == label)?;
            let value = of_bucket(row, metric)?;
            let interval = value.interval.as_ref();
            Some(interval.map_or_else(
                || format!("{:.4}", value.value),
                |range| format!("{:.4} [{:.4}, {:.4}]", value.value, range.low, range.high),
            ))
        };
        let rows = buckets.iter().map(|(bucket, num_users)| {
            let of_stages = self.in_buckets().map(|s| value(bucket, &s.label).unwrap_or_default());
            [(*bucket).to_owned(), num_users.to_string()].into_iter().chain(of_stages).collect()
        });
        let labels = self.in_buckets().map(|stage| self.report.shown(&stage.label));
        Table {
            caption: format!(
                "{} by kind of user, seen items kept, item level",
                metric.map(|metric| metric.to_string()).unwrap_or_default()
            ),
            header: ["users with".to_owned(), "users".to_owned()]
                .into_iter()
                .chain(labels)
                .collect(),
            rows: rows.collect(),
            notes: self.notes_on(self.in_buckets()),
        }
    }

    /// What the marks of these stages mean, each once.
    fn notes_on<'s>(&self, stages: impl Iterator<Item = &'s Stage>) -> Vec<String> {
        let labels: Vec<&str> = stages.map(|stage| stage.label.as_str()).collect();
        let notes = self.report.notes().iter();
        let notes = notes.filter(|note| labels.contains(&note.system.as_str()));
        let lines: BTreeSet<String> =
            notes.map(|note| format!("({}): {}", note.mark, note.text)).collect();
        lines.into_iter().collect()
    }

    /// Stages that were tested over all items.
    fn in_buckets(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| self.buckets.iter().any(|row| row.system == stage.label))
    }

    fn users(&self) -> Cards {
        let cards = self.showcases.iter().enumerate().map(|(user, showcase)| Card {
            title: format!("User {}", user + 1),
            lists: vec![
                CardList::new("History", showcase.history.clone()),
                CardList::new("Then chose", [showcase.chosen.clone()]),
                CardList {
                    name: "Recommended".to_owned(),
                    lines: showcase
                        .recommended
                        .iter()
                        .map(|(text, marked)| Line { text: text.clone(), marked: *marked })
                        .collect(),
                },
            ],
        });
        Cards { caption: "Recommendations".to_owned(), cards: cards.collect() }
    }
}

/// The metric that is shown by kind of user: HR@10, or the first one if that is none of the columns.
fn shown_metric(row: &BucketRow) -> Option<Metric> {
    let mut metrics = row.values.iter().map(|entry| entry.metric);
    metrics.find(|metric| *metric == Metric::HitRate(TEN)).or(row.values.first().map(|e| e.metric))
}

/// The value of a metric on the users of a bucket.
fn of_bucket(row: &BucketRow, metric: Option<Metric>) -> Option<&MetricValue> {
    row.values.iter().find(|entry| Some(entry.metric) == metric)
}

/// The sentences at the head of the page. `shared` is the share of items with the codes of another item before
/// collisions were resolved.
fn summary(
    num_items: usize,
    num_levels: usize,
    shared: f64,
    collisions: Option<Collisions>,
) -> String {
    let became = match collisions {
        Some(Collisions::Slot) => "share all their codes and differ only in the last one",
        Some(Collisions::Reassign) => "shared all their codes before some of them got other codes",
        Some(Collisions::Keep) => "share all their codes with others",
        _ => "share all their codes and have a suffix",
    };
    let percent = 100.0 * shared;
    format!(
        "{num_items} items have Semantic IDs with {num_levels} levels. {percent:.1} % of the items {became}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_the_page_reads_as_recorded() {
        insta::assert_snapshot!(
            summary(500, 3, 0.024, Some(Collisions::Suffix)),
            @"500 items have Semantic IDs with 3 levels. 2.4 % of the items share all their codes and have a suffix."
        );
        insta::assert_snapshot!(
            summary(500, 3, 0.024, Some(Collisions::Keep)),
            @"500 items have Semantic IDs with 3 levels. 2.4 % of the items share all their codes with others."
        );
    }
}
