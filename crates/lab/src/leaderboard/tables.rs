//! A leaderboard as tables.

use sidereal_metrics::{Metric, SeenItems};
use sidereal_page::Table;

use super::board::{Board, BoardRow, BoardValue};
use super::cost::Cost;
use super::measure::{MAIN, METRICS, TEN};
use super::published::PublishedResult;
use super::settings::Settings;
use super::tuned::{Tuned, TuningEnd};
use crate::evaluation::BucketRow;

/// What stands where nothing was measured.
const NOTHING: &str = "-";

impl Board {
    /// The tables for a terminal: both rules for seen items, the chosen settings, and what others published.
    pub fn tables(&self) -> impl Iterator<Item = Table> + '_ {
        let published = (!self.published.is_empty()).then(|| self.published_table());
        let measured = [SeenItems::Removed, SeenItems::Kept].map(|rule| self.measured(rule));
        measured.into_iter().chain([self.chosen()]).chain(published)
    }

    /// The main table under a rule for seen items. Published numbers under the same rule, or of sources that
    /// name none, have columns of their own.
    #[must_use]
    pub fn measured(&self, seen_items: SeenItems) -> Table {
        let metrics = METRICS.iter().map(Metric::to_string);
        let mut header: Vec<String> = ["system".to_owned()].into_iter().chain(metrics).collect();
        let best = self.best(seen_items).map_or(NOTHING, |row| row.label.as_str());
        for metric in MAIN {
            header.push(format!("{metric} minus the best"));
        }
        let costs = ["seeds", "parameters", "tuning, min", "training, min", "users/s"];
        header.extend(costs.map(str::to_owned));
        let published = self.rows.iter().any(|row| row.published.is_some());
        if published {
            let names = MAIN.iter().map(|metric| format!("published {metric}"));
            header.extend(names.chain(["published by".to_owned()]));
        }
        let rows = self.rows.iter().map(|row| {
            let values = row.values(seen_items);
            let tests = MAIN.iter().map(|metric| {
                row.value(seen_items, *metric).map_or_else(String::new, against_best)
            });
            let label = if row.over_time { format!("{} *", row.label) } else { row.label.clone() };
            let mut cells: Vec<String> =
                [label].into_iter().chain(values.iter().map(with_interval)).chain(tests).collect();
            cells.extend([
                row.seeds.len().to_string(),
                row.num_parameters.map_or_else(nothing, |number| number.to_string()),
                row.tuned.as_ref().map_or_else(nothing, |tuned| minutes(tuned.cost())),
                minutes(row.cost),
                row.users_per_second.map_or_else(nothing, |users| format!("{users:.0}")),
            ]);
            if published {
                cells.extend(self.published_cells(row, seen_items));
            }
            cells
        });
        Table {
            caption: format!("Measured here, {}, item level", rule_name(seen_items)),
            rows: rows.collect(),
            header,
            notes: self.notes(best),
        }
    }

    fn notes(&self, best: &str) -> Vec<String> {
        let mut notes = vec![
            format!(
                "The best system by {} is `{best}`. The differences to it are paired, user by user, with a \
                 bootstrap interval and p.",
                self.tune.metric
            ),
            "Minutes are those of processors, all threads together. Users per second were counted \
             while seen items were kept, scoring and ranking all items."
                .to_owned(),
        ];
        if self.rows.iter().any(|row| row.cost.processor_seconds.is_none()) {
            notes.push(
                "Where this system tells no processor time, minutes are on the clock.".into(),
            );
        }
        if self.rows.iter().any(|row| row.over_time) {
            let text =
                "training reached the stated minutes. A neural model ended there; others went on.";
            notes.push(format!("*: {text}"));
        }
        let left_out = self.left_out.iter();
        notes.extend(left_out.map(|out| format!("`{}` was left out: {}", out.system, out.why)));
        notes
    }

    /// The published main metrics of a row and their sources, one a line.
    fn published_cells(&self, row: &BoardRow, seen_items: SeenItems) -> Vec<String> {
        let found: Vec<&PublishedResult> = self
            .published
            .iter()
            .filter(|result| Some(&result.system) == row.published.as_ref())
            .filter(|result| result.seen_items.is_none_or(|rule| rule == seen_items))
            .collect();
        let all = |text: &dyn Fn(&PublishedResult) -> String| {
            found.iter().map(|result| text(result)).collect::<Vec<_>>().join("; ")
        };
        let mut cells: Vec<String> =
            MAIN.iter().map(|metric| all(&|result| published_value(result, *metric))).collect();
        cells.push(all(&|result| {
            format!("{} ({}; {})", result.source, result.rule(), result.protocol)
        }));
        cells
    }

    /// What was chosen for each system, and what the choice cost.
    #[must_use]
    pub fn chosen(&self) -> Table {
        let header =
            ["system", "kind", "settings", "points tried", "ended", "on validation", "minutes"];
        let rows = self.rows.iter().map(|row| {
            let of =
                |text: &dyn Fn(&Tuned) -> String| row.tuned.as_ref().map_or_else(nothing, text);
            vec![
                row.label.clone(),
                row.kind.clone(),
                of(&|tuned| spelled(&tuned.settings)),
                of(&|tuned| tuned.trials.len().to_string()),
                of(&|tuned| end_name(tuned.end).to_owned()),
                of(&|tuned| tuned.value().map_or_else(nothing, |value| format!("{value:.4}"))),
                of(&|tuned| minutes(tuned.cost())),
            ]
        });
        Table {
            caption: format!(
                "Settings, chosen by {} with {} on {} validation users",
                self.tune.metric,
                rule_name(self.tune.seen_items),
                self.data.num_valid
            ),
            header: header.map(str::to_owned).to_vec(),
            rows: rows.collect(),
            notes: vec!["A recipe of a whole run has its own settings.".to_owned()],
        }
    }

    /// What others published on the dataset.
    #[must_use]
    pub fn published_table(&self) -> Table {
        let metrics = METRICS.iter().map(Metric::to_string);
        let after = ["rule", "protocol", "counted by", "source"].map(str::to_owned);
        let rows = self.published.iter().map(|result| {
            let values = METRICS.iter().map(|metric| published_value(result, *metric));
            let PublishedResult { protocol, source, by, .. } = result;
            let after = [result.rule(), protocol, by.name(), source].map(str::to_owned);
            [result.system.clone()].into_iter().chain(values).chain(after).collect()
        });
        Table {
            caption: "Published by others, not measured here".to_owned(),
            header: ["system".to_owned()].into_iter().chain(metrics).chain(after).collect(),
            rows: rows.collect(),
            notes: vec![
                "Protocols differ: a number is comparable with a measured one only where its protocol is the same."
                    .to_owned(),
            ],
        }
    }

    /// One metric by kind of user, in numbers.
    pub(super) fn bucket_table(&self, prefix: &str, after: &str, caption: &str) -> Table {
        let metric = Metric::Ndcg(TEN);
        let labels = self.rows.iter().map(|row| row.label.clone());
        let rows = self.buckets(prefix, after).into_iter().map(|(short, bucket)| {
            let cells = self.rows.iter().map(|row| {
                let own = row.buckets.iter().find(|own| own.bucket == bucket.bucket);
                let found = own.and_then(|own| own.values.iter().find(|v| v.metric == metric));
                found.map_or_else(nothing, |found| format!("{:.4}", found.value))
            });
            [short, bucket.num_users.to_string()].into_iter().chain(cells).collect()
        });
        Table {
            caption: format!("{metric} {caption}, {}", rule_name(self.tune.seen_items)),
            rows: rows.collect(),
            header: ["kind", "users"].map(str::to_owned).into_iter().chain(labels).collect(),
            notes: Vec::new(),
        }
    }

    /// The buckets of one kind, each once, with their short names.
    pub(super) fn buckets<'a>(&'a self, prefix: &str, after: &str) -> Vec<(String, &'a BucketRow)> {
        let first = self.rows.first().map_or(&[][..], |row| row.buckets.as_slice());
        let of_kind = first.iter().filter_map(|bucket| {
            let short = bucket.bucket.strip_prefix(prefix)?.strip_suffix(after)?;
            Some((short.to_owned(), bucket))
        });
        of_kind.collect()
    }
}

fn nothing() -> String {
    NOTHING.to_owned()
}

pub(super) fn rule_name(seen_items: SeenItems) -> &'static str {
    match seen_items {
        SeenItems::Kept => "seen items kept",
        SeenItems::Removed => "seen items removed",
    }
}

fn end_name(end: TuningEnd) -> &'static str {
    match end {
        TuningEnd::Best => "no point beside it is better",
        TuningEnd::Points => "all points used",
        TuningEnd::Minutes => "time used up",
        TuningEnd::NoGrid => "nothing to choose",
    }
}

/// Processor minutes, or minutes on the clock where these are not known.
fn minutes(cost: Cost) -> String {
    format!("{:.2}", cost.seconds() / 60.0)
}

fn with_interval(value: &BoardValue) -> String {
    format!("{:.4} [{:.4}, {:.4}]", value.value, value.interval.low, value.interval.high)
}

fn against_best(value: &BoardValue) -> String {
    value.against_best.map_or_else(
        || "best".to_owned(),
        |test| {
            let (low, high) = (test.interval.low, test.interval.high);
            format!("{:+.4} [{low:+.4}, {high:+.4}] p {:.3}", test.difference, test.p_value)
        },
    )
}

fn published_value(result: &PublishedResult, metric: Metric) -> String {
    result.values.get(&metric).map_or_else(nothing, |value| format!("{value:.4}"))
}

fn spelled(settings: &Settings) -> String {
    let each = settings.iter().map(|(name, value)| format!("{name} {value}"));
    let text = each.collect::<Vec<_>>().join(", ");
    if text.is_empty() { nothing() } else { text }
}
