//! A leaderboard on a page: its tables, and plots.

use std::path::Path;

use sidereal_metrics::{Metric, SeenItems};
use sidereal_page::{Bar, BarPlot, BarSeries, LinePlot, Page, Series};

use super::board::Board;
use super::measure::{METRICS, TEN};
use super::tables::rule_name;
use crate::error::LabError;

impl Board {
    /// Writes the leaderboard as one HTML file that needs no network.
    ///
    /// # Errors
    /// [`LabError::Page`].
    pub fn write_page(&self, title: &str, path: &Path) -> Result<(), LabError> {
        Ok(self.page(title).write(path)?)
    }

    /// The tables and plots on a page.
    #[must_use]
    pub fn page(&self, title: &str) -> Page {
        let mut page = Page::new(title);
        page.push_summary(self.summary());
        for rule in [SeenItems::Removed, SeenItems::Kept] {
            page.push(self.measured(rule));
            page.push(self.bars(rule));
            page.push(self.against_cost(rule));
        }
        for (prefix, what, caption) in [
            ("history of ", "", "by length of the history, in items"),
            (
                "target ",
                " times in training",
                "by how often training has the target; 0 is a cold item",
            ),
        ] {
            page.push(self.by_bucket(prefix, what, caption));
            page.push(self.bucket_table(prefix, what, caption));
        }
        page.push(self.chosen());
        if !self.published.is_empty() {
            page.push(self.published_table());
        }
        page
    }

    fn summary(&self) -> String {
        let data = &self.data;
        format!(
            "{} predictions of the test rank all {} items of the catalogue. Every system chose its settings \
             by {}, {}, on the same {} validation users, with at most {} points and {} minutes; nothing \
             was chosen on the test.",
            data.num_test,
            data.num_items,
            self.tune.metric,
            rule_name(self.tune.seen_items),
            data.num_valid,
            self.tune.points,
            self.tune.minutes,
        )
    }

    fn bars(&self, seen_items: SeenItems) -> BarPlot {
        let series = self.rows.iter().map(|row| BarSeries {
            name: row.label.clone(),
            bars: METRICS
                .iter()
                .map(|metric| {
                    let found = row.value(seen_items, *metric)?;
                    let interval = Some((found.interval.low, found.interval.high));
                    Some(Bar { value: found.value, interval })
                })
                .collect(),
        });
        BarPlot {
            caption: format!("Accuracy, {}", rule_name(seen_items)),
            y_axis: String::new(),
            groups: METRICS.iter().map(Metric::to_string).collect(),
            series: series.collect(),
        }
    }

    /// A point for each system.
    fn against_cost(&self, seen_items: SeenItems) -> LinePlot {
        let metric = Metric::Ndcg(TEN);
        let series = self.rows.iter().filter_map(|row| {
            let value = row.value(seen_items, metric)?.value;
            // A hundredth of a second is the finest that is measured.
            let seconds = row.whole_cost().seconds().max(0.01);
            Some(Series { name: row.label.clone(), points: vec![(seconds.log10(), value)] })
        });
        LinePlot {
            caption: format!("Accuracy against cost, {}", rule_name(seen_items)),
            x_axis: "log10 of processor seconds, choice of settings and one training".to_owned(),
            y_axis: metric.to_string(),
            series: series.collect(),
        }
    }

    fn by_bucket(&self, prefix: &str, after: &str, caption: &str) -> BarPlot {
        let metric = Metric::Ndcg(TEN);
        let buckets = self.buckets(prefix, after);
        let series = self.rows.iter().map(|row| BarSeries {
            name: row.label.clone(),
            bars: buckets
                .iter()
                .map(|(_, bucket)| {
                    let own = row.buckets.iter().find(|own| own.bucket == bucket.bucket)?;
                    let found = own.values.iter().find(|value| value.metric == metric)?;
                    let interval = found.interval.map(|range| (range.low, range.high));
                    Some(Bar { value: found.value, interval })
                })
                .collect(),
        });
        BarPlot {
            caption: format!("{metric} {caption}, {}", rule_name(self.tune.seen_items)),
            y_axis: metric.to_string(),
            series: series.collect(),
            groups: buckets.into_iter().map(|(short, _)| short).collect(),
        }
    }
}
