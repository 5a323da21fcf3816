//! The report of prepared data as an HTML page.

use std::collections::BTreeMap;

use sidereal_page::{Histogram, LinePlot, Page, Panel, Series, Table};

use crate::filter::Dropped;
use crate::prepare::{PrepareReport, Prepared, Step};
use crate::{Dataset, Timestamp};

/// Longest history with a bar of its own.
const MAX_LENGTH: usize = 50;
/// Days of a point of the curve over time.
const DAYS: i64 = 30;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

impl Prepared {
    /// Statistics, audit, what was left out, and plots of lengths, popularity and time.
    #[must_use]
    pub fn page(&self, title: &str) -> Page {
        let report = self.report();
        let mut page = Page::new(title);
        page.push_summary(format!("Split: {}. Dataset {}.", report.protocol, report.dataset_hash));
        page.push(pairs("Statistics", &report.statistics.to_string()));
        page.push(samples(&report));
        page.push(pairs("Audit", &report.audit.to_string()));
        page.push(steps(&report));
        for skips in report.skips.iter().filter(|skips| skips.total() > 0) {
            page.push(Table {
                caption: format!("Rows with problems in {}", skips.path.display()),
                header: ["problem", "rows"].map(str::to_owned).to_vec(),
                rows: skips
                    .counts
                    .iter()
                    .map(|(kind, count)| vec![kind.to_string(), count.to_string()])
                    .collect(),
                ..Table::default()
            });
        }
        page.push(lengths(&self.dataset));
        page.push(popularity(&self.dataset));
        page.push(over_time(&self.dataset));
        page
    }
}

/// Lines of a name, two spaces or more, and a value.
fn pairs(caption: &str, text: &str) -> Table {
    let cells = |line: &str| {
        let (name, value) = line.split_once("  ").unwrap_or((line, ""));
        vec![name.trim().to_owned(), value.trim().to_owned()]
    };
    Table {
        caption: caption.to_owned(),
        header: ["", "value"].map(str::to_owned).to_vec(),
        rows: text.lines().map(cells).collect(),
        ..Table::default()
    }
}

fn samples(report: &PrepareReport) -> Table {
    let sets = ["train", "valid", "test"].iter().zip(report.samples);
    Table {
        caption: "Samples".to_owned(),
        header: ["set", "samples"].map(str::to_owned).to_vec(),
        rows: sets.map(|(set, count)| vec![(*set).to_owned(), count.to_string()]).collect(),
        ..Table::default()
    }
}

fn steps(report: &PrepareReport) -> Table {
    let row = |Step { name, dropped }: &Step| {
        let Dropped { interactions, users, items } = dropped;
        vec![(*name).to_owned(), interactions.to_string(), users.to_string(), items.to_string()]
    };
    Table {
        caption: "Taken away".to_owned(),
        header: ["filter", "interactions", "users", "items"].map(str::to_owned).to_vec(),
        rows: report.steps.iter().map(row).collect(),
        ..Table::default()
    }
}

fn lengths(dataset: &Dataset) -> Histogram {
    let mut counts = vec![0.0; MAX_LENGTH + 1];
    for user in dataset.users() {
        counts[user.events.len().min(MAX_LENGTH)] += 1.0;
    }
    Histogram {
        caption: format!("Events of a user; {MAX_LENGTH} stands for {MAX_LENGTH} and more"),
        x_axis: "events".to_owned(),
        y_axis: "users".to_owned(),
        panels: vec![Panel { name: "users".to_owned(), counts }],
    }
}

fn popularity(dataset: &Dataset) -> LinePlot {
    let mut counts = vec![0u32; dataset.num_items()];
    for item in dataset.users().iter().flat_map(|user| &user.events) {
        counts[item.index()] += 1;
    }
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let total = f64::from(counts.iter().sum::<u32>().max(1));
    let mut sum = 0.0;
    let points = counts.iter().enumerate().map(|(rank, count)| {
        sum += f64::from(*count);
        ((rank + 1) as f64 / counts.len() as f64, sum / total)
    });
    let points = std::iter::once((0.0, 0.0)).chain(points).collect();
    LinePlot {
        caption: "Events on the most chosen items".to_owned(),
        x_axis: "share of items".to_owned(),
        y_axis: "share of events".to_owned(),
        series: vec![Series { name: "events".to_owned(), points }],
    }
}

fn over_time(dataset: &Dataset) -> LinePlot {
    let times = || dataset.users().iter().flat_map(|user| &user.times);
    let first = times().min().copied().unwrap_or_default();
    let mut counts: BTreeMap<i64, f64> = BTreeMap::new();
    for Timestamp(time) in times() {
        *counts.entry(time.saturating_sub(first.0) / (DAYS * DAY)).or_default() += 1.0;
    }
    let year = |bin: i64| bin as f64 * DAYS as f64 / 365.25;
    let points = counts.into_iter().map(|(bin, count)| (year(bin), count)).collect();
    LinePlot {
        caption: format!("Events in {DAYS} days"),
        x_axis: format!("years since {first}"),
        y_axis: "events".to_owned(),
        series: vec![Series { name: "events".to_owned(), points }],
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use sidereal_page::Block;

    use super::*;
    use crate::{Item, ItemId, User, leave_one_out};

    #[test]
    fn the_page_counts_every_user_and_event() {
        let items = vec![Item::new("a", "an <apple>"), Item::new("b", "")];
        let times = [0, 1, 40 * DAY].map(Timestamp).to_vec();
        let user =
            |key: &str| User::new(key, [0, 1, 0].map(ItemId).to_vec()).with_times(times.clone());
        let dataset = Dataset::new(items, vec![user("u"), user("v")]).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
        let prepared = Prepared { dataset, split, skips: Vec::new(), steps: Vec::new() };
        let page = prepared.page("x");
        let plots: Vec<_> = page.blocks.iter().rev().take(3).collect();
        let [Block::Lines(time), Block::Lines(popularity), Block::Histogram(lengths)] = plots[..]
        else {
            panic!("{plots:?}")
        };
        assert!((lengths.panels[0].counts[3] - 2.0).abs() < 1e-12);
        assert_eq!(
            time.series[0].points.iter().map(|point| point.1).collect::<Vec<_>>(),
            [4.0, 2.0]
        );
        assert_eq!(popularity.series[0].points[1], (0.5, 4.0 / 6.0));
        assert!(page.render().unwrap().contains("targets in their own history"));
    }
}
