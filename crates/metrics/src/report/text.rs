//! A report as text tables.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use super::{Comparison, Report, Row};
use crate::Metric;

impl Report {
    /// Rows of comparable protocols as text.
    fn table(&self, group: &[&Row]) -> Table {
        let mut metrics: Vec<Metric> = Vec::new();
        for entry in group.iter().flat_map(|row| &row.values) {
            if !metrics.contains(&entry.metric) {
                metrics.push(entry.metric);
            }
        }
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        let head = ["system".to_owned(), "decoding".to_owned()];
        table.set_header(head.into_iter().chain(metrics.iter().map(Metric::to_string)));
        for row in group {
            let head = [self.shown(&row.system), row.protocol.decoding()];
            let cells = metrics.iter().map(|metric| self.cell(row, *metric).unwrap_or_default());
            table.add_row(head.into_iter().chain(cells));
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.groups().into_iter().enumerate() {
            if let Some(first) = group.first() {
                writeln!(f, "{}{}", if i == 0 { "" } else { "\n" }, first.protocol)?;
                writeln!(f, "{}", self.table(&group))?;
                self.footnotes(&group).iter().try_for_each(|line| writeln!(f, "{line}"))?;
            }
        }
        for (i, Comparison { system, against, metric, test }) in self.comparisons.iter().enumerate()
        {
            let (system, against) = (self.shown(system), self.shown(against));
            writeln!(
                f,
                "{}{system} − {against}: {metric} {:+.4} [{:+.4}, {:+.4}], p = {:.3}, {} users",
                if i == 0 { "\n" } else { "" },
                test.difference,
                test.interval.low,
                test.interval.high,
                test.p_value,
                test.num_users
            )?;
        }
        Ok(())
    }
}
