//! Systems × metrics, with their protocols.

#[cfg(feature = "text")]
mod text;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Interval, Metric, MetricError, PairedTest, Protocol, check_consistency};

/// How far computed values may be off before a report rejects them.
const ROUNDING: f64 = 1e-9;

/// A metric of a system, with its interval if one was computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricValue {
    /// What was measured.
    pub metric: Metric,
    /// Mean over users (or the value over all lists, for coverage and Gini).
    pub value: f64,
    /// Bootstrap interval over users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// The metrics of one system under one protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The system's name.
    pub system: String,
    /// The conditions under which the values were measured.
    pub protocol: Protocol,
    /// The values, each metric at most once.
    pub values: Vec<MetricValue>,
}

/// What a reader has to know about the numbers of a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The system's name in the rows.
    pub system: String,
    /// What is put after the name wherever it is shown, in parentheses.
    pub mark: String,
    /// What the mark means: one sentence, under each table that shows it.
    pub text: String,
}

/// Rows of systems. Values that no ranking can have are errors.
///
/// Displays as text (feature `text`): one table for each group of comparable protocols, the notes on its systems under
/// it, then the paired tests.
/// Reading a report from JSON repeats every check of [`push`](Self::push).
///
/// ```
/// use sidereal_metrics::{
///     Candidates, EvaluationSplit, Level, MetricValue, Protocol, Report, Row, ScoreKind,
///     SeenItems,
/// };
/// let protocol = Protocol {
///     split: EvaluationSplit::LeaveOneOutTest,
///     candidates: Candidates::All,
///     seen_items: SeenItems::Kept,
///     level: Level::Item,
///     score: ScoreKind::PerItem,
///     beam_width: None,
///     chains: None,
///     num_users: 100,
/// };
/// let mut report = Report::default();
/// report.push(Row {
///     system: "popularity".into(),
///     protocol,
///     values: vec![MetricValue { metric: "HR@10".parse()?, value: 0.03, interval: None }],
/// })?;
/// assert_eq!(report.rows()[0].system, "popularity");
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawReport", into = "RawReport")]
pub struct Report {
    rows: Vec<Row>,
    comparisons: Vec<Comparison>,
    notes: Vec<Note>,
    bound: Option<String>,
}

/// A paired test between two of a report's systems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Comparison {
    system: String,
    against: String,
    metric: Metric,
    test: PairedTest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReport {
    rows: Vec<Row>,
    #[serde(default)]
    comparisons: Vec<Comparison>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<String>,
}

impl Report {
    /// Adds a row.
    ///
    /// # Errors
    /// Those of [`check_consistency`], and [`MetricError::IntervalOrder`].
    pub fn push(&mut self, row: Row) -> Result<(), MetricError> {
        let values: Vec<_> = row.values.iter().map(|entry| (entry.metric, entry.value)).collect();
        check_consistency(&values, ROUNDING)?;
        for MetricValue { metric, interval, .. } in &row.values {
            if let Some(Interval { low, high, .. }) = *interval
                && low.partial_cmp(&high).is_none_or(std::cmp::Ordering::is_gt)
            {
                return Err(MetricError::IntervalOrder { metric: *metric, low, high });
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// Adds a paired test of `system` minus `against`.
    pub fn push_comparison(
        &mut self,
        system: impl Into<String>,
        against: impl Into<String>,
        metric: Metric,
        test: PairedTest,
    ) {
        let (system, against) = (system.into(), against.into());
        self.comparisons.push(Comparison { system, against, metric, test });
    }

    /// Adds a note on a system, which may have several.
    pub fn push_note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Names the system that no other can exceed, such as the law of synthetic data: tables then say what share
    /// of its values each row reaches.
    pub fn set_bound(&mut self, system: impl Into<String>) {
        self.bound = Some(system.into());
    }

    /// What share of the bound's value a row reaches, under a protocol whose numbers may be compared; `None`
    /// without a [bound](Self::set_bound), for its own row, and where it has no such value or it is 0.
    ///
    /// ```text
    /// share = value of the row / value of the bound
    /// ```
    /// It is above 1 where the bound holds in expectation alone and the users are a lucky draw.
    #[must_use]
    pub fn share_of_bound(&self, row: &Row, metric: Metric) -> Option<f64> {
        let bound = self.bound.as_ref().filter(|bound| **bound != row.system)?;
        let of_bound = self
            .rows
            .iter()
            .find(|other| other.system == *bound && other.protocol.is_comparable(&row.protocol))?;
        let (own, best) = (row.get(metric)?.value, of_bound.get(metric)?.value);
        (best > 0.0).then(|| own / best)
    }

    /// A value of a row with its interval, and the share of the bound that it reaches.
    #[cfg(any(feature = "text", feature = "page"))]
    pub(crate) fn cell(&self, row: &Row, metric: Metric) -> Option<String> {
        let value = row.get(metric)?;
        Some(match self.share_of_bound(row, metric) {
            Some(share) => format!("{value}, {:.0} %", 100.0 * share),
            None => value.to_string(),
        })
    }

    /// The notes, in the order they were added.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// A system's name with the marks of its notes: `NAME (MARK)`.
    #[must_use]
    pub fn shown(&self, system: &str) -> String {
        let notes = self.notes.iter().filter(|note| note.system == system);
        notes.fold(system.to_owned(), |name, note| format!("{name} ({})", note.mark))
    }

    /// What the marks of these rows mean, each once.
    #[cfg(any(feature = "text", feature = "page"))]
    pub(crate) fn footnotes(&self, rows: &[&Row]) -> Vec<String> {
        let mut lines = Vec::new();
        for note in &self.notes {
            let line = format!("({}): {}", note.mark, note.text);
            if rows.iter().any(|row| row.system == note.system) && !lines.contains(&line) {
                lines.push(line);
            }
        }
        if let Some(bound) = &self.bound
            && rows.iter().any(|row| row.system == *bound)
        {
            lines.push(format!("%: the share of the value of `{bound}` that a row reaches."));
        }
        lines
    }

    /// The rows, in the order they were added.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Rows in groups of comparable protocols, in the order of each group's first row.
    #[must_use]
    pub fn groups(&self) -> Vec<Vec<&Row>> {
        let mut groups: Vec<Vec<&Row>> = Vec::new();
        for row in &self.rows {
            let same = |group: &&mut Vec<&Row>| {
                group.first().is_some_and(|first| first.protocol.is_comparable(&row.protocol))
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        groups
    }
}

impl Row {
    /// The value of a metric, if the row has it.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<&MetricValue> {
        self.values.iter().find(|entry| entry.metric == metric)
    }
}

impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.value)?;
        match self.interval {
            Some(Interval { low, high, .. }) => write!(f, " [{low:.4}, {high:.4}]"),
            None => Ok(()),
        }
    }
}

impl TryFrom<RawReport> for Report {
    type Error = MetricError;

    fn try_from(raw: RawReport) -> Result<Self, MetricError> {
        let RawReport { rows, comparisons, notes, bound } = raw;
        let mut report = Self { rows: Vec::new(), comparisons, notes, bound };
        rows.into_iter().try_for_each(|row| report.push(row))?;
        Ok(report)
    }
}

impl From<Report> for RawReport {
    fn from(report: Report) -> Self {
        let Report { rows, comparisons, notes, bound } = report;
        Self { rows, comparisons, notes, bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidates, EvaluationSplit, Level, ScoreKind, SeenItems};

    fn row(system: &str, seen_items: SeenItems, values: &[(&str, f64)]) -> Row {
        let protocol = Protocol {
            split: EvaluationSplit::LeaveOneOutTest,
            candidates: Candidates::All,
            seen_items,
            level: Level::Item,
            score: ScoreKind::PerItem,
            beam_width: None,
            chains: None,
            num_users: 10,
        };
        let values = values
            .iter()
            .map(|(name, value)| MetricValue {
                metric: name.parse().unwrap(),
                value: *value,
                interval: Some(Interval { low: *value - 0.01, high: *value + 0.01, level: 0.95 }),
            })
            .collect();
        Row { system: system.into(), protocol, values }
    }

    #[test]
    fn shares_are_of_the_bound_under_the_same_protocol() {
        let mut report = Report::default();
        report.push(row("best", SeenItems::Kept, &[("HR@10", 0.8), ("HR@5", 0.0)])).unwrap();
        report.push(row("best", SeenItems::Removed, &[("HR@10", 1.0)])).unwrap();
        for seen_items in [SeenItems::Kept, SeenItems::Removed] {
            report.push(row("own", seen_items, &[("HR@10", 0.4), ("HR@5", 0.0)])).unwrap();
        }
        let hr: Metric = "HR@10".parse().unwrap();
        let shares = |report: &Report, metric| -> Vec<Option<f64>> {
            report.rows().iter().map(|row| report.share_of_bound(row, metric)).collect()
        };
        assert_eq!(shares(&report, hr), [None; 4]);
        report.set_bound("best");
        assert_eq!(shares(&report, hr), [None, None, Some(0.5), Some(0.4)]);
        // A bound of 0, or without the metric, has no shares.
        assert_eq!(shares(&report, "HR@5".parse().unwrap()), [None; 4]);
        // It survives a file.
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    #[cfg(feature = "text")]
    fn text_groups_rows_by_protocol() {
        let mut report = Report::default();
        report.push(row("one", SeenItems::Kept, &[("HR@10", 0.1), ("NDCG@10", 0.05)])).unwrap();
        report.push(row("two", SeenItems::Removed, &[("HR@10", 0.2)])).unwrap();
        report.push(row("three", SeenItems::Kept, &[("NDCG@10", 0.25)])).unwrap();
        let expected = "\
leave-one-out test, all items, seen items kept, item level, 10 users
| system | decoding       |                   HR@10 |                 NDCG@10 |
|--------|----------------|-------------------------|-------------------------|
| one    | score per item | 0.1000 [0.0900, 0.1100] | 0.0500 [0.0400, 0.0600] |
| three  | score per item |                         | 0.2500 [0.2400, 0.2600] |

leave-one-out test, all items, seen items removed, item level, 10 users
| system | decoding       |                   HR@10 |
|--------|----------------|-------------------------|
| two    | score per item | 0.2000 [0.1900, 0.2100] |
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    #[cfg(feature = "text")]
    fn a_note_marks_its_system_and_stands_below_its_tables() {
        let mut report = Report::default();
        report.push(row("one", SeenItems::Kept, &[("HR@10", 0.1)])).unwrap();
        report.push(row("two", SeenItems::Kept, &[("HR@10", 0.1)])).unwrap();
        report.push(row("one", SeenItems::Removed, &[("HR@10", 0.2)])).unwrap();
        let plain = serde_json::to_string(&report).unwrap();
        assert!(!plain.contains("notes"), "{plain}");
        let interval = Interval { low: 0.0, high: 0.0, level: 0.95 };
        let paired = PairedTest { difference: 0.0, interval, p_value: 1.0, num_users: 10 };
        report.push_comparison("two", "one", "HR@10".parse().unwrap(), paired);
        let (mark, text) = ("= one".to_owned(), "Nothing was better.".to_owned());
        report.push_note(Note { system: "two".to_owned(), mark, text });
        let expected = "\
leave-one-out test, all items, seen items kept, item level, 10 users
| system      | decoding       |                   HR@10 |
|-------------|----------------|-------------------------|
| one         | score per item | 0.1000 [0.0900, 0.1100] |
| two (= one) | score per item | 0.1000 [0.0900, 0.1100] |
(= one): Nothing was better.

leave-one-out test, all items, seen items removed, item level, 10 users
| system | decoding       |                   HR@10 |
|--------|----------------|-------------------------|
| one    | score per item | 0.2000 [0.1900, 0.2100] |

two (= one) − one: HR@10 +0.0000 [+0.0000, +0.0000], p = 1.000, 10 users
";
        assert_eq!(report.to_string(), expected);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn an_impossible_table_is_refused_also_from_json() {
        let mut report = Report::default();
        let bad = row("bad", SeenItems::Kept, &[("HR@10", 0.1), ("NDCG@10", 0.2)]);
        assert!(matches!(report.push(bad.clone()), Err(MetricError::Inconsistent { .. })));
        let json = serde_json::json!({ "rows": [bad] }).to_string();
        assert!(serde_json::from_str::<Report>(&json).is_err());
    }

    #[test]
    #[cfg(feature = "text")]
    fn json_reads_back() {
        let mut report = Report::default();
        report.push(row("one", SeenItems::Kept, &[("HR@10", 0.1)])).unwrap();
        let interval = Interval { low: 0.0, high: 0.2, level: 0.95 };
        let test = PairedTest { difference: 0.1, interval, p_value: 0.04, num_users: 10 };
        report.push_comparison("one", "two", "HR@10".parse().unwrap(), test);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        assert!(
            report
                .to_string()
                .ends_with("one − two: HR@10 +0.1000 [+0.0000, +0.2000], p = 0.040, 10 users\n")
        );
    }

    #[test]
    fn an_interval_that_ends_before_it_begins_is_refused() {
        let push = |low, high| {
            let mut row = row("one", SeenItems::Kept, &[("HR@10", 0.1)]);
            row.values[0].interval = Some(Interval { low, high, level: 0.95 });
            Report::default().push(row)
        };
        assert_eq!(push(0.1, 0.1), Ok(()));
        assert!(matches!(push(0.2, 0.1), Err(MetricError::IntervalOrder { .. })));
        assert!(matches!(push(f64::NAN, 0.1), Err(MetricError::IntervalOrder { .. })));
    }

    #[test]
    #[cfg(feature = "text")]
    fn a_report_returns_its_rows_and_notes_in_order() {
        let mut report = Report::default();
        let one = row("one", SeenItems::Kept, &[("HR@10", 0.1)]);
        let two = row("two", SeenItems::Kept, &[("HR@10", 0.2)]);
        report.push(one.clone()).unwrap();
        report.push(two.clone()).unwrap();
        let note = |system: &str, mark: &str| Note {
            system: system.into(),
            mark: mark.into(),
            text: "Told once.".into(),
        };
        let notes = [note("one", "a"), note("two", "a"), note("two", "b"), note("three", "c")];
        notes.iter().cloned().for_each(|note| report.push_note(note));
        assert_eq!((report.rows(), report.notes()), (&[one, two][..], &notes[..]));
        assert_eq!(report.shown("two"), "two (a) (b)");
        // A mark that two systems share is told once, one of no system in the table not at all.
        let text = report.to_string();
        assert_eq!(text.matches("(a): Told once.\n").count(), 1);
        assert!(text.contains("(b): Told once.\n") && !text.contains("(c)"), "{text}");
    }
}
