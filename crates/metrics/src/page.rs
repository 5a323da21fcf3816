//! A report on an HTML page.

use sidereal_page::{Bar, BarPlot, BarSeries, Page, Table};

use crate::{Metric, MetricValue, Report, Row};

impl Report {
    /// Adds a table and a plot for each group of comparable rows.
    pub fn push_to(&self, page: &mut Page) {
        for group in self.groups() {
            let mut metrics: Vec<Metric> = Vec::new();
            for entry in group.iter().flat_map(|row| &row.values) {
                if !metrics.contains(&entry.metric) {
                    metrics.push(entry.metric);
                }
            }
            let caption = group.first().map(|row| row.protocol.to_string()).unwrap_or_default();
            let names: Vec<String> = metrics.iter().map(Metric::to_string).collect();
            page.push(Table {
                caption: caption.clone(),
                header: ["system", "decoding"]
                    .map(String::from)
                    .into_iter()
                    .chain(names.clone())
                    .collect(),
                rows: group.iter().map(|row| self.table_row(row, &metrics)).collect(),
                notes: self.footnotes(&group),
            });
            let series = group.iter().map(|row| BarSeries {
                name: self.shown(&row.system),
                bars: metrics.iter().map(|metric| row.get(*metric).map(bar)).collect(),
            });
            let series = series.collect();
            page.push(BarPlot { caption, y_axis: String::new(), groups: names, series });
        }
    }

    fn table_row(&self, row: &Row, metrics: &[Metric]) -> Vec<String> {
        let cell = |metric: &Metric| self.cell(row, *metric).unwrap_or_default();
        [self.shown(&row.system), row.protocol.decoding()]
            .into_iter()
            .chain(metrics.iter().map(cell))
            .collect()
    }
}

fn bar(entry: &MetricValue) -> Bar {
    Bar { value: entry.value, interval: entry.interval.map(|found| (found.low, found.high)) }
}

#[cfg(test)]
mod tests {
    use sidereal_page::Block;

    use super::*;
    use crate::{
        Candidates, EvaluationSplit, Interval, Level, Note, Protocol, ScoreKind, SeenItems,
    };

    fn row(system: &str, seen_items: SeenItems) -> Row {
        let protocol = Protocol {
            split: EvaluationSplit::LeaveOneOutTest,
            candidates: Candidates::All,
            seen_items,
            level: Level::Item,
            score: ScoreKind::PerItem,
            beam_width: None,
            chains: None,
            num_users: 4,
        };
        let interval = Some(Interval { low: 0.25, high: 0.75, level: 0.95 });
        let values = vec![MetricValue { metric: "HR@5".parse().unwrap(), value: 0.5, interval }];
        Row { system: system.into(), protocol, values }
    }

    #[test]
    fn each_protocol_has_its_table_and_plot() {
        let mut report = Report::default();
        report.push(row("one", SeenItems::Kept)).unwrap();
        report.push(row("two", SeenItems::Removed)).unwrap();
        report.push(row("three", SeenItems::Kept)).unwrap();
        report.set_bound("one");
        let (mark, text) = ("= one".to_owned(), "Nothing was better.".to_owned());
        report.push_note(Note { system: "three".to_owned(), mark, text });
        let mut page = Page::new("metrics");
        report.push_to(&mut page);
        let [Block::Table(table), Block::Bars(bars), Block::Table(other), Block::Bars(_)] =
            page.blocks.as_slice()
        else {
            panic!("{:?}", page.blocks)
        };
        assert_eq!(table.header, ["system", "decoding", "HR@5"]);
        let share = "%: the share of the value of `one` that a row reaches.";
        assert_eq!(table.notes, ["(= one): Nothing was better.", share]);
        assert_eq!(bars.series[1].name, "three (= one)");
        assert_eq!(
            table.rows[1],
            ["three (= one)", "score per item", "0.5000 [0.2500, 0.7500], 100 %"]
        );
        assert_eq!(table.rows[0][2], "0.5000 [0.2500, 0.7500]");
        assert!(other.notes.is_empty());
        assert_eq!(bars.series[0].bars, [Some(Bar { value: 0.5, interval: Some((0.25, 0.75)) })]);
    }
}
